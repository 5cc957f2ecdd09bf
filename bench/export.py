"""Exporting customers as CSV against COPY TO of the same columns.

    python -m bench.export [ROWS]

ROWS customers (200,000 without it) with sealed phone numbers and one tag each are exported as
CSV, as JSON lines and as Excel, the phones unsealed; COPY writes the same columns of the same
rows, the phones as they are stored. Both run on one embedded server of their own, in turns; the
ratio is that of the medians.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import asyncpg
import orjson

from core.cli import run
from core.domain.customers.contacts import seal_phone
from core.domain.customers.exporting import CUSTOMERS
from core.domain.customers.masking import RIGHTS
from core.domain.shops.setup import set_up_merchant
from core.installation import EXPORTS, Installation, open_installation
from core.settings import Settings
from core.storage.database import Work, credentials
from core.tabular.exporting import export_local, start_export

ROWS = 200_000
TURNS = 3
COLUMNS = ["id", "name", "phone", "province", "city", "tags", "created_at"]
IDS = "SELECT id FROM customers WHERE merchant_id = $1 ORDER BY id DESC"


def main() -> None:
    """Measure and print one JSON line per figure."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].isdecimal() else ROWS
    with tempfile.TemporaryDirectory(prefix="huike-bench-") as folder:
        run(_measure(Path(folder), rows))


def _print(figure: str, value: float, **more: Any) -> None:
    line = {"figure": figure, "value": round(value, 1), "unit": "rows/s", **more}
    print(orjson.dumps(line).decode(), flush=True)


async def _measure(folder: Path, rows: int) -> None:
    async with open_installation(Settings(home=folder / "home"), with_redis=False) as installation:
        made = await set_up_merchant(installation.db, installation.registry, "m", shop="shop")
        await _fill(installation, made.merchant_id, rows)
        connection = await asyncpg.connect(**credentials(installation.database_url))
        seconds: dict[str, list[float]] = {}
        try:
            for _ in range(TURNS):
                seconds.setdefault("copy", []).append(
                    await _copy(connection, made.merchant_id, folder)
                )
                for format in ("csv", "jsonl", "xlsx"):
                    seconds.setdefault(format, []).append(
                        await _export(installation, made.merchant_id, folder, format, rows)
                    )
        finally:
            await connection.close()
    copy = statistics.median(seconds["copy"])
    _print("copy_to_rows_per_second", rows / copy, rows=rows, turns=TURNS)
    for format in ("csv", "jsonl", "xlsx"):
        taken = statistics.median(seconds[format])
        spread = (max(seconds[format]) - min(seconds[format])) / taken
        _print(
            f"export_{format}_rows_per_second", rows / taken, rows=rows, turns=TURNS,
            ratio=round(copy / taken, 3), spread=round(spread, 3),
        )  # fmt: skip


async def _fill(installation: Installation, merchant_id: int, rows: int) -> None:
    keyring = installation.db.keyring
    async with installation.db.work(merchant_id) as w:
        ids = await w.sql.fetch(
            """INSERT INTO customers (merchant_id, name, province, city, version, created_at,
                                      updated_at)
               SELECT $1, '客户' || n, '浙江省', '杭州市', 1, $3, $3 FROM generate_series(1, $2) n
               RETURNING id""",
            merchant_id, rows, w.now,
        )  # fmt: skip
        phones = [
            seal_phone(keyring, merchant_id, row[0], f"+86138{n:08d}") for n, row in enumerate(ids)
        ]
        await w.sql.execute(
            """UPDATE customers c SET phone_sealed = n.phone
               FROM unnest($2::bigint[], $3::bytea[]) AS n (id, phone)
               WHERE c.merchant_id = $1 AND c.id = n.id""",
            merchant_id, [row[0] for row in ids], phones,
        )  # fmt: skip
        await w.sql.execute(
            """INSERT INTO customer_tags (merchant_id, customer_id, tag, source, created_at)
               SELECT $1, id, 'vip', 'bench', $2 FROM customers WHERE merchant_id = $1""",
            merchant_id, w.now,
        )  # fmt: skip
        await w.sql.execute("ANALYZE customers, customer_tags")


async def _copy(connection: asyncpg.Connection, merchant_id: int, folder: Path) -> float:
    shown = ", ".join(
        "c.phone_sealed" if column.name == "phone" else column.sql
        for column in CUSTOMERS.chosen(COLUMNS)
    )
    started = time.perf_counter()
    await connection.copy_from_query(
        f"SELECT {shown} FROM customers c WHERE c.merchant_id = {merchant_id:d} ORDER BY c.id DESC",
        output=folder / "copy.csv", format="csv", header=True,
    )  # fmt: skip
    return time.perf_counter() - started


async def _export(
    installation: Installation, merchant_id: int, folder: Path, format: str, rows: int
) -> float:
    output = folder / f"export.{format}"
    request = f"bench.{time.monotonic_ns()}"

    async def record(w: Work) -> int:
        return await start_export(
            w, CUSTOMERS, IDS, [merchant_id], format=format, columns=COLUMNS, clear=RIGHTS,
            request=request, queued=False,
        )  # fmt: skip

    started = time.perf_counter()
    ended = await export_local(installation.db, merchant_id, EXPORTS, request, record, output)
    taken = time.perf_counter() - started
    assert ended.error is None, ended.error
    if format != "xlsx":
        written = output.read_bytes().count(b"\n")
        assert written == rows + (format == "csv"), written
    output.unlink()
    return taken


if __name__ == "__main__":
    main()
