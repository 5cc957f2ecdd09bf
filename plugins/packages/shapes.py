"""What the plugin's GraphQL fields for merchants take and answer."""

from datetime import datetime
from decimal import Decimal
from enum import Enum

import strawberry

from core.schema.context import Info, field
from core.schema.errors import UserError
from core.schema.scalars import Money, SegmentRule
from core.schema.segment_words import Language
from core.sdk import Say
from plugins.packages.outcomes import Outcome, reason
from plugins.packages.preview import Choice
from plugins.packages.rules import PackingRule


@strawberry.enum(description="What an insert is.")
class PackagesInsertKind(Enum):
    CARD = strawberry.enum_value(
        "card", description="A printed card with a text, a page of the wave's PDF."
    )
    SAMPLE = strawberry.enum_value("sample", description="Some of another article, to try.")
    GIFT = strawberry.enum_value("gift", description="Something for nothing.")
    LEAFLET = strawberry.enum_value(
        "leaflet", description="Something printed, the same for everybody."
    )
    COUPON = strawberry.enum_value("coupon", description="A coupon's code, with or without a text.")
    PACKING = strawberry.enum_value(
        "packing", description="A kind of packing, such as a box for presents."
    )
    NOTE = strawberry.enum_value(
        "note", description="A text that staff write by hand: a task for each parcel."
    )


@strawberry.enum(description="What a rule decided about a parcel that it is for.")
class PackagesOutcome(Enum):
    GIVEN = strawberry.enum_value(Outcome.GIVEN, description="It goes in.")
    EXCLUDED = strawberry.enum_value(
        Outcome.EXCLUDED, description="Another insert of the same `exclusive` group goes in."
    )
    FULL = strawberry.enum_value(
        Outcome.FULL, description="The parcel has as many inserts as it may."
    )
    LIMIT = strawberry.enum_value(
        Outcome.LIMIT, description="The customer has had as many in `perDays` as the rule allows."
    )
    HOLDOUT = strawberry.enum_value(
        Outcome.HOLDOUT, description="The customer is of those who get none, to measure the effect."
    )
    STOCK = strawberry.enum_value(Outcome.STOCK, description="The warehouse has none left.")
    BUDGET = strawberry.enum_value(Outcome.BUDGET, description="The rule's budget is used up.")
    RELEASED = strawberry.enum_value(
        Outcome.RELEASED,
        description="It was to go in, but the order was closed before it was packed.",
    )


@strawberry.type(description="How many of an insert a warehouse has.")
class PackagesStock:
    warehouse: str = strawberry.field(description="The warehouse's name, as staff call it.")
    on_hand: int = strawberry.field(description="How many there are, those reserved included.")
    reserved: int = strawberry.field(description="Those for parcels that are not packed yet.")


@strawberry.type(description="Something that goes into parcels beside the goods.")
class PackagesInsert:
    id: strawberry.ID
    name: str = strawberry.field(description="For people, unique among the merchant's inserts.")
    kind: PackagesInsertKind = strawberry.field(
        description="Decides what it has: a text, a code, neither."
    )
    sku: str | None = strawberry.field(description="The warehouse's own number of it.")
    text: str | None = strawberry.field(description="What a card says, in Liquid.")
    coupon_code: str | None = strawberry.field(
        description="Of a coupon: the code that is printed; null for anything else."
    )
    unit_cost: Money = strawberry.field(
        description="What one costs, in the merchant's currency; budgets count it."
    )
    tracks_stock: bool = strawberry.field(
        description="Whether stock is counted; one without is never out of stock."
    )
    low_stock: int = strawberry.field(description="The free stock at which it is told of.")
    archived: bool = strawberry.field(
        description="Whether it was given up; no new rule can give it."
    )
    stock: list[PackagesStock] = strawberry.field(
        description="By warehouse; empty where none was ever counted."
    )


@strawberry.type(description="One of the inserts of a rule.")
class PackagesVariant:
    insert: str = strawberry.field(description="The insert's name.")
    weight: int = strawberry.field(
        description="Its share among the rule's inserts: 2 gets twice as many as 1."
    )


