"""The gateway's refusals and accidents, and what they mean."""

from datetime import timedelta

import pytest

from core.sdk import (
    ReconnectNeeded,
    Refused,
    Resource,
    RetryLater,
    Token,
    TooMuch,
    Unknown,
    WriteRemark,
)
from core.sdk.answers import rows
from plugins.taobao.answers import unwrap
from plugins.taobao.client import Client
from plugins.taobao.settings import TaobaoSettings
from tests.plugins.taobao.kit import pulled

LIST = "taobao.trades.simple.sold.increment.get"
ONE = "taobao.trade.simple.get"
MEMO = "taobao.trade.memo.update"


@pytest.mark.parametrize(("fault", "error"), [
    ("timeout", RetryLater), ("busy", RetryLater), ("away", RetryLater), ("http502", RetryLater),
    ("broken_json", RetryLater), ("dropped", RetryLater), ("too_much", TooMuch),
])  # fmt: skip
async def test_a_question_that_failed(platform, fault, error):
    platform.world.fault(LIST, fault)
    async with platform.open() as session:
        with pytest.raises(error):
            await pulled(session)
        assert await pulled(session) == []


@pytest.mark.parametrize(("fault", "error", "written"), [
    ("timeout", Unknown, False), ("dropped", Unknown, False), ("http502", Unknown, True),
    ("broken_json", Unknown, True), ("after_write", Unknown, True), ("busy", RetryLater, False),
    ("limited:3", RetryLater, False),
])  # fmt: skip
async def test_a_change_that_failed_is_not_repeated(platform, fault, error, written):
    tid = platform.world.trade(platform.shop)
    platform.world.fault(MEMO, fault)
    async with platform.open() as session:
        with pytest.raises(error):
            await session.act(WriteRemark(str(tid), "老客户，送小样", 1))
    assert len(platform.world.calls_of(MEMO)) == 1
    memo = platform.shop.trades[tid][-1][1]["seller_memo"]
    assert (memo == "老客户，送小样") is written


async def test_nobody_is_called_where_nobody_answers(platform, unused_tcp_port):
    gateway = f"http://127.0.0.1:{unused_tcp_port}/router/rest"
    platform.settings = platform.settings.model_copy(update={"gateway": gateway})
    async with platform.open() as session:
        with pytest.raises(RetryLater, match="cannot be reached"):
            await session.act(WriteRemark("1", "x"))


async def test_a_ban_keeps_everybody_of_the_app_away_as_long_as_it_says(platform):
    platform.world.fault("*", "limited:7")
    async with platform.open() as session:
        with pytest.raises(RetryLater) as caught:
            await session.fetch(Resource.ORDERS, "1")
    assert caught.value.after == timedelta(seconds=8)
    assert platform.meter.bans == [("app", 8.0)]


async def test_a_long_ban_lasts_until_the_platforms_midnight(platform):
    platform.world.fault("*", "limited:4000")
    async with platform.open() as session:
        with pytest.raises(RetryLater) as caught:
            await session.fetch(Resource.ORDERS, "1")
    assert caught.value.after == timedelta(hours=12)


@pytest.mark.parametrize("skew", [timedelta(hours=-3), timedelta(minutes=11)])
async def test_a_clock_that_is_off_is_set_by_the_first_answer(platform, skew):
    platform.world.skew = skew
    async with platform.open() as session:
        assert await session.fetch(Resource.ORDERS, "1") == []
        assert await session.fetch(Resource.ORDERS, "1") == []
        assert (await session.platform_time()) - platform.world.clock() == skew
    # only the first call of all was made twice, and each was counted
    assert len(platform.world.calls) == len(platform.meter.spent) == 4


async def test_a_clock_that_was_measured_is_gone_by_at_once(platform):
    platform.world.skew = timedelta(minutes=30)
    async with platform.open(clock_offset=timedelta(minutes=30)) as session:
        await session.fetch(Resource.ORDERS, "1")
    assert len(platform.world.calls) == 1


@pytest.mark.parametrize(("change", "said"), [
    ({"app_secret": "wrong"}, "app_secret"), ({"app_key": "99"}, "app_key"),
    ({"app_key": None, "app_secret": None}, "fill them in"),
])  # fmt: skip
async def test_a_wrong_app_is_the_merchants_to_see_to(platform, change, said):
    values = platform.settings.model_dump() | {"app_secret": platform.app.secret} | change
    platform.settings = TaobaoSettings(**values)
    async with platform.open() as session:
        with pytest.raises(ReconnectNeeded, match=said):
            await session.fetch(Resource.ORDERS, "1")


async def test_a_token_that_does_not_hold(platform):
    async with platform.open(Token("made up")) as session:
        with pytest.raises(ReconnectNeeded, match="authorised again"):
            await session.fetch(Resource.ORDERS, "1")


async def test_a_call_that_the_app_may_not_make(platform):
    platform.settings = platform.settings.model_copy(update={"mode": "full"})
    async with platform.open() as session:
        with pytest.raises(Refused, match="apply for it"):
            await pulled(session)


async def test_what_the_platform_does_not_know_is_nothing(platform):
    async with platform.open() as session:
        for resource in (Resource.ORDERS, Resource.REFUNDS, Resource.PARCELS, Resource.MEMBERS):
            assert await session.fetch(resource, "4999999999999999999") == []


async def test_the_gateway_demands_json(platform):
    """A forgotten format must not pass unseen."""
    async with Client.opened(platform.settings, platform.world.clock) as client:
        signed = client.signed

        def without(api, params):
            url, form = signed(api, params)
            return url, {k: v for k, v in form.items() if k != "format"}

        client.signed = without
        with pytest.raises(RetryLater, match="cannot be read"):
            await client.read("taobao.time.get")


@pytest.mark.parametrize("body", [
    b'{"x_get_response":{"trades":{"trade":[{"tid":4100000000000000001}]}}}',
    b'{"trades":[{"tid":4100000000000000001}]}',
    b'{"x_get_response":{"trades":{"whatever":[{"tid":4100000000000000001}]}}}',
])  # fmt: skip
def test_lists_are_found_however_they_are_wrapped(body):
    (row,) = rows(unwrap("x.get", body), "trades")
    assert row["tid"] == 4100000000000000001


@pytest.mark.parametrize("body", [b'{"x_get_response":{"request_id":"r"}}', b'{"trades":null}'])
def test_a_list_that_is_absent_is_empty(body):
    assert rows(unwrap("x.get", body), "trades") == []


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"", b"<xml/>"])
def test_what_is_no_answer(body):
    with pytest.raises(ValueError):
        unwrap("x.get", body)


@pytest.mark.parametrize("address", [
    "http://eco.taobao.com/router/rest", "eco.taobao.com", "https://", "https://h/x?y=1", "ftp://h",
])  # fmt: skip
def test_tokens_travel_only_in_secret(address):
    with pytest.raises(ValueError):
        TaobaoSettings(app_key="1", app_secret="s", gateway=address)


def test_key_and_secret_belong_together():
    with pytest.raises(ValueError, match="belong together"):
        TaobaoSettings(app_key="1")
    assert TaobaoSettings().app_key is None
