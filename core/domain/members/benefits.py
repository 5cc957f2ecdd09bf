"""What a tier gives its members, as typed entries that plugins, campaigns and frontends read."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from core.domain.members.rules import Part
from core.sdk.errors import InvalidInput, Several

NORMAL = 100


class Discount(Part):
    """So many percent off every order."""

    kind: Literal["discount"] = "discount"
    percent: int = Field(ge=1, le=99)


class FreeShipping(Part):
    """No shipping fee from an order's amount on (minor units); 0 is always."""

    kind: Literal["free_shipping"] = "free_shipping"
    from_amount: int = Field(default=0, ge=0)


class BirthdayGift(Part):
    """A gift or points on the member's birthday."""

    kind: Literal["birthday_gift"] = "birthday_gift"
    text: str = Field(min_length=1, max_length=200)
    points: int = Field(default=0, ge=0, le=1_000_000)


class ExclusiveItems(Part):
    """Products that only such members can buy."""

    kind: Literal["exclusive_items"] = "exclusive_items"
    product_ids: list[str] = Field(min_length=1, max_length=1000)


class ServiceLevel(Part):
    """Service before others: a name that routing of conversations understands."""

    kind: Literal["service_level"] = "service_level"
    level: str = Field(min_length=1, max_length=100)


class PointsMultiplier(Part):
    """Points of orders are multiplied: 150 is one and a half times as many."""

    kind: Literal["points_multiplier"] = "points_multiplier"
    percent: int = Field(ge=1, le=10_000)


Benefit = Annotated[
    Discount | FreeShipping | BirthdayGift | ExclusiveItems | ServiceLevel | PointsMultiplier,
    Field(discriminator="kind"),
]
_BENEFITS = TypeAdapter(list[Benefit])


def check_benefits(given: Sequence[Mapping[str, Any]]) -> list[Benefit]:
    """The benefits, checked; one of each kind. Raises Several, InvalidInput."""
    try:
        benefits = _BENEFITS.validate_python(list(given))
    except ValidationError as error:
        raise Several([
            InvalidInput(one["msg"], ("input", "benefits", *map(str, one["loc"])))
            for one in error.errors()
        ]) from None  # fmt: skip
    kinds = [benefit.kind for benefit in benefits]
    if len(set(kinds)) < len(kinds):
        raise InvalidInput("a tier has each kind of benefit once", ("input", "benefits"))
    return benefits


def stored_benefits(text: str) -> list[Benefit]:
    """The benefits of a database row."""
    return _BENEFITS.validate_json(text)


def dump_benefits(benefits: Sequence[Benefit]) -> str:
    """The benefits as they are stored."""
    return _BENEFITS.dump_json(list(benefits)).decode()
