"""What goes into 100,000 parcels: one run of the rules, beside SQL written by hand for them.

    python -m bench.packages [ORDERS]

On an embedded server of its own. Both write their choices down, in turns, each in a transaction
that is taken back; they must decide the same. Each figure is one JSON line.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.large import show
from core.cli import run
from core.domain.campaigns.chance import share_sql
from core.domain.shops.setup import set_up_merchant
from core.installation import Installation, open_installation
from core.settings import Settings
from plugins.packages.inserts import InsertKind, NewInsert, create_insert, set_stock
from plugins.packages.rules import NewRule, create_rule, read_rules, switch_rule
from plugins.packages.waves import choose

ORDERS, TURNS, MAX_PER_PARCEL = 100_000, 5, 2
GOAL = 1.5

TAGGED = {"version": 1, "rule": {"tag": {"any_of": ["vip"]}}}
BUSY = {"version": 1, "rule": {
    "order_count": {"at_least": 2, "orders": {"within": {"last_days": 180}}}}}  # fmt: skip

LOAD = (
    """INSERT INTO customers (merchant_id, id, version, created_at, updated_at)
       SELECT $1, n, 1, $2, $2 FROM generate_series(1, $3::int) n""",
    """INSERT INTO customer_tags (merchant_id, customer_id, tag, source, created_at)
       SELECT $1, n, 'vip', 'bench', $2 FROM generate_series(1, $3::int) n WHERE n % 5 = 0""",
)
WAITING = """INSERT INTO orders (merchant_id, shop_id, external_id, customer_id, state, currency,
        total, paid, refunded, ordered_at, paid_at, province, content_hash, taken_at)
    SELECT $1, $4, k || '-' || n, n, CASE WHEN k = 0 THEN 'to_ship' ELSE 'completed' END, 'CNY',
           p.paid, p.paid, 0, p.at, p.at, CASE WHEN n % 4 = 0 THEN '浙江省' ELSE '广东省' END,
           '', $2
    FROM generate_series(1, $3::int) n, generate_series(0, 2) k,
         LATERAL (SELECT 1000 + (n * 7919 + k * 104729) % 30000 AS paid,
             $2::timestamptz - (k * (40 + n % 90)) * interval '1 day'
                 - (n % 80000) * interval '1 second' AS at) p
    WHERE k <= n % 3"""

HAND = f"""WITH p AS MATERIALIZED (
        SELECT k.id, o.customer_id, o.paid, o.province,
               row_number() OVER (ORDER BY o.paid_at, o.id) AS seq,
               EXISTS (SELECT 1 FROM customer_tags t WHERE t.merchant_id = $1
                       AND t.customer_id = o.customer_id AND t.tag = 'vip') AS vip,
               (SELECT count(*) FROM orders x WHERE x.merchant_id = $1
                AND x.customer_id = o.customer_id AND x.paid_at IS NOT NULL
                AND x.state NOT IN ('closed_unpaid', 'closed_refunded')
                AND (x.paid = 0 OR x.refunded < x.paid)
                AND (x.paid_at, x.id) <= (o.paid_at, o.id)) AS nth,
               (SELECT count(*) FROM orders x WHERE x.merchant_id = $1
                AND x.customer_id = o.customer_id AND x.paid_at >= $6
                AND x.state NOT IN ('closed_unpaid', 'closed_refunded')
                AND (x.paid = 0 OR x.refunded < x.paid)) AS recent
        FROM packages_parcels k JOIN orders o ON o.merchant_id = $1 AND o.id = k.order_id
        WHERE k.merchant_id = $1 AND k.wave_id = $2),
    past AS MATERIALIZED (
        SELECT customer_id, count(*) AS n FROM packages_choices
        WHERE merchant_id = $1 AND rule_id = ($3::bigint[])[1] AND at >= $7 AND outcome IN (1, 5)
        GROUP BY customer_id),
    a AS MATERIALIZED (
        SELECT x.*, CASE WHEN NOT wanted THEN NULL WHEN late THEN 4
            WHEN count(*) FILTER (WHERE wanted AND NOT late) OVER (ORDER BY seq) > $8 THEN 6
            ELSE 1 END AS r0
        FROM (SELECT y.*, wanted AND COALESCE(past.n, 0)
                  + row_number() OVER (PARTITION BY y.customer_id, wanted ORDER BY seq) > 1 AS late
              FROM (SELECT p.*, paid >= 10000 AS wanted FROM p) y LEFT JOIN past USING (customer_id)
        ) x),
    b AS MATERIALIZED (
        SELECT *, CASE WHEN NOT vip THEN NULL WHEN r0 = 1 THEN 2
            WHEN {share_sql("customer_id", "'packages:' || ($3::bigint[])[2] || ':holdout'")} < 1000
            THEN 5 ELSE 1 END AS r1 FROM a),
    c AS MATERIALIZED (
        SELECT *, CASE WHEN province <> '浙江省' THEN NULL
            WHEN COALESCE((r0 = 1)::int, 0) + COALESCE((r1 = 1)::int, 0) >= 2 THEN 3
            WHEN sum(200) FILTER (WHERE province = '浙江省'
                AND COALESCE((r0 = 1)::int, 0) + COALESCE((r1 = 1)::int, 0) < 2)
                OVER (ORDER BY seq ROWS UNBOUNDED PRECEDING) > 2000000 THEN 7 ELSE 1 END AS r2
        FROM b),
    d AS MATERIALIZED (
        SELECT *, COALESCE((r0 = 1)::int, 0) + COALESCE((r1 = 1)::int, 0)
            + COALESCE((r2 = 1)::int, 0) AS used FROM c),
    e AS MATERIALIZED (
        SELECT *, CASE WHEN nth > 1 THEN NULL WHEN used >= 2 THEN 3 ELSE 1 END AS r3 FROM d),
    f AS MATERIALIZED (
        SELECT *, CASE WHEN recent < 2 THEN NULL
            WHEN used + COALESCE((r3 = 1)::int, 0) >= 2 THEN 3 ELSE 1 END AS r4 FROM e)
    INSERT INTO packages_choices
        (merchant_id, parcel_id, rule_id, insert_id, customer_id, outcome, at)
    SELECT $1, f.id, ($3::bigint[])[v.place], ($4::bigint[])[v.place], customer_id, v.outcome, $5
    FROM f CROSS JOIN LATERAL (VALUES (1, r0), (2, r1), (3, r2), (4, r3), (5, r4))
        AS v (place, outcome) WHERE v.outcome IS NOT NULL"""

COUNTED = """SELECT rule_id, outcome, count(*) AS n FROM packages_choices
    WHERE merchant_id = $1 GROUP BY 1, 2 ORDER BY 1, 2"""


def main() -> None:
    """Make the data, measure, and print one JSON line per figure."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].isdecimal() else ORDERS
    with tempfile.TemporaryDirectory(prefix="huike-bench-") as folder:
        run(measure(Path(folder) / "home", count))


