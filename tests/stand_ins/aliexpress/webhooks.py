"""What the platform sends by itself, once more until it is taken, and signed in two ways."""

import orjson

from core.sdk import WebRequest
from tests.stand_ins.aliexpress.signing import pushed

TRIES = 12


def request(world, app, shop, kind, data, over="key_and_body", signature=None):
    """A message as it arrives."""
    body = orjson.dumps({
        "seller_id": str(shop.seller_id), "message_type": kind, "data": data,
        "timestamp": int(world.now().timestamp()), "site": "ae_global",
    })  # fmt: skip
    signature = signature or pushed(body, app.key, app.secret, over)
    return WebRequest("POST", "https://crm.example/hooks", [], {"authorization": signature}, body)


async def deliver(take, told):
    """Send it until it is taken; returns how often it was sent."""
    for turn in range(TRIES):
        try:
            answer = await take(told)
        except Exception:
            continue
        if answer.status == 200:
            return turn + 1
    return TRIES
