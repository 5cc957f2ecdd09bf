"""Segments: named rules over the registered facets, typed down to each parameter."""

import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import orjson
import strawberry
from graphql import (
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLEnumValue,
    GraphQLID,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLInt,
    GraphQLList,
    GraphQLNonNull,
    GraphQLScalarType,
    GraphQLString,
)

from core.domain.segments.preview import preview_segment
from core.domain.segments.segments import create_segment, delete_segment, update_segment
from core.registry import Owned, Registry
from core.schema.context import Info, field, mutation
from core.schema.customers import Customer, customers_by_id
from core.schema.errors import UserError, user_errors
from core.schema.pages import After, Connection, First, Listing, SortDirection, page
from core.schema.scalars import JSON, Node, SegmentRule, camel, changes, global_id, need_id, read_id
from core.schema.where import DateTimeFilter, IdColumn, IdFilter, StringFilter
from core.sdk.errors import InvalidInput, Several
from core.sdk.facets import Facet
from core.storage.database import Session

RULE_VERSION = 1


def rule_input(
    registry: Registry, scalar: Callable[[type], GraphQLScalarType]
) -> GraphQLInputObjectType:
    """The input SegmentRuleInput: one field per facet, made from the facet's dataclass.

    A value of it arrives as the stored form of a rule, with the facets' own names. `scalar` gives
    the schema's scalar of a Python type; it is called once the schema is being put together.
    """

    def rule_fields() -> dict[str, GraphQLInputField]:
        scalars: dict[Any, GraphQLInputType] = {
            int: GraphQLInt, str: GraphQLString, bool: GraphQLBoolean,
            Decimal: scalar(Decimal), date: scalar(date),
        }  # fmt: skip
        nodes = GraphQLList(GraphQLNonNull(rule))
        made = {
            "all": GraphQLInputField(nodes, description="Every one holds; of none: everybody."),
            "any": GraphQLInputField(nodes, description="At least one holds; of none: nobody."),
            "not": GraphQLInputField(rule),
        }
        for name, owned in registry.facets.items():
            made[camel(name)] = GraphQLInputField(
                _facet_input(owned, scalars), description=owned.value.title, out_name=name
            )
        return made

    rule = GraphQLInputObjectType(
        "SegmentRuleInput",
        rule_fields,
        description="A question about a customer. Exactly one field is given.",
        out_type=_node,
        is_one_of=True,
    )
    return rule


def _node(given: dict[str, Any]) -> dict[str, Any]:
    """A facet without parameters is given as true or false."""
    ((name, value),) = given.items()
    if isinstance(value, bool):
        return {name: {}} if value else {"not": {name: {}}}
    return {name: value}


def _facet_input(owned: Owned[Facet], scalars: Mapping[Any, GraphQLInputType]) -> GraphQLInputType:
    facet = owned.value
    hints = typing.get_type_hints(facet.rule)
    if not hints:
        return GraphQLBoolean
    name = camel(facet.name)
    title = f"{name[0].upper()}{name[1:]}RuleInput"
    made = {
        camel(one.name): GraphQLInputField(
            _parameter_type(title, one, hints[one.name], scalars), out_name=one.name
        )
        for one in fields(facet.rule)
    }
    return GraphQLInputObjectType(title, made, description=facet.rule.__doc__, out_type=_stored)


def _stored(given: dict[str, Any]) -> dict[str, Any]:
    """Parameters as JSON values; global ids become numbers."""
    made: dict[str, Any] = {}
    for name, value in given.items():
        if name.endswith("_id") and isinstance(value, str):
            # 0 is nobody's number, so that a foreign id is refused by the facet's check
            made[name] = read_id(name.removesuffix("_id").title().replace("_", ""), value) or 0
        else:
            made[name] = _plain(value)
    return made


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, Decimal | date) else value


