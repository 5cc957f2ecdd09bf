"""What a store sends us by itself: which orders have changed."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import blake2b

import orjson

from core.sdk import Changed, Refused, Resource, WebRequest, WebResponse
from core.sdk.answers import moment, rows
from core.sdk.signing import check_pushed
from plugins.woocommerce.settings import WooCommerceSettings

TRIAL = re.compile(rb"webhook_id=[0-9]+")
"""What comes, unsigned, when a webhook is made; without an answer of 200 it is not."""
ORDER = re.compile(r"(?P<store>.+)/wp-json/wc/v[0-9]+/orders/[0-9]+")
"""The address of an order, which its store puts into the message itself."""
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def receive(
    settings: WooCommerceSettings, request: WebRequest
) -> tuple[Sequence[Changed], WebResponse]:
    """Check the signature and name the order that changed. Raises Refused."""
    if TRIAL.fullmatch(request.body):
        return [], WebResponse("ok")
    given = request.headers.get("x-wc-webhook-signature", "")
    check_pushed(request.body, settings.webhook_secret, given, base64=True)
    if not request.headers.get("x-wc-webhook-topic", "").startswith("order."):
        return [], WebResponse("ok")
    try:
        told = orjson.loads(request.body)
        # a deleted order has a number and nothing else
        at = moment(told.get("date_modified_gmt")) or LONG_AGO
        number, links = str(told["id"]), rows(told.get("_links") or {}, "self")
        address = str(links[0]["href"]) if links else None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Refused(f"the message makes no sense: {error!r}") from None
    # only the body is signed: what a header says of it may be somebody else's word
    if address is None:
        shop = shop_id(request.headers.get("x-wc-webhook-source", ""))
    elif (found := ORDER.fullmatch(address)) is not None:
        shop = shop_id(found["store"])
    else:
        return [], WebResponse("ok")
    # the store's own number of a delivery is the same for all of one second
    key = blake2b(shop.encode() + b"\n" + request.body, digest_size=16).hexdigest()
    return [Changed(key, shop, Resource.ORDERS, number, at)], WebResponse("ok")


def shop_id(address: str) -> str:
    """What names a store: its address without scheme and last slash."""
    return address.partition("://")[2].rstrip("/").lower()