@strawberry.type(description="Which parcels get which inserts.")
class PackagesRule:
    rule: strawberry.Private[PackingRule]
    id: strawberry.ID
    name: str = strawberry.field(description="For people, unique among the merchant's rules.")
    is_on: bool = strawberry.field(description="Whether waves to come go by it.")
    priority: int = strawberry.field(description="Rules are gone through from the highest.")
    exclusive: str | None = strawberry.field(
        description="Of the rules with the same word here, one at most gives a parcel something."
    )
    per_customer: int | None = strawberry.field(
        description="At most so many parcels of a customer in `perDays`; null: no limit."
    )
    per_days: int = strawberry.field(description="The days in which `perCustomer` counts.")
    holdout: Decimal = strawberry.field(description="Share of customers kept back, 0 to 0.5.")
    budget: Money | None = strawberry.field(
        description="What all inserts of it may cost together; null: no limit."
    )
    spent: Money = strawberry.field(description="What those that were given cost so far.")
    starts_at: datetime | None = strawberry.field(description="From when it holds; null: at once.")
    ends_at: datetime | None = strawberry.field(
        description="Until when it holds; null: without end."
    )
    variants: list[PackagesVariant] = strawberry.field(
        description="One insert, or several; a customer always falls to the same one."
    )

    @strawberry.field
    def sentence(self, language: Language = Language.EN) -> str:
        return self.rule.sentence(language.value)


@strawberry.type(description="What a rule decided about a parcel, and why.")
class PackagesChoice:
    choice: strawberry.Private[Choice]
    order_id: strawberry.ID = strawberry.field(description="The order whose parcel it is.")
    number: int = strawberry.field(description="Which of the order's parcels.")
    count: int = strawberry.field(description="How many parcels the order has.")
    rule: str = strawberry.field(description="The rule's name.")
    insert: str = strawberry.field(description="The insert's name.")
    outcome: PackagesOutcome | None = strawberry.field(description="Null: the rule is not for it.")

    @field("PACKAGES_READ", description="What was decided and why, in a sentence.")
    def reason(self, info: Info, language: Language = Language.EN) -> str:
        one = self.choice
        condition = one.rule.sentence(language.value)
        return reason(one.outcome, self.insert, condition, Say(language.value))


@strawberry.type(description="How often a rule came to an outcome with an insert.")
class PackagesCount:
    rule: str = strawberry.field(description="The rule's name.")
    insert: str = strawberry.field(description="The insert's name.")
    outcome: PackagesOutcome = strawberry.field(description="What was decided.")
    parcels: int = strawberry.field(description="For how many parcels.")


@strawberry.type(description="How many of an insert would be free afterwards.")
class PackagesLeft:
    insert: str = strawberry.field(description="The insert's name.")
    left: int = strawberry.field(description="How many would be free in the warehouse afterwards.")


@strawberry.type(description="What would go into parcels; nothing is decided by it.")
class PackagesDryRun:
    parcels: int = strawberry.field(description="How many parcels were looked at.")
    cost: Money = strawberry.field(
        description="What all that would go in costs, in the merchant's currency."
    )
    counts: list[PackagesCount] = strawberry.field(description="By rule, insert and outcome.")
    stock_left: list[PackagesLeft] = strawberry.field(
        description="Of each insert whose stock is counted."
    )
    choices: list[PackagesChoice] = strawberry.field(description="Those of the first parcels.")


@strawberry.type(description="Why the parcels of an order get what they get.")
class PackagesWhy:
    decided_at: datetime | None = strawberry.field(
        description="Null: no wave has the order yet, it is what would be decided now."
    )
    choices: list[PackagesChoice] = strawberry.field(
        description="What each rule says to each parcel, those that do not match included."
    )


@strawberry.type(description="Customers of whom a rule decided the same first.")
class PackagesArm:
    insert: str | None = strawberry.field(description="Null: those who were kept back.")
    customers: int = strawberry.field(
        description="How many they are, of those whose days are over."
    )
    bought_again: int = strawberry.field(
        description="How many of them bought again within the days."
    )
    rate: Decimal = strawberry.field(
        description="`boughtAgain` by `customers`, 0 to 1 with 4 decimals."
    )
    paid_each: Money = strawberry.field(description="What each of them bought for again.")


@strawberry.input(description="An insert; it cannot be changed once it is made.")
class PackagesInsertCreateInput:
    name: str = strawberry.field(description="For people, unique among the merchant's inserts.")
    kind: PackagesInsertKind = strawberry.field(
        description="Decides what it needs: cards and notes a text, coupons a code."
    )
    sku: str | None = strawberry.field(
        default=None,
        description="The warehouse's own number of it, 1 to 40 letters, digits and signs.",
    )
    text: str | None = strawberry.field(default=None, description="Liquid, for cards and notes.")
    coupon_code: str | None = strawberry.field(
        default=None, description="For coupons only: the code that is printed, 1 to 40 characters."
    )
    unit_cost: Decimal = strawberry.field(
        default=Decimal(0),
        description="What one costs, in the merchant's currency; budgets count it.",
    )
    tracks_stock: bool = strawberry.field(
        default=False, description="True: given only while a warehouse has any left."
    )
    low_stock: int = strawberry.field(
        default=0, description="`packages.stock_low` is told when so many are free, or fewer."
    )


