"""What customers agreed to: a log that is only ever appended to, and its fold, the present state.

The latest word counts; of two at the same instant the stricter one (denied, unproven, granted). So
the state does not depend on the order in which words arrive. For a shop the later of the words
for the shop and for all shops (`shop_id` 0) counts; for all shops the words for all shops.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from core.domain.customers.customers import get_customer
from core.domain.customers.identify import lock_customers
from core.domain.customers.suppressions import OF_IDENTITIES, UNSUBSCRIBED, suppress_all
from core.domain.shops.shops import need_shop
from core.sdk.errors import Faults, InvalidInput, NotFound, Several
from core.sdk.events import ConsentGranted, ConsentWithdrawn, CustomerUnsubscribed
from core.storage.database import Session, Work

MARKETING = "marketing"
PERSONALISATION = "personalisation"
PURPOSES = (MARKETING, "service", PERSONALISATION)
STATUSES = ("granted", "denied", "unproven")
EVERY_CHANNEL = "*"
"""The channel of consent to personalisation, which is about all of them."""
ALL_SHOPS = 0
NAME_LIMIT = 64
TEXT_LIMIT = 10_000
EVIDENCE_LIMIT = 20_000
BULK_LIMIT = 500


@dataclass(frozen=True)
class Word:
    """A yes or no. `text` is what was agreed to, in its version; `evidence` is JSON."""

    channel: str
    purpose: str
    status: str
    source: str
    shop_id: int = ALL_SHOPS
    text: str | None = None
    text_version: str | None = None
    evidence: Mapping[str, Any] | None = None


STRICTNESS = {"granted": 0, "unproven": 1, "denied": 2}
"""The greater, the less a status allows."""


def strictness(status: str) -> str:
    """The strictness of a status as an SQL expression."""
    return f"CASE {status} WHEN 'denied' THEN 2 WHEN 'unproven' THEN 1 ELSE 0 END"


def status_sql(
    shop: str | None, channel: str, purpose: Literal["marketing", "service", "personalisation"]
) -> str:
    """What customer `c` said, in effect, as an SQL expression; NULL is nothing.

    `shop` and `channel` are placeholders; without a shop the words for all shops count.
    """
    # one row needs no sorting, which would take half of the time
    latest = f"ORDER BY co.at DESC, {strictness('co.status')} DESC LIMIT 1" if shop else ""
    return f"""(SELECT co.status FROM consents co WHERE co.merchant_id = c.merchant_id
        AND co.customer_id = c.id AND {for_shop("co.shop_id", shop)} AND co.channel = {channel}
        AND co.purpose = '{purpose}' {latest})"""


def for_shop(column: str, shop: str | None) -> str:
    """An SQL condition: the row is about all shops, or about the shop of a placeholder."""
    return f"{column} IN (0, {shop})" if shop else f"{column} = 0"


async def set_consent(
    w: Work,
    customer_id: int,
    channel: str,
    purpose: str,
    status: str,
    source: str,
    evidence: Mapping[str, Any] | None = None,
    *,
    shop_id: int = ALL_SHOPS,
    text: str | None = None,
    text_version: str | None = None,
) -> bool:
    """Record a customer's yes or no for a channel and purpose; the latest word counts.

    `status` is granted, denied or unproven. Returns whether it changed what is in effect. Raises
    NotFound, Several(InvalidInput).
    """
    word = Word(channel, purpose, status, source, shop_id, text, text_version, evidence)
    faults = Faults()
    with faults:
        await check_word(w, word)
    with faults:
        await _lock(w, [customer_id], ("id",))
    faults.tell()
    return bool(await _say(w, [customer_id], word))


async def set_consents(w: Work, customer_ids: Sequence[int], word: Word) -> int:
    """Record the same word of up to BULK_LIMIT customers; all of them or none.

    Returns for how many it changed what is in effect. Raises Several(NotFound, InvalidInput).
    """
    if len(customer_ids) > BULK_LIMIT:
        raise InvalidInput(f"at most {BULK_LIMIT} customers at once", ("input", "ids"))
    await check_word(w, word)
    # whoever updates many customers holds this lock, so that no two of them wait for each other
    await lock_customers(w)
    await _lock(w, customer_ids, ("input", "ids"))
    return len(await _say(w, customer_ids, word))


async def grant_where_unknown(
    w: Work,
    customer_ids: Sequence[int],
    channel: str,
    source: str,
    evidence: Mapping[str, Any] | None = None,
) -> int:
    """Record marketing consent of customers who never said anything about the channel.

    Without evidence it is unproven. Whoever has a consent of any status, for any shop, keeps it.
    No events are made: this is history. Returns of how many it was recorded.
    """
    status = "granted" if evidence else "unproven"
    granted: int = await w.sql.fetchval(
        """WITH granted AS (
               INSERT INTO consents (merchant_id, customer_id, channel, purpose, status, at)
               SELECT c.merchant_id, c.id, $3, $4, $9, $7
               FROM customers c
               WHERE c.merchant_id = $1 AND c.id = ANY($2::bigint[]) AND NOT EXISTS (
                   SELECT 1 FROM consents co WHERE co.merchant_id = $1 AND co.customer_id = c.id
                      AND co.channel = $3 AND co.purpose = $4)
               ORDER BY c.id
               ON CONFLICT (merchant_id, customer_id, shop_id, channel, purpose) DO NOTHING
               RETURNING customer_id),
           logged AS (
               INSERT INTO consent_events (merchant_id, customer_id, channel, purpose, status,
                                           source, evidence, actor, at)
               SELECT $1, customer_id, $3, $4, $9, $5, $6, $8, $7 FROM granted)
           SELECT count(*) FROM granted""",
        w.merchant_id, list(customer_ids), channel, MARKETING, source, _json(evidence), w.now,
        w.actor, status,
    )  # fmt: skip
    return granted


async def unsubscribe(
    w: Work,
    customer_id: int,
    channel: str,
    source: str,
    *,
    shop_id: int = ALL_SHOPS,
    evidence: Mapping[str, Any] | None = None,
) -> None:
    """A customer wants no more marketing on a channel: consent denied, addresses suppressed.

    A second call changes nothing. Raises NotFound.
    """
    await _lock(w, [customer_id], ("id",))
    customer = await get_customer(w, customer_id)
    # indexes of different kinds never collide, so all can be kept: the channel uses its own
    rows = await w.sql.fetch(OF_IDENTITIES, w.merchant_id, customer_id)
    indexes = [i for i in (customer["phone_index"], customer["email_index"]) if i is not None]
    await suppress_all(w, channel, [*indexes, *(row[0] for row in rows)], UNSUBSCRIBED, shop_id)
    word = Word(channel, MARKETING, "denied", source, shop_id, evidence=evidence)
    if await _unsaid(w, [customer_id], word):
        await _say(w, [customer_id], word)
        w.emit(CustomerUnsubscribed(customer_id, channel, source))


async def refold(w: Work, customer_ids: Sequence[int]) -> None:
    """Compute the present state of these customers from the log, in one statement."""
    await w.sql.execute(
        f"""WITH folded AS MATERIALIZED (
                SELECT DISTINCT ON (customer_id, shop_id, channel, purpose)
                       customer_id, shop_id, channel, purpose, status, at
                FROM consent_events WHERE merchant_id = $1 AND customer_id = ANY($2::bigint[])
                ORDER BY customer_id, shop_id, channel, purpose, at DESC,
                         {strictness("status")} DESC),
            gone AS (
                DELETE FROM consents co
                WHERE co.merchant_id = $1 AND co.customer_id = ANY($2::bigint[]) AND NOT EXISTS (
                    SELECT 1 FROM folded f WHERE f.customer_id = co.customer_id
                       AND f.shop_id = co.shop_id AND f.channel = co.channel
                       AND f.purpose = co.purpose))
            INSERT INTO consents (merchant_id, customer_id, shop_id, channel, purpose, status, at)
            SELECT $1, customer_id, shop_id, channel, purpose, status, at FROM folded
            ORDER BY customer_id
            ON CONFLICT (merchant_id, customer_id, shop_id, channel, purpose)
                DO UPDATE SET status = excluded.status, at = excluded.at
                WHERE (consents.status, consents.at) IS DISTINCT FROM (excluded.status, excluded.at)
        """,
        w.merchant_id, list(customer_ids),
    )  # fmt: skip


async def effective_status(
    session: Session, customer_id: int, shop_id: int, channel: str, purpose: Any
) -> str | None:
    """What a customer said, in effect; None for nothing."""
    status: str | None = await session.sql.fetchval(
        f"""SELECT {status_sql("$3", "$4", purpose)} FROM customers c
            WHERE c.merchant_id = $1 AND c.id = $2""",
        session.merchant_id, customer_id, shop_id, channel,
    )  # fmt: skip
    return status


async def check_word(session: Session, word: Word) -> None:
    """Raises InvalidInput, NotFound or Several with all that is wrong."""
    faults = Faults()
    if word.status not in STATUSES:
        faults.wrong(f"a consent is one of {', '.join(STATUSES)}", "status")
    if word.purpose not in PURPOSES:
        faults.wrong(f"a purpose is one of {', '.join(PURPOSES)}", "purpose")
    for name, value, limit in (
        ("channel", word.channel, NAME_LIMIT), ("source", word.source, NAME_LIMIT),
        ("text", word.text, TEXT_LIMIT), ("textVersion", word.text_version, NAME_LIMIT),
    ):  # fmt: skip
        if value is not None and (not 0 < len(value.strip()) <= limit or "\x00" in value):
            faults.wrong(f"{name} has 1 to {limit} characters", name)
    if (word.purpose == PERSONALISATION) != (word.channel == EVERY_CHANNEL):
        wanted = f"personalisation, and nothing else, has the channel {EVERY_CHANNEL}"
        faults.wrong(wanted, "channel")
    with faults:
        _check_evidence(word.evidence)
    with faults:
        await need_shop(session, word.shop_id or None)
    faults.tell()


def _check_evidence(evidence: Mapping[str, Any] | None) -> None:
    if not isinstance(evidence, Mapping | None):
        raise InvalidInput("evidence is an object", ("input", "evidence"))
    if len(_json(evidence) or "") > EVIDENCE_LIMIT:
        raise InvalidInput(
            f"evidence has at most {EVIDENCE_LIMIT} bytes of JSON", ("input", "evidence")
        )


async def _lock(w: Work, customer_ids: Sequence[int], path: tuple[str, ...]) -> None:
    """Hold the customers until the end of the transaction: one word of each at a time."""
    rows = await w.sql.fetch(
        """SELECT id FROM customers WHERE merchant_id = $1 AND id = ANY($2::bigint[])
           ORDER BY id FOR NO KEY UPDATE""",
        w.merchant_id, list(customer_ids),
    )  # fmt: skip
    found = {row["id"] for row in rows}
    missing = [number for number, one in enumerate(customer_ids) if one not in found]
    if not missing:
        return
    if path == ("id",):
        raise NotFound("there is no customer with this id", path)
    raise Several([NotFound("there is no customer with this id", (*path, str(n))) for n in missing])


async def _unsaid(w: Work, customer_ids: Sequence[int], word: Word) -> set[int]:
    """The customers for whom the word would change what is in effect, in some shop."""
    purpose: Any = word.purpose
    rows = await w.sql.fetch(
        f"""SELECT c.id FROM customers c
            WHERE c.merchant_id = $1 AND c.id = ANY($2::bigint[]) AND (
                {status_sql("$3", "$4", purpose)} IS DISTINCT FROM $5
                OR $3 = 0 AND EXISTS (
                    SELECT 1 FROM consents own WHERE own.merchant_id = $1
                       AND own.customer_id = c.id AND own.channel = $4 AND own.purpose = $6
                       AND own.shop_id <> 0 AND own.status <> $5
                       AND (own.at, {strictness("own.status")}) > (
                           SELECT z.at, {strictness("z.status")} FROM consents z
                           WHERE z.merchant_id = $1 AND z.customer_id = c.id AND z.shop_id = 0
                             AND z.channel = $4 AND z.purpose = $6)))""",
        w.merchant_id, list(customer_ids), word.shop_id, word.channel, word.status, word.purpose,
    )  # fmt: skip
    return {row["id"] for row in rows}


async def _say(w: Work, customer_ids: Collection[int], word: Word) -> set[int]:
    """Append a word to the log and fold it into the state, of customers who are held.

    A refusal is never older than what it answers, whatever the machines' clocks say: it counts
    from its arrival. Returns those for whom the word changed what is in effect.
    """
    ids = sorted(set(customer_ids))
    unsaid = await _unsaid(w, ids, word)
    rows = await w.sql.fetch(
        f"""WITH told AS MATERIALIZED (
                SELECT u.id, GREATEST($12::timestamptz, CASE WHEN $6 = 'denied' THEN (
                    SELECT max(co.at) FROM consents co WHERE co.merchant_id = $1
                       AND co.customer_id = u.id AND co.channel = $4 AND co.purpose = $5
                       AND ($3 = 0 OR co.shop_id IN (0, $3))) END) AS at
                FROM unnest($2::bigint[]) AS u (id)),
            event AS (
                INSERT INTO consent_events (merchant_id, customer_id, shop_id, channel, purpose,
                    status, source, text, text_version, evidence, actor, at)
                SELECT $1, id, $3, $4, $5, $6, $7, $8, $9, $10, $11, at FROM told ORDER BY id)
            INSERT INTO consents (merchant_id, customer_id, shop_id, channel, purpose, status, at)
            SELECT $1, id, $3, $4, $5, $6, at FROM told ORDER BY id
            ON CONFLICT (merchant_id, customer_id, shop_id, channel, purpose)
                DO UPDATE SET status = excluded.status, at = excluded.at
                WHERE (consents.at, {strictness("consents.status")})
                    < (excluded.at, {strictness("excluded.status")})
            RETURNING customer_id""",
        w.merchant_id, ids, word.shop_id, word.channel, word.purpose, word.status, word.source,
        word.text, word.text_version, _json(word.evidence), w.actor, w.now,
    )  # fmt: skip
    changed = {row["customer_id"] for row in rows} & unsaid
    for customer_id in sorted(changed):
        facts = (customer_id, word.shop_id, word.channel, word.purpose, word.source)
        if word.status == "granted":
            w.emit(ConsentGranted(*facts))
        elif word.status == "denied":
            w.emit(ConsentWithdrawn(*facts))
    return changed


def _json(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else orjson.dumps(value).decode()
