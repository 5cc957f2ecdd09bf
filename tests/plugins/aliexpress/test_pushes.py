"""What the platform sends by itself."""

from datetime import timedelta

import orjson
import pytest

from core.sdk import Refused, Resource, WebRequest
from plugins.aliexpress import pushes
from plugins.aliexpress.settings import AliExpressSettings
from tests.plugins.aliexpress.followed import followed
from tests.plugins.aliexpress.kit import NOW
from tests.stand_ins.aliexpress import webhooks
from tests.stand_ins.aliexpress.signing import pushed

BODY = (
    b'{"seller_id":"1234","message_type":53,"data":{"buyerId":1,"orderId":1100000000000001,'
    b'"orderStatus":"OrderShipped"},"timestamp":1767240000,"site":"ae_global"}'
)
SIGNED = "f858d1df3e04fa960b14384d05e80dd4a4a9ecbdb2d40c2a80ea0da96e78d340"
SHIPPED = {"buyerId": 1, "orderId": 1100000000000001, "orderStatus": "OrderShipped"}


def settings(**more):
    return AliExpressSettings(app_key="500000", app_secret="aesecret", **more)


def arrived(body, signature):
    headers = {} if signature is None else {"authorization": signature}
    return WebRequest("POST", "https://crm.example/hooks", [], headers, body)


@pytest.mark.parametrize("signature", [SIGNED, SIGNED.upper()])
def test_the_published_message(signature):
    (change,), answer = pushes.receive(settings(), arrived(BODY, signature))
    assert (change.shop, change.resource, change.external_id, change.at) == (
        "1234", Resource.ORDERS, "1100000000000001", NOW,
    )  # fmt: skip
    assert answer.status == 200


@pytest.mark.parametrize("signature", ["", None, "0" * 64, SIGNED[:-1] + "é"])
def test_what_the_platform_did_not_send(signature):
    with pytest.raises(Refused, match="signature"):
        pushes.receive(settings(), arrived(BODY, signature))


async def test_messages_are_signed_in_one_of_two_ways(platform):
    for over in ("key_and_body", "body"):
        told = webhooks.request(
            platform.world, platform.app, platform.shop, 53, SHIPPED, over
        )  # fmt: skip
        for ours in ("key_and_body", "body"):
            platform.set(push_signs=ours)
            if ours == over:
                changes, _ = await platform.connector.receive(platform.settings, told)
                assert len(changes) == 1
            else:
                with pytest.raises(Refused):
                    await platform.connector.receive(platform.settings, told)


@pytest.mark.parametrize(("kind", "data"), [
    (0, {}), (65, {"expires": 1}), (53, {"buyerId": 1}), (53, None), (7, SHIPPED),
])  # fmt: skip
async def test_what_is_of_no_interest_is_taken_all_the_same(platform, kind, data):
    told = webhooks.request(platform.world, platform.app, platform.shop, kind, data)
    changes, answer = await platform.connector.receive(platform.settings, told)
    assert (changes, answer.status) == ([], 200)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"message_type":"x"}',
    b'{"message_type":53,"data":{"orderId":1},"timestamp":99999999999999999999,"seller_id":1}',
])  # fmt: skip
def test_what_makes_no_sense(body):
    with pytest.raises(Refused):
        pushes.receive(settings(), arrived(body, pushed(body, "500000", "aesecret", "")))


async def test_which_types_are_about_orders_is_a_setting(platform):
    platform.set(push_orders=[7])
    data = orjson.dumps({"order_id": 5}).decode()
    told = webhooks.request(platform.world, platform.app, platform.shop, 7, data)
    (change,), _ = await platform.connector.receive(platform.settings, told)
    assert change.external_id == "5"


async def test_a_message_is_quicker_than_the_list_and_counts_once(merchant):
    async with followed(merchant) as shop:
        await shop.connect()
        await shop.work()
        number = shop.order(late=timedelta(minutes=8))
        told = webhooks.request(
            shop.world, shop.platform.app, shop.platform.shop, 53, {"orderId": number}
        )
        forged = webhooks.request(
            shop.world, shop.platform.app, shop.platform.shop, 53, {"orderId": 9}, signature="0"
        )
        assert await webhooks.deliver(shop.take, forged) == webhooks.TRIES
        for _ in range(2):
            assert await webhooks.deliver(shop.take, told) == 1
        shop.later(seconds=5)
        await shop.work()
        assert await shop.orders() == shop.truth()
        await shop.pass_time(20, step=5)
        assert await shop.events() == [("order.created", str(number), "created_unpaid")]
