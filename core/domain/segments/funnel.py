"""What each clause of a rule does: whom it matches alone, and whom it costs."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from core.domain.segments.compile import Compiler
from core.domain.segments.measures import CUSTOMERS, MATCHING, Counts, Within
from core.domain.segments.rules import Rule
from core.domain.segments.tree import Group, Node
from core.registry import Registry
from core.storage.database import Session


@dataclass(frozen=True)
class Clause:
    """One of the questions that must all hold, and how many customers it concerns.

    `alone` match it whatever the others say, `remaining` are left by it and all those before it,
    `excluded` match all the others and fail here: dropping the clause would win them. `costliest`
    marks the clause that excludes most.
    """

    node: Node
    alone: int
    remaining: int
    excluded: int
    costliest: bool


def clauses_of(root: Node) -> Sequence[Node]:
    """The children of an outermost `all`; any other rule is one clause."""
    if isinstance(root, Group) and root.operator == "all":
        return root.children
    return [root]


async def count_clauses(
    session: Session, _registry: Registry, rule: Rule, within: Within
) -> Counts:
    """Everything about the clauses, and with it all customers and the matching ones.

    One pass over the customers, by one statement: each is asked every clause once, and what the
    figures need to know is which clause fails first and how many do.
    """
    q = rule.query("joined", within)
    compiler = Compiler(q)
    conditions = [compiler.sql(node) for node in clauses_of(rule.root)]
    places = range(len(conditions))
    hits = ", ".join(f"{condition} AS h{n}" for n, condition in enumerate(conditions))
    first = " ".join(f"WHEN NOT h{n} THEN {n}" for n in places)
    failed = " + ".join(f"(NOT h{n})::int" for n in places)
    figures = [
        f"""count(*) FILTER (WHERE h{n}) AS alone_{n},
            count(*) FILTER (WHERE first > {n}) AS remaining_{n},
            count(*) FILTER (WHERE failed = 1 AND NOT h{n}) AS excluded_{n}"""
        for n in places
    ]
    # OFFSET 0 keeps each clause from being asked again for each of its figures
    row = await session.figures(
        f"""SELECT {", ".join([
            f"count(*) AS {CUSTOMERS}", f"count(*) FILTER (WHERE failed = 0) AS {MATCHING}",
            *figures,
        ])}
            FROM (SELECT t.*, {f"CASE {first} ELSE {len(conditions)} END" if first else 0} AS first,
                         {failed or 0} AS failed
                  FROM (SELECT {hits} FROM {q.source} WHERE {q.base} OFFSET 0) t OFFSET 0) t""",
        *q.args,
    )  # fmt: skip
    return Counter(dict(row))


def funnel_of(rule: Rule, counts: Counts) -> list[Clause]:
    """The clauses with the figures that `count_clauses` found."""
    nodes = clauses_of(rule.root)
    excluded = [counts[f"excluded_{n}"] for n in range(len(nodes))]
    most = max(excluded, default=0)
    costliest = excluded.index(most) if most else None
    return [
        Clause(
            node, counts[f"alone_{n}"], counts[f"remaining_{n}"], excluded[n], n == costliest
        )
        for n, node in enumerate(nodes)
    ]  # fmt: skip
