"""Importing an existing programme from a file: a job in steps of one chunk, then reconciled.

The reconciliation compares the file with what is stored after it: members and points of the
customers whom it names, by tier and altogether. Where both agree nothing was lost on the way.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from core.domain.customers.importing import Source
from core.domain.customers.intake import Intake
from core.domain.members.import_rows import (
    MemberParser,
    MemberRecord,
    check_member_mapping,
    find_member_columns,
)
from core.domain.members.points import balances
from core.domain.members.programme import get_programme
from core.domain.members.taking_in import MemberAccount, Taking, TierChoice, take_members
from core.domain.shops.shops import need_shop
from core.sdk.errors import Faults, InvalidInput
from core.storage import jobs
from core.storage.database import Database, Session, Work
from core.storage.jobs import Job
from core.storage.statistics import look_again
from core.tabular.bulk import (
    FileJob,
    Finished,
    Progress,
    RejectedRow,
    read_ahead,
    refuse_old_excel,
    rehearsal,
    run_local,
    store_rejects,
    store_upload,
)
from core.tabular.reading import FileFacts, Table

KIND = "members.import"
TIERS = ("keep", "manual", "compute")
COMPARED_AT_ONCE = 5000
REJECTS_KEPT = 100_000


class MembersImportRunning(InvalidInput):
    code = "MEMBER_IMPORT_ALREADY_RUNNING"
    cause = "Another process is importing the same file of members."
    cure = "Wait until it has ended."
    retryable = True


@dataclass(frozen=True)
class Options:
    """How a file is taken in: `mapping` is field -> header, `shop_id` the shop whose ids it has.

    With `dry_run` nothing of it is stored.
    """

    mapping: Mapping[str, str] = field(default_factory=dict)
    shop_id: int | None = None
    tiers: TierChoice = "keep"
    dry_run: bool = False

    def params(self, sha256: str | None = None) -> dict[str, Any]:
        """A job's params. Raises InvalidInput."""
        check_member_mapping(self.mapping)
        if self.tiers not in TIERS:
            raise InvalidInput(f"tiers are one of {', '.join(TIERS)}", ("input", "tiers"))
        return {**asdict(self), "sha256": sha256}


def options_of(params: Mapping[str, Any]) -> Options:
    """The options in a job's params."""
    return Options(**{name: value for name, value in params.items() if name != "sha256"})


async def open_source(
    session: Session, facts: FileFacts, options: Options, job_id: int
) -> tuple[Source, Taking]:
    """Open a file for an import; the caller closes its table.

    Raises InvalidInput, NotFound for the shop, WrongState where there is no programme.
    """
    await need_shop(session, options.shop_id)
    programme = await get_programme(session)
    rows = await session.sql.fetch(
        "SELECT id, name FROM tiers WHERE merchant_id = $1 AND deleted_at IS NULL",
        session.merchant_id,
    )
    tiers = {row["name"].casefold(): row["id"] for row in rows}
    table = await asyncio.to_thread(Table, facts)
    try:
        columns = find_member_columns(table.headers, options.mapping)
    except BaseException:
        table.close()
        raise
    intake = Intake(job_id, options.shop_id, "fill")
    parse = MemberParser(columns, session.now, programme.zone, tiers)
    return Source(table, columns, parse, intake), Taking(job_id, programme, intake, options.tiers)


class MemberImports(FileJob):
    """The job kind "members.import"."""

    name = KIND

    async def _take_in(self, db: Database, job: Job, facts: FileFacts) -> dict[str, Any]:
        options = options_of(job.params)
        if options.dry_run:
            return await self._rehearse(db, job, facts, options)
        async with db.read(job.merchant_id) as session:
            source, taking = await open_source(session, facts, options, job.id)
        taking.account = MemberAccount(**job.checkpoint.get("account", {}))
        read = source.chunks(job.checkpoint.get("row", 0))
        with contextlib.closing(source.table):
            async with contextlib.aclosing(read_ahead(read)) as chunks:
                async for chunk in chunks:
                    async with job.step(db) as w:
                        rejects = await _take(w, taking, chunk.records, chunk.rejects)
                        await store_rejects(w, job.id, rejects)
                        job.done, job.failed = taking.account.read, taking.account.rejected
                        job.checkpoint = {"row": chunk.last, "account": asdict(taking.account)}
                    self._passed(chunk.position, source.table)
        async with job.step(db):
            job.total = taking.account.read
        await look_again(
            db, job.merchant_id, taking.account.joined, "customers", "customer_identities",
            "memberships", "points_entries", "tier_intervals",
        )  # fmt: skip
        async with db.read(job.merchant_id) as session:
            return {**asdict(taking.account), "reconciliation": await reconcile(session, job.id)}

    async def _rehearse(
        self, db: Database, job: Job, facts: FileFacts, options: Options
    ) -> dict[str, Any]:
        rejects: list[RejectedRow] = []
        result = await rehearse(
            db, job.merchant_id, facts, options, rejects.append, self._progress, job.id
        )
        async with job.step(db) as w:
            await store_rejects(w, job.id, rejects[:REJECTS_KEPT])
            job.done = job.total = result["read"]
            job.failed = result["rejected"]
        return result


