"""Importing a file of orders: a job in steps of one chunk, each with its checkpoint.

Memory is bounded by the chunk. While the database takes a chunk in, the next one is read.
"""

import asyncio
import contextlib
import gc
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any
from zoneinfo import ZoneInfo

from core.domain.customers.consent import grant_where_unknown
from core.domain.orders.chunks import Chunk, ChunkReader
from core.domain.orders.content import content_key
from core.domain.orders.formats import choose_format, find_columns
from core.domain.orders.ingest import ingest_orders
from core.domain.orders.reader import Task, read_in_child
from core.domain.orders.rows import Plan
from core.domain.shops.plugins import enabled_plugins
from core.domain.shops.shops import get_shop
from core.registry import CORE, Registry
from core.sdk.errors import Faults, InvalidInput
from core.sdk.events import OrdersImported
from core.sdk.orders import OrderFormat
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
    account_of,
    read_ahead,
    refuse_old_excel,
    rehearsal,
    run_local,
    store_rejects,
    store_upload,
)
from core.tabular.reading import FileFacts, Table

KIND = "orders.import"
CHUNK_ROWS = 4000
CHILD_BYTES = 4 * 1024**2
"""A larger file is read by a process of its own."""
USUAL_THRESHOLD, USUAL_INTERVAL = gc.get_threshold(), sys.getswitchinterval()


@dataclass(frozen=True)
class Consent:
    """Consent to record for customers of the file who never said anything about the channel."""

    channel: str
    evidence: str


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
        reader = ChunkReader(self.table, self.plan, after, self.hash_key)
        return read_ahead(lambda: reader.read(CHUNK_ROWS))

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
    shop = await get_shop(session, params["shop_id"])
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


FILLED = (
    "customers", "customer_identities", "customer_facts", "consents", "orders", "order_lines",
)  # fmt: skip
"""The tables that an import of orders fills."""


class OrderImport(FileJob):
    """The job kind "orders.import"."""

    name = KIND

    def __init__(
        self, registry: Registry, file: FileFacts | None = None, progress: Progress | None = None
    ) -> None:
        super().__init__(file, progress)
        self._registry = registry

    async def _take_in(self, db: Database, job: Job, facts: FileFacts) -> dict[str, Any]:
        account = account_of(job)
        async with db.read(job.merchant_id) as session:
            source = await open_source(session, self._registry, facts, job.params)
        after = job.checkpoint.get("row", 0)
        with contextlib.closing(source.table), _many_short_lived_objects():
            async with contextlib.aclosing(source.chunks(after)) as chunks:
                async for chunk in chunks:
                    await self._step(db, job, source, chunk, account)
                    self._passed(chunk.position, source.table)
        await self._finish(db, job, account)
        return asdict(account)

    async def _step(
        self, db: Database, job: Job, source: Source, chunk: Chunk, account: Account
    ) -> None:
        async with job.step(db) as w:
            # a lost commit takes its checkpoint along; the last step waits for the disk for all
            await w.sql.execute("SET LOCAL synchronous_commit TO off")
            outcomes = await source.take(w, chunk)
            await store_rejects(w, job.id, chunk.rejects)
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
        await look_again(db, job.merchant_id, account.created, *FILLED)


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
    w: Work,
    registry: Registry,
    shop_id: int,
    pieces: AsyncIterator[bytes],
    file_name: str,
    format: str | None = None,
    mapping: Mapping[str, str] | None = None,
    consent: Consent | None = None,
) -> int:
    """Store an uploaded file, encrypted, and hand its import to the workers; returns the job's id.

    `pieces` may have any size. Raises NotFound for the shop, InvalidInput for a format, mapping
    or kind of file that cannot be, and Several.
    """
    faults = Faults()
    with faults:
        refuse_old_excel(file_name)
    if consent is not None and not consent.evidence.strip():
        message = "say how the customers consented, or leave consent out"
        faults.wrong(message, "consent", "evidence")
    with faults:
        shop = await get_shop(w, shop_id)
    formats = await formats_of(w, registry)
    if format is not None:
        with faults:
            choose_format(formats, [], format, {})
    with faults:
        params = import_params(shop_id, format, mapping or {}, consent)
    faults.tell()
    job_id = await jobs.enqueue(w, KIND, params)
    w.audit("import.started", {"job": job_id, "kind": KIND, "shop": shop["id"]})
    await store_upload(w, job_id, pieces)
    return job_id


class AlreadyRunning(InvalidInput):
    code = "IMPORT_ALREADY_RUNNING"
    cause = "Another process is importing the same file into the same shop."
    cure = "Wait until it has ended."
    retryable = True


async def import_local(
    db: Database,
    registry: Registry,
    merchant_id: int,
    facts: FileFacts,
    params: Mapping[str, Any],
    progress: Progress | None = None,
) -> Finished[Account]:
    """Import a file of this machine in this process, or go on with what a killed process left.

    Raises AlreadyRunning, and InvalidInput when the file cannot be read by these params.
    """
    async with db.read(merchant_id) as session:
        source = await open_source(session, registry, facts, params)
    source.table.close()  # a wrong file was refused before there is a job
    key = int(facts.sha256[:7], 16) ^ params["shop_id"] % 2**28
    busy = AlreadyRunning("another process is importing this file", ("input", "file"))

    async def record(w: Work) -> int:
        job_id = await jobs.enqueue(w, KIND, params, queued=False)
        w.audit("import.started", {"job": job_id, "kind": KIND, "shop": params["shop_id"]})
        return job_id

    kind = OrderImport(registry, facts, progress)
    ended = await run_local(db, merchant_id, kind, params, key, busy, record)
    return Finished.of(ended, Account(**jobs.checkpoint_of(ended.row).get("account", {})))


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
    async with rehearsal(db, merchant_id) as w:
        source = await open_source(w, registry, facts, params)
        with contextlib.closing(source.table):
            async with contextlib.aclosing(source.chunks(0)) as chunks:
                async for chunk in chunks:
                    account.add(await source.take(w, chunk), len(chunk.rejects))
                    for reject in chunk.rejects:
                        on_reject(reject)
                    if progress is not None:
                        progress(chunk.position, source.table.size)
    return account
