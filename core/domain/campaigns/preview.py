"""What a campaign would do if it started now, without doing it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from core.domain.campaigns.audience import audience_sql
from core.domain.campaigns.campaigns import get_campaign
from core.domain.campaigns.content.message import UNTRACKED, Content, Recipient, Sender
from core.domain.campaigns.content.plugin_variables import add_samples
from core.domain.campaigns.content.templates import RenderError
from core.domain.campaigns.content.values import Occasion, fetch_values
from core.domain.campaigns.flows import (
    audience_rule,
    campaign_channel,
    stored_flow,
    variables,
)
from core.domain.campaigns.policy import personal_columns
from core.registry import Registry
from core.sdk.channels import Channel, MessageClass
from core.sdk.errors import Faults, NotFound, WrongState
from core.sdk.flows import Flow, Options, Send
from core.storage.database import Session

SAMPLE_URL = "https://example.com/unsubscribe"
SAMPLE_PREFERENCES = "https://example.com/preferences"


@dataclass(frozen=True)
class RenderedSample:
    """The message as one customer would get it, or why it cannot be made."""

    customer_id: int
    content: dict[str, str]
    error: str | None


@dataclass(frozen=True)
class About:
    """Whom a message is tried for, and about which order or parcel."""

    customer_id: int
    order_id: int | None = None
    parcel_id: int | None = None


@dataclass(frozen=True)
class CampaignPreview:
    """How many would get the message, how many not and why, and a few messages."""

    would_send: int
    skipped: dict[str, int]
    samples: list[RenderedSample]


async def preview_campaign(
    session: Session,
    registry: Registry,
    campaign_id: int,
    sample: int = 3,
    show_name: Callable[[str], str] = str,
) -> CampaignPreview:
    """Count the audience and fill in `sample` messages. Raises NotFound, Several.

    `show_name` gives each customer's name as the reader may see it.
    """
    campaign = await get_campaign(session, campaign_id)
    flow = stored_flow(campaign["flow"])
    if flow.kind == "journey":
        raise WrongState("a journey has no audience of one moment to preview", ("id",))
    (send,) = flow.sends().values()
    rule = await audience_rule(session, campaign["segment_id"])
    channel = campaign_channel(registry, send.channel)
    audience, q = await audience_sql(
        session, registry, channel, send.message_class, campaign["shop_id"], orjson.loads(rule)
    )
    rows = await session.sql.fetch(
        f"SELECT reason, count(*) AS n FROM ({audience}) a GROUP BY reason", *q.args
    )
    counts = {row["reason"]: row["n"] for row in rows}
    limit = q.arg(max(0, sample))
    chosen = await session.sql.fetch(
        f"""SELECT a.customer_id AS id, a.name, a.province, a.city FROM ({audience}) a
            WHERE a.reason IS NULL ORDER BY a.customer_id LIMIT {limit}""",
        *q.args,
    )
    content = await open_content(
        session, registry, channel, campaign["shop_id"], send.variants[0].content
    )
    values = await fetch_values(
        session, content.names, content.zone, [Occasion(row["id"], row["id"]) for row in chosen]
    )
    await add_samples(session, registry, content.names, values)
    return CampaignPreview(
        counts.pop(None, 0),
        dict(sorted(counts.items())),
        _samples(content, chosen, values, show_name),
    )


async def open_content(
    session: Session,
    registry: Registry,
    channel: Channel,
    shop_id: int | None,
    content: Mapping[str, str],
    options: Options = UNTRACKED,
) -> Content:
    """A message's templates, compiled, in the name of its merchant and shop. Raises Several."""
    row = await session.sql.fetchrow(
        """SELECT m.name AS merchant, s.name AS shop, COALESCE(s.time_zone, m.time_zone) AS zone
           FROM merchants m
           LEFT JOIN shops s ON s.merchant_id = m.id AND s.id = $2 WHERE m.id = $1""",
        session.merchant_id, shop_id,
    )  # fmt: skip
    sender = Sender(row["merchant"], row["shop"], row["zone"])
    return Content(channel, content, sender, await variables(session, registry, content), options)


