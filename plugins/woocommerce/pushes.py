"""What a store sends us by itself: which orders have changed."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import blake2b

import orjson

from core.sdk import Changed, Refused, Resource, WebRequest, WebResponse
from core.sdk.signing import check_pushed
from plugins.woocommerce.orders import moment
from plugins.woocommerce.settings import WooCommerceSettings

TRIAL = re.compile(rb"webhook_id=[0-9]+")
"""What comes, unsigned, when a webhook is made; without an answer of 200 it is not."""
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def receive(
    settings: WooCommerceSettings, request: WebRequest
) -> tuple[Sequence[Changed], WebResponse]:
    """Check the signature and name the order that changed. Raises Refused."""
    if TRIAL.fullmatch(request.body):
        return [], WebResponse("ok")
    given = request.headers.get("x-wc-webhook-signature", "")
    check_pushed(request.body, settings.webhook_secret, given, base64=True)
    topic = request.headers.get("x-wc-webhook-topic", "")
    if not topic.startswith("order."):
        return [], WebResponse("ok")
    source = request.headers.get("x-wc-webhook-source", "")
    try:
        told = orjson.loads(request.body)
        # a deleted order has a number and nothing else
        at = moment(told.get("date_modified_gmt")) or LONG_AGO
        number = str(told["id"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Refused(f"the message makes no sense: {error!r}") from None
    # the store's own number of a delivery is the same for all of one second
    whole = b"\n".join((source.encode(), topic.encode(), request.body))
    key = blake2b(whole, digest_size=16).hexdigest()
    return [Changed(key, shop_id(source), Resource.ORDERS, number, at)], WebResponse("ok")


def shop_id(address: str) -> str:
    """What names a store: its address without scheme and last slash."""
    return address.partition("://")[2].rstrip("/").lower()
