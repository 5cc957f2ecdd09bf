"""The GraphQL types of the plugin, and what of theirs becomes what of ours."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any

import strawberry

from core.schema.errors import UserError
from core.schema.scalars import Money, global_id, money, need_id
from core.sdk import InvalidInput
from core.sdk.money import to_minor
from plugins.coupons.issuing import Issued
from plugins.coupons.quoting import Basket, Line, Quoted
from plugins.coupons.redeeming import Outcome, Purchase
from plugins.coupons.templates import Template

TEMPLATE, COUPON = "CouponTemplate", "Coupon"
ERRORS = strawberry.field(default_factory=list)
HUNDRED = Decimal(100)


@strawberry.enum(description="What a coupon does.")
class CouponKind(Enum):
    AMOUNT_OFF = "amount_off"
    PERCENT_OFF = "percent_off"
    FREE_SHIPPING = "free_shipping"
    GIFT = "gift"


@strawberry.enum(description="Where a template's codes come from.")
class CouponSourceKind(Enum):
    OWN = strawberry.enum_value("own", description="Made here: one unguessable code for each.")
    PUBLIC = strawberry.enum_value("public", description="One code for all.")
    POOL = strawberry.enum_value("pool", description="Imported from elsewhere, each used once.")
    PLATFORM = strawberry.enum_value(
        "platform", description="A coupon of the shop's platform, given there."
    )


@strawberry.enum
class CouponTemplateState(Enum):
    ACTIVE = "active"
    PAUSED = "paused"
    ENDED = "ended"


@strawberry.enum(description="How far a coupon is.")
class CouponState(Enum):
    STOCK = "stock"
    GRANTED = "granted"
    RESERVED = "reserved"
    REDEEMED = "redeemed"
    EXPIRED = "expired"
    REVOKED = "revoked"


@strawberry.type(description="A kind of coupon.")
class CouponTemplate:
    id: strawberry.ID
    name: str
    handle: str = strawberry.field(
        description="What journeys and texts name it by: {{ coupons.<handle>.code }}."
    )
    kind: CouponKind
    amount: Money | None = strawberry.field(description="What AMOUNT_OFF takes off.")
    percent: Decimal | None = strawberry.field(description="What PERCENT_OFF takes off.")
    threshold: Money | None = strawberry.field(description="From what amount of goods on.")
    source: CouponSourceKind
    state: CouponTemplateState
    public_code: str | None
    valid_from: datetime | None
    valid_until: datetime | None
    valid_days: int | None = strawberry.field(description="How many days from granting on.")
    per_customer: int | None
    total: int | None
    daily: int | None
    issued: int = strawberry.field(description="How many coupons customers got.")
    budget: Money | None
    spent: Money | None = strawberry.field(description="Of the budget; null without one.")


@strawberry.type(description="A customer's coupon.")
class Coupon:
    id: strawberry.ID
    template_id: strawberry.ID
    name: str
    code: str | None = strawberry.field(description="Null for a coupon of a platform.")
    state: CouponState
    granted_at: datetime | None
    expires_at: datetime | None
    redeemed_at: datetime | None
    amount: Money | None = strawberry.field(description="What it took off.")


@strawberry.type(description="What became of one customer's grant.")
class CouponGrant:
    customer_id: strawberry.ID
    coupon_id: strawberry.ID | None
    code: str | None
    expires_at: datetime | None
    reason: str | None = strawberry.field(description="Why there is none.")


@strawberry.type(description="What one code is worth for a basket.")
class CouponQuote:
    code: str
    applicable: bool
    amount: Money | None = strawberry.field(description="What it takes off.")
    gift: str | None
    reason: str | None = strawberry.field(description="Why it does not apply.")
    coupon_id: strawberry.ID | None


@strawberry.type(description="What the codes are worth for a basket, one after the other.")
class CouponOutcome:
    done: bool = strawberry.field(description="Whether all of the codes apply.")
    amount: Money = strawberry.field(description="What they take off in all.")
    codes: list[CouponQuote]


@strawberry.input
class CouponsTemplateCreateInput:
    name: str
    handle: str = strawberry.field(description="Small letters, digits and _.")
    kind: CouponKind
    currency: str
    source: CouponSourceKind = CouponSourceKind.OWN
    amount: Decimal | None = None
    percent: Decimal | None = strawberry.field(default=None, description="12.5 is an eighth.")
    gift: str | None = None
    per_item: bool = strawberry.field(default=False, description="The amount is off each piece.")
    threshold: Decimal | None = None
    max_off: Decimal | None = None
    shop_ids: list[strawberry.ID] = strawberry.field(default_factory=list)
    platforms: list[str] = strawberry.field(default_factory=list)
    product_ids: list[str] = strawberry.field(default_factory=list)
    segment_id: strawberry.ID | None = strawberry.field(
        default=None, description="Only customers of this segment can have one."
    )
    public_code: str | None = None
    platform_shop_id: strawberry.ID | None = None
    platform_coupon: str | None = strawberry.field(
        default=None, description="The coupon's id on the platform."
    )
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    valid_days: int | None = None
    per_customer: int | None = None
    total: int | None = None
    daily: int | None = None
    budget: Decimal | None = None
    stack_group: str | None = strawberry.field(
        default=None, description="Of a group one coupon can be used for an order."
    )
    exclusive: bool = strawberry.field(default=False, description="Goes with no other coupon.")
    claimable: bool = strawberry.field(default=False, description="Customers may take one.")
    transfers: int = strawberry.field(default=0, description="How often one can be given away.")
    low_stock: int | None = strawberry.field(
        default=None, description="At so few codes `coupons.stock_low` is told."
    )


@strawberry.input(description="What is absent stays.")
class CouponsTemplateUpdateInput:
    name: strawberry.Maybe[str]
    state: strawberry.Maybe[CouponTemplateState]
    valid_from: strawberry.Maybe[datetime | None]
    valid_until: strawberry.Maybe[datetime | None]
    valid_days: strawberry.Maybe[int | None]
    per_customer: strawberry.Maybe[int | None]
    total: strawberry.Maybe[int | None]
    daily: strawberry.Maybe[int | None]
    budget: strawberry.Maybe[Decimal | None]
    claimable: strawberry.Maybe[bool]
    transfers: strawberry.Maybe[int]
    low_stock: strawberry.Maybe[int | None]


@strawberry.input(description="An article of a basket.")
class CouponLineInput:
    product_id: str
    amount: Decimal = strawberry.field(description="The price of all its pieces.")
    quantity: int = 1


@strawberry.input(description="What somebody is about to buy, and the codes for it in their order.")
class CouponBasketInput:
    codes: list[str]
    currency: str
    lines: list[CouponLineInput]
    shipping: Decimal = Decimal(0)
    shop_id: strawberry.ID | None = None
    customer_id: strawberry.ID | None = None
    order: str | None = strawberry.field(
        default=None,
        description="The order's number. A call that is repeated with it changes nothing more.",
    )
    address: str | None = strawberry.field(
        default=None, description="Only kept as a fingerprint, to notice many for one address."
    )
    client: str | None = strawberry.field(
        default=None, description="Who types the codes (an IP address), to slow guessers down."
    )


@strawberry.type
class CouponsTemplateCreatePayload:
    template: CouponTemplate | None = None
    errors: list[UserError] = ERRORS


@strawberry.type
class CouponsTemplateUpdatePayload:
    template: CouponTemplate | None = None
    errors: list[UserError] = ERRORS


def minor(amount: Decimal | None, currency: str, name: str) -> int | None:
    """An amount in minor units. Raises InvalidInput, with the value's name in its path."""
    if amount is None:
        return None
    try:
        return to_minor(amount, currency)
    except (ValueError, InvalidOperation) as error:
        raise InvalidInput(str(error), ("input", name)) from None


