"""A campaign's content: Liquid templates, checked when written and compiled once.

Templates are written by merchants and are not trusted: they see plain text only, and loops,
output and variables are limited.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from liquid import BoundTemplate, Environment, StrictUndefined
from liquid.exceptions import LiquidError
from liquid.static_analysis import TemplateAnalysis
from markupsafe import escape

from core.sdk.channels import Channel, ContentField
from core.sdk.errors import InvalidInput, Several

VARIABLES = frozenset({
    "customer.name", "customer.province", "customer.city", "merchant.name", "shop.name",
    "unsubscribe_url", "preferences_url",
})  # fmt: skip
FIELDS = "customer.fields."
"""What the names of custom fields begin with: customer.fields.custom.size."""

_VARIABLE = re.compile(r"\{\{[ \t]*([a-z0-9_.]+)[ \t]*\}\}")


class RenderError(Exception):
    """A template cannot be filled in for one customer; the message is for the merchant."""


class _Limited(Environment):
    loop_iteration_limit = 10_000
    output_stream_limit = 1_000_000
    local_namespace_limit = 100_000
    context_depth_limit = 20


_TEXT = _Limited(undefined=StrictUndefined)
_HTML = _Limited(undefined=StrictUndefined, autoescape=True)
for _environment in (_TEXT, _HTML):
    # a message is one template: there is nothing to include
    del _environment.tags["include"], _environment.tags["render"]


@lru_cache(maxsize=512)
def _compiled(source: str, html: bool) -> BoundTemplate:
    return (_HTML if html else _TEXT).from_string(source)


@dataclass(frozen=True)
class Recipient:
    """What a template may know about one customer; `fields` by name, as in "custom.size"."""

    name: str | None
    province: str | None
    city: str | None
    unsubscribe_url: str
    preferences_url: str
    fields: Mapping[str, Any] | None = None


class _Plain:
    """A template that only puts in variables: the same result as Liquid's, many times faster."""

    def __init__(self, pieces: list[str], html: bool, names: Mapping[str, str]) -> None:
        shown: Callable[[str], str] = (lambda text: str(escape(text))) if html else str
        self._escape = html
        self._parts: list[str] = []
        self._gaps: list[tuple[int, str]] = []
        for position, piece in enumerate(pieces):
            if position % 2 == 0:
                self._parts.append(piece)
            elif piece in names:
                self._parts.append(shown(names[piece]))
            else:
                self._gaps.append((len(self._parts), piece))
                self._parts.append("")

    def render(self, values: Mapping[str, str]) -> str:
        parts = self._parts.copy()
        for position, name in self._gaps:
            parts[position] = str(escape(values[name])) if self._escape else values[name]
        return "".join(parts)


def _plain(
    source: str, html: bool, names: Mapping[str, str], variables: frozenset[str]
) -> _Plain | None:
    pieces = _VARIABLE.split(source)
    literal = "".join(pieces[::2])
    if "{{" in literal or "{%" in literal or not variables.issuperset(pieces[1::2]):
        return None
    return _Plain(pieces, html, names)


def known_variables(fields: Collection[str]) -> frozenset[str]:
    """What templates may name where these custom fields exist."""
    return VARIABLES | {FIELDS + name for name in fields}


class Content:
    """The compiled templates of one run; `fields` are the custom fields that they name.

    `links_preferences` says whether any of them has the link to the preference page.
    `known_fields` are those that exist. Raises Several(InvalidInput) when the templates do not fit
    the channel's fields.
    """

    def __init__(
        self,
        channel: Channel,
        content: Mapping[str, str],
        merchant: str,
        shop: str | None,
        known_fields: Collection[str] = (),
    ) -> None:
        check_content(channel, content, known_fields)
        variables = known_variables(known_fields)
        self.fields = fields_named(channel, content)
        self.links_preferences = any("preferences_url" in text for text in content.values())
        self._names = {"merchant.name": merchant, "shop.name": shop or merchant}
        self._templates = [
            (
                field,
                _plain(content[field.name], field.html, self._names, variables)
                or _compiled(content[field.name], field.html),
            )
            for field in channel.fields
            if content.get(field.name)
        ]

    def render(self, recipient: Recipient) -> dict[str, str]:
        """The message's fields for one customer. Raises RenderError."""
        values = {
            "customer.name": recipient.name or "",
            "customer.province": recipient.province or "",
            "customer.city": recipient.city or "",
            "unsubscribe_url": recipient.unsubscribe_url,
            "preferences_url": recipient.preferences_url,
        }
        for name in self.fields:
            values[FIELDS + name] = _field_text((recipient.fields or {}).get(name))
        return {
            field.name: _checked(
                field,
                template.render(values)
                if isinstance(template, _Plain)
                else _liquid(field, template, values | self._names),
            )
            for field, template in self._templates
        }


