"""Addresses that must not be written to, known by their blind index alone.

So the list outlives a customer's data: who comes back under the same address is not written to.
The reason `unsubscribed` stops marketing; any other reason stops every message.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from core.domain.customers.contacts import normalise_email, normalise_phone
from core.domain.customers.masking import EMAIL, PHONE, Kind
from core.domain.shops.shops import need_shop
from core.sdk.errors import Faults, InvalidInput, NotFound
from core.storage.database import Session, Work
from core.storage.keyring import Keyring

UNSUBSCRIBED = "unsubscribed"
REASON_LIMIT = 200
NAME_LIMIT = 64
IMPORT_LIMIT = 10_000
EMAIL_SIGNS = "@＠"


@dataclass(frozen=True)
class SuppressionImport:
    """What became of a list: added + present + invalid = its length; repeated ones are present.

    `invalid_at` are the positions (from 0) of addresses that are none.
    """

    added: int
    present: int
    invalid_at: list[int]


def address_kind(address: str) -> Kind:
    """Whether a text is to be read as an email address or as a phone number."""
    return EMAIL if any(sign in address for sign in EMAIL_SIGNS) else PHONE


def address_index(keyring: Keyring, merchant_id: int, address: str) -> bytes | None:
    """The blind index of a phone number or email address; None when it is neither."""
    kind = address_kind(address)
    normal = normalise_email(address) if kind is EMAIL else normalise_phone(address)
    return None if normal is None else keyring.blind_index(kind.name, merchant_id, normal)


def identity_index_sql(shop: str, kind: str, value: str) -> str:
    """SQL of the index of an id of a platform within a shop, of SQL of its three parts.

    Unlike those of phone numbers and email addresses it is not keyed, so that a statement can make
    it: the ids themselves stand in the tables as they are.
    """
    text = f"$1::bigint::text || '|' || {shop} || '|' || {kind} || '|' || {value}"
    return f"sha256(convert_to({text}, 'UTF8'))"


def identity_index(merchant_id: int, shop_id: int, kind: str, value: str) -> bytes:
    """The same index, made here."""
    return sha256(f"{merchant_id}|{shop_id}|{kind}|{value}".encode()).digest()


OF_IDENTITIES = f"""SELECT {identity_index_sql("i.scope_id::text", "i.kind", "i.value")}
    FROM customer_identities i
    WHERE i.merchant_id = $1 AND i.customer_id = $2 AND i.scope = 'shop'"""
"""The indexes of all ids of customer $2 within shops of merchant $1."""


async def suppress(
    w: Work, channel: str, address_index: bytes, reason: str, shop_id: int = 0
) -> bool:
    """Never write to an address on a channel again, whoever it belongs to.

    Returns False when it is on the list already. A reason that stops more replaces `unsubscribed`.
    """
    return await suppress_all(w, channel, [address_index], reason, shop_id) > 0


async def suppress_all(
    w: Work, channel: str, indexes: Sequence[bytes], reason: str, shop_id: int = 0
) -> int:
    """The same for several addresses at once; returns how many were not on the list."""
    added: int = await w.sql.fetchval(
        """WITH told AS MATERIALIZED (
               INSERT INTO suppressions AS su (merchant_id, shop_id, channel, address_index,
                                               reason, at)
               SELECT DISTINCT $1::bigint, $2::bigint, $3, x, $5, $6::timestamptz
               FROM unnest($4::bytea[]) AS x ORDER BY x
               ON CONFLICT (merchant_id, channel, address_index, shop_id)
                   DO UPDATE SET reason = excluded.reason
                   WHERE su.reason = $8 AND excluded.reason <> $8
               RETURNING address_index, xmax = 0 AS added),
           logged AS (
               INSERT INTO suppression_events (merchant_id, shop_id, channel, address_index,
                                               action, reason, actor, at)
               SELECT $1, $2, $3, address_index, 'added', $5, $7, $6 FROM told)
           SELECT count(*) FILTER (WHERE added) FROM told""",
        w.merchant_id, shop_id, channel, list(indexes), reason, w.now, w.actor, UNSUBSCRIBED,
    )  # fmt: skip
    return added


async def suppression_add(
    w: Work, channel: str, address: str, reason: str, shop_id: int = 0
) -> int:
    """Put an address on the list; returns the id of its row. Raises InvalidInput, NotFound,
    Several.
    """
    faults, index = Faults(), address_index(w.keyring, w.merchant_id, address)
    with faults:
        await _check(w, channel, reason, shop_id)
    if index is None:
        faults.wrong("this is neither a phone number nor an email address", "address")
    faults.tell()
    assert index is not None
    await suppress(w, channel, index, reason.strip(), shop_id)
    suppression_id: int = await w.sql.fetchval(
        """SELECT id FROM suppressions WHERE merchant_id = $1 AND channel = $2
              AND address_index = $3 AND shop_id = $4""",
        w.merchant_id, channel, index, shop_id,
    )  # fmt: skip
    return suppression_id


async def suppressions_import(
    w: Work, channel: str, indexes: Sequence[bytes | None], reason: str, shop_id: int = 0
) -> SuppressionImport:
    """Put up to IMPORT_LIMIT addresses on the list at once.

    `indexes` are what `address_index` made of them. Raises InvalidInput, NotFound.
    """
    faults = Faults()
    with faults:
        await _check(w, channel, reason, shop_id)
    if len(indexes) > IMPORT_LIMIT:
        faults.wrong(f"at most {IMPORT_LIMIT} addresses at once", "addresses")
    faults.tell()
    valid = [index for index in indexes if index is not None]
    invalid_at = [position for position, index in enumerate(indexes) if index is None]
    added = await suppress_all(w, channel, valid, reason.strip(), shop_id)
    return SuppressionImport(added, len(valid) - added, invalid_at)


async def suppression_remove(w: Work, suppression_id: int, reason: str) -> None:
    """Take an address off the list again, for a reason that is logged.

    Consent is another matter: it stays as it is. Raises InvalidInput, NotFound.
    """
    check_reason(reason)
    removed = await w.sql.fetchval(
        """WITH removed AS (
               DELETE FROM suppressions WHERE merchant_id = $1 AND id = $2
               RETURNING shop_id, channel, address_index)
           INSERT INTO suppression_events (merchant_id, shop_id, channel, address_index, action,
                                           reason, actor, at)
           SELECT $1, shop_id, channel, address_index, 'removed', $3, $4, $5 FROM removed
           RETURNING id""",
        w.merchant_id, suppression_id, reason.strip(), w.actor, w.now,
    )  # fmt: skip
    if removed is None:
        raise NotFound("there is no suppression with this id", ("id",))
    w.audit("suppression.removed", {"suppression": suppression_id})


async def welcome_back(w: Work, customer_id: int, channel: str, shop_id: int, source: str) -> None:
    """The customer himself wants messages again: take back what his unsubscribing suppressed.

    For one shop, suppressions of the shop and of all shops go (consent keeps the other shops out);
    for all shops, those of every shop. Suppressions for other reasons stay.
    """
    await w.sql.execute(
        f"""WITH removed AS (
               DELETE FROM suppressions su USING customers c
               WHERE su.merchant_id = $1 AND c.merchant_id = $1 AND c.id = $2
                 AND su.channel = $3 AND su.reason = $4 AND ($5 = 0 OR su.shop_id IN (0, $5))
                 AND (su.address_index IN (c.phone_index, c.email_index)
                      OR su.address_index IN ({OF_IDENTITIES}))
               RETURNING su.shop_id, su.channel, su.address_index)
           INSERT INTO suppression_events (merchant_id, shop_id, channel, address_index, action,
                                           reason, actor, at)
           SELECT $1, shop_id, channel, address_index, 'removed', $6, $7, $8 FROM removed""",
        w.merchant_id, customer_id, channel, UNSUBSCRIBED, shop_id, source, w.actor, w.now,
    )  # fmt: skip


def check_reason(reason: str) -> None:
    """Raises InvalidInput for a reason that says nothing, or too much."""
    if not 0 < len(reason.strip()) <= REASON_LIMIT or "\x00" in reason:
        raise InvalidInput(f"a reason has 1 to {REASON_LIMIT} characters", ("input", "reason"))


def check_channel_and_reason(channel: str, reason: str) -> None:
    """Raises InvalidInput, Several."""
    faults = Faults()
    if not 0 < len(channel.strip()) <= NAME_LIMIT or "\x00" in channel:
        faults.wrong(f"a channel has 1 to {NAME_LIMIT} characters", "channel")
    with faults:
        check_reason(reason)
    faults.tell()


async def _check(session: Session, channel: str, reason: str, shop_id: int) -> None:
    faults = Faults()
    with faults:
        check_channel_and_reason(channel, reason)
    with faults:
        await need_shop(session, shop_id or None)
    faults.tell()
