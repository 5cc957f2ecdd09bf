"""What a coupon takes off a basket, or why nothing: reckoned without looking anything up."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from plugins.coupons.templates import Template

PERCENT = 10_000
"""A whole, in hundredths of a percent."""


@dataclass(frozen=True)
class Line:
    """An article of a basket; `amount` is the price of all its pieces, in minor units."""

    product_id: str
    amount: int
    quantity: int = 1


@dataclass(frozen=True)
class Basket:
    """What somebody is about to buy. Amounts are minor units of `currency`.

    `order` is the order's number, by which a repeated call is known; `address` is only compared.
    """

    currency: str
    lines: Sequence[Line]
    shipping: int = 0
    shop_id: int | None = None
    customer_id: int | None = None
    order: str | None = None
    address: str | None = None

    @property
    def ref(self) -> str | None:
        """The order's number, told apart from those of other shops."""
        return None if self.order is None else f"{self.shop_id or 0}:{self.order}"


@dataclass(frozen=True)
class Quoted:
    """What one code is worth for a basket: `amount` off, or `reason` why nothing."""

    code: str
    amount: int = 0
    reason: str | None = None
    gift: str | None = None
    template_id: int | None = None
    coupon_id: int | None = None


@dataclass
class Left:
    """What is left to pay of a basket while one coupon after the other takes its part."""

    lines: list[int]
    shipping: int

    @classmethod
    def of(cls, basket: Basket) -> "Left":
        return cls([line.amount for line in basket.lines], basket.shipping)


@dataclass
class Stack:
    """Which coupons a basket has so far, for those that do not go with others."""

    templates: list[Template] = field(default_factory=list)

    def why_not(self, template: Template) -> str | None:
        """Why a coupon does not go with those that are there, or None."""
        for other in self.templates:
            if template.exclusive or other.exclusive:
                return f"it cannot be used together with {other.name}"
            if template.stack_group is not None and template.stack_group == other.stack_group:
                return f"only one coupon of the group {template.stack_group} can be used"
        return None


def valid(template: Template, expires_at: datetime | None, now: datetime) -> str | None:
    """Why a template's coupon cannot be used at this time, or None."""
    if template.state != "active":
        return "it is not in use"
    if template.valid_from is not None and now < template.valid_from:
        return f"it can be used from {template.valid_from.isoformat()} on"
    ends = [one for one in (template.valid_until, expires_at) if one is not None]
    if ends and now >= min(ends):
        return "it has expired"
    return None


def fits(template: Template, basket: Basket, platform: str | None) -> str | None:
    """Why a template is not for this basket at all, or None."""
    if template.currency != basket.currency:
        return f"it is for {template.currency}"
    if template.shop_ids and basket.shop_id not in template.shop_ids:
        return "it is for another shop"
    if template.platforms and platform not in template.platforms:
        return "it is for another platform"
    goods = _goods(template, basket)
    if not goods:
        return "it is for other products"
    value = sum(basket.lines[place].amount for place in goods)
    if template.threshold is not None and value < template.threshold:
        return f"{template.threshold - value} minor units are missing to its threshold"
    return None


def take_off(template: Template, basket: Basket, left: Left) -> int:
    """What the coupon takes off; `left` is lowered by that.

    Percents are of what earlier coupons have left, and rounded down.
    """
    if template.kind == "gift":
        return 0
    if template.kind == "free_shipping":
        amount = _capped(template, left.shipping)
        left.shipping -= amount
        return amount
    goods = _goods(template, basket)
    most = sum(left.lines[place] for place in goods)
    if template.kind == "percent_off":
        wanted = most * template.value // PERCENT
    elif template.per_item:
        wanted = sum(
            min(template.value * basket.lines[place].quantity, left.lines[place]) for place in goods
        )
    else:
        wanted = template.value
    amount = _capped(template, min(wanted, most))
    _spread(amount, goods, left)
    return amount


def _goods(template: Template, basket: Basket) -> list[int]:
    """The places of the lines that the coupon is for."""
    return [
        place for place, line in enumerate(basket.lines)
        if not template.product_ids or line.product_id in template.product_ids
    ]  # fmt: skip


def _capped(template: Template, amount: int) -> int:
    return amount if template.max_off is None else min(amount, template.max_off)


def _spread(amount: int, goods: Sequence[int], left: Left) -> None:
    """Lower the lines by their shares, so that no line goes below nothing."""
    whole = sum(left.lines[place] for place in goods)
    for place in goods:
        share = amount * left.lines[place] // whole if whole else 0
        whole -= left.lines[place]
        left.lines[place] -= share
        amount -= share
