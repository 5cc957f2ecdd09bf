"""Queries of figures that take too long to wait for."""

from datetime import timedelta

import pytest
import pytest_asyncio

from core.domain.shops.tokens import create_token, revoke_token
from core.schema import answering, long_reads
from core.schema.answering import QueryAnswer
from core.schema.documents import Documents
from core.schema.scalars import read_id
from core.storage import jobs
from tests.schema.operations import text

COUNTS = text("membership-counts")
DAYS = {"first": "2026-06-01", "last": "2026-06-30"}
JOB = "query ($id: ID!) { job(id: $id) { kind state progress { done total } error { message } } }"
RIGHTS = frozenset({"MEMBERS_READ", "CUSTOMERS_READ"})


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def kind(installation):
    return QueryAnswer(Documents(installation))


@pytest.fixture
def no_time(monkeypatch):
    monkeypatch.setattr(long_reads, "DIRECT_SECONDS", 0)


async def ask(api, token, query=COUNTS, variables=DAYS):
    return (await api.raw({"query": query, "variables": variables}, token)).json()


def left_to(answer):
    """The job that an answer names."""
    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "LEFT_TO_JOB"
    return error["extensions"]["jobId"]


async def perform(merchant, job_id, kind):
    db = merchant.installation.db
    claimed = await jobs.claim(db, merchant.id, read_id("Job", job_id))
    await jobs.perform(db, claimed, {kind.name: kind})


async def joined(merchant):
    async with merchant.work() as w:
        await w.sql.execute(
            """INSERT INTO memberships (merchant_id, customer_id, joined_at, join_source, merged)
               VALUES ($1, 1, '2026-06-10T00:00:00Z', 'page', FALSE)""",
            merchant.id,
        )


async def test_a_job_answers_and_the_same_query_finds_it(api, merchant, kind, no_time):
    await joined(merchant)
    job_id = left_to(await ask(api, merchant.token))
    assert left_to(await ask(api, merchant.token)) == job_id  # no second one
    other = left_to(await ask(api, merchant.token, variables={**DAYS, "last": "2026-06-09"}))
    assert other != job_id
    await perform(merchant, job_id, kind)
    job = (await ask(api, merchant.token, JOB, {"id": job_id}))["data"]["job"]
    assert job == {
        "kind": "query.answer", "state": "SUCCEEDED", "error": None,
        "progress": {"done": 1, "total": 1},
    }  # fmt: skip
    answer = await ask(api, merchant.token)
    assert "errors" not in answer
    assert answer["data"]["membershipCounts"] == [
        {"day": "2026-06-10", "source": "PAGE", "joined": 1, "left": 0}
    ]
    merchant.clock.move(timedelta(minutes=6))  # old figures are counted anew
    assert left_to(await ask(api, merchant.token)) != job_id


async def test_a_query_with_time_is_answered_at_once(api, merchant):
    await joined(merchant)
    answer = await ask(api, merchant.token)
    assert len(answer["data"]["membershipCounts"]) == 1
    async with merchant.read() as session:
        assert await session.sql.fetchval(
            "SELECT count(*) FROM jobs WHERE merchant_id = $1 AND kind = 'query.answer'",
            merchant.id,
        ) == 0  # fmt: skip


async def test_an_answer_is_for_its_caller_and_his_rights(api, merchant, kind, no_time):
    job_id = left_to(await ask(api, merchant.token))
    await perform(merchant, job_id, kind)
    async with merchant.work() as w:
        _, other = await create_token(w, merchant.installation.registry, "other", RIGHTS)
    assert left_to(await ask(api, other)) != job_id


async def test_rights_that_ended_answer_nothing(api, merchant, kind, no_time):
    async with merchant.work() as w:
        token_id, token = await create_token(w, merchant.installation.registry, "short", RIGHTS)
    job_id = left_to(await ask(api, token))
    async with merchant.work() as w:
        await revoke_token(w, token_id)
    await perform(merchant, job_id, kind)
    job = (await ask(api, merchant.token, JOB, {"id": job_id}))["data"]["job"]
    assert job["state"] == "FAILED"
    assert "has ended" in job["error"]["message"]


async def test_a_cancelled_job_stops_its_query(api, merchant, kind, no_time, monkeypatch):
    monkeypatch.setattr(answering, "BEAT_SECONDS", 0)
    job_id = left_to(await ask(api, merchant.token))
    claimed = await jobs.claim(merchant.installation.db, merchant.id, read_id("Job", job_id))
    async with merchant.work() as w:
        await jobs.cancel(w, claimed.id)
    await jobs.perform(merchant.installation.db, claimed, {kind.name: kind})
    assert (await ask(api, merchant.token, JOB, {"id": job_id}))["data"]["job"]["state"] == (
        "CANCELLED"
    )


async def test_a_mutation_takes_the_time_that_it_needs(api, merchant, no_time):
    given = {"active": 10, "silent": 20, "sleeping": 30, "reason": "trial"}
    data = await api.data(
        merchant.token,
        """mutation ($input: LifecycleThresholdsSetInput!) {
             lifecycleThresholdsSet(input: $input) {
               lifecycle { effect(active: 1, silent: 2, sleeping: 3) { customers } }
               errors { message } } }""",
        input=given,
    )
    assert data["lifecycleThresholdsSet"] == {"lifecycle": {"effect": []}, "errors": []}
