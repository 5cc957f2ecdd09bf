"""One statement that asks all of a merchant's rules about some customers, and keeps the members.

To build it takes longer than the database needs for one customer, so it is kept while the rules,
the zones and the minute stay the same; within a minute no day begins anywhere, and nothing but the
clock itself moves in its parameters.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from core.domain.segments.compile import Compiler
from core.domain.segments.members import differences
from core.domain.segments.recent import Recent
from core.domain.segments.rules import Rule
from core.domain.segments.tree import leaves

TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class _Statement:
    """Built for these rules at their `now`; `clock` are the places of what moves with it."""

    rules: Mapping[int, Rule]
    sql: str
    args: Sequence[Any]
    customers: int
    clock: frozenset[int]

    def fits(self, rules: Mapping[int, Rule]) -> bool:
        """Whether it asks these rules as well, at their instant."""
        first, kept = next(iter(rules.values())), next(iter(self.rules.values()))
        return (
            _minute(first.now) == _minute(kept.now)
            and first.time_zone == kept.time_zone
            and first.shop_zones == kept.shop_zones
            and rules.keys() == self.rules.keys()
            and all(rule.root is self.rules[number].root for number, rule in rules.items())
        )

    def args_for(self, customer_ids: Sequence[int], now: datetime) -> list[Any]:
        since = now - next(iter(self.rules.values())).now
        args = [one + since if n in self.clock else one for n, one in enumerate(self.args)]
        args[self.customers] = customer_ids
        return args


_kept = Recent[_Statement]()


def asked_about(
    rules: Mapping[int, Rule], customer_ids: Sequence[int]
) -> tuple[str, Sequence[Any]]:
    """A statement and its arguments: the differences (see `members`) of rules for some customers.

    `rules` are of one merchant and one instant, by their segments.
    """
    first = next(iter(rules.values()))
    kept = _kept.find(first.merchant_id)
    if kept is None or not kept.fits(rules):
        kept = _build(rules)
        later = _build(
            {number: replace(rule, now=rule.now + TICK) for number, rule in rules.items()}
        )
        clock = _moving(kept, later)
        if clock is None:
            return kept.sql, kept.args_for(customer_ids, first.now)
        kept = _kept.keep(first.merchant_id, replace(kept, clock=clock))
    return kept.sql, kept.args_for(customer_ids, first.now)


def _minute(now: datetime) -> datetime:
    return now.replace(second=0, microsecond=0)


def _moving(one: _Statement, later: _Statement) -> frozenset[int] | None:
    """Where the arguments of a statement move with the clock; None when more than they changes."""
    if one.sql != later.sql or len(one.args) != len(later.args):
        return None
    moved = {n for n, (a, b) in enumerate(zip(one.args, later.args, strict=True)) if a != b}
    if any(
        not isinstance(one.args[n], datetime) or later.args[n] - one.args[n] != TICK for n in moved
    ):
        return None
    return frozenset(moved)


def _build(rules: Mapping[int, Rule]) -> _Statement:
    """What several rules ask is asked once."""
    q = next(iter(rules.values())).query("probe")
    numbers = q.arg(list(rules), "bigint[]")
    q.args.append(())  # a place of its own, whatever the rules hold
    customers = len(q.args) - 1
    ids = f"${len(q.args)}::bigint[]"
    found = [leaf for rule in rules.values() for leaf in leaves(rule.root)]
    times = Counter(leaf.question for leaf in found)
    compiler = Compiler(q)
    shared = {leaf.question: leaf for leaf in found if times[leaf.question] > 1}
    columns = [f"{compiler.sql(leaf)} AS a{n}" for n, leaf in enumerate(shared.values())]
    answers = Compiler(q, {key: f"answers.a{n}" for n, key in enumerate(shared)})
    matches = ", ".join(answers.sql(rule.root) for rule in rules.values())
    matching = f"""SELECT v.segment_id, c.id AS customer_id
        FROM customers c
        CROSS JOIN LATERAL (SELECT {", ".join(columns) or "TRUE"} OFFSET 0) answers
        CROSS JOIN LATERAL unnest({numbers}, ARRAY[{matches}]) v (segment_id, matches)
        WHERE {q.base} AND c.id = ANY({ids}) AND v.matches"""
    scope = f"m.customer_id = ANY({ids}) AND m.segment_id = ANY({numbers})"
    sql = differences(matching, scope, q.arg(q.now, "timestamptz"), q.arg("change", "text"))
    return _Statement(rules, sql, q.args, customers, frozenset())
