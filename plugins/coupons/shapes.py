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

NAME = "For staff, 1 to 100 characters."
FROM = "Before then its coupons cannot be used; null: at once."
UNTIL = "From then on its coupons are neither given nor usable; null: no end."
EACH = "How many a customer can have, revoked ones aside; null: any number."
TOTAL = "How many there can be in all, codes in stock aside; null: any number."
DAILY = "How many can be given on a day of the merchant's calendar; null: any number."
BUDGET = "What reserved and redeemed ones may take off in all, in major units; null: any amount."
ENDS = "From then on it cannot be used; null: no end."


@strawberry.enum(description="What a coupon does.")
class CouponKind(Enum):
    AMOUNT_OFF = strawberry.enum_value(
        "amount_off", description="An amount off the goods, or off each piece with `perItem`."
    )
    PERCENT_OFF = strawberry.enum_value(
        "percent_off",
        description="A share off what earlier coupons have left of the goods, rounded down.",
    )
    FREE_SHIPPING = strawberry.enum_value(
        "free_shipping", description="Shipping costs nothing, or less by `maxOff`."
    )
    GIFT = strawberry.enum_value(
        "gift", description="Takes nothing off; `gift` says what is given."
    )


@strawberry.enum(description="Where a template's codes come from.")
class CouponSourceKind(Enum):
    OWN = strawberry.enum_value("own", description="Made here: one unguessable code for each.")
    PUBLIC = strawberry.enum_value("public", description="One code for all.")
    POOL = strawberry.enum_value("pool", description="Imported from elsewhere, each used once.")
    PLATFORM = strawberry.enum_value(
        "platform", description="A coupon of the shop's platform, given there."
    )


@strawberry.enum(description="Whether a template's coupons can be had and used.")
class CouponTemplateState(Enum):
    ACTIVE = strawberry.enum_value("active", description="They are given and can be used.")
    PAUSED = strawberry.enum_value(
        "paused",
        description="None are given or redeemed until it is active again; reservations hold.",
    )
    ENDED = strawberry.enum_value("ended", description="As PAUSED, and meant for good.")


@strawberry.enum(description="How far a coupon is.")
class CouponState(Enum):
    STOCK = strawberry.enum_value(
        "stock", description="A code that nobody has yet, made in advance or imported."
    )
    GRANTED = strawberry.enum_value("granted", description="A customer has it, unused.")
    RESERVED = strawberry.enum_value(
        "reserved", description="Held for an order that is being paid."
    )
    REDEEMED = strawberry.enum_value("redeemed", description="Used for an order.")
    EXPIRED = strawberry.enum_value("expired", description="Its time was over before it was used.")
    REVOKED = strawberry.enum_value(
        "revoked", description="Taken out of use; also a use of a public code that was given back."
    )


@strawberry.type(description="A kind of coupon.")
class CouponTemplate:
    id: strawberry.ID
    name: str = strawberry.field(description=NAME)
    handle: str = strawberry.field(
        description="What journeys and texts name it by: {{ coupons.<handle>.code }}."
    )
    kind: CouponKind = strawberry.field(description="What its coupons do.")
    amount: Money | None = strawberry.field(description="What AMOUNT_OFF takes off.")
    percent: Decimal | None = strawberry.field(description="What PERCENT_OFF takes off.")
    threshold: Money | None = strawberry.field(description="From what amount of goods on.")
    source: CouponSourceKind = strawberry.field(description="Where its codes come from.")
    state: CouponTemplateState = strawberry.field(
        description="Whether its coupons can be had and used now."
    )
    public_code: str | None = strawberry.field(
        description="The one code of a PUBLIC template, in capitals without spaces; else null."
    )
    valid_from: datetime | None = strawberry.field(description=FROM)
    valid_until: datetime | None = strawberry.field(description=UNTIL)
    valid_days: int | None = strawberry.field(description="How many days from granting on.")
    per_customer: int | None = strawberry.field(description=EACH)
    total: int | None = strawberry.field(description=TOTAL)
    daily: int | None = strawberry.field(description=DAILY)
    issued: int = strawberry.field(description="How many coupons customers got.")
    budget: Money | None = strawberry.field(
        description="What reserved and redeemed ones may take off in all; null: any amount."
    )
    spent: Money | None = strawberry.field(description="Of the budget; null without one.")


