"""A merchant with a million customers: what pages, searches, merges and updates cost then.

    python -m bench.large [CUSTOMERS]

Makes CUSTOMERS customers (1,000,000 without it) with five orders each and eight lines on five
orders, by COPY, on an embedded server of its own. Each figure is one JSON line, beside what it is
compared with in the same run.
"""

import itertools
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from core.cli import run
from core.domain.customers.contacts import seal_email, seal_phone
from core.domain.customers.search import search_customers
from core.domain.orders.content import content_hash, content_key
from core.domain.orders.facts import UPSERT, refresh_facts
from core.domain.orders.ingest import ORDER_COLUMNS, ingest_orders
from core.domain.orders.merging import merge_customers, unmerge_customers
from core.domain.shops.setup import set_up_merchant
from core.domain.shops.shops import find_shop
from core.installation import Installation, open_installation
from core.sdk.orders import LineRecord, OrderRecord, OrderState
from core.settings import Settings
from core.storage.database import Session, Work

CUSTOMERS = 1_000_000
ORDERS_EACH = 5
ON_ITS_WAY = 20
"""One order in so many is shipped and not completed yet."""
CHUNK = 20_000
CHANGED, TURNS = 5_000, 5
START = datetime(2024, 1, 1, tzinfo=UTC)
NAMES = [
    a + b
    for a in "王李张刘陈杨赵黄周吴徐孙"
    for b in ("伟", "芳", "娜", "秀英", "敏", "静", "丽", "强", "磊", "洋")
]
PLACES = (
    ("浙江省", "杭州市"), ("广东省", "深圳市"), ("上海", "上海市"), ("四川省", "成都市"),
    ("江苏省", "苏州市"), ("北京", "北京市"), ("湖北省", "武汉市"), ("福建省", "厦门市"),
)  # fmt: skip
LINE_COLUMNS = (
    "merchant_id", "order_id", "external_id", "title", "sku", "quantity", "amount", "product_id",
    "category",
)  # fmt: skip
CUSTOMER_COLUMNS = (
    "merchant_id", "id", "name", "province", "city", "phone_sealed", "phone_index",
    "email_sealed", "email_index", "version", "created_at", "updated_at",
)  # fmt: skip
IDENTITY_COLUMNS = (
    "merchant_id", "customer_id", "scope", "scope_id", "kind", "value", "source", "created_at",
)  # fmt: skip


def show(figure: str, value: float, unit: str, **more: Any) -> None:
    """Print one figure as a JSON line."""
    print(orjson.dumps({"figure": figure, "value": round(value, 3), "unit": unit, **more}).decode(),
          flush=True)  # fmt: skip


