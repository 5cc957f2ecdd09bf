import asyncio
import csv
import re
import zipfile
from datetime import date, datetime
from pathlib import Path

import openpyxl
import orjson
import pytest
from click.testing import CliRunner

from core.cli import main
from core.domain.orders import importing, rows
from core.domain.orders.formats import FIELDS, ColumnsMissing, FormatUnknown
from core.domain.orders.importing import (
    AlreadyRunning,
    Consent,
    import_local,
    import_params,
    rehearse,
    start_import,
)
from core.installation import job_kinds
from core.sdk import InvalidInput
from core.storage import jobs
from core.tabular.bulk import Account, rejects_of
from core.tabular.reading import FileUnreadable, examine
from tests.processes import environment, huike

HEADERS = ["order_id", "state", "ordered_at", "paid", "buyer_id", "phone", "title", "address"]


def row(number, *, state="completed", ordered_at="2026-01-02 03:04:05", paid="12.34", **more):
    values = {
        "order_id": str(number), "state": state, "ordered_at": ordered_at, "paid": paid,
        "buyer_id": f"b{number}", "phone": "", "title": "茶", "address": "浙江省 杭州市 西湖区",
    } | more  # fmt: skip
    return [values[header] for header in HEADERS]


def write(path, rows, headers=HEADERS, encoding="utf-8", delimiter=","):
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([headers, *rows])
    return path


async def take(merchant, path, mapping=None, consent=None, format=None):
    facts = examine(path)
    params = import_params(merchant.shop_id, format, mapping or {}, consent, facts.sha256)
    opened = merchant.installation
    ended = await import_local(opened.db, opened.registry, merchant.id, facts, params)
    found = [reject async for reject in rejects_of(opened.db, merchant.id, ended.job_id)]
    return ended, found


async def value(merchant, statement):
    async with merchant.read() as session:
        return await session.sql.fetchval(statement, merchant.id)


async def test_a_file_twice(merchant, tmp_path):
    path = write(tmp_path / "o.csv", [row(n) for n in range(10)])
    ended, rejects = await take(merchant, path)
    assert ended.account == Account(read=10, created=10)
    assert rejects == []
    ended, _ = await take(merchant, path)
    assert ended.account == Account(read=10, unchanged=10)
    order = (
        "SELECT (province, city, paid, ordered_at)::text FROM orders WHERE merchant_id = $1 LIMIT 1"
    )
    assert await value(merchant, order) == '(浙江省,杭州市,1234,"2026-01-01 19:04:05+00")'
    events = (
        "SELECT count(*) FROM outbox_events WHERE merchant_id = $1 AND type = 'orders.imported'"
    )
    assert await value(merchant, events) == 2
    assert await value(merchant, "SELECT count(*) FROM outbox_events WHERE merchant_id = $1") == 2


@pytest.mark.parametrize(
    ("encoding", "delimiter"),
    [("utf-8", ","), ("utf-8-sig", ";"), ("gb18030", ","), ("gbk", "\t"), ("utf-16", "\t")],
)
async def test_encodings_and_delimiters(merchant, tmp_path, encoding, delimiter):
    path = write(tmp_path / "o.csv", [row(1, title="龙井茶")], HEADERS, encoding, delimiter)
    ended, rejects = await take(merchant, path)
    assert (ended.account.created, rejects) == (1, [])
    assert await value(merchant, "SELECT title FROM order_lines WHERE merchant_id = $1") == "龙井茶"


