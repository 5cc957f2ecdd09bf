"""Who a campaign goes to: counted in a preview, and frozen into the ledger when it starts."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from core.domain.campaigns.campaigns import campaign_zone
from core.domain.campaigns.flows import campaign_channel, stored_flow, stored_options
from core.domain.campaigns.journeys.audience import let_all_in
from core.domain.campaigns.journeys.running import journey_of
from core.domain.campaigns.occurrences import wall_clock
from core.domain.campaigns.planning import Message, Recipients, plan_messages
from core.domain.campaigns.policy import address_of, personal_columns, skip_reason_sql
from core.domain.campaigns.results.holdout import holdout_of
from core.domain.customers.time_zones import moment_sql, moments
from core.domain.segments.rules import cheapest, read_rule
from core.registry import Registry
from core.sdk.channels import Channel
from core.sdk.events import CampaignStarted
from core.sdk.facets import Query
from core.storage.database import Database, Session, Work
from core.storage.statistics import look_again


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
    reason = skip_reason_sql(address_of(channel, q.arg, shop), message_class, name, shop)
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
        await w.sql.execute(
            """UPDATE campaign_runs SET state = 'running', planned_at = $3
               WHERE merchant_id = $1 AND id = $2""",
            merchant_id, run_id, w.now,
        )  # fmt: skip
        if run["kind"] == "journey":
            target = await let_all_in(w, registry, journey_of(run), run["rule"])
        else:
            target = await _freeze(w, registry, run)
        w.emit(CampaignStarted(run["campaign_id"], run_id, target))
        await w.notify("campaign", run["campaign_id"])
    await look_again(db, merchant_id, target, "deliveries")
    return True


async def _freeze(w: Work, registry: Registry, run: Mapping[str, Any]) -> int:
    ((step, send),) = stored_flow(run["flow"]).sends().items()
    channel = campaign_channel(registry, send.channel)
    rule = await read_rule(w, registry, orjson.loads(run["rule"]), facets=registry.facets)
    asked = await cheapest(w, rule)
    q = asked.q
    options, moment = stored_options(run["options"]), await _local_moment(w, q, run)
    message = Message(
        run["id"], step, send, channel, run["shop_id"], options.max_lateness.span,
        options.priority, moment is not None, holdout_of(run["campaign_id"], options),
    )  # fmt: skip
    source = f"{q.source} WHERE {q.base} AND {asked.condition}"
    # a run is planned in one transaction, and each customer is a row of the source
    return await plan_messages(w, q, message, Recipients(source, at=moment, all_new=True))


async def _local_moment(w: Work, q: Query, run: Mapping[str, Any]) -> str | None:
    """When each customer's message is due, as SQL, if by the clocks where the customer lives.

    For whom that moment has passed already the message is due now.
    """
    schedule = stored_flow(run["flow"]).schedule
    if schedule is None or not schedule.local:
        return None
    moment: datetime = run["occurrence"] or schedule.at  # type: ignore[assignment]  # one is set
    clock = wall_clock(moment, await campaign_zone(w, run["shop_id"]))
    places = q.arg(orjson.dumps(moments(clock)).decode(), "jsonb")
    due = moment_sql(places, q.arg(moment, "timestamptz"))
    return f"GREATEST({due}, {q.arg(w.now, 'timestamptz')})"
