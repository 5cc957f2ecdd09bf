"""Everything that is stored about one customer, as one JSON document in a job's output file.

    {"format": "huike.customer-data", "version": 1, "made_at": ..., "customer": 12,
     "contents": [{"name": "orders", "title": "Orders", "rows": 3}, ...],
     "tables": {"orders": [{...}, ...], ...}}

Sealed columns are opened and lose their `_sealed`; hashes and blind indexes are left out. `merged`
holds what a merge put aside of customers who became part of this one.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson

from core.domain.customers.customers import get_customer
from core.domain.privacy.tables import (
    BYTES_AS_JSON,
    belongs,
    family,
    known_addresses,
    personal_tables,
)
from core.registry import Registry
from core.sdk.personal import PersonalTable
from core.storage import jobs
from core.storage.database import Database, Session, Work
from core.storage.jobs import Job

KIND = "customer.data_export"
FORMAT, VERSION = "huike.customer-data", 1
PREFETCH = 200

MERGED = """
    FROM customer_merge_moves v
    JOIN customer_merges m ON m.merchant_id = v.merchant_id AND m.id = v.merge_id
    WHERE v.merchant_id = $1 AND m.into_id = ANY($2::bigint[]) AND m.undone_at IS NULL
      AND v.content IS NOT NULL
"""


async def start_data_export(w: Work, customer_id: int) -> int:
    """Hand the export of a customer's data to the workers; returns the job. Raises NotFound."""
    await get_customer(w, customer_id)
    job_id = await jobs.enqueue(w, KIND, {"customer_id": customer_id})
    w.audit("customer.data_exported", {"customer": customer_id, "job": job_id})
    return job_id


class CustomerDataExport:
    """The job kind "customer.data_export". After a crash it begins again: a person is small."""

    name = KIND

    def __init__(self, registry: Registry) -> None:
        self._tables = personal_tables(registry)

    async def run(self, db: Database, job: Job) -> dict[str, Any]:
        """Write the document, in pieces, from one snapshot of the database."""
        customer_id = job.params["customer_id"]
        async with job.step(db) as w:
            await jobs.drop_files(w, [job.id])
            job.done, job.total = 0, None
        output = _Output(db, job)
        async with (
            db.read(job.merchant_id) as session,
            session.sql.transaction(isolation="repeatable_read", readonly=True),
        ):
            await get_customer(session, customer_id)
            async for part in self._document(session, customer_id, job):
                await output.write(part)
        await output.close()
        return {"file": f"customer-{customer_id}.json", "rows": job.done, "size": output.size}

    async def _document(self, session: Session, customer_id: int, job: Job) -> AsyncIterator[bytes]:
        ids = await family(session, customer_id)
        contents = await self._contents(session, ids)
        job.total = sum(one["rows"] for one in contents)
        head = {
            "format": FORMAT, "version": VERSION, "made_at": session.now, "customer": customer_id,
            "contents": contents,
        }  # fmt: skip
        yield orjson.dumps(head, option=orjson.OPT_INDENT_2)[:-2] + b',\n  "tables": {'
        opener = _Opener(session, self._tables, await known_addresses(session, ids))
        for number, table in enumerate(self._tables):
            yield _key(table.name, number)
            first = True
            async for row in self._rows(session, table, ids):
                job.done += 1
                yield (b"\n      " if first else b",\n      ") + orjson.dumps(opener(table, row))
                first = False
            yield b"]"
        yield _key("merged", len(self._tables))
        first = True
        async for row in session.sql.cursor(
            f"SELECT v.table_name, v.content {MERGED} ORDER BY v.id",
            session.merchant_id, ids, prefetch=PREFETCH,
        ):  # fmt: skip
            job.done += 1
            shown = opener.merged(row["table_name"], orjson.loads(row["content"]))
            yield (b"\n      " if first else b",\n      ") + orjson.dumps(shown)
            first = False
        yield b"]\n  }\n}\n"

    async def _contents(self, session: Session, ids: list[int]) -> list[dict[str, Any]]:
        found = []
        for table in self._tables:
            rows = await session.sql.fetchval(
                f"""SELECT count(*) FROM {table.table} t
                    WHERE t.merchant_id = $1 AND {belongs(self._tables, table)}""",
                session.merchant_id, ids,
            )  # fmt: skip
            found.append({"name": table.name, "title": table.title, "rows": rows})
        rows = await session.sql.fetchval(f"SELECT count(*) {MERGED}", session.merchant_id, ids)
        return [*found, {"name": "merged", "title": "Put aside when customers were merged",
                         "rows": rows}]  # fmt: skip

    async def _rows(
        self, session: Session, table: PersonalTable, ids: list[int]
    ) -> AsyncIterator[dict[str, Any]]:
        async for row in session.sql.cursor(
            f"""SELECT to_jsonb(t) AS row FROM {table.table} t
                WHERE t.merchant_id = $1 AND {belongs(self._tables, table)} ORDER BY t.id""",
            session.merchant_id, ids, prefetch=PREFETCH,
        ):  # fmt: skip
            yield orjson.loads(row["row"])


class _Opener:
    """Turns a row, as JSON, into what its person may read."""

    def __init__(self, session: Session, tables: list[PersonalTable], indexes: list[bytes]) -> None:
        self._keyring = session.keyring
        self._tables = {table.table: table for table in tables}
        self._indexes = {index.hex() for index in indexes}

    def __call__(self, table: PersonalTable, row: Mapping[str, Any]) -> dict[str, Any]:
        shown = {}
        for column, value in row.items():
            if column == "merchant_id" or column in table.hidden:
                continue
            if column in table.sealed and value is not None:
                place = f"{table.sealed[column]}|{row['merchant_id']}|{row['id']}"
                sealed = bytes.fromhex(value.removeprefix(BYTES_AS_JSON))
                shown[column.removesuffix("_sealed")] = _opened(self._keyring.open(sealed, place))
            elif column in table.copies and value is not None:
                shown[column] = self(self._tables[table.copies[column]], value)
            elif not (isinstance(value, str) and value in self._indexes):
                shown[column.removesuffix("_sealed")] = value
        return shown

    def merged(self, table_name: str, row: Mapping[str, Any]) -> dict[str, Any]:
        table = self._tables.get(table_name)
        return {"table": table_name, "row": self(table, row) if table else dict(row)}


class _Output:
    """Collects a document into the pieces of a job's file."""

    def __init__(self, db: Database, job: Job) -> None:
        self._db, self._job = db, job
        self._buffer = bytearray()
        self._piece = 0
        self.size = 0

    async def write(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= jobs.PIECE_BYTES:
            await self._store(bytes(self._buffer[: jobs.PIECE_BYTES]))
            del self._buffer[: jobs.PIECE_BYTES]

    async def close(self) -> None:
        if self._buffer:
            await self._store(bytes(self._buffer))

    async def _store(self, data: bytes) -> None:
        async with self._job.step(self._db) as w:
            await jobs.add_file_piece(w, self._job.id, self._piece, data, role="output")
        self._piece += 1
        self.size += len(data)


def _key(name: str, number: int) -> bytes:
    return (b"," if number else b"") + b"\n    " + orjson.dumps(name) + b": ["


def _opened(text: str) -> Any:
    """What was sealed: a text, or an object such as an order's receiver."""
    return orjson.loads(text) if text.startswith("{") else text
