"""Letting us in: by link, by token, again, and no more."""

from dataclasses import replace
from datetime import date, timedelta

import httpx2
import pytest

from core.app import create_app
from core.domain.connections.attempts import start_attempt
from core.domain.connections.connecting import ConnectionRefused, disconnect, set_paused
from core.domain.connections.counting import day_reports, resync_day
from core.domain.connections.report import reports
from core.domain.privacy.shop_erasure import disconnect_and_erase
from core.domain.shops.plugins import disable_plugin
from core.domain.shops.shops import create_shop
from core.installation import job_kinds
from core.sdk import AlreadyExists, InvalidInput, NotFound
from core.storage import jobs

BASE = "http://crm.example"


@pytest.fixture
async def browser(shop):
    installation = replace(
        shop.installation, settings=replace(shop.installation.settings, public_url=BASE)
    )
    transport = httpx2.ASGITransport(create_app(installation))
    async with httpx2.AsyncClient(transport=transport, base_url=BASE) as client:
        yield client


async def state_of_link(shop, shop_id=None):
    async with shop.merchant.work() as w:
        url = await start_attempt(w, shop.registry, BASE, "fair", shop_id)
    given = httpx2.URL(url).params
    assert given["back"] == f"{BASE}/connect/callback"
    return given["state"]


async def back(browser, lang="en", **query):
    answer = await browser.get("/connect/callback", params=query, headers={"accept-language": lang})
    return answer.status_code, answer.text


async def test_a_seller_comes_back_with_a_code_once(shop, browser):
    state = await state_of_link(shop)
    status, text = await back(browser, state=state, code="code-1")
    assert (status, "Teahouse" in text, "connected" in text) == (200, True, True)
    (row,) = await shop.ask("SELECT name, platform, external_id FROM shops WHERE merchant_id = $1"
                            " AND platform = 'fair'")  # fmt: skip
    assert tuple(row) == ("Teahouse", "fair", "shop-1")
    row = await shop.connection()
    assert (row["state"], row["refresh_at"] is not None) == ("connected", True)
    assert b"access-" not in row["token_sealed"]
    shop.fair.codes.add("code-2")
    status, text = await back(browser, "zh", state=state, code="code-2")
    assert (status, "链接已过期" in text) == (410, True)
    assert "code-2" in shop.fair.codes


@pytest.mark.parametrize("spoil", [
    lambda state: state[:-1] + ("A" if state[-1] != "A" else "B"),
    lambda state: "1" + state,
    lambda state: "",
    lambda state: "９.x.y",
])  # fmt: skip
async def test_a_made_up_state_leads_nowhere(shop, browser, spoil):
    status, _ = await back(browser, state=spoil(await state_of_link(shop)), code="code-1")
    assert status == 404
    assert "code-1" in shop.fair.codes


async def test_a_late_seller_a_refusing_one_and_a_wrong_code(shop, browser):
    state = await state_of_link(shop)
    status, _ = await back(browser, state=state, error="access_denied")
    assert status == 400
    status, text = await back(browser, state=state, code="<b>")
    assert (status, "code is unknown" in text, "<b>" in text) == (400, True, False)
    late = await state_of_link(shop)
    shop.later(hours=1)
    assert (await back(browser, state=late, code="code-1"))[0] == 410
    assert await shop.ask("SELECT id FROM shop_connections WHERE merchant_id = $1") == []


async def test_the_wrong_seller_is_not_taken_for_the_shop_that_is_meant(shop, browser):
    await shop.connect()
    async with shop.merchant.work() as w:
        other = await create_shop(w, "Other", "fair")
    status, text = await back(browser, state=await state_of_link(shop, other), code="code-1")
    assert (status, "log in at the platform as the right seller" in text) == (400, True)
    with pytest.raises(InvalidInput):
        await state_of_link(shop, shop.merchant.shop_id)  # a shop of Taobao


async def test_a_pasted_token_is_tried_first(shop):
    from core.domain.connections.connecting import connect_with_token
    from core.sdk import Token

    async def paste(token, platform="fair", **more):
        return await connect_with_token(
            shop.db, shop.registry, shop.merchant.id, platform, Token(token), **more
        )

    for token, error in (("bad", ConnectionRefused), (" ", InvalidInput)):
        with pytest.raises(error):
            await paste(token)
    with pytest.raises(NotFound, match="fair"):
        await paste("good", "moon")
    with pytest.raises(NotFound):
        await paste("good", shop_id=10**9)
    first = await paste("good")
    assert await paste("good") == first
    with pytest.raises(AlreadyExists):
        await paste("good", shop_id=shop.merchant.shop_id)


