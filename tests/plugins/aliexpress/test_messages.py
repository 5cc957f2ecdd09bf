"""Messages to buyers and the daily reminder of unpaid orders."""

from dataclasses import replace
from datetime import timedelta

import pytest

from core.registry import Owned
from core.sdk import OutgoingMessage, Refused, RetryLater, Unknown
from core.sdk.gateways import http_session
from plugins.aliexpress.channel import AliExpressMessages, MessageSession
from plugins.aliexpress.messages import Template
from tests.plugins.aliexpress.followed import followed
from tests.plugins.taobao.kit import SHOP_ID
from tests.recipe_kit import Stage

SEND = "aliexpress/message/send"
LOGIN = "es1000000001abc"
TEXT = {"text": "Hi, your order is still waiting."}


def message(**more):
    values = {
        "key": "m-1", "to": LOGIN, "content": TEXT, "message_class": "service",
        "shop_id": SHOP_ID,
    }  # fmt: skip
    return OutgoingMessage(**values | more)


@pytest.fixture
async def session(platform):
    token = platform.token()

    async def token_of(shop_id):
        assert shop_id == SHOP_ID
        return token

    async with http_session() as http:
        yield MessageSession(http, platform.settings, platform.world.clock, token_of)


def sent(platform):
    return [(m["template_id"], m["scene_id"], m["message_content_dto"]) for m in platform.shop.sent]


async def test_a_notice_about_an_order_brings_its_card(platform, session):
    number = platform.world.order(platform.shop)
    receipt = await session.send(message(order_external_id=str(number)))
    assert sent(platform) == [
        (1, 4, {"txt": TEXT["text"]}), (10007, 4, {"order_id": number}),
    ]  # fmt: skip
    assert {m["buyer_id"] for m in platform.shop.sent} == {300000000}
    assert receipt.provider_id == "m-1"


async def test_a_notice_about_none_brings_the_card_of_the_order_that_waits(platform, session):
    paid = platform.world.order(platform.shop, order_status="FINISH")
    first = platform.world.order(platform.shop)
    platform.world.clock.move(timedelta(minutes=1))
    latest = platform.world.order(platform.shop)
    platform.world.order(platform.shop, buyer_login_id="somebody else")
    await session.send(message())
    assert sent(platform)[1] == (10007, 4, {"order_id": latest})
    assert latest > first > paid


@pytest.mark.parametrize(("card", "expected"), [
    ("", []), ("none", []), ("item:7", [(10006, 1, {"item_id": 7})]),
])  # fmt: skip
async def test_marketing_brings_the_card_that_is_written(platform, session, card, expected):
    platform.world.order(platform.shop)
    await session.send(message(message_class="marketing", content=TEXT | {"card": card}))
    assert sent(platform) == [(1, 1, {"txt": TEXT["text"]}), *expected]


@pytest.mark.parametrize("more", [
    {"to": "stranger"}, {"shop_id": None}, {"content": TEXT | {"card": "order:x"}},
    {"content": TEXT | {"card": "heart:1"}},
])  # fmt: skip
async def test_what_cannot_be_sent(platform, session, more):
    platform.world.order(platform.shop)
    with pytest.raises(Refused):
        await session.send(message(**more))
    assert platform.shop.sent == []


@pytest.mark.parametrize(("fault", "error", "count"), [
    ("after_write", Unknown, 1), ("service_timeout", Unknown, 0), ("limited:2", RetryLater, 0),
    ("business", Refused, 0),
])  # fmt: skip
async def test_what_was_perhaps_sent_is_not_sent_again(platform, session, fault, error, count):
    number = platform.world.order(platform.shop)
    platform.world.fault(SEND, fault)
    with pytest.raises(error):
        await session.send(message(order_external_id=str(number)))
    assert len(platform.shop.sent) == count
    assert len(platform.world.calls_of(SEND)) == 1


async def test_a_card_that_fails_does_not_send_the_text_again(platform, session):
    number = platform.world.order(platform.shop)
    card = {"content": TEXT | {"card": f"order:{number + 1}"}}
    assert (await session.send(message(**card))).provider_id == "m-1"
    assert [template for template, _, _ in sent(platform)] == [1]


async def test_messages_are_called_by_path_where_the_gateway_wants_it(platform):
    platform.world.path_messages = True
    platform.set(shapes={"aliexpress/message/": "path"})
    platform.world.order(platform.shop)
    token = platform.token()

    async def token_of(shop_id):
        return token

    async with http_session() as http:
        session = MessageSession(http, platform.settings, platform.world.clock, token_of)
        await session.send(message(content=TEXT | {"card": "none"}))
    assert len(platform.shop.sent) == 1


class Store(Stage):
    """A shop that is followed, and all the work of its merchant."""

    def __init__(self, shop):
        channels = dict(shop.registry.channels)
        channels["aliexpress_message"] = Owned("aliexpress", AliExpressMessages(shop.world.clock))
        self.shop = shop
        self.registry = replace(shop.registry, channels=channels)
        installation = replace(shop.installation, registry=self.registry)
        self.merchant = replace(shop.merchant, installation=installation)
        self.db, self.clock = shop.db, shop.world.clock

    async def later(self, **span):
        self.clock.move(timedelta(**span))
        await self.shop.work()
        await self.turn()

    def reminded(self):
        """Whom the shop reminded, by what."""
        logins = {number: login for login, number in self.shop.platform.shop.buyers.items()}
        return [
            (logins[told["buyer_id"]], Template(told["template_id"]))
            for told in self.shop.platform.shop.sent
        ]


async def test_the_daily_reminder_reaches_whoever_has_not_paid_and_nobody_twice(merchant):
    """From the platform's orders to the text and the card in the buyer's conversation."""
    async with followed(merchant) as shop:
        store = Store(shop)
        await shop.connect()
        await shop.work()
        shop.later(minutes=2)
        waits = shop.order(buyer_login_id="waits")
        pays = shop.order(buyer_login_id="pays")
        shop.order(buyer_login_id="forgot", gmt_create=shop.world.now() - timedelta(days=6))
        await store.later(minutes=4)
        campaign = await store.on(
            "daily_payment_reminder", "aliexpress_message", shop_id=shop.id, language="en"
        )
        shop.order(pays, order_status="WAIT_SELLER_SEND_GOODS", fund_status="PAY_SUCCESS")
        for _ in range(6):
            await store.later(hours=4)
        once = [("waits", Template.TEXT), ("waits", Template.ORDER)]
        assert store.reminded() == once
        card = shop.platform.shop.sent[1]
        assert card["message_content_dto"] == {"order_id": waits}
        assert {told["scene_id"] for told in shop.platform.shop.sent} == {4}

        shop.order(buyer_login_id="waits")
        shop.order(buyer_login_id="new")
        for _ in range(6):
            await store.later(hours=4)
        assert store.reminded() == [*once, ("new", Template.TEXT), ("new", Template.ORDER)]
        assert await store.state(campaign) == "running"
        assert await shop.problems() == []
