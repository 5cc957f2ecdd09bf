"""Pages of lists by keyset: page 10,000 costs what page 1 costs.

A cursor holds the sort values of its row, and a digest of sort and filter: it fits no other list.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import cached_property, partial
from types import SimpleNamespace
from typing import Annotated, Any, Generic, TypeVar

import orjson
import strawberry

from core.domain.segments.rules import Asked
from core.schema.context import Info
from core.schema.costs import costs
from core.schema.errors import BAD_REQUEST, RequestError
from core.schema.executor.later import Rows
from core.schema.external_refs import (
    NARROWER,
    ExternalRefFilter,
    ExternalRefInput,
    refs_in,
    shops_named,
)
from core.schema.rows import columns_sql, selected
from core.schema.where import Args, where_sql

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
MAX_PAGE = 100
MAX_COUNT = 1_000_000

First = Annotated[int, strawberry.argument(description="1 to 100.")]
After = Annotated[str | None, strawberry.argument(description="A cursor of the same list.")]


@strawberry.enum
class SortDirection(Enum):
    ASC = "ASC"
    DESC = "DESC"


@strawberry.enum(description="Whether a count is exact or stopped at its limit.")
class CountPrecision(Enum):
    EXACT = "EXACT"
    AT_LEAST = "AT_LEAST"


@strawberry.type
class Count:
    value: int
    precision: CountPrecision


@strawberry.type
class PageInfo:
    has_next_page: bool
    has_previous_page: bool
    cursors: strawberry.Private[Sequence[str]]

    @strawberry.field
    def start_cursor(self) -> str | None:
        return self.cursors[0] if self.cursors else None

    @strawberry.field
    def end_cursor(self) -> str | None:
        return self.cursors[-1] if self.cursors else None


@strawberry.type
class Edge(Generic[T]):
    cursor: str
    node: T


@dataclass
class Statement:
    """The FROM and WHERE of a list with its parameters, for counting."""

    source: str
    condition: str
    args: Sequence[Any]


@strawberry.type
class Connection(Generic[T]):
    nodes: list[T]
    page_info: PageInfo
    cursors: strawberry.Private[Sequence[str]]
    statement: strawberry.Private[Statement]

    @strawberry.field
    def edges(self) -> list[Edge[T]]:
        return [Edge(cursor=c, node=n) for c, n in zip(self.cursors, self.nodes, strict=True)]

    @costs(10)
    @strawberry.field
    async def count(self, info: Info, limit: int = 10_000) -> Count:
        if not 1 <= limit <= MAX_COUNT:
            raise RequestError(BAD_REQUEST, f"limit must be from 1 to {MAX_COUNT}")
        async with info.context.read() as session:
            found = await session.sql.fetchval(
                f"SELECT count(*) FROM (SELECT 1 FROM {self.statement.source} "
                f"WHERE {self.statement.condition} LIMIT {limit + 1}) counted",
                *self.statement.args,
            )
        exact = found <= limit
        return Count(
            value=min(found, limit),
            precision=CountPrecision.EXACT if exact else CountPrecision.AT_LEAST,
        )


@dataclass(frozen=True)
class Listing(Generic[T_co]):
    """How one kind of object is listed: table alias, filters, sorts, and how a row becomes a node.

    `source` is the FROM clause; its rows are merchant-bound by `merchant` (a column). Sort columns
    are never null.
    """

    name: str
    source: str
    alias: str
    filters: Mapping[str, Any]
    sorts: Mapping[str, str]
    make: Callable[[Any], T_co]
    of: type | None = None
    """The type of rows that the nodes are of, as in rows.py, if they are."""


async def page(
    info: Info,
    listing: Listing[T],
    where: Any,
    sort: Sequence[Any] | None,
    first: int,
    after: str | None,
    scope: tuple[str, Any] | None = None,
) -> Connection[T]:
    """One page of a list. `scope` is a further column that must equal a value.

    Raises RequestError for a page size out of range and a cursor of another list, and NotFound for
    a filter by the id of an unknown platform.
    """
    if not 1 <= first <= MAX_PAGE:
        raise RequestError(BAD_REQUEST, f"first must be from 1 to {MAX_PAGE}")
    context, shops, refs = info.context, None, list(refs_in(where))
    if refs:
        async with context.read() as session:
            shops = await shops_named(session, refs)
    args = Args(context.merchant_id, context.need, shops)
    condition = f"{listing.alias}.merchant_id = $1 AND {where_sql(where, listing.filters, args)}"
    if scope is not None:
        condition += f" AND {scope[0]} = {args.add(scope[1])}"
    statement = Statement(listing.source, condition, list(args.values))
    keys = _keys(listing, sort)
    digest = partial(_digest, listing, keys, statement)
    if after is not None:
        condition += f" AND {_beyond(keys, read_cursor(after, digest(), len(keys)), args)}"
    order = ", ".join(f"{sql} {direction}" for sql, direction in keys)
    shown = ", ".join(f"{sql} AS key_{number}" for number, (sql, _) in enumerate(keys))
    of = listing.of
    columns = columns_sql(listing.alias, selected(info, of.__name__) if of else None)
    async with context.read() as session:
        rows = await session.sql.fetch(
            f"SELECT {columns}, {shown} FROM {listing.source} WHERE {condition} "
            f"ORDER BY {order} LIMIT {first + 1}",
            *args.values,
        )
    more, rows = len(rows) > first, rows[:first]
    cursors = Cursors(digest, rows, [f"key_{n}" for n in range(len(keys))])
    nodes: Any = [listing.make(row) for row in rows] if of is None else Rows(of, rows)
    return Connection(
        nodes=nodes,
        cursors=cursors,
        statement=statement,
        page_info=PageInfo(
            has_next_page=more,
            has_previous_page=after is not None,
            cursors=cursors,
        ),
    )


async def by_external_ref(info: Info, listing: Listing[T], ref: ExternalRefInput) -> T | None:
    """The one object of a list that a platform knows by an id. Raises RequestError, NotFound."""
    narrower = NARROWER if listing.name == "customers" else NARROWER.partition(",")[0]
    given = ExternalRefFilter(eq=strawberry.Some(ref))
    where = SimpleNamespace(external_ref=strawberry.Some(given))
    found = await page(info, listing, where, None, 2, None)
    if len(found.nodes) > 1:
        raise RequestError(BAD_REQUEST, f"several {listing.name} have this id: {narrower}")
    return found.nodes[0] if found.nodes else None


@dataclass(frozen=True)
class Cursors(Sequence[str]):
    """The cursors of rows, made when they are asked for."""

    digest: Callable[[], str]
    rows: Sequence[Any]
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: Any) -> Any:
        row = self.rows[number]
        return make_cursor(self._of_list, [row[name] for name in self.names])

    @cached_property
    def _of_list(self) -> str:
        return self.digest()


def ids_statement(
    listing: Listing[Any],
    merchant_id: int,
    where: Any,
    sort: Sequence[Any] | None,
    need: Callable[[str], None],
    among: Asked | None = None,
    shops: Mapping[str, Sequence[int]] | None = None,
) -> tuple[str, list[Any]]:
    """SQL of the ids of a whole list in its order, and its parameters. Raises RequestError.

    `need` raises unless the caller has a right; `shops` are as in Args. `among` leaves the
    customers of a rule, in a list of customers.
    """
    args = Args(merchant_id, need, shops)
    condition = f"{listing.alias}.merchant_id = $1"
    if among is not None:
        args.values = list(among.q.args)
        condition += f" AND {listing.alias}.id IN (SELECT c.id {among.matching})"
    condition += f" AND {where_sql(where, listing.filters, args)}"
    order = ", ".join(f"{sql} {direction}" for sql, direction in _keys(listing, sort))
    statement = (
        f"SELECT {listing.alias}.id FROM {listing.source} WHERE {condition} ORDER BY {order}"
    )
    return statement, args.values


def _keys(listing: Listing[Any], sort: Sequence[Any] | None) -> list[tuple[str, str]]:
    keys = [(listing.sorts[one.field.value], one.direction.value) for one in sort or ()]
    if len(keys) > 3:
        raise RequestError(BAD_REQUEST, "sort by 3 fields at most")
    direction = keys[-1][1] if keys else "DESC"
    return [*keys, (f"{listing.alias}.id", direction)]


def _digest(listing: Listing[Any], keys: list[tuple[str, str]], statement: Statement) -> str:
    text = repr((listing.name, keys, statement.condition, statement.args))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _beyond(keys: list[tuple[str, str]], values: list[Any], args: Args) -> str:
    """Rows after the one with these sort values."""
    marks = [args.add(value) for value in values]
    directions = {direction for _, direction in keys}
    if len(directions) == 1:
        sign = ">" if directions == {"ASC"} else "<"
        return f"({', '.join(sql for sql, _ in keys)}) {sign} ({', '.join(marks)})"
    steps = []
    for number, (sql, direction) in enumerate(keys):
        same = [f"{keys[n][0]} = {marks[n]}" for n in range(number)]
        steps.append(
            " AND ".join([*same, f"{sql} {'>' if direction == 'ASC' else '<'} {marks[number]}"])
        )
    return "(" + " OR ".join(f"({step})" for step in steps) + ")"


def make_cursor(digest: str, values: list[Any]) -> str:
    """A cursor of the list with this digest, at the row with these sort values."""
    packed = [{"t": v.isoformat()} if isinstance(v, datetime) else v for v in values]
    return base64.urlsafe_b64encode(orjson.dumps([digest, *packed])).decode()


def read_cursor(cursor: str, digest: str, length: int) -> list[Any]:
    """The sort values of a cursor. Raises RequestError for one of another list."""
    try:
        found, *values = orjson.loads(base64.urlsafe_b64decode(cursor.encode()))
        read = [datetime.fromisoformat(v["t"]) if isinstance(v, dict) else v for v in values]
    except (binascii.Error, ValueError, TypeError, KeyError):
        raise RequestError(BAD_REQUEST, "after is not a cursor") from None
    if found != digest or len(read) != length:
        raise RequestError(BAD_REQUEST, "the cursor belongs to a list with another sort or filter")
    return read
