"""Cutting a file of orders into chunks of records. No I/O but the file's."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from core.domain.orders.content import content_hash
from core.domain.orders.rows import Plan, RowParser
from core.sdk.orders import OrderRecord
from core.tabular.bulk import RejectedRow, RowError
from core.tabular.reading import Row, Table

CHUNK_BYTES = 16 * 1024**2


@dataclass
class Chunk:
    """Rows that are taken in together; `last` is the number of the last one.

    `digests` are the content hashes of the records, `position` is how far in the file they reach.
    """

    records: list[OrderRecord] = field(default_factory=list)
    rejects: list[RejectedRow] = field(default_factory=list)
    last: int = 0
    position: int = 0
    digests: list[bytes] = field(default_factory=list)


class ChunkReader:
    """Cuts a table into chunks; rows of one order that follow each other stay together."""

    def __init__(self, table: Table, plan: Plan, after: int, hash_key: bytes) -> None:
        self._table = table
        self._hash_key = hash_key
        self._plan = plan
        self._parse = RowParser(plan)
        self._rows = _after(table.rows(), after)
        self._next: Row | None = None

    def read(self, size: int) -> Chunk | None:
        """The next chunk of about `size` rows; None at the end of the file."""
        chunk, start, count, order = Chunk(), self._table.position, 0, ""
        for number, row in self._pending():
            full = count >= size or self._table.position - start > CHUNK_BYTES
            if full and (row is None or count >= 2 * size or self._parse.order_id(row) != order):
                self._next = (number, row)
                break
            count += 1
            chunk.last = number
            if row is None:
                chunk.rejects.append(
                    RejectedRow(number, "BAD_ROW", None, "broken characters, or a cell too large")
                )
                continue
            try:
                record = self._parse(row)
            except RowError as error:
                column = self._plan.header_of(error.field)
                chunk.rejects.append(RejectedRow(number, error.code, column, error.reason))
            else:
                chunk.records.append(record)
                chunk.digests.append(content_hash(record, self._hash_key))
                order = record.external_id
        chunk.position = self._table.position
        return chunk if count else None

    def _pending(self) -> Iterator[Row]:
        # not a generator: leaving it early would close the rows for good
        held, self._next = self._next, None
        return self._rows if held is None else itertools.chain((held,), self._rows)


def _after(rows: Iterator[Row], number: int) -> Iterator[Row]:
    return (row for row in rows if row[0] > number)