def template_values(given: CouponsTemplateCreateInput) -> dict[str, Any]:
    """The values of a new template. Raises InvalidInput, NotFound."""
    plain = (
        "name", "handle", "currency", "gift", "per_item", "platforms", "product_ids", "public_code",
        "platform_coupon", "valid_from", "valid_until", "valid_days", "per_customer", "total",
        "daily", "stack_group", "exclusive", "claimable", "transfers", "low_stock",
    )  # fmt: skip
    values: dict[str, Any] = {name: getattr(given, name) for name in plain}
    currency = given.currency
    value = minor(given.amount, currency, "amount") or 0
    if given.percent is not None:
        scaled = given.percent * HUNDRED
        if given.amount is not None or scaled != int(scaled):
            raise InvalidInput("give either an amount or a percentage of two decimals",
                               ("input", "percent"))  # fmt: skip
        value = int(scaled)
    if (given.percent is not None) != (given.kind is CouponKind.PERCENT_OFF):
        raise InvalidInput("a percentage belongs to PERCENT_OFF", ("input", "percent"))
    for name in ("threshold", "max_off", "budget"):
        values[name] = minor(getattr(given, name), currency, name)
    values |= {"kind": given.kind.value, "source": given.source.value, "value": value}
    values["shop_ids"] = [need_id("Shop", one, ("input", "shop_ids")) for one in given.shop_ids]
    for name, kind in (("segment_id", "Segment"), ("platform_shop_id", "Shop")):
        text = getattr(given, name)
        values[name] = None if text is None else need_id(kind, text, ("input", name))
    return values


