"""Importing a file of customers: a job in steps of one chunk, each with its checkpoint."""

import asyncio
import contextlib
import itertools
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any, Literal
from zoneinfo import ZoneInfo

from core.domain.customers.import_columns import Columns, check_mapping, find_columns
from core.domain.customers.import_fields import find_fields, parser_of
from core.domain.customers.import_rows import CustomerRecord, RowParser
from core.domain.customers.intake import Existing, Intake, take_customers
from core.domain.customers.tags import check_tags
from core.domain.shops.shops import need_shop
from core.sdk.errors import Faults, InvalidInput
from core.storage import jobs
from core.storage.database import Database, Session, Work
from core.storage.jobs import Job
from core.storage.statistics import look_again
from core.tabular.bulk import (
    Account,
    FileJob,
    Finished,
    Progress,
    RejectedRow,
    RowError,
    account_of,
    read_ahead,
    refuse_old_excel,
    rehearsal,
    run_local,
    store_rejects,
    store_upload,
)
from core.tabular.reading import FileFacts, Row, Table

KIND = "customers.import"
CHUNK_ROWS = 2000
CHUNK_BYTES = 8 * 1024**2
PREVIEW_LIMIT = 100
CHANNEL = re.compile(r"[a-z][a-z0-9_]{0,31}")
EXISTING = ("update", "fill", "skip")
ON_ERROR = ("skip", "stop")


class AlreadyRunning(InvalidInput):
    code = "CUSTOMER_IMPORT_ALREADY_RUNNING"
    cause = "Another process is importing the same file of customers."
    cure = "Wait until it has ended."
    retryable = True


class RowRefused(InvalidInput):
    code = "IMPORT_ROW_REFUSED"
    cause = "A row cannot be taken in, and the import was told to stop at the first such row."
    cure = "Correct the row and import again, or let the import skip such rows."


@dataclass(frozen=True)
class Options:
    """How a file is taken in: everything but the file.

    `mapping` is field -> header, `consent` channel -> evidence for customers who never said
    anything, `shop_id` the shop whose ids the file has. `existing` says what becomes of customers
    known already: "update" (what a row says counts, blank cells change nothing), "fill" (only
    gaps are filled) or "skip".
    """

    mapping: Mapping[str, str] = field(default_factory=dict)
    shop_id: int | None = None
    existing: Existing = "update"
    on_error: Literal["skip", "stop"] = "skip"
    tags: Sequence[str] = ()
    consent: Mapping[str, str] = field(default_factory=dict)

    def params(self, sha256: str | None = None) -> dict[str, Any]:
        """A job's params: how the file is read, nothing of its content.

        Raises InvalidInput, Several.
        """
        faults = Faults()
        with faults:
            check_mapping(self.mapping)
        if self.existing not in EXISTING:
            faults.wrong("existing is update, fill or skip", "existing")
        if self.on_error not in ON_ERROR:
            faults.wrong("an error means skip or stop", "onError")
        for channel, evidence in self.consent.items():
            if not CHANNEL.fullmatch(channel) or not evidence.strip():
                message = "a consent names a channel, such as email, and how it can be proven"
                faults.wrong(message, "consents")
        with faults:
            tags = check_tags(self.tags)
        faults.tell()
        return {**asdict(self), "tags": tags, "sha256": sha256}


def options_of(params: Mapping[str, Any]) -> Options:
    """The options in a job's params."""
    return Options(**{name: value for name, value in params.items() if name != "sha256"})


@dataclass
class Chunk:
    """Rows that are taken in together; `last` is the number of the last one."""

    records: list[CustomerRecord] = field(default_factory=list)
    rejects: list[RejectedRow] = field(default_factory=list)
    last: int = 0
    position: int = 0


