"""What takes a customer out of a journey: asked before each step, and again before each message."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from core.domain.campaigns.journeys.asking import new_query, rule_sql
from core.domain.campaigns.journeys.running import Journey
from core.domain.segments.compile import Compiler
from core.domain.segments.rules import Rule, read_rule
from core.registry import Registry
from core.sdk.flows import Exit
from core.storage.database import Session, Work


def exit_reason_sql(leaving: Exit, rule: str) -> str:
    """Why an enrolment `e` of customer `c` is to end, or NULL, as SQL.

    `rule` is the exit's segment rule as a condition about `c`, FALSE if it has none. "$1" is the
    merchant. Order states are written out: they are names of our own.
    """
    reasons = ["WHEN e.state = 'left' THEN 'left'"]
    if leaving.order_states is not None:
        states = ", ".join(f"'{state}'" for state in leaving.order_states) or "NULL"
        reasons.append(f"""WHEN e.order_id IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM orders eo WHERE eo.merchant_id = $1 AND eo.id = e.order_id
               AND eo.state IN ({states})) THEN 'order_changed'""")
    if leaving.bought:
        reasons.append("""WHEN EXISTS (
            SELECT 1 FROM orders eb WHERE eb.merchant_id = $1 AND eb.customer_id = e.customer_id
               AND eb.paid_at > e.entered_at AND eb.id IS DISTINCT FROM e.order_id)
            THEN 'bought'""")
    if leaving.rule is not None:
        reasons.append(f"WHEN {rule} THEN 'left'")
    return f"CASE {' '.join(reasons)} END"


async def leavers(
    w: Work, registry: Registry, journey: Journey, enrolment_ids: Sequence[int]
) -> dict[int, str]:
    """Which of these enrolments are to end now, and why. Raises Several for a rule's faults."""
    leaving = journey.flow.exit
    if leaving == Exit():
        return {}
    q = await new_query(w)
    rule = await rule_sql(w, registry, q, leaving.rule)
    rows = await w.sql.fetch(
        f"""SELECT id, reason FROM (
                SELECT e.id, {exit_reason_sql(leaving, rule)} AS reason
                FROM enrolments e
                JOIN customers c ON c.merchant_id = e.merchant_id AND c.id = e.customer_id
                WHERE e.merchant_id = $1 AND e.id = ANY({q.arg(list(enrolment_ids), "bigint[]")})
            ) x WHERE reason IS NOT NULL""",
        *q.args,
    )
    return {row["id"]: row["reason"] for row in rows}


@dataclass(frozen=True)
class Leaving:
    """A journey's exit rule, ready to be asked about messages just before they are sent."""

    exit: Exit
    rule: Rule | None

    def reason_sql(self, w: Work, args: list[Any], enrolment: str) -> str:
        """Why the message is no longer wanted, or NULL, as SQL; `enrolment` is its enrolment's id.

        About customer `c` of a statement whose parameters are `args`, to which more are added.
        """
        rule = "FALSE"
        if self.rule is not None:
            q = replace(self.rule, now=w.now).query()
            q.args = args
            rule = Compiler(q).sql(self.rule.root)
        return f"""(SELECT {exit_reason_sql(self.exit, rule)} FROM enrolments e
            WHERE e.merchant_id = $1 AND e.id = {enrolment})"""


async def read_leaving(session: Session, registry: Registry, leaving: Exit) -> Leaving:
    """Read and check the exit's segment rule, if any. Raises Several."""
    if leaving.rule is None:
        return Leaving(leaving, None)
    rule = await read_rule(session, registry, leaving.rule, facets=registry.facets)
    return Leaving(leaving, rule)
