"""The audit log's chain: each entry is hashed together with the hash of the one before it.

The hash is an HMAC under a key that is derived from the keyring: whoever can write to the database
but has no keyring can neither alter an entry nor make one that fits. The key does not change when
the keyring's encryption keys are renewed. What a chain alone cannot show, that its end was cut
off, is shown by a hash noted elsewhere; see core.domain.shops.audit.
"""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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


@dataclass(frozen=True, slots=True)
class End:
    """The last entry of a chain."""

    number: int
    digest: bytes


async def append(sql: asyncpg.Connection, keyring: Keyring, entries: Sequence[Entry]) -> End:
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
    end = End(last["number"], last["hash"]) if last else End(0, START)
    rows, end = _linked(keyring, entries, end)
    await sql.executemany(
        """INSERT INTO audit_log (merchant_id, number, at, actor, action, data, hash)
           VALUES ($1, $2, $3, $4, $5, $6, $7)""",
        rows,
    )
    return end


async def append_after(
    sql: asyncpg.Connection, keyring: Keyring, entries: Sequence[Entry], end: End
) -> End | None:
    """As `append`, in one statement that commits by itself; None if this is no longer the end."""
    rows, new_end = _linked(keyring, entries, end)
    merchant_id = entries[0].merchant_id
    try:
        done = await sql.execute(
            """WITH held AS MATERIALIZED (SELECT pg_advisory_xact_lock($1::int, $2::int))
               INSERT INTO audit_log (merchant_id, number, at, actor, action, data, hash)
               SELECT $3, u.number, u.at, u.actor, u.action, u.data::jsonb, u.hash
               FROM held, unnest($4::bigint[], $5::timestamptz[], $6::text[], $7::text[],
                                 $8::text[], $9::bytea[])
                          AS u (number, at, actor, action, data, hash)
               WHERE EXISTS (SELECT 1 FROM audit_log l
                             WHERE l.merchant_id = $3 AND l.number = $10 AND l.hash = $11)""",
            LOCK_SPACE, merchant_id % 2**31, merchant_id,
            *map(list, zip(*(row[1:] for row in rows), strict=True)), end.number, end.digest,
        )  # fmt: skip
    except asyncpg.UniqueViolationError:  # another has the number that would have come next
        return None
    return new_end if done == f"INSERT 0 {len(rows)}" else None


def _linked(
    keyring: Keyring, entries: Sequence[Entry], end: End
) -> tuple[list[tuple[Any, ...]], End]:
    """The rows of entries that follow the end of a chain, and its end then."""
    rows = []
    for number, entry in enumerate(entries, end.number + 1):
        numbered = replace(entry, number=number)
        end = End(number, link(keyring, numbered, end.digest))
        rows.append(
            (entry.merchant_id, number, entry.at, entry.actor, entry.action,
             orjson.dumps(entry.data).decode(), end.digest)
        )  # fmt: skip
    return rows, end


def _plain(entry: Entry) -> bytes:
    at = entry.at.astimezone(UTC).isoformat(timespec="microseconds")
    return orjson.dumps(
        [entry.merchant_id, entry.number, at, entry.actor, entry.action, dict(entry.data)],
        option=orjson.OPT_SORT_KEYS,
    )
