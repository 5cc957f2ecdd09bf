"""Why a customer got no message of a campaign: what the ledger says, and what would happen now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from core.domain.campaigns.campaigns import get_campaign
from core.domain.campaigns.flows import campaign_channel, stored_flow, stored_options
from core.domain.campaigns.planning import Message, Recipients, planned_sql
from core.domain.campaigns.policy.gate import SEND, read_gate
from core.domain.campaigns.results.holdout import holdout_of
from core.domain.segments.rules import Rule, read_rule
from core.domain.segments.why import Reason, explain_customers
from core.registry import Registry
from core.sdk.facets import Query
from core.sdk.flows import Flow, OnAudience, OnSegment
from core.storage.database import Session

RECENT = 100
"""So many of the customer's messages of the campaign are told, the newest first."""


@dataclass(frozen=True)
class Verdict:
    """What policy says to a step's message now; `rule` is None when it may go out at once."""

    step: str
    verdict: str
    rule: str | None
    moment: datetime


@dataclass(frozen=True)
class WhyNotSent:
    """All that there is to say. `answer` is a name of reasons.ANSWERS or reasons.SKIP_REASONS.

    `rule` and `clauses` say whether the customer is in the audience, if the campaign has one;
    `entries` are rows of enrolments, `deliveries` of the ledger, both the newest first.
    """

    answer: str
    rule: Rule | None
    clauses: Sequence[Reason]
    entries: Sequence[Mapping[str, Any]]
    deliveries: Sequence[Mapping[str, Any]]
    now: Sequence[Verdict]

    @property
    def in_audience(self) -> bool | None:
        """Whether the audience's rule matches the customer; None if there is no such rule."""
        return self.clauses[0].holds if self.clauses else None


async def why_not_sent(
    session: Session, registry: Registry, campaign_id: int, customer_id: int
) -> WhyNotSent:
    """Look at one customer in the light of a campaign. Raises NotFound, InvalidInput, Several."""
    campaign = await get_campaign(session, campaign_id)
    flow = stored_flow(campaign["flow"])
    rule = await _audience_rule(session, registry, campaign_id, flow)
    clauses: Sequence[Reason] = ()
    if rule is not None:
        clauses = (await explain_customers(session, rule, [customer_id])).get(customer_id, [])
    entries = await session.sql.fetch(
        """SELECT * FROM enrolments WHERE merchant_id = $1 AND campaign_id = $2
              AND customer_id = $3 ORDER BY id DESC LIMIT $4""",
        session.merchant_id, campaign_id, customer_id, RECENT,
    )  # fmt: skip
    deliveries = await session.sql.fetch(
        """SELECT d.* FROM deliveries d
           JOIN campaign_runs r ON r.merchant_id = d.merchant_id AND r.id = d.run_id
           WHERE d.merchant_id = $1 AND r.campaign_id = $2 AND d.customer_id = $3
           ORDER BY d.id DESC LIMIT $4""",
        session.merchant_id, campaign_id, customer_id, RECENT,
    )  # fmt: skip
    about = next((row for row in (*deliveries, *entries) if row["order_id"] is not None), None)
    order_id = None if about is None else about["order_id"]
    now = await _verdicts(session, registry, campaign, flow, customer_id, order_id)
    outside = bool(clauses) and not clauses[0].holds
    answer = _answer(campaign["state"], outside, entries, deliveries, now)
    return WhyNotSent(answer, rule, clauses, entries, deliveries, now)


async def _audience_rule(
    session: Session, registry: Registry, campaign_id: int, flow: Flow
) -> Rule | None:
    """The rule that the newest run froze, or that of the segment that the campaign names."""
    if not isinstance(flow.trigger, OnAudience | OnSegment):
        return None
    stored = await session.sql.fetchval(
        """SELECT COALESCE(
               (SELECT r.rule FROM campaign_runs r WHERE r.merchant_id = $1
                   AND r.campaign_id = $2 ORDER BY r.id DESC LIMIT 1),
               (SELECT s.rule FROM segments s WHERE s.merchant_id = $1 AND s.id = $3))""",
        session.merchant_id, campaign_id, flow.trigger.segment_id,
    )  # fmt: skip
    return await read_rule(session, registry, orjson.loads(stored)) if stored else None


async def _verdicts(
    session: Session,
    registry: Registry,
    campaign: Mapping[str, Any],
    flow: Flow,
    customer_id: int,
    order_id: int | None,
) -> list[Verdict]:
    options, shop_id = stored_options(campaign["options"]), campaign["shop_id"]
    made = []
    for number, send in flow.sends().items():
        channel = campaign_channel(registry, send.channel)
        gate = await read_gate(session, channel, send, shop_id, options.priority, flow.local)
        message = Message(
            0,
            number,
            send,
            channel,
            shop_id,
            options.max_lateness.span,
            options.priority,
            flow.local,
            holdout_of(campaign["id"], options),
        )
        q = Query(session.merchant_id, session.now, gate.zone.key)
        only = f"customers c WHERE c.merchant_id = $1 AND c.id = {q.arg(customer_id, 'bigint')}"
        recipients = Recipients(only, order=q.arg(order_id, "bigint"))
        rows = await session.sql.fetch(planned_sql(q, gate, message, recipients), *q.args)
        made += [Verdict(send.key, row["verdict"], row["rule"], row["moment"]) for row in rows]
    return made


def _answer(
    state: str,
    outside: bool,
    entries: Sequence[Mapping[str, Any]],
    deliveries: Sequence[Mapping[str, Any]],
    now: Sequence[Verdict],
) -> str:
    held = next((one.rule for one in now if one.verdict != SEND and one.rule), None)
    if deliveries:
        newest = deliveries[0]
        waits = newest["state"] == "pending"  # its reason is what was found when it was put off
        return str((waits and held) or newest["reason"] or newest["state"])
    if any(entry["state"] == "waiting" for entry in entries):
        return "on_the_way"
    if entries:
        return str(entries[0]["reason"] or "without_message")
    if outside:
        return "not_in_audience"
    if state in ("draft", "scheduled"):
        return "not_started"
    return held or "not_planned"
