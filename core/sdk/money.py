"""Money in minor units: 12.34 CNY is 1234, 500 JPY is 500."""

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation, Overflow
from typing import Any

from core.sdk.errors import InvalidInput

# Currencies whose minor unit is not 1/100 (ISO 4217).
EXPONENTS = {
    **dict.fromkeys(("JPY", "KRW", "VND", "CLP", "ISK", "UGX", "XAF", "XOF", "XPF", "PYG"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}
CENTS = [f".{number:02}" for number in range(100)]
MAX_MINOR = 10**15


def exponent(currency: str) -> int:
    """Number of decimals of a currency."""
    return EXPONENTS.get(currency, 2)


def to_minor(amount: Decimal, currency: str) -> int:
    """Minor units of an amount. Raises ValueError when it has too many decimals or is absurd."""
    try:
        scaled = amount.scaleb(exponent(currency))
    except (InvalidOperation, Overflow):
        raise ValueError(f"{amount} is not an amount") from None
    if not scaled.is_finite() or abs(scaled) > MAX_MINOR:
        raise ValueError(f"{amount} is out of range")
    if scaled != scaled.to_integral_value():
        raise ValueError(f"{amount} has more than {exponent(currency)} decimals of {currency}")
    return int(scaled)


def minor_of(amount: Decimal, currency: str, path: tuple[str, ...]) -> int:
    """Minor units of an amount that somebody has written. Raises InvalidInput at the path."""
    try:
        return to_minor(amount, currency)
    except ValueError as error:
        raise InvalidInput(str(error), path) from None


def read_minor(told: Any, currency: str, rounded: bool = False) -> int:
    """Minor units of an amount as a platform writes it: decimal text, or a number.

    More decimals than the currency has are rounded half up if that is `rounded`. Raises ValueError.
    """
    try:
        amount = Decimal(str(told))
        if rounded:
            amount = amount.quantize(from_minor(1, currency), ROUND_HALF_UP)
    except InvalidOperation:
        raise ValueError(f"{told!r} is no amount") from None
    return to_minor(amount, currency)


def from_minor(minor: int, currency: str) -> Decimal:
    """The amount of so many minor units, with all the currency's decimals."""
    return Decimal(minor).scaleb(-EXPONENTS.get(currency, 2))


def minor_text(minor: int, currency: str) -> str:
    """The text of the amount of so many minor units."""
    if minor < 0 or currency in EXPONENTS:
        return str(from_minor(minor, currency))
    return str(minor // 100) + CENTS[minor % 100]


def to_millionths(amount: Decimal) -> int:
    """An amount that may be smaller than a minor unit, as millionths of the major unit, rounded."""
    return int((amount * 1_000_000).to_integral_value())


def from_millionths(millionths: int) -> Decimal:
    """The amount of so many millionths of the major unit."""
    return Decimal(millionths).scaleb(-6)
