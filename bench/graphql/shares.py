"""Where the processor time of an answer goes, by whose code takes it.

    python -m bench.graphql.shares [CUSTOMERS]

The whole application is called in this process under a profiler that counts processor time. What
built-in functions take counts for who calls them; the profiler makes much called code look larger
than it is.
"""

import asyncio
import cProfile
import pstats
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import uvloop

from bench.graphql.alone import ask, loaded
from bench.graphql.questions import NAMES, our_requests
from bench.large import show

CUSTOMERS = 2_000
ANSWERS, WARM = 100, 20
PROJECT = Path(__file__).parents[2].as_posix()
OWNERS = {
    "core/schema/executor": "executor", "<string>": "executor", "core": "ours",
    "strawberry": "strawberry", "graphql": "graphql-core", "starlette": "starlette",
    "asyncpg": "database client", "tortoise": "database client",
}  # fmt: skip


def main() -> None:
    """Make the data, profile, and print one JSON line for each question."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else CUSTOMERS
    with tempfile.TemporaryDirectory(prefix="huike-bench-") as folder:
        uvloop.run(_run(Path(folder) / "home", count))


async def _run(home: Path, count: int) -> None:
    async with loaded(home, count) as (app, data, token):
        for name in NAMES:
            bodies = [orjson.dumps(one) for one in our_requests(data, name)]
            for body in bodies[:WARM]:
                await ask(app, body, token)
            profile = cProfile.Profile(time.process_time)
            profile.enable()
            for body in bodies[WARM : WARM + ANSWERS]:
                await ask(app, body, token)
            profile.disable()
            await asyncio.sleep(0)
            taken = owners(pstats.Stats(profile))
            whole = sum(taken.values())
            shares = {owner: round(one / whole, 2) for owner, one in taken.most_common()}
            show("graphql_shares", whole / ANSWERS * 1000, "ms under the profiler",
                 question=name, **shares)  # fmt: skip


def owners(stats: pstats.Stats) -> Counter[str]:
    """Seconds by whose code took them."""
    found: Counter[str] = Counter()
    table: dict[Any, Any] = stats.stats  # type: ignore[attr-defined]
    for (file, _, _), (_, _, own, _, callers) in table.items():
        if file != "~":
            found[_owner(file)] += own
            continue
        for (caller, _, _), (_, _, part, _) in callers.items():
            found[_owner(caller)] += part
    return found


def _owner(file: str) -> str:
    path = file.replace("\\", "/").removeprefix(f"{PROJECT}/").rpartition("/site-packages/")[2]
    return next((name for start, name in OWNERS.items() if path.startswith(start)), "Python")


if __name__ == "__main__":
    main()
