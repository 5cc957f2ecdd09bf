"""The customers' pages over the real application: what a GET leaves alone and a POST changes."""

import asyncio
import re
from datetime import timedelta
from html import unescape

import orjson
import pytest

from core.domain.campaigns.links import preferences_token, unsubscribe_token
from core.domain.customers.consent import effective_status, set_consent, unsubscribe
from core.domain.customers.suppressions import suppression_add
from core.schema.scalars import split_id


def pk(world, name="Customer"):
    return split_id(world.ids[name])[1]


def keyring(world):
    return world.merchant.installation.db.keyring


def preferences(world, customer=None):
    token = preferences_token(keyring(world), world.merchant.id, customer or pk(world))
    return f"/preferences?t={token}"


def leave(world, customer=None):
    token = unsubscribe_token(keyring(world), world.merchant.id, customer or pk(world), "email")
    return f"/unsubscribe/{token}"


async def say(world, status, shop_id=0, channel="email", purpose="marketing"):
    world.merchant.clock.move(timedelta(seconds=1))
    async with world.merchant.work() as w:
        await set_consent(w, pk(world), channel, purpose, status, "form", shop_id=shop_id)


async def effect(world, shop_id=0, channel="email", purpose="marketing"):
    async with world.merchant.read() as session:
        return await effective_status(session, pk(world), shop_id, channel, purpose)


async def rows(world, table):
    async with world.merchant.read() as session:
        found = await session.sql.fetch(
            f"SELECT * FROM {table} WHERE merchant_id = $1 ORDER BY id", world.merchant.id
        )
    return [dict(row) for row in found]


async def post(api, path, **data):
    return await api.client.post(path, data=data, headers={"user-agent": "Browser/1"})


def forms(page):
    """(choice, say) of each button."""
    pattern = r'name="choice" value="([^"]+)"><input type="hidden" name="say" value="(\w+)"'
    return re.findall(pattern, page.text)


async def test_the_page_shows_what_there_is_a_word_on(api, world):
    shop = world.merchant.shop_id
    await say(world, "granted")
    await say(world, "denied", shop)
    await say(world, "unproven", channel="sms")
    await say(world, "denied", purpose="service")
    page = await api.client.get(preferences(world))
    assert page.status_code == 200
    assert forms(page) == [
        ("0.marketing.email", "no"), (f"{shop}.marketing.email", "yes"), ("0.service.email", "yes"),
        ("0.marketing.sms", "yes"), ("0.marketing.sms", "no"),
        ("0.personalisation.*", "yes"), ("0.personalisation.*", "no"),
    ]  # fmt: skip
    for gone in ("张三", "ann@example.com", "13812341234", "<script"):
        assert gone not in page.text


async def test_withdrawing_and_giving_are_one_click_each(api, world):
    await say(world, "granted")
    path = preferences(world)
    world.merchant.clock.move(timedelta(seconds=1))
    for _ in range(2):  # a replay changes nothing
        answer = await post(api, path, choice="0.marketing.email", say="no")
        assert (answer.status_code, "谢谢" in answer.text) == (200, True)
    assert await effect(world) == "denied"
    assert [(s["channel"], s["reason"]) for s in await rows(world, "suppressions")] == [
        ("sms", "complaint"), *[("email", "unsubscribed")] * 3,
    ]  # fmt: skip
    types = [row["type"] for row in await rows(world, "outbox_events")]
    assert types.count("customer.unsubscribed") == types.count("consent.withdrawn") == 1
    world.merchant.clock.move(timedelta(seconds=1))
    for _ in range(2):
        await post(api, path, choice="0.marketing.email", say="yes")
    assert await effect(world) == "granted"
    assert [s["channel"] for s in await rows(world, "suppressions")] == ["sms"]
    log = (await rows(world, "consent_events"))[1:]
    assert [row["status"] for row in log] == ["denied", "granted"]
    assert {row["source"] for row in log} == {"preference_page"}
    assert {row["actor"] for row in log} == {f"customer:{pk(world)}"}
    assert orjson.loads(log[1]["evidence"]) == {"ip": "127.0.0.1", "user_agent": "Browser/1"}
    assert (log[1]["text"], log[1]["text_version"]) == (
        "接收来自“Test（全部店铺）”的营销消息（Email）", "preferences-1-zh",
    )  # fmt: skip


