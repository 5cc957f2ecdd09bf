"""Clicks over the real application: redirects to stored addresses, and who is counted."""

import re
from datetime import timedelta

import pytest

from core.domain.campaigns.content.clicks import judge_clicks, link_figures, merchants_clicked
from core.domain.campaigns.control import start_campaign
from core.domain.campaigns.links import click_url, open_url
from core.domain.campaigns.sending import send_run
from core.domain.privacy.erasure import erase_customer
from core.schema.scalars import global_id
from core.sdk.flows import Options
from core.testing.smtp import smtp_sink
from tests.sending_kit import add_customers, enable_email, make_campaign, states

PERSON = {"user-agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X)"}
CONTENT = {
    "subject": "s",
    "html": '<a href="https://a.cn/?x=é&amp;y=1">a</a> <a href="https://b.cn/">b</a>'
    '<a href="{{ unsubscribe_url }}">退订</a>',
}
OWN = {"subject": "s", "html": '<a href="https://a.cn/{{ customer.name }}?b=1">a</a>'}


@pytest.fixture
async def sent(merchant):
    """A campaign with two links sent to one customer; its delivery's id."""
    return await send(merchant, CONTENT)


async def send(merchant, content):
    opened = merchant.installation
    async with smtp_sink() as sink:
        await enable_email(merchant, sink.port)
        await add_customers(merchant, ["a@example.com"])
        campaign_id = await make_campaign(merchant, content, options=Options(track_opens=True))
        async with merchant.work() as w:
            run_id = await start_campaign(w, opened.registry, campaign_id)
        await send_run(opened.db, opened.registry, merchant.id, run_id, "http://test")
        assert await states(merchant, run_id) == {"sent": 1}
    async with merchant.read() as session:
        return await session.sql.fetchval(
            "SELECT id FROM deliveries WHERE merchant_id = $1", merchant.id
        )


def path(merchant, delivery_id, number, short=False):
    return click_url(merchant.installation.db.keyring, "", merchant.id, delivery_id, number, short)


async def told(merchant):
    """(clicked_at, opened_at, events, what was judged a machine's) after two seconds."""
    merchant.clock.move(timedelta(seconds=3))
    await judge_clicks(merchant.installation.db, merchant.id)
    async with merchant.read() as session:
        row = await session.sql.fetchrow(
            "SELECT clicked_at, opened_at FROM deliveries WHERE merchant_id = $1", merchant.id
        )
        events = await session.sql.fetchval(
            """SELECT count(*) FROM outbox_events
               WHERE merchant_id = $1 AND type = 'message.clicked'""",
            merchant.id,
        )  # fmt: skip
        hits = await session.sql.fetch(
            "SELECT machine FROM link_clicks WHERE merchant_id = $1 ORDER BY id", merchant.id
        )
    return row["clicked_at"], row["opened_at"], events, [hit["machine"] for hit in hits]


@pytest.mark.parametrize("short", [False, True])
async def test_a_click_leads_on_and_counts_once(api, merchant, sent, short):
    answer = await api.client.get(path(merchant, sent, 0, short), headers=PERSON)
    assert answer.status_code == 302
    assert answer.headers["location"] == "https://a.cn/?x=%C3%A9&y=1"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in answer.headers
    at = merchant.clock()
    assert await told(merchant) == (at, None, 1, [False])
    await api.client.get(path(merchant, sent, 1), headers=PERSON)
    assert await told(merchant) == (at, None, 1, [False, False])


async def test_a_short_link_leads_on_with_the_words_after_it(api, merchant, sent):
    for words in ("拒收请回复R", "，谢谢", ")"):
        answer = await api.client.get(path(merchant, sent, 0, short=True) + words, headers=PERSON)
        assert answer.status_code == 302, words


