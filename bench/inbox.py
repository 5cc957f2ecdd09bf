"""Messages of a platform that pile up: `python -m bench.inbox [MESSAGES]`.

Keeps MESSAGES (50,000 without it) about half as many orders of one shop on an embedded server of
its own, and claims them until none is left, as a worker that was away does; nothing is fetched.
Each figure is one JSON line: the rate, and how much longer the first claims take than the last.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

from bench.large import show
from core.cli import run
from core.domain.connections import inbox
from core.domain.shops.setup import set_up_merchant
from core.installation import open_installation
from core.sdk.connectors import Changed, Resource
from core.settings import Settings

MESSAGES = 50_000
FIRST = 20


def main() -> None:
    """Measure, and print one JSON line per figure."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else MESSAGES
    with tempfile.TemporaryDirectory(prefix="huike-bench-") as folder:
        run(measure(Path(folder) / "home", count))


async def measure(home: Path, count: int) -> None:
    async with open_installation(Settings(home=home), with_redis=False) as opened:
        db = opened.db
        made = await set_up_merchant(db, opened.registry, "Bench", shop="shop")
        merchant_id, shop_id = made.merchant_id, made.shop_id
        assert shop_id is not None
        async with db.work(merchant_id) as w:
            hints = [
                Changed(str(n), "shop", Resource.ORDERS, f"{n % (count // 2)}", w.now)
                for n in range(count)
            ]
            await inbox._keep(w, "platform", hints, {"shop": shop_id})
        seconds, claimed = [], 0
        while True:
            started = time.perf_counter()
            entities, _ = await inbox._claim(db, merchant_id, shop_id)
            seconds.append(time.perf_counter() - started)
            if not entities:
                break
            numbers = [number for one in entities for number in one.messages]
            claimed += len(numbers)
            async with db.work(merchant_id) as w:
                await inbox._mark_done(w, numbers)
        assert claimed == count, f"{claimed} of {count} messages were claimed"
        show("messages claimed", count / sum(seconds), "messages/s", messages=count)
        first, last = seconds[:FIRST], seconds[-FIRST - 1 : -1]
        show("a claim at the beginning", statistics.median(first) * 1000, "ms",
             at_the_end=round(statistics.median(last) * 1000, 1))  # fmt: skip


if __name__ == "__main__":
    main()
