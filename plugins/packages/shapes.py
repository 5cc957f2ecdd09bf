"""The GraphQL types and inputs of inserts, rules, dry runs and results."""

from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import strawberry

from core.schema.scalars import JSON, Money, Node, SegmentRule, version_seen
from core.schema.segment_words import Language
from core.sdk import Say
from plugins.packages.outcomes import Outcome, reason
from plugins.packages.preview import Choice
from plugins.packages.rules import PackingRule

PRIORITY = "Rules are gone through from the highest, -1000 to 1000."
EXCLUSIVE = "Of the rules with the same word here, one at most gives a parcel something."
PER_CUSTOMER = "So many parcels of a customer in `perDays` days at most; null: any number."
PER_DAYS = "The days of `perCustomer`, 1 to 3650."
BUDGET = "What all that it gives may cost by the inserts' `unitCost`; null: any amount."
STARTS = "Null: it holds at once."
ENDS = "Null: it has no end."


@strawberry.enum(description="What an insert is.")
class PackagesInsertKind(Enum):
    CARD = strawberry.enum_value("card", description="A printed text for the customer.")
    SAMPLE = strawberry.enum_value("sample", description="Something to try.")
    GIFT = strawberry.enum_value("gift", description="A present.")
    LEAFLET = strawberry.enum_value("leaflet", description="Something printed elsewhere.")
    COUPON = strawberry.enum_value("coupon", description="A coupon code, with a text or without.")
    PACKING = strawberry.enum_value("packing", description="A kind of packing.")
    NOTE = strawberry.enum_value("note", description="A text that somebody writes by hand.")


@strawberry.enum(description="What a rule decided about a parcel that it is for.")
class PackagesOutcome(Enum):
    GIVEN = strawberry.enum_value(Outcome.GIVEN, description="It goes in.")
    EXCLUDED = strawberry.enum_value(
        Outcome.EXCLUDED, description="Another insert of the same group goes in."
    )
    FULL = strawberry.enum_value(
        Outcome.FULL, description="The parcel has as many inserts as it may."
    )
    LIMIT = strawberry.enum_value(
        Outcome.LIMIT, description="The customer has had as many in this period as allowed."
    )
    HOLDOUT = strawberry.enum_value(
        Outcome.HOLDOUT, description="The customer is of those kept back, to measure the effect."
    )
    STOCK = strawberry.enum_value(
        Outcome.STOCK, description="The warehouse, or the source of its codes, has none left."
    )
    BUDGET = strawberry.enum_value(Outcome.BUDGET, description="The rule's budget is used up.")
    RELEASED = strawberry.enum_value(
        Outcome.RELEASED, description="The order was closed before the parcel was packed."
    )
    REFUSED = strawberry.enum_value(
        Outcome.REFUSED, description="The source of its codes had none for the customer."
    )


@strawberry.type(description="How many of an insert a warehouse has.")
class PackagesStock:
    warehouse: str = strawberry.field(description="The warehouse's name.")
    on_hand: int = strawberry.field(description="How many lie there, the reserved ones included.")
    reserved: int = strawberry.field(description="Those for parcels that are not packed yet.")
    version: int = strawberry.field(description="How often it was counted, for `ifVersion`.")


@strawberry.type(description="Where a coupon's codes are from, one for each parcel.")
class PackagesCodes:
    source: str = strawberry.field(description='What makes them, such as "coupons".')
    settings: JSON = strawberry.field(description="What the source is given.")


@strawberry.type(description="Something that goes into parcels beside the goods.")
class PackagesInsert(Node):
    name: str = strawberry.field(description="As staff and pick lists name it.")
    kind: PackagesInsertKind = strawberry.field(description="What it is.")
    sku: str | None = strawberry.field(description="What the warehouse picks it by.")
    text: str | None = strawberry.field(description="What a card says, in Liquid.")
    coupon_code: str | None = strawberry.field(description="The code that is the same for all.")
    codes: PackagesCodes | None = strawberry.field(
        description="Where the codes are from that each parcel has one of."
    )
    unit_cost: Money = strawberry.field(description="What one costs, counted by budgets.")
    tracks_stock: bool = strawberry.field(
        description="Whether its stock is kept; if not, there are always some."
    )
    low_stock: int = strawberry.field(description="The free stock at which it is told of.")
    archived: bool = strawberry.field(description="Whether it was given up.")
    stock: list[PackagesStock] = strawberry.field(description="Its stock in each warehouse.")


@strawberry.type(description="One of the inserts of a rule.")
class PackagesVariant:
    insert: str = strawberry.field(description="The insert's name.")
    weight: int = strawberry.field(description="Its share among the rule's inserts.")


