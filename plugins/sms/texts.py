"""A message on its way to a provider: its number, text, signature, template, parts and price."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import phonenumbers

from core.domain.campaigns.content.sms import (
    faults,
    has_link,
    measure,
    says_how_to_refuse,
)
from core.sdk import MessageClass, Receipt
from plugins.sms.settings import ELSEWHERE, ProviderSettings
from plugins.sms.templates import Template

HOME = "+86"
HOME_REGION = "CN"
NUMBER_LENGTH = 11


def is_abroad(to: str) -> bool:
    """Whether a number in E.164 is not of mainland China."""
    return not to.startswith(HOME)


def short_number(to: str) -> str:
    """A number as providers at home write it: 13800138000, or 447700900000 abroad."""
    return to.removeprefix("+") if is_abroad(to) else to.removeprefix(HOME)


def full_number(number: str) -> str:
    """The E.164 form of what a provider at home calls a number: 13800138000, 8613800138000 ..."""
    digits = number.strip().removeprefix("+").removeprefix("00")
    is_home = len(digits) == NUMBER_LENGTH and digits.startswith("1")
    return f"{HOME}{digits}" if is_home else f"+{digits}"


def region_of(to: str) -> str:
    """The region of a number in E.164 ("CN"), "" if there is none."""
    if not is_abroad(to):
        return HOME_REGION
    try:
        return phonenumbers.region_code_for_number(phonenumbers.parse(to)) or ""
    except phonenumbers.NumberParseException:
        return ""


def prefix_of(to: str) -> str:
    """By which a number's carrier is told: the first three digits at home, the country abroad."""
    return to[3:6] if not is_abroad(to) else f"+{phonenumbers.parse(to).country_code}"


@dataclass(frozen=True, slots=True)
class Text:
    """A text for one provider. `values` are those of the template's variables, by name."""

    key: str
    to: str
    text: str
    signature: str
    message_class: MessageClass
    parts: int
    template: Template | None = None
    values: dict[str, str] | None = None
    attempt: int = 1

    @property
    def signed(self) -> str:
        return f"【{self.signature}】{self.text}"


def wrong_with(
    text: str, signature: str, opt_out: str, message_class: MessageClass, abroad: bool
) -> Iterator[str]:
    """Why no provider would take the text, or the law would not have it sent."""
    yield from faults(text, signature, abroad)
    if message_class == "marketing" and not abroad and not says_how_to_refuse(text, opt_out):
        yield f"a marketing text has to end by saying how to get no more: {opt_out}"


def link_in(values: dict[str, str]) -> str | None:
    """The name of a variable whose value brings a link, if there is one."""
    return next((name for name, value in values.items() if has_link(value)), None)


def parts_of(text: str, signature: str, abroad: bool) -> int:
    """In how many parts a text goes out."""
    return measure(text, signature, abroad).parts


def price_of(provider: ProviderSettings, to: str) -> Decimal | None:
    """What one part to this number costs at a provider, if that is known."""
    return provider.prices.get(region_of(to), provider.prices.get(ELSEWHERE))


def priced(receipt: Receipt, text: Text, provider: ProviderSettings) -> Receipt:
    """The receipt with parts and cost, where the provider does not tell them itself."""
    price = price_of(provider, text.to)
    parts = receipt.parts or text.parts
    cost = receipt.cost
    if cost is None and price is not None:
        cost = price * parts
    return Receipt(
        receipt.provider_id, provider.name, parts, cost,
        receipt.currency or (None if cost is None else provider.currency),
    )  # fmt: skip
