"""Customers with everything, for tests of merging."""

from datetime import UTC, datetime

from core.domain.customers.consent import set_consent
from core.domain.customers.customers import add_tags, update_customer
from core.domain.orders.facts import refresh_facts
from core.domain.orders.ingest import ingest_orders
from core.domain.shops.shops import find_shop
from core.sdk import OrderRecord, OrderState

T = datetime(2026, 1, 2, tzinfo=UTC)
OWN = {
    "customers": ("id", "version", "updated_at"),
    "customer_identities": (), "customer_tags": (), "customer_notes": (),
    "custom_field_values": (), "consent_events": (), "orders": (), "deliveries": (),
    "consents": ("id",), "customer_facts": ("id",),
}  # fmt: skip
"""Tables of a customer's state, with the columns that may change when it comes back."""


async def make_customer(w, name="李雷", **columns):
    names = "".join(f", {name}" for name in columns)
    marks = "".join(f", ${number}" for number in range(4, 4 + len(columns)))
    return await w.sql.fetchval(
        f"""INSERT INTO customers (merchant_id, name, version, created_at, updated_at{names})
            VALUES ($1, $2, 1, $3, $3{marks}) RETURNING id""",
        w.merchant_id, name, w.now, *columns.values(),
    )  # fmt: skip


async def add_identity(w, customer_id, value, shop_id, kind="nick", scope="shop"):
    return await w.sql.fetchval(
        """INSERT INTO customer_identities (merchant_id, customer_id, scope, scope_id, kind, value,
                                            source, created_at)
           VALUES ($1, $2, $3, $4, $5, $6, 'test', $7) RETURNING id""",
        w.merchant_id, customer_id, scope, shop_id, kind, value, w.now,
    )  # fmt: skip


async def add_order(w, customer_id, number, shop_id, paid=1000, buyer_id=None):
    return await w.sql.fetchval(
        """INSERT INTO orders (merchant_id, shop_id, external_id, customer_id, buyer_id, state,
               currency, total, paid, refunded, ordered_at, paid_at, content_hash, taken_at)
           VALUES ($1, $2, $3, $4, $5, 'completed', 'CNY', $6, $6, 0, $7, $7, '\\x00', $7)
           RETURNING id""",
        w.merchant_id, shop_id, number, customer_id, buyer_id, paid, w.now,
    )  # fmt: skip


async def add_note(w, customer_id, text):
    await w.sql.execute(
        """INSERT INTO customer_notes (merchant_id, customer_id, text, author, version, created_at,
                                       updated_at) VALUES ($1, $2, $3, 'test', 1, $4, $4)""",
        w.merchant_id, customer_id, text, w.now,
    )  # fmt: skip


async def add_value(w, customer_id, field_id, text):
    await w.sql.execute(
        """INSERT INTO custom_field_values (merchant_id, customer_id, field_id, text, version,
                                            source, updated_at)
           VALUES ($1, $2, $3, $4, 1, 'test', $5)
           ON CONFLICT (merchant_id, customer_id, field_id) DO UPDATE SET text = excluded.text""",
        w.merchant_id, customer_id, field_id, text, w.now,
    )  # fmt: skip


async def add_delivery(w, customer_id, run_id):
    await w.sql.execute(
        """INSERT INTO deliveries (merchant_id, run_id, step, customer_id, channel, state,
               attempts, next_at, updated_at)
           VALUES ($1, $2, 0, $3, 'email', 'sent', 1, $4, $4)
           ON CONFLICT (merchant_id, run_id, step, customer_id, enrolment_id) DO NOTHING""",
        w.merchant_id, run_id, customer_id, w.now,
    )  # fmt: skip


async def furnish(w, merchant, name, *, phone=None, email=None, tags=(), consents=(), **columns):
    """A customer with an identity and an order named after it."""
    customer_id = await make_customer(w, name, **columns)
    await add_identity(w, customer_id, f"nick-{name}", merchant.shop_id)
    await add_order(w, customer_id, f"order-{name}", merchant.shop_id, buyer_id=f"nick-{name}")
    changes = {"phone": phone, "email": email}
    if phone or email:
        given = {key: value for key, value in changes.items() if value}
        await update_customer(w, customer_id, given)
    await add_tags(w, customer_id, list(tags), "test")
    for channel, status in consents:
        await set_consent(w, customer_id, channel, "marketing", status, "form")
    await refresh_facts(w, [customer_id])
    return customer_id


async def state(session, customer_id):
    """Everything that a customer has, table by table."""
    found = {}
    for table, left_out in OWN.items():
        column = "id" if table == "customers" else "customer_id"
        rows = await session.sql.fetch(
            f"SELECT * FROM {table} WHERE merchant_id = $1 AND {column} = $2",
            session.merchant_id, customer_id,
        )  # fmt: skip
        cleaned = [{k: v for k, v in row.items() if k not in left_out} for row in rows]
        found[table] = sorted(cleaned, key=repr)
    return found


async def consents(session, customer_id):
    rows = await session.sql.fetch(
        """SELECT shop_id, channel, purpose, status FROM consents
           WHERE merchant_id = $1 AND customer_id = $2""",
        session.merchant_id, customer_id,
    )  # fmt: skip
    return {(row[0], row[1], row[2]): row[3] for row in rows}


def record(number, **more):
    values = {"currency": "CNY", "total": 1000, "paid": 1000, "ordered_at": T, "paid_at": T} | more
    return OrderRecord(number, OrderState.TO_SHIP, **values)


async def take(merchant, *records, kind="nick"):
    async with merchant.work() as w:
        shop = await find_shop(w, str(merchant.shop_id))
        return await ingest_orders(w, shop, records, kind, False)
