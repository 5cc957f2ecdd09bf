import asyncio
from datetime import timedelta

import pytest

from core.domain.campaigns import ledger, sender
from core.domain.campaigns.audience import plan_run
from core.domain.campaigns.audit import Audit, audit_run
from core.domain.campaigns.content.tracking import store_addresses
from core.domain.campaigns.control import (
    cancel_campaign,
    pause_campaign,
    resume_campaign,
    start_campaign,
)
from core.domain.campaigns.due import due_runs
from core.domain.campaigns.sending import send_run
from core.sdk import WrongState
from core.testing.smtp import smtp_sink
from tests.sending_kit import (
    add_customers,
    campaign_row,
    enable_email,
    make_campaign,
    open_gate,
    states,
    until,
)

URL = "http://shop.example"


@pytest.fixture
async def sink():
    async with smtp_sink() as opened:
        yield opened


async def start(merchant, campaign_id):
    async with merchant.work() as w:
        return await start_campaign(w, merchant.installation.registry, campaign_id)


async def send(merchant, run_id, **options):
    installation = merchant.installation
    await send_run(installation.db, installation.registry, merchant.id, run_id, URL, **options)


async def audit(merchant, run_id):
    async with merchant.read() as session:
        return await audit_run(session, run_id)


async def is_due(merchant, run_id):
    runs = await due_runs(merchant.installation.db)
    return run_id in {run.run_id for run in runs if run.merchant_id == merchant.id}


async def test_everybody_who_may_be_written_to_gets_one_message(merchant, sink):
    await enable_email(merchant, sink.port)
    await add_customers(merchant, [f"c{n}@example.com" for n in range(250)])
    await add_customers(merchant, [None] * 3)
    await add_customers(merchant, ["no@example.com"] * 2, consent="denied")
    await add_customers(merchant, ["what@example.com"] * 4, consent=None)
    campaign_id = await make_campaign(merchant)
    run_id = await start(merchant, campaign_id)
    await send(merchant, run_id)
    assert sorted(to for _, to in sink.accepted) == sorted(f"c{n}@example.com" for n in range(250))
    assert len({message_id for message_id, _ in sink.accepted}) == 250
    assert await audit(merchant, run_id) == Audit(
        259, 250, {"no_address": 3, "opted_out": 2, "no_consent": 4}, 0, 0, 0
    )
    assert (await campaign_row(merchant, campaign_id))["state"] == "finished"
    await send(merchant, run_id)
    assert len(sink.accepted) == 250


async def test_each_outcome_has_its_place(merchant, sink):
    await enable_email(merchant, sink.port)
    await add_customers(
        merchant,
        ["ok@example.com", "fail550@example.com", "retry450@example.com", "drop@example.com",
         "lost@example.com"],
    )  # fmt: skip
    campaign_id = await make_campaign(merchant)
    run_id = await start(merchant, campaign_id)
    await send(merchant, run_id)
    assert await states(merchant, run_id) == {"sent": 1, "failed": 1, "pending": 1, "unknown": 2}
    assert (await campaign_row(merchant, campaign_id))["state"] == "running"
    merchant.clock.move(timedelta(hours=1))
    for _ in range(20):
        merchant.clock.move(timedelta(hours=1))
        await send(merchant, run_id)
    assert await states(merchant, run_id) == {"sent": 1, "failed": 2, "unknown": 2}
    assert (await campaign_row(merchant, campaign_id))["state"] == "finished"
    assert sorted(to.partition("@")[0] for _, to in sink.accepted) == ["drop", "ok"]


async def test_pause_stops_within_a_group_and_resume_goes_on(merchant, sink):
    await enable_email(merchant, sink.port)
    await add_customers(merchant, [f"c{n}@example.com" for n in range(1000)])
    campaign_id = await make_campaign(merchant)
    run_id = await start(merchant, campaign_id)
    sending = asyncio.create_task(send(merchant, run_id))
    await until(lambda: len(sink.accepted) >= 50)
    async with merchant.work() as w:
        await pause_campaign(w, campaign_id)
    at_pause = len(sink.accepted)
    await sending
    assert len(sink.accepted) - at_pause <= 100
    assert (await states(merchant, run_id)).keys() == {"sent", "pending"}
    async with merchant.work() as w:
        await resume_campaign(w, merchant.installation.registry, campaign_id)
    await send(merchant, run_id)
    assert await states(merchant, run_id) == {"sent": 1000}
    assert len({to for _, to in sink.accepted}) == len(sink.accepted) == 1000


