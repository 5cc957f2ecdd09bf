"""How a seller lets us in, and how long."""

from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from core.sdk import ReconnectNeeded, Refused, Resource, Token, WriteRemark
from tests.plugins.taobao.kit import NOW


async def authorise(platform):
    code = platform.world.code(platform.app, platform.shop)
    return await platform.connector.exchange(platform.settings, code, "https://crm.example/back")


async def test_the_seller_is_sent_to_the_platforms_page(platform):
    url = platform.connector.authorise_url(platform.settings, "s&1", "https://crm.example/back")
    assert url.startswith("https://oauth.taobao.com/authorize?")
    query = parse_qs(urlsplit(url).query)
    assert query["client_id"] == ["12345678"]
    assert query["state"] == ["s&1"]
    assert query["redirect_uri"] == ["https://crm.example/back"]


async def test_a_code_is_good_once(platform):
    code = platform.world.code(platform.app, platform.shop)
    authorised = await platform.connector.exchange(platform.settings, code, "")
    assert (authorised.external_id, authorised.name) == ("2200000000001", "示范店铺")
    assert authorised.token.expires_at == NOW + timedelta(days=90)
    with pytest.raises(Refused):
        await platform.connector.exchange(platform.settings, code, "")
    async with platform.open(authorised.token) as session:
        assert await session.fetch(Resource.ORDERS, "1") == []


async def test_four_ends_are_kept_and_kept_to(platform):
    platform.world.life |= {"r1": 1800, "w2": 60}
    token = (await authorise(platform)).token
    assert set(token.more) == {"r1", "w2", "shop_type"}
    tid = str(platform.world.trade(platform.shop))
    platform.world.clock.move(timedelta(seconds=60))
    async with platform.open(token) as session:
        calls = len(platform.world.calls)
        with pytest.raises(ReconnectNeeded, match="class W2"):
            await session.act(WriteRemark(tid, "x"))
        # nobody was bothered with a call that could not succeed
        assert len(platform.world.calls) == calls
        assert len(await session.fetch(Resource.ORDERS, tid)) == 1
        platform.world.clock.move(timedelta(seconds=1740))
        with pytest.raises(ReconnectNeeded, match="class R1"):
            await session.fetch(Resource.REVIEWS, tid)
        assert len(await session.fetch(Resource.ORDERS, tid)) == 1


async def test_a_token_is_renewed(platform):
    platform.world.life |= {"r1": 1800}
    token = (await authorise(platform)).token
    platform.world.clock.move(timedelta(days=89))
    renewed = await platform.connector.refresh(platform.settings, token)
    platform.world.clock.move(timedelta(days=2))
    assert renewed.access != token.access
    assert renewed.more["shop_type"] == token.more["shop_type"]
    assert renewed.more["r1"] > token.more["r1"]
    async with platform.open(renewed) as session:
        assert await session.fetch(Resource.ORDERS, "1") == []
    async with platform.open(token) as session:
        with pytest.raises(ReconnectNeeded):
            await session.fetch(Resource.ORDERS, "1")


async def test_a_self_use_apps_token_is_pasted_and_cannot_be_renewed(platform):
    platform.app.renews = False
    pasted = Token(platform.world.grant(platform.app, platform.shop))
    authorised = await platform.connector.verify(platform.settings, pasted)
    assert (authorised.external_id, authorised.token.access) == ("2200000000001", pasted.access)
    with pytest.raises(ReconnectNeeded, match="cannot be renewed"):
        await platform.connector.refresh(platform.settings, authorised.token)


@pytest.mark.parametrize("refresh", ["made up", None])
async def test_what_cannot_be_renewed_leads_back_to_the_seller(platform, refresh):
    token = replace((await authorise(platform)).token, refresh=refresh)
    with pytest.raises(ReconnectNeeded):
        await platform.connector.refresh(platform.settings, token)


async def test_a_pasted_token_that_does_not_hold(platform):
    with pytest.raises(ReconnectNeeded):
        await platform.connector.verify(platform.settings, Token("made up"))


async def test_a_seller_who_withdrew(platform):
    token = (await authorise(platform)).token
    platform.world.revoke(platform.shop)
    async with platform.open(token) as session:
        with pytest.raises(ReconnectNeeded):
            await session.fetch(Resource.ORDERS, "1")
    with pytest.raises(ReconnectNeeded):
        await platform.connector.refresh(platform.settings, token)
