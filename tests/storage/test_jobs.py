"""Jobs: claimed by one, taken over from the silent, cancelled, tried again; files encrypted."""

# ruff: noqa: PT012

import asyncio
from datetime import timedelta

import orjson
import pytest

from core.sdk.errors import InvalidInput, NotFound, Refused, WrongState
from core.storage import jobs
from core.storage.database import Database

SECRET = b"name,phone\nWang,13800138000\n"


@pytest.fixture
def db(merchant):
    return merchant.installation.db


async def new_job(merchant, **options):
    async with merchant.work() as w:
        return await jobs.enqueue(w, "test.count", {"to": 3}, total=3, **options)


async def row_of(merchant, job_id):
    async with merchant.read() as session:
        return await jobs.get(session, job_id)


async def pieces_of(merchant, job_id):
    async with merchant.read() as session:
        return await session.sql.fetch(
            "SELECT data FROM job_files WHERE merchant_id = $1 AND job_id = $2 ORDER BY piece",
            merchant.id, job_id,
        )  # fmt: skip


class Count:
    """Counts to `to`, one step at a time; `before` runs before each step."""

    name = "test.count"

    def __init__(self, before=None):
        self.before = before
        self.steps = []

    async def run(self, db, job):
        while job.done < job.params["to"]:
            if self.before:
                await self.before(job)
            async with job.step(db):
                job.done += 1
                job.checkpoint = {"at": job.done}
                self.steps.append(job.done)
        return {"counted": job.done}


async def test_a_job_is_done_in_steps_and_its_result_is_kept(db, merchant):
    job_id = await new_job(merchant)
    job = await jobs.claim(db, merchant.id, job_id)
    await jobs.perform(db, job, {"test.count": Count()})
    row = await row_of(merchant, job_id)
    assert (row["state"], row["done"], row["total"], row["attempts"]) == ("succeeded", 3, 3, 1)
    assert orjson.loads(row["result"]) == {"counted": 3}
    assert row["finished_at"] == merchant.clock()
    assert row["lease_owner"] is None


async def test_only_one_of_many_claims_a_job(db, merchant):
    job_id = await new_job(merchant)
    claimed = await asyncio.gather(*(jobs.claim(db, merchant.id, job_id) for _ in range(8)))
    assert sum(job is not None for job in claimed) == 1


async def test_another_merchant_cannot_claim_or_see_it(db, merchant):
    job_id = await new_job(merchant)
    assert await jobs.claim(db, merchant.id + 10**6, job_id) is None
    async with db.read(merchant.id + 10**6) as session:
        with pytest.raises(NotFound):
            await jobs.get(session, job_id)


async def test_a_silent_worker_is_replaced_and_goes_on_from_the_last_step(db, merchant):
    job_id = await new_job(merchant)
    old = await jobs.claim(db, merchant.id, job_id)
    async with old.step(db):
        old.done, old.checkpoint = 1, {"at": 1}
    merchant.clock.move(jobs.LEASE)
    assert await jobs.claim(db, merchant.id, job_id) is None
    assert (merchant.id, job_id) not in await jobs.due(db, 10**6)
    merchant.clock.move(timedelta(seconds=1))
    assert (merchant.id, job_id) in await jobs.due(db, 10**6)
    new = await jobs.claim(db, merchant.id, job_id)
    assert (new.done, new.checkpoint) == (1, {"at": 1})
    with pytest.raises(jobs.JobLost):
        async with old.step(db):
            raise AssertionError("the old owner must not work on")
    counting = Count()
    await jobs.perform(db, new, {"test.count": counting})
    assert counting.steps == [2, 3]


async def test_the_old_owner_ends_nothing_and_takes_no_file_away(db, merchant):
    job_id = await new_job(merchant)
    async with merchant.work() as w:
        await jobs.add_file_piece(w, job_id, 0, SECRET)
    old = await jobs.claim(db, merchant.id, job_id)

    class Sleeper:
        name = "test.count"

        async def run(self, db, job):
            merchant.clock.move(jobs.LEASE * 2)
            self.new = await jobs.claim(db, merchant.id, job_id)
            return {"stale": True}

    sleeper = Sleeper()
    await jobs.perform(db, old, {"test.count": sleeper})
    row = await row_of(merchant, job_id)
    assert (row["state"], row["lease_owner"]) == ("running", sleeper.new.owner)
    assert len(await pieces_of(merchant, job_id)) == 1


async def test_a_step_that_fails_changes_nothing(db, merchant):
    job_id = await new_job(merchant)
    job = await jobs.claim(db, merchant.id, job_id)
    with pytest.raises(LookupError):
        async with job.step(db):
            job.done = 2
            raise LookupError
    assert (await row_of(merchant, job_id))["done"] == 0


async def test_a_queued_job_is_cancelled_at_once_with_its_file(db, merchant):
    job_id = await new_job(merchant)
    async with merchant.work() as w:
        await jobs.add_file_piece(w, job_id, 0, SECRET)
        await jobs.cancel(w, job_id)
    row = await row_of(merchant, job_id)
    assert (row["state"], row["finished_at"]) == ("cancelled", merchant.clock())
    assert await jobs.claim(db, merchant.id, job_id) is None
    assert await pieces_of(merchant, job_id) == []
    async with merchant.work() as w:
        with pytest.raises(WrongState):
            await jobs.cancel(w, job_id)


