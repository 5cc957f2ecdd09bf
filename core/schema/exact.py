"""Numbers, days and instants as clients may write them: bounded, exact, and with their offset.

Phone numbers are taken as they are written: a typing error is the user's, and is told in the
payload, with its path and beside all others. Refused here, it would be a fault of the request: a
form lost its other errors, and a batch all of its records.
"""

import re
from dataclasses import replace
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import strawberry
from strawberry.exceptions import StrawberryInputCoercionError
from strawberry.file_uploads.scalars import UploadDefinition
from strawberry.schema.types.base_scalars import (
    DateDefinition,
    DateTimeDefinition,
    DecimalDefinition,
    TimeDefinition,
)
from strawberry.types.scalar import ScalarDefinition

RFC3339 = "https://www.rfc-editor.org/rfc/rfc3339#section-5.6"
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
HOUR = re.compile(r"[0-9]{2}:[0-9]{2}(:[0-9]{2})?")
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


def _date(value: Any) -> date:
    if not isinstance(value, str) or not DAY.fullmatch(value):
        raise StrawberryInputCoercionError(
            'Value cannot represent a Date: write a day as text, such as "2026-06-15".'
        )
    made: date = DateDefinition.parse_value(value)  # type: ignore[misc]
    return made


def _time(value: Any) -> time:
    if not isinstance(value, str) or not HOUR.fullmatch(value):
        raise StrawberryInputCoercionError(
            'Value cannot represent a Time: write it as text without an offset, such as "21:30".'
        )
    made: time = TimeDefinition.parse_value(value)  # type: ignore[misc]
    return made


def _phone(value: Any) -> str:
    if not isinstance(value, str):
        raise StrawberryInputCoercionError(
            'Value cannot represent a PhoneNumber: write it as text, such as "+8613800138000".'
        )
    return value


DECIMAL = replace(
    DecimalDefinition,
    parse_value=_decimal,
    specified_by_url="https://www.rfc-editor.org/rfc/rfc8259#section-6",
    description="A decimal number, best as text: up to 30 digits before and after the point.",
)
DATE_TIME = replace(
    DateTimeDefinition,
    parse_value=_datetime,
    description="An instant in ISO 8601 with its offset, such as 2026-06-15T12:00:00+08:00.",
    specified_by_url=RFC3339,
)
DATE = replace(
    DateDefinition,
    parse_value=_date,
    description="A day, such as 2026-06-15.",
    specified_by_url=RFC3339,
)
TIME = replace(
    TimeDefinition,
    parse_value=_time,
    description="A time of day without an offset, such as 21:30.",
    specified_by_url=RFC3339,
)
PHONE_NUMBER: ScalarDefinition = strawberry.scalar(
    name="PhoneNumber",
    description="A phone number as text, best in E.164, such as +8613800138000. Without a "
    "country's code it is a Chinese one; spaces, hyphens and brackets do not count. What is no "
    "number that can be reached is an error of the mutation, with its path.",
    specified_by_url="https://www.itu.int/rec/T-REC-E.164",
    serialize=str,
    parse_value=_phone,
)
UPLOAD = replace(
    UploadDefinition,
    specified_by_url="https://github.com/jaydenseric/graphql-multipart-request-spec",
)