async def test_what_is_wrong_with_rows(merchant, tmp_path):
    path = write(
        tmp_path / "o.csv",
        [
            row("ok"),
            row("date", ordered_at="soon"),
            row("amount", paid="=1+1"),
            row("1.23457E+18"),
            row("=A1"),
            row(""),
            row("state", state="dancing"),
            [*row("wide"), "more"],
            ["narrow"],
            row("long", buyer_id="x" * 201),
            row("x" * 65),
            [],
            row("0-date", ordered_at="0000-00-00 00:00:00"),
            row(
                "fine",
                phone="nonsense",
                paid="￥1,000.5",
                title="x" * 10_000,
                ordered_at="2026/1/2",
            ),
        ],
    )
    ended, rejects = await take(merchant, path)
    assert ended.account == Account(read=13, created=2, rejected=11)
    assert [(r.row, r.code, r.column) for r in rejects] == [
        (3, "BAD_DATE", "ordered_at"), (4, "BAD_AMOUNT", "paid"), (5, "LOST_DIGITS", "order_id"),
        (6, "FORMULA", "order_id"), (7, "REQUIRED", "order_id"), (8, "BAD_STATE", "state"),
        (9, "COLUMN_COUNT", None), (10, "REQUIRED", "state"), (11, "TOO_LONG", "buyer_id"),
        (12, "TOO_LONG", "order_id"), (14, "REQUIRED", "ordered_at"),
    ]  # fmt: skip
    assert not any("soon" in r.reason or "dancing" in r.reason for r in rejects)


async def test_reasons_never_quote_the_row(merchant, tmp_path):
    path = write(tmp_path / "o.csv", [row(1, paid="1.23456"), row(2, paid="9" * 25)])
    _, rejects = await take(merchant, path)
    assert [r.code for r in rejects] == ["BAD_AMOUNT", "BAD_AMOUNT"]
    assert not any("1.23456" in r.reason or "999" in r.reason for r in rejects)


async def test_broken_characters_cost_their_row_only(merchant, tmp_path):
    path = write(
        tmp_path / "o.csv", [row(1), row(2, title="bad"), row(3, title="nul")], encoding="utf-8"
    )
    content = path.read_bytes().replace(b"bad", b"\xff\xfe").replace(b"nul", b"\x00")
    path.write_bytes(content.replace(b"order_id", "\u8ba2\u5355".encode()))
    ended, rejects = await take(merchant, path, mapping={"order_id": "订单"})
    assert ended.account == Account(read=3, created=1, rejected=2)
    assert [(r.row, r.code) for r in rejects] == [(3, "BAD_ROW"), (4, "BAD_ROW")]


async def test_an_enormous_cell_costs_its_row_only(merchant, tmp_path):
    path = write(tmp_path / "o.csv", [row(1), row(2, title="x" * 1_200_000), row(3)])
    ended, rejects = await take(merchant, path)
    assert ended.account == Account(read=3, created=2, rejected=1)
    assert [(r.row, r.code) for r in rejects] == [(3, "BAD_ROW")]


async def test_missing_columns_are_named_together(merchant, tmp_path):
    path = write(tmp_path / "o.csv", [["1", "2"]], ["订单编号", "買家"])
    with pytest.raises(FormatUnknown, match="買家"):
        await take(merchant, path)
    with pytest.raises(ColumnsMissing) as error:
        await take(merchant, path, format="generic", mapping={"order_id": "订单编号"})
    for word in ("state", "ordered_at", "paid", "買家"):
        assert word in error.value.message
    with pytest.raises(InvalidInput, match="no field 'colour'"):
        await take(merchant, path, mapping={"colour": "買家"})
    assert await value(merchant, "SELECT count(*) FROM jobs WHERE merchant_id = $1") == 0


async def test_other_headers_by_mapping(merchant, tmp_path):
    path = write(
        tmp_path / "o.csv", [["7", "paid", "2026-01-02", "5"]], ["No", "Status", "Date", "Sum"]
    )
    mapping = {"order_id": "No", "state": "Status", "ordered_at": "Date", "total": "Sum"}
    ended, _ = await take(merchant, path, mapping=mapping)
    assert ended.account.created == 1
    assert await value(merchant, "SELECT state FROM orders WHERE merchant_id = $1") == "to_ship"


async def test_a_row_for_each_article(merchant, tmp_path, monkeypatch):
    monkeypatch.setattr(importing, "CHUNK_ROWS", 3)
    headers = ["order_id", "state", "ordered_at", "paid", "sku", "title"]
    rows = [[f"o{n // 2}", "paid", "2026-01-02", "5", f"s{n}", "茶"] for n in range(10)]
    path = write(tmp_path / "o.csv", rows, headers)
    ended, _ = await take(merchant, path)
    assert ended.account == Account(read=10, created=5, updated=5)
    assert await value(merchant, "SELECT count(*) FROM order_lines WHERE merchant_id = $1") == 10
    ended, _ = await take(merchant, path)
    assert ended.account == Account(read=10, unchanged=10)