def main() -> None:
    """Make the data, measure, and print one JSON line per figure."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].isdecimal() else CUSTOMERS
    with tempfile.TemporaryDirectory(prefix="huike-bench-") as folder:
        run(measure(Path(folder) / "home", count))


async def measure(home: Path, count: int) -> None:
    """All figures on one set of data."""
    async with open_installation(Settings(home=home), with_redis=False) as opened:
        made = await set_up_merchant(opened.db, opened.registry, "large", shop="shop")
        assert made.shop_id is not None
        started = time.perf_counter()
        csv_bytes = await load(opened, made.merchant_id, made.shop_id, count)
        show("large_load_seconds", time.perf_counter() - started, "s", customers=count,
             orders=count * ORDERS_EACH, lines=count * 8)  # fmt: skip
        async with opened.db.read(made.merchant_id) as session:
            await session.sql.execute("VACUUM (ANALYZE)")
            stored = await session.sql.fetchval("SELECT pg_database_size(current_database())")
        show("large_size_on_disk", stored / 1e6, "MB", beside="the same rows as CSV",
             floor_mb=round(csv_bytes / 1e6, 1), ratio=round(stored / csv_bytes, 2))  # fmt: skip
        await pages(opened, made.merchant_id)
        await searches(opened, made.merchant_id, count)
        await upserts(opened, made.merchant_id, made.shop_id, count)
        await merges(opened, made.merchant_id, made.shop_id, count)


# -- the data ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Made:
    """How orders of a customer and lines of an order are made: rows of the COPY columns.

    `orders` is given the shop, the customer's number and random numbers; `lines` the merchant and
    the order.
    """

    orders: Callable[[Work, int, int, random.Random], Iterator[tuple[Any, ...]]]
    lines: Callable[[int, int], Iterator[tuple[Any, ...]]]


async def load(
    opened: Installation,
    merchant_id: int,
    shop_id: int,
    count: int,
    made: Made | None = None,
) -> int:
    """Fill the tables by COPY, with their indexes made afterwards; returns the size as CSV."""
    size = 0
    made = made or Made(orders_of, _lines)
    async with opened.db.work(merchant_id) as w:
        indexes = await _drop_indexes(w)
        for first in range(1, count + 1, CHUNK):
            numbers = range(first, min(first + CHUNK, count + 1))
            size += await _load_chunk(w, shop_id, numbers, made)
        for sequence, last in (("customers", count), ("orders", count * ORDERS_EACH)):
            await w.sql.execute(
                f"SELECT setval(pg_get_serial_sequence('{sequence}', 'id'), {last + 1})"
            )
        for statement in indexes:
            await w.sql.execute(statement)
        await w.sql.execute("ANALYZE customers, customer_identities, orders, order_lines")
        for first in range(1, count + 1, CHUNK):
            ids = list(range(first, min(first + CHUNK, count + 1)))
            await w.sql.execute(UPSERT, merchant_id, ids)
    return size


async def _drop_indexes(w: Work) -> list[str]:
    rows = await w.sql.fetch(
        """SELECT i.indexrelid::regclass::text AS name, pg_get_indexdef(i.indexrelid) AS made
           FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
           WHERE c.relname IN ('customers', 'customer_identities', 'orders', 'order_lines')
             AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid)"""
    )
    for row in rows:
        await w.sql.execute(f"DROP INDEX {row['name']}")
    return [row["made"] for row in rows]


async def _load_chunk(w: Work, shop_id: int, ids: range, made: Made) -> int:
    r = random.Random(ids.start)
    people = [_person(w, number, r) for number in ids]
    orders = [row for number in ids for row in made.orders(w, shop_id, number, r)]
    lines = [row for order in orders for row in made.lines(w.merchant_id, order[1])]
    for table, columns, rows in (
        ("customers", CUSTOMER_COLUMNS, people),
        ("customer_identities", IDENTITY_COLUMNS, list(_identities(w, shop_id, people))),
        ("orders", ORDER_COLUMNS, orders),
        ("order_lines", LINE_COLUMNS, lines),
    ):
        await w.sql.copy_records_to_table(table, columns=columns, records=rows)
    # as an export would carry it: plain texts, one row for each line
    return sum(180 + 3 * len(line[3]) for line in lines)


def phone_of(number: int) -> str:
    """The phone number of a customer."""
    return f"+861{30_000_000_00 + number}"


def _person(w: Work, number: int, r: random.Random) -> tuple[Any, ...]:
    phone, email = phone_of(number), f"buyer{number}@example.com"
    province, city = PLACES[number % 8]
    at = START + timedelta(seconds=number * 60)
    return (
        w.merchant_id, number, f"{r.choice(NAMES)}{number % 1000}", province, city,
        seal_phone(w.keyring, w.merchant_id, number, phone),
        w.keyring.blind_index("phone", w.merchant_id, phone),
        seal_email(w.keyring, w.merchant_id, number, email),
        w.keyring.blind_index("email", w.merchant_id, email), 1, at, at,
    )  # fmt: skip


def _identities(
    w: Work, shop_id: int, people: Sequence[tuple[Any, ...]]
) -> Iterator[tuple[Any, ...]]:
    for person in people:
        number, at = person[1], person[10]
        shared = (w.merchant_id, number)
        yield (*shared, "shop", shop_id, "taobao_nick", f"buyer{number}", "orders", at)
        yield (*shared, "merchant", 0, "phone", person[6].hex(), "orders", at)
        yield (*shared, "merchant", 0, "email", person[8].hex(), "orders", at)


def _receiver(number: int) -> dict[str, str]:
    return {"name": "李雷", "phone": phone_of(number), "address": f"文三路{number}号"}


def orders_of(w: Work, shop_id: int, number: int, r: random.Random) -> Iterator[tuple[Any, ...]]:
    province, city = PLACES[number % 8]
    key = content_key(w.keyring, w.merchant_id)
    for n in range(ORDERS_EACH):
        order_id = (number - 1) * ORDERS_EACH + n + 1
        at = START + timedelta(minutes=r.randrange(1_000_000))
        paid = r.randrange(1000, 90_000)
        receiver = orjson.dumps(
            {"name": "李雷", "phone": phone_of(number), "address": f"{city}文三路{number}号"}
        )
        on_its_way = order_id % ON_ITS_WAY == 0
        state, platform_state = ("shipped", "已发货") if on_its_way else ("completed", "交易成功")
        digest = content_hash(_told(order_id), key) if on_its_way else order_id.to_bytes(24, "big")
        sealed = w.keyring.seal_bytes(receiver, f"orders.receiver|{w.merchant_id}|{order_id}")
        yield (
            w.merchant_id, order_id, shop_id, external_id_of(order_id), number, f"buyer{number}",
            state, platform_state, "CNY", paid, paid, 0, at, at, at, None, at, province, city,
            sealed, at, False, digest, at,
        )  # fmt: skip


def external_id_of(order_id: int) -> str:
    """The platform's number of an order."""
    return str(3_900_000_000_000_000_000 + order_id * 7919)


