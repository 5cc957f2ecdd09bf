"""Numbers and instants that clients write."""

import pytest

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
