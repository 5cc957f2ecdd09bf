"""Templates as platforms have approved them, and which of them a text was made from.

A merchant writes the text itself, with Huike's variables in the place of the platform's. When it is
sent, the template that reads like it is found, and the values of its variables with it. So one text
goes out through any provider that has approved it, whatever the template is called there.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from core.sdk import MessageClass

VARIABLE = re.compile(r"\$\{\s*([^{}]{1,64}?)\s*\}|\{([0-9]{1,3})\}")
State = Literal["pending", "approved", "rejected", "cancelled"]


@dataclass(frozen=True)
class Template:
    """A template, with ${name} or {1} for its variables.

    `message_class` None is for both, `abroad` None for numbers at home and abroad.
    """

    code: str
    text: str
    message_class: MessageClass | None = None
    abroad: bool | None = None

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The variables in their order; one may stand there twice."""
        return tuple(found[1] or found[2] for found in VARIABLE.finditer(self.text))

    @cached_property
    def literals(self) -> tuple[str, ...]:
        """What stands between them; one more than there are variables."""
        places = [found.span() for found in VARIABLE.finditer(self.text)]
        starts = [0, *(end for _, end in places)]
        ends = [*(start for start, _ in places), len(self.text)]
        return tuple(self.text[start:end] for start, end in zip(starts, ends, strict=True))

    def read(self, text: str) -> dict[str, str] | None:
        """The variables' values that make the text of this template; None if none do."""
        first, *between, last = (*self.literals, "") if not self.names else self.literals
        if not self.names:
            return {} if text == first else None
        end = len(text) - len(last)
        if not text.startswith(first) or not text.endswith(last) or end < len(first):
            return None
        values: dict[str, str] = {}
        place = len(first)
        for name, literal in zip(self.names, [*between, None], strict=True):
            found = end if literal is None else text.find(literal, place, end)
            if found < 0:
                return None
            value = text[place:found]
            if values.setdefault(name, value) != value:
                return None
            place = found + len(literal or "")
        return values


class Templates:
    """The approved templates of one provider."""

    def __init__(self, templates: Iterable[Template]) -> None:
        self._templates = list(templates)

    def match(
        self, text: str, message_class: MessageClass, abroad: bool
    ) -> tuple[Template, dict[str, str]] | None:
        """The template that reads like the text, and the values of its variables."""
        for place, template in enumerate(self._templates):
            if template.message_class not in (None, message_class):
                continue
            if template.abroad not in (None, abroad):
                continue
            values = template.read(text)
            if values is not None:
                if place:  # the next message is probably of the same campaign
                    self._templates.insert(0, self._templates.pop(place))
                return template, values
        return None


def wrong_with_template(
    text: str, message_class: MessageClass, opt_out: str, abroad: bool
) -> Iterator[str]:
    """Why reviewers at home would reject a template."""
    if abroad:
        return
    template = Template("", text)
    if "【" in text or "】" in text:
        yield "the signature is put in front by itself: leave 【 and 】 out"
    if template.names and not "".join(template.literals).strip():
        yield "a template cannot be made of variables alone"
    if "" in template.literals[1:-1]:
        yield "two variables cannot stand side by side"
    if message_class == "marketing" and not text.endswith(opt_out):
        yield f"a marketing template has to end with {opt_out}"
    if message_class == "service" and text.endswith(opt_out):
        yield f"{opt_out} belongs to marketing only"
