"""Plain Strawberry on Tortoise, as their documentation shows it, with data loaders.

    python -m bench.graphql.plain PORT DATABASE_URL MERCHANT_ID [cached]

`cached` adds Strawberry's caches of parsed and validated documents. It answers the same documents
as this project's server, without authentication, permissions and limits.
"""

import base64
import sys
from collections import defaultdict
from contextlib import asynccontextmanager
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import strawberry
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route
from strawberry.asgi import GraphQL
from strawberry.dataloader import DataLoader
from strawberry.extensions import ParserCache, ValidationCache
from tortoise import Tortoise

from core.domain.customers.models import Customer as CustomerRow
from core.domain.orders.models import Order as OrderRow
from core.domain.orders.models import OrderLine as LineRow
from core.storage.migrate import orm_config

MERCHANT = int(sys.argv[3]) if len(sys.argv) > 3 else 0


def _id(name: str, pk: int) -> strawberry.ID:
    return strawberry.ID(base64.urlsafe_b64encode(f"{name}:{pk}".encode()).decode())


def _pk(id: str) -> int:
    return int(base64.urlsafe_b64decode(id).decode().split(":")[1])


@strawberry.type
class Money:
    amount: Decimal
    currency: str


@strawberry.type
class OrderLine:
    id: strawberry.ID
    title: str
    quantity: int
    amount: Money | None


@strawberry.type
class Order:
    pk: strawberry.Private[int]
    id: strawberry.ID
    external_id: str
    state: str
    total: Money
    ordered_at: datetime

    @strawberry.field
    async def lines(self, info: strawberry.Info) -> list[OrderLine]:
        found: list[OrderLine] = await info.context["lines"].load(self.pk)
        return found


@strawberry.type
class Customer:
    pk: strawberry.Private[int]
    id: strawberry.ID
    name: str | None
    birthday: date | None
    country: str | None
    province: str | None
    city: str | None
    created_at: datetime
    updated_at: datetime

    @strawberry.field
    async def orders(self, info: strawberry.Info, first: int = 10) -> list[Order]:
        found: list[Order] = await info.context["orders"].load(self.pk)
        return found[:first]


@strawberry.type
class Count:
    value: int


@strawberry.type
class Customers:
    nodes: list[Customer]
    where: strawberry.Private[dict[str, Any]]

    @strawberry.field
    async def count(self, limit: int = 10_000) -> Count:
        return Count(value=await CustomerRow.filter(**self.where).count())


@strawberry.input
class Equals:
    eq: str


@strawberry.input
class Since:
    gte: datetime


@strawberry.input
class CustomerWhere:
    province: Equals | None = None
    created_at: Since | None = None


@strawberry.enum
class SortField(Enum):
    CREATED_AT = "created_at"


@strawberry.enum
class Direction(Enum):
    DESC = "-"


@strawberry.input
class CustomerSort:
    field: SortField
    direction: Direction


@strawberry.input
class CustomerUpdateInput:
    city: str | None = None


@strawberry.type
class UserError:
    code: str


@strawberry.type
class Payload:
    customer: Customer
    errors: list[UserError]


def customer_of(row: CustomerRow) -> Customer:
    return Customer(
        pk=row.id, id=_id("Customer", row.id), name=row.name, birthday=row.birthday,
        country=row.country, province=row.province, city=row.city, created_at=row.created_at,
        updated_at=row.updated_at,
    )  # fmt: skip


@strawberry.type
class Query:
    @strawberry.field
    async def customer(self, id: strawberry.ID) -> Customer | None:
        row = await CustomerRow.get_or_none(merchant_id=MERCHANT, id=_pk(id))
        return customer_of(row) if row else None

    @strawberry.field
    async def customers(
        self, first: int = 20, where: CustomerWhere | None = None,
        sort: list[CustomerSort] | None = None,
    ) -> Customers:  # fmt: skip
        given: dict[str, Any] = {"merchant_id": MERCHANT}
        if where is not None and where.province is not None:
            given["province"] = where.province.eq
        if where is not None and where.created_at is not None:
            given["created_at__gte"] = where.created_at.gte
        order = (*(one.direction.value + one.field.value for one in sort or ()), "-id")
        rows = await CustomerRow.filter(**given).order_by(*order).limit(first)
        return Customers(nodes=[customer_of(row) for row in rows], where=given)


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def customer_update(self, id: strawberry.ID, input: CustomerUpdateInput) -> Payload:
        row = await CustomerRow.get(merchant_id=MERCHANT, id=_pk(id))
        await CustomerRow.filter(merchant_id=MERCHANT, id=row.id).update(
            city=input.city, version=row.version + 1
        )
        await row.refresh_from_db()
        return Payload(customer=customer_of(row), errors=[])


async def orders_of(pks: list[int]) -> list[list[Order]]:
    found = defaultdict(list)
    rows = OrderRow.filter(merchant_id=MERCHANT, customer_id__in=pks)
    for row in await rows.order_by("-ordered_at", "-id"):
        found[row.customer_id].append(
            Order(
                pk=row.id, id=_id("Order", row.id), external_id=row.external_id, state=row.state,
                total=Money(amount=Decimal(row.total) / 100, currency=row.currency),
                ordered_at=row.ordered_at,
            )
        )  # fmt: skip
    return [found[pk] for pk in pks]


async def lines_of(pks: list[int]) -> list[list[OrderLine]]:
    found = defaultdict(list)
    for row in await LineRow.filter(merchant_id=MERCHANT, order_id__in=pks).order_by("id"):
        amount = None if row.amount is None else Decimal(row.amount) / 100
        found[row.order_id].append(
            OrderLine(
                id=_id("OrderLine", row.id), title=row.title, quantity=row.quantity,
                amount=None if amount is None else Money(amount=amount, currency="CNY"),
            )
        )  # fmt: skip
    return [found[pk] for pk in pks]


class Endpoint(GraphQL[Any, None]):
    async def get_context(self, request: Any, response: Any) -> Any:
        return {"orders": DataLoader(orders_of), "lines": DataLoader(lines_of)}


def main() -> None:
    port, url = sys.argv[1:3]
    caches = [ParserCache, ValidationCache] if "cached" in sys.argv else []
    schema = strawberry.Schema(Query, Mutation, extensions=caches)
    nouns = ("shops", "customers", "orders", "members", "lifecycle", "segments", "campaigns")
    models = ["core.storage.models", *(f"core.domain.{noun}.models" for noun in nouns)]

    @asynccontextmanager
    async def connected(app: Starlette) -> Any:
        await Tortoise.init(
            config=orm_config(url, {"core": models}, 10), _enable_global_fallback=True
        )
        yield
        await Tortoise.close_connections()

    app = Starlette(routes=[Route("/graphql", Endpoint(schema))], lifespan=connected)
    uvicorn.run(app, port=int(port), access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