def purchase(given: CouponBasketInput) -> Purchase:
    """A basket with its codes. Raises InvalidInput, NotFound."""
    currency = given.currency
    lines = [
        Line(one.product_id, minor(one.amount, currency, "lines") or 0, one.quantity)
        for one in given.lines
    ]
    basket = Basket(
        currency=currency, lines=lines, shipping=minor(given.shipping, currency, "shipping") or 0,
        shop_id=None if given.shop_id is None
        else need_id("Shop", given.shop_id, ("input", "shop_id")),
        customer_id=None if given.customer_id is None
        else need_id("Customer", given.customer_id, ("input", "customer_id")),
        order=given.order, address=given.address,
    )  # fmt: skip
    return Purchase(basket, given.codes)


def template_shape(one: Template) -> CouponTemplate:
    def shown(amount: int | None) -> Money | None:
        return None if amount is None else money(amount, one.currency)

    return CouponTemplate(
        id=global_id(TEMPLATE, one.id), name=one.name, handle=one.handle, kind=CouponKind(one.kind),
        amount=shown(one.value if one.kind == "amount_off" else None),
        percent=Decimal(one.value) / HUNDRED if one.kind == "percent_off" else None,
        threshold=shown(one.threshold), source=CouponSourceKind(one.source),
        state=CouponTemplateState(one.state), public_code=one.public_code,
        valid_from=one.valid_from, valid_until=one.valid_until, valid_days=one.valid_days,
        per_customer=one.per_customer, total=one.total, daily=one.daily, issued=one.issued,
        budget=shown(one.budget), spent=shown(None if one.budget is None else one.spent),
    )  # fmt: skip


def grants(issued: Sequence[Issued]) -> list[CouponGrant]:
    return [
        CouponGrant(
            customer_id=global_id("Customer", one.customer_id),
            coupon_id=None if one.coupon_id is None else global_id(COUPON, one.coupon_id),
            code=one.code, expires_at=one.expires_at, reason=one.reason,
        )
        for one in issued
    ]  # fmt: skip


def outcome_shape(one: Outcome, currency: str) -> CouponOutcome:
    return CouponOutcome(
        done=one.done, amount=money(one.amount, currency),
        codes=[_quote(code, currency) for code in one.codes],
    )  # fmt: skip


def _quote(one: Quoted, currency: str) -> CouponQuote:
    usable = one.reason is None
    return CouponQuote(
        code=one.code, applicable=usable, amount=money(one.amount, currency) if usable else None,
        gift=one.gift, reason=one.reason,
        coupon_id=None if one.coupon_id is None else global_id(COUPON, one.coupon_id),
    )  # fmt: skip
