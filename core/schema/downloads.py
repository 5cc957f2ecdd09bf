"""Fetching a job's file by a signed link, which a browser can follow without a header."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from urllib.parse import quote

import orjson
import strawberry
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from core.installation import Installation
from core.schema.context import Info
from core.schema.errors import BAD_REQUEST, FORBIDDEN
from core.schema.ranges import OutOfRange, asked_part, cut
from core.sdk.errors import NotFound
from core.storage import jobs
from core.storage.database import Session
from core.storage.outputs import LINK_LIFE, Link, OutputFile, output_of, read_link, sign_link

NOT_FOUND = "NOT_FOUND"


@strawberry.type(description="A file that a job has made; kept for 7 days after the job's end.")
class JobFile:
    name: str
    media_type: str
    size: int = strawberry.field(description="In bytes.")
    sha256: str
    url: str = strawberry.field(description="Fetches the file, without a token, until `expiresAt`.")
    expires_at: datetime = strawberry.field(description="When `url` stops working: ask anew then.")


def file_of(info: Info, row: Any) -> JobFile | None:
    """The file of a job's row with a fresh link. Raises RequestError without its permissions."""
    context = info.context
    db, settings = context.installation.db, context.installation.settings
    now = db.clock()
    file = output_of(row, now)
    if file is None:
        return None
    for permission in file.permissions:
        context.need(permission)
    expires_at = (now + LINK_LIFE).replace(microsecond=0)
    link = sign_link(db.keyring, Link(row["merchant_id"], row["id"], expires_at, context.actor))
    return JobFile(
        name=file.name,
        media_type=file.media_type,
        size=file.size,
        sha256=file.sha256,
        url=f"{settings.base_url}/downloads/{link}",
        expires_at=expires_at,
    )


async def kept_file(info: Info, session: Session, job_id: int) -> JobFile | None:
    """The file that was kept as a job's, with a fresh link. Raises RequestError, NotFound."""
    return file_of(info, await jobs.get(session, job_id))


async def answer(installation: Installation, request: Request) -> Response:
    """The file of the link, or a part of it, piece by piece.

    403 for a link that is not valid, 404 without file, 416 for a part that it does not have.
    """
    db = installation.db
    link = read_link(db.keyring, request.path_params["link"])
    if link is None:
        return _fault(request, 403, FORBIDDEN, "the link is not valid; it may be incomplete")
    if link.expires_at <= db.clock():
        return _fault(request, 403, FORBIDDEN, "the link has expired: ask for the job's file again")
    try:
        async with db.read(link.merchant_id, link.actor) as session:
            file = output_of(await jobs.get(session, link.job_id), session.now)
        if file is None:
            raise NotFound("the job has no file, or no longer")
        headers = headers_of(file)
        part = asked_part(request.headers, file.size, headers["etag"])
        pieces = jobs.file_pieces(db, link.merchant_id, link.job_id, "output")
        first = await anext(pieces)
    except NotFound as error:
        return _fault(request, 404, NOT_FOUND, error.message)
    except OutOfRange as error:
        more = {"content-range": f"bytes */{error.size}"}
        return _fault(request, 416, BAD_REQUEST, str(error), more)
    if request.method == "HEAD":
        await pieces.aclose()
        return Response(headers=headers)
    async with db.work(link.merchant_id, link.actor) as w:
        w.audit("file.downloaded", {"job": link.job_id, "name": file.name})
    if part is None:
        return StreamingResponse(_all(first, pieces), headers=headers)
    headers["content-length"] = str(len(part))
    headers["content-range"] = f"bytes {part.start}-{part.stop - 1}/{file.size}"
    return StreamingResponse(cut(_all(first, pieces), part), 206, headers)


async def _all(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


def headers_of(file: OutputFile) -> dict[str, str]:
    """Saved under its name, never shown, guessed at or kept on the way."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in file.name)
    return {
        "content-type": file.media_type,
        "content-length": str(file.size),
        "accept-ranges": "bytes",
        "etag": f'"{file.sha256}"',
        # RFC 6266: old programs take the first name, all others the second, of RFC 5987
        "content-disposition": f'attachment; filename="{plain}"; '
        f"filename*=UTF-8''{quote(file.name, safe='')}",
        "x-content-type-options": "nosniff",
        "content-security-policy": "sandbox; default-src 'none'",
        "cache-control": "private, no-store",
        "referrer-policy": "no-referrer",
    }


def _fault(
    request: Request, status: int, code: str, message: str, more: dict[str, str] | None = None
) -> Response:
    extensions = {"code": code, "requestId": request.scope["request_id"]}
    body = orjson.dumps({"errors": [{"message": message, "extensions": extensions}]})
    headers = {"cache-control": "no-store", "x-content-type-options": "nosniff", **(more or {})}
    return Response(body, status, headers, "application/json; charset=utf-8")