async def test_excel(merchant, tmp_path):
    book = openpyxl.Workbook()
    local = datetime(2026, 1, 2, 3, 4)  # noqa: DTZ001 - spreadsheets know no zones
    book.active.append(HEADERS)
    book.active.append(["1", "completed", local, 12.5, "a", 13800138000, "茶", None])
    book.active.append(["2", "completed", date(2026, 1, 2), "￥1,000", "b", None, "茶", None])
    book.active.append([3, "completed", 46024, "=1+1", "c", None, "茶", None])
    book.active.append([3.9e18, "completed", "2026/1/2 3:04", 1, "d", None, "茶", None])
    book.active.append([5, "completed", "2026/1/2 3:04", 1, "d", None, "茶", None])
    book.save(tmp_path / "o.xlsx")
    ended, rejects = await take(merchant, tmp_path / "o.xlsx")
    assert ended.account == Account(read=5, created=3, rejected=2)
    assert [(r.row, r.code) for r in rejects] == [(4, "BAD_AMOUNT"), (5, "LOST_DIGITS")]
    assert await value(
        merchant, "SELECT min(ordered_at)::text FROM orders WHERE merchant_id = $1"
    ) == ("2026-01-01 16:00:00+00")
    assert (
        await value(merchant, "SELECT count(phone_index) FROM customers WHERE merchant_id = $1")
        == 1
    )


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"\xd0\xcf\x11\xe0" + b"x" * 99, ".xls"),
        (b"PK\x03\x04xx", "Excel"),
        (b"\n\n", "headers"),
    ],
)
async def test_files_that_are_none(merchant, tmp_path, content, says):
    path = tmp_path / "o.csv"
    path.write_bytes(content)
    with pytest.raises(FileUnreadable, match=says):
        await take(merchant, path)


async def test_characters_that_text_cannot_hold_cost_their_row(merchant, tmp_path):
    book = openpyxl.Workbook()
    book.active.append(HEADERS)
    for number, title in enumerate(["_x0000_", "_xD800_", "茶"]):
        book.active.append([str(number), "paid", "2026-01-02", 1, "a", None, title, None])
    book.save(tmp_path / "o.xlsx")
    ended, rejects = await take(merchant, tmp_path / "o.xlsx")
    assert ended.error is None
    assert ended.account.read == 3
    assert ended.account.created >= 1
    assert {r.code for r in rejects} <= {"BAD_ROW"}


async def test_a_damaged_excel_file_is_refused(merchant, tmp_path):
    book = openpyxl.Workbook()
    book.active.append(HEADERS)
    book.active.append(row(1))
    book.save(tmp_path / "o.xlsx")
    damaged = tmp_path / "d.xlsx"
    with zipfile.ZipFile(tmp_path / "o.xlsx") as good, zipfile.ZipFile(damaged, "w") as bad:
        for name in good.namelist():
            content = good.read(name)
            bad.writestr(name, content[:-40] if name.endswith("sheet1.xml") else content)
    ended, _ = await take(merchant, damaged)
    assert "damaged" in ended.error


def test_the_guide_lists_every_field_and_code():
    guide = (Path(__file__).parents[2] / "docs/guides/import.md").read_text(encoding="utf-8")
    assert [field for field in FIELDS if f"| `{field}` |" not in guide] == []
    source = Path(rows.__file__).read_text(encoding="utf-8")
    codes = set(re.findall(r'RowError\(\s*"([A-Z_]+)"', source)) | {"BAD_ROW"}
    assert len(codes) > 8
    assert [code for code in codes if code not in guide] == []


