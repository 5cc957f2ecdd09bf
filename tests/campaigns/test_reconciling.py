from datetime import timedelta

import pytest

from core.domain.campaigns import ledger, reconciling
from core.domain.campaigns.audience import plan_run
from core.domain.campaigns.audit import audit_run
from core.domain.campaigns.control import cancel_campaign
from core.domain.campaigns.settling import settle_deliveries
from core.sdk import NotFound, RetryLater, Several, Trace, Unknown, WrongState
from core.sdk.errors import HuikeError
from tests.provider_kit import (
    Provider,
    consent_to,
    rows,
    send,
    send_step,
    started,
    with_channels,
)
from tests.sending_kit import add_customers, open_gate

HOUR = timedelta(hours=1)


@pytest.fixture
def provider():
    return Provider()


@pytest.fixture
async def shop(merchant, provider):
    shop = await with_channels(merchant, fake=provider)
    await add_customers(shop, [f"c{n}@example.com" for n in range(4)], consent=None)
    await consent_to(shop, "fake")
    return shop


async def reconcile(shop, *, after):
    shop.clock.move(after)
    installation = shop.installation
    await reconciling.reconcile(installation.db, installation.registry, shop.id)


async def states(shop, run_id):
    return [row["state"] for row in await rows(shop, run_id)]


async def run_state(shop, run_id):
    async with shop.read() as session:
        return await session.sql.fetchval(
            "SELECT state FROM campaign_runs WHERE merchant_id = $1 AND id = $2", shop.id, run_id
        )


def lost(provider, *, taken):
    """An answer that never comes, to a message that the provider took or did not take."""

    def answer(message):
        if taken:
            provider.taken.append(message)
        raise Unknown("no answer", "one")

    return answer


async def test_what_the_provider_has_is_sent_and_what_it_has_not_goes_out_once(shop, provider):
    numbers = iter(range(4))

    def answer(message):
        raise_it = lost(provider, taken=next(numbers) % 2 == 0)
        return raise_it(message)

    provider.answer = answer
    run_id = await started(shop, send_step("fake"))
    await send(shop, run_id)
    assert await states(shop, run_id) == ["unknown"] * 4
    assert await run_state(shop, run_id) == "running"
    await reconcile(shop, after=timedelta(seconds=59))
    assert provider.asked == []
    await reconcile(shop, after=timedelta(seconds=1))
    assert sorted(await states(shop, run_id)) == ["pending", "pending", "sent", "sent"]
    provider.answer = None
    await send(shop, run_id)
    assert await states(shop, run_id) == ["sent"] * 4
    assert len(provider.taken) == 4
    assert provider.twice() == []
    assert await run_state(shop, run_id) == "finished"
    again = [message for message in provider.taken if message.attempt == 2]
    assert [message.avoid for message in again] == [{"one"}, {"one"}]


async def test_a_second_provider_takes_over_what_the_first_certainly_did_not_send(shop, provider):
    def answer(message):
        if "one" not in message.avoid:
            raise RetryLater("down", timedelta(seconds=5), "one")

    provider.answer = answer
    run_id = await started(shop, send_step("fake"))
    await send(shop, run_id)
    assert await states(shop, run_id) == ["pending"] * 4
    shop.clock.move(timedelta(seconds=5))
    await send(shop, run_id)
    assert [(m.attempt, m.avoid) for m in provider.taken] == [(2, {"one"})] * 4


async def test_after_the_last_question_it_stays_unknown_and_the_run_ends(shop, provider):
    provider.answer, provider.traces = lost(provider, taken=False), lambda message: Trace.UNKNOWN
    run_id = await started(shop, send_step("fake"))
    await send(shop, run_id)
    for pause, asked in [(60, 4), (600, 8), (3600, 12)]:
        await reconcile(shop, after=timedelta(seconds=pause - 1))
        assert len(provider.asked) == asked - 4
        await reconcile(shop, after=timedelta(seconds=1))
        assert len(provider.asked) == asked
    await reconcile(shop, after=24 * HOUR)
    assert len(provider.asked) == 12
    await send(shop, run_id)
    assert await run_state(shop, run_id) == "finished"
    async with shop.read() as session:
        found = await audit_run(session, run_id)
    assert (found.unknown, found.asked, found.target) == (4, 0, 4)


