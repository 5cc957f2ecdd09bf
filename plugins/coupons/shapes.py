"""The GraphQL types of the plugin, and what of theirs becomes what of ours."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import strawberry

from core.schema.context import Info
from core.schema.errors import UserError
from core.schema.scalars import (
    Money,
    Node,
    global_id,
    money,
    need_id,
    sought,
    sought_id,
    version_seen,
)
from core.sdk import Faults, minor_of
from plugins.coupons.allowance import count_stock
from plugins.coupons.issuing import Issued
from plugins.coupons.quoting import Basket, Line, Quoted
from plugins.coupons.redeeming import Outcome, Purchase
from plugins.coupons.templates import Template

TEMPLATE, COUPON = "CouponTemplate", "Coupon"
ERRORS = strawberry.field(default_factory=list)
HUNDRED = Decimal(100)
MOST_COUNTED = 1_000_000

FROM = "From when they can be used; null: at once."
UNTIL = "When all of them end, however late they were granted; null: never."
DAYS = "How many days from granting on; with `validUntil` the earlier end counts."
PER_CUSTOMER = "How many a customer can have; null: any number."
TOTAL = "How many there can be in all; null: any number."
DAILY = "How many can be granted on one day of the merchant's calendar; null: any number."
BUDGET = "The most that reserved and redeemed ones take off in all; null: any amount."
CLAIMABLE = "Customers may take one."
TRANSFERS = "How often one can be given away, up to 100."
LOW_STOCK = "At so few codes in stock the event `coupons.stock_low` is told."


@strawberry.enum(description="What a coupon does.")
class CouponKind(Enum):
    AMOUNT_OFF = strawberry.enum_value("amount_off", description="Takes an amount off.")
    PERCENT_OFF = strawberry.enum_value("percent_off", description="Takes a percentage off.")
    FREE_SHIPPING = strawberry.enum_value("free_shipping", description="Takes the shipping off.")
    GIFT = strawberry.enum_value("gift", description="Adds a gift to the order.")


@strawberry.enum(description="Where a template's codes come from.")
class CouponSourceKind(Enum):
    OWN = strawberry.enum_value("own", description="Made here: one unguessable code for each.")
    PUBLIC = strawberry.enum_value("public", description="One code for all.")
    POOL = strawberry.enum_value("pool", description="Imported from elsewhere, each used once.")
    PLATFORM = strawberry.enum_value(
        "platform", description="A coupon of the shop's platform, given there."
    )


@strawberry.enum(description="Whether a template's coupons can be granted and used.")
class CouponTemplateState(Enum):
    ACTIVE = strawberry.enum_value("active", description="They can.")
    PAUSED = strawberry.enum_value("paused", description="Not for now.")
    ENDED = strawberry.enum_value("ended", description="Not any more.")


async def _counted(session: Any, pks: list[int]) -> dict[int, int]:
    return await count_stock(session, pks, MOST_COUNTED)


def _stock(self: Any, info: Info) -> int | None:
    return info.context.child("coupon_stock", self.pk, _counted)


@strawberry.type(description="A kind of coupon: what it is worth, and how many there may be.")
class CouponTemplate(Node):
    pk: strawberry.Private[int]
    name: str = strawberry.field(description="As customers read it.")
    handle: str = strawberry.field(
        description="What journeys and texts name it by: {{ coupons.<handle>.code }}."
    )
    kind: CouponKind = strawberry.field(description="What its coupons do.")
    amount: Money | None = strawberry.field(description="What AMOUNT_OFF takes off.")
    percent: Decimal | None = strawberry.field(description="What PERCENT_OFF takes off.")
    gift: str | None = strawberry.field(description="What GIFT gives.")
    per_item: bool = strawberry.field(description="Whether the amount is off each piece.")
    version: int
    threshold: Money | None = strawberry.field(description="From what amount of goods on.")
    max_off: Money | None = strawberry.field(description="The most that one takes off.")
    shop_ids: list[strawberry.ID] = strawberry.field(description="Empty: for all shops.")
    platforms: list[str] = strawberry.field(description="Empty: for all platforms.")
    product_ids: list[str] = strawberry.field(description="Empty: for all products.")
    segment_id: strawberry.ID | None = strawberry.field(
        description="Only customers of this segment can have one; null: all."
    )
    source: CouponSourceKind = strawberry.field(description="Where the codes come from.")
    state: CouponTemplateState = strawberry.field(
        description="Whether its coupons can be granted and used."
    )
    public_code: str | None = strawberry.field(description="The code for all, if it is PUBLIC.")
    platform_shop_id: strawberry.ID | None = strawberry.field(
        description="The shop on whose platform it is given, if it is of a PLATFORM."
    )
    platform_coupon: str | None = strawberry.field(description="The coupon's id on the platform.")
    valid_from: datetime | None = strawberry.field(description="From when they can be used.")
    valid_until: datetime | None = strawberry.field(
        description="When all of them end, however late they were granted."
    )
    valid_days: int | None = strawberry.field(description="How many days from granting on.")
    per_customer: int | None = strawberry.field(description="How many a customer can have.")
    total: int | None = strawberry.field(description="How many there can be in all.")
    daily: int | None = strawberry.field(
        description="How many can be granted on one day of the merchant's calendar."
    )
    issued: int = strawberry.field(description="How many coupons customers got.")
    budget: Money | None = strawberry.field(
        description="The most that reserved and redeemed ones take off in all."
    )
    spent: Money | None = strawberry.field(description="Of the budget; null without one.")
    stack_group: str | None = strawberry.field(
        description="Of a group one coupon can be used for an order."
    )
    exclusive: bool = strawberry.field(description="Whether it goes with no other coupon.")
    claimable: bool = strawberry.field(description="Whether customers may take one.")
    transfers: int = strawberry.field(description="How often one can be given away.")
    low_stock: int | None = strawberry.field(
        description="At so few codes in stock `coupons.stock_low` is told."
    )

    stock: int | None = strawberry.field(
        resolver=_stock, description="How many codes nobody has yet, counted up to 1,000,000."
    )


@strawberry.type(description="What became of one customer's grant.")
class CouponGrant:
    customer_id: strawberry.ID = strawberry.field(description="Whose grant.")
    coupon_id: strawberry.ID | None = strawberry.field(description="Null if there is none.")
    code: str | None = strawberry.field(description="Null for a coupon of a platform, too.")
    expires_at: datetime | None = strawberry.field(description="Null: it does not expire.")
    reason: str | None = strawberry.field(description="Why there is none.")


@strawberry.type(description="What one code is worth for a basket.")
class CouponQuote:
    code: str = strawberry.field(description="As it was given.")
    applicable: bool = strawberry.field(description="Whether it can be used for the basket.")
    amount: Money | None = strawberry.field(description="What it takes off.")
    gift: str | None = strawberry.field(description="What it adds to the order.")
    reason: str | None = strawberry.field(description="Why it does not apply.")
    coupon_id: strawberry.ID | None = strawberry.field(
        description="The coupon that the code names; null for a public code not used yet."
    )


@strawberry.type(description="What the codes are worth for a basket, one after the other.")
class CouponOutcome:
    done: bool = strawberry.field(description="Whether all of the codes apply.")
    amount: Money = strawberry.field(description="What they take off in all.")
    codes: list[CouponQuote] = strawberry.field(description="One for each code, in their order.")


@strawberry.input(description="A coupon template; what it is worth cannot be changed later.")
class CouponsTemplateCreateInput:
    name: str = strawberry.field(description="As customers read it; 1 to 100 characters.")
    handle: str = strawberry.field(
        description="Small letters, digits and _, up to 40: what journeys and texts name it by."
    )
    kind: CouponKind = strawberry.field(description="What its coupons do.")
    currency: str = strawberry.field(description="Of all amounts, as in CNY.")
    source: CouponSourceKind = strawberry.field(
        default=CouponSourceKind.OWN, description="Where the codes come from."
    )
    amount: Decimal | None = strawberry.field(default=None, description="For AMOUNT_OFF.")
    percent: Decimal | None = strawberry.field(default=None, description="12.5 is an eighth.")
    gift: str | None = strawberry.field(default=None, description="For GIFT: what is given.")
    per_item: bool = strawberry.field(default=False, description="The amount is off each piece.")
    threshold: Decimal | None = strawberry.field(
        default=None, description="From what amount of goods on; null: no threshold."
    )
    max_off: Decimal | None = strawberry.field(
        default=None, description="The most that one takes off."
    )
    shop_ids: list[strawberry.ID] = strawberry.field(
        default_factory=list, description="Only for orders of these shops; empty: of all."
    )
    platforms: list[str] = strawberry.field(
        default_factory=list,
        description='Only for shops of these platforms, as in "taobao"; empty: of all.',
    )
    product_ids: list[str] = strawberry.field(
        default_factory=list,
        description="Only off these products, by their ids in the shop; empty: off all.",
    )
    segment_id: strawberry.ID | None = strawberry.field(
        default=None, description="Only customers of this segment can have one."
    )
    public_code: str | None = strawberry.field(
        default=None, description="For PUBLIC: the code, 3 to 40 letters and digits."
    )
    platform_shop_id: strawberry.ID | None = strawberry.field(
        default=None, description="For PLATFORM: the shop on whose platform it is given."
    )
    platform_coupon: str | None = strawberry.field(
        default=None, description="For PLATFORM: the coupon's id there."
    )
    valid_from: datetime | None = strawberry.field(default=None, description=FROM)
    valid_until: datetime | None = strawberry.field(default=None, description=UNTIL)
    valid_days: int | None = strawberry.field(default=None, description=DAYS)
    per_customer: int | None = strawberry.field(default=None, description=PER_CUSTOMER)
    total: int | None = strawberry.field(default=None, description=TOTAL)
    daily: int | None = strawberry.field(default=None, description=DAILY)
    budget: Decimal | None = strawberry.field(default=None, description=BUDGET)
    stack_group: str | None = strawberry.field(
        default=None, description="Of a group one coupon can be used for an order."
    )
    exclusive: bool = strawberry.field(default=False, description="Goes with no other coupon.")
    claimable: bool = strawberry.field(default=False, description=CLAIMABLE)
    transfers: int = strawberry.field(default=0, description=TRANSFERS)
    low_stock: int | None = strawberry.field(default=None, description=LOW_STOCK)


@strawberry.input(description="What is absent stays.")
class CouponsTemplateUpdateInput:
    name: strawberry.Maybe[str] = strawberry.field(
        description="As customers read it; 1 to 100 characters."
    )
    state: strawberry.Maybe[CouponTemplateState] = strawberry.field(
        description="PAUSED keeps all of its coupons from being granted and used."
    )
    valid_from: strawberry.Maybe[datetime | None] = strawberry.field(description=FROM)
    valid_until: strawberry.Maybe[datetime | None] = strawberry.field(description=UNTIL)
    valid_days: strawberry.Maybe[int | None] = strawberry.field(
        description=f"{DAYS} For those granted from now on."
    )
    per_customer: strawberry.Maybe[int | None] = strawberry.field(description=PER_CUSTOMER)
    total: strawberry.Maybe[int | None] = strawberry.field(description=TOTAL)
    daily: strawberry.Maybe[int | None] = strawberry.field(description=DAILY)
    budget: strawberry.Maybe[Decimal | None] = strawberry.field(description=BUDGET)
    claimable: strawberry.Maybe[bool] = strawberry.field(description=CLAIMABLE)
    transfers: strawberry.Maybe[int] = strawberry.field(description=TRANSFERS)
    low_stock: strawberry.Maybe[int | None] = strawberry.field(description=LOW_STOCK)
    if_version: int | None = version_seen()


@strawberry.input(description="An article of a basket.")
class CouponLineInput:
    product_id: str = strawberry.field(description="Its id in the shop.")
    amount: Decimal = strawberry.field(description="The price of all its pieces.")
    quantity: int = strawberry.field(default=1, description="How many pieces.")


@strawberry.input(description="What somebody is about to buy, and the codes for it in their order.")
class CouponBasketInput:
    codes: list[str] = strawberry.field(description="1 to 10; each once.")
    currency: str = strawberry.field(description="Of all amounts, as in CNY.")
    lines: list[CouponLineInput] = strawberry.field(description="1 to 500.")
    shipping: Decimal = strawberry.field(
        default=Decimal(0), description="What the shipping costs before any coupon."
    )
    shop_id: strawberry.ID | None = strawberry.field(
        default=None, description="Where it is bought; orders of two shops may have one number."
    )
    customer_id: strawberry.ID | None = strawberry.field(
        default=None, description="Who buys; null: not known, and no coupon for known customers."
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
    return None if amount is None else minor_of(amount, currency, ("input", name))


def template_values(given: CouponsTemplateCreateInput, faults: Faults) -> dict[str, Any]:
    """The values of a new template; those that are wrong are as if they were not given."""
    plain = (
        "name", "handle", "currency", "gift", "per_item", "platforms", "product_ids", "public_code",
        "platform_coupon", "valid_from", "valid_until", "valid_days", "per_customer", "total",
        "daily", "stack_group", "exclusive", "claimable", "transfers", "low_stock",
    )  # fmt: skip
    values: dict[str, Any] = {name: getattr(given, name) for name in plain}
    for name in ("threshold", "max_off", "budget"):
        values[name] = None
        with faults:
            values[name] = minor(getattr(given, name), given.currency, name)
    values |= {"kind": given.kind.value, "source": given.source.value, "value": 1}
    with faults:
        values["value"] = _value(given)
    values["shop_ids"] = [sought_id("Shop", one) for one in given.shop_ids]
    values["segment_id"] = sought("Segment", given.segment_id)
    values["platform_shop_id"] = sought("Shop", given.platform_shop_id)
    return values


def _value(given: CouponsTemplateCreateInput) -> int:
    """Minor units, or hundredths of a percent. Raises InvalidInput, Several."""
    faults, value = Faults(), 0
    with faults:
        value = minor(given.amount, given.currency, "amount") or 0
    if given.percent is not None:
        scaled = given.percent * HUNDRED
        if given.amount is not None or scaled != int(scaled):
            faults.wrong("give either an amount or a percentage of two decimals", "percent")
        value = int(scaled)
    if (given.percent is not None) != (given.kind is CouponKind.PERCENT_OFF):
        faults.wrong("a percentage belongs to PERCENT_OFF", "percent")
    faults.tell()
    return value


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
        else need_id("Shop", given.shop_id, ("input", "shopId")),
        customer_id=None if given.customer_id is None
        else need_id("Customer", given.customer_id, ("input", "customerId")),
        order=given.order, address=given.address,
    )  # fmt: skip
    return Purchase(basket, given.codes)


def template_shape(one: Template) -> CouponTemplate:
    def shown(amount: int | None) -> Money | None:
        return None if amount is None else money(amount, one.currency)

    return CouponTemplate(
        pk=one.id, id=global_id(TEMPLATE, one.id), name=one.name, handle=one.handle,
        kind=CouponKind(one.kind), gift=one.gift, per_item=one.per_item,
        max_off=shown(one.max_off),
        shop_ids=[global_id("Shop", shop) for shop in one.shop_ids],
        platforms=list(one.platforms), product_ids=list(one.product_ids),
        segment_id=None if one.segment_id is None else global_id("Segment", one.segment_id),
        platform_shop_id=None if one.platform_shop_id is None
        else global_id("Shop", one.platform_shop_id),
        platform_coupon=one.platform_coupon, stack_group=one.stack_group, exclusive=one.exclusive,
        claimable=one.claimable, transfers=one.transfers, low_stock=one.low_stock,
        amount=shown(one.value if one.kind == "amount_off" else None),
        percent=Decimal(one.value) / HUNDRED if one.kind == "percent_off" else None,
        threshold=shown(one.threshold), source=CouponSourceKind(one.source),
        state=CouponTemplateState(one.state), public_code=one.public_code,
        valid_from=one.valid_from, valid_until=one.valid_until, valid_days=one.valid_days,
        per_customer=one.per_customer, total=one.total, daily=one.daily, issued=one.issued,
        version=one.version,
        budget=shown(one.budget), spent=shown(None if one.budget is None else one.spent),
    )  # fmt: skip


def grants(
    customer_ids: Sequence[int | None], issued: Sequence[Issued | None]
) -> list[CouponGrant | None]:
    """One for each customer; null for one who is not there."""
    return [
        None
        if customer_id is None or one is None
        else CouponGrant(
            customer_id=global_id("Customer", customer_id),
            coupon_id=None if one.coupon_id is None else global_id(COUPON, one.coupon_id),
            code=one.code, expires_at=one.expires_at, reason=one.reason,
        )
        for customer_id, one in zip(customer_ids, issued, strict=True)
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
