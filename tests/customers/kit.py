"""Customers made quickly, and reading what was logged of them."""

import orjson

from core.domain.customers.contacts import seal_email, seal_phone


async def add_customer(w, name="李雷", phone=None, email=None):
    """Insert a customer; phone and email in their normal forms. Returns its id."""
    pk = await w.sql.fetchval(
        """INSERT INTO customers (merchant_id, name, version, created_at, updated_at)
           VALUES ($1, $2, 1, $3, $3) RETURNING id""",
        w.merchant_id, name, w.now,
    )  # fmt: skip
    keyring = w.keyring
    for kind, value, seal in (("phone", phone, seal_phone), ("email", email, seal_email)):
        if value is not None:
            await w.sql.execute(
                f"""UPDATE customers SET {kind}_sealed = $3, {kind}_index = $4
                    WHERE merchant_id = $1 AND id = $2""",
                w.merchant_id, pk, seal(keyring, w.merchant_id, pk, value),
                keyring.blind_index(kind, w.merchant_id, value),
            )  # fmt: skip
    return pk


async def add_customers(w, count):
    """Insert so many customers; returns their ids in order."""
    rows = await w.sql.fetch(
        """INSERT INTO customers (merchant_id, name, version, created_at, updated_at)
           SELECT $1, 'Customer ' || n, 1, $2, $2 FROM generate_series(1, $3) n RETURNING id""",
        w.merchant_id, w.now, count,
    )  # fmt: skip
    return [row["id"] for row in rows]


async def add_order(w, customer_id, number, at, shop_id=1, **times):
    """Insert an order placed at `at`, with other times such as paid_at; returns its id."""
    columns = {"ordered_at": at, **times}
    names = ", ".join(columns)
    marks = ", ".join(f"${place}" for place in range(5, 5 + len(columns)))
    return await w.sql.fetchval(
        f"""INSERT INTO orders (merchant_id, shop_id, external_id, customer_id, state, currency,
                total, paid, refunded, content_hash, taken_at, {names})
            VALUES ($1, $2, $3, $4, 'completed', 'CNY', 100, 100, 0, '', now(), {marks})
            RETURNING id""",
        w.merchant_id, shop_id, number, customer_id, *columns.values(),
    )  # fmt: skip


async def add_parcel(w, order_id, number, events):
    """Insert a parcel with its trace, (kind, at) pairs."""
    parcel_id = await w.sql.fetchval(
        """INSERT INTO parcels (merchant_id, order_id, tracking_number, carrier, last_event_at)
           VALUES ($1, $2, $3, 'SF', $4) RETURNING id""",
        w.merchant_id, order_id, number, max((at for _, at in events), default=None),
    )  # fmt: skip
    for kind, at in events:
        await w.sql.execute(
            """INSERT INTO parcel_events (merchant_id, parcel_id, kind, text, at)
               VALUES ($1, $2, $3, 'courier 13900000000', $4)""",
            w.merchant_id, parcel_id, kind, at,
        )  # fmt: skip


async def logged(session, customer_id):
    """What was logged of a customer, in order: (kind, data, actor)."""
    rows = await session.sql.fetch(
        """SELECT kind, data, actor FROM customer_log
           WHERE merchant_id = $1 AND customer_id = $2 ORDER BY id""",
        session.merchant_id, customer_id,
    )  # fmt: skip
    return [(row["kind"], orjson.loads(row["data"]), row["actor"]) for row in rows]