async def test_a_provider_that_cannot_be_asked_is_asked_later(shop, provider):
    def away(message):
        raise RetryLater("down")

    provider.answer, provider.traces = lost(provider, taken=True), away
    run_id = await started(shop, send_step("fake"))
    await send(shop, run_id)
    await reconcile(shop, after=timedelta(minutes=1))
    assert await states(shop, run_id) == ["unknown"] * 4
    provider.traces = None
    await reconcile(shop, after=reconciling.CLAIM)
    assert await states(shop, run_id) == ["sent"] * 4


async def test_a_dead_workers_messages_are_asked_for_too(shop, provider):
    run_id = await started(shop, send_step("fake"))
    await plan_run(shop.installation.db, shop.installation.registry, shop.id, run_id)
    channel = shop.installation.registry.channels["fake"].value
    async with shop.work() as w:
        await ledger.mark_sending(
            w, run_id, 0, channel, "marketing", None, "dead", timedelta(seconds=60), 4,
            open_gate(w),
        )  # fmt: skip
    shop.clock.move(timedelta(seconds=61))
    await send(shop, run_id)
    assert await states(shop, run_id) == ["unknown"] * 4
    await reconcile(shop, after=timedelta(minutes=1))
    await send(shop, run_id)
    assert await states(shop, run_id) == ["sent"] * 4
    assert (len(provider.taken), provider.twice()) == (4, [])


async def test_a_cancelled_campaigns_message_is_not_sent_again(shop, provider):
    provider.answer = lost(provider, taken=False)
    run_id = await started(shop, send_step("fake"))
    await send(shop, run_id)
    async with shop.work() as w:
        campaign_id = await w.sql.fetchval(
            "SELECT campaign_id FROM campaign_runs WHERE merchant_id = $1 AND id = $2",
            shop.id, run_id,
        )  # fmt: skip
        await cancel_campaign(w, campaign_id)
    await reconcile(shop, after=timedelta(minutes=1))
    assert await states(shop, run_id) == ["skipped"] * 4


async def settle(shop, ids, decision, **more):
    async with shop.work() as w:
        return await settle_deliveries(w, ids, decision, **more)


async def test_the_merchant_settles_what_nobody_knows(shop, provider):
    provider.answer, provider.traces = lost(provider, taken=False), lambda message: Trace.UNKNOWN
    run_id = await started(shop, send_step("fake"))
    await send(shop, run_id)
    for pause in (60, 600, 3600):
        await reconcile(shop, after=timedelta(seconds=pause))
    await send(shop, run_id)
    assert await run_state(shop, run_id) == "finished"
    ids = [row["id"] for row in await rows(shop, run_id)]
    provider.answer = None
    assert list(await settle(shop, [10**9, ids[0]], "sent", go_on=True)) == [0]
    await settle(shop, ids[1:], "send_again")
    assert await run_state(shop, run_id) == "running"
    await send(shop, run_id)
    assert await states(shop, run_id) == ["sent"] * 4
    assert len(provider.taken) == 3
    assert await run_state(shop, run_id) == "finished"
    async with shop.read() as session:
        said = await session.sql.fetch(
            """SELECT payload ->> 'times' AS times FROM outbox_events
               WHERE merchant_id = $1 AND type = 'campaign.finished' ORDER BY id""",
            shop.id,
        )  # fmt: skip
    assert [row["times"] for row in said] == ["1", "2"]
    with pytest.raises((HuikeError, Several)) as caught:
        await settle(shop, [ids[0], 10**9], "sent")
    assert [type(error) for error in caught.value.errors] == [WrongState, NotFound]
    async with shop.read() as session:
        logged = await session.sql.fetchval(
            """SELECT count(*) FROM audit_log
               WHERE merchant_id = $1 AND action = 'deliveries.settled'""",
            shop.id,
        )  # fmt: skip
    assert logged == 2
