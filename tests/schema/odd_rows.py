"""Objects of a type of rows, whose columns hold what they should not."""

import random
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any

import strawberry

from core.schema.executor.later import Later, RowBatch
from core.schema.rows import by_parent, column, enum_column, money_column, own_id, reads
from core.schema.scalars import Money

MOMENT = datetime(2026, 6, 1, 10, tzinfo=UTC)
GOOD = {
    "name": ["a", "é"], "size": [0, -7], "on": [date(2026, 6, 1)], "shade": ["l", "d"],
    "at": [MOMENT, MOMENT.replace(microsecond=120), MOMENT.replace(tzinfo=None),
           MOMENT.astimezone(timezone(timedelta(hours=8, seconds=5)))],
    "total": [0, 5, 99, 123456, -150], "left": [7, None], "currency": ["CNY", "JPY", "KWD"],
}  # fmt: skip
ODD = (None, "z", 2**40, 1.5, Decimal("2.5"), True, ["x"], RuntimeError("given"), MOMENT, b"b")


@strawberry.enum
class Shade(Enum):
    LIGHT = "l"
    DARK = "d"


def row(rate: float, seed: str) -> dict[str, Any]:
    """A row; each column is odd at this rate, but for money: the database sees to that."""
    rng = random.Random(seed)
    made = {name: rng.choice(values) for name, values in GOOD.items()}
    odd = {name: rng.choice(ODD) for name in made if rng.random() < rate}
    amounts = {name: None if name in odd else made[name] for name in ("total", "left")}
    return {"id": rng.randrange(10**9), **made, **odd, **amounts, "currency": made["currency"]}


def kept_of(info: Any, letter: str) -> RowBatch:
    async def load(_session: Any, pks: list[Any]) -> Any:
        rate = info.context.rate
        return by_parent(
            ({**row(rate, f"{pk}{letter}{number}"), "of": pk}
             for pk in pks for number in range(random.Random(f"{pk}{letter}").randrange(4))),
            "of",
        )  # fmt: skip

    return RowBatch(load, Kept)


@strawberry.type
class Kept:
    row: strawberry.Private[Any]
    id: strawberry.ID = own_id("Kept")
    name: str | None = column("name")
    size: int = column("size")
    on: date | None = column("on")
    at: datetime = column("at")
    shade: Shade | None = enum_column("shade", Shade)
    must_shade: Shade = enum_column("shade", Shade)
    total: Money = money_column("total")
    left: Money | None = money_column("left")

    @strawberry.field
    def label(self, info: strawberry.Info, prefix: str = "l") -> str | None:
        return f"{prefix}{self.row['id']}"

    @strawberry.field
    def rate(self, info: strawberry.Info) -> float:
        return info.context.rate

    @reads(pk="id")
    def kept(self, info: strawberry.Info) -> "list[Kept]":
        return Later("kept", self.row["id"], kept_of(info, "k"), [], info.context)

    @strawberry.field
    def promised(self, info: strawberry.Info) -> "list[Kept] | None":
        return Later("promised kept", self.row["id"], kept_of(info, "p"), [], info.context)

    @strawberry.field
    async def last(self, info: strawberry.Info) -> "Kept | None":
        found = await Later("last kept", self.row["id"], kept_of(info, "l"), [], info.context)
        return found[-1] if found else None


@strawberry.type
class Query:
    @strawberry.field
    def kept(self, info: strawberry.Info, count: int = 5) -> list[Kept]:
        return [Kept(row=row(info.context.rate, f"{number}")) for number in range(count)]