@strawberry.input
class PackagesStockSetInput:
    insert_id: strawberry.ID = strawberry.field(description="An insert whose stock is counted.")
    warehouse: str = strawberry.field(description="The warehouse's name; a new one is remembered.")
    on_hand: int = strawberry.field(
        description="How many there are, those reserved for parcels included."
    )


@strawberry.input(description="One of the inserts of a rule, and its share among them.")
class PackagesVariantInput:
    insert_id: strawberry.ID = strawberry.field(
        description="The insert that it gives; each once in a rule."
    )
    weight: int = strawberry.field(default=1, description="1 to 1000: 2 gets twice as many as 1.")


@strawberry.input(description="Conditions on the order, all of which must hold.")
class PackagesOrderInput:
    shop_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="It was bought in one of these shops."
    )
    provinces: list[str] | None = strawberry.field(
        default=None, description="It goes to one of these."
    )
    items: list[str] | None = strawberry.field(
        default=None, description="Product ids or SKUs, of which the order has one at least."
    )
    paid_at_least: Decimal | None = strawberry.field(
        default=None,
        description="At least so much was paid; only orders in the merchant's currency fit.",
    )
    paid_at_most: Decimal | None = strawberry.field(
        default=None,
        description="At most so much was paid; only orders in the merchant's currency fit.",
    )
    purchase_from: int | None = strawberry.field(
        default=None, description="From the customer's n-th purchase on; 1 is the first."
    )
    purchase_to: int | None = strawberry.field(
        default=None, description="Until the customer's n-th purchase, itself included."
    )
    parcel_from: int | None = strawberry.field(
        default=None, description="From the order's n-th parcel on."
    )
    parcel_to: int | None = strawberry.field(
        default=None, description="Until the order's n-th parcel, itself included."
    )


@strawberry.input
class PackagesRuleCreateInput:
    name: str = strawberry.field(description="For people, unique among the merchant's rules.")
    variants: list[PackagesVariantInput] = strawberry.field(
        description="1 to 5 inserts; a customer always falls to the same one."
    )
    customers: SegmentRule | None = strawberry.field(
        default=None, description="Whose parcels, as a segment's rule; null: everybody's."
    )
    orders: PackagesOrderInput | None = strawberry.field(
        default=None, description="Which orders and parcels; null: all."
    )
    priority: int = strawberry.field(
        default=0, description="From -1000 to 1000; rules are gone through from the highest."
    )
    exclusive: str | None = strawberry.field(
        default=None,
        description="Of the rules with the same word here, one at most gives a parcel something.",
    )
    per_customer: int | None = strawberry.field(
        default=None,
        description="At most so many parcels of a customer in `perDays`; null: no limit.",
    )
    per_days: int = strawberry.field(
        default=30, description="1 to 3650; the days in which `perCustomer` counts."
    )
    holdout: Decimal = strawberry.field(
        default=Decimal(0),
        description="0 to 0.5: the share of customers who get none, to measure the effect.",
    )
    budget: Decimal | None = strawberry.field(
        default=None,
        description="What all inserts of it may cost together, in the merchant's currency; null: "
        "no limit.",
    )
    starts_at: datetime | None = strawberry.field(
        default=None, description="From when it holds; null: at once."
    )
    ends_at: datetime | None = strawberry.field(
        default=None, description="Until when it holds; null: without end."
    )


@strawberry.type
class PackagesInsertCreatePayload:
    insert: PackagesInsert | None = strawberry.field(
        default=None, description="The new one; null if it was refused."
    )
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class PackagesInsertArchivePayload:
    insert: PackagesInsert | None = strawberry.field(
        default=None, description="As it is now; null if it was refused."
    )
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class PackagesStockSetPayload:
    insert: PackagesInsert | None = strawberry.field(
        default=None, description="As it is now, with its stock; null if it was refused."
    )
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class PackagesRuleCreatePayload:
    rule: PackagesRule | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class PackagesRuleStartPayload:
    rule: PackagesRule | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class PackagesRuleStopPayload:
    rule: PackagesRule | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)
