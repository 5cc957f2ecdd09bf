"""A text, compiled once and filled in for each customer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.domain.campaigns.content.templates import Liquid, RenderError, template
from core.domain.campaigns.content.tracking import Addresses, with_tracking
from core.domain.campaigns.content.variables import known_variables
from core.domain.campaigns.content.writing import check_content, sources, variables_named
from core.sdk.channels import Channel, ContentField
from core.sdk.flows import Options

UNTRACKED = Options(track_clicks=False)


@dataclass(frozen=True)
class Sender:
    """In whose name messages go out: merchant, shop if any, and the zone of their days."""

    merchant: str
    shop: str | None
    zone: str


@dataclass(frozen=True)
class Recipient:
    """What a template may know about one customer; `values` are the further variables by name."""

    name: str | None
    province: str | None
    city: str | None
    unsubscribe_url: str
    preferences_url: str
    values: Mapping[str, Any] = field(default_factory=dict)


class Content:
    """The compiled templates of one text.

    `names` are the variables that it names, `tracking` its links. `known` are the variables that
    there are; by default all but custom fields. Raises Several(InvalidInput) when the templates do
    not fit the channel's fields.
    """

    def __init__(
        self,
        channel: Channel,
        content: Mapping[str, str],
        sender: Sender,
        known: frozenset[str] | None = None,
        options: Options = UNTRACKED,
    ) -> None:
        known = known_variables() if known is None else known
        check_content(channel, content, known)
        self.zone = sender.zone
        made, self.tracking = with_tracking(channel, sources(channel, content), options)
        variables = known | self.tracking.variables
        fixed = {"merchant.name": sender.merchant, "shop.name": sender.shop or sender.merchant}
        self._templates = [
            (field, template(made[field.name], field.html, fixed, variables))
            for field in channel.fields
            if field.name in made
        ]
        self.names = variables_named(channel, content)
        if any(isinstance(one, Liquid) for _, one in self._templates):
            self.names |= {"now"}  # the filter `date` takes the zone from it

    def render(self, recipient: Recipient, addresses: Addresses | None = None) -> dict[str, str]:
        """The message's fields for one customer. Raises RenderError.

        `addresses` gathers its links with variables; only an untracked text does without.
        """
        own = {
            "customer.name": recipient.name,
            "customer.province": recipient.province,
            "customer.city": recipient.city,
            "unsubscribe_url": recipient.unsubscribe_url,
            "preferences_url": recipient.preferences_url,
        }
        values = {name: value for name, value in own.items() if value}
        values.update(recipient.values)
        made = {}
        for part, one in self._templates:
            try:
                text = one.render(values)
                if addresses is not None:
                    text = addresses.followed(text, part.html)
                made[part.name] = _checked(part, text)
            except RenderError as error:
                raise RenderError(f"{part.name}: {error}") from None
        return made


def _checked(part: ContentField, text: str) -> str:
    if len(text) > part.max_length:
        raise RenderError(f"longer than {part.max_length} characters")
    if part.required and not text.strip():
        raise RenderError("empty")
    return text