async def measure(home: Path, count: int) -> None:
    """Decide the same parcels in turns, by the rules and by hand."""
    async with open_installation(Settings(home=home)) as opened:
        made = await set_up_merchant(opened.db, opened.registry, "Bench", shop="shop")
        await _load(opened, made.merchant_id, made.shop_id or 0, count)
        rules, inserts = await _rules(opened, made.merchant_id, count)
        await compare(opened, made.merchant_id, count, rules, inserts)


async def _load(opened: Installation, merchant_id: int, shop_id: int, count: int) -> None:
    async with opened.db.work(merchant_id) as w:
        for statement in LOAD:
            await w.sql.execute(statement, merchant_id, w.now, count)
        await w.sql.execute(WAITING, merchant_id, w.now, count, shop_id)
        await w.sql.execute(
            """INSERT INTO packages_waves (merchant_id, id, warehouse, created_at, created_by)
               VALUES ($1, 1, 'main', $2, 'bench')""",
            merchant_id, w.now,
        )  # fmt: skip
        await w.sql.execute(
            """INSERT INTO packages_parcels (merchant_id, wave_id, order_id, customer_id, number,
                   count, decided_at)
               SELECT $1, 1, id, customer_id, 1, 1, $2 FROM orders
               WHERE merchant_id = $1 AND state = 'to_ship'""",
            merchant_id, w.now,
        )  # fmt: skip
    async with opened.db.read(merchant_id) as session:
        await session.sql.execute("VACUUM (ANALYZE)")


