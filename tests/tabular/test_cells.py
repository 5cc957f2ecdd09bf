from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from core.tabular.cells import (
    clean,
    parse_amount,
    parse_quantity,
    parse_time,
)

SHANGHAI = ZoneInfo("Asia/Shanghai")
AFTERNOON = datetime(2026, 1, 2, 7, 4, tzinfo=UTC)
MIDNIGHT = datetime(2026, 1, 1, 16, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-02 15:04:00", AFTERNOON),
        ("2026/1/2 15:04", AFTERNOON),
        ("2026/1/2 15:04:00", AFTERNOON),
        ("2026.01.02 15:04", AFTERNOON),
        ("2026-01-02T15:04:00+08:00", AFTERNOON),
        ("2026-01-02T07:04:00Z", AFTERNOON),
        ("20260102150400", AFTERNOON),
        ("2026年1月2日 15时04分", AFTERNOON),
        ("2026年1月2日", MIDNIGHT),
        ("2026-1-2 下午 3:04", AFTERNOON),
        ("2026-1-2 3:04 PM", AFTERNOON),
        ("２０２６-０１-０２ １５:０４", AFTERNOON),
        ("46024", MIDNIGHT),
        ("46024.6277777778", AFTERNOON),
        ("2026-01-02", MIDNIGHT),
        ("20260102", MIDNIGHT),
    ],
)
def test_dates_of_every_kind(text, expected):
    assert parse_time(text, SHANGHAI) == expected


@pytest.mark.parametrize(
    "text",
    [
        "yesterday",
        "2026-02-30",
        "1/2/2026",
        "=NOW()",
        "0001-01-01",
        "99999",
        "2026-13-01 00:00:00",
        "12",
    ],
)
def test_what_is_no_date(text):
    with pytest.raises((ValueError, OverflowError)):
        parse_time(text, SHANGHAI)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12.34", 1234), ("￥12.34", 1234), ("¥ 1,234.50", 123450), ("１２．３４", 1234),
        ("12.34元", 1234), ("0", 0), ("1,234,567", 123456700), (".5", 50), ("CNY 7", 700),
        ("12.340", 1234),
    ],
)  # fmt: skip
def test_amounts(text, expected):
    assert parse_amount(text, "CNY") == expected


@pytest.mark.parametrize(
    "text", ["=1+1", "12,34", "-5", "1.234", "abc", "1e5", "NaN", "9" * 30, "1.2.3"]
)
def test_what_is_no_amount(text):
    with pytest.raises(ValueError):
        parse_amount(text, "CNY")


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "99999999", "²"])
def test_what_is_no_quantity(text):
    with pytest.raises(ValueError):
        parse_quantity(text)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [('="123"', "123"), ("\t123", "123"), ("'123", "123"), (" 123 ", "123"), ("123", "123"),
     ("", ""), ('=""', ""), ("=1+1", "=1+1"), ("\ufeffx", "x"), ("'", "")],
)  # fmt: skip
def test_cells_lose_their_armour(cell, expected):
    assert clean(cell) == expected