async def preview_message(
    session: Session,
    registry: Registry,
    send: Send,
    variant: int,
    shop_id: int | None,
    about: About,
    show_name: Callable[[str], str] = str,
    links: tuple[str, str] = (SAMPLE_URL, SAMPLE_PREFERENCES),
) -> RenderedSample:
    """A text as one customer would get it. Raises NotFound, InvalidInput, Several."""
    channel = campaign_channel(registry, send.channel)
    text = send.variants[variant].content
    content = await open_content(session, registry, channel, shop_id, text)
    row, occasion = await _found(session, send.message_class, shop_id, about)
    values = await fetch_values(session, content.names, content.zone, [occasion])
    await add_samples(session, registry, content.names, values)
    (made,) = _samples(content, [row], values, show_name, links)
    return made


async def check_about(session: Session, about: About) -> None:
    """Raises NotFound, or Several, unless there are the customer, its order and its parcel."""
    await _found(session, "service", None, about)


async def _found(
    session: Session, message_class: MessageClass, shop_id: int | None, about: About
) -> tuple[Mapping[str, Any], Occasion]:
    # only marketing asks what was agreed to in the shop
    more = [] if shop_id is None or message_class == "service" else [shop_id]
    personal, join = personal_columns(message_class, "$5::bigint" if more else None)
    row = await session.sql.fetchrow(
        f"""SELECT c.id, c.name, {personal}, o.id AS order_id, b.id AS parcel_id FROM customers c
            LEFT JOIN parcels b ON b.merchant_id = $1 AND b.id = $4::bigint
            LEFT JOIN orders o ON o.merchant_id = $1 AND o.customer_id = c.id
             AND o.id = COALESCE($3::bigint, b.order_id) AND o.id = COALESCE(b.order_id, o.id)
            {join} WHERE c.merchant_id = $1 AND c.id = $2""",
        session.merchant_id, about.customer_id, about.order_id, about.parcel_id,
        *more,
    )  # fmt: skip
    if row is None:
        raise NotFound("there is no such customer", ("input", "customerId"))
    faults = Faults()
    if row["order_id"] is None and about.order_id is not None:
        faults.add(NotFound("the customer has no such order", ("input", "orderId")))
    if about.parcel_id is not None and (row["parcel_id"] is None or row["order_id"] is None):
        faults.add(NotFound("the customer has no such parcel", ("input", "parcelId")))
    faults.tell()
    return row, Occasion(row["id"], row["id"], row["order_id"], row["parcel_id"])


def chosen_message(flow: Flow, step: str | None, variant: int) -> Send:
    """The step of a flow that sends, by its key; the only one if none is named. Raises NotFound."""
    sends = {send.key: send for send in flow.sends().values()}
    if step is None and len(sends) == 1:
        (step,) = sends
    if step not in sends:
        raise NotFound(
            f"say which step: messages are sent by {', '.join(sends) or 'none'}", ("input", "step")
        )
    if not 0 <= variant < len(sends[step].variants):
        raise NotFound(
            f"the step has {len(sends[step].variants)} variants, counted from 0",
            ("input", "variant"),
        )
    return sends[step]


def _samples(
    content: Content,
    rows: Sequence[Mapping[str, Any]],
    values: Mapping[int, Mapping[str, Any]],
    show_name: Callable[[str], str],
    links: tuple[str, str] = (SAMPLE_URL, SAMPLE_PREFERENCES),
) -> list[RenderedSample]:
    samples = []
    for row in rows:
        name = show_name(row["name"]) if row["name"] else None
        recipient = Recipient(
            name, row["province"], row["city"], *links,
            values.get(row["id"], {}),
        )  # fmt: skip
        try:
            samples.append(RenderedSample(row["id"], content.render(recipient), None))
        except RenderError as error:
            samples.append(RenderedSample(row["id"], {}, str(error)))
    return samples
