"""Importing a file of orders: a job in steps of one chunk, each with its checkpoint.

Memory is bounded by the chunk. While the database takes a chunk in, the next one is read.
"""

import asyncio
import contextlib
import gc
import sys
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from core.domain.customers.consent import grant_where_unknown
from core.domain.orders.chunks import Chunk, ChunkReader, RejectedRow
from core.domain.orders.content import content_key
from core.domain.orders.formats import choose_format, find_columns
from core.domain.orders.ingest import ingest_orders
from core.domain.orders.reader import Task, read_in_child
from core.domain.orders.rows import Plan
from core.domain.shops.plugins import enabled_plugins
from core.domain.shops.shops import find_shop
from core.registry import CORE, Registry
from core.sdk.errors import InvalidInput
from core.sdk.events import OrdersImported
from core.sdk.orders import OrderFormat
from core.storage import jobs
from core.storage.database import Database, Session, Work
from core.storage.jobs import Job
from core.tabular.reading import FileFacts, Table, examine

KIND = "orders.import"
CHUNK_ROWS = 4000
CHILD_BYTES = 4 * 1024**2
"""A larger file is read by a process of its own."""
LOCK_SPACE = 0x6869
USUAL_THRESHOLD, USUAL_INTERVAL = gc.get_threshold(), sys.getswitchinterval()

Progress = Callable[[int, int], None]
"""Told (bytes read, bytes of the file) after each chunk."""


@dataclass(frozen=True)
class Consent:
    """Consent to record for customers of the file who never said anything about the channel."""

    channel: str
    evidence: str


@dataclass
class Account:
    """What became of the rows: read = created + updated + unchanged + rejected."""

    read: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0

    def add(self, outcomes: list[str], rejected: int) -> None:
        self.read += len(outcomes) + rejected
        self.created += outcomes.count("created")
        self.updated += outcomes.count("updated")
        self.unchanged += outcomes.count("unchanged")
        self.rejected += rejected


@dataclass
class Source:
    """An opened file with the plan by which it is read."""

    table: Table
    plan: Plan
    shop: Mapping[str, Any]
    consent: Consent | None
    hash_key: bytes

    def chunks(self, after: int) -> AsyncGenerator[Chunk, None]:
        """The chunks behind row `after`, the next one being read while this one is used."""
        if self.table.size > CHILD_BYTES:
            return read_in_child(
                Task(self.table.facts, self.plan, after, CHUNK_ROWS, self.hash_key)
            )
        return self._chunks(after)

    async def _chunks(self, after: int) -> AsyncGenerator[Chunk, None]:
        reader = ChunkReader(self.table, self.plan, after, self.hash_key)
        reading = asyncio.create_task(asyncio.to_thread(reader.read, CHUNK_ROWS))
        try:
            while (chunk := await reading) is not None:
                reading = asyncio.create_task(asyncio.to_thread(reader.read, CHUNK_ROWS))
                yield chunk
        finally:
            # the thread must not outlive the file
            await asyncio.wait([reading])

    async def take(self, w: Work, chunk: Chunk) -> list[str]:
        """Take a chunk in, in the caller's transaction; returns the outcome of each record."""
        kind = self.plan.format.identity_kind
        outcomes = await ingest_orders(
            w, self.shop, chunk.records, kind, events=False, digests=chunk.digests
        )
        if self.consent is not None:
            await _record_consent(w, self.shop["id"], chunk, self.consent)
        return outcomes


async def _record_consent(w: Work, shop_id: int, chunk: Chunk, consent: Consent) -> None:
    rows = await w.sql.fetch(
        """SELECT DISTINCT customer_id FROM orders
           WHERE merchant_id = $1 AND shop_id = $2 AND external_id = ANY($3::text[])
             AND customer_id IS NOT NULL""",
        w.merchant_id, shop_id, [record.external_id for record in chunk.records],
    )  # fmt: skip
    await grant_where_unknown(
        w, [row[0] for row in rows], consent.channel, "import", {"text": consent.evidence}
    )