async def _rules(opened: Installation, merchant_id: int, count: int) -> tuple[list[int], list[int]]:
    rules: list[int] = []
    inserts: list[int] = []
    async with opened.db.work(merchant_id) as w:
        for name, given in (
            ("sample", {"orders": {"paid_at_least": 100}, "per_customer": 1, "exclusive": "x"}),
            ("card", {"customers": TAGGED, "exclusive": "x", "holdout": 1000}),
            ("gift", {"orders": {"provinces": ["浙江省"]}, "budget": 2_000_000}),
            ("leaflet", {"orders": {"purchase_to": 1}}),
            ("thanks", {"customers": BUSY}),
        ):
            insert = await create_insert(w, opened.registry, NewInsert(
                name, InsertKind.SAMPLE, unit_cost=200, tracks_stock=name == "sample"
            ))  # fmt: skip
            if name == "sample":
                await set_stock(w, insert, "main", count // 3)
            asked: dict[str, Any] = {"customers": None, "orders": {}, **given}
            made = await create_rule(
                w, opened.registry,
                NewRule(name, [(insert, 1)], priority=-len(rules), **asked),
            )  # fmt: skip
            await switch_rule(w, made, True)
            rules.append(made)
            inserts.append(insert)
    return rules, inserts


class _TakenBack(Exception):
    """Ends a transaction without its effect."""


async def compare(
    opened: Installation, merchant_id: int, count: int, rules: list[int], inserts: list[int]
) -> None:
    """Both in turns; the ratio is the median of the turns'."""
    taken: dict[str, list[float]] = {"ours": [], "by hand": []}
    found: dict[str, list[tuple[int, int, int]]] = {}
    for _ in range(TURNS):
        for name, seconds in taken.items():
            try:
                async with opened.db.work(merchant_id) as w:
                    zone = "Asia/Shanghai"
                    recent, month = [
                        await w.sql.fetchval(
                            """SELECT (($1::timestamptz AT TIME ZONE $2)::date - $3::int)::timestamp
                                   AT TIME ZONE $2""",
                            w.now, zone, days,
                        )
                        for days in (180, 30)
                    ]  # fmt: skip
                    started = time.perf_counter()
                    if name == "ours":
                        live = await read_rules(
                            w, opened.registry, live=True, warehouse="main", locked=True
                        )
                        await choose(w, live, 1, count, MAX_PER_PARCEL)
                    else:
                        await w.sql.execute(
                            HAND, merchant_id, 1, rules, inserts, w.now, recent, month, count // 3
                        )
                    seconds.append(time.perf_counter() - started)
                    rows = await w.sql.fetch(COUNTED, merchant_id)
                    found[name] = [tuple(row) for row in rows]
                    raise _TakenBack
            except _TakenBack:
                pass
    if found["ours"] != found["by hand"]:
        raise SystemExit(f"not the same: {found}")
    ratios = [a / b for a, b in zip(taken["ours"], taken["by hand"], strict=True)]
    show(
        "packages_decide_ratio", statistics.median(ratios), "", orders=count,
        lowest=round(min(ratios), 2), highest=round(max(ratios), 2), goal=GOAL,
        ours_s=round(statistics.median(taken["ours"]), 2),
        hand_s=round(statistics.median(taken["by hand"]), 2),
        choices=sum(n for _, _, n in found["ours"]),
    )  # fmt: skip


if __name__ == "__main__":
    main()
