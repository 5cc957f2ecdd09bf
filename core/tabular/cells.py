"""Reading single cells of a file: text, dates of every common kind, amounts. No I/O."""

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal, InvalidOperation

from core.sdk.money import to_minor

BLANK = frozenset(
    {"", "-", "--", "null", "NULL", "None", "无", "N/A", "\\N", "无退款申请", "没有申请退款"}
)
"""What exports write for nothing."""

OUTER = " \t\r\n\u3000\xa0\ufeff"
SUSPECT = frozenset(OUTER + "'=")
FULL_WIDTH = str.maketrans("０１２３４５６７８９．，－：／　", "0123456789.,-:/ ")
CURRENCY_WORDS = re.compile(r"^(?:[￥¥$€£]|RMB|CNY|USD|EUR)|(?:元|RMB|CNY|USD|EUR)$", re.IGNORECASE)
PLAIN_AMOUNT = re.compile(r"-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)")
GROUPED_AMOUNT = re.compile(r"-?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]*)?")
DATE = re.compile(
    r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?"
    r"(?:[ T]*(上午|下午|AM|PM)? *(\d{1,2})[:时点](\d{1,2})"
    r"(?:[:分](\d{1,2})(?:\.\d+)?秒?|分)? *(AM|PM)?)?",
    re.IGNORECASE,
)
COMPACT = re.compile(r"(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d))?")
SERIAL = re.compile(r"\d{5}(?:\.\d+)?")
SERIAL_START = datetime(1899, 12, 30)  # noqa: DTZ001 - a file's local time
FIRST_YEAR, LAST_YEAR = 1990, 2100


def clean(cell: str) -> str:
    """The text of a cell, without the tricks that keep spreadsheets from changing numbers."""
    if not cell or (cell[0] not in SUSPECT and cell[-1] not in SUSPECT):
        return cell
    cell = cell.strip(OUTER)
    if cell[:2] == '="' and cell[-1] == '"' and len(cell) > 2:
        return cell[2:-1].strip(OUTER)
    return cell.lstrip("'").strip(OUTER) if cell[:1] == "'" else cell


def parse_time(text: str, zone: tzinfo) -> datetime:
    """The instant that a cell tells, in UTC; local times are those of `zone`.

    Raises ValueError with what is wrong.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = _unusual_time(text)
    else:
        if len(text) == 8 and text.isdecimal() and not FIRST_YEAR <= moment.year <= LAST_YEAR:
            raise ValueError("not a date")
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise ValueError(f"the year is not between {FIRST_YEAR} and {LAST_YEAR}")
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    return moment.astimezone(UTC)


def _unusual_time(text: str) -> datetime:
    text = text.translate(FULL_WIDTH).strip()
    if match := DATE.fullmatch(text):
        year, month, day, before, hour, minute, second, after = match.groups()
        return _moment(year, month, day, hour, minute, second, (before or after or "").upper())
    if match := COMPACT.fullmatch(text):
        return _moment(*match.groups())
    if SERIAL.fullmatch(text):
        # a spreadsheet's count of days; rounded, since binary fractions miss the second
        return SERIAL_START + timedelta(seconds=round(float(text) * 86400))
    raise ValueError("not a date; write it as 2026-01-31 15:04:05")


def _moment(
    year: str, month: str, day: str,
    hour: str | None, minute: str | None, second: str | None, half: str = "",
) -> datetime:  # fmt: skip
    hours = int(hour or 0)
    if half in ("下午", "PM") and hours < 12:
        hours += 12
    elif half in ("上午", "AM") and hours == 12:
        hours = 0
    try:
        return datetime(  # noqa: DTZ001 - the caller adds the zone
            int(year), int(month), int(day), hours, int(minute or 0), int(second or 0)
        )
    except ValueError:
        raise ValueError("there is no such date") from None


def parse_amount(text: str, currency: str) -> int:
    """Minor units of an amount such as "￥1,234.50". Raises ValueError with what is wrong."""
    plain = text.translate(FULL_WIDTH).replace(" ", "")
    plain = CURRENCY_WORDS.sub("", plain)
    plain = CURRENCY_WORDS.sub("", plain)  # once before the number and once behind it
    if GROUPED_AMOUNT.fullmatch(plain):
        plain = plain.replace(",", "")
    elif not PLAIN_AMOUNT.fullmatch(plain):
        raise ValueError("not an amount; write it as 1234.50")
    try:
        minor = to_minor(Decimal(plain), currency)
    except InvalidOperation:
        raise ValueError("not an amount; write it as 1234.50") from None
    if minor < 0:
        raise ValueError("an amount must not be negative")
    return minor


def parse_quantity(text: str) -> int:
    """A number of pieces, 1 to a million. Raises ValueError with what is wrong."""
    plain = text.translate(FULL_WIDTH).removesuffix(".0").removesuffix("件").strip()
    if not plain.isascii() or not plain.isdecimal() or len(plain) > 7:
        raise ValueError("not a number of pieces")
    count = int(plain)
    if not 1 <= count <= 1_000_000:
        raise ValueError("a number of pieces is from 1 to 1000000")
    return count


def day_of(value: datetime | date) -> str:
    """A spreadsheet's date cell as text that `parse_time` reads."""
    return value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
