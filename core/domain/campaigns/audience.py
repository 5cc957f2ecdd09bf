"""Who a campaign goes to: counted in a preview, and frozen into the ledger when it starts."""

from collections.abc import Mapping
from typing import Any

import orjson

from core.domain.campaigns.flows import campaign_channel, stored_flow
from core.domain.campaigns.planning import Message, Recipients, plan_messages
from core.domain.campaigns.policy import personal_columns, skip_reason_sql
from core.domain.segments.rules import cheapest, read_rule
from core.registry import Registry
from core.sdk.channels import Channel
from core.sdk.events import CampaignStarted
from core.sdk.facets import Query
from core.storage.database import Database, Session, Work

ANALYZE_FROM = 5_000
"""So many new rows change what is a good plan for the statements on the ledger."""


async def audience_sql(
    session: Session,
    registry: Registry,
    channel: Channel,
    message_class: Any,
    shop_id: int | None,
    rule: Any,
) -> tuple[str, Query]:
    """A SELECT over the rule's customers, and its parameters.

    Its rows are (customer_id, reason or NULL, name, province, city): with what the customer may
    be addressed by, see `personal_columns`.
    """
    asked = await cheapest(
        session, await read_rule(session, registry, rule, facets=registry.facets)
    )
    q = asked.q
    name = q.arg(channel.name) + "::text"
    shop = None if shop_id is None else q.arg(shop_id) + "::bigint"
    reason = skip_reason_sql(channel.contact, message_class, name, shop)
    personal, join = personal_columns(message_class, shop)
    return (
        f"""SELECT c.id AS customer_id, {reason} AS reason, c.name, {personal}
            FROM {q.source} {join}
            WHERE {q.base} AND {asked.condition}""",
        q,
    )


async def plan_run(db: Database, registry: Registry, merchant_id: int, run_id: int) -> bool:
    """Freeze the audience of a run that is being planned, in one transaction.

    Returns False when there is nothing to plan: another worker did, or the run was stopped.
    """
    async with db.work(merchant_id) as w:
        run = await w.sql.fetchrow(
            """SELECT r.*, c.kind, c.shop_id FROM campaign_runs r
               JOIN campaigns c ON c.merchant_id = r.merchant_id AND c.id = r.campaign_id
               WHERE r.merchant_id = $1 AND r.id = $2 AND r.state = 'planning'
               FOR UPDATE OF r""",
            merchant_id, run_id,
        )  # fmt: skip
        if run is None:
            return False
        target = 0 if run["kind"] == "journey" else await _freeze(w, registry, run)
        await w.sql.execute(
            """UPDATE campaign_runs SET state = 'running', planned_at = $3
               WHERE merchant_id = $1 AND id = $2""",
            merchant_id, run_id, w.now,
        )  # fmt: skip
        w.emit(CampaignStarted(run["campaign_id"], run_id, target))
        await w.notify("campaign", run["campaign_id"])
    if target >= ANALYZE_FROM:
        # until its statistics know of them, the database would search the ledger for a few rows
        # in ways that are good for an empty one
        async with db.read(merchant_id) as session:
            await session.sql.execute("ANALYZE deliveries")
    return True


async def _freeze(w: Work, registry: Registry, run: Mapping[str, Any]) -> int:
    ((step, send),) = stored_flow(run["flow"]).sends().items()
    channel = campaign_channel(registry, send.channel)
    rule = await read_rule(w, registry, orjson.loads(run["rule"]), facets=registry.facets)
    asked = await cheapest(w, rule)
    q = asked.q
    message = Message(run["id"], step, send, channel, run["shop_id"])
    recipients = Recipients(f"{q.source} WHERE {q.base} AND {asked.condition}")
    return await plan_messages(w, q, message, recipients)
