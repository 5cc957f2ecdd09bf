"""The gateway's shapes, refusals and accidents, and what they mean."""

from datetime import timedelta

import pytest

from core.sdk import ReconnectNeeded, Refused, Resource, RetryLater, Token, Unknown
from core.sdk.answers import rows
from plugins.aliexpress.answers import ApiError, unwrap
from plugins.aliexpress.client import Client
from plugins.aliexpress.settings import AliExpressSettings
from tests.plugins.aliexpress.kit import pulled
from tests.stand_ins.aliexpress import gateway
from tests.stand_ins.aliexpress.gateway import APIS, api
from tests.stand_ins.aliexpress.signing import expected

ONE = "aliexpress.trade.new.redefining.findorderbyid"
PROFILE = "aliexpress.merchant.profile.get"
A1 = {
    "app_key": "500000", "format": "json", "method": "aliexpress.trade.seller.orderlist.get",
    "param_aeop_order_query": '{"create_date_start":"2025-12-02 00:00:00",'
    '"create_date_end":"2026-01-01 00:00:00","modified_date_start":"2025-12-31 19:20:00",'
    '"modified_date_end":"2025-12-31 19:50:00","order_status_list":["WAIT_SELLER_SEND_GOODS"],'
    '"current_page":1,"page_size":50}',
    "session": "tok", "sign_method": "sha256", "simplify": "true", "timestamp": "1767240000000",
    "v": "2.0",
}  # fmt: skip
A2 = {
    "app_key": "500000", "code": "3_500000_abc", "sign_method": "sha256",
    "timestamp": "1767240000000",
}  # fmt: skip


@pytest.mark.parametrize(("params", "method", "prefix", "wanted"), [
    (A1, "sha256", "", "F26462F683766C4BC3B04ABA9E3C10F76DDE8E2AB3041CAC42600BF4F5C505B7"),
    (A2, "sha256", "/auth/token/create",
     "2AC5787FB824C5927D390617685FA7D08142834E1A9586E7D2D002C9950A5893"),
    (A1 | {"sign_method": "md5"}, "md5", "", "597C0073E46FA6410FA45A4544AEEE0F"),
])  # fmt: skip
def test_the_stand_in_knows_the_published_signatures(params, method, prefix, wanted):
    assert expected(params, "aesecret", method, prefix) == wanted


def test_the_client_signs_what_it_sends(platform):
    """The call of vector A1 in the client's own words."""
    client = Client(None, platform.settings, platform.world.clock, Token("tok"))
    query = A1["param_aeop_order_query"]
    url, form = client.signed(A1["method"], {"param_aeop_order_query": query})
    assert url.endswith("/sync")
    assert form == A1 | {"sign": expected(A1, "aesecret", "sha256")}


@pytest.mark.parametrize("token_name", ["session", "access_token"])
@pytest.mark.parametrize("envelope", ["simplified", "shell", "result"])
async def test_answers_come_in_three_envelopes(platform, envelope, token_name):
    platform.world.envelope = envelope
    platform.set(token_name=token_name)
    number = platform.world.order(platform.shop)
    async with platform.open() as session:
        (listed,) = await pulled(session)
        (told,) = await session.fetch(Resource.ORDERS, str(number))
        assert await session.fetch(Resource.ORDERS, "1") == []
    assert listed.external_id == told.external_id == str(number)
    assert (listed.total, told.total) == (2345, 2345)
    assert listed.lines == told.lines


@pytest.mark.parametrize("envelope", ["simplified", "shell", "result"])
async def test_a_failure_inside_a_success(platform, envelope):
    platform.world.envelope = envelope
    platform.world.fault("*", "business")
    async with platform.open() as session:
        with pytest.raises(Refused, match="SYN_BUYER_BLOCK"):
            await pulled(session)


@pytest.fixture
def items():
    """A service of the newest shape, which stands here since no order needs one."""
    name = "/items/{item_id}/notes"

    @api("/2.0/items/7/notes", path=True, inside=None)
    def serve(call):
        return {"noted": call.params}

    yield name
    del APIS["/2.0/items/7/notes"]


async def test_a_path_is_filled_and_signed(platform, items, monkeypatch):
    platform.set(shapes={"/items/": "rest2"})

    def by_filled_path(params, secret, method, prefix=""):
        return expected(params, secret, method, prefix.removeprefix("/2.0"))

    monkeypatch.setattr(gateway, "expected", by_filled_path)
    async with Client.opened(platform.settings, platform.world.clock, platform.token()) as client:
        assert await client.read(items, item_id=7, note="x") == {
            "noted": {"note": "x"}, "code": "0", "type": None, "request_id": "syn1",
        }  # fmt: skip


