"""Importing orders against a bare COPY of the same file, and the memory that it takes.

    python -m bench.import_orders [ROWS]

A Taobao export with ROWS orders (200,000 without it) is copied line by line into a table of text
columns without keys, then imported: parsed, identified, sealed, with lines, parcels, figures and
indexes. Both run on one embedded server of their own, in turns; the ratio is that of the medians.
Beside it stands what the same stored rows take by COPY, with nothing to compute.
"""

import csv
import io
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import orjson

from bench.processes import Peak
from core.cli import run
from core.domain.orders.importing import import_local, import_params
from core.domain.shops.setup import set_up_merchant
from core.installation import open_installation
from core.settings import Settings
from core.storage.database import credentials
from core.tabular.reading import examine

ROWS = 200_000
TURNS = 3
TABLES = (
    "customers", "customer_identities", "orders", "order_lines", "parcels", "customer_facts"
)  # fmt: skip
SMALL_SHARE = 10
PLACES = (
    "浙江省 杭州市 西湖区", "广东省 深圳市 南山区", "上海 上海市 浦东新区", "四川省 成都市 武侯区",
    "江苏省 苏州市 吴中区", "北京 北京市 海淀区", "湖北省 武汉市 洪山区", "福建省 厦门市 思明区",
)  # fmt: skip
STATES = ("交易成功",) * 17 + ("卖家已发货,等待买家确认", "买家已付款,等待卖家发货", "交易关闭")
HEADERS = (
    "订单编号", "买家会员名", "买家支付宝账号", "买家应付货款", "买家应付邮费", "总金额",
    "买家实际支付金额", "订单状态", "买家留言", "收货人姓名", "收货地址", "运送方式", "联系电话",
    "联系手机", "订单创建时间", "订单付款时间", "宝贝标题", "宝贝种类", "物流单号", "物流公司",
    "订单备注", "宝贝总数量", "店铺名称", "订单关闭原因", "退款金额",
)  # fmt: skip


