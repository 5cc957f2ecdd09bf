"""Pieces that the recipes' texts share."""

from typing import Any

from pydantic import field_validator

from core.sdk.ids import split_id
from core.sdk.recipes import Parameters, parameter

NAME = '{{ customer.name | default: "there" }}'
NAME_ZH = '{{ customer.name | default: "亲" }}'
SHOP = "{{ shop.name }}"


class Offer(Parameters):
    """Parameters of marketing: what there is to gain, and where."""

    offer: str = parameter("", "Offer, as the text says it", "优惠内容", max_length=200)
    link: str = parameter("", "Link", "链接", max_length=500)

    def either(self, with_offer: str, without: str) -> str:
        """Words for a message with an offer, and for one that must promise nothing."""
        return with_offer if self.offer.strip() else without

    def lines(self) -> list[str]:
        """The offer and the link, each a line if it is given."""
        return [line for line in (self.offer.strip(), apart(self.link)) if line]


class ForSome(Parameters):
    """Parameters of what only some customers get, if the merchant wants that."""

    tag: str = parameter(
        "", "Only customers with this tag, such as small-B buyers", "仅限有此标签的客户，如小B",
        max_length=100,
    )  # fmt: skip
    segment: str = parameter(
        "",
        "Only customers in this segment, by its id",
        "仅限此分群的客户（分群ID）",
        max_length=100,
    )

    @field_validator("segment")
    @classmethod
    def _is_segment(cls, text: str) -> str:
        found = split_id(text) if text else None
        if text and (found is None or found[0] != "Segment"):
            raise ValueError("give the id of a segment, as the API tells it")
        return text

    @property
    def entry_rule(self) -> Any:
        """Who comes in, as a stored rule; None: everybody."""
        asked: list[Any] = [{"tag": {"any_of": [self.tag]}}] if self.tag else []
        if (found := split_id(self.segment)) is not None:
            asked.append({"in_segment": {"segment_id": found[1]}})
        return {"version": 1, "rule": {"all": asked}} if asked else None


def apart(link: str) -> str:
    """A link with spaces about it, else phones take the Chinese words around as a part of it."""
    return f" {link.strip()} " if link.strip() else ""


def text(*lines: str) -> str:
    """Lines of a message, without the empty ones."""
    return "\n".join(line for line in lines if line)
