"""Files that come with a call, and jobs that take them in."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from core.schema.context import Info
from core.schema.idempotency import once
from core.schema.jobs import Job, jobs_by_id
from core.sdk.errors import InvalidInput
from core.storage.database import Work

UPLOAD_PIECE = 1024**2


def file_name(file: Any) -> str:
    """The name of an upload. Raises InvalidInput when it is none."""
    if not hasattr(file, "read"):
        raise InvalidInput("send the file as a multipart upload", ("input", "file"))
    return getattr(file, "filename", None) or "file.csv"


async def pieces_of(file: Any) -> AsyncIterator[bytes]:
    while piece := await file.read(UPLOAD_PIECE):
        yield piece


async def start_once(
    info: Info,
    operation: str,
    input: Any,
    start: Callable[[Work, AsyncIterator[bytes]], Awaitable[int]],
    about: str | None = None,
) -> Job:
    """The job that `start` makes of the input's file, made by the first call with its key.

    The same input has the same file in it, byte for byte; `about` is the id that the operation
    takes besides. Raises KeyReused, and what `start` raises.
    """
    file, digest = input.file, hashlib.sha256()
    async for piece in pieces_of(file):
        digest.update(piece)
    await file.seek(0)
    given = {**vars(input), "file": digest.hexdigest(), "about": about}
    async with info.context.work() as w:

        async def call() -> int:
            return await start(w, pieces_of(file))

        job_id = await once(w, operation, input.idempotency_key, given, call)
        return (await jobs_by_id(w, [job_id]))[job_id]
