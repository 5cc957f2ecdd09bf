"""Segments of a merchant with a million customers, against SQL written by hand.

    python -m bench.segments [CUSTOMERS]

Makes CUSTOMERS customers (1,000,000 without it) with five orders each on average and eight lines
on five orders, tags, consents, custom fields, parcels and refunds, on an embedded server of its
own. Ours and the hand-written statement take turns; the ratio is the median of the turns' ratios.
What both find must be equal. Each figure is one JSON line.
"""

import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from bench.large import CUSTOMERS, ORDERS_EACH, show
from bench.segment_counts import counts
from bench.segment_data import END, load_segment_data
from bench.segment_lifecycle import models
from bench.segment_members import changes, refreshes
from bench.segment_reports import reports
from bench.turns import memory
from core.cli import run
from core.clock import MovableClock
from core.domain.shops.setup import set_up_merchant
from core.installation import Installation, open_installation
from core.settings import Settings

NOW = END + timedelta(days=3)


def main() -> None:
    """Make the data, measure, and print one JSON line per figure."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].isdecimal() else CUSTOMERS
    with tempfile.TemporaryDirectory(prefix="huike-bench-") as folder:
        run(measure(Path(folder) / "home", count))


async def measure(home: Path, count: int) -> None:
    """All figures on one set of data."""
    settings = Settings(home=home)
    async with open_installation(settings, clock=MovableClock(NOW), with_redis=False) as opened:
        made = await set_up_merchant(opened.db, opened.registry, "large", shop="shop")
        assert made.shop_id is not None
        started = time.perf_counter()
        await load_segment_data(opened, made.merchant_id, made.shop_id, count)
        show("segments_load_seconds", time.perf_counter() - started, "s", customers=count,
             orders=count * ORDERS_EACH, lines=count * 8)  # fmt: skip
        await figures(opened, made.merchant_id, count)


async def figures(opened: Installation, merchant_id: int, count: int) -> None:
    """What is measured, on loaded data."""
    with memory("segments_memory_counting"):
        await counts(opened, merchant_id)
        await models(opened, merchant_id)
        await reports(opened, merchant_id)
    with memory("segments_memory_refreshing"):
        await refreshes(opened, merchant_id)
        await changes(opened, merchant_id, count)


if __name__ == "__main__":
    main()