async def test_cancel_skips_the_rest_even_what_was_to_be_tried_again(merchant, sink):
    await enable_email(merchant, sink.port)
    await add_customers(merchant, ["retry450@example.com"])
    await add_customers(merchant, [f"c{n}@example.com" for n in range(1000)])
    campaign_id = await make_campaign(merchant)
    run_id = await start(merchant, campaign_id)
    sending = asyncio.create_task(send(merchant, run_id))
    await until(lambda: len(sink.accepted) >= 20)
    async with merchant.work() as w:
        await cancel_campaign(w, campaign_id)
    await sending
    found = await audit(merchant, run_id)
    assert found.pending == found.failed == found.unknown == 0
    assert found.sent == len(sink.accepted) < 1000
    assert found.skipped == {"cancelled": 1001 - found.sent}
    with pytest.raises(WrongState):
        await start(merchant, campaign_id)


async def test_consent_withdrawn_after_the_start_counts(merchant, sink):
    await enable_email(merchant, sink.port)
    ids = await add_customers(merchant, ["a@example.com", "b@example.com", "c@example.com"])
    run_id = await start(merchant, await make_campaign(merchant))
    await plan_run(merchant.installation.db, merchant.installation.registry, merchant.id, run_id)
    async with merchant.work() as w:
        await w.sql.execute(
            "UPDATE consents SET status = 'denied' WHERE merchant_id = $1 AND customer_id = $2",
            merchant.id, ids[0],
        )  # fmt: skip
        await w.sql.execute(
            "DELETE FROM customers WHERE merchant_id = $1 AND id = $2", merchant.id, ids[1]
        )
    await send(merchant, run_id)
    assert (await audit(merchant, run_id)).skipped == {"opted_out": 1, "no_address": 1}
    assert [to for _, to in sink.accepted] == ["c@example.com"]


async def test_refused_sender_pauses_and_says_why(merchant, sink):
    await enable_email(merchant, sink.port, from_address="refused@example.com")
    await add_customers(merchant, [f"c{n}@example.com" for n in range(100)])
    campaign_id = await make_campaign(merchant)
    run_id = await start(merchant, campaign_id)
    await send(merchant, run_id)
    row = await campaign_row(merchant, campaign_id)
    assert (row["state"], row["run_state"]) == ("paused", "paused")
    assert "sender" in row["pause_reason"]
    assert await states(merchant, run_id) == {"pending": 100}
    assert sink.accepted == []


async def test_server_away_lets_the_run_rest(merchant):
    async with smtp_sink() as sink:
        await enable_email(merchant, sink.port)
    await add_customers(merchant, ["a@example.com"])
    campaign_id = await make_campaign(merchant)
    run_id = await start(merchant, campaign_id)
    await send(merchant, run_id)
    assert (await campaign_row(merchant, campaign_id))["resume_at"] > merchant.clock()
    assert await states(merchant, run_id) == {"pending": 1}
    assert not await is_due(merchant, run_id)
    merchant.clock.move(timedelta(minutes=1))
    assert await is_due(merchant, run_id)


async def test_rows_of_a_dead_worker_become_unknown_after_their_lease(merchant, sink):
    await enable_email(merchant, sink.port)
    await add_customers(merchant, [f"c{n}@example.com" for n in range(100)])
    run_id = await start(merchant, await make_campaign(merchant))
    await plan_run(merchant.installation.db, merchant.installation.registry, merchant.id, run_id)
    channel = merchant.installation.registry.channels["email"].value
    async with merchant.work() as w:
        marked = await ledger.mark_sending(
            w, run_id, 0, channel, "marketing", None, "dead", timedelta(seconds=60), 30,
            open_gate(w),
        )  # fmt: skip
    assert len(marked) == 30
    await send(merchant, run_id)
    assert await states(merchant, run_id) == {"sent": 70, "sending": 30}
    merchant.clock.move(timedelta(seconds=61))
    assert await is_due(merchant, run_id)
    await send(merchant, run_id)
    assert await states(merchant, run_id) == {"sent": 70, "unknown": 30}
    assert len(sink.accepted) == 70


