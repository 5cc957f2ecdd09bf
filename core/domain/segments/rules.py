"""Rules made ready to be asked: checked against what the merchant has, compiled, put into words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from typing import Any

import orjson

from core.domain.segments.compile import Compiler, sentence
from core.domain.segments.fields import check_fields
from core.domain.segments.ground import ground_of
from core.domain.segments.tree import (
    Facets,
    Node,
    Path,
    Stored,
    camel,
    leaves,
    read_tree,
    segments_asked,
    write_rule,
)
from core.registry import Registry
from core.sdk.errors import HuikeError, InvalidInput, Several
from core.sdk.facets import Form, Language, Query, Say
from core.storage.database import Session

FORMS: tuple[Form, ...] = ("probe", "mixed", "joined")
ESTIMATE = {
    "random_page_cost": "0.2", "seq_page_cost": "0.1", "max_parallel_workers_per_gather": "0",
}  # fmt: skip
"""What the planner is to compare is the work on pages that lie in memory. By the server's settings
it reckons lookups six times dearer than they are, measured at a million customers, and leaves out
what it hopes to hand to idle processors."""

TIE = 1.1
"""Costs so near each other are a tie. Then rows are gathered, which leaves the customers out and is
what idle processors can take part in."""

OWN_PLAN = {"plan_cache_mode": "force_custom_plan"}
"""A statement that is run again is not planned for values that nobody knows: of a range of days the
planner would expect next to nothing."""

NAMED = {"shop": "shops", "segment": "segments", "campaign": "campaigns", "tier": "tiers"}
"""The tables whose rows a rule may name by their ids, by the word before `_id` or `_ids`."""


@dataclass(frozen=True)
class Asked:
    """A rule compiled for a statement: `FROM {q.source} WHERE {q.base} AND {condition}`.

    Parameters of the statement around it are added by `q.arg`.
    """

    q: Query
    condition: str

    @property
    def matching(self) -> str:
        """A FROM clause of the ids of the rule's customers, `c.id`."""
        return f"FROM ({self.q.select(self.condition)}) c"

    @property
    def count(self) -> str:
        """A statement that counts the rule's customers."""
        return self.q.count(self.condition)


@dataclass(frozen=True)
class Rule:
    """A sound rule of one merchant at one instant."""

    root: Node
    now: datetime
    merchant_id: int
    time_zone: str
    shop_zones: Mapping[int, str]
    names: Mapping[tuple[str, int], str]

    def query(self, form: Form = "probe", within: tuple[int, int] | None = None) -> Query:
        """A new statement about the merchant's customers."""
        return Query(
            self.merchant_id, self.now, self.time_zone,
            shop_zones=self.shop_zones, form=form, within=within,
        )  # fmt: skip

    def ask(self, form: Form = "probe", within: tuple[int, int] | None = None) -> Asked:
        """The rule as a condition of a statement of its own."""
        q = self.query(form, within)
        compiler = Compiler(q)
        condition = compiler.sql(self.root)
        q.lead(compiler.only_in(self.root))
        return Asked(q, condition)

    def sentence(self, language: Language = "en", node: Node | None = None) -> str:
        """The rule in words, or one node of it."""
        return sentence(node or self.root, self.say(language))

    def say(self, language: Language = "en") -> Say:
        """What puts a part of the rule into words."""
        return Say(language, self.names)


def ask_all(q: Query, rules: Sequence[Rule]) -> list[str]:
    """A condition for each of several rules, of one statement that reads `FROM {q.source}`.

    What stands in more than one of them is asked once.
    """
    compiler = Compiler(q)
    return [compiler.sql(rule.root) for rule in rules]


async def read_rule(
    session: Session,
    registry: Registry,
    stored: Mapping[str, Any],
    *,
    facets: Facets | None = None,
    inside: tuple[int, str] | None = None,
) -> Rule:
    """Read and check a stored rule: its tree, and the segments, shops and fields it refers to.

    `facets` are those of core and of the plugins that the merchant has switched on, unless others
    are given. `inside` is the id and the new name of the segment that the rule is for, so that a
    circle is found before it is stored. Raises Several of InvalidInput.
    """
    ground = await ground_of(session)
    facets = ground.facets(registry) if facets is None else facets
    segments = await _segments(session, stored, inside)
    off = {name: owned.plugin for name, owned in registry.facets.items() if name not in facets}
    root = read_tree(stored, facets, segments, off)
    names = await names_of(session, references_in(root))
    await check_fields(session, leaves(root))
    return Rule(
        root, session.now, session.merchant_id, ground.time_zone, ground.shop_zones, names,
    )  # fmt: skip