async def test_a_complaint_is_not_taken_back_by_a_click(api, world):
    async with world.merchant.work() as w:
        await suppression_add(w, "email", "ann@example.com", "complaint")
    await say(world, "denied")
    world.merchant.clock.move(timedelta(seconds=1))
    await post(api, preferences(world), choice="0.marketing.email", say="yes")
    assert "complaint" in [s["reason"] for s in await rows(world, "suppressions")
                           if s["channel"] == "email"]  # fmt: skip


async def test_one_shop_is_refused_without_the_others(api, world):
    shop = world.merchant.shop_id
    await say(world, "granted")
    await say(world, "granted", shop)
    world.merchant.clock.move(timedelta(seconds=1))
    await post(api, preferences(world), choice=f"{shop}.marketing.email", say="no")
    assert (await effect(world, shop), await effect(world)) == ("denied", "granted")
    assert {s["shop_id"] for s in await rows(world, "suppressions") if s["channel"] == "email"} == {
        shop
    }


async def test_personalisation_is_refused_and_allowed(api, world):
    for say_, status in (("no", "denied"), ("yes", "granted")):
        world.merchant.clock.move(timedelta(seconds=1))
        await post(api, preferences(world), choice="0.personalisation.*", say=say_)
        assert await effect(world, 0, "*", "personalisation") == status


@pytest.mark.parametrize(
    "data",
    [{}, {"choice": "0.marketing.email"}, {"choice": "0.marketing.email", "say": "maybe"},
     {"choice": "7.marketing.email", "say": "yes"}, {"choice": "0.marketing.wechat", "say": "yes"},
     {"choice": "0.marketing.email", "say": "no", "pad": "x" * 20_000},
     {str(n): "x" for n in range(30)}],
)  # fmt: skip
async def test_a_form_that_is_none_of_ours_changes_nothing(api, world, data):
    await say(world, "granted")
    answer = await post(api, preferences(world), **data)
    assert answer.status_code == 404
    assert len(await rows(world, "consent_events")) == 1
    assert (await api.client.post(preferences(world), content=b"\xff\xfe")).status_code == 404


async def test_looking_changes_nothing(api, world):
    await say(world, "granted")
    for path in (preferences(world), leave(world)):
        for method in (api.client.get, api.client.head):
            answer = await method(path, headers={"purpose": "prefetch"})
            assert answer.status_code == 200
        assert (
            await api.client.get(
                f"{path}{'&' if '?' in path else '?'}choice=0.marketing.email&say=no"
            )
        ).status_code == 200
        assert (await api.client.put(path)).status_code == 405
    assert len(await rows(world, "consent_events")) == 1


async def test_altered_links_and_other_merchants_links(api, world, stranger):
    await say(world, "granted")
    mine = preferences(world).partition("=")[2]
    signature = mine.rpartition(".")[2]
    forged = [
        "", "x", "..", f"{mine}x", mine[:-1],
        f"{stranger.merchant.id}.{pk(stranger)}.{signature}",
        f"{world.merchant.id}.{pk(world)}.{keyring(world).sign('unsubscribe', mine)}",
        f"0{mine}", f"{world.merchant.id}.{pk(world)}.é",
    ]  # fmt: skip
    for token in forged:
        for answer in (
            await api.client.get("/preferences", params={"t": token}),
            await api.client.post("/preferences", params={"t": token},
                                  data={"choice": "0.marketing.email", "say": "no"}),
        ):  # fmt: skip
            assert answer.status_code == 404, token
    assert (await api.client.get("/preferences")).status_code == 404
    # a link of one merchant signed for a customer of another finds nobody
    foreign = preferences(world, pk(stranger))
    assert (await api.client.get(foreign)).status_code == 410
    assert (await post(api, foreign, choice="0.personalisation.*", say="no")).status_code == 410
    assert await rows(stranger, "consent_events") == []


