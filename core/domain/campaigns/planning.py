"""Writing messages into the delivery ledger: the one place where they come from."""

from dataclasses import dataclass

from core.domain.campaigns.policy import skip_reason_sql
from core.domain.campaigns.variants import decided, variant_sql, waits
from core.sdk.channels import Channel
from core.sdk.facets import Query
from core.sdk.flows import Send
from core.storage.database import Work


@dataclass(frozen=True)
class Recipients:
    """Whom a step's messages go to, as SQL of the query that its parameters were added to.

    `source` is a FROM clause with the customers as `c` and its WHERE; the others are expressions
    of its rows: why each is written to.
    """

    source: str
    enrolment: str = "0"
    order: str = "NULL::bigint"
    parcel: str = "NULL::bigint"


@dataclass(frozen=True)
class Message:
    """A step of a run that sends, in the name of a shop if any."""

    run_id: int
    step: int
    send: Send
    channel: Channel
    shop_id: int | None


async def plan_messages(w: Work, q: Query, message: Message, recipients: Recipients) -> int:
    """Write a row for each recipient, skipped where policy forbids it; returns how many.

    A recipient that the step has planned already is passed over.
    """
    send, channel = message.send, message.channel
    planned = await w.sql.fetchrow(
        "SELECT campaign_id, planned_at FROM campaign_runs WHERE merchant_id = $1 AND id = $2",
        w.merchant_id, message.run_id,
    )  # fmt: skip
    winner = await decided(w, message.run_id, message.step) if send.winner else None
    variant = variant_sql(q, planned["campaign_id"], send, "c.id", winner)
    run, step = q.arg(message.run_id, "bigint"), q.arg(message.step, "smallint")
    name, now = q.arg(channel.name, "text"), q.arg(w.now, "timestamptz")
    marketing = q.arg(send.message_class == "marketing", "boolean")
    shop = None if message.shop_id is None else q.arg(message.shop_id, "bigint")
    reason = skip_reason_sql(channel.contact, send.message_class, name, shop)
    decision = waits(send, q.arg(planned["planned_at"], "timestamptz"), now)
    result: str = await w.sql.execute(
        f"""INSERT INTO deliveries (merchant_id, run_id, step, customer_id, enrolment_id, order_id,
                parcel_id, variant, channel, marketing, state, reason, attempts, next_at,
                updated_at)
            SELECT $1, {run}, {step}, a.customer_id, a.enrolment_id, a.order_id, a.parcel_id,
                   a.variant, {name}, {marketing},
                   CASE WHEN a.reason IS NULL THEN 'pending' ELSE 'skipped' END, a.reason, 0,
                   CASE WHEN a.variant IS NULL THEN {decision} ELSE {now} END, {now}
            FROM (SELECT c.id AS customer_id, {recipients.enrolment} AS enrolment_id,
                         {recipients.order} AS order_id, {recipients.parcel} AS parcel_id,
                         {variant} AS variant, {reason} AS reason
                  FROM {recipients.source}) a
            ORDER BY a.customer_id
            ON CONFLICT (merchant_id, run_id, step, customer_id, enrolment_id) DO NOTHING""",
        *q.args,
    )
    return int(result.rpartition(" ")[2])
