"""Exports of rows as a file: a job that writes pieces, each with its checkpoint.

Which rows there are is settled when the export starts: their ids are stored with the job, in
order. So no row is doubled or lost, however long it takes and however often it is killed. What a
row says is read when its page is written; a row that was deleted meanwhile is left out.
"""

import asyncio
import hashlib
import os
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

import orjson

from core.sdk.errors import InvalidInput
from core.sdk.money import from_minor
from core.storage import jobs
from core.storage.database import Database, Session, Work
from core.storage.jobs import Job
from core.storage.keyring import Keyring
from core.storage.outputs import describe_output
from core.tabular.bulk import LocalRun, run_local
from core.tabular.writing import WRITERS, CellWriter, Value, workbook

KIND = "export.run"
PAGE = 2000
IDS_IN_PIECE = 128 * 1024
FETCH = 10_000
LARGE = 2**30


@dataclass(frozen=True)
class Column:
    """A column of an export. `sql` is an expression on the table's alias.

    `sealed` is the place of an encrypted column ("customers.phone"), `part` the key of the wanted
    part if it holds JSON. `needs` is the right to see the value, and `mask` shows it to who lacks
    that. `currency` is the expression of an amount's currency.
    """

    name: str
    sql: str
    sealed: str | None = None
    part: str | None = None
    needs: str | None = None
    mask: Callable[[str], str] | None = None
    currency: str | None = None


@dataclass(frozen=True)
class ExportTable:
    """What can be exported of one table: its FROM item, alias, columns and who may read it."""

    name: str
    source: str
    alias: str
    permission: str
    columns: Sequence[Column] = field(default_factory=list)

    def chosen(self, names: Sequence[str] | None) -> list[Column]:
        """The columns of these names in their order, all without names. Raises InvalidInput."""
        if names is None:
            return list(self.columns)
        known = {column.name: column for column in self.columns}
        path = ("input", "columns")
        unknown = [name for name in names if name not in known]
        if unknown:
            raise InvalidInput(
                f"there is no column {', '.join(unknown)}; there are: {', '.join(known)}", path
            )
        if not names or len(set(names)) < len(names):
            raise InvalidInput("name at least one column, each once", path)
        return [known[name] for name in names]


def opaque(type_name: str, column: str) -> str:
    """SQL of an id as the API shows it."""
    return (
        f"translate(encode(convert_to('{type_name}:' || {column}, 'UTF8'), 'base64'), '+/', '-_')"
    )


async def start_export(
    w: Work,
    table: ExportTable,
    ids_statement: str,
    args: Sequence[Any],
    *,
    format: str,
    columns: Sequence[str] | None,
    clear: Collection[str],
    request: str = "",
    queued: bool = True,
) -> int:
    """Settle which rows are exported and record the job, in this transaction; returns its id.

    `ids_statement` gives the rows' ids in order; its first parameter is the merchant. The job
    keeps neither it nor its parameters, which may be contact data. `clear` are the rights whose
    values are shown unmasked. `request` tells exports apart.
    Raises InvalidInput for an unknown column.
    """
    wanted = table.chosen(columns)
    chosen = [column.name for column in wanted]
    shown = sorted({column.needs for column in wanted if column.needs in clear and column.needs})
    params = {
        "table": table.name, "format": format, "columns": chosen, "clear": shown,
        "request": request,
    }  # fmt: skip
    job_id = await jobs.enqueue(w, KIND, params, 0, queued)
    w.audit("export.started", {"job": job_id, "table": table.name, "unmasked": shown})
    total = piece = 0
    cursor = await w.sql.cursor(ids_statement, *args)
    ids: list[int] = []
    while rows := await cursor.fetch(FETCH):
        ids += [row[0] for row in rows]
        total += len(rows)
        if len(ids) >= IDS_IN_PIECE:
            await _add_ids(w, job_id, piece, ids[:IDS_IN_PIECE])
            piece, ids = piece + 1, ids[IDS_IN_PIECE:]
    if ids:
        await _add_ids(w, job_id, piece, ids)
    await w.sql.execute(
        "UPDATE jobs SET total = $3 WHERE merchant_id = $1 AND id = $2",
        w.merchant_id, job_id, total,
    )  # fmt: skip
    return job_id