def _lines(merchant_id: int, order_id: int) -> Iterator[tuple[Any, ...]]:
    # eight lines on five orders
    for n in range(1 + (order_id % 5 < 3)):
        product = (order_id * 7 + n) % 3000
        yield (
            merchant_id, order_id, str(n), f"龙井茶 2026 新茶 {product}", f"S{product}", 1, 4200,
            str(product), "茶",
        )  # fmt: skip


# -- figures ----------------------------------------------------------------------------------


async def timed(times: int, call: Callable[[], Awaitable[Any]]) -> list[float]:
    """Milliseconds of each call, after one that does not count."""
    await call()
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        await call()
        taken.append((time.perf_counter() - started) * 1000)
    return taken


def quantile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all are not above (nearest rank)."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


async def pages(opened: Installation, merchant_id: int) -> None:
    """The first page of customers against the ten-thousandth, by cursor."""
    statement = """SELECT c.*, c.created_at AS key_0, c.id AS key_1 FROM customers c
        WHERE c.merchant_id = $1 AND TRUE {} ORDER BY c.created_at DESC, c.id DESC LIMIT 51"""
    beyond = "AND (c.created_at, c.id) < ($2, $3)"
    async with opened.db.read(merchant_id) as session:
        total = await session.sql.fetchval(
            "SELECT count(*) FROM customers WHERE merchant_id = $1", merchant_id
        )
        skipped = min(10_000 * 50, total * 9 // 10)
        edge = await session.sql.fetchrow(
            """SELECT created_at, id FROM customers WHERE merchant_id = $1
               ORDER BY created_at DESC, id DESC OFFSET $2 LIMIT 1""",
            merchant_id, skipped,
        )  # fmt: skip
        first = await timed(300, lambda: session.sql.fetch(statement.format(""), merchant_id))
        late = await timed(
            300, lambda: session.sql.fetch(statement.format(beyond), merchant_id, *edge)
        )
    show("large_page_10000_ms", statistics.median(late), "ms", beside="page 1", rows_before=skipped,
         floor_ms=round(statistics.median(first), 3),
         ratio=round(statistics.median(late) / statistics.median(first), 2), goal=1.2)  # fmt: skip


async def searches(opened: Installation, merchant_id: int, count: int) -> None:
    """Whatever one may type: names, phones, emails, orders, platform ids, and what is not there."""
    r, taken = random.Random(11), []
    async with opened.db.read(merchant_id) as session:
        for turn in range(600):
            number = r.randrange(1, count + 1)
            query = (
                r.choice(NAMES), f"{r.choice(NAMES)}{number % 1000}", phone_of(number),
                f"buyer{number}@example.com", external_id_of(number), f"buyer{number}", "王",
                f"nobody{number}",
            )[turn % 8]  # fmt: skip
            started = time.perf_counter()
            await search_customers(session, query, 20)
            taken.append((time.perf_counter() - started) * 1000)
    taken = taken[8:]  # the first of each plans its statement
    show("large_search_p99_ms", quantile(taken, 0.99), "ms", median=round(quantile(taken, 0.5), 2),
         worst=round(max(taken), 1), queries=len(taken), goal=50)  # fmt: skip


async def merges(opened: Installation, merchant_id: int, shop_id: int, count: int) -> None:
    """Two customers of a thousand orders each become one, and two again."""
    merging, undoing = [], []
    for turn in range(5):
        first, second = count + 2 + 2 * turn, count + 3 + 2 * turn
        async with opened.db.work(merchant_id) as w:
            r = random.Random(turn)
            people = [_person(w, number, r) for number in (first, second)]
            start = (first * ORDERS_EACH + 10_000_000) * (turn + 1)
            orders = []
            for place, number in enumerate((first, second)):
                (row, *_) = orders_of(w, shop_id, number, r)
                for n in range(1000):
                    order_id = start + place * 1000 + n
                    changed = {1: order_id, 3: external_id_of(order_id)}
                    orders.append(tuple(changed.get(i, value) for i, value in enumerate(row)))
            await w.sql.copy_records_to_table("customers", columns=CUSTOMER_COLUMNS, records=people)
            await w.sql.copy_records_to_table(
                "customer_identities",
                columns=IDENTITY_COLUMNS,
                records=list(_identities(w, shop_id, people)),
            )
            await w.sql.copy_records_to_table("orders", columns=ORDER_COLUMNS, records=orders)
            await refresh_facts(w, [first, second])
        started = time.perf_counter()
        async with opened.db.work(merchant_id) as w:
            merge_id = await merge_customers(w, opened.registry, first, second, "bench")
        merging.append((time.perf_counter() - started) * 1000)
        started = time.perf_counter()
        async with opened.db.work(merchant_id) as w:
            await unmerge_customers(w, opened.registry, merge_id)
        undoing.append((time.perf_counter() - started) * 1000)
    for name, values in (("merge", merging), ("unmerge", undoing)):
        show(f"large_{name}_ms", statistics.median(values), "ms", orders="1,000 and 1,000",
             low=round(min(values), 1), high=round(max(values), 1), goal=100)  # fmt: skip


async def upserts(opened: Installation, merchant_id: int, shop_id: int, count: int) -> None:
    """5,000 orders on their way, taken in again whole: nine in ten completed, one refunded.

    Against one hand-written statement for orders, lines and events, which need neither find the
    customer nor keep figures.
    """
    r = random.Random(5)
    ours, hands = [], []
    under_way = range(ON_ITS_WAY, count * ORDERS_EACH + 1, ON_ITS_WAY)
    many = min(CHANGED, len(under_way) // (2 * TURNS))
    drawn = iter(r.sample(under_way, 2 * TURNS * many))  # each order once
    for turn in range(TURNS):
        ids = list(itertools.islice(drawn, 2 * many))
        async with opened.db.work(merchant_id) as w:
            shop = await find_shop(w, str(shop_id))
            records = [_changed(order_id, turn) for order_id in ids[:many]]
            started = time.perf_counter()
            outcomes = await ingest_orders(w, shop, records, "taobao_nick", events=True)
            await w.flush()
            ours.append(time.perf_counter() - started)
            assert outcomes == ["updated"] * many
        async with opened.db.work(merchant_id) as w:
            rows = await _by_hand_rows(w, shop_id, ids[many:], turn)
            started = time.perf_counter()
            await w.sql.execute(BY_HAND, *rows)
            hands.append(time.perf_counter() - started)
    ratio = statistics.median(hands) / statistics.median(ours)
    show("large_upsert_orders_per_second", many / statistics.median(ours), "orders/s",
         beside="one statement by hand for orders, lines and events",
         floor=round(many / statistics.median(hands)), ratio=round(ratio, 3), goal=0.7,
         low=round(min(hands) / max(ours), 3), high=round(max(hands) / min(ours), 3))  # fmt: skip


def _told(order_id: int) -> OrderRecord:
    """What the platform tells of an order's buyer and lines, whatever its state."""
    number = (order_id - 1) // ORDERS_EACH + 1
    receiver, (province, city) = _receiver(number), PLACES[number % 8]
    return OrderRecord(
        external_id_of(order_id), buyer_id=f"buyer{number}", name=receiver["name"],
        phone=receiver["phone"], address=receiver["address"], province=province, city=city,
    )  # fmt: skip


def _changed(order_id: int, turn: int) -> OrderRecord:
    at = START + timedelta(days=800 + turn)
    back = order_id % (10 * ON_ITS_WAY) == 0
    return replace(
        _told(order_id),
        state=OrderState.CLOSED_REFUNDED if back else OrderState.COMPLETED,
        platform_state="交易关闭" if back else "交易成功",
        refunded=1000 if back else None,
        closed_at=at,
        modified_at=at,
        lines=[
            LineRecord(line[2], line[3], line[5], line[4], line[6]) for line in _lines(1, order_id)
        ],
    )


BY_HAND = """
    WITH news AS (
        SELECT * FROM unnest($3::text[], $4::text[], $5::text[], $6::bigint[], $7::timestamptz[],
                             $8::bytea[], $9::bytea[])
            AS u (external_id, state, platform_state, refunded, at, receiver, hash)),
    before AS (
        SELECT o.id, o.state, o.customer_id, n.external_id
        FROM news n JOIN orders o
          ON o.merchant_id = $1 AND o.shop_id = $2 AND o.external_id = n.external_id
        FOR UPDATE OF o),
    changed AS (
        UPDATE orders o SET state = n.state, platform_state = n.platform_state,
               refunded = n.refunded, closed_at = n.at, modified_at = n.at,
               receiver_sealed = n.receiver, content_hash = n.hash, taken_at = n.at
        FROM news n JOIN before b USING (external_id)
        WHERE o.merchant_id = $1 AND o.id = b.id AND o.modified_at <= n.at
        RETURNING o.id, o.state, o.customer_id),
    lines AS (
        INSERT INTO order_lines (merchant_id, order_id, external_id, title, sku, quantity, amount)
        SELECT $1, b.id, l.line_id, l.title, l.sku, 1, l.amount
        FROM unnest($10::text[], $11::text[], $12::text[], $13::text[], $14::bigint[])
            AS l (external_id, line_id, title, sku, amount)
        JOIN before b USING (external_id)
        ON CONFLICT (merchant_id, order_id, external_id) DO UPDATE SET
            title = excluded.title, sku = excluded.sku, amount = excluded.amount
        WHERE (order_lines.title, order_lines.sku, order_lines.amount)
              IS DISTINCT FROM (excluded.title, excluded.sku, excluded.amount))
    INSERT INTO outbox_events (merchant_id, type, payload, created_at, next_at, handled_by,
                               attempts)
    SELECT $1, 'order.state_changed', jsonb_build_object('order_id', c.id, 'shop_id', $2::bigint,
           'customer_id', c.customer_id, 'old_state', b.state, 'state', c.state),
           now(), now(), '[]', 0
    FROM changed c JOIN before b ON b.id = c.id WHERE b.state <> c.state
"""


async def _by_hand_rows(
    session: Session, shop_id: int, ids: Sequence[int], turn: int
) -> tuple[Any, ...]:
    at = START + timedelta(days=800 + turn)
    numbers = [external_id_of(order_id) for order_id in ids]
    lines = [
        (external_id_of(order_id), line[2], line[3], line[4], line[6])
        for order_id in ids
        for line in _lines(session.merchant_id, order_id)
    ]
    many = len(ids)
    return (
        session.merchant_id, shop_id, numbers, ["completed"] * many, ["交易成功"] * many,
        [0] * many, [at] * many, [os.urandom(120) for _ in ids], [os.urandom(24) for _ in ids],
        *map(list, zip(*lines, strict=True)),
    )  # fmt: skip


if __name__ == "__main__":
    main()