def main() -> None:
    """Measure and print one JSON line per figure."""
    if sys.argv[1:2] == ["--once"]:
        run(_import_once(Path(sys.argv[2]), Path(sys.argv[3])))
        return
    rows = int(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].isdecimal() else ROWS
    with tempfile.TemporaryDirectory(prefix="huike-bench-") as folder:
        large, small = Path(folder) / "large.csv", Path(folder) / "small.csv"
        write_orders(large, rows)
        write_orders(small, rows // SMALL_SHARE)
        run(_speed(Path(folder), large, rows))
        for name, file in (("small", small), ("large", large)):
            _memory(Path(folder), name, file)


def _print(figure: str, value: float, unit: str, **more: Any) -> None:
    line = {"figure": figure, "value": round(value, 3), "unit": unit, **more}
    print(orjson.dumps(line).decode(), flush=True)


def write_orders(path: Path, rows: int) -> None:
    """Write a Taobao export with so many orders."""
    with path.open("w", encoding="gbk", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADERS)
        writer.writerows(_lines(rows))


def _lines(rows: int) -> Iterator[list[str]]:
    r = random.Random(7)
    start = datetime(2024, 1, 1)  # noqa: DTZ001 - a file's local time
    for number in range(rows):
        person = r.randrange(1 + rows // 3)
        ordered = start + timedelta(seconds=number * 300 % 63_000_000)
        amount = f"{r.randrange(1000, 90_000) / 100:.2f}"
        yield [
            f'="{3_900_000_000_000_000_000 + number * 7919}"', f"buyer{person}",
            f"buyer{person}@example.com", amount, "0.00", amount, amount, r.choice(STATES), "",
            f"收货人{person % 999}", f"{PLACES[person % 8]} 文三路 {person} 号", "快递", "",
            f"'138{person:08d}", f"{ordered:%Y-%m-%d %H:%M:%S}",
            f"{ordered + timedelta(minutes=2):%Y-%m-%d %H:%M:%S}",
            f"龙井茶 2026 新茶 {number % 300}", "1", f"No:SF{number:010d}", "顺丰速运", "",
            str(1 + number % 3), "茶铺", "", "0.00",
        ]  # fmt: skip


async def _speed(folder: Path, file: Path, rows: int) -> None:
    copies, imports, ready = [], [], []
    async with open_installation(Settings(home=folder / "home"), with_redis=False) as installation:
        connection = await asyncpg.connect(**credentials(installation.database_url))
        try:
            for turn in range(TURNS):
                copies.append(await _copy(connection, file))
                made = await set_up_merchant(
                    installation.db, installation.registry, f"m{turn}", shop="shop"
                )
                started = time.perf_counter()
                # the hash and the encoding belong to the work
                facts = examine(file)
                params = import_params(made.shop_id or 0, None, {}, None, facts.sha256)
                ended = await import_local(
                    installation.db, installation.registry, made.merchant_id, facts, params
                )
                imports.append(time.perf_counter() - started)
                assert ended.account.created == rows, ended
                ready.append(await _copy_ready(connection))
        finally:
            await connection.close()
    copy, imported = statistics.median(copies), statistics.median(imports)
    spread = (max(imports) - min(imports)) / imported
    _print("copy_rows_per_second", rows / copy, "rows/s", rows=rows, turns=TURNS)
    _print(
        "import_rows_per_second", rows / imported, "rows/s", rows=rows, turns=TURNS,
        ratio=round(copy / imported, 3), goal=0.25, spread=round(spread, 3),
    )  # fmt: skip
    stored = statistics.median(ready)
    _print(
        "import_floor_rows_per_second", rows / stored, "rows/s",
        beside="COPY of the stored rows back into the same tables with their indexes",
        ratio_of_copy=round(copy / stored, 3), import_ratio=round(stored / imported, 3),
    )  # fmt: skip


async def _copy_ready(connection: asyncpg.Connection) -> float:
    """Seconds that the tables' own rows take by COPY: no import that stores them can be faster."""
    stored = []
    for table in TABLES:
        buffer = io.BytesIO()
        await connection.copy_from_table(table, output=buffer, format="binary")
        stored.append((table, buffer))
    await connection.execute(f"TRUNCATE {', '.join(TABLES)}")
    started = time.perf_counter()
    for table, buffer in stored:
        buffer.seek(0)
        await connection.copy_to_table(table, source=buffer, format="binary")
    seconds = time.perf_counter() - started
    await connection.execute(f"TRUNCATE {', '.join(TABLES)}")
    return seconds


async def _copy(connection: asyncpg.Connection, file: Path) -> float:
    columns = ", ".join(f"c{number} text" for number in range(len(HEADERS)))
    await connection.execute(f"DROP TABLE IF EXISTS bare; CREATE TABLE bare ({columns})")
    started = time.perf_counter()
    await connection.copy_to_table("bare", source=file, format="csv", header=True, encoding="gbk")
    return time.perf_counter() - started


def _memory(folder: Path, name: str, file: Path) -> None:
    home = folder / f"home-{name}"
    command = [sys.executable, "-m", "bench.import_orders", "--once", str(home), str(file)]
    with subprocess.Popen(command) as process, Peak(process.pid) as peak:
        assert process.wait() == 0
    _print(
        f"import_peak_memory_{name}_file", peak.bytes / 1e6, "MB",
        file_mb=round(file.stat().st_size / 1e6, 1),
    )  # fmt: skip


async def _import_once(home: Path, file: Path) -> None:
    async with open_installation(Settings(home=home), with_redis=False) as installation:
        made = await set_up_merchant(installation.db, installation.registry, "m", shop="shop")
        facts = examine(file)
        params = import_params(made.shop_id or 0, None, {}, None, facts.sha256)
        await import_local(installation.db, installation.registry, made.merchant_id, facts, params)


if __name__ == "__main__":
    main()
