"""Messages that a provider took, for plugins that ask it about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.domain.campaigns.links import message_key
from core.domain.campaigns.policy import SEALED_CONTACTS
from core.sdk.channels import Channel
from core.storage.database import Session
from core.storage.keyring import SealError


@dataclass(frozen=True)
class HandedOver:
    """A message to `to`, that a provider took at `at`; `key` is that of OutgoingMessage."""

    delivery_id: int
    key: str
    to: str
    provider: str | None
    provider_id: str | None
    at: datetime


async def without_receipt(
    session: Session, channel: Channel, after: int, since: datetime, until: datetime, limit: int
) -> tuple[Sequence[HandedOver], int | None]:
    """Messages handed over from `since` until before `until` of which no end is known.

    They come in order of their deliveries' ids, from behind `after` on, up to `limit`; with them
    the id behind which the next begin, None when these were the last.
    """
    rows = await _rows(
        session, channel,
        """d.id > $3 AND d.state = 'sent' AND d.sent_at >= $4 AND d.sent_at < $5
           AND COALESCE(d.receipt, 'accepted') = 'accepted'
           ORDER BY d.id LIMIT $6""",
        after, since, until, limit,
    )  # fmt: skip
    last = rows[-1]["id"] if len(rows) == limit else None
    return _opened(session, SEALED_CONTACTS[channel.contact], rows), last


async def handed_over(
    session: Session, channel: Channel, delivery_ids: Sequence[int]
) -> Sequence[HandedOver]:
    """These messages, but for those whose customer has no such address any more."""
    rows = await _rows(session, channel, "d.id = ANY($3::bigint[])", list(delivery_ids))
    return _opened(session, SEALED_CONTACTS[channel.contact], rows)


async def _rows(session: Session, channel: Channel, which: str, *args: Any) -> Sequence[Any]:
    kind = SEALED_CONTACTS[channel.contact]
    rows: Sequence[Any] = await session.sql.fetch(
        f"""SELECT d.id, d.customer_id, d.provider, d.provider_id,
                   COALESCE(d.sent_at, d.updated_at) AS at, c.{kind}_sealed AS sealed
            FROM deliveries d
            JOIN customers c ON c.merchant_id = $1 AND c.id = d.customer_id
            WHERE d.merchant_id = $1 AND d.channel = $2 AND {which}""",
        session.merchant_id, channel.name, *args,
    )  # fmt: skip
    return rows


def _opened(session: Session, kind: str, rows: Sequence[Mapping[str, Any]]) -> Sequence[HandedOver]:
    found = []
    for row in rows:
        if row["sealed"] is None:
            continue
        place = f"customers.{kind}|{session.merchant_id}|{row['customer_id']}"
        try:
            to = session.keyring.open(row["sealed"], place)
        except SealError:
            continue
        key = message_key(session.keyring, session.merchant_id, row["id"])
        found.append(HandedOver(row["id"], key, to, row["provider"], row["provider_id"], row["at"]))
    return found
