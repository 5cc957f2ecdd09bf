"""A part of a file, for programs that go on with a download which broke off (RFC 9110, 14)."""

import re
from collections.abc import AsyncIterator, Mapping

ONE_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class OutOfRange(Exception):
    """The file, of so many bytes, has no such part."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the file has {size} bytes")
        self.size = size


def asked_part(headers: Mapping[str, str], size: int, tag: str) -> range | None:
    """The bytes of a file that a request asks for, or None for all of it.

    `tag` is the file's ETag. Several parts at once, other units and a file that is not the one of
    `If-Range` are answered with the whole. Raises OutOfRange.
    """
    found = ONE_RANGE.fullmatch(headers.get("range", ""))
    if found is None or headers.get("if-range", tag) != tag:
        return None
    first, last = found.groups()
    if not (first or last) or (first and last and int(first) > int(last)):
        return None
    start = int(first) if first else max(size - int(last), 0)
    part = range(start, min(int(last) + 1, size) if first and last else size)
    if not part:
        raise OutOfRange(size)
    return part


async def cut(pieces: AsyncIterator[bytes], part: range) -> AsyncIterator[bytes]:
    """The part of a file that comes in pieces."""
    here = 0
    async for piece in pieces:
        inside = piece[max(part.start - here, 0) : max(part.stop - here, 0)]
        here += len(piece)
        if inside:
            yield inside
        if here >= part.stop:
            break
