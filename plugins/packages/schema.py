"""The plugin's GraphQL fields for merchants: inserts, rules, dry runs and results."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Any

import strawberry

from core.domain.shops.plugins import plugin_settings
from core.schema.context import Info
from core.schema.errors import UserError, user_errors
from core.schema.scalars import JSON, by_pk, changes, global_id, money, need_id, sought_id
from core.schema.segment_words import stored_form
from core.sdk import (
    Faults,
    HuikeError,
    InvalidInput,
    NodeType,
    SchemaField,
    Several,
    minor_of,
    paths_moved,
)
from plugins.packages import inserts as domain
from plugins.packages.events import PackagesStockLow
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
from plugins.packages.shapes import (
    PackagesArm,
    PackagesChoice,
    PackagesCodes,
    PackagesCodesInput,
    PackagesCount,
    PackagesDryRun,
    PackagesInsert,
    PackagesInsertCreateInput,
    PackagesInsertKind,
    PackagesLeft,
    PackagesOutcome,
    PackagesRule,
    PackagesRuleCreateInput,
    PackagesRuleUpdateInput,
    PackagesStock,
    PackagesStockSetInput,
    PackagesVariant,
    PackagesWhy,
)
from plugins.packages.wave_schema import WAVE_FIELDS, WAVE_NODE

PLUGIN = "packages"
MOST_SHOWN = 200
Warehouse = Annotated[str, strawberry.argument(description="Whose stock is looked at.")]


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


async def _inserts_by_id(info: Info, session: Any, pks: list[int]) -> dict[int, PackagesInsert]:
    return by_pk(await _inserts(session, pks))


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
                PackagesStock(**vars(s))
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
        version=rule.version,
        variants=[
            PackagesVariant(insert=one.insert.name, weight=one.weight) for one in rule.variants
        ],
    )  # fmt: skip


async def _rules(info: Info, session: Any, ids: list[int] | None = None) -> list[PackagesRule]:
    currency = await currency_of(session)
    found = await read_rules(session, info.context.installation.registry, ids=ids)
    return [_rule(rule, currency) for rule in found]


async def _rules_by_id(info: Info, session: Any, pks: list[int]) -> dict[int, PackagesRule]:
    return by_pk(await _rules(info, session, pks))


async def _rule_by_id(info: Info, session: Any, rule_id: int) -> PackagesRule | None:
    return (await _rules_by_id(info, session, [rule_id])).get(rule_id)


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
        return await _rules(info, session)


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
            faults, cost = Faults(), 0
            with faults:
                cost = minor_of(input.unit_cost, await currency_of(w), ("input", "unitCost"))
            codes = None if input.codes is None else _codes(input.codes)
            new = domain.NewInsert(
                input.name, domain.InsertKind(str(input.kind.value)), input.sku, input.text,
                input.coupon_code, codes, cost, input.tracks_stock, input.low_stock,
            )  # fmt: skip
            with faults:
                made = await domain.create_insert(w, info.context.installation.registry, new)
            faults.tell()
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
        number = sought_id("PackagesInsert", input.insert_id)
        async with info.context.work() as w:
            await domain.set_stock(w, number, input.warehouse, input.on_hand, input.if_version)
            return PackagesStockSetPayload(insert=await _insert(w, number))
    except (HuikeError, Several) as error:
        return PackagesStockSetPayload(errors=user_errors(error))


async def packages_rule_create(
    info: Info, input: PackagesRuleCreateInput
) -> PackagesRuleCreatePayload | None:
    try:
        faults, customers, budget = Faults(), None, None
        with faults, paths_moved(("input", "rule"), ("input", "customers")):
            if input.customers is not None:
                customers = await stored_form(info, input.customers)
        orders = {} if input.orders is None else {
            name: value for name, value in vars(input.orders).items() if value is not None
        }  # fmt: skip
        if input.orders is not None and input.orders.shop_ids is not None:
            orders["shop_ids"] = [sought_id("Shop", one) for one in input.orders.shop_ids]
        variants = [
            (sought_id("PackagesInsert", one.insert_id), one.weight) for one in input.variants
        ]
        async with info.context.work() as w:
            if input.budget is not None:
                with faults:
                    budget = minor_of(input.budget, await currency_of(w), ("input", "budget"))
            with faults:
                made = await create_rule(w, info.context.installation.registry, NewRule(
                    input.name, variants, customers, orders, input.priority, input.exclusive,
                    input.per_customer, input.per_days, int(input.holdout * PARTS), budget,
                    input.starts_at, input.ends_at,
                ))  # fmt: skip
            faults.tell()
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
            faults = Faults()
            if values.get("budget") is not None:
                currency = await currency_of(w)
                with faults:
                    budget = values.pop("budget")
                    values["budget"] = minor_of(budget, currency, ("input", "budget"))
            with faults:
                await update_rule(w, number, values, input.if_version)
            faults.tell()
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


NODE_TYPES = [
    NodeType("PackagesInsert", PackagesInsert, "PACKAGES_READ", _inserts_by_id),
    NodeType("PackagesRule", PackagesRule, "PACKAGES_READ", _rules_by_id),
    WAVE_NODE,
]

FIELDS = [
    SchemaField("Query", "packagesInserts", strawberry.field(
        resolver=packages_inserts, description="What can go into parcels, by name.",
    ), "PACKAGES_READ", "0.1", cost=1),
    SchemaField("Query", "packagesRules", strawberry.field(
        resolver=packages_rules, description="The rules in the order they are gone through.",
    ), "PACKAGES_READ", "0.1", cost=1),
    SchemaField("Query", "packagesDryRun", strawberry.field(
        resolver=packages_dry_run,
        description="What the parcels of a day's orders would get now, one for each order.",
    ), "PACKAGES_READ", "0.1", cost=100),
    SchemaField("Query", "packagesWhy", strawberry.field(
        resolver=packages_why, description="Why an order's parcels get what they get.",
    ), "PACKAGES_READ", "0.1", cost=20),
    SchemaField("Query", "packagesResults", strawberry.field(
        resolver=packages_results,
        description="What customers bought in so many days after a rule's decision.",
    ), "PACKAGES_READ", "0.1", cost=50),
    SchemaField("Mutation", "packagesInsertCreate", strawberry.field(
        resolver=packages_insert_create, description="Make an insert.",
    ), "PACKAGES_WRITE", "0.1"),
    SchemaField("Mutation", "packagesInsertArchive", strawberry.field(
        resolver=packages_insert_archive, description="Give an insert up.",
    ), "PACKAGES_WRITE", "0.1"),
    SchemaField("Mutation", "packagesStockSet", strawberry.field(
        resolver=packages_stock_set, description="Say how many of an insert a warehouse has.",
    ), "PACKAGES_PACK", "0.1", emits=(PackagesStockLow,)),
    SchemaField("Mutation", "packagesRuleCreate", strawberry.field(
        resolver=packages_rule_create, description="Make a rule, which is off at first.",
    ), "PACKAGES_WRITE", "0.1"),
    SchemaField("Mutation", "packagesRuleUpdate", strawberry.field(
        resolver=packages_rule_update,
        description="Change a rule's limits, times, priority or name, for the waves to come.",
    ), "PACKAGES_WRITE", "0.1"),
    SchemaField("Mutation", "packagesRuleStart", strawberry.field(
        resolver=packages_rule_start, description="Switch a rule on for the waves to come.",
    ), "PACKAGES_WRITE", "0.1"),
    SchemaField("Mutation", "packagesRuleStop", strawberry.field(
        resolver=packages_rule_stop, description="Switch a rule off.",
    ), "PACKAGES_WRITE", "0.1"),
    *WAVE_FIELDS,
]  # fmt: skip