async def test_a_paused_shop_is_left_alone_and_catches_up(shop):
    fair = shop.fair
    await shop.connect()
    await shop.work()
    async with shop.merchant.work() as w:
        await set_paused(w, shop.id, True)
    calls = len(fair.calls)
    fair.order("o1", "new")
    await shop.pass_time(60, step=20)
    assert len(fair.calls) == calls
    async with shop.merchant.work() as w:
        await set_paused(w, shop.id, False)
    await shop.work()
    assert await shop.orders() == {"o1": "new"}


async def test_after_a_disconnect_nothing_is_called_and_what_came_stays(shop):
    fair = shop.fair
    fair.order("o1", "done", at=fair.now() - 3600)
    await shop.connect()
    await shop.work()
    async with shop.merchant.work() as w:
        await disconnect(w, shop.id)
    row = await shop.connection()
    assert (row["state"], row["token_sealed"]) == ("disconnected", None)
    calls = len(fair.calls)
    await shop.pass_time(120, step=60)
    assert len(fair.calls) == calls
    assert await shop.orders() == {"o1": "done"}
    fair.order("o2", "new")
    shop.later(minutes=5)
    await shop.connect()
    await shop.work()
    assert (await shop.orders()).keys() == {"o1", "o2"}


async def test_a_plugin_that_is_off_is_not_called(shop):
    await shop.connect()
    async with shop.merchant.work() as w:
        await disable_plugin(w, shop.registry, "fair")
    await shop.work()
    assert len(shop.fair.calls) == 1  # the token was tried


async def test_days_are_counted_and_what_is_missing_is_read_again(shop):
    fair = shop.fair
    for n in range(6):
        fair.order(f"o{n}", "done", at=fair.now() - 30 * 3600 + n)
    await shop.connect()
    await shop.work()
    async with shop.merchant.work() as w:
        await w.sql.execute(
            "DELETE FROM orders WHERE merchant_id = $1 AND external_id = 'o3'", w.merchant_id
        )
    shop.later(hours=1, minutes=1)
    await shop.work()
    yesterday = date(2026, 6, 14)
    async with shop.merchant.read() as session:
        days = {one.day: (one.theirs, one.ours, one.missing)
                for one in await day_reports(session, shop.id, 30)}  # fmt: skip
    assert days[yesterday] == (6, 5, 1)
    assert days[yesterday - timedelta(days=1)] == (0, 0, 0)
    assert "o3" in await shop.orders()
    async with shop.merchant.work() as w:
        await resync_day(w, shop.registry, shop.id, yesterday)
        with pytest.raises(InvalidInput):
            await resync_day(w, shop.registry, shop.id, date(2030, 1, 1))
    await shop.work()
    shop.later(hours=1, minutes=1)
    await shop.work()
    async with shop.merchant.read() as session:
        (first, *_) = await day_reports(session, shop.id, 1)
        (report,) = await reports(session)
    assert (first.theirs, first.ours) == (6, 6)
    assert {one.done == one.slices for one in report.past} == {True}
    assert await shop.events() == []


async def test_a_disconnect_can_erase_the_people_of_this_shop_alone(shop):
    fair, merchant = shop.fair, shop.merchant
    fair.order("o1", "done", at=fair.now() - 3600, buyer="only-here")
    fair.order("o2", "done", at=fair.now() - 3600, buyer="elsewhere-too")
    await shop.connect()
    await shop.work()
    async with merchant.work() as w:
        await w.sql.execute(
            """INSERT INTO orders (merchant_id, shop_id, external_id, customer_id, state, currency,
                   total, paid, refunded, ordered_at, content_hash, taken_at)
               SELECT merchant_id, $2, 'x', customer_id, state, currency, total, paid, refunded,
                      ordered_at, content_hash, taken_at
               FROM orders WHERE merchant_id = $1 AND external_id = 'o2'""",
            w.merchant_id, merchant.shop_id,
        )  # fmt: skip
        job_id = await disconnect_and_erase(w, shop.id)
    job = await jobs.claim(shop.db, merchant.id, job_id)
    await jobs.perform(shop.db, job, job_kinds(shop.registry))
    rows = await shop.ask("SELECT external_id, customer_id FROM orders WHERE merchant_id = $1")
    assert {row["external_id"]: row["customer_id"] is None for row in rows} == {
        "o1": True, "o2": False, "x": False,
    }  # fmt: skip
    (row,) = await shop.ask("SELECT state, result FROM jobs WHERE merchant_id = $1")
    assert (row["state"], row["result"]) == ("succeeded", '{"erased": 1}')
    (customer,) = await shop.ask("SELECT id FROM customers WHERE merchant_id = $1")
    assert customer["id"] in {row["customer_id"] for row in rows}
