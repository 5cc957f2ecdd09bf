"""How a seller lets us in, and how long."""

from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from core.sdk import ReconnectNeeded, Refused, Resource, Token
from tests.plugins.aliexpress.kit import NOW


async def authorise(platform):
    code = platform.world.code(platform.app, platform.shop)
    return await platform.connector.exchange(platform.settings, code, "https://crm.example/back")


async def test_the_seller_is_sent_to_the_platforms_page(platform):
    url = platform.connector.authorise_url(platform.settings, "s&1", "https://crm.example/back")
    assert url.startswith("https://api-sg.aliexpress.com/oauth/authorize?")
    query = parse_qs(urlsplit(url).query)
    assert (query["client_id"], query["state"]) == (["500000"], ["s&1"])
    assert query["redirect_uri"] == ["https://crm.example/back"]
    assert query["force_auth"] == ["true"]


async def test_a_code_is_good_once(platform):
    code = platform.world.code(platform.app, platform.shop)
    authorised = await platform.connector.exchange(platform.settings, code, "")
    assert (authorised.external_id, authorised.name) == ("200000001", "cn1000000001")
    assert authorised.token.expires_at == NOW + timedelta(days=30)
    assert authorised.token.refresh_until == NOW + timedelta(days=60)
    with pytest.raises(Refused):
        await platform.connector.exchange(platform.settings, code, "")
    async with platform.open(authorised.token) as session:
        assert await session.fetch(Resource.ORDERS, "1") == []


async def test_renewing_moves_the_tokens_end_and_not_that_of_renewing(platform):
    token = (await authorise(platform)).token
    platform.world.clock.move(timedelta(days=29))
    renewed = await platform.connector.refresh(platform.settings, token)
    assert renewed.access != token.access
    assert renewed.expires_at == NOW + timedelta(days=59)
    assert (renewed.refresh, renewed.refresh_until) == (token.refresh, NOW + timedelta(days=60))
    platform.world.clock.move(timedelta(days=29))
    again = await platform.connector.refresh(platform.settings, renewed)
    assert again.refresh_until == NOW + timedelta(days=60)
    platform.world.clock.move(timedelta(days=3))
    with pytest.raises(ReconnectNeeded):
        await platform.connector.refresh(platform.settings, again)
    async with platform.open(again) as session:  # it holds for its own time all the same
        assert await session.fetch(Resource.ORDERS, "1") == []


@pytest.mark.parametrize("refresh", ["made up", None])
async def test_what_cannot_be_renewed_leads_back_to_the_seller(platform, refresh):
    token = replace((await authorise(platform)).token, refresh=refresh)
    with pytest.raises(ReconnectNeeded):
        await platform.connector.refresh(platform.settings, token)


async def test_a_pasted_token(platform):
    token = platform.token()
    authorised = await platform.connector.verify(platform.settings, token)
    assert (authorised.external_id, authorised.token) == ("200000001", token)
    with pytest.raises(ReconnectNeeded):
        await platform.connector.verify(platform.settings, Token("made up"))