@strawberry.type(description="A customer's coupon.")
class Coupon:
    id: strawberry.ID
    template_id: strawberry.ID = strawberry.field(
        description="Which of `couponsTemplates` it is of."
    )
    name: str = strawberry.field(description="That of its template.")
    code: str | None = strawberry.field(description="Null for a coupon of a platform.")
    state: CouponState = strawberry.field(
        description="A granted one that is past `expiresAt` cannot be used either."
    )
    granted_at: datetime | None = strawberry.field(description="When the customer got it.")
    expires_at: datetime | None = strawberry.field(description=ENDS)
    redeemed_at: datetime | None = strawberry.field(
        description="When it was used for an order; null unless REDEEMED."
    )
    amount: Money | None = strawberry.field(description="What it took off.")


@strawberry.type(description="What became of one customer's grant.")
class CouponGrant:
    customer_id: strawberry.ID = strawberry.field(description="Who was to get one.")
    coupon_id: strawberry.ID | None = strawberry.field(
        description="Null where `reason` says why there is none."
    )
    code: str | None = strawberry.field(
        description="What the customer types; null for a coupon of a platform, or where "
        "there is none."
    )
    expires_at: datetime | None = strawberry.field(description=ENDS)
    reason: str | None = strawberry.field(description="Why there is none.")


@strawberry.type(description="What one code is worth for a basket.")
class CouponQuote:
    code: str = strawberry.field(description="As it was given.")
    applicable: bool = strawberry.field(description="Whether it can be used for this basket.")
    amount: Money | None = strawberry.field(description="What it takes off.")
    gift: str | None = strawberry.field(
        description="What a GIFT coupon gives; null for other kinds."
    )
    reason: str | None = strawberry.field(description="Why it does not apply.")
    coupon_id: strawberry.ID | None = strawberry.field(
        description="Null for an unknown code, and for a public one that the order has not "
        "used yet."
    )


@strawberry.type(description="What the codes are worth for a basket, one after the other.")
class CouponOutcome:
    done: bool = strawberry.field(description="Whether all of the codes apply.")
    amount: Money = strawberry.field(description="What they take off in all.")
    codes: list[CouponQuote] = strawberry.field(
        description="One answer for each, in the order in which they were given."
    )