async def stored_rule(
    session: Session, registry: Registry, node: Mapping[str, Any]
) -> dict[str, Any]:
    """The stored form of a node as this version of the facets writes it."""
    return write_rule(node, await usable_facets(session, registry))


async def cheapest(session: Session, rule: Rule, within: tuple[int, int] | None = None) -> Asked:
    """The rule in the form that the database expects to answer fastest for all customers.

    Looking rows up for each customer is best where few are left to ask about, gathering them where
    most are; only the planner knows the merchant's figures.
    """
    made = {asked.matching: asked for asked in (rule.ask(form, within) for form in FORMS)}
    if len(made) == 1:
        await _set(session, OWN_PLAN)
        return next(iter(made.values()))
    await _set(session, OWN_PLAN | ESTIMATE)
    costs = {text: await _cost(session, asked) for text, asked in made.items()}
    await _set(session, dict.fromkeys(ESTIMATE, "DEFAULT"))
    least = min(costs.values())
    return made[[text for text, cost in costs.items() if cost <= least * TIE][-1]]


async def _set(session: Session, settings: Mapping[str, str]) -> None:
    """Settings of the transaction, or of a session without one until it is given back."""
    scope = "LOCAL" if session.sql.is_in_transaction() else "SESSION"
    await session.sql.execute(
        "; ".join(f"SET {scope} {name} TO {value}" for name, value in settings.items())
    )


async def _cost(session: Session, asked: Asked) -> float:
    plan = await session.sql.fetchval(
        f"EXPLAIN (FORMAT JSON) SELECT c.id {asked.matching}", *asked.q.args
    )
    cost: float = orjson.loads(plan)[0]["Plan"]["Total Cost"]
    return cost


async def usable_facets(session: Session, registry: Registry) -> Facets:
    """Core's facets and those of the plugins that the merchant has switched on."""
    return (await ground_of(session)).facets(registry)


async def _segments(
    session: Session, stored: Mapping[str, Any], inside: tuple[int, str] | None
) -> dict[int, Stored]:
    """The segments that a rule refers to, and those that they refer to."""
    found: dict[int, Stored] = {}
    wanted = segments_asked(stored)
    if inside is not None:
        found[inside[0]] = Stored(inside[1], stored)
    while wanted := wanted - set(found):
        rows = await session.sql.fetch(
            "SELECT id, name, rule, kind FROM segments WHERE merchant_id = $1 AND id = ANY($2)",
            session.merchant_id, [number for number in wanted if 0 < number < 2**63],
        )  # fmt: skip
        if not rows:
            break
        asked: set[int] = set()
        for row in rows:
            found[row["id"]] = segment = as_stored(row)
            asked |= segments_asked(segment.rule) if segment.rule else set()
        wanted = asked
    return found


def as_stored(row: Mapping[str, Any]) -> Stored:
    """A row (name, kind, rule) of a segment, as other segments' rules may refer to it."""
    if row["kind"] != "dynamic":
        return Stored(row["name"], None)
    rule = orjson.loads(row["rule"])
    # of a malformed one {} is refused with its name
    return Stored(row["name"], rule if isinstance(rule, Mapping) else {})


Reference = tuple[str, int, Path]
"""The kind and number of an object that a rule refers to, and where."""


def references_in(root: Node) -> list[Reference]:
    """What a rule refers to by number."""
    return [found for leaf in leaves(root) for found in _references(leaf.rule, leaf.path)]


async def names_of(session: Session, wanted: Sequence[Reference]) -> dict[tuple[str, int], str]:
    """The names of what a rule refers to. Raises Several for those not there."""
    names: dict[tuple[str, int], str] = {}
    for kind in {kind for kind, _, _ in wanted}:
        rows = await session.sql.fetch(
            f"SELECT id, name FROM {NAMED[kind]} WHERE merchant_id = $1 AND id = ANY($2::bigint[])",
            session.merchant_id,
            [number for one, number, _ in wanted if one == kind and 0 < number < 2**63],
        )
        names |= {(kind, row["id"]): row["name"] for row in rows}
    missing: list[HuikeError] = [
        InvalidInput(f"there is no such {kind}", path)
        for kind, number, path in wanted
        if (kind, number) not in names
    ]
    if missing:
        raise Several(missing)
    return names


def _references(value: Any, path: Path) -> Iterator[Reference]:
    for one in fields(value):
        given = getattr(value, one.name)
        here = (*path, camel(one.name))
        kind = one.name.removesuffix("s").removesuffix("_id")
        if kind in NAMED and one.name != kind:
            for number in given if isinstance(given, list) else [given]:
                if isinstance(number, int):
                    yield kind, number, here
        elif is_dataclass(given):
            yield from _references(given, here)