async def formats_of(session: Session, registry: Registry) -> dict[str, OrderFormat]:
    """The formats of core and of the plugins that the merchant has switched on."""
    enabled = await enabled_plugins(session)
    return {
        name: owned.value
        for name, owned in registry.order_formats.items()
        if owned.plugin == CORE or owned.plugin in enabled
    }


async def open_source(
    session: Session, registry: Registry, facts: FileFacts, params: Mapping[str, Any]
) -> Source:
    """Open a file for a job's params; the caller closes it. Raises InvalidInput, NotFound."""
    shop = await find_shop(session, str(params["shop_id"]))
    formats = await formats_of(session, registry)
    consent = Consent(**params["consent"]) if params["consent"] else None
    table = await asyncio.to_thread(Table, facts)  # Excel files read their texts at once
    try:
        chosen = choose_format(formats, table.headers, params["format"], params["mapping"])
        columns = find_columns(chosen, table.headers, params["mapping"])
    except BaseException:
        table.close()
        raise
    zone = ZoneInfo(chosen.time_zone or shop["time_zone"])
    return Source(
        table, Plan(chosen, columns, table.headers, zone, shop["currency"]), shop, consent,
        content_key(session.keyring, session.merchant_id),
    )  # fmt: skip


@contextlib.contextmanager
def _many_short_lived_objects() -> Iterator[None]:
    """Let the interpreter look for garbage cycles seldom and change threads often.

    A chunk makes some hundred thousand objects without cycles, and the reading thread must not
    keep the database waiting. An import of a file takes a third less time.
    """
    gc.set_threshold(50_000, 20, 100)
    sys.setswitchinterval(0.0005)
    try:
        yield
    finally:
        gc.set_threshold(*USUAL_THRESHOLD)
        sys.setswitchinterval(USUAL_INTERVAL)


class OrderImport:
    """The job kind "orders.import"; with `file` it reads that file, else the uploaded one."""

    name = KIND

    def __init__(
        self, registry: Registry, file: FileFacts | None = None, progress: Progress | None = None
    ) -> None:
        self._registry = registry
        self._file = file
        self._progress = progress

    async def run(self, db: Database, job: Job) -> dict[str, Any]:
        """Take in what is left of the file; the result is its account."""
        if self._file is not None:
            return await self._take_in(db, job, self._file)
        with tempfile.NamedTemporaryFile(prefix="huike-import-") as copy:  # mode 0600
            async for piece in jobs.file_pieces(db, job.merchant_id, job.id):
                copy.write(piece)
            copy.flush()
            facts = await asyncio.to_thread(examine, Path(copy.name))
            return await self._take_in(db, job, facts)

    async def _take_in(self, db: Database, job: Job, facts: FileFacts) -> dict[str, Any]:
        account = Account(**job.checkpoint.get("account", {}))
        async with db.read(job.merchant_id) as session:
            source = await open_source(session, self._registry, facts, job.params)
        after = job.checkpoint.get("row", 0)
        with contextlib.closing(source.table), _many_short_lived_objects():
            async with contextlib.aclosing(source.chunks(after)) as chunks:
                async for chunk in chunks:
                    await self._step(db, job, source, chunk, account)
                    if self._progress is not None:
                        self._progress(chunk.position, source.table.size)
        await self._finish(db, job, account)
        return asdict(account)

    async def _step(
        self, db: Database, job: Job, source: Source, chunk: Chunk, account: Account
    ) -> None:
        async with job.step(db) as w:
            # a lost commit takes its checkpoint along; the last step waits for the disk for all
            await w.sql.execute("SET LOCAL synchronous_commit TO off")
            outcomes = await source.take(w, chunk)
            await _store_rejects(w, job.id, chunk.rejects)
            account.add(outcomes, len(chunk.rejects))
            job.done, job.failed = account.read, account.rejected
            job.checkpoint = {"row": chunk.last, "account": asdict(account)}

    async def _finish(self, db: Database, job: Job, account: Account) -> None:
        if job.checkpoint.get("told"):
            return
        async with job.step(db) as w:
            job.total = account.read
            job.checkpoint = {**job.checkpoint, "account": asdict(account), "told": True}
            w.emit(OrdersImported(job.id, job.params["shop_id"], account.created, account.updated))


