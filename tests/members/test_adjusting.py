"""Adjustments by hand: beyond the limit two people decide."""

import asyncio
from datetime import timedelta

import pytest

from core.domain.members.adjusting import adjust, approve, reject
from core.domain.members.points import NotEnoughPoints, take
from core.domain.members.programme import set_programme
from core.domain.shops.tokens import create_token, rotate_token
from core.sdk import InvalidInput, NotFound, WrongState
from tests.members.test_earning import points
from tests.members.test_membership import customer


@pytest.fixture
async def pk(merchant):
    async with merchant.work() as w:
        await set_programme(w, "Club", "CNY", {
            "points": {"approve_above": 100, "expiry": {"kind": "never"}}
        })  # fmt: skip
        return await customer(w)


def acting(merchant, actor):
    return merchant.installation.db.work(merchant.id, actor)


async def test_beyond_the_limit_somebody_else_has_to_agree(merchant, pk):
    async with acting(merchant, "token:1") as w:
        assert (await adjust(w, pk, 100, "a gift")).entry_id is not None
        made = await adjust(w, pk, 101, "a larger one")
    assert made.entry_id is None
    assert await points(merchant, pk) == (100, 0)
    async with acting(merchant, "token:1") as w:
        with pytest.raises(WrongState, match="somebody else"):
            await approve(w, made.request_id)

    async def agree(actor):
        async with acting(merchant, actor) as w:
            return await approve(w, made.request_id)

    done = await asyncio.gather(agree("token:2"), agree("token:3"), return_exceptions=True)
    assert sorted(type(one).__name__ for one in done) == ["WrongState", "int"]
    assert await points(merchant, pk) == (201, 0)
    async with merchant.read() as session:
        actions = await session.sql.fetch(
            "SELECT action, actor FROM audit_log WHERE merchant_id = $1 ORDER BY number",
            merchant.id,
        )
    told = [tuple(row) for row in actions if row["action"].startswith("points.")]
    assert told[:2] == [("points.adjusted", "token:1"), ("points.requested", "token:1")]
    assert told[2][0] == "points.approved"
    assert told[2][1] in ("token:2", "token:3")


async def test_a_token_that_one_made_is_not_somebody_else(merchant, pk):
    registry = merchant.installation.registry

    async def token(actor):
        async with acting(merchant, actor) as w:
            return f"token:{(await create_token(w, registry, 'mine', ['POINTS_APPROVE']))[0]}"

    first = await token("staff:1")
    second, others = await token(first), await token("staff:2")
    async with acting(merchant, "staff:1") as w:
        request = (await adjust(w, pk, 1000, "a gift to myself")).request_id
    for actor in (first, second):
        async with acting(merchant, actor) as w:
            with pytest.raises(WrongState, match="somebody else"):
                await approve(w, request)
    async with acting(merchant, second) as w:
        by_token = (await adjust(w, pk, 1000, "another one")).request_id
    async with acting(merchant, "staff:1") as w:
        with pytest.raises(WrongState, match="somebody else"):
            await approve(w, by_token)
    async with acting(merchant, others) as w:
        await approve(w, request)
    async with acting(merchant, "staff:1") as w:  # who renews a token sees its new secret
        await rotate_token(w, int(others.partition(":")[2]), timedelta(0), lambda right: None)
    async with acting(merchant, others) as w:
        with pytest.raises(WrongState, match="somebody else"):
            await approve(w, by_token)
    assert await points(merchant, pk) == (1000, 0)


async def test_many_small_ones_of_a_day_are_a_large_one(merchant, pk):
    async with acting(merchant, "token:1") as w:
        assert (await adjust(w, pk, 60, "one")).entry_id is not None
        assert (await adjust(w, pk, -40, "two")).entry_id is not None
        assert (await adjust(w, pk, 1, "three")).request_id is not None
    merchant.clock.move(timedelta(days=1))
    async with acting(merchant, "token:1") as w:
        assert (await adjust(w, pk, 100, "four")).entry_id is not None


async def test_a_rejected_request_changes_nothing(merchant, pk):
    async with acting(merchant, "token:1") as w:
        made = await adjust(w, pk, 500, "a gift")
    async with acting(merchant, "token:2") as w:
        await reject(w, made.request_id, "not ours to give")
    async with acting(merchant, "token:3") as w:
        with pytest.raises(WrongState, match="rejected already"):
            await approve(w, made.request_id)
        with pytest.raises(NotFound):
            await approve(w, 10**9)
    assert await points(merchant, pk) == (0, 0)


async def test_what_is_gone_by_then_is_not_taken(merchant, pk):
    async with acting(merchant, "token:1") as w:
        await adjust(w, pk, 100, "a gift")
    merchant.clock.move(timedelta(days=1))
    async with acting(merchant, "token:1") as w:
        await adjust(w, pk, 100, "another")
        made = await adjust(w, pk, -200, "a mistake")
        await take(w, pk, 10, "spend")
    with pytest.raises(NotEnoughPoints, match="has 190"):
        async with acting(merchant, "token:2") as w:
            await approve(w, made.request_id)
    async with acting(merchant, "token:2") as w:
        await reject(w, made.request_id, "spent already")


@pytest.mark.parametrize(("given", "reason"), [(0, "x"), (10**10, "x"), (5, "")])
async def test_an_adjustment_has_points_and_a_reason(merchant, pk, given, reason):
    async with merchant.work() as w:
        with pytest.raises(InvalidInput):
            await adjust(w, pk, given, reason)
