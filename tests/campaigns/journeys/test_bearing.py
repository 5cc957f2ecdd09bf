"""What journeys bear: workers at once, crashes, merges, erasure; and versions."""

import asyncio
from contextlib import suppress

from core.domain.campaigns.campaigns import update_campaign
from core.domain.campaigns.control import finish_campaign
from core.domain.campaigns.flows import parse_flow
from core.domain.campaigns.journeys import advance as advancing
from core.domain.campaigns.journeys.moving import move
from core.domain.campaigns.journeys.running import journeys
from core.domain.campaigns.sending import send_run
from core.domain.customers.merge import merge_customers
from core.domain.privacy.erasure import start_erasure
from core.sdk import ConsentGranted
from tests.journey_kit import (
    CREATED,
    emit,
    enrolments,
    go_on,
    make_segment,
    standing,
    start_journey,
    tag,
    tags_of,
    wait,
)
from tests.privacy.kit import run_job
from tests.sending_kit import ALL, add_customers

GRANTED = {"kind": "event", "type": "consent.granted"}


def granted(customer_id):
    return ConsentGranted(customer_id, 0, "email", "marketing", "test")


async def whole_audience(merchant, number, steps):
    ids = await add_customers(merchant, [None] * number)
    segment_id = await make_segment(merchant, ALL)
    trigger = {"kind": "audience", "segment_id": segment_id}
    _, run_id = await start_journey(merchant, trigger, steps)
    return ids, run_id


async def test_workers_at_once_take_everybody_once(merchant, monkeypatch):
    monkeypatch.setattr(advancing, "BATCH", 50)
    _, run_id = await whole_audience(merchant, 1000, [tag("a"), wait("w", span={"hours": 1})])
    db, registry = merchant.installation.db, merchant.installation.registry
    await asyncio.gather(*(advancing.advance(db, registry, merchant.id) for _ in range(4)))
    async with merchant.read() as session:
        logged = await session.sql.fetchval(
            "SELECT count(*) FROM customer_log WHERE merchant_id = $1 AND kind = 'tag_added'",
            merchant.id,
        )
    assert logged == 1000
    assert set(await standing(merchant, run_id)) == {("waiting", 1, None)}


async def test_a_turn_that_is_rolled_back_leaves_everything_as_it_was(merchant):
    ids, run_id = await whole_audience(merchant, 3, [tag("a"), wait("w", span={"hours": 1})])
    registry = merchant.installation.registry
    before = await enrolments(merchant, run_id)
    async with merchant.read() as session:
        (journey,) = await journeys(session, "TRUE")
    with suppress(ConnectionError):
        async with merchant.work() as w:
            assert await advancing.walk(w, registry, journey) == 3
            raise ConnectionError
    assert await enrolments(merchant, run_id) == before
    assert await tags_of(merchant, ids[0]) == []
    await go_on(merchant)
    assert await tags_of(merchant, ids[0]) == ["a"]
    assert set(await standing(merchant, run_id)) == {("waiting", 1, None)}


async def test_a_customer_who_becomes_another_goes_on_as_that_one(merchant):
    first, second = await add_customers(merchant, [None] * 2)
    steps = [wait("w", span={"hours": 1}), tag("after")]
    await start_journey(merchant, GRANTED, steps)
    await emit(merchant, granted(second))
    async with merchant.work() as w:
        await merge_customers(w, merchant.installation.registry, first, second, "test")
    await go_on(merchant, hours=1)
    assert [row["customer_id"] for row in await enrolments(merchant)] == [first]
    assert await tags_of(merchant, first) == ["after"]


async def test_two_in_the_same_journey_who_become_one_go_on_once(merchant):
    first, second = await add_customers(merchant, [None] * 2)
    await start_journey(merchant, GRANTED, [wait("w", span={"hours": 1}), tag("after")])
    await emit(merchant, granted(first), granted(second))
    async with merchant.work() as w:
        await merge_customers(w, merchant.installation.registry, first, second, "test")
    await go_on(merchant, hours=1)
    assert await standing(merchant) == [("done", 1, None)]


async def test_who_is_erased_is_gone_and_the_journey_can_end(merchant):
    (customer,) = await add_customers(merchant, [None])
    campaign_id, run_id = await start_journey(merchant, GRANTED, [wait("w", span={"hours": 1})])
    await emit(merchant, granted(customer))
    installation = merchant.installation
    async with merchant.work() as w:
        job_id = await start_erasure(w, customer, "on_request")
    await run_job(merchant, job_id)
    assert await enrolments(merchant) == []
    async with merchant.work() as w:
        await finish_campaign(w, campaign_id)
    await send_run(installation.db, installation.registry, merchant.id, run_id, "http://x.example")
    assert await state_of(merchant, campaign_id) == "finished"


