"""Processor time of one answer, without HTTP parser, sockets and neighbours.

    python -m bench.graphql.alone [CUSTOMERS]

The whole application is called in this process, with the compiled executor and the stock one in
turn, so that the ratio holds on a machine that others use too. The least of many is shown beside
the median: it is what an answer takes when nobody is in the way.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import uvloop
from starlette.applications import Starlette
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from bench.graphql.questions import NAMES, Data, our_requests
from bench.large import load, show
from core.app import create_app
from core.domain.shops.setup import set_up_merchant
from core.installation import open_installation
from core.schema.executor import Executor
from core.settings import Settings

CUSTOMERS = 20_000
ROUNDS = 60
EXECUTORS = {"huike": Executor, "stock": StrawberryGraphQLCoreExecutionContext}


def main() -> None:
    """Make the data, measure, and print one JSON line for each figure."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else CUSTOMERS
    with tempfile.TemporaryDirectory(prefix="huike-bench-") as folder:
        uvloop.run(_run(Path(folder) / "home", count))


async def _run(home: Path, count: int) -> None:
    async with loaded(home, count) as (app, data, token):
        await measure(app, data, token)


@asynccontextmanager
async def loaded(home: Path, count: int) -> AsyncIterator[tuple[Starlette, Data, str]]:
    """The application with so many customers of one merchant, where they are, and his token."""
    async with open_installation(Settings(home=home)) as opened:
        made = await set_up_merchant(opened.db, opened.registry, "alone", shop="shop")
        assert made.shop_id is not None
        await load(opened, made.merchant_id, made.shop_id, count)
        data = Data(opened.database_url, made.merchant_id, count)
        yield create_app(opened), data, made.token


async def measure(app: Starlette, data: Data, token: str) -> None:
    """Both executors, request by request in turn."""
    schema = app.state.schema
    for name in NAMES:
        taken: dict[str, list[float]] = {executor: [] for executor in EXECUTORS}
        for body in [orjson.dumps(one) for one in our_requests(data, name)][:ROUNDS]:
            for executor, kind in EXECUTORS.items():
                schema.execution_context_class = kind
                started = time.process_time()
                answer = await ask(app, body, token)
                taken[executor].append((time.process_time() - started) * 1000)
                if b'"errors":[{' in answer:
                    raise RuntimeError(answer[:500].decode())
        least = {executor: min(values) for executor, values in taken.items()}
        middle = {executor: statistics.median(values) for executor, values in taken.items()}
        show("graphql_cpu", least["huike"], "ms", question=name, median=round(middle["huike"], 2),
             beside="stock executor", floor_ms=round(least["stock"], 2),
             ratio=round(least["stock"] / least["huike"], 2),
             ratio_of_medians=round(middle["stock"] / middle["huike"], 2))  # fmt: skip


async def ask(app: Starlette, body: bytes, token: str) -> bytes:
    """The body of the answer to a POST."""
    told: list[bytes] = []
    given: list[Any] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        return given.pop() if given else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        told.append(message.get("body", b""))

    headers = [
        (b"content-type", b"application/json"), (b"authorization", f"Bearer {token}".encode()),
    ]  # fmt: skip
    scope = {
        "type": "http", "method": "POST", "path": "/graphql", "raw_path": b"/graphql",
        "query_string": b"", "headers": headers, "http_version": "1.1", "scheme": "http",
        "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1), "root_path": "",
        "asgi": {"version": "3.0"},
    }  # fmt: skip
    await app(scope, receive, send)
    return b"".join(told)


if __name__ == "__main__":
    main()
