"""The audit log: who did what, in a chain that shows when it was tampered with.

Use cases add to it with `Work.audit`; here it is read and checked.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from core.sdk.errors import InvalidInput
from core.storage.chain import START, Entry, link
from core.storage.database import Database, Session
from core.storage.jobs import Job

KIND = "audit.verify"
CHUNK = 1000
HASH_BYTES = 32


@dataclass(frozen=True)
class Fault:
    """The first place where the chain is broken: the number of its entry, and what is wrong."""

    number: int
    reason: str


@dataclass
class Check:
    """How far a chain was checked: its entries so far, and the hash of the last of them.

    `wanted` is a hash noted earlier, which must turn up: else the end of the log was cut off.
    """

    entries: int = 0
    head: bytes = START
    wanted: bytes | None = None
    fault: Fault | None = field(default=None)

    def take(self, merchant_id: int, row: Mapping[str, Any], session: Session) -> None:
        """Check the next entry of the chain."""
        number = self.entries + 1
        if row["number"] != number:
            self.fault = Fault(number, "the entry is missing")
            return
        entry = Entry(
            merchant_id, number, row["at"], row["actor"], row["action"], orjson.loads(row["data"])
        )
        if link(session.keyring, entry, self.head) != row["hash"]:
            self.fault = Fault(number, "the entry was altered, or put in place of another")
            return
        self.entries, self.head = number, row["hash"]
        if self.wanted == self.head:
            self.wanted = None

    def end(self) -> None:
        """There are no more entries."""
        if self.fault is None and self.wanted is not None:
            self.fault = Fault(
                self.entries + 1, "no entry has the hash given: the end of the log was cut off"
            )


def read_hash(text: str | None) -> bytes | None:
    """A hash as it is shown, 64 hexadecimal digits. Raises InvalidInput."""
    if text is None:
        return None
    try:
        digest = bytes.fromhex(text.strip())
    except ValueError:
        digest = b""
    if len(digest) != HASH_BYTES:
        raise InvalidInput("a hash of the audit log has 64 hexadecimal digits", ("input", "head"))
    return digest


async def verify(db: Database, merchant_id: int, wanted: bytes | None = None) -> Check:
    """Check a merchant's whole log, in portions; `wanted` is a hash that it must hold."""
    check = Check(wanted=wanted)
    while await _advance(db, merchant_id, check):
        pass
    return check


async def _advance(db: Database, merchant_id: int, check: Check) -> bool:
    """Check one portion more; returns whether there may be more."""
    async with db.read(merchant_id) as session:
        rows = await _portion(session, check.entries)
        for row in rows:
            check.take(merchant_id, row, session)
            if check.fault is not None:
                return False
    if rows:
        return True
    check.end()
    return False


async def _portion(session: Session, after: int) -> list[Mapping[str, Any]]:
    rows: list[Mapping[str, Any]] = await session.sql.fetch(
        """SELECT number, at, actor, action, data, hash FROM audit_log
           WHERE merchant_id = $1 AND number > $2 ORDER BY number LIMIT $3""",
        session.merchant_id, after, CHUNK,
    )  # fmt: skip
    return rows


async def entries(db: Database, merchant_id: int) -> AsyncIterator[dict[str, Any]]:
    """The whole log as JSON values, the oldest entry first, read in portions."""
    last = 0
    while True:
        async with db.read(merchant_id) as session:
            rows = await _portion(session, last)
        if not rows:
            return
        for row in rows:
            yield {
                "number": row["number"],
                "at": row["at"].isoformat(),
                "actor": row["actor"],
                "action": row["action"],
                "data": orjson.loads(row["data"]),
                "hash": row["hash"].hex(),
            }
        last = rows[-1]["number"]


class AuditVerification:
    """The job kind "audit.verify"; params: `head`, the hash that the log must hold, or null."""

    name = KIND

    async def run(self, db: Database, job: Job) -> dict[str, Any]:
        """Check what is left of the log; a broken one is a result, not a failure of the job."""
        check = Check(
            job.checkpoint.get("entries", 0),
            bytes.fromhex(job.checkpoint.get("head", START.hex())),
            read_hash(job.checkpoint.get("wanted", job.params["head"])),
        )
        more = True
        while more:
            more = await _advance(db, job.merchant_id, check)
            async with job.step(db):
                job.done = check.entries
                job.checkpoint = {
                    "entries": check.entries,
                    "head": check.head.hex(),
                    "wanted": check.wanted.hex() if check.wanted else None,
                }
        fault = check.fault
        return {
            "intact": fault is None,
            "entries": check.entries,
            "head": check.head.hex(),
            "fault": {"number": fault.number, "reason": fault.reason} if fault else None,
        }
