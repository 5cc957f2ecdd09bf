"""Writing messages into the delivery ledger: the one place where they come from."""

from dataclasses import dataclass
from datetime import timedelta

from core.domain.campaigns.policy import address_of, skip_reason_sql
from core.domain.campaigns.policy.gate import SKIP, Gate, judged_sql, place_columns, read_gate
from core.domain.campaigns.results.holdout import Holdout
from core.domain.campaigns.variants import decided, variant_sql, waits
from core.sdk.channels import Channel
from core.sdk.facets import Query
from core.sdk.flows import Send
from core.storage.database import Work


@dataclass(frozen=True)
class Recipients:
    """Whom a step's messages go to, as SQL of the query that its parameters were added to.

    `source` is a FROM clause with the customers as `c` and its WHERE; the others are expressions
    of its rows: why each is written to, and at which moment, None being now. With `all_new` no
    customer is in it twice, and the step has planned none of them yet.
    """

    source: str
    enrolment: str = "0"
    order: str = "NULL::bigint"
    parcel: str = "NULL::bigint"
    at: str | None = None
    all_new: bool = False


@dataclass(frozen=True)
class Message:
    """A step of a run that sends, in the name of a shop if any.

    One that is later than `max_lateness` after its moment is not sent. With `local` it keeps to
    the clocks where the customer lives.
    """

    run_id: int
    step: int
    send: Send
    channel: Channel
    shop_id: int | None
    max_lateness: timedelta | None = None
    priority: int = 0
    local: bool = False
    holdout: Holdout | None = None


async def plan_messages(w: Work, q: Query, message: Message, recipients: Recipients) -> int:
    """Write a row for each recipient, skipped or put off where policy says so; returns how many.

    A recipient that the step has planned already is passed over.
    """
    send, channel = message.send, message.channel
    planned = await w.sql.fetchrow(
        "SELECT campaign_id, planned_at FROM campaign_runs WHERE merchant_id = $1 AND id = $2",
        w.merchant_id, message.run_id,
    )  # fmt: skip
    winner = await decided(w, message.run_id, message.step) if send.winner else None
    gate = await read_gate(w, channel, send, message.shop_id, message.priority, message.local)
    run, step = q.arg(message.run_id, "bigint"), q.arg(message.step, "smallint")
    name, now = q.arg(channel.name, "text"), q.arg(w.now, "timestamptz")
    marketing = q.arg(send.message_class == "marketing", "boolean")
    variant = variant_sql(q, planned["campaign_id"], send, "a.customer_id", winner)
    moment, not_after = "a.moment", "a.not_after"
    if send.winner is not None and winner is None:
        # who waits for the winner is due when it is decided
        decision = waits(send.winner, q.arg(planned["planned_at"] or w.now, "timestamptz"))
        late = q.arg(message.max_lateness, "interval")
        undecided = "CASE WHEN v.variant IS NULL THEN"
        moment = f"{undecided} GREATEST({moment}, {decision}) ELSE {moment} END"
        not_after = f"{undecided} {decision} + {late} ELSE {not_after} END"
    # asking for each row whether it is there already takes a fifth of the time
    twice = "ON CONFLICT (merchant_id, run_id, step, customer_id, enrolment_id) DO NOTHING"
    result: str = await w.sql.execute(
        f"""INSERT INTO deliveries (merchant_id, run_id, step, customer_id, enrolment_id, order_id,
                parcel_id, variant, channel, marketing, state, reason, attempts, next_at,
                not_after, updated_at)
            SELECT $1, {run}, {step}, a.customer_id, a.enrolment_id, a.order_id, a.parcel_id,
                   v.variant, {name}, {marketing},
                   CASE a.verdict WHEN 'skip' THEN 'skipped' ELSE 'pending' END, a.rule, 0,
                   CASE a.verdict WHEN 'skip' THEN a.due_at ELSE {moment} END, {not_after}, {now}
            FROM ({planned_sql(q, gate, message, recipients)}) a
            CROSS JOIN LATERAL (SELECT {variant} AS variant) v
            ORDER BY a.customer_id
            {"" if recipients.all_new else twice}""",
        *q.args,
    )
    return int(result.rpartition(" ")[2])


def planned_sql(q: Query, gate: Gate, message: Message, recipients: Recipients) -> str:
    """A SELECT of what would be planned: the recipients' columns and those of `judged_sql`."""
    send, channel = message.send, message.channel
    name, moment = q.arg(channel.name, "text"), recipients.at or q.arg(gate.now, "timestamptz")
    late = q.arg(message.max_lateness, "interval")
    shop = None if message.shop_id is None else q.arg(message.shop_id, "bigint")
    address = address_of(channel, q.arg, shop, recipients.order)
    reason = skip_reason_sql(address, send.message_class, name, shop)
    judged = judged_sql(
        q, gate,
        f"""SELECT p.*, p.due_at + {late} AS not_after
            FROM (SELECT c.id AS customer_id, {recipients.enrolment} AS enrolment_id,
                         {recipients.order} AS order_id, {recipients.parcel} AS parcel_id,
                         {moment} AS due_at, {reason} AS reason{place_columns(q, gate)}
                  FROM {recipients.source}) p""",
    )  # fmt: skip
    if message.holdout is None:
        return judged
    # asked last: who is held out would have got the message
    held = message.holdout.reason_sql(q, "j.customer_id")
    return f"""SELECT h.customer_id, h.enrolment_id, h.order_id, h.parcel_id, h.due_at,
            h.not_after, h.moment, COALESCE(h.held, h.rule) AS rule,
            CASE WHEN h.held IS NULL THEN h.verdict ELSE '{SKIP}' END AS verdict
        FROM (SELECT j.*, CASE WHEN j.verdict <> '{SKIP}' THEN {held} END AS held
              FROM ({judged}) j) h"""
