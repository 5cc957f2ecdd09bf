"""What would go into parcels, and why, without anything being decided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from core.domain.shops.code_sources import why_no_codes
from core.domain.shops.merchants import time_zone_of
from core.sdk import InvalidInput
from core.sdk.facets import midnight
from plugins.packages.deciding import decide, of_orders, query_for
from plugins.packages.inserts import Insert
from plugins.packages.outcomes import Outcome
from plugins.packages.rules import PackingRule, currency_of, read_rules
from plugins.packages.settings import PackagesSettings

MOST_ORDERS = 100_000
FIRST_DAY = date(2000, 1, 1)


@dataclass(frozen=True)
class Choice:
    """What a rule decided about a parcel of an order; None: the rule is not for it."""

    order_id: int
    number: int
    count: int
    rule: PackingRule
    insert_id: int
    outcome: Outcome | None
    refused: str | None = None

    @property
    def insert(self) -> Insert:
        """What it would give."""
        return next(one.insert for one in self.rule.variants if one.insert.id == self.insert_id)


@dataclass(frozen=True)
class Preview:
    """What the rules would do with parcels: `choices` of all that match, in no order."""

    rules: Sequence[PackingRule]
    parcels: int
    choices: Sequence[Choice]
    currency: str

    def counts(self) -> dict[tuple[int, int, Outcome], int]:
        """How often each (rule, insert, outcome) came about."""
        counted: dict[tuple[int, int, Outcome], int] = {}
        for one in self.choices:
            if one.outcome is not None:
                key = (one.rule.id, one.insert_id, one.outcome)
                counted[key] = counted.get(key, 0) + 1
        return counted

    def left(self) -> dict[int, int]:
        """How many could be had afterwards of each insert of which there are not any number."""
        free = {
            one.insert.id: one.available
            for rule in self.rules for one in rule.variants if one.available is not None
        }  # fmt: skip
        for (_, insert_id, outcome), count in self.counts().items():
            if outcome is Outcome.GIVEN and insert_id in free:
                free[insert_id] -= count
        return free

    def cost(self) -> int:
        """What all that is given costs, in minor units."""
        costs = {
            one.insert.id: one.insert.unit_cost for rule in self.rules for one in rule.variants
        }
        return sum(
            costs[insert_id] * count
            for (_, insert_id, outcome), count in self.counts().items()
            if outcome is Outcome.GIVEN
        )


async def orders_of_day(session: Any, day: date, shop_ids: Sequence[int] | None) -> list[int]:
    """The orders that were paid on a day of the merchant's calendar. Raises InvalidInput."""
    if not FIRST_DAY <= day <= session.now.date() + timedelta(days=1):
        raise InvalidInput("name a day that has been", ("day",))
    zone = ZoneInfo(await time_zone_of(session))
    rows = await session.sql.fetch(
        """SELECT id FROM orders
           WHERE merchant_id = $1 AND paid_at >= $2 AND paid_at < $3
             AND ($4::bigint[] IS NULL OR shop_id = ANY($4::bigint[]))
           ORDER BY id LIMIT $5""",
        session.merchant_id, midnight(day, zone), midnight(day + timedelta(days=1), zone),
        shop_ids, MOST_ORDERS + 1,
    )  # fmt: skip
    if len(rows) > MOST_ORDERS:
        raise InvalidInput(f"a dry run takes {MOST_ORDERS} orders: name shops", ("shopIds",))
    return [row["id"] for row in rows]