async def test_several_workers_at_once_send_each_message_once(merchant, sink):
    await enable_email(merchant, sink.port)
    await add_customers(merchant, [f"c{n}@example.com" for n in range(1000)])
    run_id = await start(merchant, await make_campaign(merchant))
    await asyncio.gather(*(send(merchant, run_id) for _ in range(4)))
    assert len({to for _, to in sink.accepted}) == len(sink.accepted) == 1000
    await send(merchant, run_id)
    assert await audit(merchant, run_id) == Audit(1000, 1000, {}, 0, 0, 0)


async def test_stop_ends_soon_and_leaves_nothing_in_doubt(merchant, sink):
    await enable_email(merchant, sink.port)
    await add_customers(merchant, [f"c{n}@example.com" for n in range(1000)])
    run_id = await start(merchant, await make_campaign(merchant))
    stop = asyncio.Event()
    sending = asyncio.create_task(send(merchant, run_id, stop=stop))
    await until(lambda: len(sink.accepted) >= 50)
    stop.set()
    await asyncio.wait_for(sending, 60)
    found = await states(merchant, run_id)
    assert found.keys() == {"sent", "pending"}
    assert found["sent"] == len(sink.accepted) < 1000


OWN = {
    "subject": "s",
    "html": '<a href="https://a.cn/{{ customer.name }}">a</a> {{ unsubscribe_url }}',
}


async def test_addresses_with_variables_are_stored_before_their_messages_go_out(
    merchant, sink, monkeypatch
):
    """Also when storing some of them fails: those messages are taken again, the others are not."""
    await enable_email(merchant, sink.port)
    await add_customers(merchant, [f"c{n}@example.com" for n in range(50)])
    run_id = await start(merchant, await make_campaign(merchant, OWN))
    calls = []

    async def failing_once(w, made):
        calls.append(len(made))
        if len(calls) == 2:
            raise ConnectionResetError("the database is away")
        if len(calls) == 3:  # an erasure takes the message away from the worker
            async with merchant.read() as session:
                await session.sql.execute(
                    """UPDATE deliveries SET state = 'unknown', lease_owner = NULL
                       WHERE merchant_id = $1 AND id = $2""",
                    merchant.id, min(made),
                )  # fmt: skip
        await store_addresses(w, made)

    monkeypatch.setattr(sender, "TEXTS", 20)
    monkeypatch.setattr(sender, "store_addresses", failing_once)
    await send(merchant, run_id)
    assert calls == [20, 20, 20, 10]
    assert await states(merchant, run_id) == {"sent": 49, "unknown": 1}
    assert len({to for _, to in sink.accepted}) == len(sink.accepted) == 50
    async with merchant.read() as session:
        stored = await session.sql.fetch(
            """SELECT d.state, m.url FROM deliveries d
               LEFT JOIN message_links m ON m.merchant_id = $1 AND m.delivery_id = d.id
               WHERE d.merchant_id = $1""",
            merchant.id,
        )  # fmt: skip
    assert all((row["url"] is None) == (row["state"] == "unknown") for row in stored)


async def test_a_template_that_fails_for_one_skips_that_one(merchant, sink):
    await enable_email(merchant, sink.port)
    ids = await add_customers(merchant, ["a@example.com", "b@example.com"])
    async with merchant.work() as w:
        await w.sql.execute(
            "UPDATE customers SET name = NULL WHERE merchant_id = $1 AND id = $2",
            merchant.id, ids[0],
        )  # fmt: skip
    content = {"subject": "{{ customer.name }}", "html": "<p>hello</p>"}
    run_id = await start(merchant, await make_campaign(merchant, content))
    await send(merchant, run_id)
    assert (await audit(merchant, run_id)).skipped == {"render_error": 1}
    assert [to for _, to in sink.accepted] == ["b@example.com"]


async def test_a_rule_that_no_longer_compiles_pauses_the_campaign(merchant, sink):
    await enable_email(merchant, sink.port)
    await add_customers(merchant, ["a@example.com"])
    campaign_id = await make_campaign(merchant)
    run_id = await start(merchant, campaign_id)
    async with merchant.work() as w:
        await w.sql.execute(
            """UPDATE campaign_runs SET rule = '{"version": 1, "rule": {"gone": {}}}'
               WHERE merchant_id = $1 AND id = $2""",
            merchant.id, run_id,
        )  # fmt: skip
    await send(merchant, run_id)
    row = await campaign_row(merchant, campaign_id)
    assert (row["state"], row["run_state"]) == ("paused", "paused")
    assert "gone" in row["pause_reason"]
    assert sink.accepted == []
