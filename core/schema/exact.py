"""Numbers and instants as clients may write them: of bounded size, and with their offset."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from strawberry.exceptions import StrawberryInputCoercionError
from strawberry.schema.types.base_scalars import DateTimeDefinition, DecimalDefinition

DIGITS = 30
"""A number of a million digits takes half a minute to turn into an integer, and stops the process
meanwhile."""


def _decimal(value: Any) -> Decimal:
    made: Decimal = DecimalDefinition.parse_value(value)  # type: ignore[misc]
    exponent = made.as_tuple().exponent
    if (
        not isinstance(exponent, int)
        or abs(made.adjusted()) > DIGITS
        or abs(exponent) > DIGITS
        or len(made.as_tuple().digits) > DIGITS
    ):
        raise StrawberryInputCoercionError(
            f"Value cannot represent a Decimal: write a number of at most {DIGITS} digits."
        )
    return made


def _datetime(value: Any) -> datetime:
    made: datetime = DateTimeDefinition.parse_value(value)  # type: ignore[misc]
    if made.tzinfo is None:
        raise StrawberryInputCoercionError(
            f'Value cannot represent a DateTime: "{value}" needs an offset, such as '
            "2026-06-15T12:00:00+08:00 or 2026-06-15T04:00:00Z."
        )
    return made


DECIMAL = replace(
    DecimalDefinition,
    parse_value=_decimal,
    description="A decimal number, best as text: up to 30 digits before and after the point.",
)
DATE_TIME = replace(
    DateTimeDefinition,
    parse_value=_datetime,
    description="An instant in ISO 8601 with its offset, such as 2026-06-15T12:00:00+08:00.",
)
