"""Crediting orders, and the figures of a run to a million customers.

    python -m bench.campaign_results [CUSTOMERS]

Two runs to CUSTOMERS customers each (1,000,000 without it), a tenth of the second held out, and an
order of every fourth customer. Each figure is one JSON line; those of the run stand beside one
plain look at all its messages.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from bench.large import show
from bench.turns import in_turns
from core.cli import run
from core.domain.campaigns.results.attribution import credit_changed, credit_period
from core.domain.campaigns.results.figures import By, figures_by, figures_by_day, figures_of
from core.domain.campaigns.results.lift import Score, lift_curve, lift_of_run, read_run
from core.domain.campaigns.results.sales import crm_sales
from core.domain.lifecycle.calendar import calendar_of
from core.domain.shops.setup import set_up_merchant
from core.installation import Installation, open_installation
from core.sdk.flows import Flow, OnAudience, Options, Send, Variant
from core.settings import Settings
from core.storage.database import Session

CUSTOMERS = 1_000_000
TURNS = 3
BEGAN = datetime(2026, 6, 1, 4, tzinfo=UTC)
FLOW = Flow(
    trigger=OnAudience(segment_id=1),
    steps=[Send(key="send", channel="sms", variants=[Variant(content={"text": "hi"})] * 2)],
)

MESSAGES = """
    INSERT INTO deliveries (merchant_id, run_id, step, customer_id, variant, channel, state, reason,
        attempts, next_at, provider, cost, currency, receipt, sent_at, delivered_at, clicked_at,
        updated_at)
    SELECT $1, $2, 0, n, n % 2, 'sms', CASE WHEN held THEN 'skipped' ELSE 'sent' END,
           CASE WHEN held THEN 'holdout' END, 1, $3, CASE WHEN NOT held THEN 'one' END,
           CASE WHEN NOT held THEN 45000 END, CASE WHEN NOT held THEN 'CNY' END,
           CASE WHEN NOT held AND n % 20 > 0 THEN 'delivered' END,
           CASE WHEN NOT held THEN $3::timestamptz END,
           CASE WHEN NOT held AND n % 20 > 0 THEN $3::timestamptz + interval '3 seconds' END,
           CASE WHEN NOT held AND n % 17 = 0 THEN $3::timestamptz + interval '1 hour' END, $3
    FROM (SELECT n, $5 AND n % 10 = 3 AS held FROM generate_series(1, $4::bigint) n) x
"""

ORDERS = """
    INSERT INTO orders (merchant_id, shop_id, external_id, customer_id, state, currency, total,
        paid, refunded, ordered_at, paid_at, content_hash, taken_at)
    SELECT $1, $2, n::text, n, 'completed', 'CNY', 10000 + n % 7919, 10000 + n % 7919,
           CASE WHEN n % 50 = 0 THEN 1000 ELSE 0 END, at, at, '', at
    FROM (SELECT n, $3::timestamptz + n % 240 * interval '1 hour' AS at
          FROM generate_series(1, $4::bigint, 4) n) x
"""


def main() -> None:
    """Make the data, measure, and print one JSON line per figure."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].isdecimal() else CUSTOMERS
    with tempfile.TemporaryDirectory(prefix="huike-bench-") as folder:
        run(measure(Path(folder) / "home", count))


async def measure(home: Path, count: int) -> None:
    """All figures with so many customers."""
    async with open_installation(Settings(home=home), with_redis=False) as opened:
        made = await set_up_merchant(opened.db, opened.registry, "Bench", shop="shop")
        assert made.shop_id is not None
        run_id = await fill(opened, made.merchant_id, made.shop_id, count)
        await credits(opened, made.merchant_id)
        async with opened.db.read(made.merchant_id) as session:
            await figures(session, made.shop_id, run_id)


async def fill(opened: Installation, merchant_id: int, shop_id: int, count: int) -> int:
    """Two runs and the orders; returns the second run."""
    async with opened.db.work(merchant_id) as w:
        campaign_id = await w.sql.fetchval(
            """INSERT INTO campaigns (merchant_id, name, kind, flow, options, state, version,
                   created_at, updated_at)
               VALUES ($1, 'bench', 'recurring', $2, $3, 'finished', 1, $4, $4) RETURNING id""",
            merchant_id, FLOW.model_dump_json(), Options().model_dump_json(), BEGAN,
        )  # fmt: skip
        for days in (0, 7):
            began = BEGAN + timedelta(days=days)
            run_id: int = await w.sql.fetchval(
                """INSERT INTO campaign_runs (merchant_id, campaign_id, version, state, flow,
                       options, occurrence, created_at, planned_at, finished_at)
                   SELECT $1, id, 1, 'finished', flow, options, $3, $3, $3, $3 FROM campaigns
                   WHERE merchant_id = $1 AND id = $2 RETURNING id""",
                merchant_id, campaign_id, began,
            )  # fmt: skip
            await w.sql.execute(MESSAGES, merchant_id, run_id, began, count, days > 0)
        await w.sql.execute(ORDERS, merchant_id, shop_id, BEGAN, count)
    async with opened.db.read(merchant_id) as session:
        await session.sql.execute("VACUUM ANALYZE deliveries")
        await session.sql.execute("VACUUM ANALYZE orders")
    return run_id


async def credits(opened: Installation, merchant_id: int) -> None:
    """Orders credited in a second: those that changed, and a whole period anew."""
    started = time.perf_counter()
    entries = await credit_changed(opened.db, merchant_id)
    show("attribution.changed", entries / (time.perf_counter() - started), "orders/s",
         orders=entries)  # fmt: skip
    started = time.perf_counter()
    found = await credit_period(opened.db, merchant_id, BEGAN, BEGAN + timedelta(days=30))
    assert found.changed == 0
    show("attribution.period", found.orders / (time.perf_counter() - started), "orders/s",
         orders=found.orders)  # fmt: skip


async def figures(session: Session, shop_id: int, run_id: int) -> None:
    """Each table of figures of the run, beside one plain look at its messages."""
    await session.sql.execute("ANALYZE attributions")
    calendar = await calendar_of(session, shop_id)
    meant = await read_run(session, run_id)
    first = date(2026, 6, 1)

    async def look() -> None:
        await session.sql.fetch(
            """SELECT state, count(*), count(clicked_at), sum(cost) FROM deliveries
               WHERE merchant_id = $1 AND run_id = $2 GROUP BY state""",
            session.merchant_id, run_id,
        )  # fmt: skip

    asked: dict[str, Callable[[], Awaitable[Any]]] = {
        "total": lambda: figures_of(session, [run_id]),
        "variants": lambda: figures_by(session, [run_id], By.VARIANT),
        "days": lambda: figures_by_day(session, calendar, [run_id]),
        "lift": lambda: lift_of_run(session, calendar, meant),
        "curve": lambda: lift_curve(session, calendar, meant, Score.NET_SALES),
        "crm_sales": lambda: crm_sales(session, calendar, first, first + timedelta(days=29)),
    }
    for name, ask in asked.items():
        ours, floor = await in_turns(ask, look, TURNS)
        plain = round(statistics.median(floor), 1)
        show(f"results.{name}", statistics.median(ours), "ms", look_ms=plain)


if __name__ == "__main__":
    main()