async def test_a_running_job_is_cancelled_before_its_next_step(db, merchant):
    job_id = await new_job(merchant)

    async def cancel_after_one(job):
        if job.done == 1:
            async with merchant.work() as w:
                await jobs.cancel(w, job_id)

    counting = Count(cancel_after_one)
    job = await jobs.claim(db, merchant.id, job_id)
    await jobs.perform(db, job, {"test.count": counting})
    row = await row_of(merchant, job_id)
    assert (row["state"], row["done"], counting.steps) == ("cancelled", 1, [1])


async def test_an_expected_error_ends_the_job_with_a_message(db, merchant):
    async def refuse(job):
        raise InvalidInput("no column of order numbers", ("input", "file"))

    job_id = await new_job(merchant)
    await jobs.perform(db, await jobs.claim(db, merchant.id, job_id), {"test.count": Count(refuse)})
    row = await row_of(merchant, job_id)
    assert row["state"] == "failed"
    assert orjson.loads(row["error"]) == {
        "code": "INVALID_INPUT", "message": "no column of order numbers", "path": ["input", "file"],
    }  # fmt: skip


async def test_a_kind_that_nobody_does_is_said(db, merchant):
    job_id = await new_job(merchant)
    await jobs.perform(db, await jobs.claim(db, merchant.id, job_id), {})
    assert b"test.count" in (await row_of(merchant, job_id))["error"].encode()


async def test_an_unexpected_error_is_tried_again_later_and_later_and_then_given_up(db, merchant):
    async def break_down(job):
        raise Refused("not an error that a job expects")

    job_id = await new_job(merchant)
    async with merchant.work() as w:
        await jobs.add_file_piece(w, job_id, 0, SECRET)
    for attempt in range(1, jobs.MAX_ATTEMPTS + 1):
        job = await jobs.claim(db, merchant.id, job_id)
        assert job is not None
        await jobs.perform(db, job, {"test.count": Count(break_down)})
        merchant.clock.move(timedelta(seconds=5 * attempt - 1))
        assert await jobs.claim(db, merchant.id, job_id) is None
        merchant.clock.move(timedelta(seconds=1))
    row = await row_of(merchant, job_id)
    assert (row["state"], row["attempts"]) == ("failed", jobs.MAX_ATTEMPTS)
    assert orjson.loads(row["error"])["code"] == "INTERNAL"
    assert await pieces_of(merchant, job_id) == []
    assert await jobs.claim(db, merchant.id, job_id) is None


async def test_a_job_that_kills_its_worker_is_given_up_too(db, merchant):
    job_id = await new_job(merchant)
    for _ in range(jobs.MAX_CLAIMS):
        assert await jobs.claim(db, merchant.id, job_id) is not None
        merchant.clock.move(jobs.LEASE + timedelta(seconds=1))
    assert await jobs.claim(db, merchant.id, job_id) is None
    assert (await row_of(merchant, job_id))["state"] == "failed"


async def test_an_unreleased_job_waits_for_its_recorder(db, merchant):
    job_id = await new_job(merchant, queued=False)
    assert await jobs.claim(db, merchant.id, job_id) is None
    async with merchant.work() as w:
        await jobs.release(w, job_id)
    assert await jobs.claim(db, merchant.id, job_id) is not None
    own = await new_job(merchant, queued=False)
    assert await jobs.claim(db, merchant.id, own, force=True) is not None


async def test_file_pieces_are_encrypted_bound_to_their_place_and_gone_at_the_end(db, merchant):
    job_id = await new_job(merchant)
    parts = [SECRET, SECRET[::-1], b""]
    async with merchant.work() as w:
        for number, part in enumerate(parts):
            await jobs.add_file_piece(w, job_id, number, part)
    stored = await pieces_of(merchant, job_id)
    assert all(b"13800138000" not in piece["data"] for piece in stored)
    job = await jobs.claim(db, merchant.id, job_id)
    assert [piece async for piece in jobs.file_pieces(db, merchant.id, job_id)] == parts
    await jobs.perform(db, job, {"test.count": Count()})
    assert await pieces_of(merchant, job_id) == []
    with pytest.raises(NotFound, match="upload it again"):
        await anext(jobs.file_pieces(db, merchant.id, job_id))


async def test_what_a_job_made_outlives_it_for_some_days(db, merchant):
    job_id = await new_job(merchant)
    async with merchant.work() as w:
        await jobs.add_file_piece(w, job_id, 0, b"uploaded")
        await jobs.add_file_piece(w, job_id, 0, b"half", "output")
        await jobs.add_file_piece(w, job_id, 0, b"made", "output")
    job = await jobs.claim(db, merchant.id, job_id)
    await jobs.perform(db, job, {"test.count": Count()})
    made = jobs.file_pieces(db, merchant.id, job_id, "output")
    assert [piece async for piece in made] == [b"made"]
    await jobs.drop_old_outputs(db)
    assert len(await pieces_of(merchant, job_id)) == 1
    merchant.clock.move(timedelta(days=jobs.OUTPUT_DAYS, minutes=1))
    await jobs.drop_old_outputs(db)
    assert await pieces_of(merchant, job_id) == []


async def test_the_doorbell_rings_for_a_queued_job_only(merchant):
    given = merchant.installation.db
    rung = []

    class Bell:
        async def ring(self, job, *args):
            rung.append((job, *args))

    db = Database(given.pool, given.keyring, given.clock, Bell())
    async with db.work(merchant.id) as w:
        queued = await jobs.enqueue(w, "test.count", {})
        waiting = await jobs.enqueue(w, "test.count", {}, queued=False)
    assert rung == [("job.run", merchant.id, queued)]
    async with db.work(merchant.id) as w:
        await jobs.release(w, waiting)
    assert rung[1:] == [("job.run", merchant.id, waiting)]
