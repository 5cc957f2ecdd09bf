"""Reading a large file in a process of its own, beside the one that takes its rows in.

The child parses and hashes, which is half of an import's work in Python. It gets its orders over
its standard input and writes chunks to its standard output: when either process dies, the other
sees the end of the pipe.
"""

import asyncio
import contextlib
import pickle
import struct
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import IO, Any

from core.domain.orders.chunks import Chunk, ChunkReader
from core.domain.orders.rows import Plan
from core.sdk.orders import LineRecord, OrderRecord, ParcelRecord
from core.tabular.reading import FileFacts, Table

LENGTH = struct.Struct("<Q")
BUFFER = 1024**2


@dataclass(frozen=True)
class Task:
    """What the child reads, and the key of its content hashes."""

    facts: FileFacts
    plan: Plan
    after: int
    size: int
    hash_key: bytes


class ReaderDied(Exception):
    """The reading process ended before the file did."""


async def read_in_child(task: Task) -> AsyncGenerator[Chunk, None]:
    """The chunks behind row `task.after`, with their hashes; the child is one chunk ahead."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "core.domain.orders.reader",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=BUFFER,
    )  # fmt: skip
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(_framed(task))
        await child.stdin.drain()
        while (answer := await _receive(child.stdout)) is not None:
            if isinstance(answer, Exception):
                raise answer
            yield _unpacked(answer)
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


async def _receive(stream: asyncio.StreamReader) -> Any:
    try:
        (length,) = LENGTH.unpack(await stream.readexactly(LENGTH.size))
        return pickle.loads(await stream.readexactly(length))  # noqa: S301 - from our own child
    except asyncio.IncompleteReadError:
        raise ReaderDied("the process that reads the file has died") from None


def _framed(value: Any) -> bytes:
    data = pickle.dumps(value, protocol=5)
    return LENGTH.pack(len(data)) + data


# Plain tuples cross the pipe in a third of the time that dataclasses take.
_FIELDS = [one.name for one in fields(OrderRecord)]
_LINES, _PARCELS = _FIELDS.index("lines"), _FIELDS.index("parcels")
_order, _line, _parcel = (
    attrgetter(*(one.name for one in fields(kind)))
    for kind in (OrderRecord, LineRecord, ParcelRecord)
)


def _packed(chunk: Chunk) -> tuple[Any, ...]:
    rows = []
    for record in chunk.records:
        row = list(_order(record))
        row[_LINES] = [_line(line) for line in record.lines]
        row[_PARCELS] = [_parcel(parcel) for parcel in record.parcels]
        rows.append(row)
    return rows, chunk.digests, chunk.rejects, chunk.last, chunk.position


def _unpacked(packed: tuple[Any, ...]) -> Chunk:
    rows, digests, rejects, last, position = packed
    records = []
    for row in rows:
        row[_LINES] = [LineRecord(*line) for line in row[_LINES]]
        row[_PARCELS] = [ParcelRecord(*parcel) for parcel in row[_PARCELS]]
        records.append(OrderRecord(*row))
    return Chunk(records, rejects, last, position, digests)


def _read(source: IO[bytes], target: IO[bytes]) -> None:
    """The child's work, from the task to the end of the file."""
    (length,) = LENGTH.unpack(source.read(LENGTH.size))
    task: Task = pickle.loads(source.read(length))  # noqa: S301 - from our own parent
    answer: Exception | None = None
    try:
        with contextlib.closing(Table(task.facts)) as table:
            reader = ChunkReader(table, task.plan, task.after, task.hash_key)
            while (chunk := reader.read(task.size)) is not None:
                target.write(_framed(_packed(chunk)))
                target.flush()
    except BrokenPipeError:
        raise
    except Exception as error:
        answer = error
    target.write(_framed(answer))
    target.flush()


if __name__ == "__main__":
    try:
        _read(sys.stdin.buffer, sys.stdout.buffer)
    except (BrokenPipeError, struct.error, KeyboardInterrupt):
        sys.exit(1)  # the parent is gone