def _sentence(self: Any, language: Language = Language.EN) -> str:
    made: str = self.rule.sentence(language.value)
    return made


def _reason(self: Any, language: Language = Language.EN) -> str:
    one: Choice = self.choice
    condition = one.rule.sentence(language.value)
    return reason(one.outcome, self.insert, condition, Say(language.value), one.refused)


@strawberry.type(description="Which parcels get which inserts.")
class PackagesRule(Node):
    rule: strawberry.Private[PackingRule]
    name: str = strawberry.field(description="As staff name it.")
    is_on: bool = strawberry.field(description="Whether waves go by it.")
    priority: int = strawberry.field(description="Rules are gone through from the highest.")
    exclusive: str | None = strawberry.field(
        description="Of the rules with the same word here, one at most gives a parcel something."
    )
    per_customer: int | None = strawberry.field(
        description="So many parcels of a customer in `perDays` days get something of it at most."
    )
    per_days: int = strawberry.field(description="The days of `perCustomer`.")
    holdout: Decimal = strawberry.field(description="Share of customers kept back, 0 to 0.5.")
    budget: Money | None = strawberry.field(
        description="What all that it gives may cost by the inserts' `unitCost`."
    )
    spent: Money = strawberry.field(description="Of the budget, with what is not packed yet.")
    starts_at: datetime | None = strawberry.field(description="Null: it holds at once.")
    ends_at: datetime | None = strawberry.field(description="Null: it has no end.")
    version: int
    variants: list[PackagesVariant] = strawberry.field(
        description="What it gives: one of these, for a customer always the same."
    )
    sentence: str = strawberry.field(resolver=_sentence, description="Whom it is for, in words.")


@strawberry.type(description="What a rule decided about a parcel, and why.")
class PackagesChoice:
    choice: strawberry.Private[Choice]
    order_id: strawberry.ID = strawberry.field(description="The order of the parcel.")
    number: int = strawberry.field(description="Which of the order's parcels, from 1.")
    count: int = strawberry.field(description="How many parcels the order has.")
    rule: str = strawberry.field(description="The rule's name.")
    insert: str = strawberry.field(description="The insert's name.")
    outcome: PackagesOutcome | None = strawberry.field(description="Null: the rule is not for it.")
    reason: str = strawberry.field(resolver=_reason, description="Why, in words.")


@strawberry.type(description="How often a rule came to an outcome with an insert.")
class PackagesCount:
    rule: str = strawberry.field(description="The rule's name.")
    insert: str = strawberry.field(description="The insert's name.")
    outcome: PackagesOutcome = strawberry.field(description="What it came to.")
    parcels: int = strawberry.field(description="How many parcels.")


@strawberry.type(description="How many of an insert would be free afterwards.")
class PackagesLeft:
    insert: str = strawberry.field(description="The insert's name.")
    left: int = strawberry.field(description="How many could still be had.")


@strawberry.type(description="What would go into parcels; nothing is decided by it.")
class PackagesDryRun:
    parcels: int = strawberry.field(description="How many parcels were gone through.")
    cost: Money = strawberry.field(description="What all that would be given costs.")
    counts: list[PackagesCount] = strawberry.field(description="How often each came about.")
    stock_left: list[PackagesLeft] = strawberry.field(
        description="Of the inserts of which there are not any number."
    )
    choices: list[PackagesChoice] = strawberry.field(description="Those of the first parcels.")


@strawberry.type(description="Why the parcels of an order get what they get.")
class PackagesWhy:
    decided_at: datetime | None = strawberry.field(
        description="Null: no wave has the order yet, it is what would be decided now."
    )
    choices: list[PackagesChoice] = strawberry.field(
        description="Of each parcel and rule, those that are not for it included."
    )


@strawberry.type(description="Customers of whom a rule decided the same first.")
class PackagesArm:
    insert: str | None = strawberry.field(description="Null: those who were kept back.")
    customers: int = strawberry.field(description="Those whose days are over.")
    bought_again: int = strawberry.field(description="How many of them bought within the days.")
    rate: Decimal = strawberry.field(description="Their share: 0.25 is a quarter.")
    paid_each: Money = strawberry.field(description="What each of them bought for again.")


@strawberry.input(description="Where the codes are from that each parcel gets one of.")
class PackagesCodesInput:
    source: str = strawberry.field(
        default="coupons", description="The name of what makes them: coupons."
    )
    settings: JSON = strawberry.field(
        description='What the source needs; coupons: {"template": "<handle>"}.'
    )


