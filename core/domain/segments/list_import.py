"""Lists from files: each row names a customer by phone, email, an id, or its own id here.

Nobody is made: a row that fits no customer, or several, is refused with its number, and what it
says is never kept. A job does it in steps of a chunk, each with its checkpoint.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from core.domain.customers.import_columns import NoIdentityColumn, check_mapping, find_columns
from core.domain.customers.import_rows import CustomerRecord, RowParser
from core.domain.customers.importing import Chunk, Source
from core.domain.customers.intake import CONTACTS, Intake
from core.domain.segments.lists import add_to_list, check_list
from core.domain.shops.shops import need_shop
from core.sdk.errors import Faults
from core.sdk.ids import split_id
from core.storage import jobs
from core.storage.database import Database, Session, Work
from core.storage.jobs import Job
from core.tabular.bulk import (
    RejectedRow,
    read_ahead,
    refuse_old_excel,
    store_rejects,
    store_upload,
    temporary_file,
)
from core.tabular.reading import FileFacts, Table

OWN_ID = "huike"
"""The kind of id (column id.huike) that is the customer's own, as exports have it."""


@dataclass(frozen=True)
class Options:
    """How a file is read: `mapping` is field -> header, `shop_id` the shop whose ids it has.

    With `dry_run` nobody is put on the list. `contacts` are the kinds of contact data that may
    name a customer: who may not see phone numbers must not find out whose they are.
    """

    mapping: Mapping[str, str] = field(default_factory=dict)
    shop_id: int | None = None
    dry_run: bool = False
    contacts: Sequence[str] = CONTACTS


@dataclass
class Account:
    """What became of the rows: read = added + already + rejected.

    In a dry run a customer whom rows far apart name is counted as added for each.
    """

    read: int = 0
    added: int = 0
    already: int = 0
    rejected: int = 0


async def start_list_import(
    w: Work, segment_id: int, options: Options, pieces: AsyncIterator[bytes], file_name: str
) -> int:
    """Store an uploaded file, encrypted, and hand it to the workers; returns the job's id.

    Raises NotFound, WrongState for a segment that is no list, InvalidInput and Several.
    """
    faults = Faults()
    with faults:
        refuse_old_excel(file_name)
    with faults:
        check_mapping(options.mapping)
    with faults:
        await check_list(w, segment_id)
    with faults:
        await need_shop(w, options.shop_id)
    faults.tell()
    params = {"segment_id": segment_id, **asdict(options)}
    job_id = await jobs.enqueue(w, SegmentListImport.name, params)
    w.audit("import.started", {"job": job_id, "kind": SegmentListImport.name})
    await store_upload(w, job_id, pieces)
    return job_id


class SegmentListImport:
    """The job: reads the uploaded file, and puts whom it names on the list."""

    name = "segments.list_import"

    async def run(self, db: Database, job: Job) -> dict[str, Any]:
        """Take in what is left of the file; the result is its account."""
        async with temporary_file(jobs.file_pieces(db, job.merchant_id, job.id)) as facts:
            source = await asyncio.to_thread(_open, facts, job, db)
            account = Account(**job.checkpoint.get("account", {}))
            read = source.chunks(job.checkpoint.get("row", 0))
            with contextlib.closing(source.table):
                async with contextlib.aclosing(read_ahead(read)) as chunks:
                    async for chunk in chunks:
                        await _step(db, job, source, chunk, account)
        async with job.step(db):
            job.total = account.read
        return asdict(account)


def _open(facts: FileFacts, job: Job, db: Database) -> Source:
    table = Table(facts)
    try:
        columns = find_columns(table.headers, job.params["mapping"])
    except BaseException:
        table.close()
        raise
    # whatever else the file says of its customers is not read
    naming = {
        name: at for name, at in columns.at.items()
        if name in job.params["contacts"] or name.startswith("id.")
    }  # fmt: skip
    if not naming:
        table.close()
        raise NoIdentityColumn(
            "the file names customers by phone or email alone, which needs PII_PHONE or PII_EMAIL; "
            "name them by an id, such as id.huike",
            ("input", "file"),
        )
    country = {name: at for name, at in columns.at.items() if name == "country"}
    columns = replace(columns, at=naming | country)
    parse = RowParser(columns, db.clock().date(), {})
    return Source(table, columns, parse, Intake(job.id, job.params["shop_id"]))