async def _add_ids(w: Work, job_id: int, piece: int, ids: list[int]) -> None:
    await jobs.add_file_piece(w, job_id, piece, struct.pack(f"<{len(ids)}q", *ids))


Progress = Callable[[int, int], None]
"""Told (rows done, rows in all) after each page."""


class Export:
    """The job kind "export.run"."""

    name = KIND

    def __init__(self, tables: Sequence[ExportTable], progress: Progress | None = None) -> None:
        self._tables = {table.name: table for table in tables}
        self._progress = progress

    async def run(self, db: Database, job: Job) -> dict[str, Any]:
        """Write what is left of the file; the result describes it."""
        table = self._tables[job.params["table"]]
        names, format = job.params["columns"], job.params["format"]
        columns = table.chosen(names)
        async with db.read(job.merchant_id) as session:
            zone = ZoneInfo(await _zone(session))
        writer = WRITERS[format](names, zone)
        clear = job.params["clear"]
        reader = _Reader(table, columns, clear, db.keyring, job.merchant_id)
        # an Excel file cannot be gone on with: its rows are put by, and packed at the end
        role: jobs.FileRole = "input" if isinstance(writer, CellWriter) else "output"
        total = job.total or 0
        offset = -(-total // IDS_IN_PIECE) if role == "input" else 0
        if "piece" not in job.checkpoint:
            async with job.step(db) as w:
                await jobs.add_file_piece(w, job.id, offset, writer.head(), role)
                job.checkpoint = {"piece": offset + 1, "rows": 0, "cut": 0, "size": 0}
        ids = _Ids(db, job, total)
        while job.done < total:
            page = await ids.page(job.done)
            async with job.step(db) as w:
                rows = await w.sql.fetch(reader.statement, w.merchant_id, page)
                writer.cut = 0
                data = await asyncio.to_thread(writer.rows, reader.values(rows))
                await jobs.add_file_piece(w, job.id, job.checkpoint["piece"], data, role)
                job.done += len(page)
                job.checkpoint = {
                    "piece": job.checkpoint["piece"] + 1,
                    "rows": job.checkpoint["rows"] + len(rows),
                    "cut": job.checkpoint["cut"] + writer.cut,
                    "size": job.checkpoint["size"] + len(data),
                }
            if self._progress is not None:
                self._progress(job.done, total)
        if role == "input":
            await self._pack(db, job, offset + 1, names)
        permissions = [table.permission, *clear]
        async with db.read(job.merchant_id) as session:
            day = f"{session.now.astimezone(zone):%Y-%m-%d}"
        file = await describe_output(
            db, job.merchant_id, job.id, f"{table.name}-{day}.{writer.extension}",
            writer.media_type, permissions,
        )  # fmt: skip
        account = {name: job.checkpoint[name] for name in ("rows", "cut")}
        return {**account, "file": file.described()}

    async def _pack(self, db: Database, job: Job, first: int, names: Sequence[str]) -> None:
        """Make the Excel file of the rows put by; begun anew after a crash."""
        async with job.step(db) as w:
            await jobs.drop_file(w, job.id, "output")
        loop = asyncio.get_running_loop()

        def rows() -> Iterator[bytes]:
            for piece in range(first, job.checkpoint["piece"]):
                found = asyncio.run_coroutine_threadsafe(_put_by(db, job, piece), loop).result()
                yield from found.splitlines(keepends=True)

        large = job.checkpoint["size"] > LARGE
        parts = workbook(names, rows(), job.checkpoint["rows"], jobs.PIECE_BYTES, large)
        number = 0
        async for part in _threaded(parts):
            async with job.step(db) as w:
                await jobs.add_file_piece(w, job.id, number, part, "output")
            number += 1


async def _threaded(parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Each part made in a thread, while the loop goes on."""
    while (part := await asyncio.to_thread(next, parts, None)) is not None:
        yield part


async def _put_by(db: Database, job: Job, piece: int) -> bytes:
    async with db.read(job.merchant_id) as session:
        return await jobs.file_piece(session, job.id, piece)


async def _zone(session: Session) -> str:
    zone: str = await session.sql.fetchval(
        "SELECT time_zone FROM merchants WHERE id = $1", session.merchant_id
    )
    return zone


class _Ids:
    """The settled ids of an export, of which one piece is held."""

    def __init__(self, db: Database, job: Job, total: int) -> None:
        self._db = db
        self._job = job
        self._total = total
        self._piece = -1
        self._ids: Sequence[int] = ()

    async def page(self, start: int) -> list[int]:
        """The next ids from `start`, not more than a page."""
        piece, within = divmod(start, IDS_IN_PIECE)
        if piece != self._piece:
            async with self._db.read(self._job.merchant_id) as session:
                data = await jobs.file_piece(session, self._job.id, piece)
            self._ids, self._piece = struct.unpack(f"<{len(data) // 8}q", data), piece
        return list(self._ids[within : within + PAGE])


class _Reader:
    """Reads the chosen columns of rows."""

    def __init__(
        self,
        table: ExportTable,
        columns: Sequence[Column],
        clear: Collection[str],
        keyring: Keyring,
        merchant_id: int,
    ) -> None:
        self._columns = columns
        self._clear = clear
        self._keyring = keyring
        self._merchant_id = merchant_id
        shown = [f"{table.alias}.id"]
        for column in columns:
            shown += [column.sql, *([column.currency] if column.currency else [])]
        self.statement = (
            f"SELECT {', '.join(shown)} FROM unnest($2::bigint[]) WITH ORDINALITY AS w (id, place) "
            f"JOIN {table.source} ON {table.alias}.merchant_id = $1 AND {table.alias}.id = w.id "
            "ORDER BY w.place"
        )

    def values(self, rows: Sequence[Any]) -> Iterator[list[Value]]:
        """Each row's values in the columns' order."""
        for row in rows:
            opened: dict[bytes, str] = {}
            values, position = [], 1
            for column in self._columns:
                value = row[position]
                position += 1
                if column.currency is not None:
                    value = self._amount(value, row[position])
                    position += 1
                elif column.sealed is not None and value is not None:
                    value = self._opened(column, row[0], value, opened)
                if value is not None and column.mask and column.needs not in self._clear:
                    value = column.mask(value)
                values.append(value)
            yield values

    def _amount(self, minor: int | None, currency: str) -> Decimal | None:
        return None if minor is None else from_minor(minor, currency)

    def _opened(
        self, column: Column, row_id: int, sealed: bytes, opened: dict[bytes, str]
    ) -> str | None:
        text = opened.get(sealed)
        if text is None:
            place = f"{column.sealed}|{self._merchant_id}|{row_id}"
            text = opened[sealed] = self._keyring.open(sealed, place)
        if column.part is not None:
            part: str | None = orjson.loads(text).get(column.part)
            if part is None:
                return None
            text = part
        return text


class AlreadyExporting(InvalidInput):
    code = "EXPORT_ALREADY_RUNNING"
    cause = "Another process is writing the same export."
    cure = "Wait until it has ended."
    retryable = True


async def export_local(
    db: Database,
    merchant_id: int,
    tables: Sequence[ExportTable],
    request: str,
    record: Callable[[Work], Awaitable[int]],
    output: Path,
    progress: Progress | None = None,
) -> LocalRun:
    """Export into a file of this machine, or go on with what a killed process left.

    `record` starts the export with `request` and `queued=False`. The file appears when it is
    complete; the job's own copy is dropped then. Raises AlreadyExporting, OSError.
    """
    key = int.from_bytes(hashlib.sha256(request.encode()).digest()[:3])
    busy = AlreadyExporting("another process is writing this export")
    kind = Export(tables, progress)
    ended = await run_local(db, merchant_id, kind, {"request": request}, key, busy, record)
    if ended.error is None:
        part = output.with_name(output.name + ".part")
        with _private_file(part) as file:
            async for piece in jobs.file_pieces(db, merchant_id, ended.job_id, "output"):
                file.write(piece)
        part.replace(output)
        async with db.work(merchant_id) as w:
            await jobs.drop_file(w, ended.job_id, "output")
    return ended


def _private_file(path: Path) -> BinaryIO:
    """A new file that only this user can read."""
    path.unlink(missing_ok=True)
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