@dataclass
class Source:
    """An opened file and how its rows are read and taken in."""

    table: Table
    columns: Columns
    parse: RowParser
    intake: Intake

    def chunks(self, after: int) -> Callable[[], Chunk | None]:
        """Reads the next chunk behind row `after` with each call; None at the end."""
        rows = (row for row in self.table.rows() if row[0] > after)
        return lambda: self._read(rows, CHUNK_ROWS)

    def _read(self, rows: Iterator[Row], size: int) -> Chunk | None:
        chunk, start = Chunk(), self.table.position
        for number, row in itertools.islice(rows, size):
            chunk.last = number
            self._read_row(chunk, number, row)
            if self.table.position - start > CHUNK_BYTES:
                break
        chunk.position = self.table.position
        return chunk if chunk.last else None

    def _read_row(self, chunk: Chunk, number: int, row: list[str] | None) -> None:
        if row is None:
            chunk.rejects.append(
                RejectedRow(number, "BAD_ROW", None, "broken characters, or a cell too large")
            )
            return
        try:
            chunk.records.append(self.parse(number, row))
        except RowError as error:
            column = self.columns.header_of(error.field)
            chunk.rejects.append(RejectedRow(number, error.code, column, error.reason))


async def open_source(session: Session, facts: FileFacts, options: Options, job_id: int) -> Source:
    """Open a file for an import; the caller closes its table. Raises InvalidInput, NotFound."""
    await need_shop(session, options.shop_id)
    zone_name, today = await _today(session)
    table = await asyncio.to_thread(Table, facts)  # Excel files read their texts at once
    try:
        columns = find_columns(table.headers, options.mapping)
        custom = await find_fields(session, list(columns.family("custom")))
    except BaseException:
        table.close()
        raise
    zone = ZoneInfo(zone_name)
    parsers = {key: parser_of(found, zone) for key, found in custom.items()}
    intake = Intake(
        job_id, options.shop_id, options.existing, options.tags, options.consent, custom
    )
    return Source(table, columns, RowParser(columns, today, parsers), intake)


async def _today(session: Session) -> tuple[str, date]:
    zone: str = await session.sql.fetchval(
        "SELECT time_zone FROM merchants WHERE id = $1", session.merchant_id
    )
    return zone, session.now.astimezone(ZoneInfo(zone)).date()


class CustomerImport(FileJob):
    """The job kind "customers.import"."""

    name = KIND

    async def _take_in(self, db: Database, job: Job, facts: FileFacts) -> dict[str, Any]:
        options = options_of(job.params)
        account = account_of(job)
        async with db.read(job.merchant_id) as session:
            source = await open_source(session, facts, options, job.id)
        read = source.chunks(job.checkpoint.get("row", 0))
        with contextlib.closing(source.table):
            async with contextlib.aclosing(read_ahead(read)) as chunks:
                async for chunk in chunks:
                    await self._step(db, job, source, chunk, account, options.on_error == "stop")
                    self._passed(chunk.position, source.table)
        async with job.step(db):
            job.total = account.read
        await look_again(db, job.merchant_id, account.created, "customers", "customer_identities")
        return asdict(account)

    async def _step(
        self, db: Database, job: Job, source: Source, chunk: Chunk, account: Account, stop: bool
    ) -> None:
        before = job.checkpoint.get("row", 0)
        async with job.step(db) as w:
            # a lost commit takes its checkpoint along; the last step waits for the disk for all
            await w.sql.execute("SET LOCAL synchronous_commit TO off")
            if stop and chunk.rejects:
                raise _refused(chunk.rejects, before)
            outcomes, ambiguous = await take_customers(w, source.intake, chunk.records)
            rejects = sorted([*chunk.rejects, *ambiguous], key=lambda reject: reject.row)
            if stop and rejects:
                raise _refused(rejects, before)
            await store_rejects(w, job.id, rejects)
            account.add(outcomes, len(rejects))
            job.done, job.failed = account.read, account.rejected
            job.checkpoint = {"row": chunk.last, "account": asdict(account)}


def _refused(rejects: Sequence[RejectedRow], kept: int) -> RowRefused:
    first = rejects[0]
    where = f"row {first.row}" + (f", column {first.column}" if first.column else "")
    what = f"the rows up to {kept} are kept" if kept else "nothing of the file is kept"
    return RowRefused(f"{where}: {first.reason} ({first.code}); {what}", ("input", "file"))


async def start_import(
    w: Work, options: Options, pieces: AsyncIterator[bytes], file_name: str
) -> int:
    """Store an uploaded file, encrypted, and hand its import to the workers; returns the job's id.

    Raises NotFound for the shop, InvalidInput for options or a kind of file that cannot be,
    and Several.
    """
    faults = Faults()
    with faults:
        refuse_old_excel(file_name)
    with faults:
        await need_shop(w, options.shop_id)
    with faults:
        params = options.params()
    faults.tell()
    job_id = await _record(w, params, queued=True)
    await store_upload(w, job_id, pieces)
    return job_id


