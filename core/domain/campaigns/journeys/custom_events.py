"""Events of the merchant's own: its server tells what happened to a customer."""

from collections.abc import Mapping
from typing import Any

import orjson

from core.sdk.errors import Faults, InvalidInput, NotFound
from core.sdk.events import CUSTOM_PREFIX, CUSTOM_TYPE, CustomEvent
from core.storage.database import Work

PREFIX, TYPE = CUSTOM_PREFIX, CUSTOM_TYPE
MAX_BYTES = 4_000
MAX_FIELDS = 30
OWN = ("customer_id", "order_id", "parcel_id", "shop_id", "customer_ids")
"""Fields that say what the event is about."""

DATA = ("input", "data")


async def record_event(
    w: Work, event_type: str, customer_id: int, order_id: int | None, data: Mapping[str, Any]
) -> None:
    """Record an event about a customer, and its order if it is about one.

    `data` are text, numbers and yes or no by name, which a journey's trigger can ask for; it holds
    no contact data. Raises InvalidInput, NotFound, Several.
    """
    faults = Faults()
    if not TYPE.fullmatch(event_type):
        faults.wrong('a type is "custom." and small letters, digits, _ and dots, up to 60', "type")
    with faults:
        _check_data(data)
    with faults:
        await _check_subject(w, customer_id, order_id)
    faults.tell()
    w.emit(CustomEvent(event_type, customer_id, order_id, dict(data)))


def _check_data(data: Any) -> None:
    if not isinstance(data, Mapping) or len(data) > MAX_FIELDS:
        raise InvalidInput(f"data is an object with up to {MAX_FIELDS} fields", DATA)
    for name, value in data.items():
        if name in OWN:
            raise InvalidInput(f"{name} says what the event is about, give it there", DATA)
        if not isinstance(value, str | int | float | bool | None):
            raise InvalidInput(f"{name} is neither text nor a number nor true or false", DATA)
    if len(orjson.dumps(data)) > MAX_BYTES:
        raise InvalidInput(f"data has at most {MAX_BYTES} bytes", DATA)


async def _check_subject(w: Work, customer_id: int, order_id: int | None) -> None:
    faults = Faults()
    # held, as a merge holds them, so that nobody is named who goes
    if not await w.sql.fetchval(
        "SELECT id FROM customers WHERE merchant_id = $1 AND id = $2 FOR KEY SHARE",
        w.merchant_id, customer_id,
    ):  # fmt: skip
        faults.add(NotFound("there is no customer with this id", ("input", "customerId")))
    if order_id is not None and not await w.sql.fetchval(
        """SELECT id FROM orders WHERE merchant_id = $1 AND id = $2 AND customer_id = $3""",
        w.merchant_id, order_id, customer_id,
    ):  # fmt: skip
        faults.add(NotFound("the customer has no such order", ("input", "orderId")))
    faults.tell()