async def _step(db: Database, job: Job, source: Source, chunk: Chunk, account: Account) -> None:
    segment_id = job.params["segment_id"]
    async with job.step(db) as w:
        found = await _customers_of(w, source.intake, chunk.records)
        rejects = list(chunk.rejects)
        ids: list[int] = []
        for record in chunk.records:
            customers = found[record.row]
            if len(customers) == 1:
                ids += customers
            else:
                rejects.append(_refused(record, len(customers)))
        if job.params["dry_run"]:
            added = await w.sql.fetchval(
                """SELECT count(DISTINCT wanted.id) FROM unnest($3::bigint[]) wanted (id)
                   WHERE NOT EXISTS (
                       SELECT 1 FROM segment_members m WHERE m.merchant_id = $1
                          AND m.segment_id = $2 AND m.customer_id = wanted.id
                          AND m.left_at IS NULL)""",
                w.merchant_id, segment_id, ids,
            )  # fmt: skip
        else:
            added = await add_to_list(w, segment_id, ids)
        await store_rejects(w, job.id, sorted(rejects, key=lambda reject: reject.row))
        account.read += len(chunk.records) + len(chunk.rejects)
        account.added += added
        account.already += len(ids) - added
        account.rejected += len(rejects)
        job.done, job.failed = account.read, account.rejected
        job.checkpoint = {"row": chunk.last, "account": asdict(account)}


async def _customers_of(
    session: Session, intake: Intake, records: Sequence[CustomerRecord]
) -> dict[int, set[int]]:
    """By number of the row: the customers whom its phone, email and ids lead to."""
    found: dict[int, set[int]] = defaultdict(set)
    keys = [key for record in records for key in _keys(session, intake, record)]
    columns = [list(part) for part in zip(*keys, strict=True)] or [[]] * 5
    rows = await session.sql.fetch(
        """SELECT k.row, i.customer_id
           FROM unnest($2::bigint[], $3::text[], $4::bigint[], $5::text[], $6::text[])
               AS k (row, scope, scope_id, kind, value)
           JOIN customer_identities i ON i.merchant_id = $1 AND i.scope = k.scope
            AND i.scope_id = k.scope_id AND i.kind = k.kind AND i.value = k.value""",
        session.merchant_id, *columns,
    )  # fmt: skip
    for row, customer_id in rows:
        found[row].add(customer_id)
    own = {
        record.row: number
        for record in records
        for kind, text in record.ids
        if kind == OWN_ID and (number := _own_number(text)) is not None
    }
    rows = await session.sql.fetch(
        "SELECT id FROM customers WHERE merchant_id = $1 AND id = ANY($2::bigint[])",
        session.merchant_id, list(own.values()),
    )  # fmt: skip
    known = {row["id"] for row in rows}
    for place, number in own.items():
        if number in known:
            found[place].add(number)
    return found


def _keys(
    session: Session, intake: Intake, record: CustomerRecord
) -> Iterator[tuple[int, str, int, str, str]]:
    """(row, scope, scope_id, kind, value) of the identities that a row has."""
    for kind, value in record.ids:
        if kind != OWN_ID:
            yield record.row, *intake.key(kind, value)
    for kind in CONTACTS:
        if value := getattr(record, kind):
            index = session.keyring.blind_index(kind, session.merchant_id, value)
            yield record.row, "merchant", 0, kind, index.hex()


def _own_number(text: str) -> int | None:
    found = split_id(text)
    return found[1] if found and found[0] == "Customer" else None


def _refused(record: CustomerRecord, customers: int) -> RejectedRow:
    if customers:
        return RejectedRow(
            record.row, "AMBIGUOUS", None, "what the row says fits several customers"
        )
    return RejectedRow(record.row, "NOT_FOUND", None, "no customer has this phone, email or id")
