"""Each recipient of a message gets a code of his own; what is not sent is put back."""

from datetime import timedelta

import pytest

from core.sdk import NoSettings, PluginContext, Refused, RetryLater, Several, Subject
from core.sdk import Redeemed as Paid
from core.sdk.errors import HuikeError
from core.testing import check_facet
from plugins.coupons import jobs
from plugins.coupons.facets import Redeemed, Unused
from plugins.coupons.granting import CouponReward, Grant, GrantSettings
from plugins.coupons.issuing import Recipient, issue
from plugins.coupons.settings import CouponSettings
from plugins.coupons.stock import take_in
from tests.plugins.coupons.kit import buy, people, stored, template
from tests.provider_kit import Provider, consent_to, rows, send, send_step, started, with_channels
from tests.sending_kit import add_customers

TEXT = "{{ coupons.ten.code }} {{ coupons.ten.amount }} {{ coupons.ten.expires }}"


def context_of(merchant, settings):
    opened = merchant.installation
    return PluginContext(merchant.id, settings, opened.db, opened.registry)


async def campaign(merchant, provider, count, text=TEXT):
    merchant = await with_channels(merchant, pigeon=provider)
    await add_customers(merchant, [f"c{n}@example.com" for n in range(count)])
    await consent_to(merchant, "pigeon")
    step = send_step("pigeon", variants=[text], message_class="service")
    return merchant, await started(merchant, step)


async def test_everybody_gets_a_code_and_a_second_try_the_same(merchant):
    await template(merchant, valid_days=30)
    seen = []

    def answer(message):
        seen.append((message.to, message.content["text"]))
        if len(seen) == 1:
            raise RetryLater("busy")

    merchant, run = await campaign(merchant, Provider(answer=answer), 3)
    await send(merchant, run)
    merchant.clock.move(timedelta(minutes=5))
    await send(merchant, run)
    assert {one["state"] for one in await rows(merchant, run)} == {"sent"}
    assert len(seen) == 4
    assert len(set(seen)) == 3
    assert len({text.split()[0] for _, text in seen}) == 3
    assert {text.split()[1:][0] for _, text in seen} == {"10.00"}
    assert {text.split()[2] for _, text in seen} == {"2026-07-15"}
    assert (await stored(merchant))["issued"] == 3
    assert (await buy(merchant, seen[-1][1].split()[0], "o")).done


async def test_a_campaign_whose_pool_runs_out_stops_and_says_so(merchant):
    made = await template(merchant, source="pool", valid_until=merchant.clock() + timedelta(9))
    async with merchant.work() as w:
        await take_in(w, made.id, ["ONE1"])
    provider = Provider()
    merchant, run = await campaign(merchant, provider, 2)
    await send(merchant, run)
    assert provider.taken == []
    async with merchant.read() as session:
        row = await session.sql.fetchrow(
            "SELECT * FROM campaign_runs WHERE merchant_id = $1 AND id = $2", merchant.id, run
        )
    assert row["state"] == "paused"
    assert any("2 codes are needed, 1 are in stock" in str(value) for value in row.values())
    assert {one["state"] for one in await rows(merchant, run)} == {"pending"}


async def test_what_was_not_sent_goes_back_into_stock(merchant):
    made = await template(merchant, source="pool")

    def answer(message):
        raise Refused("no such person")

    async with merchant.work() as w:
        await take_in(w, made.id, ["ONE1"])
    merchant, run = await campaign(merchant, Provider(answer=answer), 1, "{{ coupons.ten.code }}")
    await send(merchant, run)
    assert (await stored(merchant))["issued"] == 1
    await jobs.tidy(context_of(merchant, CouponSettings()))
    assert (await stored(merchant))["issued"] == 0
    async with merchant.work() as w:
        (given,) = await issue(w, made.id, [Recipient(await anybody(w))], "test")
    assert given.code == "ONE1"


async def anybody(w):
    return await w.sql.fetchval("SELECT id FROM customers WHERE merchant_id = $1", w.merchant_id)


async def test_a_text_names_only_templates_that_there_are(merchant):
    with pytest.raises((HuikeError, Several), match=r"coupons\.ten\.code"):
        await campaign(merchant, Provider(), 1)


async def test_reminders_are_told_once_and_facets_ask_for_coupons(merchant):
    made = await template(merchant, valid_days=5)
    one, two, three = await people(merchant, 3)
    async with merchant.work() as w:
        await issue(w, made.id, [Recipient(one), Recipient(two)], "test")
    context = context_of(merchant, CouponSettings(expiring_days=[3, 1], unused_days=2))
    async with merchant.read() as session:
        code = await session.sql.fetchval(
            "SELECT code FROM coupons_coupons WHERE merchant_id = $1 AND customer_id = $2",
            merchant.id, two,
        )  # fmt: skip
    assert (await buy(merchant, code, "o")).done
    assert await check_facet(merchant, Unused(), {"template": "ten"}) == {one}
    assert await check_facet(merchant, Unused(), {"expires_within_days": 4}) == set()
    assert await check_facet(merchant, Redeemed(), {"within_days": 1}) == {two}
    assert await check_facet(merchant, Redeemed(), {"template": "other"}) == set()
    for _ in range(6):
        await jobs.remind(context)
        merchant.clock.move(timedelta(days=1))
    async with merchant.read() as session:
        told = await session.sql.fetch(
            """SELECT type, payload->>'days' AS days FROM outbox_events
               WHERE merchant_id = $1 AND type IN ('coupons.expiring', 'coupons.unused')
               ORDER BY 1, 2""",
            merchant.id,
        )  # fmt: skip
    assert [tuple(row) for row in told] == [
        ("coupons.expiring", "1"), ("coupons.expiring", "3"), ("coupons.unused", "2")
    ]  # fmt: skip
    assert three


async def test_rewards_are_given_once_and_steps_to_all_who_come(merchant):
    await template(merchant, per_customer=1)
    (person,) = await people(merchant, 1)
    context = context_of(merchant, NoSettings())
    settings = GrantSettings(template="ten")
    code = await CouponReward().hand_out(context, settings, Paid(7, 1, person, 100))
    assert code == await CouponReward().hand_out(context, settings, Paid(7, 1, person, 100))
    with pytest.raises(Refused, match="each customer can have 1"):
        await CouponReward().hand_out(context, settings, Paid(8, 1, person, 100))
    others = await people(merchant, 2)
    async with merchant.work() as w:
        subjects = [Subject(n, one, None, None) for n, one in enumerate(others)]
        await Grant().perform(w, settings, subjects)
    assert (await stored(merchant))["issued"] == 3
