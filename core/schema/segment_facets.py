"""The facets described for an editor of rules: what each asks, and its parameters."""

import inspect
from collections.abc import Iterator, Mapping

import strawberry
from graphql import GraphQLInputField, GraphQLInputObjectType, GraphQLSchema
from graphql import get_named_type as named
from graphql import is_required_input_field as required

from core.domain.segments.rules import usable_facets
from core.registry import Registry
from core.schema.scalars import camel
from core.storage.database import Session


@strawberry.type(description="A parameter of a facet, as a field of its input.")
class FacetParameter:
    name: str
    type: str = strawberry.field(description="The type in GraphQL's notation, such as [String!].")
    required: bool
    description: str = strawberry.field(
        description="What it asks for; of a nested input, what that is."
    )
    parameters: list["FacetParameter"] = strawberry.field(
        description="The fields of a nested input, such as orders."
    )


@strawberry.type(description="Something that a rule can ask about a customer.")
class FacetInfo:
    name: str = strawberry.field(description="Its field of SegmentRuleInput.")
    title: str
    title_zh: str
    description: str
    plugin: str
    version: int = strawberry.field(description="Raised when its parameters change.")
    usable: bool = strawberry.field(description="Whether its plugin is switched on.")
    parameters: list[FacetParameter] = strawberry.field(
        description="None for a facet that is given as true or false."
    )


async def facet_infos(
    session: Session, registry: Registry, schema: GraphQLSchema
) -> list[FacetInfo]:
    """All facets; their parameters are those of the schema's input types."""
    rule = schema.type_map["SegmentRuleInput"]
    assert isinstance(rule, GraphQLInputObjectType)
    usable = await usable_facets(session, registry)
    return [
        FacetInfo(
            name=camel(name),
            title=owned.value.title.en,
            title_zh=owned.value.title.zh,
            description=inspect.cleandoc(owned.value.rule.__doc__ or ""),
            plugin=owned.plugin,
            version=owned.value.version,
            usable=name in usable,
            parameters=list(_parameters(_fields(rule.fields[camel(name)]))),
        )
        for name, owned in registry.facets.items()
    ]


def _parameters(fields: Mapping[str, GraphQLInputField]) -> Iterator[FacetParameter]:
    for name, field in fields.items():
        inner = _fields(field)
        yield FacetParameter(
            name=name,
            type=str(field.type),
            required=required(field),
            description=(named(field.type) if inner else field).description or "",
            parameters=list(_parameters(inner)),
        )


def _fields(field: GraphQLInputField) -> Mapping[str, GraphQLInputField]:
    kind = named(field.type)
    return kind.fields if isinstance(kind, GraphQLInputObjectType) else {}
