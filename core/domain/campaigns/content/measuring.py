"""How long a text becomes for real customers, and what it costs, before anything is sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.domain.campaigns.content.html import CLIPPED_BYTES
from core.domain.campaigns.content.message import Content, Recipient
from core.domain.campaigns.content.plugin_variables import add_samples
from core.domain.campaigns.content.sms import (
    Measure,
    faults,
    has_link,
    measure,
    says_how_to_refuse,
)
from core.domain.campaigns.content.templates import RenderError
from core.domain.campaigns.content.values import Occasion, fetch_values
from core.domain.campaigns.flows import campaign_channel
from core.domain.campaigns.links import preferences_url, unsubscribe_url
from core.domain.campaigns.policy import personal_columns
from core.domain.campaigns.preview import open_content
from core.domain.shops.plugins import plugin_settings
from core.registry import Registry
from core.sdk.channels import Channel, IdentityChannel, TextChannel, TextRules
from core.sdk.errors import PluginDisabled
from core.sdk.flows import Options, Send
from core.storage.database import Session

SAMPLE_DELIVERY = 10**9
"""The number of the message in sample links: as long as real ones become."""

HOME = "+86"


@dataclass
class MessageMeasure:
    """What the customers of a sample would get.

    Lengths are of the longest part of the content, for text messages with the signature. `cost`
    is (least, most) for one message in millionths of `currency`, if the channel tells a price.
    `problems` are why a message could not be made, `warnings` what is wrong with those made.
    """

    customers: int = 0
    failed: int = 0
    length: tuple[int, int] | None = None
    parts: tuple[int, int] | None = None
    cost: tuple[int, int] | None = None
    currency: str | None = None
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


async def measure_message(
    session: Session,
    registry: Registry,
    send: Send,
    variant: int,
    shop_id: int | None,
    base_url: str,
    sample: int,
) -> MessageMeasure:
    """Make a text for the newest customers with an address, each about the latest order.

    Raises InvalidInput and Several, as for writing the text.
    """
    channel = campaign_channel(registry, send.channel)
    text = send.variants[variant].content
    content = await open_content(session, registry, channel, shop_id, text, Options())
    rows = await _sample(session, channel, send, shop_id, sample)
    occasions = [Occasion(r["id"], r["id"], r["order_id"], r["parcel_id"]) for r in rows]
    values = await fetch_values(session, content.names, content.zone, occasions)
    await add_samples(session, registry, content.names, values)
    texting = channel.contact == "phone"
    rules = await text_rules(session, registry, channel) if texting else TextRules()
    found = MessageMeasure(len(rows), currency=rules.currency)
    measures: list[Measure] = []
    warnings: dict[str, None] = {}
    for row in rows:
        own = values[row["id"]]
        try:
            made = _made(session, content, channel, row, own, base_url)
        except RenderError as error:
            found.failed += 1
            if str(error) not in found.problems:
                found.problems.append(str(error))
            continue
        if texting:
            abroad = not _phone(session, row).startswith(HOME)
            said = "".join(made.values())
            measures.append(measure(said, rules.signature, abroad))
            warnings |= dict.fromkeys(text_warnings(said, rules, send.message_class, abroad))
            name = row["name"] if "customer.name" in content.names else ""
            if any(has_link(str(value)) for value in (name, *own.values())):
                warnings["a variable's value brings a link, which providers refuse"] = None
        else:
            size = max(len(text.encode()) for text in made.values())
            measures.append(Measure(size, 1))
            if size > CLIPPED_BYTES:
                warnings["it is larger than 102 kB: some mailboxes cut it off"] = None
    found.warnings = list(warnings)
    if measures:
        lengths, parts = [m.length for m in measures], [m.parts for m in measures]
        found.length = min(lengths), max(lengths)
        if texting:
            found.parts = min(parts), max(parts)
            if rules.price is not None:
                found.cost = min(parts) * rules.price, max(parts) * rules.price
    return found


def text_warnings(text: str, rules: TextRules, message_class: str, abroad: bool) -> Sequence[str]:
    """What is wrong with a text message as a customer would get it."""
    found = list(faults(text, rules.signature, abroad))
    if message_class == "marketing" and not says_how_to_refuse(text, rules.opt_out):
        words = rules.opt_out or "拒收请回复R"
        found.append(f"a marketing text has to end by saying how to get no more: {words}")
    return found


async def text_rules(session: Session, registry: Registry, channel: Channel) -> TextRules:
    """What holds for the merchant's text messages by a channel; nothing known if it tells none."""
    if not isinstance(channel, TextChannel):
        return TextRules()
    try:
        settings = await plugin_settings(session, registry, registry.channels[channel.name].plugin)
    except PluginDisabled:
        return TextRules()
    return channel.text_rules(settings)


def _made(
    session: Session,
    content: Content,
    channel: Channel,
    row: Mapping[str, Any],
    values: Mapping[str, Any],
    base_url: str,
) -> dict[str, str]:
    keyring, merchant_id = session.keyring, session.merchant_id
    links = content.tracking.values(keyring, base_url, merchant_id, SAMPLE_DELIVERY)
    recipient = Recipient(
        row["name"], row["province"], row["city"],
        unsubscribe_url(keyring, base_url, merchant_id, row["id"], channel.name),
        preferences_url(keyring, base_url, merchant_id, row["id"]), {**values, **links},
    )  # fmt: skip
    addresses = content.tracking.addresses(keyring, base_url, merchant_id, SAMPLE_DELIVERY)
    return content.render(recipient, addresses)


def _phone(session: Session, row: Mapping[str, Any]) -> str:
    return session.keyring.open(row["sealed"], f"customers.phone|{session.merchant_id}|{row['id']}")


async def _sample(
    session: Session, channel: Channel, send: Send, shop_id: int | None, limit: int
) -> list[Mapping[str, Any]]:
    # only marketing asks what was agreed to in the shop
    more: list[Any] = [] if shop_id is None or send.message_class == "service" else [shop_id]
    shop = "$3::bigint" if more else None
    kind = channel.contact
    sealed, known = f"c.{kind}_sealed", f"{kind}_index IS NOT NULL"
    if isinstance(channel, IdentityChannel):
        place = len(more) + 3
        sealed, more = "NULL::bytea", [*more, channel.identity_kind]
        known = f"""EXISTS (SELECT 1 FROM customer_identities i WHERE i.merchant_id = $1
            AND i.customer_id = customers.id AND i.scope = 'shop' AND i.kind = ${place})"""
    personal, join = personal_columns(send.message_class, shop)
    rows: list[Mapping[str, Any]] = await session.sql.fetch(
        f"""SELECT c.id, c.name, {personal}, {sealed} AS sealed, o.id AS order_id,
                   b.id AS parcel_id
            FROM (SELECT * FROM customers WHERE merchant_id = $1 AND {known}
                  ORDER BY created_at DESC, id DESC LIMIT $2) c
            LEFT JOIN LATERAL (
                SELECT id FROM orders WHERE merchant_id = $1 AND customer_id = c.id
                ORDER BY ordered_at DESC, id DESC LIMIT 1) o ON TRUE
            LEFT JOIN LATERAL (
                SELECT id FROM parcels WHERE merchant_id = $1 AND order_id = o.id
                ORDER BY id DESC LIMIT 1) b ON TRUE {join}
            ORDER BY c.id""",
        session.merchant_id, limit, *more,
    )  # fmt: skip
    return rows