@strawberry.input
class CouponsTemplateCreateInput:
    name: str = strawberry.field(description=NAME)
    handle: str = strawberry.field(description="Small letters, digits and _.")
    kind: CouponKind = strawberry.field(description="What its coupons do; never changes.")
    currency: str
    source: CouponSourceKind = strawberry.field(
        default=CouponSourceKind.OWN, description="Where its codes come from; never changes."
    )
    amount: Decimal | None = strawberry.field(
        default=None,
        description="What AMOUNT_OFF takes off, in major units, as 12.50; for that kind alone.",
    )
    percent: Decimal | None = strawberry.field(default=None, description="12.5 is an eighth.")
    gift: str | None = strawberry.field(
        default=None, description="What a GIFT coupon gives, in words; for that kind alone."
    )
    per_item: bool = strawberry.field(default=False, description="The amount is off each piece.")
    threshold: Decimal | None = strawberry.field(
        default=None, description="From what amount of goods on, in major units; null: from any."
    )
    max_off: Decimal | None = strawberry.field(
        default=None,
        description="What one can take off at the most, in major units; null: any amount.",
    )
    shop_ids: list[strawberry.ID] = strawberry.field(
        default_factory=list, description="Only in these shops, up to 1,000; none: in all."
    )
    platforms: list[str] = strawberry.field(
        default_factory=list, description="Only on these platforms, such as `taobao`; none: on all."
    )
    product_ids: list[str] = strawberry.field(
        default_factory=list,
        description="Only for these products, by the `productId` of basket lines; none: for all.",
    )
    segment_id: strawberry.ID | None = strawberry.field(
        default=None, description="Only customers of this segment can have one."
    )
    public_code: str | None = strawberry.field(
        default=None, description="The code for all, 3 to 64 characters; for source PUBLIC alone."
    )
    platform_shop_id: strawberry.ID | None = strawberry.field(
        default=None,
        description="The shop on whose platform it was made; for source PLATFORM alone.",
    )
    platform_coupon: str | None = strawberry.field(
        default=None, description="The coupon's id on the platform."
    )
    valid_from: datetime | None = strawberry.field(default=None, description=FROM)
    valid_until: datetime | None = strawberry.field(
        default=None,
        description=UNTIL,
    )
    valid_days: int | None = strawberry.field(
        default=None,
        description="How many days each can be used, from granting on, 1 to 3,660; null: "
        "until `validUntil`.",
    )
    per_customer: int | None = strawberry.field(
        default=None,
        description=EACH,
    )
    total: int | None = strawberry.field(
        default=None,
        description=TOTAL,
    )
    daily: int | None = strawberry.field(
        default=None,
        description=DAILY,
    )
    budget: Decimal | None = strawberry.field(
        default=None,
        description=BUDGET,
    )
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
    name: strawberry.Maybe[str] = strawberry.field(default=None, description=NAME)
    state: strawberry.Maybe[CouponTemplateState] = strawberry.field(
        default=None, description="PAUSED and ENDED stop giving and redeeming at once."
    )
    valid_from: strawberry.Maybe[datetime | None] = strawberry.field(default=None, description=FROM)
    valid_until: strawberry.Maybe[datetime | None] = strawberry.field(
        default=None,
        description=UNTIL,
    )
    valid_days: strawberry.Maybe[int | None] = strawberry.field(
        default=None, description="Of coupons given from now on; null: until `validUntil`."
    )
    per_customer: strawberry.Maybe[int | None] = strawberry.field(
        default=None,
        description=EACH,
    )
    total: strawberry.Maybe[int | None] = strawberry.field(
        default=None,
        description=TOTAL,
    )
    daily: strawberry.Maybe[int | None] = strawberry.field(
        default=None,
        description=DAILY,
    )
    budget: strawberry.Maybe[Decimal | None] = strawberry.field(
        default=None,
        description=BUDGET,
    )
    claimable: strawberry.Maybe[bool] = strawberry.field(
        default=None, description="Whether customers may take one by `couponsClaim`."
    )
    transfers: strawberry.Maybe[int] = strawberry.field(
        default=None, description="How often one can be given away, 0 to 100."
    )
    low_stock: strawberry.Maybe[int | None] = strawberry.field(
        default=None, description="At so few codes `coupons.stock_low` is told; null: never."
    )


@strawberry.input(description="An article of a basket.")
class CouponLineInput:
    product_id: str = strawberry.field(description="As in `productIds` of templates.")
    amount: Decimal = strawberry.field(description="The price of all its pieces.")
    quantity: int = strawberry.field(default=1, description="How many pieces, 1 to 1,000,000.")


@strawberry.input(description="What somebody is about to buy, and the codes for it in their order.")
class CouponBasketInput:
    codes: list[str] = strawberry.field(
        description="1 to 10; the first takes its part first. Case, spaces and hyphens do "
        "not count."
    )
    currency: str
    lines: list[CouponLineInput] = strawberry.field(description="1 to 500.")
    shipping: Decimal = strawberry.field(
        default=Decimal(0), description="What shipping costs, in major units."
    )
    shop_id: strawberry.ID | None = strawberry.field(
        default=None,
        description="Where it is bought; coupons for single shops or platforms need it.",
    )
    customer_id: strawberry.ID | None = strawberry.field(
        default=None,
        description="Who buys; coupons for a segment or with a limit for each customer need it.",
    )
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