@strawberry.input(description="An insert; it cannot be changed once it is made.")
class PackagesInsertCreateInput:
    name: str = strawberry.field(description="As staff and pick lists name it; each name once.")
    kind: PackagesInsertKind = strawberry.field(description="What it is.")
    sku: str | None = strawberry.field(
        default=None, description="What the warehouse picks it by, up to 40 characters."
    )
    text: str | None = strawberry.field(
        default=None,
        description="In Liquid, up to 500 characters: for cards and notes, and coupons may.",
    )
    coupon_code: str | None = strawberry.field(
        default=None, description="For a COUPON: one code that is the same for all."
    )
    codes: PackagesCodesInput | None = strawberry.field(
        default=None, description="For a COUPON instead: a code of its own for each parcel."
    )
    unit_cost: Decimal = strawberry.field(
        default=Decimal(0), description="What one costs, in the merchant's currency."
    )
    tracks_stock: bool = strawberry.field(
        default=False, description="Whether its stock is kept; if not, there are always some."
    )
    low_stock: int = strawberry.field(
        default=0, description="The free stock at which `packages.stock_low` is told."
    )


@strawberry.input(description="How many of an insert a warehouse has.")
class PackagesStockSetInput:
    insert_id: strawberry.ID = strawberry.field(description="Of which insert.")
    warehouse: str = strawberry.field(description="A name that waves use, too.")
    on_hand: int = strawberry.field(description="All that lie there, the reserved ones included.")
    if_version: int | None = version_seen()


@strawberry.input(description="One of the inserts of a rule, and its share among them.")
class PackagesVariantInput:
    insert_id: strawberry.ID = strawberry.field(description="What may be given.")
    weight: int = strawberry.field(
        default=1, description="1 to 1000; 3 is three times as much as 1."
    )


@strawberry.input(description="Conditions on the order, all of which must hold.")
class PackagesOrderInput:
    shop_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="Orders of these shops."
    )
    provinces: list[str] | None = strawberry.field(
        default=None, description="Orders that go there, as in 浙江省."
    )
    items: list[str] | None = strawberry.field(
        default=None, description="Product ids or SKUs, of which the order has one at least."
    )
    paid_at_least: Decimal | None = strawberry.field(
        default=None, description="What was paid, in the merchant's currency; inclusive."
    )
    paid_at_most: Decimal | None = strawberry.field(default=None, description="Inclusive.")
    purchase_from: int | None = strawberry.field(
        default=None, description="From the customer's n-th purchase on; 1 is the first."
    )
    purchase_to: int | None = strawberry.field(default=None, description="Up to the n-th purchase.")
    parcel_from: int | None = strawberry.field(
        default=None, description="From the order's n-th parcel on."
    )
    parcel_to: int | None = strawberry.field(
        default=None, description="Up to the order's n-th parcel."
    )


@strawberry.input(description="Which parcels get what.")
class PackagesRuleCreateInput:
    name: str = strawberry.field(description="Each name once.")
    variants: list[PackagesVariantInput] = strawberry.field(
        description="1 to 5 inserts, of which a customer always gets the same one."
    )
    customers: SegmentRule | None = strawberry.field(
        default=None, description="For which customers, as in `segmentCreate`; null: for all."
    )
    orders: PackagesOrderInput | None = strawberry.field(
        default=None, description="For which orders and parcels; null: for all."
    )
    priority: int = strawberry.field(default=0, description=PRIORITY)
    exclusive: str | None = strawberry.field(default=None, description=EXCLUSIVE)
    per_customer: int | None = strawberry.field(default=None, description=PER_CUSTOMER)
    per_days: int = strawberry.field(default=30, description=PER_DAYS)
    holdout: Decimal = strawberry.field(
        default=Decimal(0), description="Share of customers kept back, 0 to 0.5."
    )
    budget: Decimal | None = strawberry.field(default=None, description=BUDGET)
    starts_at: datetime | None = strawberry.field(default=None, description=STARTS)
    ends_at: datetime | None = strawberry.field(default=None, description=ENDS)


@strawberry.input(
    description="What is absent stays. Whom a rule is for and what it gives cannot be changed: "
    "make another one."
)
class PackagesRuleUpdateInput:
    name: strawberry.Maybe[str] = strawberry.field(description="Each name once.")
    priority: strawberry.Maybe[int] = strawberry.field(description=PRIORITY)
    exclusive: strawberry.Maybe[str | None] = strawberry.field(description=EXCLUSIVE)
    per_customer: strawberry.Maybe[int | None] = strawberry.field(description=PER_CUSTOMER)
    per_days: strawberry.Maybe[int] = strawberry.field(description=PER_DAYS)
    budget: strawberry.Maybe[Decimal | None] = strawberry.field(description=BUDGET)
    starts_at: strawberry.Maybe[datetime | None] = strawberry.field(description=STARTS)
    ends_at: strawberry.Maybe[datetime | None] = strawberry.field(description=ENDS)
    if_version: int | None = version_seen()
