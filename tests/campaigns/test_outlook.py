"""What a campaign would do, and why somebody got nothing: both agree with what then happens."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from core.domain.campaigns.campaigns import create_flow_campaign
from core.domain.campaigns.policy.hours import set_holidays, set_hours
from core.domain.campaigns.policy.reasons import ANSWERS, SKIP_REASONS, reason_in_words
from core.domain.campaigns.policy.windows import Span
from core.domain.campaigns.simulation import (
    CampaignSimulation,
    simulate_campaign,
    simulated,
    start_simulating,
)
from core.domain.campaigns.why_not_sent import why_not_sent
from core.domain.segments.segments import create_segment
from core.sdk import NotFound, WrongState
from core.sdk.flows import Flow, Options
from core.storage import jobs
from tests.campaigns.policy_kit import cap, enable_channel, end_all, planned, rows_of, send_all
from tests.sending_kit import ALL, CONTENT, add_customers, make_campaign

SHANGHAI = ZoneInfo("Asia/Shanghai")
DAY = timedelta(days=1)
LONG = Options(max_lateness={"days": 3})


@pytest.fixture
async def shop(merchant):
    await enable_channel(merchant)
    yield merchant
    await end_all(merchant)


async def simulate(merchant, campaign_id):
    async with merchant.read() as session:
        return await simulate_campaign(session, merchant.installation.registry, campaign_id)


async def why(merchant, campaign_id, customer_id):
    async with merchant.read() as session:
        return await why_not_sent(session, merchant.installation.registry, campaign_id, customer_id)


async def told(merchant, found):
    """What a simulation says, as rows of the ledger would: (state, reason) with their number."""
    told = {("skipped", reason): n for reason, n in found.skipped.items()}
    for one in found.waiting:
        told["pending", one.rule] = told.get(("pending", one.rule), 0) + one.count
    if found.would_send:
        told["pending", None] = found.would_send
    return told


async def happened(merchant, run_id):
    rows: dict = {}
    for state, reason, _ in await rows_of(merchant, run_id):
        rows[state, reason] = rows.get((state, reason), 0) + 1
    return rows


async def people(merchant):
    """Some for whom nothing stands against it, some with a message lately, some without consent."""
    await add_customers(merchant, ["capped@example.com"] * 4)
    await cap(merchant, 1, 24)
    assert await send_all(merchant, await planned(merchant, "before")) == 4
    await add_customers(merchant, [f"free{n}@example.com" for n in range(5)])
    await add_customers(merchant, ["no@example.com"] * 3, consent="denied")
    await add_customers(merchant, [None] * 2)


async def test_a_simulation_says_what_then_is_planned(shop):
    await people(shop)
    begin = shop.clock()
    campaign_id = await make_campaign(shop, name="sim", options=LONG)
    found = await simulate(shop, campaign_id)
    assert (found.audience, found.would_send) == (14, 5)
    assert found.skipped == {"no_address": 2, "opted_out": 3}
    assert [(one.hour, one.rule, one.count) for one in found.waiting] == [
        (begin + DAY, "capped", 4)
    ]
    run_id = await planned(shop, "real", options={"max_lateness": {"days": 3}})
    assert await told(shop, found) == await happened(shop, run_id)
    async with shop.read() as session:
        assert await session.sql.fetchval(
            "SELECT count(*) FROM deliveries WHERE merchant_id = $1 AND run_id = 0", shop.id
        ) == 0  # fmt: skip


async def test_a_simulation_tells_the_hour_at_which_they_may_go_out(shop):
    await people(shop)
    async with shop.work() as w:
        registry = shop.installation.registry
        # the cap has room at noon, when it is quiet
        await set_hours(w, registry, 0, "*", quiet=[Span(time(11), time(14))])
    found = await simulate(shop, await make_campaign(shop, name="sim", options=LONG))
    hours = {one.rule: one.hour.astimezone(SHANGHAI) for one in found.waiting}
    assert hours == {
        "quiet_hours": datetime(2026, 6, 15, 14, tzinfo=SHANGHAI),
        "capped": datetime(2026, 6, 16, 14, tzinfo=SHANGHAI),
    }
    async with shop.work() as w:
        await set_holidays(w, registry, 0, [date(2026, 6, n) for n in (15, 16, 17, 18)], "x", False)
    found = await simulate(shop, await make_campaign(shop, name="long", options=LONG))
    assert found.would_send == 0
    assert found.skipped == {"no_address": 2, "opted_out": 3, "holiday": 9}


async def test_the_job_finds_the_same(shop):
    await people(shop)
    campaign_id = await make_campaign(shop, name="sim", options=LONG)
    async with shop.work() as w:
        job_id = await start_simulating(w, campaign_id)
        assert await start_simulating(w, campaign_id) == job_id
    db, registry = shop.installation.db, shop.installation.registry
    async with shop.read() as session:
        assert (await simulated(session, job_id))[1] is None
    job = await jobs.claim(db, shop.id, job_id)
    await jobs.perform(db, job, {"campaign.simulate": CampaignSimulation(registry)})
    async with shop.read() as session:
        row, found = await simulated(session, job_id)
        other = await session.sql.fetchval(
            "SELECT id FROM jobs WHERE merchant_id = $1 AND kind <> 'campaign.simulate'", shop.id
        )
        if other:
            with pytest.raises(NotFound):
                await simulated(session, other)
    assert row["state"] == "succeeded"
    assert found == await simulate(shop, campaign_id)


async def journey(merchant):
    registry = merchant.installation.registry
    flow = Flow.model_validate({
        "trigger": {"kind": "event", "type": "order.created"},
        "steps": [
            {"kind": "send", "key": "thanks", "channel": "email", "message_class": "service",
             "variants": [{"content": CONTENT}]},
            {"kind": "wait", "key": "pause", "span": {"days": 3}},
            {"kind": "send", "key": "offer", "channel": "email",
             "variants": [{"content": CONTENT}]},
        ],
    })  # fmt: skip
    async with merchant.work() as w:
        return await create_flow_campaign(w, registry, name="journey", flow=flow)


async def test_a_journey_has_no_audience_to_simulate_but_its_steps_can_be_asked(shop):
    (customer,) = await add_customers(shop, ["a@example.com"], consent="denied")
    campaign_id = await journey(shop)
    with pytest.raises(WrongState):
        await simulate(shop, campaign_id)
    found = await why(shop, campaign_id, customer)
    assert (found.answer, found.in_audience) == ("not_started", None)
    assert [(one.step, one.verdict, one.rule) for one in found.now] == [
        ("thanks", "send", None), ("offer", "skip", "opted_out"),
    ]  # fmt: skip
    async with shop.work() as w:
        await w.sql.execute(
            "UPDATE campaigns SET state = 'running' WHERE merchant_id = $1 AND id = $2",
            shop.id, campaign_id,
        )  # fmt: skip
        run_id = await w.sql.fetchval(
            """INSERT INTO campaign_runs (merchant_id, campaign_id, version, state, open, flow,
                   options, created_at)
               SELECT $1, id, 1, 'running', TRUE, flow, options, $3 FROM campaigns
               WHERE merchant_id = $1 AND id = $2 RETURNING id""",
            shop.id, campaign_id, w.now,
        )  # fmt: skip
        await w.sql.execute(
            """INSERT INTO enrolments (merchant_id, campaign_id, run_id, customer_id, entry_key,
                   step, wake_at, entered_at) VALUES ($1, $2, $3, $4, 0, 1, $5, $5)""",
            shop.id, campaign_id, run_id, customer, w.now,
        )  # fmt: skip
    found = await why(shop, campaign_id, customer)
    assert found.answer == "on_the_way"
    assert [entry["step"] for entry in found.entries] == [1]
    for state, reason, answer in (
        ("left", "order_changed", "order_changed"), ("done", None, "without_message"),
    ):  # fmt: skip
        async with shop.work() as w:
            await w.sql.execute(
                """UPDATE enrolments SET state = $3, reason = $4
                   WHERE merchant_id = $1 AND run_id = $2""",
                shop.id, run_id, state, reason,
            )  # fmt: skip
        assert (await why(shop, campaign_id, customer)).answer == answer


async def test_why_nothing_was_sent(shop):
    ids = await add_customers(shop, ["a@example.com", "b@example.com"])
    (refused,) = await add_customers(shop, ["c@example.com"], consent="denied")
    async with shop.work() as w:
        registry = shop.installation.registry
        segment_rule = {"version": 1, "rule": {"not": {"tag": {"any_of": ["staff"]}}}}
        await create_segment(w, registry, "no staff", segment_rule)
        await w.sql.execute(
            """INSERT INTO customer_tags (merchant_id, customer_id, tag, source, created_at)
               VALUES ($1, $2, 'staff', 'test', $3)""",
            shop.id, ids[1], w.now,
        )  # fmt: skip
    campaign_id = await make_campaign(shop, name="one", rule=segment_rule, options=LONG)
    found = await why(shop, campaign_id, ids[0])
    assert (found.answer, found.in_audience) == ("not_started", True)
    found = await why(shop, campaign_id, ids[1])
    assert (found.answer, found.in_audience) == ("not_in_audience", False)
    assert [one.holds for one in found.clauses] == [False, True]

    await cap(shop, 1, 24)
    assert await send_all(shop, await planned(shop, "before")) == 2
    run_id = await planned(shop, "two", options={"max_lateness": {"days": 3}})
    async with shop.read() as session:
        second = await session.sql.fetchval(
            "SELECT campaign_id FROM campaign_runs WHERE merchant_id = $1 AND id = $2",
            shop.id, run_id,
        )  # fmt: skip
    found = await why(shop, second, ids[0])
    assert found.answer == "capped"
    assert [(row["state"], row["reason"]) for row in found.deliveries] == [("pending", "capped")]
    assert [(one.verdict, one.rule, one.moment) for one in found.now] == [
        ("wait", "capped", shop.clock() + DAY)
    ]
    assert (await why(shop, second, refused)).answer == "opted_out"
    shop.clock.move(DAY)
    for quiet, answer in ([Span(time(11), time(14))], "quiet_hours"), ([], "capped"):
        async with shop.work() as w:  # what keeps it back now, not what did when it was put off
            await set_hours(w, shop.installation.registry, 0, "*", quiet=quiet)
        assert (await why(shop, second, ids[0])).answer == answer
    assert await send_all(shop, run_id) == 2
    assert (await why(shop, second, ids[0])).answer == "sent"
    (late,) = await add_customers(shop, ["d@example.com"])
    assert (await why(shop, second, late)).answer == "not_planned"
    with pytest.raises(NotFound):
        await why(shop, 10**9, late)


def test_every_rule_has_words_in_both_languages():
    for name, text in (SKIP_REASONS | ANSWERS).items():
        assert text.en.endswith("."), name
        assert text.zh.endswith("。"), name
        assert reason_in_words(name, "zh") == text.zh
    assert reason_in_words("of_a_plugin", "en") == "of_a_plugin"
    assert not set(SKIP_REASONS) & set(ANSWERS)


async def test_a_simulation_of_nobody(shop):
    found = await simulate(shop, await make_campaign(shop, name="none", rule=ALL))
    assert (found.audience, found.would_send, found.waiting, found.skipped) == (0, 0, [], {})
