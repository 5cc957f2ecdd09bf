"""What people write back, and the words among it that end marketing at once."""

import unicodedata
from collections.abc import Sequence

from core.domain.campaigns.links import read_message_key
from core.domain.campaigns.told import storable
from core.domain.customers.consent import ALL_SHOPS, unsubscribe
from core.domain.customers.suppressions import (
    UNSUBSCRIBED,
    address_index,
    identity_index,
    suppress_all,
)
from core.domain.shops.word_lists import replace_words, words_of
from core.sdk.channels import Channel, IdentityChannel, Reply
from core.sdk.events import MessageReplied
from core.storage.database import Session, Work

OPT_OUT_WORDS = frozenset({
    "R", "T", "TD", "N", "退订", "拒收", "退訂", "拒收请回复R", "取消", "STOP", "STOPALL",
    "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT", "OPT OUT", "OPT-OUT", "REMOVE",
    "ARRET",
})  # fmt: skip
"""Folded. The merchant's own words come on top; these cannot be taken away."""
MAX_WORDS = 100
WORDS = "opt_out_words"
TEXT_LIMIT = 5000
TEXT_PLACE = "inbound_messages.text"
ANSWER_DAYS = 30
"""So long after the last message to an address a text from there counts as an answer to it."""
SOURCE = "reply"
EDGES = " \t\r\n.,!?;:'\"()[]{}<>。、！？…·“”‘’「」『』【】《》"


def folded(text: str) -> str:
    """The text as words are compared: NFKC, without what surrounds it, in capitals."""
    return " ".join(unicodedata.normalize("NFKC", text).upper().strip(EDGES).split())


async def opt_out_words(session: Session) -> list[str]:
    """The merchant's own words, folded and sorted."""
    return await words_of(session, WORDS)


async def set_opt_out_words(w: Work, words: Sequence[str], if_version: int | None = None) -> None:
    """Replace the merchant's own words. Raises InvalidInput, Conflict."""
    await replace_words(w, WORDS, words, folded, MAX_WORDS, if_version)


async def take_replies(w: Work, channel: Channel, replies: Sequence[Reply]) -> int:
    """Store what people wrote, and end marketing to those who say so; returns how many were new.

    A refusal counts for the shop in whose name the answered message was sent, or for all shops
    where no message is known, and for everybody who has the address.
    """
    words = OPT_OUT_WORDS | set(await opt_out_words(w))
    new = 0
    for reply in replies:
        new += await _take(w, channel, reply, reply.opt_out or folded(reply.text) in words)
    return new


async def _take(w: Work, channel: Channel, reply: Reply, opt_out: bool) -> bool:
    people = await _people(w, channel, reply)
    customer_ids = sorted({one for one, _ in people if one is not None})
    indexes = list(dict.fromkeys(index for _, index in people))
    answered = await _answered(w, channel, reply, customer_ids)
    if answered is None:
        delivery_id, shop_id = None, ALL_SHOPS
        customer_id = customer_ids[0] if customer_ids else None
    else:
        delivery_id, customer_id, shop_id = answered
    (message_id,) = await w.new_ids("inbound_messages", 1)
    text = storable(reply.text)[:TEXT_LIMIT]
    stored = await w.sql.fetchval(
        """INSERT INTO inbound_messages (id, merchant_id, channel, event_key, address_index,
               text_sealed, customer_id, delivery_id, shop_id, opt_out, at, received_at)
           VALUES ($2, $1, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
           ON CONFLICT (merchant_id, channel, event_key) DO NOTHING RETURNING id""",
        w.merchant_id, message_id, channel.name, reply.event_key, next(iter(indexes), None),
        w.keyring.seal(text, f"{TEXT_PLACE}|{w.merchant_id}|{message_id}"), customer_id,
        delivery_id, shop_id, opt_out, reply.at, w.now,
    )  # fmt: skip
    if stored is None:
        return False
    if opt_out:
        evidence = {"message_id": message_id}
        for one in {*customer_ids, *([] if customer_id is None else [customer_id])}:
            await unsubscribe(w, one, channel.name, SOURCE, shop_id=shop_id, evidence=evidence)
        if indexes:
            await suppress_all(w, channel.name, indexes, UNSUBSCRIBED, shop_id)
    w.emit(MessageReplied(message_id, channel.name, customer_id, delivery_id, opt_out))
    return True


async def _people(w: Work, channel: Channel, reply: Reply) -> list[tuple[int | None, bytes]]:
    """Who has the sender's address, with its index; without a customer where nobody has."""
    if isinstance(channel, IdentityChannel):
        rows = await w.sql.fetch(
            """SELECT i.customer_id, i.scope_id FROM customer_identities i
               JOIN shops s ON s.merchant_id = $1 AND s.id = i.scope_id AND s.platform = $2
               WHERE i.merchant_id = $1 AND i.scope = 'shop' AND i.kind = $3 AND i.value = $4
                 AND ($5::bigint IS NULL OR i.scope_id = $5) ORDER BY i.customer_id""",
            w.merchant_id, channel.platform, channel.identity_kind, reply.sender, reply.shop_id,
        )  # fmt: skip
        return [
            (row["customer_id"], identity_index(
                w.merchant_id, row["scope_id"], channel.identity_kind, reply.sender
            ))
            for row in rows
        ]  # fmt: skip
    index = address_index(w.keyring, w.merchant_id, reply.sender)
    if index is None:
        return []
    rows = await w.sql.fetch(
        f"""SELECT id FROM customers WHERE merchant_id = $1 AND {channel.contact}_index = $2
            ORDER BY id""",
        w.merchant_id, index,
    )  # fmt: skip
    return [(row["id"], index) for row in rows] or [(None, index)]


async def _answered(
    w: Work, channel: Channel, reply: Reply, customer_ids: Sequence[int]
) -> tuple[int, int, int] | None:
    """(delivery, customer, shop or 0) of the message that is answered, if it is known.

    It is the one that the reply names, or the last one to these people before it.
    """
    named = None if reply.key is None else read_message_key(w.keyring, w.merchant_id, reply.key)
    row = await w.sql.fetchrow(
        """SELECT d.id, d.customer_id, COALESCE(c.shop_id, 0) AS shop_id FROM deliveries d
           JOIN campaign_runs r ON r.merchant_id = $1 AND r.id = d.run_id
           JOIN campaigns c ON c.merchant_id = $1 AND c.id = r.campaign_id
           WHERE d.merchant_id = $1 AND d.channel = $2 AND (
               d.id = $3 OR d.provider_id = $4
               OR d.customer_id = ANY($5::bigint[])
                  AND (d.state = 'sent' OR d.state = 'unknown')
                  AND COALESCE(d.sent_at, d.updated_at)
                      BETWEEN $6::timestamptz - $7::int * interval '1 day' AND $6)
           ORDER BY d.id = $3 DESC NULLS LAST, d.provider_id = $4 DESC NULLS LAST,
                    COALESCE(d.sent_at, d.updated_at) DESC, d.id DESC LIMIT 1""",
        w.merchant_id, channel.name, named, reply.provider_id, list(customer_ids), reply.at,
        ANSWER_DAYS,
    )  # fmt: skip
    return None if row is None else (row["id"], row["customer_id"], row["shop_id"])
