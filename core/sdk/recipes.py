"""Recipes: ready-made campaigns that a merchant switches on with a few parameters.

What they make are ordinary campaigns, which the merchant may change afterwards.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import time
from html import escape
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from core.sdk.channels import Channel, MessageClass
from core.sdk.facets import Language, Text
from core.sdk.flows import Duration, Flow, Options, Send, Variant

OPT_OUT = Text(" Reply R to opt out", "拒收请回复R")
"""What marketing by SMS ends with."""

UNSUBSCRIBE = Text("Unsubscribe", "退订")

FOLLOW = Text("Have a look", "点击查看")
"""What a link in an email says: filters dislike an address that leads, as counted, elsewhere."""


def parameter(default: Any, en: str, zh: str, **limits: Any) -> Any:
    """A parameter with its titles; `...` as the default makes it required."""
    return Field(default, title=en, json_schema_extra={"title_zh": zh}, **limits)


class Parameters(BaseModel):
    """What a merchant may set. Subclasses add fields made with `parameter`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    channel: str = parameter("email", "Channel", "渠道")


@dataclass(frozen=True)
class Words:
    """A message: its subject, where the channel has one, and its text, which are Liquid."""

    subject: str
    text: str


@dataclass(frozen=True)
class NewSegment:
    """A segment that a campaign needs; one of the merchant's with the same rule is taken."""

    name: str
    rule: Mapping[str, Any]
    """As stored, without its version: {"lifecycle_stage": {"any_of": ["SLEEPING"]}}."""


@dataclass(frozen=True)
class NewCampaign:
    """A campaign to make. `flow` gets the ids of `segments`, in their order."""

    name: str
    flow: Callable[[Sequence[int]], Flow]
    segments: Sequence[NewSegment] = ()
    options: Options = field(default_factory=Options)


def same_day(at: time) -> Options:
    """Options of a campaign at a time of day: what it says of today is not said tomorrow."""
    return Options(max_lateness=Duration(minutes=24 * 60 - at.hour * 60 - at.minute))


@dataclass(frozen=True)
class Asked:
    """What a recipe is asked to make: in which language, for which shop (None: all), how."""

    parameters: Any
    language: Language
    shop_id: int | None
    channel: Channel

    def say(self, en: str, zh: str) -> str:
        """The words in the language asked for."""
        return zh if self.language == "zh" else en

    @property
    def orders(self) -> dict[str, Any]:
        """A filter of orders by the shop, to be put into a rule."""
        return {} if self.shop_id is None else {"orders": {"shop_ids": [self.shop_id]}}

    @property
    def in_shop(self) -> dict[str, Any]:
        """The shop as a parameter of those facets that have one."""
        return {} if self.shop_id is None else {"shop_id": self.shop_id}

    @property
    def where(self) -> dict[str, list[str | int | bool]]:
        """A filter of events by the shop."""
        return {} if self.shop_id is None else {"shop_id": [self.shop_id]}

    def send(
        self,
        key: str,
        en: Words,
        zh: Words,
        *,
        message_class: MessageClass = "marketing",
        **more: Any,
    ) -> Send:
        """A step that sends a message by the channel asked for."""
        words = zh if self.language == "zh" else en
        content = fill(self.channel, words, message_class, self.language)
        return Send(
            key=key, channel=self.channel.name, message_class=message_class,
            variants=[Variant(content=content)], **more,
        )  # fmt: skip


def fill(
    channel: Channel, words: Words, message_class: MessageClass, language: Language
) -> dict[str, str]:
    """Words as the content of a channel's fields.

    A field of HTML gets the text in paragraphs, a line that is an address as a link; one named
    "subject" or "title" gets the subject, and the first of the others the text. Marketing says how
    to refuse it.
    """
    zh = language == "zh"
    marketing = message_class == "marketing"
    content: dict[str, str] = {}
    text_placed = False
    for one in channel.fields:
        if one.html:
            lines = [
                f"<p>{_as_html(line.strip(), FOLLOW[zh])}</p>" for line in words.text.split("\n")
            ]
            if marketing:
                link = '<a href="{{ unsubscribe_url }}">' + UNSUBSCRIBE[zh] + "</a>"
                lines.append(f"<p>{link}</p>")
            content[one.name] = "\n".join(lines)
            text_placed = True
        elif one.name in ("subject", "title"):
            content[one.name] = words.subject
        elif one.required and not text_placed:
            text = words.text.replace("\n", "") if zh else " ".join(words.text.split())
            refusal = OPT_OUT[zh] if marketing and channel.contact == "phone" else ""
            content[one.name] = (text + refusal).strip()
            text_placed = True
    return content


def _as_html(line: str, follow: str) -> str:
    shown = escape(line, quote=False)
    linked = line.startswith(("https://", "http://")) and '"' not in line
    return f'<a href="{shown}">{follow}</a>' if linked else shown


class Recipe(ABC):
    """Describes campaigns and makes them.

    `name` is unique. It can be on once for a shop and channel, and for each value of the parameters
    named in `apart`.
    """

    name: ClassVar[str]
    title: ClassVar[Text]
    description: ClassVar[Text]
    group: ClassVar[Literal["orders", "after_sales", "dates", "lifecycle", "events"]]
    parameters: ClassVar[type[Parameters]] = Parameters
    example: ClassVar[Mapping[str, Any]] = {}
    """Values for the parameters that must be given, for showing what the recipe makes."""
    apart: ClassVar[tuple[str, ...]] = ()
    sends: ClassVar[bool] = True
    """Whether its campaigns send messages, for which the channel must be switched on."""

    @abstractmethod
    def build(self, asked: Asked) -> Sequence[NewCampaign]:
        """The campaigns to make; `asked.parameters` is an instance of `parameters`.

        Raises InvalidInput for parameters that do not go together.
        """
