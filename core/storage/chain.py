"""The audit log's chain: each entry is hashed together with the hash of the one before it.

The hash is an HMAC under a key that is derived from the keyring: whoever can write to the database
but has no keyring can neither alter an entry nor make one that fits. The key does not change when
the keyring's encryption keys are renewed. What a chain alone cannot show, that its end was cut
off, is shown by a hash noted elsewhere; see core.domain.shops.audit.
"""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg
import orjson

from core.storage.keyring import Keyring

LOCK_SPACE = 0x6861
"""Advisory lock, one per merchant: whoever appends holds it. Taken last, right before a commit."""

START = bytes(32)
"""In place of the hash before the first entry."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What one entry of a merchant's audit log says."""

    merchant_id: int
    number: int
    at: datetime
    actor: str
    action: str
    data: Mapping[str, Any]


def link(keyring: Keyring, entry: Entry, before: bytes) -> bytes:
    """The hash (32 bytes) of an entry that follows the one with the hash `before`."""
    return hmac.digest(keyring.derive("audit", entry.merchant_id), before + _plain(entry), "sha256")


def check_data(data: Mapping[str, Any]) -> None:
    """Refuse what the database would give back in another form than it was hashed in."""
    for value in data.values():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict):
                check_data(one)
            elif not isinstance(one, str | int | None):
                raise TypeError(f"an audit entry holds texts, whole numbers and truths: {value!r}")


async def append(sql: asyncpg.Connection, keyring: Keyring, entries: Sequence[Entry]) -> None:
    """Add entries of one merchant at the end of its chain; their `number` is given here.

    The lock is held until the transaction ends, so nothing else may be locked after it.
    """
    merchant_id = entries[0].merchant_id
    await sql.execute(
        "SELECT pg_advisory_xact_lock($1::int, $2::int)", LOCK_SPACE, merchant_id % 2**31
    )
    last = await sql.fetchrow(
        """SELECT number, hash FROM audit_log WHERE merchant_id = $1
           ORDER BY number DESC LIMIT 1""",
        merchant_id,
    )  # fmt: skip
    number, digest = (last["number"], last["hash"]) if last else (0, START)
    rows = []
    for entry in entries:
        number += 1
        numbered = Entry(merchant_id, number, entry.at, entry.actor, entry.action, entry.data)
        digest = link(keyring, numbered, digest)
        rows.append(
            (merchant_id, number, entry.at, entry.actor, entry.action,
             orjson.dumps(entry.data).decode(), digest)
        )  # fmt: skip
    await sql.executemany(
        """INSERT INTO audit_log (merchant_id, number, at, actor, action, data, hash)
           VALUES ($1, $2, $3, $4, $5, $6, $7)""",
        rows,
    )


def _plain(entry: Entry) -> bytes:
    at = entry.at.astimezone(UTC).isoformat(timespec="microseconds")
    return orjson.dumps(
        [entry.merchant_id, entry.number, at, entry.actor, entry.action, dict(entry.data)],
        option=orjson.OPT_SORT_KEYS,
    )
