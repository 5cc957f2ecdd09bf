"""Large files are read by a process of their own: the same outcome, whoever dies."""

import os
import signal
import subprocess
import sys

import openpyxl
import psutil
import pytest

from core.domain.orders import importing
from core.domain.orders.chunks import ChunkReader
from core.domain.orders.importing import import_local, import_params, open_source
from core.domain.orders.reader import LENGTH, ReaderDied, Task, read_in_child
from core.storage import jobs
from core.tabular.bulk import Account
from core.tabular.reading import FileUnreadable, examine

HEADER = "order_id,state,ordered_at,paid,buyer_id,phone,title,address,tracking_numbers\n"


def write(path, count):
    rows = "".join(
        f"{n},completed,2026-01-02 03:04:05,{'12.34' if n % 7 else 'x'},b{n % 50},"
        f"1380013{n % 100:04d},茶,浙江省 杭州市,SF{n}\n"
        for n in range(count)
    )
    path.write_text(HEADER + rows, encoding="utf-8")
    return path


async def exhaust(chunks):
    async for _ in chunks:
        pass


def children():
    found = psutil.Process().children(recursive=True)
    return [p for p in found if "core.domain.orders.reader" in " ".join(p.cmdline())]


async def source_of(merchant, path):
    opened = merchant.installation
    async with opened.db.read(merchant.id) as session:
        params = import_params(merchant.shop_id, None, {}, None)
        return await open_source(session, opened.registry, examine(path), params)


async def test_a_child_reads_what_a_thread_reads(merchant, tmp_path):
    source = await source_of(merchant, write(tmp_path / "o.csv", 1000))
    reader = ChunkReader(source.table, source.plan, 30, source.hash_key)
    expected = list(iter(lambda: reader.read(300), None))
    task = Task(source.table.facts, source.plan, 30, 300, source.hash_key)
    read = [chunk async for chunk in read_in_child(task)]
    source.table.close()
    assert len(expected) > 2
    for one, other in zip(read, expected, strict=True):
        assert (one.records, one.digests, one.rejects, one.last) == (
            other.records, other.digests, other.rejects, other.last,
        )  # fmt: skip
    assert children() == []


async def test_an_import_through_a_child(merchant, tmp_path, monkeypatch):
    monkeypatch.setattr(importing, "CHILD_BYTES", 0)
    monkeypatch.setattr(importing, "CHUNK_ROWS", 100)
    path = write(tmp_path / "o.csv", 700)
    opened, facts = merchant.installation, examine(path)
    params = import_params(merchant.shop_id, None, {}, None, facts.sha256)
    ended = await import_local(opened.db, opened.registry, merchant.id, facts, params)
    assert ended.account == Account(read=700, created=600, rejected=100)
    ended = await import_local(opened.db, opened.registry, merchant.id, facts, params)
    assert ended.account == Account(read=700, unchanged=600, rejected=100)
    assert children() == []


async def test_a_child_that_is_killed_stops_the_import_which_goes_on_later(
    merchant, tmp_path, monkeypatch
):
    monkeypatch.setattr(importing, "CHILD_BYTES", 0)
    monkeypatch.setattr(importing, "CHUNK_ROWS", 50)
    path = write(tmp_path / "o.csv", 5000)
    opened, facts = merchant.installation, examine(path)
    params = import_params(merchant.shop_id, None, {}, None, facts.sha256)

    def kill(position, size):
        for child in children():
            child.send_signal(signal.SIGKILL)

    ended = await import_local(opened.db, opened.registry, merchant.id, facts, params, kill)
    assert "run it again" in ended.error
    ended = await import_local(opened.db, opened.registry, merchant.id, facts, params)
    assert ended.resumed_at > 0
    assert ended.account.read == 5000
    assert ended.account.created == 5000 - ended.account.rejected
    async with merchant.read() as session:
        stored = await session.sql.fetchval(
            "SELECT count(*) FROM orders WHERE merchant_id = $1", merchant.id
        )
        assert (await jobs.get(session, ended.job_id))["state"] == "succeeded"
    assert stored == ended.account.created


async def test_a_damaged_file_ends_with_its_reason(merchant, tmp_path):
    path = tmp_path / "o.xlsx"
    book = openpyxl.Workbook()
    for number in range(5000):
        book.active.append([number, "completed"] if number else ["order_id", "state"])
    book.save(path)
    source = await source_of(merchant, write(tmp_path / "o.csv", 1))
    source.table.close()
    data = bytearray(path.read_bytes())
    middle = data.find(b"xl/worksheets/sheet1.xml") + 400
    data[middle : middle + 50] = b"\0" * 50
    path.write_bytes(data)
    task = Task(examine(path), source.plan, 0, 100, source.hash_key)
    with pytest.raises(FileUnreadable):
        await exhaust(read_in_child(task))


def test_a_child_ends_when_its_parent_does():
    child = subprocess.Popen(
        [sys.executable, "-m", "core.domain.orders.reader"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    child.stdin.write(LENGTH.pack(10**6))
    child.stdin.close()
    assert child.wait(120) == 1
    child.stdout.close()


async def test_a_reader_that_is_left_early_leaves_no_child(merchant, tmp_path):
    source = await source_of(merchant, write(tmp_path / "o.csv", 3000))
    source.table.close()
    chunks = read_in_child(Task(source.table.facts, source.plan, 0, 50, source.hash_key))
    assert (await anext(chunks)).last > 0
    assert len(children()) == 1
    os.kill(children()[0].pid, signal.SIGKILL)
    with pytest.raises(ReaderDied):
        await exhaust(chunks)
    assert children() == []