def _liquid(field: ContentField, template: BoundTemplate, values: Mapping[str, str]) -> str:
    nested: dict[str, Any] = {}
    for name, value in values.items():
        *owners, attribute = name.split(".")
        place = nested
        for owner in owners:
            place = place.setdefault(owner, {})
        place[attribute] = value
    try:
        return template.render(**nested)
    except LiquidError as error:
        raise RenderError(f"{field.name}: {_reason(error)}") from None


def _checked(field: ContentField, text: str) -> str:
    if len(text) > field.max_length:
        raise RenderError(f"{field.name}: longer than {field.max_length} characters")
    if field.required and not text.strip():
        raise RenderError(f"{field.name}: empty")
    return text


def _field_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def mentions_fields(source: str) -> bool:
    """Whether a template can name a custom field at all; most do not, and are spared the work."""
    return "fields" in source


def fields_named(channel: Channel, content: Mapping[str, str]) -> tuple[str, ...]:
    """The custom fields that sound templates name."""
    named = set()
    for field in channel.fields:
        if mentions_fields(source := content.get(field.name) or ""):
            named |= _variables(_compiled(source, field.html).analyze(include_partials=False))
    return tuple(sorted(name[len(FIELDS) :] for name in named if name.startswith(FIELDS)))


def _variables(found: TemplateAnalysis) -> set[str]:
    return {
        ".".join(str(segment) for segment in variable.segments)
        for variables in found.globals.values()
        for variable in variables
    }


def check_content(
    channel: Channel, content: Mapping[str, str], known_fields: Collection[str] = ()
) -> None:
    """Raises Several(InvalidInput), with the path of each field that is wrong."""
    errors = list(_faults(channel, content, known_variables(known_fields)))
    if errors:
        raise Several(errors)


def _faults(
    channel: Channel, content: Mapping[str, str], known: frozenset[str]
) -> Iterator[InvalidInput]:
    fields = {field.name: field for field in channel.fields}
    for name in content:
        if name not in fields:
            yield InvalidInput(
                f"{channel.title} has no field {name!r}; it has {', '.join(fields)}", _path(name)
            )
    for field in channel.fields:
        source = content.get(field.name) or ""
        if field.required and not source.strip():
            yield InvalidInput(f"the field {field.title} must be filled in", _path(field.name))
        elif len(source) > field.max_length:
            yield InvalidInput(
                f"the field {field.title} has at most {field.max_length} characters",
                _path(field.name),
            )
        elif "\x00" in source:
            yield InvalidInput("a template must not hold the character NUL", _path(field.name))
        else:
            yield from _template_faults(field, source, known)


def _template_faults(
    field: ContentField, source: str, known: frozenset[str]
) -> Iterator[InvalidInput]:
    try:
        found = _compiled(source, field.html).analyze(include_partials=False)
    except (LiquidError, RecursionError) as error:
        reason = _reason(error) if isinstance(error, LiquidError) else "nested too deeply"
        yield InvalidInput(f"the template of {field.title}: {reason}", _path(field.name))
        return
    for name in sorted(found.filters.keys() - _TEXT.filters.keys()):
        yield InvalidInput(
            f"the template of {field.title} uses the filter {name}, which does not exist",
            _path(field.name),
        )
    for name in sorted(_variables(found) - known):
        yield InvalidInput(
            f"the template of {field.title} uses {name}, which does not exist; "
            f"there are {', '.join(sorted(known))}",
            _path(field.name),
        )


def _path(name: str) -> tuple[str, ...]:
    return ("input", "content", name)


def _reason(error: LiquidError) -> str:
    return str(error.message or type(error).__name__)