async def test_an_interrupted_import_goes_on(merchant, tmp_path, monkeypatch):
    monkeypatch.setattr(importing, "CHUNK_ROWS", 10)
    path = write(
        tmp_path / "o.csv", [row(n, paid="x" if n % 10 == 0 else "1") for n in range(1, 101)]
    )
    real, calls = importing.ingest_orders, []

    async def failing(*args, **kwargs):
        calls.append(1)
        if len(calls) == 4:
            await real(*args, **kwargs)
            raise RuntimeError("power cut")
        return await real(*args, **kwargs)

    monkeypatch.setattr(importing, "ingest_orders", failing)
    ended, _ = await take(merchant, path)
    assert "run it again" in ended.error
    assert ended.account == Account(read=30, created=27, rejected=3)
    assert await value(merchant, "SELECT count(*) FROM orders WHERE merchant_id = $1") == 27
    again, rejects = await take(merchant, path)
    assert (again.job_id, again.resumed_at, again.error) == (ended.job_id, 31, None)
    assert again.account == Account(read=100, created=90, rejected=10)
    assert len(rejects) == 10
    assert len(calls) == 4 + 7
    fresh, _ = await take(merchant, path)
    assert fresh.job_id != ended.job_id


async def test_a_rehearsal_tells_the_truth_and_writes_nothing(merchant, tmp_path, monkeypatch):
    monkeypatch.setattr(importing, "CHUNK_ROWS", 5)
    await take(merchant, write(tmp_path / "a.csv", [row(n) for n in range(6)]))
    path = write(
        tmp_path / "b.csv",
        [*[row(n, paid=f"{n}") for n in range(4, 14)], row(13), row("x", paid="x")],
    )
    facts, rejects = examine(path), []
    params = import_params(merchant.shop_id, None, {}, None, facts.sha256)
    opened = merchant.installation
    account = await rehearse(opened.db, opened.registry, merchant.id, facts, params, rejects.append)
    assert account == Account(read=12, created=8, updated=3, rejected=1)
    assert [r.code for r in rejects] == ["BAD_AMOUNT"]
    assert await value(merchant, "SELECT count(*) FROM orders WHERE merchant_id = $1") == 6
    ended, _ = await take(merchant, path)
    assert ended.account == account


async def test_consent_of_those_who_never_said_anything(merchant, tmp_path):
    path = write(tmp_path / "o.csv", [row(1), row(2), row(3, buyer_id="")])
    await take(merchant, path, consent=Consent("email", "box ticked at checkout"))
    await take(merchant, path, consent=Consent("email", "box ticked at checkout"))
    granted = "SELECT count(*) FROM consents WHERE merchant_id = $1 AND status = 'granted'"
    assert await value(merchant, granted) == 2
    evidence = "SELECT evidence::text FROM consent_events WHERE merchant_id = $1 LIMIT 1"
    assert orjson.loads(await value(merchant, evidence)) == {"text": "box ticked at checkout"}


async def test_two_imports_at_once(merchant, tmp_path):
    one = write(tmp_path / "1.csv", [row(n, buyer_id=f"b{n % 30}") for n in range(300)])
    two = write(tmp_path / "2.csv", [row(n, buyer_id=f"b{n % 30}") for n in range(299, -1, -1)])
    (first, _), (second, _) = await asyncio.gather(take(merchant, one), take(merchant, two))
    assert first.account.created + second.account.created == 300
    assert first.account.unchanged + second.account.unchanged == 300
    assert await value(merchant, "SELECT count(*) FROM orders WHERE merchant_id = $1") == 300
    assert await value(merchant, "SELECT count(*) FROM customers WHERE merchant_id = $1") == 30


async def test_the_same_file_at_once_is_refused(merchant, tmp_path):
    path = write(tmp_path / "o.csv", [row(n) for n in range(50)])
    results = await asyncio.gather(
        take(merchant, path), take(merchant, path), return_exceptions=True
    )
    assert sorted(type(result) for result in results if isinstance(result, Exception)) in (
        [], [AlreadyRunning],
    )  # fmt: skip
    assert await value(merchant, "SELECT count(*) FROM orders WHERE merchant_id = $1") == 50