async def test_an_address_with_variables_leads_on_until_it_is_erased(api, merchant):
    delivery_id = await send(merchant, OWN)
    assert (await api.client.get(path(merchant, delivery_id, 2), headers=PERSON)).status_code == 404
    answer = await api.client.get(path(merchant, delivery_id, 1), headers=PERSON)
    assert answer.headers["location"] == "https://a.cn/Customer%201?b=1"
    assert await told(merchant) == (merchant.clock() - timedelta(seconds=3), None, 1, [False])
    async with merchant.work() as w:
        run_id, customer_id = await w.sql.fetchrow(
            "SELECT run_id, customer_id FROM deliveries WHERE merchant_id = $1", merchant.id
        )
        (link,) = await link_figures(w, run_id)
        assert (link.url, link.clicks) == ("https://a.cn/{{ customer.name }}?b=1", 1)
        await erase_customer(w, merchant.installation.registry, customer_id, "asked to")
    assert (await api.client.get(path(merchant, delivery_id, 1), headers=PERSON)).status_code == 404


async def test_scanners_do_not_count(api, merchant, sent):
    for number in (0, 1):
        await api.client.get(path(merchant, sent, number), headers=PERSON)
    await api.client.head(path(merchant, sent, 0), headers=PERSON)
    await api.client.get(path(merchant, sent, 0), headers={"user-agent": "Barracuda/5"})
    await api.client.get(path(merchant, sent, 0), headers=PERSON | {"sec-purpose": "prefetch"})
    assert await told(merchant) == (None, None, 0, [True] * 4)
    await api.client.get(path(merchant, sent, 0), headers=PERSON)
    at = merchant.clock()
    assert await told(merchant) == (at, None, 1, [True] * 4 + [False])


async def test_a_runs_links_tell_who_followed_them(api, merchant, sent):
    merchant.clock.move(timedelta(hours=1))
    for number in (0, 0, 1):
        await api.client.get(path(merchant, sent, number), headers=PERSON)
    await api.client.get(path(merchant, sent, 1), headers={"user-agent": "curl/8"})
    await told(merchant)
    async with merchant.read() as session:
        run_id = await session.sql.fetchval(
            "SELECT run_id FROM deliveries WHERE merchant_id = $1", merchant.id
        )
    query = """query ($id: ID!) { campaignLinks(runId: $id) {
      url clicks people machineHits } }"""
    answer = await api(merchant.token, query, id=global_id("CampaignRun", run_id))
    first, second = (tuple(one.values()) for one in answer["data"]["campaignLinks"])
    assert first == ("https://a.cn/?x=%C3%A9&y=1", 2, 1, 0)
    assert second == ("https://b.cn/", 1, 1, 1)


async def test_all_links_at_once_much_later_are_a_persons(api, merchant, sent):
    merchant.clock.move(timedelta(hours=1))
    for number in (0, 1):
        await api.client.get(path(merchant, sent, number), headers=PERSON)
    assert (await told(merchant))[2:] == (1, [False, False])


async def test_a_hit_is_not_judged_before_its_time(api, merchant, sent):
    await api.client.get(path(merchant, sent, 0), headers=PERSON)
    await judge_clicks(merchant.installation.db, merchant.id)
    async with merchant.read() as session:
        open_hits = await session.sql.fetchval(
            "SELECT count(*) FROM link_clicks WHERE merchant_id = $1 AND machine IS NULL",
            merchant.id,
        )
    assert open_hits == 1
    assert merchant.id not in await merchants_clicked(merchant.installation.db)
    merchant.clock.move(timedelta(seconds=3))
    assert merchant.id in await merchants_clicked(merchant.installation.db)


async def test_wrong_links_are_a_plain_404(api, merchant, sent):
    good = path(merchant, sent, 0)
    others = [
        path(merchant, sent, 2), path(merchant, sent + 10**6, 0), good[:-1], good + "x",
        good.replace("/t/c/", "/s/"), "/t/c/x", "/s/1.1.1.abcdefgh", "/t/o/1.1.x",
    ]  # fmt: skip
    for wrong in others:
        answer = await api.client.get(wrong, headers=PERSON)
        assert answer.status_code == 404, wrong
        assert "链接无效" in answer.text
    assert (await told(merchant))[2:] == (0, [])


async def test_the_picture_tells_of_the_opening(api, merchant, sent):
    url = open_url(merchant.installation.db.keyring, "", merchant.id, sent)
    at = merchant.clock()
    answer = await api.client.get(url, headers=PERSON)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
    assert re.match(rb"GIF89a\x01\x00\x01\x00", answer.content)
    merchant.clock.move(timedelta(hours=1))
    await api.client.get(url, headers=PERSON)
    assert (await told(merchant))[:2] == (None, at)
