"""Writing a table as CSV, JSON lines or Excel, in pieces, so that no file is ever held whole.

What a spreadsheet would take for a formula is made text: a leading apostrophe goes before cells
that begin with = + - @, a tab or a line break. JSON lines are for programs and stay as they are.
"""

import csv
import io
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from typing import Any
from xml.sax.saxutils import escape

import orjson

from core.tabular.cells import SERIAL_START

# the full-width signs are formulas to spreadsheets of East Asian settings
FORMULA_START = frozenset("=+-@\t\r\n＝＋－＠")
BOM = "\ufeff"
SHEET_ROWS = 1_048_576
CELL_CHARACTERS = 32_767

Value = str | int | Decimal | bool | datetime | date | list[str] | None


def neutral(text: str) -> str:
    """The text as a cell that no spreadsheet computes."""
    return f"'{text}" if text and text[0] in FORMULA_START else text


class CsvWriter:
    """CSV in UTF-8 with a byte order mark, by which Excel knows Chinese; times are local."""

    media_type = "text/csv; charset=utf-8"
    extension = "csv"
    cut = 0

    def __init__(self, columns: Sequence[str], zone: tzinfo) -> None:
        self._columns = columns
        self._zone = zone

    def head(self) -> bytes:
        """What stands before the first row."""
        return (BOM + self._lines([self._columns])).encode()

    def rows(self, rows: Iterable[Sequence[Value]]) -> bytes:
        """The rows, each with a value for every column."""
        return self._lines([[self._cell(v) for v in row] for row in rows]).encode()

    def _lines(self, rows: Sequence[Sequence[Any]]) -> str:
        text = io.StringIO()
        csv.writer(text).writerows(rows)
        return text.getvalue()

    def _cell(self, value: Value) -> str | int:
        if value is None:
            return ""
        if isinstance(value, str):
            return neutral(value)
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int):
            return value
        if isinstance(value, Decimal):
            return format(value, "f")
        if isinstance(value, datetime):
            return f"{value.astimezone(self._zone):%Y-%m-%d %H:%M:%S}"
        if isinstance(value, date):
            return value.isoformat()
        return neutral(",".join(value))


class JsonLinesWriter:
    """One JSON object a line; blanks are null, amounts are text, times have their offset."""

    media_type = "application/jsonl"
    extension = "jsonl"
    cut = 0

    def __init__(self, columns: Sequence[str], zone: tzinfo) -> None:
        self._columns = columns

    def head(self) -> bytes:
        """What stands before the first row."""
        return b""

    def rows(self, rows: Iterable[Sequence[Value]]) -> bytes:
        """The rows, each with a value for every column."""
        columns = self._columns
        return b"".join(
            orjson.dumps(
                dict(zip(columns, row, strict=True)), _json, orjson.OPT_APPEND_NEWLINE
            )
            for row in rows
        )  # fmt: skip


def _json(value: Any) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    raise TypeError(type(value).__name__)


class CellWriter:
    """Rows as the XML of a sheet's cells, which `workbook` puts into an Excel file.

    `cut` counts the cells that were longer than a cell can be.
    """

    media_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    extension = "xlsx"

    def __init__(self, columns: Sequence[str], zone: tzinfo) -> None:
        self._zone = zone
        self.cut = 0

    def head(self) -> bytes:
        """What stands before the first row."""
        return b""

    def rows(self, rows: Iterable[Sequence[Value]]) -> bytes:
        """A line with the XML of each row."""
        return "".join(f"<row>{''.join(map(self._cell, row))}</row>\n" for row in rows).encode()

    def _cell(self, value: Value) -> str:
        if value is None or value == "" or value == []:
            return "<c/>"
        if isinstance(value, bool):
            return f'<c t="b"><v>{int(value)}</v></c>'
        if isinstance(value, int | Decimal):
            return f"<c><v>{value:f}</v></c>" if isinstance(value, Decimal) else _number(value)
        if isinstance(value, datetime):
            local = value.astimezone(self._zone).replace(tzinfo=None)
            days = (local - SERIAL_START).total_seconds() / 86400
            return f'<c s="1"><v>{days!r}</v></c>' if days >= 61 else _text(local.isoformat(" "))
        if isinstance(value, date):
            days = (value - SERIAL_START.date()).days
            return f'<c s="2"><v>{days}</v></c>' if days >= 61 else _text(value.isoformat())
        text = neutral(value if isinstance(value, str) else ",".join(value))
        self.cut += len(text) > CELL_CHARACTERS
        return _text(text)


def _number(value: int) -> str:
    # beyond 15 digits a spreadsheet rounds
    return f"<c><v>{value}</v></c>" if abs(value) < 10**15 else _text(str(value))


# characters that XML cannot hold, and text that looks like the escape of one
UNSAFE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]|_(?=x[0-9A-Fa-f]{4}_)")


def _text(text: str) -> str:
    safe = UNSAFE.sub(lambda found: f"_x{ord(found.group()):04X}_", text[:CELL_CHARACTERS])
    # written out, a line break stays what it is: XML would make \r\n into \n
    body = escape(safe, {"\r": "&#13;", "\n": "&#10;"})
    return f'<c t="inlineStr"><is><t xml:space="preserve">{body}</t></is></c>'