async def _record(w: Work, params: Mapping[str, Any], queued: bool = False) -> int:
    job_id = await jobs.enqueue(w, KIND, params, queued=queued)
    w.audit("import.started", {"job": job_id, "kind": KIND})
    return job_id


async def import_local(
    db: Database,
    merchant_id: int,
    facts: FileFacts,
    options: Options,
    progress: Progress | None = None,
) -> Finished[Account]:
    """Import a file of this machine in this process, or go on with what a killed process left.

    Raises AlreadyRunning, and InvalidInput when the file cannot be read by these options.
    """
    params = options.params(facts.sha256)
    async with db.read(merchant_id) as session:
        source = await open_source(session, facts, options, 0)
    source.table.close()  # a wrong file was refused before there is a job
    key = int(facts.sha256[:7], 16) ^ merchant_id % 2**28
    busy = AlreadyRunning("another process is importing this file", ("input", "file"))
    kind = CustomerImport(facts, progress)
    ended = await run_local(db, merchant_id, kind, params, key, busy, lambda w: _record(w, params))
    return Finished.of(ended, Account(**jobs.checkpoint_of(ended.row).get("account", {})))


async def rehearse(
    db: Database,
    merchant_id: int,
    facts: FileFacts,
    options: Options,
    on_reject: Callable[[RejectedRow], None],
    progress: Progress | None = None,
) -> Account:
    """Do the whole import in one transaction and take it back: the account that it would have."""
    account = Account()
    options.params()
    async with rehearsal(db, merchant_id) as w:
        source = await open_source(w, facts, options, 0)
        with contextlib.closing(source.table):
            async with contextlib.aclosing(read_ahead(source.chunks(0))) as chunks:
                async for chunk in chunks:
                    outcomes, rejects = await take_customers(w, source.intake, chunk.records)
                    rejects = sorted([*chunk.rejects, *rejects], key=lambda r: r.row)
                    account.add(outcomes, len(rejects))
                    for reject in rejects:
                        on_reject(reject)
                    if progress is not None:
                        progress(chunk.position, source.table.size)
    return account


@dataclass(frozen=True)
class PreviewRow:
    """A row as it would be read, or what is wrong with it."""

    row: int
    values: Mapping[str, Any]
    problem: RejectedRow | None = None


@dataclass(frozen=True)
class Preview:
    """How a file would be read: where each field stands, and its first rows."""

    columns: Columns
    rows: Sequence[PreviewRow]


async def preview(session: Session, facts: FileFacts, options: Options, rows: int = 20) -> Preview:
    """Read the head of a file; nothing is stored. Raises InvalidInput."""
    if not 1 <= rows <= PREVIEW_LIMIT:
        raise InvalidInput(f"a preview has 1 to {PREVIEW_LIMIT} rows", ("input", "rows"))
    source = await open_source(session, facts, options, 0)
    with contextlib.closing(source.table):
        return await asyncio.to_thread(_previewed, source, rows)


def _previewed(source: Source, rows: int) -> Preview:
    found = []
    for number, row in itertools.islice(source.table.rows(), rows):
        chunk = Chunk()
        source._read_row(chunk, number, row)
        problem = chunk.rejects[0] if chunk.rejects else None
        values = _shown(chunk.records[0]) if chunk.records else {}
        found.append(PreviewRow(number, values, problem))
    return Preview(source.columns, found)


def _shown(record: CustomerRecord) -> dict[str, Any]:
    """A record's values by field, as JSON."""
    values: dict[str, Any] = {
        name: value
        for name in ("phone", "email", "name", "country", "province", "city")
        if (value := getattr(record, name)) is not None
    }
    if record.birthday is not None:
        values["birthday"] = record.birthday.isoformat()
    if record.tags:
        values["tags"] = record.tags
    values |= {f"id.{kind}": value for kind, value in record.ids}
    for channel, (status, evidence) in record.consents.items():
        values[f"consent.{channel}"] = status
        if evidence:
            values[f"evidence.{channel}"] = evidence
    for key, (text, number, moment) in record.custom.items():
        shown = text if text is not None else number if number is not None else moment
        values[f"custom.{key}"] = str(shown)
    return values