async def _take(
    w: Work, taking: Taking, records: list[Any], refused: list[RejectedRow]
) -> list[RejectedRow]:
    """Take a chunk in; returns all its refused rows in their order."""
    rows: list[MemberRecord] = records
    rejects = await take_members(w, taking, rows) if rows else []
    taking.account.read += len(refused)
    taking.account.rejected += len(refused)
    return sorted([*refused, *rejects], key=lambda reject: reject.row)


async def rehearse(
    db: Database,
    merchant_id: int,
    facts: FileFacts,
    options: Options,
    on_reject: Callable[[RejectedRow], None],
    progress: Progress | None = None,
    job_id: int = 0,
) -> dict[str, Any]:
    """Do the whole import in one transaction and take it back: the result that it would have."""
    options.params()
    async with rehearsal(db, merchant_id) as w:
        source, taking = await open_source(w, facts, options, job_id)
        with contextlib.closing(source.table):
            async with contextlib.aclosing(read_ahead(source.chunks(0))) as chunks:
                async for chunk in chunks:
                    for reject in await _take(w, taking, chunk.records, chunk.rejects):
                        on_reject(reject)
                    if progress is not None:
                        progress(chunk.position, source.table.size)
        return {**asdict(taking.account), "reconciliation": await reconcile(w, job_id)}


async def reconcile(session: Session, job_id: int) -> list[dict[str, Any]]:
    """The file against what is stored, of the customers whom it names: by tier, and the sum.

    Each entry has `tier` (a name; None for members without one), `file_members`,
    `stored_members`, `file_points` and `stored_points`; the last one, the sum, has `total`.
    """
    found: defaultdict[int | None, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    after = 0
    while True:
        rows = await session.sql.fetch(
            """SELECT f.customer_id, f.tier_id AS told, f.points, m.id IS NOT NULL AS member,
                      i.tier_id AS stored
               FROM member_imports f
               LEFT JOIN memberships m ON m.merchant_id = $1 AND m.customer_id = f.customer_id
                   AND m.left_at IS NULL
               LEFT JOIN tier_intervals i ON i.merchant_id = $1 AND i.customer_id = f.customer_id
                   AND i.valid_to IS NULL
               WHERE f.merchant_id = $1 AND f.job_id = $2 AND f.customer_id > $3
               ORDER BY f.customer_id LIMIT $4""",
            session.merchant_id, job_id, after, COMPARED_AT_ONCE,
        )  # fmt: skip
        stored = await balances(session, [row["customer_id"] for row in rows])
        for row in rows:
            balance = stored[row["customer_id"]]
            found[row["told"]][0] += 1
            found[row["told"]][2] += row["points"]
            found[row["stored"]][1] += row["member"]
            found[row["stored"]][3] += balance.available + balance.pending + balance.held
        if len(rows) < COMPARED_AT_ONCE:
            break
        after = rows[-1]["customer_id"]
    tiers = await session.sql.fetch(
        "SELECT id, name FROM tiers WHERE merchant_id = $1 ORDER BY rank DESC", session.merchant_id
    )
    parts = [(row["name"], found[row["id"]]) for row in tiers if row["id"] in found]
    parts += [(None, found[None])] if None in found else []
    total = [sum(figures[n] for _, figures in parts) for n in range(4)]
    return [
        *({"tier": name, **_compared(figures)} for name, figures in parts),
        {"total": True, **_compared(total)},
    ]


def _compared(figures: list[int]) -> dict[str, int]:
    names = ("file_members", "stored_members", "file_points", "stored_points")
    return dict(zip(names, figures, strict=True))


async def start_import(
    w: Work, options: Options, pieces: AsyncIterator[bytes], file_name: str
) -> int:
    """Store an uploaded file, encrypted, and hand its import to the workers; returns the job's id.

    Raises NotFound for the shop, InvalidInput, Several, WrongState where there is no programme.
    """
    faults = Faults()
    with faults:
        refuse_old_excel(file_name)
    with faults:
        await need_shop(w, options.shop_id)
    with faults:
        params = options.params()
    faults.tell()
    await get_programme(w)
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
) -> Finished[Mapping[str, Any]]:
    """Import a file of this machine in this process, or go on with what a killed process left.

    Raises MembersImportRunning, and InvalidInput when the file cannot be read by these options.
    """
    params = options.params(facts.sha256)
    async with db.read(merchant_id) as session:
        source, _ = await open_source(session, facts, options, 0)
    source.table.close()  # a wrong file was refused before there is a job
    key = int(facts.sha256[:7], 16) ^ merchant_id % 2**28
    busy = MembersImportRunning("another process is importing this file", ("input", "file"))
    kind = MemberImports(facts, progress)
    ended = await run_local(db, merchant_id, kind, params, key, busy, lambda w: _record(w, params))
    return Finished.of(ended, orjson.loads(ended.row["result"] or "{}"))