@pytest.mark.parametrize("fault", [
    "timeout", "service_timeout", "away", "http502", "broken_json", "dropped",
])  # fmt: skip
async def test_what_failed_on_the_way(platform, fault):
    platform.world.fault(PROFILE, fault, 2)
    async with Client.opened(platform.settings, platform.world.clock, platform.token()) as client:
        with pytest.raises(RetryLater):
            await client.read(PROFILE)
        with pytest.raises(Unknown):
            await client.write(PROFILE)
        assert (await client.read(PROFILE))["seller_id"] == 200000001
    assert len(platform.world.calls) == 3


@pytest.mark.parametrize(("fault", "error"), [
    ("forbidden", Refused), ("not_migrated", ReconnectNeeded), ("business", Refused),
])  # fmt: skip
async def test_what_is_refused(platform, fault, error):
    platform.world.fault(PROFILE, fault)
    async with Client.opened(platform.settings, platform.world.clock, platform.token()) as client:
        with pytest.raises(error):
            await client.write(PROFILE)


@pytest.mark.parametrize(("fault", "scope", "pause"), [
    ("limited:30", ONE, timedelta(seconds=31)), ("limited:14229", ONE, timedelta(hours=12)),
    ("app_limited:7", "app", timedelta(seconds=8)),
    ("seller_limited", "shop", timedelta(seconds=60)),
])  # fmt: skip
async def test_a_ban_is_kept_to_by_whom_it_is_for(platform, fault, scope, pause):
    platform.world.fault("*", fault)
    async with platform.open() as session:
        with pytest.raises(RetryLater) as caught:
            await session.fetch(Resource.ORDERS, "1")
    assert caught.value.after == pause
    assert platform.meter.bans == [(scope, pause.total_seconds())]


@pytest.mark.parametrize("skew", [timedelta(hours=-3), timedelta(hours=3)])
async def test_a_clock_that_is_off_is_set_by_the_first_answer(platform, skew):
    platform.world.skew = skew
    async with platform.open() as session:
        assert await session.fetch(Resource.ORDERS, "1") == []
        assert await session.fetch(Resource.ORDERS, "1") == []
    assert len(platform.world.calls) == len(platform.meter.spent) == 3


@pytest.mark.parametrize(("change", "said"), [
    ({"app_secret": "wrong"}, "app_secret"), ({"app_key": "99"}, "app_key"),
    ({"app_key": None, "app_secret": None}, "fill them in"),
])  # fmt: skip
async def test_a_wrong_app_is_the_merchants_to_see_to(platform, change, said):
    platform.set(**change)
    async with platform.open() as session:
        with pytest.raises(ReconnectNeeded, match=said):
            await session.fetch(Resource.ORDERS, "1")


async def test_a_token_that_does_not_hold(platform):
    async with platform.open(Token("made up")) as session:
        with pytest.raises(ReconnectNeeded, match="authorised again"):
            await session.fetch(Resource.ORDERS, "1")


@pytest.mark.parametrize("body", [
    b'{"x_get_response":{"result":{"target_list":{"any_dto":[{"order_id":1100000000000000001}]}}}}',
    b'{"target_list":[{"order_id":1100000000000000001}],"success":true}',
    b'{"result":{"success":true,"target_list":[{"order_id":1100000000000000001}]}}',
])  # fmt: skip
def test_lists_are_found_however_they_are_wrapped(body):
    (row,) = rows(unwrap("x.get", body), "target_list")
    assert row["order_id"] == 1100000000000000001


@pytest.mark.parametrize("body", [
    b'{"error_response":{"code":27,"msg":"no","sub_code":"invalid-sessionkey"}}',
    b'{"code":"IllegalRefreshToken","type":"ISV","message":"no"}',
    b'{"x_get_response":{"result":{"success":false,"error_code":"E"}}}',
    b'{"x_get_response":{"result_success":"false"}}', b'{"is_success":false}',
])  # fmt: skip
def test_refusals_are_found_wherever_they_stand(body):
    with pytest.raises(ApiError):
        unwrap("x.get", body)


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"", b"<xml/>"])
def test_what_is_no_answer(body):
    with pytest.raises(ValueError):
        unwrap("x.get", body)


def test_an_apis_shape_is_a_setting():
    settings = AliExpressSettings(shapes={
        "aliexpress/message/": "path", "aliexpress/message/list": "business",
    })  # fmt: skip
    assert settings.shape("aliexpress/message/send") == "path"
    assert settings.shape("aliexpress/message/list2") == "business"
    assert settings.shape("aliexpress.trade.x") == "business"
    assert settings.shape("/auth/token/create") == "path"


@pytest.mark.parametrize("wrong", [
    {"gateway": "http://api-sg.aliexpress.com"}, {"app_key": "1"}, {"token_name": "token"},
    {"shapes": {"x": "soap"}}, {"push_orders": ["x"]},
])  # fmt: skip
def test_settings_that_cannot_be(wrong):
    with pytest.raises(ValueError):
        AliExpressSettings(**wrong)
