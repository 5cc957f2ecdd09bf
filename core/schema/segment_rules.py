"""The input of a segment's rule, generated from the registered facets, and how a rule is shown."""

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any

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
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types import get_object_definition

from core.domain.segments.tree import Facets, parts_of
from core.registry import Registry
from core.schema.scalars import camel, global_id, read_id
from core.sdk.facets import Facet


def rule_input(
    registry: Registry,
    scalar: Callable[[type], GraphQLScalarType],
    enum: Callable[[Any], GraphQLEnumType],
) -> GraphQLInputObjectType:
    """The input SegmentRuleInput: one field per facet, made from the facet's dataclass.

    A value of it arrives as the stored form of a rule, with the facets' own names. `scalar` gives
    the schema's scalar of a Python type, `enum` its enum by strawberry's definition; they are
    called once the schema is being put together.
    """

    def rule_fields() -> dict[str, GraphQLInputField]:
        inputs = _Inputs(scalar, enum)
        nodes = GraphQLList(GraphQLNonNull(rule))
        made = {
            "all": GraphQLInputField(nodes, description="Every one holds; of none: everybody."),
            "any": GraphQLInputField(nodes, description="At least one holds; of none: nobody."),
            "not": GraphQLInputField(rule),
        }
        for name, owned in registry.facets.items():
            made[camel(name)] = GraphQLInputField(
                inputs.facet(owned.value),
                description=f"{owned.value.title.en} ({owned.value.title.zh})",
                out_name=name,
            )
        return made

    rule = GraphQLInputObjectType(
        "SegmentRuleInput",
        rule_fields,
        description="A question about a customer. Exactly one field is given.",
        out_type=_node,
        is_one_of=True,
        extensions={GraphQLCoreConverter.DEFINITION_BACKREF: get_object_definition(_OneOf)},
    )
    return rule


@strawberry.input(one_of=True)
class _OneOf:
    """What Strawberry asks whether exactly one field is given: introspection, print, validation."""


def _node(given: dict[str, Any]) -> dict[str, Any]:
    """A facet without parameters is given as true or false."""
    ((name, value),) = given.items()
    if isinstance(value, bool):
        return {name: {}} if value else {"not": {name: {}}}
    return {name: value}


class _Inputs:
    """Input types by dataclass: one that several facets use becomes one type."""

    def __init__(
        self, scalar: Callable[[type], GraphQLScalarType], enum: Callable[[Any], GraphQLEnumType]
    ) -> None:
        self._enum = enum
        self._leaves: dict[Any, GraphQLInputType] = {
            int: GraphQLInt, str: GraphQLString, bool: GraphQLBoolean,
            Decimal: scalar(Decimal), date: scalar(date),
        }  # fmt: skip

    def facet(self, facet: Facet) -> GraphQLInputType:
        """The type of a facet's parameters; without any it is a yes or no."""
        if not fields(facet.rule):
            return GraphQLBoolean
        name = camel(facet.name)
        return self._object(facet.rule, f"{name[0].upper()}{name[1:]}RuleInput")

    def _object(self, rule: type, name: str) -> GraphQLInputType:
        if rule not in self._leaves:
            hints = typing.get_type_hints(rule)
            made = {
                camel(one.name): GraphQLInputField(
                    self._parameter(name, one, hints[one.name]),
                    description=one.metadata.get("description"),
                    out_name=one.name,
                )
                for one in fields(rule)
            }
            ids = {
                one.name: id_kind(one.name)
                for one in fields(rule)
                if int in parts_of(hints[one.name])
            }
            self._leaves[rule] = GraphQLInputObjectType(
                name,
                made,
                description=inspect.cleandoc(rule.__doc__ or ""),
                out_type=lambda given: _stored(given, ids),
            )
        return self._leaves[rule]

    def _parameter(self, owner: str, one: "Field[Any]", hint: Any) -> Any:
        optional = one.default is not MISSING or one.default_factory is not MISSING
        if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
            (hint,) = [part for part in typing.get_args(hint) if part is not type(None)]
            optional = True
        if typing.get_origin(hint) in (list, tuple):
            inner = self._leaf(owner, one, typing.get_args(hint)[0])
            made: Any = GraphQLList(GraphQLNonNull(inner))
        else:
            made = self._leaf(owner, one, hint)
        return made if optional else GraphQLNonNull(made)

    def _leaf(self, owner: str, one: "Field[Any]", hint: Any) -> Any:
        if hint is int and id_kind(one.name):
            return GraphQLID
        if hint not in self._leaves and isinstance(hint, type):
            if issubclass(hint, Enum) and hasattr(hint, "__strawberry_definition__"):
                self._leaves[hint] = self._enum(hint.__strawberry_definition__)
            elif issubclass(hint, Enum):
                values = {member.name.upper(): GraphQLEnumValue(member) for member in hint}
                self._leaves[hint] = GraphQLEnumType(
                    hint.__name__, values, description=hint.__doc__
                )
            elif is_dataclass(hint):
                return self._object(hint, f"{hint.__name__}Input")
        if hint not in self._leaves:
            raise TypeError(f"{owner}.{one.name}: a facet's parameter cannot be {hint}")
        return self._leaves[hint]


def id_kind(name: str) -> str | None:
    """The type of object that a parameter names: shop_id and shop_ids name a Shop."""
    kind = name.removesuffix("s").removesuffix("_id")
    return None if kind in (name, name.removesuffix("s")) else kind.title().replace("_", "")


def _stored(given: dict[str, Any], ids: Mapping[str, str | None]) -> dict[str, Any]:
    """Parameters as JSON values; global ids become numbers."""
    return {name: _plain(value, ids.get(name)) for name, value in given.items()}


def _plain(value: Any, kind: str | None) -> Any:
    if isinstance(value, list):
        return [_plain(one, kind) for one in value]
    if kind and isinstance(value, str):
        # 0 is nobody's number, so that a foreign id is refused as one that does not exist
        return read_id(kind, value) or 0
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, Decimal | date) else value


def shown_rule(node: Any, facets: Facets) -> Any:
    """A stored rule in the form of SegmentRuleInput, for an editor to change and send back.

    What is malformed is shown as it is.
    """
    if not isinstance(node, Mapping) or len(node) != 1:
        return node
    ((name, value),) = node.items()
    if name in ("all", "any") and isinstance(value, list):
        return {name: [shown_rule(one, facets) for one in value]}
    if name == "not":
        return {name: shown_rule(value, facets)}
    if not value and not (name in facets and fields(facets[name].value.rule)):
        return {camel(name): True}
    return {camel(name): _shown(value, None)}


def _shown(value: Any, kind: str | None) -> Any:
    if isinstance(value, Mapping):
        return {camel(key): _shown(one, id_kind(key)) for key, one in value.items()}
    if isinstance(value, list):
        return [_shown(one, kind) for one in value]
    return global_id(kind, value) if kind and isinstance(value, int) else value
