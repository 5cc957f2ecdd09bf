"""A merchant's coupon templates, customers and baskets."""

from plugins.coupons.quoting import Basket, Line
from plugins.coupons.redeeming import Purchase, use
from plugins.coupons.templates import create_template

TEN_OFF = {
    "name": "Ten off", "handle": "ten", "kind": "amount_off", "value": 1000, "currency": "CNY",
    "source": "own",
}  # fmt: skip


async def template(merchant, **given):
    async with merchant.work() as w:
        return await create_template(w, TEN_OFF | given)


async def people(merchant, count):
    async with merchant.work() as w:
        rows = await w.sql.fetch(
            """INSERT INTO customers (merchant_id, name, version, created_at, updated_at)
               SELECT $1, 'c' || n, 1, $3, $3 FROM generate_series(1, $2) n RETURNING id""",
            merchant.id, count, w.now,
        )  # fmt: skip
    return [row["id"] for row in rows]


def basket(*amounts, order=None, **more):
    lines = [Line(f"p{n}", amount) for n, amount in enumerate(amounts)]
    return Basket("CNY", lines, order=order, **more)


async def buy(merchant, code, order, *amounts, deed="redeem", until=None, **more):
    """Use one code, or several, for an order; returns the outcome."""
    codes = [code] if isinstance(code, str) else code
    purchase = Purchase(basket(*(amounts or (20_000,)), order=order, **more), codes)
    async with merchant.work() as w:
        (outcome,) = await use(w, [purchase], deed, until)
    return outcome


async def entries(merchant):
    async with merchant.read() as session:
        rows = await session.sql.fetch(
            """SELECT kind, count(*) AS n FROM coupons_entries WHERE merchant_id = $1
               GROUP BY 1""",
            merchant.id,
        )  # fmt: skip
    return {row["kind"]: row["n"] for row in rows}


async def stored(merchant, handle="ten"):
    async with merchant.read() as session:
        return await session.sql.fetchrow(
            "SELECT * FROM coupons_templates WHERE merchant_id = $1 AND handle = $2",
            merchant.id, handle,
        )  # fmt: skip
