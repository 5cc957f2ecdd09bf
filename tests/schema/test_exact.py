"""Numbers and instants that clients write."""

from datetime import time

import pytest
from strawberry.exceptions import StrawberryInputCoercionError

from core.schema.exact import TIME

NUMBERS = """query ($amount: Decimal!) { segmentPreview(rule: {orderSum: {currency: "CNY",
  atLeast: $amount}}) { preview { count } errors { message } } }"""
INSTANT = """mutation ($at: DateTime) { tokenCreate(input: {name: "t",
  permissions: [CUSTOMERS_READ], expiresAt: $at}) { errors { code } } }"""


@pytest.mark.parametrize(
    "amount", ["1E+9999999", "1E-999999", "Infinity", "NaN", "9" * 31, "0." + "1" * 31, "ten"]
)
async def test_absurd_numbers_are_refused_at_once(api, kept, amount):
    answer = await api(kept.token, NUMBERS, amount=amount)
    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "BAD_REQUEST"
    assert "Decimal" in error["message"]


async def test_numbers_of_any_sensible_size_are_read(api, kept):
    for amount in ("0", "99.90", "1E+3", 12, "0.000001"):
        assert "errors" not in await api(kept.token, NUMBERS, amount=amount)


async def test_an_instant_needs_its_offset(api, kept):
    answer = await api(kept.token, INSTANT, at="2027-01-01T00:00:00")
    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "BAD_REQUEST"
    assert "+08:00" in error["message"]


DAY = "query ($day: Date!) { lifecycleMoves(from: $day, to: $day) { customers } }"


@pytest.mark.parametrize(
    "day", ["20260615", "2026-W25-1", "2026-6-5", "２０２６-06-15", "2026-02-30", 5]
)
async def test_a_day_is_written_in_one_way(api, kept, day):
    answer = await api(kept.token, DAY, day=day)
    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "BAD_REQUEST"
    assert "Date" in error["message"]
    assert "errors" not in await api(kept.token, DAY, day="2026-06-15")


def test_a_time_of_day_has_no_offset():
    assert TIME.parse_value("21:30") == time(21, 30)
    for wrong in ("21:30+08:00", "2130", "24:00", "21:30:00.5", 21):
        with pytest.raises(StrawberryInputCoercionError):
            TIME.parse_value(wrong)
