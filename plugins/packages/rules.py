"""Rules: which parcels get which inserts."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import orjson
from pydantic import ValidationError

from core.domain.segments.rules import Rule, names_of, read_rule, usable_facets
from core.domain.shops.code_sources import free_codes
from core.domain.shops.merchants import check_name
from core.sdk import (
    AlreadyExists,
    Faults,
    InvalidInput,
    NotFound,
    Say,
    Several,
    WrongState,
    paths_moved,
)
from core.sdk.facets import Language
from core.sdk.versions import check_version
from plugins.packages.conditions import OrderRule
from plugins.packages.inserts import Insert, inserts_by_id

CHANGEABLE = (
    "name", "priority", "exclusive", "per_customer", "per_days", "budget", "starts_at", "ends_at",
)  # fmt: skip
"""What may change while a rule is on: not whom it is for, nor what it gives, or its results would
compare what was not alike."""
MOST_RULES, MOST_VARIANTS, MOST_WEIGHT, PARTS = 50, 5, 1000, 10_000


@dataclass(frozen=True)
class Variant:
    """One of a rule's inserts; `available` are those that can be had in the warehouse, and codes
    for them; None for any number."""

    insert: Insert
    weight: int
    available: int | None = None


@dataclass(frozen=True)
class PackingRule:
    """A stored rule, ready to be asked at an instant; see models.PackagesRule."""

    id: int
    name: str
    variants: Sequence[Variant]
    customers: Rule | None
    orders: OrderRule
    priority: int
    exclusive: str | None
    per_customer: int | None
    per_days: int
    holdout: int
    budget: int | None
    spent: int
    starts_at: datetime | None
    ends_at: datetime | None
    is_on: bool
    version: int
    names: Mapping[tuple[str, int], str]
    now: datetime
    time_zone: str

    def salt(self, use: str) -> str:
        """The salt by which customers always fall to the same side: "holdout" or "variant"."""
        return f"packages:{self.id}:{use}"

    def sentence(self, language: Language) -> str:
        """Whom it is for, in words."""
        say = Say(language, self.names)
        parts = [] if self.customers is None else [
            say(f"the customer {self.customers.sentence('en')}",
                f"客户{self.customers.sentence('zh')}")
        ]  # fmt: skip
        if words := self.orders.words(say):
            parts.append(words)
        return say(" and ", "且").join(parts) or say("every parcel", "所有包裹")


@dataclass(frozen=True)
class NewRule:
    """A rule to be made. `variants` are (insert, weight); `customers` is a stored segment rule."""

    name: str
    variants: Sequence[tuple[int, int]]
    customers: Mapping[str, Any] | None
    orders: Mapping[str, Any]
    priority: int = 0
    exclusive: str | None = None
    per_customer: int | None = None
    per_days: int = 30
    holdout: int = 0
    budget: int | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None


async def create_rule(w: Any, registry: Any, new: NewRule) -> int:
    """Make a rule that is not on yet; returns its id.

    Raises InvalidInput, Several, NotFound, AlreadyExists.
    """
    faults = Faults()
    with faults:
        name = check_name(new.name)
    with faults:
        _check(new)
    with faults:
        orders = await _orders(w, new.orders)
    if new.customers is not None:
        with faults, paths_moved(("input", "rule"), ("input", "customers")):
            await read_rule(w, registry, new.customers)
    known = await inserts_by_id(w, [insert_id for insert_id, _ in new.variants])
    for place, (insert_id, _) in enumerate(new.variants):
        if insert_id not in known or known[insert_id].archived:
            path = ("input", "variants", place, "insertId")
            faults.add(NotFound("there is no such insert", path))
    faults.tell()
    made: int | None = await w.sql.fetchval(
        """INSERT INTO packages_rules (merchant_id, name, variants, customers, orders, priority,
               exclusive, per_customer, per_days, holdout, budget, spent, starts_at, ends_at,
               is_on, created_at)
           VALUES ($1, $2, $3::jsonb, $4::jsonb, $5::jsonb, $6, $7, $8, $9, $10, $11, 0, $12, $13,
               FALSE, $14)
           ON CONFLICT (merchant_id, name) DO NOTHING RETURNING id""",
        w.merchant_id, name,
        json.dumps([{"insert_id": one, "weight": weight} for one, weight in new.variants]),
        None if new.customers is None else json.dumps(new.customers),
        orders.model_dump_json(exclude_none=True), new.priority, new.exclusive,
        new.per_customer, new.per_days, new.holdout, new.budget, new.starts_at, new.ends_at, w.now,
    )  # fmt: skip
    if made is None:
        raise AlreadyExists(f"there is a rule {name} already", ("input", "name"))
    w.audit("packages_rule.created", {"rule": made})
    return made


async def _orders(w: Any, given: Mapping[str, Any]) -> OrderRule:
    try:
        orders = OrderRule.model_validate(dict(given))
    except ValidationError as error:
        raise Several([
            InvalidInput(fault["msg"], ("input", "orders", *fault["loc"]))
            for fault in error.errors(include_input=False, include_url=False)
        ]) from None  # fmt: skip
    orders.check(await currency_of(w))
    await _shop_names(w, orders)
    return orders


def _check(new: NewRule) -> None:
    faults = Faults()
    if not 1 <= len(new.variants) <= MOST_VARIANTS:
        faults.wrong(f"a rule gives one of 1 to {MOST_VARIANTS} inserts", "variants")
    if len({insert_id for insert_id, _ in new.variants}) < len(new.variants):
        faults.wrong("each insert stands once", "variants")
    if not all(1 <= weight <= MOST_WEIGHT for _, weight in new.variants):
        faults.wrong(f"weights are from 1 to {MOST_WEIGHT}", "variants")
    if new.exclusive is not None and not 1 <= len(new.exclusive) <= 50:
        faults.wrong("a group's name has 1 to 50 characters", "exclusive")
    for field, value, low, high in (
        ("priority", new.priority, -1000, 1000), ("perCustomer", new.per_customer, 1, 1000),
        ("perDays", new.per_days, 1, 3650), ("holdout", new.holdout, 0, PARTS // 2),
        ("budget", new.budget, 0, 10**12),
    ):  # fmt: skip
        if value is not None and not low <= value <= high:
            faults.wrong(f"{field} is from {low} to {high}", field)
    if new.starts_at and new.ends_at and new.starts_at >= new.ends_at:
        faults.wrong("it ends before it starts", "endsAt")
    faults.tell()


async def update_rule(
    w: Any, rule_id: int, changes: Mapping[str, Any], if_version: int | None = None
) -> None:
    """Change values of CHANGEABLE, for the waves to come.

    Raises NotFound, InvalidInput, AlreadyExists, and Conflict for a rule of another version than
    `if_version`.
    """
    row = await w.sql.fetchrow(
        "SELECT * FROM packages_rules WHERE merchant_id = $1 AND id = $2 FOR NO KEY UPDATE",
        w.merchant_id, rule_id,
    )  # fmt: skip
    if row is None:
        raise NotFound("there is no rule with this id", ("id",))
    check_version(row["version"], if_version)
    values = {name: changes.get(name, row[name]) for name in CHANGEABLE}
    faults = Faults()
    with faults:
        values["name"] = check_name(values["name"])
    variants = [(one["insert_id"], one["weight"]) for one in orjson.loads(row["variants"])]
    with faults:
        _check(
            NewRule(variants=variants, customers=None, orders={}, holdout=row["holdout"], **values)
        )
    faults.tell()
    sets = ", ".join(f"{name} = ${number}" for number, name in enumerate(CHANGEABLE, 3))
    try:
        async with w.sql.transaction():
            await w.sql.execute(
                f"""UPDATE packages_rules SET {sets}, version = version + 1
                    WHERE merchant_id = $1 AND id = $2""",
                w.merchant_id, rule_id, *values.values(),
            )  # fmt: skip
    except asyncpg.UniqueViolationError:
        raise AlreadyExists(
            f"there is a rule {values['name']} already", ("input", "name")
        ) from None
    w.audit("packages_rule.updated", {"rule": rule_id, "changed": sorted(changes)})


async def switch_rule(w: Any, rule_id: int, is_on: bool) -> None:
    """Switch a rule on or off. Raises NotFound, and WrongState when too many are on."""
    found = await w.sql.fetchval(
        """UPDATE packages_rules SET is_on = $3 WHERE merchant_id = $1 AND id = $2 RETURNING id""",
        w.merchant_id, rule_id, is_on,
    )  # fmt: skip
    if found is None:
        raise NotFound(f"there is no rule {rule_id}", ("id",))
    count = await w.sql.fetchval(
        "SELECT count(*) FROM packages_rules WHERE merchant_id = $1 AND is_on", w.merchant_id
    )
    if count > MOST_RULES:
        raise WrongState(f"{MOST_RULES} rules are on already: stop one first", ("id",))
    w.audit("packages_rule.started" if is_on else "packages_rule.stopped", {"rule": rule_id})


async def read_rules(
    session: Any,
    registry: Any,
    *,
    ids: Sequence[int] | None = None,
    live: bool = False,
    warehouse: str | None = None,
    locked: bool = False,
) -> list[PackingRule]:
    """The merchant's rules, the first to be gone through first; `live` are those on and valid now.

    `ids` leaves those of these ids.
    With a warehouse, their inserts say how many can be had there. `locked` keeps budget and stock
    for this transaction.
    """  # fmt: skip
    rows = await session.sql.fetch(
        f"""SELECT * FROM packages_rules
            WHERE merchant_id = $1 AND (NOT $2 OR (is_on
              AND (starts_at IS NULL OR starts_at <= $3) AND (ends_at IS NULL OR ends_at > $3)))
              AND ($4::bigint[] IS NULL OR id = ANY($4))
            ORDER BY priority DESC, id {"FOR UPDATE" if locked else ""}""",
        session.merchant_id, live, session.now, ids,
    )  # fmt: skip
    inserts = await inserts_by_id(session)
    stored = [orjson.loads(row["variants"]) for row in rows]
    named = {one["insert_id"] for variants in stored for one in variants}
    given = [inserts[one] for one in sorted(named)]
    free = {} if warehouse is None else await _free(session, registry, given, warehouse, locked)
    facets = await usable_facets(session, registry)
    zone = await session.sql.fetchval(
        "SELECT time_zone FROM merchants WHERE id = $1", session.merchant_id
    )
    made = []
    for row, variants in zip(rows, stored, strict=True):
        orders = OrderRule.model_validate_json(row["orders"])
        customers = row["customers"] and await read_rule(
            session, registry, orjson.loads(row["customers"]), facets=facets
        )
        made.append(PackingRule(
            row["id"], row["name"],
            [Variant(inserts[one["insert_id"]], one["weight"], free.get(one["insert_id"]))
             for one in variants],
            customers, orders, row["priority"],
            row["exclusive"], row["per_customer"], row["per_days"], row["holdout"],
            row["budget"], row["spent"], row["starts_at"], row["ends_at"], row["is_on"],
            row["version"], await _shop_names(session, orders), session.now, zone,
        ))  # fmt: skip
    return made


async def _free(
    session: Any, registry: Any, inserts: Sequence[Insert], warehouse: str, locked: bool
) -> dict[int, int]:
    """How many can be had of those inserts of which there are not any number."""
    rows = await session.sql.fetch(
        f"""SELECT insert_id, GREATEST(on_hand - reserved, 0) AS free FROM packages_stock
            WHERE merchant_id = $1 AND warehouse = $2
            ORDER BY insert_id {"FOR UPDATE" if locked else ""}""",
        session.merchant_id, warehouse,
    )  # fmt: skip
    stock = {row["insert_id"]: row["free"] for row in rows}
    free = {one.id: stock.get(one.id, 0) for one in inserts if one.tracks_stock}
    for one in inserts:
        if one.codes is not None:
            codes = await free_codes(session, registry, one.codes.source, one.codes.settings)
            if codes is not None:
                free[one.id] = min(free.get(one.id, codes), codes)
    return free


async def _shop_names(session: Any, orders: OrderRule) -> Mapping[tuple[str, int], str]:
    """The names of the shops that the conditions name. Raises Several for those not there."""
    return await names_of(
        session,
        [("shop", one, ("input", "orders", "shopIds")) for one in orders.shop_ids or ()],
    )


async def currency_of(session: Any) -> str:
    """The merchant's currency."""
    currency: str = await session.sql.fetchval(
        "SELECT currency FROM merchants WHERE id = $1", session.merchant_id
    )
    return currency


def _at(field: str) -> tuple[str, ...]:
    return ("input", field)
