"""The plugin's GraphQL fields for merchants: inserts, rules, dry runs and results."""

from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any

import strawberry

from core.domain.shops.plugins import plugin_settings
from core.schema.context import Info
from core.schema.errors import UserError, user_errors
from core.schema.scalars import JSON, Money, SegmentRule, changes, global_id, money, need_id
from core.schema.segment_words import Language, stored_form
from core.sdk import HuikeError, InvalidInput, Say, SchemaField, Several, to_minor
from plugins.packages import inserts as domain
from plugins.packages.outcomes import Outcome, reason
from plugins.packages.preview import (
    Choice,
    Preview,
    dry_run,
    explain_order,
    orders_of_day,
)
from plugins.packages.results import results
from plugins.packages.rules import (
    PARTS,
    NewRule,
    PackingRule,
    create_rule,
    currency_of,
    read_rules,
    switch_rule,
    update_rule,
)
from plugins.packages.settings import PackagesSettings
from plugins.packages.wave_schema import WAVE_FIELDS

PLUGIN = "packages"
MOST_SHOWN = 200
Warehouse = Annotated[str, strawberry.argument(description="Whose stock is looked at.")]

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


@strawberry.type(description="Where a coupon's codes are from, one for each parcel.")
class PackagesCodes:
    source: str = strawberry.field(description='What makes them, such as "coupons".')
    settings: JSON = strawberry.field(description="What the source is given.")


@strawberry.type(description="Something that goes into parcels beside the goods.")
class PackagesInsert:
    id: strawberry.ID
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
class PackagesRule:
    rule: strawberry.Private[PackingRule]
    id: strawberry.ID
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


@strawberry.type
class PackagesInsertCreatePayload:
    insert: PackagesInsert | None = strawberry.field(
        default=None, description="As it is now; null if it was refused."
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
        default=None, description="As it is now; null if it was refused."
    )
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class PackagesRuleCreatePayload:
    rule: PackagesRule | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class PackagesRuleUpdatePayload:
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


async def _insert(session: Any, insert_id: int) -> PackagesInsert:
    return (await _inserts(session, [insert_id]))[0]


async def _inserts(session: Any, ids: list[int] | None = None) -> list[PackagesInsert]:
    found = await domain.inserts_by_id(session, ids)
    stock = await domain.stock_of(session, list(found))
    currency = await currency_of(session)
    return [
        PackagesInsert(
            id=global_id("PackagesInsert", one.id), name=one.name,
            kind=PackagesInsertKind(one.kind), sku=one.sku, text=one.text,
            coupon_code=one.coupon_code,
            codes=None if one.codes is None else PackagesCodes(
                source=one.codes.source, settings=JSON(one.codes.settings)
            ),
            unit_cost=money(one.unit_cost, currency),
            tracks_stock=one.tracks_stock, low_stock=one.low_stock, archived=one.archived,
            stock=[
                PackagesStock(warehouse=s.warehouse, on_hand=s.on_hand, reserved=s.reserved)
                for s in stock.get(one.id, [])
            ],
        )
        for one in found.values()
    ]  # fmt: skip


def _codes(given: PackagesCodesInput) -> domain.Codes:
    if not isinstance(given.settings, dict):
        raise InvalidInput("settings are an object", ("input", "codes", "settings"))
    return domain.Codes(given.source, given.settings)


def _rule(rule: PackingRule, currency: str) -> PackagesRule:
    return PackagesRule(
        rule=rule, id=global_id("PackagesRule", rule.id), name=rule.name, is_on=rule.is_on,
        priority=rule.priority, exclusive=rule.exclusive, per_customer=rule.per_customer,
        per_days=rule.per_days, holdout=Decimal(rule.holdout) / PARTS,
        budget=None if rule.budget is None else money(rule.budget, currency),
        spent=money(rule.spent, currency), starts_at=rule.starts_at, ends_at=rule.ends_at,
        variants=[
            PackagesVariant(insert=one.insert.name, weight=one.weight) for one in rule.variants
        ],
    )  # fmt: skip


