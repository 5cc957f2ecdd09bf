"""Reading a file as a table: CSV in the encodings that are met, and Excel, row by row."""

import codecs
import csv
import hashlib
import io
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, BinaryIO

from core.sdk.errors import InvalidInput
from core.tabular.cells import clean, day_of

BLOCK = 1024**2
BUFFER = 256 * 1024
CELL_LIMIT = 1024**2
DELIMITERS = ",\t;|"
HEADER_LIMIT = 64 * 1024
XLSX, XLS = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"

Row = tuple[int, list[str] | None]
"""A row's number in the file, the headers being row 1, and its cells; None if it is malformed."""


class FileUnreadable(InvalidInput):
    code = "IMPORT_FILE_UNREADABLE"
    cause = "The file is no table that can be read."
    cure = "Give a CSV or .xlsx file; save an old .xls file as .xlsx first."


@dataclass(frozen=True)
class FileFacts:
    """What one pass over a file tells. `clean_text` is False where rows may hold broken text."""

    path: Path
    sha256: str
    size: int
    encoding: str | None
    clean_text: bool


def examine(path: Path) -> FileFacts:
    """Read the file once: its hash, its encoding (None for Excel). Raises FileUnreadable."""
    digest, size = hashlib.sha256(), 0
    utf8 = codecs.getincrementaldecoder("utf-8")()
    valid, nul = True, False
    with path.open("rb") as file:
        head = file.read(HEADER_LIMIT)
        file.seek(0)
        while block := file.read(BLOCK):
            digest.update(block)
            size += len(block)
            nul = nul or b"\0" in block
            if valid:
                try:
                    utf8.decode(block)
                except UnicodeDecodeError:
                    valid = False
    if valid:
        valid = not utf8.getstate()[0]  # the file must not end within a character
    if not size:
        raise FileUnreadable("the file is empty", ("input", "file"))
    if head.startswith(XLS):
        raise FileUnreadable(
            "this is an old Excel file (.xls): save it as .xlsx or CSV", ("input", "file")
        )
    if head.startswith(XLSX):
        return FileFacts(path, digest.hexdigest(), size, None, False)
    encoding = _encoding(head, valid)
    return FileFacts(
        path, digest.hexdigest(), size, encoding, encoding[:3] == "utf" and valid and not nul
    )


def _encoding(head: bytes, valid_utf8: bool) -> str:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if head.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if valid_utf8:
        return "utf-8"
    line = head.lstrip().partition(b"\n")[0]
    try:
        line.decode()
    except UnicodeDecodeError:
        return "gb18030"
    # headers in UTF-8, broken text further down: the broken rows are refused one by one
    return "gb18030" if line.isascii() else "utf-8"


class Table:
    """An open file: `headers`, then the rows below them; `position` of `size` bytes are read."""

    def __init__(self, facts: FileFacts) -> None:
        self.facts = facts
        self.size = facts.size
        self._file: BinaryIO = facts.path.open("rb", buffering=0)
        self._close: Callable[[], Any] = self._file.close
        try:
            rows = self._excel_rows() if facts.encoding is None else self._csv_rows(facts.encoding)
            self._rows = (
                (number, row) for number, row in enumerate(rows, 1) if row is None or any(row)
            )
            self.headers = self._read_headers()
        except BaseException:
            self._close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._close()

    @property
    def position(self) -> int:
        """How many bytes of the file have been read."""
        return self._file.tell()

    def rows(self) -> Iterator[Row]:
        """The rows below the headers that are not blank."""
        if self.facts.clean_text:
            return self._rows
        return ((number, _sound(row)) for number, row in self._rows)

    def _read_headers(self) -> list[str]:
        for _, row in self._rows:
            if row is not None:
                headers = [clean(cell).strip() for cell in row]
                while headers and not headers[-1]:
                    headers.pop()
                return headers
            break
        raise FileUnreadable("the file has no row of headers", ("input", "file"))

    def _csv_rows(self, encoding: str) -> Iterator[list[str] | None]:
        buffered = io.BufferedReader(self._file, BUFFER)  # type: ignore[type-var]  # raw, unbuffered
        text = io.TextIOWrapper(buffered, encoding, errors="replace", newline="")
        self._close = text.close
        first = text.readline(HEADER_LIMIT)
        while first and not first.strip():
            first = text.readline(HEADER_LIMIT)
        csv.field_size_limit(CELL_LIMIT)
        delimiter = max(DELIMITERS, key=first.count)
        return _tolerant(csv.reader(itertools.chain([first], text), delimiter=delimiter))

    def _excel_rows(self) -> Iterator[list[str] | None]:
        import openpyxl  # large, seldom needed

        try:
            book = openpyxl.load_workbook(self._file, read_only=True, data_only=False)
            sheet = book.worksheets[0]
        except Exception as error:  # a damaged file shows as whatever the reader stumbles over
            raise FileUnreadable(
                f"this is no Excel file that can be read ({type(error).__name__})",
                ("input", "file"),
            ) from None

        def close() -> None:
            book.close()
            self._file.close()

        self._close = close
        sheet.reset_dimensions()  # some exports state a wrong extent
        return _excel_cells(sheet.iter_rows(values_only=True))


def _excel_cells(rows: Iterator[tuple[Any, ...]]) -> Iterator[list[str]]:
    try:
        for row in rows:
            yield [_excel_text(value) for value in row]
    except Exception as error:  # as above
        raise FileUnreadable(
            f"the Excel file is damaged ({type(error).__name__})", ("input", "file")
        ) from error


def _tolerant(reader: Iterator[list[str]]) -> Iterator[list[str] | None]:
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield None  # for instance a cell beyond the limit; the reader goes on behind it


def _sound(row: list[str] | None) -> list[str] | None:
    """None for a row with broken characters or NUL, which text columns cannot hold."""
    if row is None:
        return None
    text = "".join(row)
    if "\ufffd" in text or "\0" in text:
        return None
    try:
        text.encode()  # Excel's escapes can spell half a character
    except UnicodeEncodeError:
        return None
    return row


def _excel_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        # beyond 2**53 digits are lost: the exponent shows it
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    if isinstance(value, datetime | date):
        return day_of(value)
    return value.isoformat() if isinstance(value, time) else str(value)
