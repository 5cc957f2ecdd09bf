"""Whether texts that a merchant writes fit their channel, and name only what there is."""

from collections.abc import Iterator, Mapping

from core.domain.campaigns.content.html import HtmlError, plain_text, prepared
from core.domain.campaigns.content.templates import (
    analysed,
    paths_named,
    reason,
    unknown_filters,
)
from core.domain.campaigns.content.variables import base_name, known_variables
from core.sdk.channels import Channel, ContentField
from core.sdk.errors import InvalidInput, Several
from core.sdk.large import liquid

Path = tuple[str, ...]


def check_content(
    channel: Channel, content: Mapping[str, str], known: frozenset[str] | None = None
) -> None:
    """Raises Several(InvalidInput), with the path of each field that is wrong.

    `known` are the variables that there are; by default all but custom fields.
    """
    errors = list(_faults(channel, content, known_variables() if known is None else known))
    if errors:
        raise Several(errors)


def sources(channel: Channel, content: Mapping[str, str]) -> dict[str, str]:
    """The templates that are merged: HTML worked in, and plain text made where it is left out.

    Of sound content only.
    """
    made = {}
    for field in channel.fields:
        source = content.get(field.name) or ""
        if source:
            made[field.name] = prepared(source) if field.html else source
        elif field.text_of and content.get(field.text_of):
            text = _text_template(prepared(content[field.text_of]))
            if text is not None:
                made[field.name] = text
    return made


def _text_template(html: str) -> str | None:
    """HTML's plain text as a template; None where its parts that are no text do more than show."""
    try:
        text = plain_text(html)
        named = paths_named(analysed(text, False))
    except (HtmlError, liquid.exceptions.LiquidError, RecursionError):
        return None
    return text if named <= paths_named(analysed(html, True)) else None


def mentions_fields(source: str) -> bool:
    """Whether a template can name a custom field at all; most do not, and are spared the work."""
    return "fields" in source


def variables_named(channel: Channel, content: Mapping[str, str]) -> frozenset[str]:
    """The variables that sound templates name; of a list, the list."""
    return frozenset(
        base_name(path)
        for field in channel.fields
        if content.get(field.name)
        for path in paths_named(analysed(content[field.name], field.html))
    )


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
            for fault in _template_faults(field, source, known):
                yield InvalidInput(f"the template of {field.title} {fault}", _path(field.name))


def _template_faults(field: ContentField, source: str, known: frozenset[str]) -> Iterator[str]:
    try:
        found = analysed(source, field.html)
    except (liquid.exceptions.LiquidError, RecursionError) as error:
        yield f"cannot be read: {reason(error)}"
        return
    for name in sorted(unknown_filters(found)):
        yield f"uses the filter {name}, which does not exist"
    for name in sorted(path for path in paths_named(found) if base_name(path) not in known):
        yield f"uses {name}, which does not exist here; there are {', '.join(sorted(known))}"
    if field.html and source:
        try:
            prepared(source)
        except HtmlError as error:
            yield f"is not sound: {error}"


def _path(name: str) -> Path:
    return ("input", "content", name)