async def test_an_uploaded_file(merchant, tmp_path):
    content = write(tmp_path / "o.csv", [row(n) for n in range(2000)]).read_bytes()

    async def pieces():
        for start in range(0, len(content), 10_000):
            yield content[start : start + 10_000]

    opened = merchant.installation
    async with merchant.work() as w:
        job_id = await start_import(w, opened.registry, merchant.shop_id, pieces(), "o.csv")
    stored = await value(merchant, "SELECT data FROM job_files WHERE merchant_id = $1 LIMIT 1")
    assert b"order_id" not in stored
    job = await jobs.claim(opened.db, merchant.id, job_id)
    await jobs.perform(opened.db, job, job_kinds(opened.registry))
    async with merchant.read() as session:
        done = await jobs.get(session, job_id)
    assert done["state"] == "succeeded"
    assert (done["done"], done["total"], done["failed"]) == (2000, 2000, 0)
    assert orjson.loads(done["result"]) == {
        "read": 2000, "created": 2000, "updated": 0, "unchanged": 0, "rejected": 0,
    }  # fmt: skip
    assert await value(merchant, "SELECT count(*) FROM job_files WHERE merchant_id = $1") == 0


async def test_consent_without_evidence_is_not_taken(merchant):
    async def pieces():
        yield b"a,b\n1,2\n"

    async with merchant.work() as w:
        args = (w, merchant.installation.registry, merchant.shop_id, pieces())
        with pytest.raises(InvalidInput) as caught:
            await start_import(*args, "o.csv", consent=Consent("email", " "))
    assert caught.value.path == ("input", "consent", "evidence")


async def test_an_upload_of_a_wrong_file_fails_with_a_reason(merchant):
    async def pieces():
        yield b"a,b\n1,2\n"

    opened = merchant.installation
    async with merchant.work() as w:
        job_id = await start_import(w, opened.registry, merchant.shop_id, pieces(), "o.csv")
    job = await jobs.claim(opened.db, merchant.id, job_id)
    await jobs.perform(opened.db, job, job_kinds(opened.registry))
    async with merchant.read() as session:
        done = await jobs.get(session, job_id)
    assert done["state"] == "failed"
    assert orjson.loads(done["error"])["code"] == "IMPORT_FORMAT_UNKNOWN"
    async with merchant.work() as w:
        args = (w, opened.registry, merchant.shop_id, pieces())
        with pytest.raises(InvalidInput, match="xls"):
            await start_import(*args, "o.xls")
        with pytest.raises(FormatUnknown):
            await start_import(*args, "o.csv", format="none")


async def test_killed_and_run_again(merchant, tmp_path):
    """kill -9 in the middle of the command, then the same command: nothing lost, nothing twice."""
    count = 24_000
    path = write(
        tmp_path / "o.csv", [row(n, paid="x" if n % 1000 == 7 else "1") for n in range(count)]
    )
    command = ("import", "orders", path, "--shop", "shop", "--merchant", merchant.id)
    env = environment(merchant.installation.settings.home)

    async def done():
        return await value(
            merchant, "SELECT COALESCE(max(done), 0) FROM jobs WHERE merchant_id = $1"
        )

    await huike(*command, env=env).kill_once(done)
    assert await done() < count
    again = await huike(*command, env=env).ended()
    assert again.returncode == 0, again.stderr
    assert "went on behind row" in again.stdout
    account = f"read {count} = created {count - 24} + updated 0 + unchanged 0 + rejected 24"
    assert account in again.stdout
    assert await value(merchant, "SELECT count(*) FROM orders WHERE merchant_id = $1") == count - 24
    with (tmp_path / "o.csv.rejects.csv").open(encoding="utf-8-sig", newline="") as file:
        listed = list(csv.reader(file))
    assert listed[0] == ["row", "column", "code", "reason"]
    assert [line[0] for line in listed[1:3]] == ["9", "1009"]
    assert len(listed) == 25


def test_the_command_refuses_half_a_consent(tmp_path):
    path = write(tmp_path / "o.csv", [row(1)])
    for extra in (["--consent", "email"], ["--map", "nonsense"]):
        result = CliRunner().invoke(main, ["import", "orders", str(path), "--shop", "s", *extra])
        assert result.exit_code == 2