async def _store_rejects(w: Work, job_id: int, rejects: list[RejectedRow]) -> None:
    if rejects:
        await w.sql.copy_records_to_table(
            "job_rejects",
            columns=("merchant_id", "job_id", "row", "code", "column", "message"),
            records=[
                (w.merchant_id, job_id, reject.row, reject.code, reject.column, reject.reason)
                for reject in rejects
            ],
        )


def import_params(
    shop_id: int,
    format: str | None,
    mapping: Mapping[str, str],
    consent: Consent | None,
    sha256: str | None = None,
) -> dict[str, Any]:
    """A job's params: what is read and how, nothing of the file's content or its place."""
    return {
        "shop_id": shop_id,
        "format": format,
        "mapping": dict(mapping),
        "consent": asdict(consent) if consent else None,
        "sha256": sha256,
    }


async def start_import(
    db: Database,
    registry: Registry,
    merchant_id: int,
    shop_id: int,
    pieces: AsyncIterator[bytes],
    file_name: str,
    format: str | None = None,
    mapping: Mapping[str, str] | None = None,
    consent: Consent | None = None,
    actor: str = "system",
) -> int:
    """Store an uploaded file, encrypted, and hand its import to the workers; returns the job's id.

    `pieces` may have any size. Raises NotFound for the shop, InvalidInput for a format, mapping
    or kind of file that cannot be.
    """
    if file_name.lower().endswith(".xls"):
        raise InvalidInput(
            "this is an old Excel file (.xls): save it as .xlsx or CSV", ("input", "file")
        )
    if consent is not None and not consent.evidence.strip():
        raise InvalidInput(
            "say how the customers consented, or leave consent out",
            ("input", "consent", "evidence"),
        )
    async with db.work(merchant_id, actor) as w:
        shop = await find_shop(w, str(shop_id))
        formats = await formats_of(w, registry)
        if format is not None:
            choose_format(formats, [], format, {})
        params = import_params(shop["id"], format, mapping or {}, consent)
        job_id = await jobs.enqueue(w, KIND, params, queued=False)
        w.audit("import.started", {"job": job_id, "kind": KIND, "shop": shop["id"]})
    number = 0
    async for data in _even(pieces, jobs.PIECE_BYTES):
        async with db.work(merchant_id) as w:
            await jobs.add_file_piece(w, job_id, number, data)
        number += 1
    async with db.work(merchant_id) as w:
        if not number:
            await jobs.cancel(w, job_id)
        else:
            await jobs.release(w, job_id)
    if not number:
        raise InvalidInput("the file is empty", ("input", "file"))
    return job_id


async def _even(pieces: AsyncIterator[bytes], size: int) -> AsyncIterator[bytes]:
    buffer = bytearray()
    async for piece in pieces:
        buffer += piece
        while len(buffer) >= size:
            yield bytes(buffer[:size])
            del buffer[:size]
    if buffer:
        yield bytes(buffer)


class AlreadyRunning(InvalidInput):
    code = "IMPORT_ALREADY_RUNNING"
    cause = "Another process is importing the same file into the same shop."
    cure = "Wait until it has ended."


@dataclass(frozen=True)
class Finished:
    """How an import ended: its job, its account, or what made it fail."""

    job_id: int
    account: Account
    resumed_at: int
    error: str | None = None


