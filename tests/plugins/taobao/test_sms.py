"""Text messages by the platform, to buyers without a number."""

from datetime import time

import pytest

from core.domain.campaigns.audience import plan_run
from core.domain.campaigns.campaigns import create_campaign
from core.domain.campaigns.control import start_campaign
from core.domain.campaigns.news import fetch_news
from core.domain.campaigns.sending import send_run
from core.domain.connections.opening import shop_token
from core.domain.customers.consent import set_consent
from core.domain.segments.segments import create_segment
from core.sdk import (
    OutgoingMessage,
    PluginContext,
    ReconnectNeeded,
    Refused,
    RetryLater,
    Token,
    Unknown,
    marketing_hours,
)
from core.sdk.gateways import http_session
from plugins.taobao.consents import Agreement, record
from plugins.taobao.sms import BY_OAID, BY_OUID, SmsSession, TaobaoSms, template_params
from tests.plugins.taobao.followed import followed
from tests.plugins.taobao.kit import SHOP_ID, Platform
from tests.sending_kit import ALL
from tests.stand_ins.taobao import sms

CONTENT = {"template_code": "SMS_1", "params": "name=小明\npoints = 3=3\n\n"}


def message(**more):
    values = {
        "key": "m-1", "to": "AAGsynOuid0001", "content": CONTENT, "message_class": "marketing",
        "shop_id": SHOP_ID,
    }  # fmt: skip
    return OutgoingMessage(**values | more)


async def nobody(agreed):
    assert agreed == []


@pytest.fixture
async def opened(world):
    """Opens a session for a platform whose shop has a token."""
    sessions = []

    def make(mode="crm"):
        platform = Platform(world, mode)
        platform.settings = platform.settings.model_copy(
            update={"sms_sign_name": "示范店铺", "sms_group": "sms"}
        )
        token = Token(world.grant(platform.app, platform.shop))

        async def token_of(shop_id):
            assert shop_id == SHOP_ID
            return token

        sessions.append(http_session())
        return platform, SmsSession(sessions[-1], platform.settings, world.clock, token_of, nobody)

    yield make
    for one in sessions:
        await one.close()


async def test_a_buyer_is_written_to_by_his_ouid(opened):
    platform, session = opened()
    receipt = await session.send(message())
    (sent,) = platform.world.sms
    assert (sent["to"], sent["extend"], receipt.provider_id) == (
        "AAGsynOuid0001", "m-1", sent["biz_id"],
    )  # fmt: skip
    assert sent["params"] == {"name": "小明", "points": "3=3"}


async def test_the_receiver_of_an_order_is_written_to_by_its_oaid(opened):
    platform, session = opened("full")
    tid = platform.world.trade(platform.shop, oaid="oaid-of-this-week")
    about = {"message_class": "service", "order_external_id": str(tid)}
    await session.send(message(**about))
    # what a buyer agreed to is his own, and marketing is not for whoever gets the parcel
    await session.send(message(**about | {"message_class": "marketing"}))
    assert [sent["to"] for sent in platform.world.sms] == ["oaid-of-this-week", "AAGsynOuid0001"]
    assert len(platform.world.calls_of(BY_OAID)) == len(platform.world.calls_of(BY_OUID)) == 1


@pytest.mark.parametrize(("fault", "error", "sent"), [
    ("after_write", Unknown, 1), ("timeout", Unknown, 0), ("busy", RetryLater, 0),
    ("limited:2", RetryLater, 0), ("forbidden", Refused, 0),
])  # fmt: skip
async def test_what_was_perhaps_sent_is_not_sent_again(opened, fault, error, sent):
    platform, session = opened()
    platform.world.fault(BY_OUID, fault)
    with pytest.raises(error):
        await session.send(message())
    assert len(platform.world.sms) == sent


@pytest.mark.parametrize("more", [
    {"content": {"template_code": "SMS_9"}}, {"content": {"template_code": "SMS_1", "params": "x"}},
    {"shop_id": None},
])  # fmt: skip
async def test_what_cannot_be_sent(opened, more):
    platform, session = opened()
    with pytest.raises(Refused):
        await session.send(message(**more))
    assert platform.world.sms == []


