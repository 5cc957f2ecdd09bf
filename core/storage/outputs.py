"""The file that a job leaves: how its result describes it, and the signed link that fetches it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from core.storage import jobs
from core.storage.database import Database, Work
from core.storage.keyring import Keyring

LINK_LIFE = timedelta(minutes=15)
PURPOSE = "download"
PIECE = 1024 * 1024
EVERYTHING = (
    "CUSTOMERS_READ", "ORDERS_READ", "PII_NAME", "PII_PHONE", "PII_EMAIL", "PII_ADDRESS",
)  # fmt: skip
"""The rights that a file needs of which its job does not say what is in it."""


@dataclass(frozen=True)
class OutputFile:
    """A job's file as its result describes it under "file".

    `size` is in bytes, `permissions` are those that whoever fetches it needs, all of them.
    """

    name: str
    media_type: str
    size: int
    sha256: str
    permissions: Sequence[str] = EVERYTHING

    def described(self) -> dict[str, Any]:
        """The JSON for the job's result: {"file": file.described()}."""
        return {
            "name": self.name,
            "media_type": self.media_type,
            "size": self.size,
            "sha256": self.sha256,
            "permissions": list(self.permissions),
        }


async def describe_output(
    db: Database,
    merchant_id: int,
    job_id: int,
    name: str,
    media_type: str,
    permissions: Sequence[str] = EVERYTHING,
) -> OutputFile:
    """Read a job's finished output once, for its size and hash. Raises NotFound without pieces."""
    digest, size = hashlib.sha256(), 0
    async for piece in jobs.file_pieces(db, merchant_id, job_id, "output"):
        digest.update(piece)
        size += len(piece)
    return OutputFile(name, media_type, size, digest.hexdigest(), permissions)


async def keep_output(
    w: Work, kind: str, name: str, media_type: str, data: bytes, permissions: Sequence[str]
) -> int:
    """Keep a file that is made already as that of a finished job; returns the job's id.

    It is fetched and forgotten like any job's file. `kind` is the job's, after who made it.
    """
    job_id = await jobs.enqueue(w, kind, {}, 1, queued=False)
    for piece, start in enumerate(range(0, len(data), PIECE)):
        await jobs.add_file_piece(w, job_id, piece, data[start : start + PIECE], "output")
    file = OutputFile(name, media_type, len(data), hashlib.sha256(data).hexdigest(), permissions)
    await w.sql.execute(
        """UPDATE jobs SET state = 'succeeded', done = 1, result = $3, finished_at = $4,
                  lease_until = NULL
           WHERE merchant_id = $1 AND id = $2""",
        w.merchant_id, job_id, orjson.dumps({"file": file.described()}).decode(), w.now,
    )  # fmt: skip
    return job_id


def output_of(row: Mapping[str, Any], now: datetime) -> OutputFile | None:
    """The file of a job's row; None when it has none, or none any more."""
    if row["state"] != "succeeded" or not row["result"]:
        return None
    found = orjson.loads(row["result"])
    file = found.get("file") if isinstance(found, dict) else None
    if file is None or row["finished_at"] < now - timedelta(days=jobs.OUTPUT_DAYS):
        return None
    return OutputFile(**file)


@dataclass(frozen=True)
class Link:
    """What a download link says: whose job's file, until when, and who asked for the link."""

    merchant_id: int
    job_id: int
    expires_at: datetime
    actor: str


def sign_link(keyring: Keyring, link: Link) -> str:
    """The last part of the link's address; it tells nothing but ids and a time."""
    expires = int(link.expires_at.timestamp())
    text = f"{link.merchant_id}.{link.job_id}.{expires}.{link.actor}"
    return f"{text}.{keyring.sign(PURPOSE, text)}"


def read_link(keyring: Keyring, text: str) -> Link | None:
    """What a link says, or None when it is not one of ours; the caller looks at its expiry."""
    said, _, signature = text.rpartition(".")
    if not keyring.verify(PURPOSE, said, signature):
        return None
    merchant_id, job_id, expires, actor = said.split(".")
    return Link(int(merchant_id), int(job_id), datetime.fromtimestamp(int(expires), UTC), actor)
