"""A merchant with orders to pack, inserts and rules."""

from datetime import timedelta

from core.domain.orders.ingest import ingest_orders
from core.domain.shops.plugins import enable_plugin
from core.domain.shops.shops import find_shop
from core.sdk import LineRecord, OrderRecord, OrderState
from plugins.packages.inserts import InsertKind, NewInsert, create_insert, set_stock
from plugins.packages.outcomes import Outcome
from plugins.packages.rules import NewRule, create_rule, switch_rule
from plugins.packages.settings import PackagesSettings
from plugins.packages.waves import Wanted, create_wave

ALL = {"version": 1, "rule": {"all": []}}


async def enable(merchant, **settings):
    installation = merchant.installation
    await enable_plugin(installation.db, merchant.id, installation.registry, "packages", settings)


def order(number, buyer, state=OrderState.TO_SHIP, paid=10000, minutes=0, now=None, **more):
    at = now - timedelta(days=1) + timedelta(minutes=minutes or number)
    return OrderRecord(
        external_id=f"N{number}", state=state, currency="CNY", total=paid, paid=paid, ordered_at=at,
        paid_at=at, buyer_id=buyer, name=more.pop("name", f"买家{buyer}"),
        lines=[LineRecord(external_id="1", title="茶", quantity=1, amount=paid, sku="TEA")],
        **more,
    )  # fmt: skip


async def add_orders(merchant, *records):
    """Take orders in; returns their ids in order."""
    async with merchant.work() as w:
        await ingest_orders(w, await find_shop(w, str(merchant.shop_id)), records, "nick", True)
    async with merchant.read() as session:
        rows = await session.sql.fetch(
            "SELECT external_id, id FROM orders WHERE merchant_id = $1", merchant.id
        )
    ids = {row["external_id"]: row["id"] for row in rows}
    return [ids[one.external_id] for one in records]


async def insert(merchant, name, kind=InsertKind.SAMPLE, stock=None, **more):
    async with merchant.work() as w:
        new = NewInsert(name, kind, tracks_stock=stock is not None, **more)
        made = await create_insert(w, merchant.installation.registry, new)
        if stock is not None:
            await set_stock(w, made, "main", stock)
    return made


async def rule(merchant, name, *inserts, customers=None, orders=None, **more):
    async with merchant.work() as w:
        variants = [one if isinstance(one, tuple) else (one, 1) for one in inserts]
        made = await create_rule(
            w, merchant.installation.registry,
            NewRule(name, variants, customers, orders or {}, **more),
        )  # fmt: skip
        await switch_rule(w, made, True)
    return made


async def wave(merchant, orders=None, max_per_parcel=3, **more):
    async with merchant.work() as w:
        return await create_wave(
            w, merchant.installation.registry, PackagesSettings(max_per_parcel=max_per_parcel),
            "main", Wanted(orders, **more),
        )  # fmt: skip


async def outcomes(merchant):
    """{(order's number, parcel's number, rule): outcome}, of all parcels decided."""
    async with merchant.read() as session:
        rows = await session.sql.fetch(
            """SELECT o.external_id, p.number, r.name, c.outcome FROM packages_choices c
               JOIN packages_parcels p ON p.merchant_id = $1 AND p.id = c.parcel_id
               JOIN orders o ON o.merchant_id = $1 AND o.id = p.order_id
               JOIN packages_rules r ON r.merchant_id = $1 AND r.id = c.rule_id
               WHERE c.merchant_id = $1""",
            merchant.id,
        )
    return {
        (row["external_id"], row["number"], row["name"]): Outcome(row["outcome"]) for row in rows
    }


async def stock(merchant, insert_id):
    async with merchant.read() as session:
        row = await session.sql.fetchrow(
            """SELECT on_hand, reserved FROM packages_stock
               WHERE merchant_id = $1 AND insert_id = $2""",
            merchant.id, insert_id,
        )  # fmt: skip
    return tuple(row)