async def test_reports_come_again_until_they_are_kept(opened):
    platform, session = opened()
    for number in range(2):
        await session.send(message(key=f"m-{number}"))
    good, bad = platform.world.sms
    sms.report(platform.world, good)
    sms.report(platform.world, bad, "2", "SYN_BLACKLIST")
    sms.answer(platform.world, good)
    news = await session.news(None)
    assert [(one.key, one.status, one.detail) for one in news.receipts] == [
        ("m-0", "delivered", None), ("m-1", "undelivered", "SYN_BLACKLIST"),
    ]  # fmt: skip
    assert [reply.text for reply in news.replies] == ["T"]
    platform.world.clock.move(platform.world.redelivery)
    again = await session.news(None)  # it was not kept: the same comes again
    assert again == news
    platform.world.clock.move(platform.world.redelivery)
    assert (await session.news(again.cursor)).receipts == []
    assert all(one.confirmed for one in platform.world.messages)


async def test_other_messages_of_a_shared_group_are_left_alone(opened):
    platform, session = opened()
    platform.world.tell(platform.shop, "taobao_trade_TradeCreate", {"tid": 1}, "sms")
    news = await session.news(None)
    await session.news(news.cursor)
    assert not platform.world.messages[0].confirmed


@pytest.mark.parametrize("line", ["no equals", "=x", "a=1\nb"])
def test_values_of_a_template_are_lines_of_name_and_value(line):
    with pytest.raises(Refused, match="name=value"):
        template_params(line)


async def test_a_campaign_reaches_buyers_who_have_neither_phone_nor_nick(merchant):
    """From the platform's order to the message and the report of its delivery."""
    async with followed(merchant, sms_sign_name="示范店铺", sms_group="sms") as shop:
        await shop.connect()
        shop.later(minutes=2)
        shop.trade()
        await shop.pass_time(3)
        # he agrees on the platform, and so does somebody who never bought
        for ouid in ("AAGsynOuid0001", "AAGsynOuid0009"):
            told = {"ouid": ouid, "seller_id": 2200000000001, "msg_id": ouid}
            shop.world.tell(shop.platform.shop, "taobao_opencrm_AuthTouchMessage", told, "sms")
        await fetch_news(shop.db, shop.registry, merchant.id)
        async with merchant.work() as w:
            segment = await create_segment(w, shop.registry, "all", ALL)
            campaign = await create_campaign(
                w, shop.registry, name="c", channel="taobao_sms", segment_id=segment,
                content=CONTENT, message_class="marketing", shop_id=shop.id,
            )  # fmt: skip
            run = await start_campaign(w, shop.registry, campaign)
        await plan_run(shop.db, shop.registry, merchant.id, run)
        await send_run(shop.db, shop.registry, merchant.id, run, "http://s.example")
        assert {sent["to"] for sent in shop.world.sms} == {"AAGsynOuid0001", "AAGsynOuid0009"}
        sms.report(shop.world, shop.world.sms[0])
        shop.later(minutes=1)
        await fetch_news(shop.db, shop.registry, merchant.id)
        deliveries = await shop.ask("SELECT * FROM deliveries WHERE merchant_id = $1")
        assert {(row["state"], row["receipt"]) for row in deliveries} == {
            ("sent", "delivered"), ("sent", None),
        }  # fmt: skip
        # both agreements were confirmed, since the next question came after they were kept
        assert [m.confirmed for m in shop.world.messages if "Touch" in m.topic] == [True, True]


async def test_an_agreement_that_comes_again_does_not_overturn_a_later_no(merchant):
    async with followed(merchant) as shop:
        await shop.connect()
        context = PluginContext(merchant.id, shop.platform.settings, shop.db, shop.registry)
        told = [Agreement("1", "2200000000001", "AAGsynOuid0001", shop.world.now())]
        stranger = [Agreement("2", "99", "AAGsynOuid0002", shop.world.now())]
        await record(context, "taobao_sms", [*told, *stranger])
        (before,) = await shop.ask("SELECT * FROM consents WHERE merchant_id = $1")
        assert (before["status"], before["shop_id"]) == ("granted", shop.id)
        shop.later(minutes=5)
        async with merchant.work() as w:
            await set_consent(
                w, before["customer_id"], "taobao_sms", "marketing", "denied", "test",
                shop_id=shop.id,
            )  # fmt: skip
        await record(context, "taobao_sms", told)
        (after,) = await shop.ask("SELECT * FROM consents WHERE merchant_id = $1")
        assert after["status"] == "denied"


def test_marketing_goes_out_by_day():
    assert marketing_hours(TaobaoSms()) == (time(8), time(22))


async def test_a_shop_that_is_not_connected_has_the_merchant_look(opened, merchant):

    async def token_of(shop_id):
        async with merchant.read() as session:
            return await shop_token(session, shop_id)

    platform, _ = opened()
    async with http_session() as http:
        session = SmsSession(http, platform.settings, platform.world.clock, token_of, nobody)
        with pytest.raises(ReconnectNeeded, match="not connected"):
            await session.send(message(shop_id=merchant.shop_id))