async def dry_run(
    session: Any,
    registry: Any,
    settings: PackagesSettings,
    warehouse: str,
    orders: Mapping[int, int],
    *,
    also_off: bool = False,
) -> Preview:
    """What these orders' parcels would get now; `also_off` tries rules that are off, too.

    Stock and budgets are those of now, and nothing is written.
    """
    rules = await read_rules(session, registry, live=not also_off, warehouse=warehouse)
    currency = await currency_of(session)
    parcels = sum(orders.values())
    if not rules or not parcels:
        return Preview(rules, parcels, [], currency)
    q = query_for(rules, session.merchant_id, parcels)
    made = decide(
        rules, of_orders(q, list(orders), list(orders.values())), q,
        currency=currency, max_per_parcel=settings.max_per_parcel,
    )  # fmt: skip
    # in the order in which they are served, in which codes run out
    rows = await session.sql.fetch(f"{made.sql} ORDER BY p.seq", *made.args)
    by_id = {rule.id: rule for rule in rules}
    choices = [_choice(row, by_id) for row in rows]
    customers = [row["customer_id"] for row in rows]
    choices = await _with_codes(session, registry, choices, customers)
    return Preview(rules, parcels, choices, currency)


async def _with_codes(
    session: Any, registry: Any, choices: Sequence[Choice], customers: Sequence[int | None]
) -> list[Choice]:
    """The choices, refused where there would be no code for the customer."""
    found = list(choices)
    groups: dict[int, list[int]] = {}
    for place, one in enumerate(choices):
        if one.outcome is Outcome.GIVEN and one.insert.codes is not None:
            groups.setdefault(one.insert_id, []).append(place)
    for places in groups.values():
        codes = choices[places[0]].insert.codes
        assert codes is not None
        told = await why_no_codes(
            session, registry, codes.source, codes.settings, [customers[one] for one in places]
        )
        for place, why in zip(places, told, strict=True):
            if why is not None:
                found[place] = replace(found[place], outcome=Outcome.REFUSED, refused=why)
    return found


def _choice(row: Mapping[str, Any], rules: Mapping[int, PackingRule]) -> Choice:
    return Choice(
        row["order_id"], row["number"], row["count"], rules[row["rule_id"]], row["insert_id"],
        Outcome(row["outcome"]), row.get("refused"),
    )  # fmt: skip


@dataclass(frozen=True)
class Why:
    """An order's choices, those of rules that do not match it included.

    `decided_at` is None when no wave has the order yet: it is what would be decided now.
    """

    choices: Sequence[Choice]
    decided_at: datetime | None


async def explain_order(
    session: Any, registry: Any, settings: PackagesSettings, warehouse: str, order_id: int
) -> Why | None:
    """Why an order's parcels get what they get, as it was decided or would be now.

    None if there is no such order.
    """
    rows = await session.sql.fetch(
        """SELECT p.order_id, p.number, p.count, p.decided_at, c.rule_id, c.insert_id, c.outcome,
                  c.refused
           FROM packages_parcels p
           LEFT JOIN packages_choices c ON c.merchant_id = $1 AND c.parcel_id = p.id
           WHERE p.merchant_id = $1 AND p.order_id = $2 ORDER BY p.number""",
        session.merchant_id, order_id,
    )  # fmt: skip
    known = await session.sql.fetchval(
        "SELECT id FROM orders WHERE merchant_id = $1 AND id = $2", session.merchant_id, order_id
    )
    if known is None:
        return None
    if not rows:
        made = await dry_run(session, registry, settings, warehouse, {order_id: 1})
        return Why(_with_others(made.choices, made.rules, order_id, {1: 1}), None)
    rules = await read_rules(session, registry)
    by_id = {rule.id: rule for rule in rules}
    choices = [_choice(row, by_id) for row in rows if row["rule_id"] is not None]
    # a rule that was made or switched off later said nothing about the parcel
    asked = [rule for rule in rules if rule.is_on]
    counts = {row["number"]: row["count"] for row in rows}
    return Why(_with_others(choices, asked, order_id, counts), rows[0]["decided_at"])


def _with_others(
    choices: Sequence[Choice],
    rules: Sequence[PackingRule],
    order_id: int,
    counts: Mapping[int, int],
) -> list[Choice]:
    said = {(one.number, one.rule.id): one for one in choices}
    for number, count in counts.items():
        for rule in rules:
            first = rule.variants[0].insert.id
            none = Choice(order_id, number, count, rule, first, None)
            said.setdefault((number, rule.id), none)
    return sorted(said.values(), key=lambda one: (one.number, -one.rule.priority, one.rule.id))
