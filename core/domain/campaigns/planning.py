"""Writing messages into the delivery ledger: the one place where they come from."""

from dataclasses import dataclass
from datetime import timedelta

from core.domain.campaigns.policy import skip_reason_sql
from core.domain.campaigns.results.holdout import Holdout
from core.sdk.channels import Channel
from core.sdk.facets import Query
from core.sdk.flows import Send
from core.storage.database import Work


@dataclass(frozen=True)
class Recipients:
    """Whom a step's messages go to, as SQL of the query that its parameters were added to.

    `source` is a FROM clause with the customers as `c` and its WHERE; the others are expressions
    of its rows: why each is written to, and at which moment, None being now.
    """

    source: str
    enrolment: str = "0"
    order: str = "NULL::bigint"
    parcel: str = "NULL::bigint"
    at: str | None = None


@dataclass(frozen=True)
class Message:
    """A step of a run that sends, in the name of a shop if any.

    One that is later than `max_lateness` after its moment is not sent.
    """

    run_id: int
    step: int
    send: Send
    channel: Channel
    shop_id: int | None
    max_lateness: timedelta | None = None
    holdout: Holdout | None = None


async def plan_messages(w: Work, q: Query, message: Message, recipients: Recipients) -> int:
    """Write a row for each recipient, skipped where policy forbids it; returns how many.

    A recipient that the step has planned already is passed over.
    """
    send, channel = message.send, message.channel
    run, step = q.arg(message.run_id, "bigint"), q.arg(message.step, "smallint")
    name, now = q.arg(channel.name, "text"), q.arg(w.now, "timestamptz")
    marketing = q.arg(send.message_class == "marketing", "boolean")
    shop = None if message.shop_id is None else q.arg(message.shop_id, "bigint")
    lateness = q.arg(message.max_lateness, "interval")
    reason = skip_reason_sql(channel.contact, send.message_class, name, shop)
    if message.holdout is not None:
        # asked last: who is held out would have got the message
        reason = f"COALESCE({reason}, {message.holdout.reason_sql(q, 'c.id')})"
    result: str = await w.sql.execute(
        f"""INSERT INTO deliveries (merchant_id, run_id, step, customer_id, enrolment_id, order_id,
                parcel_id, channel, marketing, state, reason, attempts, next_at, not_after,
                updated_at)
            SELECT $1, {run}, {step}, a.customer_id, a.enrolment_id, a.order_id, a.parcel_id,
                   {name}, {marketing},
                   CASE WHEN a.reason IS NULL THEN 'pending' ELSE 'skipped' END, a.reason, 0,
                   a.at, a.at + {lateness}, {now}
            FROM (SELECT c.id AS customer_id, {recipients.enrolment} AS enrolment_id,
                         {recipients.order} AS order_id, {recipients.parcel} AS parcel_id,
                         {recipients.at or now} AS at,
                         CASE WHEN {recipients.at or now} + {lateness} < {now} THEN 'too_late'
                              ELSE {reason} END AS reason
                  FROM {recipients.source}) a
            ORDER BY a.customer_id
            ON CONFLICT (merchant_id, run_id, step, customer_id, enrolment_id) DO NOTHING""",
        *q.args,
    )
    return int(result.rpartition(" ")[2])