async def test_links_of_a_merged_customer_mean_the_one_that_is_left(api, world):
    async with world.merchant.work() as w:
        gone = [
            await w.sql.fetchval(
                """INSERT INTO customers (merchant_id, name, version, created_at, updated_at)
                   VALUES ($1, 'x', 1, $2, $2) RETURNING id""",
                w.merchant_id, w.now,
            )
            for _ in range(2)
        ]  # fmt: skip
        for one, into in ((gone[0], pk(world)), (gone[1], pk(world))):
            await w.sql.execute(
                """INSERT INTO customer_merges (merchant_id, from_id, into_id, reason, actor, at,
                       evidence, filled) VALUES ($1, $2, $3, 'test', 'system', $4, '{}', '{}')""",
                w.merchant_id, one, into, w.now,
            )  # fmt: skip
        await w.sql.execute(
            "DELETE FROM customers WHERE merchant_id = $1 AND id = $2", w.merchant_id, gone[0]
        )
    await say(world, "granted")
    assert ("0.marketing.email", "no") in forms(await api.client.get(preferences(world, gone[0])))
    assert (await api.client.post(leave(world, gone[0]))).status_code == 200
    assert await effect(world) == "denied"


async def test_an_erased_customer(api, world):
    async with world.merchant.work() as w:
        await w.sql.execute(
            "DELETE FROM customers WHERE merchant_id = $1 AND id = $2", w.merchant_id, pk(world)
        )
    assert (await api.client.post(leave(world))).status_code == 200
    assert (await api.client.get(preferences(world))).status_code == 410
    assert await rows(world, "consent_events") == []


async def test_unsubscribing_leads_to_the_other_choices_and_is_logged(api, world):
    page = await api.client.get(leave(world))
    (href,) = re.findall(r'href="([^"]+)"', page.text)
    assert f"/unsubscribe/{unescape(href)}".replace("/unsubscribe/..", "") == preferences(world)
    done = await post(api, leave(world))
    assert href in done.text
    (word,) = await rows(world, "consent_events")
    assert (word["source"], orjson.loads(word["evidence"])["user_agent"]) == ("link", "Browser/1")


async def test_many_clicks_at_once(api, world):
    await say(world, "granted")
    world.merchant.clock.move(timedelta(seconds=1))
    clicks = [post(api, preferences(world), choice="0.marketing.email", say="no") for _ in range(5)]
    clicks += [post(api, leave(world)) for _ in range(5)]
    assert {answer.status_code for answer in await asyncio.gather(*clicks)} == {200}
    assert await effect(world) == "denied"
    types = [row["type"] for row in await rows(world, "outbox_events")]
    assert types.count("customer.unsubscribed") == 1


@pytest.mark.parametrize(
    ("header", "lang"),
    [("", "zh-CN"), ("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"), ("en-US,en;q=0.9", "en"),
     ("fr,en;q=0.5,zh;q=0.4", "en"), ("en;q=0.1,zh;q=0.5", "zh-CN"), ("en;q=0", "zh-CN"),
     ("de", "zh-CN"), ("en;q=x", "en"), (",;,", "zh-CN")],
)  # fmt: skip
async def test_pages_speak_chinese_and_english(api, world, header, lang):
    for path in (preferences(world), leave(world), "/consent/confirm?t=1.x"):
        page = await api.client.get(path, headers={"accept-language": header})
        assert f'<html lang="{lang}">' in page.text


async def test_pages_are_plain_and_closed(api, world):
    await say(world, "granted")
    for path in (preferences(world), leave(world)):
        page = await api.client.get(path)
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert "set-cookie" not in page.headers
        for part in ("<h1>", "<main>", "<title>", 'name="viewport"'):
            assert part in page.text
        assert len(page.content) < 10_000


async def test_names_are_text(api, world):
    async with world.merchant.work() as w:
        await w.sql.execute(
            "UPDATE merchants SET name = '<b>{0} & Co' WHERE id = $1", world.merchant.id
        )
        await w.sql.execute(
            "UPDATE shops SET name = '<i>{channel}' WHERE merchant_id = $1 AND id = $2",
            world.merchant.id,
            world.merchant.shop_id,
        )
        await unsubscribe(w, pk(world), "email", "link", shop_id=world.merchant.shop_id)
        await unsubscribe(w, pk(world), "<u>", "link")
    page = (await api.client.get(preferences(world))).text
    assert "&lt;b&gt;{0} &amp; Co" in page
    assert "&lt;i&gt;{channel}" in page
    assert "&lt;u&gt;" in page
    assert not re.search("<[biu]>", page)