def _parameter_type(
    title: str, one: "Field[Any]", hint: Any, scalars: Mapping[Any, GraphQLInputType]
) -> Any:
    optional = one.default is not MISSING or one.default_factory is not MISSING
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        (hint,) = [part for part in typing.get_args(hint) if part is not type(None)]
        optional = True
    if typing.get_origin(hint) in (list, tuple):
        made: Any = GraphQLList(
            GraphQLNonNull(_leaf(title, one, typing.get_args(hint)[0], scalars))
        )
    else:
        made = _leaf(title, one, hint, scalars)
    return made if optional else GraphQLNonNull(made)


def _leaf(title: str, one: "Field[Any]", hint: Any, scalars: Mapping[Any, GraphQLInputType]) -> Any:
    if hint is int and one.name.endswith("_id"):
        return GraphQLID
    if isinstance(hint, type) and issubclass(hint, Enum):
        values = {member.name.upper(): GraphQLEnumValue(member) for member in hint}
        return GraphQLEnumType(hint.__name__, values)
    if hint not in scalars:
        raise TypeError(f"{title}.{one.name}: a facet's parameter cannot be {hint}")
    return scalars[hint]


def stored_rule(rule: SegmentRule) -> dict[str, Any]:
    """The rule as it is stored."""
    return {"version": RULE_VERSION, "rule": dict(rule)}


def shown_rule(node: Mapping[str, Any]) -> dict[str, Any]:
    """A stored rule in the form of SegmentRuleInput, for an editor to change and send back."""
    ((name, value),) = node.items()
    if name in ("all", "any"):
        return {name: [shown_rule(one) for one in value]}
    if name == "not":
        return {name: shown_rule(value)}
    shown = {camel(key): _shown(key, one) for key, one in value.items()}
    return {camel(name): shown or True}


def _shown(key: str, value: Any) -> Any:
    if key.endswith("_id") and isinstance(value, int):
        return global_id(key.removesuffix("_id").title().replace("_", ""), value)
    return value


@strawberry.type(description="A named rule; who belongs to it is asked afresh each time.")
class Segment(Node):
    stored: strawberry.Private[dict[str, Any]]
    name: str
    rule: JSON = strawberry.field(description="The rule in the form of SegmentRuleInput.")
    created_at: datetime
    updated_at: datetime

    @strawberry.field
    async def preview(self, info: Info, sample: int = 10) -> "SegmentPreview":
        return await preview(info, self.stored, sample)


@strawberry.type(description="Who would belong to a segment now.")
class SegmentPreview:
    pks: strawberry.Private[list[int]]
    count: int
    explanation: str

    @field("CUSTOMERS_READ")
    async def sample(self, info: Info) -> list[Customer]:
        async with info.context.read() as session:
            found = await customers_by_id(session, self.pks)
        return [found[pk] for pk in self.pks if pk in found]


@strawberry.type
class SegmentPreviewResult:
    preview: SegmentPreview | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type(description="Something that a rule can ask about a customer.")
class FacetInfo:
    name: str = strawberry.field(description="Its field of SegmentRuleInput.")
    title: str
    description: str
    plugin: str


async def preview(info: Info, stored: dict[str, Any], sample: int) -> SegmentPreview:
    registry = info.context.installation.registry
    async with info.context.read() as session:
        found = await preview_segment(session, registry, stored, sample)
    return SegmentPreview(pks=found.sample, count=found.count, explanation=found.explanation)


