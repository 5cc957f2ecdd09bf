"""The message service: hints that come again until they are confirmed."""

from datetime import timedelta

import pytest

from core.sdk import Resource
from plugins.taobao.messages import changed
from tests.plugins.taobao.kit import NOW

PAID = "taobao_trade_TradeBuyerPay"


async def test_a_message_names_what_changed(platform):
    tid = platform.world.trade(platform.shop, topic=PAID)
    async with platform.open() as session:
        (change,), (handle,) = await session.consume()
    assert (change.shop, change.resource, change.external_id, change.at) == (
        "2200000000001", Resource.ORDERS, str(tid), NOW,
    )  # fmt: skip
    assert change.key == handle


async def test_what_is_not_confirmed_comes_again_under_the_same_key(platform):
    platform.world.trade(platform.shop, topic=PAID)
    async with platform.open() as session:
        first, _ = await session.consume()
        assert await session.consume() == ([], [])
        platform.world.clock.move(timedelta(minutes=5))
        second, handles = await session.consume()
        await session.confirm(handles)
        platform.world.clock.move(timedelta(minutes=5))
        assert await session.consume() == ([], [])
    assert first == second


async def test_many_are_confirmed_in_portions(platform):
    for _ in range(250):
        platform.world.tell(platform.shop, PAID, {"tid": 1})
    async with platform.open() as session:
        first = await session.consume()
        second = await session.consume()
        handles = [*first[1], *second[1]]
        assert (len(first[1]), len(handles)) == (200, 250)
        await session.confirm(handles)
    assert all(message.confirmed for message in platform.world.messages)
    assert len(platform.world.calls_of("taobao.tmc.messages.confirm")) == 2


async def test_a_merchant_hears_his_own_group_only(platform):
    platform.settings = platform.settings.model_copy(update={"message_group": "mine"})
    platform.world.tell(platform.shop, PAID, {"tid": 1})
    platform.world.tell(platform.shop, PAID, {"tid": 2}, group="mine")
    async with platform.open() as session:
        (change,), _ = await session.consume()
    assert change.external_id == "2"


async def test_the_seller_withdraws(platform):
    platform.world.grant(platform.app, platform.shop)
    platform.world.revoke(platform.shop)
    async with platform.open() as session:
        (change,), _ = await session.consume()
    assert change.resource is None
    assert change.shop == "2200000000001"


@pytest.mark.parametrize(("topic", "content", "resource", "external_id"), [
    ("taobao_trade_TradeRated", '{"tid": 1, "oid": 2, "rater": "buyer"}', Resource.REVIEWS, "1"),
    ("taobao_refund_RefundSuccess", '{"refund_id": 9, "tid": 1}', Resource.REFUNDS, "9"),
    ("taobao_logistics_LogsticDetailTrace", '{"tid": 1, "action": "SIGNED"}', Resource.PARCELS,
     "1"),
    ("taobao_opencrm_MemberGradeChange", '{"ouid": "AAG", "grade": 1}', Resource.MEMBERS, "AAG"),
])  # fmt: skip
def test_topics(topic, content, resource, external_id):
    change = changed(message(topic, content))
    assert (change.resource, change.external_id) == (resource, external_id)


@pytest.mark.parametrize(("topic", "content"), [
    ("taobao_trade_TradeRated", '{"tid": 1, "rater": "seller"}'), (PAID, "{}"), (PAID, "[]"),
    (PAID, "not json"), ("taobao_item_ItemAdd", '{"num_iid": 1}'),
    ("taobao_opencrm_MemberJoinPrivate", "{}"),
])  # fmt: skip
def test_what_is_of_no_interest(topic, content):
    assert changed(message(topic, content)) is None


def message(topic, content):
    return {
        "id": 6160600800000000001, "topic": topic, "content": content,
        "pub_time": "2026-01-01 11:03:11", "user_id": 2200000000001, "user_nick": "示范店铺",
    }  # fmt: skip


async def test_reports_of_text_messages_are_left_for_their_channel(platform):
    platform.world.tell(platform.shop, "alibaba_aliqin_TaFcSmsDR", {"biz_id": "b", "state": "1"})
    async with platform.open() as session:
        assert await session.consume() == ([], [])


@pytest.mark.parametrize("group", [None, "huike-1"])
async def test_connecting_switches_messages_on(platform, group):
    platform.shop.topics = set()
    platform.settings = platform.settings.model_copy(update={"message_group": group})
    code = platform.world.code(platform.app, platform.shop)
    await platform.connector.exchange(platform.settings, code, "")
    platform.world.trade(platform.shop, topic=PAID)
    async with platform.open() as session:
        assert len((await session.consume())[0]) == 1


async def test_an_app_without_the_message_service_connects_all_the_same(platform):
    platform.world.fault("taobao.tmc.user.permit", "forbidden")
    code = platform.world.code(platform.app, platform.shop)
    authorised = await platform.connector.exchange(platform.settings, code, "")
    assert authorised.external_id == "2200000000001"
