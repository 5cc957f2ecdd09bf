"""What the platform sends us by itself: which orders have changed."""

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import orjson

from core.sdk import Changed, Refused, Resource, WebRequest, WebResponse
from core.sdk.answers import Row, text
from core.sdk.signing import check_pushed
from plugins.aliexpress.settings import AliExpressSettings

KEEPS = WebResponse("ok")
ORDER = ("orderId", "order_id", "tradeOrderId", "trade_order_id")
MILLISECONDS = 10**11
"""From here on a number of seconds is one of milliseconds."""


def receive(
    settings: AliExpressSettings, request: WebRequest
) -> tuple[Sequence[Changed], WebResponse]:
    """Check the signature and name what changed. Raises Refused."""
    _check(settings, request)
    try:
        told = orjson.loads(request.body)
        change = _changed(settings, told)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise Refused(f"the message makes no sense: {error!r}") from None
    return ([] if change is None else [change]), KEEPS


def _check(settings: AliExpressSettings, request: WebRequest) -> None:
    said = request.body
    if settings.push_signs == "key_and_body":
        said = (settings.app_key or "").encode() + said
    check_pushed(said, settings.app_secret, request.headers.get("authorization", ""))


def _changed(settings: AliExpressSettings, told: Row) -> Changed | None:
    """What a message is about; None if it is of no interest, as the platform's own trial is."""
    kind = int(told["message_type"])
    data: Any = told.get("data")
    if isinstance(data, str):
        data = orjson.loads(data)
    if kind not in settings.push_orders or not isinstance(data, dict):
        return None
    order = next((found for name in ORDER if (found := text(data.get(name)))), None)
    if order is None:
        return None
    stamp, shop = int(told["timestamp"]), str(told["seller_id"])
    # a message has no number of its own; what is repeated is the same in every part
    whole = orjson.dumps([shop, kind, data, stamp], option=orjson.OPT_SORT_KEYS)
    return Changed(
        blake2b(whole, digest_size=16).hexdigest(),
        shop,
        Resource.ORDERS,
        order,
        datetime.fromtimestamp(stamp / 1000 if stamp >= MILLISECONDS else stamp, UTC),
    )
