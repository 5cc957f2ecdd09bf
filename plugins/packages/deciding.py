"""Which parcels get what: one statement for any number of parcels.

Rules are gone through by priority. Each is a step of the statement that adds its outcome to all
parcels at once: what those before it gave, its limits, its holdout, the stock and its budget are
taken in this order, and parcels are served in the order in which their orders were paid.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from core.domain.campaigns.chance import choice_sql, share_sql
from core.domain.segments.rules import ask_all
from core.sdk import Query
from core.sdk.facets import Form
from plugins.packages.conditions import NTH
from plugins.packages.outcomes import Outcome
from plugins.packages.rules import PackingRule

ONE_BY_ONE = 2_000
"""Up to so many parcels, customers' rows are looked up rather than gathered."""


@dataclass(frozen=True)
class Deciding:
    """A statement whose rows are (parcel_id, order_id, number, count, customer_id, rule_id,
    outcome, insert_id), and its parameters."""

    sql: str
    args: Sequence[object]


def of_wave(q: Query, wave_id: int) -> str:
    """FROM items of the parcels of a wave: their ids and numbers `k`, their orders `o`."""
    return f"""packages_parcels k
        JOIN orders o ON o.merchant_id = $1 AND o.id = k.order_id
        WHERE k.merchant_id = $1 AND k.wave_id = {q.arg(wave_id, "bigint")}"""


def of_orders(q: Query, order_ids: Sequence[int], counts: Sequence[int]) -> str:
    """FROM items of parcels that are only thought of: so many of each order."""
    orders, parcels = q.arg(list(order_ids), "bigint[]"), q.arg(list(counts), "int[]")
    return f"""unnest({orders}, {parcels}) AS w (order_id, count)
        CROSS JOIN LATERAL (SELECT 0::bigint AS id, w.order_id, number, w.count
                            FROM generate_series(1, w.count) number) k
        JOIN orders o ON o.merchant_id = $1 AND o.id = w.order_id WHERE TRUE"""


def decide(
    rules: Sequence[PackingRule],
    parcels: str,
    q: Query,
    *,
    currency: str,
    max_per_parcel: int,
) -> Deciding:
    """The statement for these parcels (`of_wave` or `of_orders` with `q`) and rules in order."""
    return Deciding(_Statement(rules, q, currency, max_per_parcel).made(parcels), q.args)


def query_for(rules: Sequence[PackingRule], merchant_id: int, parcels: int) -> Query:
    """The query of a statement for so many parcels."""
    known = next((rule.customers for rule in rules if rule.customers is not None), None)
    form: Form = "probe" if parcels <= ONE_BY_ONE else "mixed"
    now, zone = rules[0].now, rules[0].time_zone
    zones = known.shop_zones if known is not None else {}
    return Query(merchant_id, now, zone, shop_zones=zones, form=form)


