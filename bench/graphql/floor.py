"""The floor: the same answers by hand, asyncpg and orjson on Starlette, without GraphQL.

    python -m bench.graphql.floor PORT DATABASE_URL MERCHANT_ID SINCE

No authentication, no permissions, no limits; everything that a server has to do at least.
"""

import sys
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import asyncpg
import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench.graphql.questions import ORDERS, PAGE, PROVINCE
from core.storage.database import credentials


def create_app(url: str, merchant_id: int, since: datetime) -> Starlette:
    """One address for each question."""
    state: dict[str, asyncpg.Pool] = {}

    @asynccontextmanager
    async def pooled(app: Starlette) -> Any:
        async with asyncpg.create_pool(**credentials(url), min_size=1, max_size=10) as pool:
            state["pool"] = pool
            yield

    async def fetch(statement: str, *args: Any) -> list[dict[str, Any]]:
        return [dict(row) for row in await state["pool"].fetch(statement, merchant_id, *args)]

    async def one(given: dict[str, Any]) -> Any:
        return (await fetch(
            """SELECT id, name, province, city, created_at FROM customers
               WHERE merchant_id = $1 AND id = $2""", given["id"]))[0]  # fmt: skip

    async def page(given: dict[str, Any]) -> Any:
        return await fetch(
            """SELECT id, name, birthday, country, province, city, created_at, updated_at
               FROM customers WHERE merchant_id = $1 ORDER BY id DESC LIMIT $2""",
            PAGE,
        )

    async def nested(given: dict[str, Any]) -> Any:
        people = await fetch(
            "SELECT id, name FROM customers WHERE merchant_id = $1 ORDER BY id DESC LIMIT $2", PAGE
        )
        orders = await fetch(
            """SELECT o.* FROM unnest($2::bigint[]) AS wanted (id)
               CROSS JOIN LATERAL (
                   SELECT id, customer_id, external_id, state, total, currency, ordered_at
                   FROM orders WHERE merchant_id = $1 AND customer_id = wanted.id
                   ORDER BY ordered_at DESC, id DESC LIMIT $3) o""",
            [one["id"] for one in people], ORDERS)  # fmt: skip
        lines = await fetch(
            """SELECT id, order_id, title, quantity, amount FROM order_lines
               WHERE merchant_id = $1 AND order_id = ANY($2) ORDER BY id""",
            [one["id"] for one in orders])  # fmt: skip
        _put(orders, "lines", lines, "order_id")
        _put(people, "orders", orders, "customer_id")
        return people

    async def filtered(given: dict[str, Any]) -> Any:
        where = "merchant_id = $1 AND province = $2 AND created_at >= $3"
        rows = await fetch(
            f"""SELECT id, name, province, city, created_at FROM customers WHERE {where}
                ORDER BY created_at DESC, id DESC LIMIT $4""", PROVINCE, since, PAGE)  # fmt: skip
        (count,) = await fetch(
            f"""SELECT count(*) FROM (SELECT 1 FROM customers WHERE {where} LIMIT 1000001) c""",
            PROVINCE, since)  # fmt: skip
        return {"nodes": rows, **count}

    async def update(given: dict[str, Any]) -> Any:
        return (await fetch(
            """UPDATE customers SET city = $3, updated_at = now(), version = version + 1
               WHERE merchant_id = $1 AND id = $2 RETURNING id, city""",
            given["id"], given["city"]))[0]  # fmt: skip

    def route(name: str, answer: Any) -> Route:
        async def handle(request: Request) -> Response:
            found = await answer(orjson.loads(await request.body()))
            return Response(orjson.dumps(found, default=str), media_type="application/json")

        return Route(f"/{name}", handle, methods=["POST"])

    answers = {
        "one": one, "page": page, "nested": nested, "filtered": filtered, "update": update,
    }  # fmt: skip
    return Starlette(routes=[route(*one) for one in answers.items()], lifespan=pooled)


def _put(parents: list[Any], name: str, children: list[Any], key: str) -> None:
    found: dict[int, list[Any]] = {}
    for child in children:
        found.setdefault(child[key], []).append(child)
    for parent in parents:
        parent[name] = found.get(parent["id"], [])


def main() -> None:
    port, url, merchant_id, since = sys.argv[1:]
    app = create_app(url, int(merchant_id), datetime.fromisoformat(since))
    uvicorn.run(app, port=int(port), access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
