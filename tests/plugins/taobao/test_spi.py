"""The platform calls us when somebody joins or leaves the membership pass."""

import asyncio
from dataclasses import replace

import pytest

from core.domain.shops.plugins import plugin_context
from core.sdk import Refused, WebRequest
from plugins.taobao import spi
from plugins.taobao.plugin import TaobaoPlugin
from tests.plugins.taobao.followed import followed
from tests.plugins.taobao.test_ratings_members import MEMBER
from tests.stand_ins.taobao import spi as platform_calls
from tests.stand_ins.taobao.shapes import at

BODY = b'{"mobile":"~enc~","seller_name":"demo_shop","ouid":"AAGx"}'
QUERY = {
    "app_key": "12345678", "method": "tmall.mei.crm.bind", "sign_method": "md5",
    "timestamp": "2026-01-01 12:00:00", "sign": "C588C56A0330A0246DF25E3C9F94A42D",
}  # fmt: skip
BIND = "tmall.mei.crm.member.bind"
OUID = MEMBER["ouid"]


def arrived(query, body=BODY):
    return WebRequest("POST", platform_calls.ADDRESS, tuple(query.items()), {}, body)


def test_the_published_call(platform):
    spi.check(platform.settings, QUERY, arrived(QUERY))
    secret = platform.app.secret
    assert platform_calls.signature(secret, QUERY, {}, BODY) == QUERY["sign"]


@pytest.mark.parametrize(("query", "body"), [
    (QUERY | {"sign": "0" * 32}, BODY), (QUERY | {"sign": ""}, BODY),
    (QUERY | {"method": BIND}, BODY), (QUERY, BODY + b" "),
])  # fmt: skip
def test_what_the_platform_did_not_send(platform, query, body):
    with pytest.raises(Refused, match="signature"):
        spi.check(platform.settings, query, arrived(query, body))


def test_named_headers_are_signed(platform):
    call = platform_calls.request(
        platform.world, platform.app, BIND, {"ouid": "A"}, {"Top-Request-Id": "r1"}
    )
    spi.check(platform.settings, dict(call.query), call)
    forged = replace(call, headers=call.headers | {"top-request-id": "r2"})
    with pytest.raises(Refused, match="signature"):
        spi.check(platform.settings, dict(forged.query), forged)


async def test_who_joins_is_known_at_once_and_once(merchant, monkeypatch):
    (route,) = TaobaoPlugin().web_routes()
    async with followed(merchant) as shop:
        await shop.connect()
        await shop.work()
        context = await plugin_context(shop.db, shop.registry, "taobao", merchant.id)
        world, members, down = shop.world, shop.platform.shop.members, [True, True]

        async def take(call):
            if down:
                down.pop()
                await asyncio.Event().wait()
            return await route.handle(context, call)

        def call(method=BIND, nick=shop.platform.shop.nick, **more):
            told = {"ouid": OUID, "seller_name": nick, "mobile": "~enc~"}
            return platform_calls.request(
                world, shop.platform.app, method, told, {"top-request-id": "r1"}, **more
            )

        shop.later(minutes=1)
        members[OUID] = MEMBER | {"modified": at(world.now())}
        with monkeypatch.context() as patch:
            patch.setattr(platform_calls, "BUDGET", 0.1)
            assert await platform_calls.replay(take, call) == 3
        assert await platform_calls.ask(take, call()) == "SUC"
        assert await platform_calls.ask(take, call(nick="a stranger")) == "SUC"
        assert await platform_calls.ask(take, call("tmall.mei.crm.member.bind.query")) == "SUC"
        await shop.work("shops.fetch")
        (member,) = await shop.ask("SELECT * FROM platform_members WHERE merchant_id = $1")
        assert member["grade"] == 2
        kept = await shop.ask("SELECT key FROM push_inbox WHERE merchant_id = $1")
        assert len(kept) == 1  # the same call counts once

        members[OUID] = MEMBER | {"grade": 0, "modified": at(world.now())}
        shop.later(seconds=30)
        assert await platform_calls.ask(take, call("tmall.mei.crm.member.unbind")) == "SUC"
        await shop.work("shops.fetch")
        (member,) = await shop.ask("SELECT * FROM platform_members WHERE merchant_id = $1")
        assert member["grade"] == 0
        late = call()
        shop.later(minutes=6)
        with pytest.raises(Refused, match="five minutes"):
            await take(late)