class _Statement:
    def __init__(
        self, rules: Sequence[PackingRule], q: Query, currency: str, max_per_parcel: int
    ) -> None:
        self._rules, self._q, self._currency = rules, q, currency
        self._max = max_per_parcel

    def made(self, parcels: str) -> str:
        q, rules = self._q, self._rules
        asked = [place for place, rule in enumerate(rules) if rule.customers is not None]
        conditions = ask_all(q, [rule.customers for rule in rules if rule.customers is not None])
        of_order = [rule.orders.sql(q, self._currency) for rule in rules]
        needs_nth = any(rule.orders.asks_for_nth for rule in rules)
        columns = ", ".join(f"{made} AS o{place}" for place, made in enumerate(of_order))
        ctes = [
            f"""p AS MATERIALIZED (
                SELECT row_number() OVER (ORDER BY o.paid_at NULLS LAST, o.id, k.number) AS seq,
                       k.id AS parcel_id, o.id AS order_id, o.customer_id, k.number, k.count,
                       COALESCE(o.customer_id, -o.id) AS person, {columns}
                FROM {self._with_nth(parcels) if needs_nth else parcels})"""
        ]
        holds = {place: f"s.o{place}" for place in range(len(rules))}
        joins = ""
        if asked:
            made = ", ".join(
                f"{condition} AS c{place}"
                for place, condition in zip(asked, conditions, strict=True)
            )
            ctes.append(f"""who AS MATERIALIZED (
                SELECT c.id, {made} FROM {q.source}
                WHERE {q.base} AND c.id = ANY(ARRAY(SELECT customer_id FROM p)))""")
            joins += " LEFT JOIN who ON who.id = s.customer_id"
            holds |= {place: f"(s.o{place} AND COALESCE(who.c{place}, FALSE))" for place in asked}
        limited = [place for place, rule in enumerate(rules) if rule.per_customer is not None]
        past = ""
        if limited:
            ctes.append(self._past(limited))
            joins += " LEFT JOIN past ON past.customer_id = s.customer_id"
            past = "".join(f", COALESCE(past.n{place}, 0) AS n{place}" for place in limited)
        matched = "".join(f", {holds[place]} AS m{place}" for place in range(len(rules)))
        ctes.append(
            f"""s AS MATERIALIZED (SELECT s.seq, s.person{matched}{past} FROM p s{joins})"""
        )
        for place in range(len(rules)):
            ctes.append(self._step(place))
        values = ", ".join(
            f"({q.arg(rule.id, 'bigint')}, r{place}, {self._insert(place)})"
            for place, rule in enumerate(rules)
        )
        last = f"s{len(rules) - 1}"
        return f"""WITH {", ".join(ctes)}
            SELECT p.parcel_id, p.order_id, p.number, p.count, p.customer_id,
                   v.rule_id, v.outcome, v.insert_id
            FROM {last} z JOIN p USING (seq)
            CROSS JOIN LATERAL (VALUES {values}) AS v (rule_id, outcome, insert_id)
            WHERE v.outcome IS NOT NULL"""

    def _with_nth(self, parcels: str) -> str:
        items, where = parcels.rsplit("WHERE", 1)
        return f"{items} CROSS JOIN LATERAL (SELECT {NTH} AS nth OFFSET 0) n WHERE {where}"

    def _past(self, limited: Sequence[int]) -> str:
        """What customers have had of the rules that are limited, besides these parcels."""
        q = self._q
        counted = ", ".join(
            f"""count(*) FILTER (WHERE x.rule_id = {q.arg(self._rules[place].id, "bigint")}
                AND x.at >= {q.days_ago(self._rules[place].per_days)}) AS n{place}"""
            for place in limited
        )
        ids = q.arg([self._rules[place].id for place in limited], "bigint[]")
        since = q.days_ago(max(self._rules[place].per_days for place in limited))
        return f"""past AS MATERIALIZED (
            SELECT x.customer_id, {counted}
            FROM packages_choices x
            JOIN packages_parcels y ON y.merchant_id = $1 AND y.id = x.parcel_id
            WHERE x.merchant_id = $1 AND x.rule_id = ANY({ids}) AND x.at >= {since}
              AND x.outcome IN ({Outcome.GIVEN:d}, {Outcome.HOLDOUT:d})
              AND x.customer_id = ANY(ARRAY(SELECT customer_id FROM p))
              AND NOT EXISTS (SELECT 1 FROM p WHERE p.order_id = y.order_id)
            GROUP BY x.customer_id)"""

    def _step(self, place: int) -> str:
        """The step of one rule: each layer turns away some of those still open, which are 0."""
        q, rule, rules = self._q, self._rules[place], self._rules
        before = f"s{place - 1}" if place else "s"
        given = [f"COALESCE((r{n} = {Outcome.GIVEN:d})::int, 0)" for n in range(place)]
        closed = [
            f"r{n} = {Outcome.GIVEN:d}"
            for n in range(place)
            if rule.exclusive is not None and rules[n].exclusive == rule.exclusive
        ]
        cases = [f"WHEN NOT m{place} THEN NULL"]
        if closed:
            cases.append(f"WHEN {' OR '.join(closed)} THEN {Outcome.EXCLUDED:d}")
        if given:
            cases.append(f"WHEN {' + '.join(given)} >= {self._max:d} THEN {Outcome.FULL:d}")
        made = f"SELECT *, CASE {' '.join(cases)} ELSE 0 END AS t0 FROM {before}"
        level = 0

        def turn_away(test: str, outcome: Outcome) -> None:
            nonlocal made, level
            made = f"""SELECT b.*, CASE WHEN t{level} = 0 AND {test} THEN {outcome:d}
                ELSE t{level} END AS t{level + 1} FROM ({made}) b"""
            level += 1

        if rule.per_customer is not None:
            most = q.arg(rule.per_customer, "bigint")
            rank = f"row_number() OVER (PARTITION BY person, t{level} = 0 ORDER BY seq)"
            turn_away(f"n{place} + {rank} > {most}", Outcome.LIMIT)
        if rule.holdout:
            share = share_sql("person", f"'{rule.salt('holdout')}'")
            turn_away(f"{share} < {q.arg(rule.holdout, 'bigint')}", Outcome.HOLDOUT)
        if len(rule.variants) > 1:
            chosen = choice_sql(
                "person", f"'{rule.salt('variant')}'", [one.weight for one in rule.variants]
            )
            made = f"""SELECT b.*, CASE WHEN t{level} IN (0, {Outcome.HOLDOUT:d}) THEN {chosen}
                END AS i{place} FROM ({made}) b"""
        which = self._variant(place)
        stocked = [n for n, one in enumerate(rule.variants) if one.available is not None]
        if stocked:
            left = " ".join(
                f"WHEN {n} THEN {q.arg(rule.variants[n].available, 'bigint')}"
                + self._used(place, rule.variants[n].insert.id, before)
                for n in stocked
            )
            rank = f"row_number() OVER (PARTITION BY {which}, t{level} = 0 ORDER BY seq)"
            turn_away(f"{rank} > CASE {which} {left} END", Outcome.STOCK)
        if rule.budget is not None:
            costs = " ".join(
                f"WHEN {n} THEN {q.arg(one.insert.unit_cost, 'bigint')}"
                for n, one in enumerate(rule.variants)
            )
            spent = f"""sum(CASE {which} {costs} END) FILTER (WHERE t{level} = 0)
                OVER (ORDER BY seq ROWS UNBOUNDED PRECEDING)"""
            turn_away(f"{spent} > {q.arg(rule.budget - rule.spent, 'bigint')}", Outcome.BUDGET)
        kept = ["seq", "person"]
        kept += [one for n in range(place) for one in self._results(n)]
        for later in range(place + 1, len(rules)):
            kept.append(f"m{later}")
            if rules[later].per_customer is not None:
                kept.append(f"n{later}")
        if len(rule.variants) > 1:
            kept.append(f"i{place}")
        outcome = (
            f"(CASE t{level} WHEN 0 THEN {Outcome.GIVEN:d} ELSE t{level} END)::smallint AS r{place}"
        )
        return f"s{place} AS MATERIALIZED (SELECT {', '.join([*kept, outcome])} FROM ({made}) x)"

    def _results(self, place: int) -> list[str]:
        return [f"r{place}", *([f"i{place}"] if len(self._rules[place].variants) > 1 else [])]

    def _variant(self, place: int) -> str:
        """Which variant a parcel falls to, from 0."""
        return f"i{place}" if len(self._rules[place].variants) > 1 else "0"

    def _insert(self, place: int) -> str:
        """The insert that a rule gives a parcel, or would have given it; the first if none."""
        variants = self._rules[place].variants
        ids = " ".join(
            f"WHEN {n} THEN {self._q.arg(one.insert.id, 'bigint')}"
            for n, one in enumerate(variants)
        )
        first = self._q.arg(variants[0].insert.id, "bigint")
        return f"CASE {self._variant(place)} {ids} ELSE {first} END"

    def _used(self, place: int, insert_id: int, before: str) -> str:
        """Minus what rules before have given of an insert."""
        taken = [
            f"COALESCE((r{n} = {Outcome.GIVEN:d} AND {self._variant(n)} = {choice})::int, 0)"
            for n in range(place)
            for choice, one in enumerate(self._rules[n].variants)
            if one.insert.id == insert_id
        ]
        # a parcel may have it of two rules
        return f" - (SELECT COALESCE(sum({' + '.join(taken)}), 0) FROM {before})" if taken else ""
