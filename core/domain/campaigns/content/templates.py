"""Liquid templates, compiled once.

Templates are written by merchants and are not trusted: they see plain values only, and loops,
output and variables are limited. A variable without a value stops the message, unless the template
has a `default` for it.
"""

import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from markupsafe import escape

from core.domain.campaigns.content.variables import no_value
from core.sdk.large import liquid

if TYPE_CHECKING:
    from liquid.static_analysis import TemplateAnalysis

_VARIABLE = re.compile(
    r"""\{\{[ \t]*([a-z0-9_.]+)[ \t]*
        (?:\|[ \t]*default:[ \t]*(?:"([^"{}]*)"|'([^'{}]*)')[ \t]*)?\}\}""",
    re.X,
)


class RenderError(Exception):
    """A template cannot be filled in for one customer; the message is for the merchant."""


def _environment(html: bool) -> "liquid.Environment":
    from core.domain.campaigns.content import environments  # loads Liquid

    return environments.HTML if html else environments.TEXT


@lru_cache(maxsize=512)
def compiled(source: str, html: bool) -> "liquid.BoundTemplate":
    """A template, compiled. Raises LiquidError or RecursionError."""
    return _environment(html).from_string(source)


def analysed(source: str, html: bool) -> "TemplateAnalysis":
    """What a template uses. Raises LiquidError or RecursionError."""
    return compiled(source, html).analyze(include_partials=False)


def unknown_filters(found: "TemplateAnalysis") -> set[str]:
    """The filters that a template uses and that do not exist."""
    return found.filters.keys() - _environment(html=False).filters.keys()


def paths_named(found: "TemplateAnalysis") -> set[str]:
    """The variables that a template names, as dotted paths."""
    return {
        ".".join(str(segment) for segment in variable.segments)
        for variables in found.globals.values()
        for variable in variables
    }


class Plain:
    """A template that only puts in variables: the same result as Liquid's, many times faster."""

    def __init__(self, pieces: list[Any], html: bool, fixed: Mapping[str, str]) -> None:
        self._escape = html
        self._parts: list[str] = []
        self._gaps: list[tuple[int, str, str | None]] = []
        for place in range(0, len(pieces), 4):
            self._parts.append(pieces[place])
            if place + 1 == len(pieces):
                break
            name, *defaults = pieces[place + 1 : place + 4]
            if name in fixed:
                self._parts.append(self._shown(fixed[name]))
            else:
                default = next((text for text in defaults if text is not None), None)
                self._gaps.append((len(self._parts), name, default))
                self._parts.append("")

    def render(self, values: Mapping[str, Any]) -> str:
        """The text with these values. Raises RenderError."""
        parts = self._parts.copy()
        for place, name, default in self._gaps:
            value = values.get(name)
            if value is not None:
                parts[place] = self._shown(value)
            elif default is not None:
                parts[place] = default
            else:
                raise RenderError(no_value(name))
        return "".join(parts)

    def _shown(self, value: Any) -> str:
        return str(escape(value)) if self._escape else str(value)


class Liquid:
    """Any other template; `variables` are those that it may name."""

    def __init__(
        self, source: str, html: bool, fixed: Mapping[str, str], variables: Collection[str]
    ) -> None:
        self._template = compiled(source, html)
        self._fixed = fixed
        # an owner is there even if it has no value, so that an error names the whole variable
        self._owners = sorted({name.rpartition(".")[0] for name in variables if "." in name})

    def render(self, values: Mapping[str, Any]) -> str:
        """The text with these values. Raises RenderError."""
        nested: dict[str, Any] = {}
        for owner in self._owners:
            _place(nested, owner)
        for name, value in (*values.items(), *self._fixed.items()):
            owner, _, attribute = name.rpartition(".")
            _place(nested, owner)[attribute] = value
        try:
            return self._template.render(**nested)
        except (liquid.exceptions.LiquidError, RecursionError) as error:
            raise RenderError(reason(error)) from None


def _place(nested: dict[str, Any], owner: str) -> dict[str, Any]:
    for part in owner.split(".") if owner else ():
        nested = nested.setdefault(part, {})
    return nested


def template(
    source: str, html: bool, fixed: Mapping[str, str], variables: frozenset[str]
) -> Plain | Liquid:
    """A template of these variables; `fixed` are those with one value for all customers."""
    pieces: list[Any] = _VARIABLE.split(source)
    literal = "".join(pieces[::4])
    if "{{" in literal or "{%" in literal or not variables.issuperset(pieces[1::4]):
        return Liquid(source, html, fixed, variables)
    return Plain(pieces, html, fixed)


def reason(error: Exception) -> str:
    """What a template's error says."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return str(getattr(error, "message", None) or type(error).__name__)