async def import_local(
    db: Database,
    registry: Registry,
    merchant_id: int,
    facts: FileFacts,
    params: Mapping[str, Any],
    progress: Progress | None = None,
) -> Finished:
    """Import a file of this machine in this process, or go on with what a killed process left.

    Raises AlreadyRunning, and InvalidInput when the file cannot be read by these params.
    """
    async with db.read(merchant_id) as session:
        source = await open_source(session, registry, facts, params)
    source.table.close()  # a wrong file was refused before there is a job
    async with db.read(merchant_id) as holder:
        # held by the connection: when this process dies, another may go on at once
        key = int(facts.sha256[:7], 16) ^ params["shop_id"] % 2**28
        if not await holder.sql.fetchval(
            "SELECT pg_try_advisory_lock($1::int, $2::int)", LOCK_SPACE, key
        ):
            raise AlreadyRunning("another process is importing this file", ("input", "file"))
        try:
            job_id = await _unfinished(db, merchant_id, params)
            job = await jobs.claim(db, merchant_id, job_id, force=True)
            if job is None:
                raise AlreadyRunning("a worker is importing this file", ("input", "file"))
            resumed_at = job.checkpoint.get("row", 0)
            await jobs.perform(db, job, {KIND: OrderImport(registry, facts, progress)})
            row = await jobs.get(holder, job_id)
        finally:
            await holder.sql.execute("SELECT pg_advisory_unlock($1::int, $2::int)", LOCK_SPACE, key)
    account = Account(**orjson.loads(row["checkpoint"]).get("account", {}))
    return Finished(job_id, account, resumed_at, _failure(row))


def _failure(row: Mapping[str, Any]) -> str | None:
    if row["state"] == "succeeded":
        return None
    if row["error"]:
        return str(orjson.loads(row["error"])["message"])
    return f"the import stopped ({row['state']}); run it again and it goes on where it stopped"


async def _unfinished(db: Database, merchant_id: int, params: Mapping[str, Any]) -> int:
    """The job that an earlier run with the same file and params left, else a new one."""
    async with db.work(merchant_id) as w:
        job_id: int | None = await w.sql.fetchval(
            """SELECT id FROM jobs WHERE merchant_id = $1 AND kind = $2 AND params = $3::jsonb
                  AND state IN ('queued', 'running', 'failed') ORDER BY id DESC LIMIT 1""",
            w.merchant_id, KIND, orjson.dumps(params).decode(),
        )  # fmt: skip
        if job_id is None:
            job_id = await jobs.enqueue(w, KIND, params, queued=False)
            w.audit("import.started", {"job": job_id, "kind": KIND, "shop": params["shop_id"]})
            return job_id
        await jobs.reopen(w, job_id)
        return job_id


class _Rehearsed(Exception):
    """Ends a rehearsal's transaction without a commit."""


async def rehearse(
    db: Database,
    registry: Registry,
    merchant_id: int,
    facts: FileFacts,
    params: Mapping[str, Any],
    on_reject: Callable[[RejectedRow], None],
    progress: Progress | None = None,
) -> Account:
    """Do the whole import in one transaction and take it back: the account that it would have."""
    account = Account()
    with contextlib.suppress(_Rehearsed):
        async with db.work(merchant_id) as w:
            source = await open_source(w, registry, facts, params)
            with contextlib.closing(source.table):
                async with contextlib.aclosing(source.chunks(0)) as chunks:
                    async for chunk in chunks:
                        account.add(await source.take(w, chunk), len(chunk.rejects))
                        for reject in chunk.rejects:
                            on_reject(reject)
                        if progress is not None:
                            progress(chunk.position, source.table.size)
            raise _Rehearsed
    return account


async def rejects_of(db: Database, merchant_id: int, job_id: int) -> AsyncIterator[RejectedRow]:
    """A job's refused rows in the file's order, read in portions."""
    last = 0
    while True:
        async with db.read(merchant_id) as session:
            rows = await session.sql.fetch(
                """SELECT id, "row", code, "column", message FROM job_rejects
                   WHERE merchant_id = $1 AND job_id = $2 AND id > $3 ORDER BY id LIMIT 1000""",
                merchant_id, job_id, last,
            )  # fmt: skip
        if not rows:
            return
        for row in rows:
            yield RejectedRow(row[1], row[2], row[3], row[4])
        last = rows[-1]["id"]
