"""Why a customer is in a segment or is not: each clause of the rule, and what was found."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.domain.segments.compile import Compiler
from core.domain.segments.rules import Rule
from core.domain.segments.tree import Group, Leaf, Node, leaves
from core.storage.database import Session


@dataclass(frozen=True)
class Reason:
    """Whether one node of a rule's tree holds for a customer.

    `parent` is the place of the node around it in the list, `found` what the facet shows for the
    customer: JSON, decimals as text.
    """

    node: Node
    parent: int | None
    depth: int
    holds: bool
    found: Any = None


async def explain_customers(
    session: Session, rule: Rule, customer_ids: Sequence[int]
) -> dict[int, list[Reason]]:
    """The rule's tree, each node before its children, with what holds for each customer.

    One statement asks all questions about all these customers. Customers that are not the
    merchant's are left out.
    """
    q = rule.query("probe")
    compiler = Compiler(q)
    asked = list(leaves(rule.root))
    columns = []
    for n, leaf in enumerate(asked):
        columns.append(f"{compiler.sql(leaf)} AS holds_{n}")
        found = leaf.owned.value.found(leaf.rule, q)
        columns.append(f"{f'to_jsonb({found})' if found else 'NULL'} AS found_{n}")
    rows = await session.sql.fetch(
        f"""SELECT {", ".join(["c.id", *columns])} FROM {q.source}
            WHERE {q.base} AND c.id = ANY({q.arg(list(customer_ids))}::bigint[])""",
        *q.args,
    )
    return {
        row["id"]: _reasons(
            rule.root,
            iter([(row[f"holds_{n}"], _value(row[f"found_{n}"])) for n in range(len(asked))]),
        )
        for row in rows
    }


def _value(text: str | None) -> Any:
    # a binary fraction would not be the number that is stored
    return None if text is None else json.loads(text, parse_float=str)


def _reasons(root: Node, answers: Iterator[tuple[bool, Any]]) -> list[Reason]:
    """The tree as a list, from the answers to its leaves from the left."""
    made: list[Reason] = []

    def visit(node: Node, parent: int | None, depth: int) -> bool:
        place = len(made)
        if isinstance(node, Leaf):
            holds, found = next(answers)
            made.append(Reason(node, parent, depth, holds, found))
            return holds
        made.append(Reason(node, parent, depth, False))
        parts = [visit(child, place, depth + 1) for child in node.children]
        holds = _joined(node, parts)
        made[place] = Reason(node, parent, depth, holds)
        return holds

    visit(root, None, 0)
    return made


def _joined(group: Group, parts: list[bool]) -> bool:
    if group.operator == "any":
        return any(parts)
    if group.operator == "not":
        return not parts[0]
    return all(parts)


async def entered_at(
    session: Session, segment_id: int, customer_ids: Sequence[int]
) -> dict[int, datetime]:
    """Since when customers are written down as members of a segment, for those that are."""
    rows = await session.sql.fetch(
        """SELECT customer_id, entered_at FROM segment_members
           WHERE merchant_id = $1 AND segment_id = $2 AND customer_id = ANY($3::bigint[])
             AND left_at IS NULL""",
        session.merchant_id, segment_id, list(customer_ids),
    )  # fmt: skip
    return {row["customer_id"]: row["entered_at"] for row in rows}
