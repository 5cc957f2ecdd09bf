"""Inputs as resolvers take them: what Strawberry finds out for each value, once for a type."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING
from typing import Any

from strawberry.relay import GlobalID
from strawberry.scalars import is_scalar
from strawberry.schema.base import BaseSchema
from strawberry.types.arguments import StrawberryArgument, convert_argument
from strawberry.types.base import (
    StrawberryList,
    StrawberryMaybe,
    StrawberryOptional,
    has_object_definition,
)
from strawberry.types.enum import StrawberryEnumDefinition, has_enum_definition
from strawberry.types.lazy_type import LazyType
from strawberry.types.maybe import Some
from strawberry.types.unset import UNSET

Convert = Callable[[Any], Any]


class Unknown(Exception):
    """A type that only Strawberry knows how to convert."""


class Inputs:
    """How one schema's values of inputs are converted; see Strawberry's `convert_argument`."""

    def __init__(self, schema: BaseSchema) -> None:
        self.names = schema.config.name_converter
        self._config = schema.config
        self._scalars = schema.schema_converter.scalar_registry
        self._objects: dict[Any, _Object] = {}

    def arguments(self, all_: list[StrawberryArgument]) -> dict[str, tuple[str, Convert]]:
        """By their names in the schema: those in the resolver, and converters. Raises Unknown."""
        try:
            return {
                self.names.from_argument(one): (one.python_name, self.converter(one.type))
                for one in all_
            }
        except Unknown:
            self._objects.clear()  # some of them may have been left half made
            raise

    def converter(self, type_: Any) -> Convert:
        """What converts the values of a type. Raises Unknown."""
        if isinstance(type_, StrawberryMaybe):
            return self._maybe(type_)
        if isinstance(type_, StrawberryOptional):
            return self.converter(type_.of_type)
        if isinstance(type_, LazyType):
            return self.converter(type_.resolve_type())
        if isinstance(type_, StrawberryList):
            return self._list(type_)
        if type_ is GlobalID:
            raise Unknown
        if isinstance(type_, StrawberryEnumDefinition) or is_scalar(type_, self._scalars):
            return as_it_is
        if has_enum_definition(type_):
            return as_it_is
        if has_object_definition(type_) and type_.__strawberry_definition__.from_input is None:
            return self._object(type_)
        raise Unknown

    def _maybe(self, type_: StrawberryMaybe) -> Convert:
        inner = self.converter(type_.of_type)
        may_be_null = isinstance(type_.of_type, StrawberryOptional)

        def convert(value: Any) -> Any:
            if value is None and not may_be_null:
                return convert_argument(value, type_, self._scalars, self._config)  # which raises
            return Some(inner(value))

        return convert

    def _list(self, type_: StrawberryList) -> Convert:
        inner = self.converter(type_.of_type)

        def convert(value: Any) -> Any:
            if value is None or value is UNSET:
                return value
            return list(value) if inner is as_it_is else [inner(one) for one in value]

        return convert

    def _object(self, type_: Any) -> "_Object":
        made = self._objects.get(type_)
        if made is None:
            made = self._objects[type_] = _Object(type_)  # before its fields, which may be of it
            definition = type_.__strawberry_definition__
            for one in definition.fields:
                kind = one.resolve_type(type_definition=definition)
                name = self.names.from_field(one)
                made.fields.append((name, one.python_name, self.converter(kind)))
                if one.default_value is MISSING and one.default_factory is MISSING:
                    made.absent[one.python_name] = None
        return made


class _Object:
    """Makes the instances of one class."""

    def __init__(self, type_: Any) -> None:
        self._type = type_
        self.fields: list[tuple[str, str, Convert]] = []
        self.absent: dict[str, None] = {}
        """The fields that are null where they are not given."""

    def __call__(self, value: Mapping[str, Any] | None) -> Any:
        if value is None or value is UNSET:
            return value
        given: dict[str, Any] = dict(self.absent)
        for name, python_name, convert in self.fields:
            if name in value:
                given[python_name] = convert(value[name])
        return self._type(**given)


def as_it_is(value: Any) -> Any:
    """Converts what is given as it is."""
    return value