def segment_of(row: Any) -> Segment:
    stored = orjson.loads(row["rule"])
    return Segment(
        id=global_id("Segment", row["id"]),
        stored=stored,
        name=row["name"],
        rule=JSON(shown_rule(stored["rule"])),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


@strawberry.input
class SegmentWhere:
    id: strawberry.Maybe[IdFilter]
    name: strawberry.Maybe[StringFilter]
    created_at: strawberry.Maybe[DateTimeFilter]
    and_: strawberry.Maybe[list["SegmentWhere"]] = strawberry.field(name="and", default=None)
    or_: strawberry.Maybe[list["SegmentWhere"]] = strawberry.field(name="or", default=None)
    not_: strawberry.Maybe["SegmentWhere"] = strawberry.field(name="not", default=None)


@strawberry.enum
class SegmentSortField(Enum):
    CREATED_AT = "created_at"
    NAME = "name"


@strawberry.input
class SegmentSort:
    field: SegmentSortField
    direction: SortDirection = SortDirection.ASC


SEGMENTS = Listing(
    "segments", "segments g", "g",
    {"id": IdColumn("Segment", "g.id"), "name": "g.name", "created_at": "g.created_at"},
    {"created_at": "g.created_at", "name": "g.name"},
    segment_of,
)  # fmt: skip


async def segments_by_id(session: Session, pks: list[int]) -> dict[int, Segment]:
    rows = await session.sql.fetch(
        "SELECT * FROM segments WHERE merchant_id = $1 AND id = ANY($2)", session.merchant_id, pks
    )
    return {row["id"]: segment_of(row) for row in rows}


@strawberry.input
class SegmentCreateInput:
    name: str
    rule: SegmentRule


@strawberry.input(description="Absent fields stay as they are.")
class SegmentUpdateInput:
    name: strawberry.Maybe[str]
    rule: strawberry.Maybe[SegmentRule]


@strawberry.type
class SegmentCreatePayload:
    segment: Segment | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class SegmentUpdatePayload:
    segment: Segment | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class SegmentDeletePayload:
    deleted_id: strawberry.ID | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class SegmentQueries:
    @field("SEGMENTS_READ")
    async def segments(
        self,
        info: Info,
        first: First = 20,
        after: After = None,
        where: SegmentWhere | None = None,
        sort: list[SegmentSort] | None = None,
    ) -> Connection[Segment]:
        return await page(info, SEGMENTS, where, sort, first, after)

    @field("SEGMENTS_READ")
    async def segment(self, info: Info, id: strawberry.ID) -> Segment | None:
        pk = read_id("Segment", id)
        return await info.context.load("segments", pk, segments_by_id) if pk else None

    @field("SEGMENTS_READ", description="Try a rule without storing it.")
    async def segment_preview(
        self, info: Info, rule: SegmentRule, sample: int = 10
    ) -> SegmentPreviewResult:
        try:
            return SegmentPreviewResult(preview=await preview(info, stored_rule(rule), sample))
        except (InvalidInput, Several) as error:
            return SegmentPreviewResult(errors=user_errors(error))

    @field("SEGMENTS_READ", description="What a rule can ask.")
    async def facets(self, info: Info) -> list[FacetInfo]:
        return [
            FacetInfo(
                name=camel(name),
                title=owned.value.title,
                description=owned.value.rule.__doc__ or "",
                plugin=owned.plugin,
            )
            for name, owned in info.context.installation.registry.facets.items()
        ]


@strawberry.type
class SegmentMutations:
    @mutation("SEGMENTS_WRITE", SegmentCreatePayload)
    async def segment_create(
        self, info: Info, input: SegmentCreateInput
    ) -> SegmentCreatePayload | None:
        registry = info.context.installation.registry
        async with info.context.work() as w:
            pk = await create_segment(w, registry, input.name, stored_rule(input.rule))
            return SegmentCreatePayload(segment=(await segments_by_id(w, [pk]))[pk])

    @mutation("SEGMENTS_WRITE", SegmentUpdatePayload)
    async def segment_update(
        self, info: Info, id: strawberry.ID, input: SegmentUpdateInput
    ) -> SegmentUpdatePayload | None:
        pk = need_id("Segment", id)
        changed = changes(input)
        if "rule" in changed:
            changed["rule"] = stored_rule(changed["rule"])
        async with info.context.work() as w:
            await update_segment(w, info.context.installation.registry, pk, changed)
            return SegmentUpdatePayload(segment=(await segments_by_id(w, [pk]))[pk])

    @mutation("SEGMENTS_WRITE", SegmentDeletePayload)
    async def segment_delete(self, info: Info, id: strawberry.ID) -> SegmentDeletePayload | None:
        pk = need_id("Segment", id)
        async with info.context.work() as w:
            await delete_segment(w, pk)
        return SegmentDeletePayload(deleted_id=global_id("Segment", pk))