async def _rule_by_id(info: Info, session: Any, rule_id: int) -> PackagesRule | None:
    currency = await currency_of(session)
    for rule in await read_rules(session, info.context.installation.registry):
        if rule.id == rule_id:
            return _rule(rule, currency)
    return None


def _choice(one: Choice) -> PackagesChoice:
    names = {variant.insert.id: variant.insert.name for variant in one.rule.variants}
    return PackagesChoice(
        choice=one, order_id=global_id("Order", one.order_id), number=one.number, count=one.count,
        rule=one.rule.name, insert=names[one.insert_id],
        outcome=None if one.outcome is None else PackagesOutcome(one.outcome),
    )  # fmt: skip


def _dry_run(made: Preview, first: int) -> PackagesDryRun:
    rules = {rule.id: rule.name for rule in made.rules}
    names = {one.insert.id: one.insert.name for rule in made.rules for one in rule.variants}
    shown = sorted(made.choices, key=lambda one: (one.order_id, one.number, -one.rule.priority))
    return PackagesDryRun(
        parcels=made.parcels,
        cost=money(made.cost(), made.currency),
        counts=[
            PackagesCount(rule=rules[rule], insert=names[insert],
                          outcome=PackagesOutcome(outcome), parcels=count)
            for (rule, insert, outcome), count in sorted(made.counts().items())
        ],
        stock_left=[
            PackagesLeft(insert=names[insert], left=left)
            for insert, left in made.left().items()
        ],
        choices=[_choice(one) for one in shown[:first]],
    )  # fmt: skip


async def settings_of(info: Info, session: Any) -> PackagesSettings:
    """The merchant's settings. Raises PluginDisabled."""
    found = await plugin_settings(session, info.context.installation.registry, PLUGIN)
    assert isinstance(found, PackagesSettings)
    return found


async def packages_inserts(info: Info) -> list[PackagesInsert] | None:
    async with info.context.read() as session:
        return await _inserts(session)


async def packages_rules(info: Info) -> list[PackagesRule] | None:
    async with info.context.read() as session:
        currency = await currency_of(session)
        found = await read_rules(session, info.context.installation.registry)
    return [_rule(rule, currency) for rule in found]


async def packages_dry_run(
    info: Info,
    warehouse: Warehouse,
    day: Annotated[
        date,
        strawberry.argument(
            description="Orders that were paid on this day of the merchant's calendar."
        ),
    ],
    shop_ids: Annotated[
        list[strawberry.ID] | None, strawberry.argument(description="Only orders of these shops.")
    ] = None,
    also_off: Annotated[
        bool, strawberry.argument(description="Whether rules that are off are tried, too.")
    ] = False,
    first: Annotated[
        int, strawberry.argument(description=f"How many choices are shown, up to {MOST_SHOWN}.")
    ] = 50,
) -> PackagesDryRun | None:
    shops = None if shop_ids is None else [need_id("Shop", one, ("shopIds",)) for one in shop_ids]
    async with info.context.read() as session:
        orders = await orders_of_day(session, day, shops)
        made = await dry_run(
            session, info.context.installation.registry, await settings_of(info, session),
            warehouse, dict.fromkeys(orders, 1), also_off=also_off,
        )  # fmt: skip
    return _dry_run(made, max(0, min(first, MOST_SHOWN)))


async def packages_why(
    info: Info,
    warehouse: Warehouse,
    order_id: Annotated[strawberry.ID, strawberry.argument(description="Which order.")],
) -> PackagesWhy | None:
    number = need_id("Order", order_id, ("orderId",))
    async with info.context.read() as session:
        found = await explain_order(
            session, info.context.installation.registry, await settings_of(info, session),
            warehouse, number,
        )  # fmt: skip
    if found is None:
        return None
    return PackagesWhy(decided_at=found.decided_at, choices=[_choice(one) for one in found.choices])