async def state_of(merchant, campaign_id):
    async with merchant.read() as session:
        return await session.sql.fetchval(
            "SELECT state FROM campaigns WHERE merchant_id = $1 AND id = $2",
            merchant.id, campaign_id,
        )  # fmt: skip


async def change(merchant, campaign_id, trigger, steps):
    async with merchant.work() as w:
        flow = parse_flow({"trigger": trigger, "steps": steps})
        await update_campaign(w, merchant.installation.registry, campaign_id, {"flow": flow})
        return await w.sql.fetchval(
            "SELECT max(id) FROM campaign_runs WHERE merchant_id = $1 AND campaign_id = $2",
            merchant.id, campaign_id,
        )  # fmt: skip


async def end_runs(merchant, *run_ids):
    installation = merchant.installation
    for run_id in run_ids:
        await send_run(
            installation.db, installation.registry, merchant.id, run_id, "http://x.example"
        )


async def test_people_inside_finish_on_their_version(merchant):
    first, second = await add_customers(merchant, [None] * 2)
    campaign_id, old = await start_journey(
        merchant, GRANTED, [wait("w", span={"hours": 1}), tag("old")]
    )
    await emit(merchant, granted(first))
    new = await change(merchant, campaign_id, GRANTED, [tag("new")])
    await emit(merchant, granted(second))
    await end_runs(merchant, old)
    assert await tags_of(merchant, second) == ["new"]
    await go_on(merchant, hours=1)
    assert await tags_of(merchant, first) == ["old"]
    await end_runs(merchant, old, new)
    async with merchant.read() as session:
        rows = await session.sql.fetch(
            """SELECT version, state, open FROM campaign_runs
               WHERE merchant_id = $1 AND campaign_id = $2 ORDER BY id""",
            merchant.id, campaign_id,
        )  # fmt: skip
    assert [tuple(row) for row in rows] == [(1, "finished", False), (2, "running", True)]
    assert await state_of(merchant, campaign_id) == "running"
    async with merchant.work() as w:
        await finish_campaign(w, campaign_id)
    await end_runs(merchant, new)
    assert await state_of(merchant, campaign_id) == "finished"


async def test_moving_to_the_newest_keeps_the_wait(merchant):
    ids = await add_customers(merchant, [None] * 2)
    steps = [wait("a", span={"hours": 1}), wait("b", span={"hours": 1}), tag("old")]
    campaign_id, old = await start_journey(merchant, GRANTED, steps)
    await emit(merchant, granted(ids[0]))
    await go_on(merchant, hours=1)
    await emit(merchant, granted(ids[1]))
    new = await change(
        merchant, campaign_id, GRANTED, [tag("zero"), wait("b", span={"days": 9}), tag("new")]
    )
    async with merchant.work() as w:
        assert await move(w, campaign_id, 1) == (1, 1)
    assert [(row["run_id"], row["step"]) for row in await enrolments(merchant)] == [
        (new, 1), (old, 0),
    ]  # fmt: skip
    await go_on(merchant, hours=1)
    assert await tags_of(merchant, ids[0]) == ["new"]
    await go_on(merchant, hours=1)
    assert await tags_of(merchant, ids[1]) == ["old"]


async def test_moving_to_a_version_that_ended_with_nobody_on_it(merchant):
    ids, old = await whole_audience(merchant, 2, [wait("w", span={"hours": 1}), tag("old")])
    async with merchant.read() as session:
        campaign_id, segment_id = await session.sql.fetchrow(
            "SELECT id, segment_id FROM campaigns WHERE merchant_id = $1", merchant.id
        )
    await go_on(merchant)
    trigger = {"kind": "audience", "segment_id": segment_id}
    new = await change(merchant, campaign_id, trigger, [wait("w"), tag("new")])
    await end_runs(merchant, new, old)
    async with merchant.work() as w:
        assert await move(w, campaign_id, 1) == (2, 0)
    await go_on(merchant, hours=1)
    assert [await tags_of(merchant, pk) for pk in ids] == [["new"]] * 2
    await end_runs(merchant, old, new)
    assert await state_of(merchant, campaign_id) == "finished"


async def test_a_journey_that_nobody_came_to_stays_open(merchant):
    campaign_id, run_id = await start_journey(merchant, CREATED, [tag("a")])
    await end_runs(merchant, run_id)
    assert await state_of(merchant, campaign_id) == "running"