class _Sink:
    """A file that is written once from start to end, and emptied as it grows."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.size = 0

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        pass

    def take(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        self.size = 0
        return data


def workbook(
    columns: Sequence[str],
    rows: Iterator[bytes],
    count: int,
    piece_bytes: int,
    large: bool = False,
) -> Iterator[bytes]:
    """An Excel file of `count` rows made by CellWriter, in pieces of about `piece_bytes`.

    `large` is for sheets that may go beyond 2 GB, in a form of archive that old programs do not
    know.

    Written here, not by a library: a workbook of openpyxl or XlsxWriter passes through temporary
    files, which would hold customers' data unencrypted, and takes several times longer. The same
    rows give the same bytes. Rows that one sheet cannot hold go on in the next one.
    """
    sink = _Sink()
    sheets = max(1, -(-count // (SHEET_ROWS - 1)))
    head = CellWriter(columns, UTC).rows([columns])
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as book:  # type: ignore[call-overload]
        for name, text in _parts(sheets):
            book.writestr(_entry(name), text)
        for number in range(1, sheets + 1):
            with book.open(
                _entry(f"xl/worksheets/sheet{number}.xml"), "w", force_zip64=large
            ) as sheet:
                sheet.write(SHEET_HEAD.encode() + head)
                for _, row in zip(range(SHEET_ROWS - 1), rows, strict=False):
                    sheet.write(row)
                    if sink.size >= piece_bytes:
                        yield sink.take()
                sheet.write(b"</sheetData></worksheet>")
    yield sink.take()


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
SHEET_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
# the first row stays in sight
SHEET_HEAD = (
    f'{XML}<worksheet xmlns="{MAIN}"><sheetViews><sheetView workbookViewId="0"><pane ySplit="1" '
    'topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews><sheetData>'
)
XF = 'fontId="0" fillId="0" borderId="0"'
STYLES = (
    f'{XML}<styleSheet xmlns="{MAIN}"><numFmts count="1"><numFmt numFmtId="164" '
    'formatCode="yyyy\\-mm\\-dd\\ hh:mm:ss"/></numFmts>'
    '<fonts count="1"><font><sz val="11"/><name val="Calibri"/></font></fonts>'
    '<fills count="2"><fill><patternFill patternType="none"/></fill>'
    '<fill><patternFill patternType="gray125"/></fill></fills>'
    '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
    f'<cellStyleXfs count="1"><xf numFmtId="0" {XF}/></cellStyleXfs>'
    f'<cellXfs count="3"><xf numFmtId="0" {XF} xfId="0"/>'
    f'<xf numFmtId="164" {XF} xfId="0" applyNumberFormat="1"/>'
    f'<xf numFmtId="14" {XF} xfId="0" applyNumberFormat="1"/></cellXfs>'
    '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles>'
    "</styleSheet>"
)


def _parts(sheets: int) -> Iterator[tuple[str, str]]:
    """The parts of a workbook beside its sheets."""
    numbers = range(1, sheets + 1)
    overrides = "".join(
        f'<Override PartName="/xl/worksheets/sheet{n}.xml" '
        f'ContentType="{SHEET_TYPE}.worksheet+xml"/>'
        for n in numbers
    )
    yield (
        "[Content_Types].xml",
        (
            f'{XML}<Types xmlns="{PACKAGE}/content-types"><Default Extension="rels" '
            'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Override PartName="/xl/workbook.xml" ContentType="{SHEET_TYPE}.sheet.main+xml"/>'
            f'<Override PartName="/xl/styles.xml" ContentType="{SHEET_TYPE}.styles+xml"/>'
            f"{overrides}</Types>"
        ),
    )
    yield (
        "_rels/.rels",
        (
            f'{XML}<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="rId1" '
            f'Type="{RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>'
        ),
    )
    listed = "".join(f'<sheet name="Sheet{n}" sheetId="{n}" r:id="rId{n}"/>' for n in numbers)
    yield (
        "xl/workbook.xml",
        (
            f'{XML}<workbook xmlns="{MAIN}" xmlns:r="{RELATIONS}"><sheets>{listed}</sheets>'
            "</workbook>"
        ),
    )
    related = "".join(
        f'<Relationship Id="rId{n}" Type="{RELATIONS}/worksheet" Target="worksheets/sheet{n}.xml"/>'
        for n in numbers
    )
    yield (
        "xl/_rels/workbook.xml.rels",
        (
            f'{XML}<Relationships xmlns="{PACKAGE}/relationships">{related}<Relationship '
            f'Id="rId{sheets + 1}" Type="{RELATIONS}/styles" Target="styles.xml"/></Relationships>'
        ),
    )
    yield "xl/styles.xml", STYLES


Writer = CsvWriter | JsonLinesWriter | CellWriter
WRITERS: dict[str, Callable[[Sequence[str], tzinfo], Writer]] = {
    "csv": CsvWriter,
    "jsonl": JsonLinesWriter,
    "xlsx": CellWriter,
}