async def packages_results(
    info: Info,
    rule_id: Annotated[strawberry.ID, strawberry.argument(description="Whose results.")],
    days: Annotated[
        int,
        strawberry.argument(
            description="How long after the first decision about a customer is looked, 1 to 365."
        ),
    ] = 60,
) -> list[PackagesArm] | None:
    number = need_id("PackagesRule", rule_id, ("ruleId",))
    async with info.context.read() as session:
        arms = await results(session, number, days)
        currency = await currency_of(session)
        names = await domain.inserts_by_id(session)
    return [
        PackagesArm(
            insert=None if one.insert_id is None else names[one.insert_id].name,
            customers=one.customers, bought_again=one.bought_again,
            rate=round(Decimal(one.bought_again) / one.customers, 4),
            paid_each=money(one.paid // one.customers, currency),
        )
        for one in arms
    ]  # fmt: skip


async def packages_insert_create(
    info: Info, input: PackagesInsertCreateInput
) -> PackagesInsertCreatePayload | None:
    try:
        async with info.context.work() as w:
            cost = to_minor(input.unit_cost, await currency_of(w))
            codes = None if input.codes is None else _codes(input.codes)
            new = domain.NewInsert(
                input.name, domain.InsertKind(str(input.kind.value)), input.sku, input.text,
                input.coupon_code, codes, cost, input.tracks_stock, input.low_stock,
            )  # fmt: skip
            made = await domain.create_insert(w, info.context.installation.registry, new)
            return PackagesInsertCreatePayload(insert=await _insert(w, made))
    except (HuikeError, Several) as error:
        return PackagesInsertCreatePayload(errors=user_errors(error))


async def packages_insert_archive(
    info: Info, id: strawberry.ID
) -> PackagesInsertArchivePayload | None:
    try:
        number = need_id("PackagesInsert", id)
        async with info.context.work() as w:
            await domain.archive_insert(w, number)
            return PackagesInsertArchivePayload(insert=await _insert(w, number))
    except (HuikeError, Several) as error:
        return PackagesInsertArchivePayload(errors=user_errors(error))


async def packages_stock_set(
    info: Info, input: PackagesStockSetInput
) -> PackagesStockSetPayload | None:
    try:
        number = need_id("PackagesInsert", input.insert_id, ("input", "insertId"))
        async with info.context.work() as w:
            await domain.set_stock(w, number, input.warehouse, input.on_hand)
            return PackagesStockSetPayload(insert=await _insert(w, number))
    except (HuikeError, Several) as error:
        return PackagesStockSetPayload(errors=user_errors(error))


async def packages_rule_create(
    info: Info, input: PackagesRuleCreateInput
) -> PackagesRuleCreatePayload | None:
    try:
        customers = None if input.customers is None else await stored_form(info, input.customers)
        orders = {} if input.orders is None else {
            name: value for name, value in vars(input.orders).items() if value is not None
        }  # fmt: skip
        if input.orders is not None and input.orders.shop_ids is not None:
            path = ("input", "orders", "shopIds")
            orders["shop_ids"] = [need_id("Shop", one, path) for one in input.orders.shop_ids]
        variants = [
            (need_id("PackagesInsert", one.insert_id, ("input", "variants", str(n))), one.weight)
            for n, one in enumerate(input.variants)
        ]
        async with info.context.work() as w:
            currency = await currency_of(w)
            made = await create_rule(w, info.context.installation.registry, NewRule(
                input.name, variants, customers, orders, input.priority, input.exclusive,
                input.per_customer, input.per_days, int(input.holdout * PARTS),
                None if input.budget is None else to_minor(input.budget, currency),
                input.starts_at, input.ends_at,
            ))  # fmt: skip
            return PackagesRuleCreatePayload(rule=await _rule_by_id(info, w, made))
    except (HuikeError, Several) as error:
        return PackagesRuleCreatePayload(errors=user_errors(error))


async def packages_rule_update(
    info: Info, id: strawberry.ID, input: PackagesRuleUpdateInput
) -> PackagesRuleUpdatePayload | None:
    try:
        number = need_id("PackagesRule", id)
        values = changes(input)
        async with info.context.work() as w:
            if values.get("budget") is not None:
                values["budget"] = to_minor(values["budget"], await currency_of(w))
            await update_rule(w, number, values)
            return PackagesRuleUpdatePayload(rule=await _rule_by_id(info, w, number))
    except (HuikeError, Several) as error:
        return PackagesRuleUpdatePayload(errors=user_errors(error))


async def _switched(info: Info, id: strawberry.ID, is_on: bool) -> PackagesRule | None:
    number = need_id("PackagesRule", id)
    async with info.context.work() as w:
        await switch_rule(w, number, is_on)
        return await _rule_by_id(info, w, number)


async def packages_rule_start(info: Info, id: strawberry.ID) -> PackagesRuleStartPayload | None:
    try:
        return PackagesRuleStartPayload(rule=await _switched(info, id, True))
    except (HuikeError, Several) as error:
        return PackagesRuleStartPayload(errors=user_errors(error))


async def packages_rule_stop(info: Info, id: strawberry.ID) -> PackagesRuleStopPayload | None:
    try:
        return PackagesRuleStopPayload(rule=await _switched(info, id, False))
    except (HuikeError, Several) as error:
        return PackagesRuleStopPayload(errors=user_errors(error))


FIELDS = [
    SchemaField("Query", "packagesInserts", strawberry.field(
        resolver=packages_inserts, description="What can go into parcels, by name.",
    ), "PACKAGES_READ"),
    SchemaField("Query", "packagesRules", strawberry.field(
        resolver=packages_rules, description="The rules in the order they are gone through.",
    ), "PACKAGES_READ"),
    SchemaField("Query", "packagesDryRun", strawberry.field(
        resolver=packages_dry_run,
        description="What the parcels of a day's orders would get now, one for each order.",
    ), "PACKAGES_READ"),
    SchemaField("Query", "packagesWhy", strawberry.field(
        resolver=packages_why, description="Why an order's parcels get what they get.",
    ), "PACKAGES_READ"),
    SchemaField("Query", "packagesResults", strawberry.field(
        resolver=packages_results,
        description="What customers bought in so many days after a rule's decision.",
    ), "PACKAGES_READ"),
    SchemaField("Mutation", "packagesInsertCreate", strawberry.field(
        resolver=packages_insert_create, description="Make an insert.",
    ), "PACKAGES_WRITE"),
    SchemaField("Mutation", "packagesInsertArchive", strawberry.field(
        resolver=packages_insert_archive, description="Give an insert up.",
    ), "PACKAGES_WRITE"),
    SchemaField("Mutation", "packagesStockSet", strawberry.field(
        resolver=packages_stock_set, description="Say how many of an insert a warehouse has.",
    ), "PACKAGES_PACK"),
    SchemaField("Mutation", "packagesRuleCreate", strawberry.field(
        resolver=packages_rule_create, description="Make a rule, which is off at first.",
    ), "PACKAGES_WRITE"),
    SchemaField("Mutation", "packagesRuleUpdate", strawberry.field(
        resolver=packages_rule_update,
        description="Change a rule's limits, times, priority or name, for the waves to come.",
    ), "PACKAGES_WRITE"),
    SchemaField("Mutation", "packagesRuleStart", strawberry.field(
        resolver=packages_rule_start, description="Switch a rule on for the waves to come.",
    ), "PACKAGES_WRITE"),
    SchemaField("Mutation", "packagesRuleStop", strawberry.field(
        resolver=packages_rule_stop, description="Switch a rule off.",
    ), "PACKAGES_WRITE"),
    *WAVE_FIELDS,
]  # fmt: skip
