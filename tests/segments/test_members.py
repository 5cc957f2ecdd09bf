import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from core.domain.segments import changes
from core.domain.segments.changes import follow_changes, merchants_changed
from core.domain.segments.refresh import merchants_due, refresh_due, refresh_soon
from core.domain.segments.segments import delete_segment, update_segment
from core.domain.shops.setup import set_up_merchant
from core.registry import Owned
from core.sdk import Facet, Several, Text, WrongState
from core.sdk.errors import HuikeError
from core.testing.fixtures import START, TestMerchant
from tests.segments.members_kit import (
    add_customers,
    add_order,
    events,
    follow,
    intervals,
    logged,
    make,
    members,
    refresh,
    segment_row,
    stored,
    tag,
)

VIP = {"tag": {"any_of": ["vip"]}}


async def test_a_new_segment_is_filled_without_events(merchant):
    async with merchant.work() as w:
        first, second, _ = await add_customers(w, 3)
        await tag(w, first)
        await tag(w, second)
    segment = await make(merchant, "vip", VIP)
    assert await members(merchant, segment) == [first, second]
    assert await events(merchant, segment) == []
    row = await segment_row(merchant, segment)
    assert row["filled_at"] == row["refreshed_at"] == START
    assert merchant.id not in await merchants_due(merchant.installation.db)
    assert await refresh(merchant) == 0


async def test_changes_are_followed_with_one_event_each(merchant):
    async with merchant.work() as w:
        first, second = await add_customers(w, 2)
        await tag(w, first)
    segment = await make(merchant, "vip", VIP)
    merchant.clock.move(timedelta(minutes=5))
    async with merchant.work() as w:
        await tag(w, second)
        await w.sql.execute("DELETE FROM customer_tags WHERE customer_id = $1", first)
    assert merchant.id in await merchants_changed(merchant.installation.db)
    await follow(merchant)
    assert await members(merchant, segment) == [second]
    assert await events(merchant, segment) == [
        ("left", "change", [first]), ("entered", "change", [second]),
    ]  # fmt: skip
    later = START + timedelta(minutes=5)
    assert await intervals(merchant, segment) == [(first, START, later), (second, later, None)]
    # nothing is left to do, and a refresh finds nothing either
    assert await follow(merchant) == 0
    assert merchant.id not in await merchants_changed(merchant.installation.db)
    async with merchant.work() as w:
        await refresh_soon(w, segment)
    assert await refresh(merchant) == 1
    assert len(await events(merchant, segment)) == 2


async def test_refresh_writes_differences_alone_in_events_of_a_thousand(merchant):
    async with merchant.work() as w:
        few = await add_customers(w, 2, "浙江省")
    segment = await make(merchant, "zj", {"province": {"any_of": ["浙江"]}})
    async with merchant.work() as w:
        many = await add_customers(w, 2500, "浙江省")
        await w.sql.execute("DELETE FROM customer_changes WHERE merchant_id = $1", merchant.id)
        await refresh_soon(w, segment)
    await refresh(merchant)
    told = await events(merchant, segment)
    assert [(kind, cause, len(ids)) for kind, cause, ids in told] == [
        ("entered", "refresh", 1000), ("entered", "refresh", 1000), ("entered", "refresh", 500),
    ]  # fmt: skip
    assert sorted(one for _, _, ids in told for one in ids) == many
    assert await members(merchant, segment) == few + many


async def test_refresh_and_following_at_once_tell_everything_once(merchant):
    async with merchant.work() as w:
        ids = await add_customers(w, 60)
    segment = await make(merchant, "vip", VIP)
    twin = await make(merchant, "vip too", {"all": [VIP, {"not": {"has_email": {}}}]})

    async def change(one):
        async with merchant.work() as w:
            await tag(w, one)

    async def refresh_again():
        async with merchant.work() as w:
            await refresh_soon(w, segment)
        await refresh(merchant)

    for start in range(0, 60, 20):
        work = [change(one) for one in ids[start : start + 20]]
        for _ in range(3):
            work += [follow(merchant), refresh_again()]
        await asyncio.gather(*work)
    await follow(merchant)
    for one in (segment, twin):
        assert await members(merchant, one) == ids
        told = await events(merchant, one)
        assert {kind for kind, _, _ in told} == {"entered"}
        assert sorted(who for _, _, some in told for who in some) == ids


async def test_a_crash_loses_nothing(merchant, monkeypatch):
    async with merchant.work() as w:
        (one,) = await add_customers(w)
    segment = await make(merchant, "vip", VIP)
    async with merchant.work() as w:
        await tag(w, one)
    write = changes._write

    async def crash(w, *rest):
        await write(w, *rest)
        raise ConnectionResetError

    with monkeypatch.context() as broken:
        broken.setattr(changes, "_write", crash)
        with pytest.raises(ConnectionResetError):
            await follow(merchant)
    assert await logged(merchant) == {one}
    assert await events(merchant, segment) == []
    await follow(merchant)
    assert await events(merchant, segment) == [("entered", "change", [one])]


async def test_a_transaction_that_began_before_the_first_fill_is_not_lost(merchant):
    async with merchant.work() as w:
        (one,) = await add_customers(w)
    begun, end = asyncio.Event(), asyncio.Event()

    async def slow():
        async with merchant.work() as w:
            await tag(w, one)
            begun.set()
            await end.wait()

    async with asyncio.timeout(120):
        writing = asyncio.create_task(slow())
        await begun.wait()
        filling = asyncio.create_task(make(merchant, "vip", VIP))
        await asyncio.sleep(0.3)
        assert not filling.done()
        end.set()
        await writing
        segment = await filling
    await follow(merchant)
    assert await members(merchant, segment) == [one]


async def test_days_pass_and_membership_with_them(merchant):
    bought = {"order_count": {"at_least": 1, "orders": {"within": {"last_days": 1}}}}
    async with merchant.work() as w:
        (one,) = await add_customers(w)
        await add_order(w, one, "a")
    segment = await make(merchant, "lately", bought)
    db = merchant.installation.db
    merchant.clock.move(timedelta(hours=11, minutes=59))  # 23:59 in Shanghai
    assert merchant.id not in await merchants_due(db)
    merchant.clock.move(timedelta(minutes=2))
    assert merchant.id in await merchants_due(db)
    assert await refresh(merchant) == 1
    assert await members(merchant, segment) == [one]  # yesterday is 1 day ago
    merchant.clock.move(timedelta(days=1))
    assert await refresh(merchant) == 1
    assert await members(merchant, segment) == []
    assert await events(merchant, segment) == [("left", "refresh", [one])]


async def test_each_shops_midnight_counts(merchant):
    segment = await make(merchant, "vip", VIP)
    db = merchant.installation.db
    async with merchant.work() as w:
        await w.sql.execute(
            "UPDATE shops SET time_zone = 'Europe/Moscow' WHERE merchant_id = $1", merchant.id
        )
    # another time zone is another calendar: at once
    assert (await segment_row(merchant, segment))["stale"] == "refresh"
    await refresh(merchant)
    merchant.clock.move(timedelta(hours=13))  # 01:00 in Shanghai, 20:00 in Moscow
    assert await refresh(merchant) == 1
    merchant.clock.move(timedelta(hours=5))
    assert merchant.id in await merchants_due(db)
    assert await refresh(merchant) == 1
    assert merchant.id not in await merchants_due(db)


async def test_nested_segments_follow_and_change_with_the_inner_one(merchant):
    async with merchant.work() as w:
        one, two = await add_customers(w, 2)
        await tag(w, one)
    inner = await make(merchant, "inner", VIP)
    outer = await make(merchant, "outer", {"not": {"in_segment": {"segment_id": inner}}})
    outermost = await make(merchant, "outermost", {"in_segment": {"segment_id": outer}})
    assert await members(merchant, outermost) == [two]
    async with merchant.work() as w:
        await tag(w, two)
    await follow(merchant)
    assert await members(merchant, inner) == [one, two]
    assert await members(merchant, outermost) == []
    installation = merchant.installation
    async with merchant.work() as w:
        changed = {"rule": stored(installation, {"tag": {"any_of": ["nobody's"]}})}
        await update_segment(w, installation.registry, inner, changed)
    assert await refresh(merchant) == 3
    assert await members(merchant, inner) == []
    assert await members(merchant, outermost) == [one, two]
    assert (await events(merchant, outermost))[-1] == ("entered", "rule", [one, two])


async def test_circles_and_used_segments_are_refused_by_name(merchant):
    inner = await make(merchant, "inner", VIP)
    outer = await make(merchant, "outer", {"in_segment": {"segment_id": inner}})
    installation = merchant.installation
    async with merchant.work() as w:
        circle = {"rule": stored(installation, {"not": {"in_segment": {"segment_id": outer}}})}
        with pytest.raises((HuikeError, Several)) as caught:
            await update_segment(w, installation.registry, inner, circle)
        assert "outer → inner → outer" in caught.value.errors[0].message
        with pytest.raises(WrongState, match="the segment 'outer'"):
            await delete_segment(w, inner)
        await delete_segment(w, outer)
        await delete_segment(w, inner)
        assert not await w.sql.fetchval(
            "SELECT count(*) FROM segment_members WHERE merchant_id = $1", merchant.id
        )


@dataclass(frozen=True)
class NothingRule:
    pass


class Passing(Facet):
    name = "passing_everybody"
    title = Text("Everybody", "所有人")
    rule = NothingRule

    def sql(self, rule, q):
        return "TRUE"

    def explain(self, rule, say):
        return "everybody"


class Failing(Passing):
    def sql(self, rule, q):
        return "EXISTS (SELECT 1 FROM passing_table_that_is_gone)"


async def test_what_cannot_be_asked_says_so_keeps_its_members_and_heals(merchant):
    installation, db = merchant.installation, merchant.installation.db
    facets = installation.registry.facets

    def registry(*facet):
        return replace(
            installation.registry,
            facets={**facets, **{one.name: Owned("core", one) for one in facet}},
        )

    async with merchant.work() as w:
        one, two = await add_customers(w, 2)
        await tag(w, one)
    sound = await make(merchant, "vip", VIP)
    lost = await make(merchant, "lost", VIP)
    async with merchant.work() as w:
        await w.sql.execute(
            """UPDATE segments SET rule = '{"version": 1, "rule": {"passing_everybody": {}}}'
               WHERE merchant_id = $1 AND id = $2""",
            merchant.id, lost,
        )  # fmt: skip
        await tag(w, two)
    await follow(merchant)
    assert await members(merchant, sound) == [one, two]
    assert await members(merchant, lost) == [one]
    assert (
        "input.rule.passingEverybody: there is no facet"
        in (await segment_row(merchant, lost))["problem"]
    )
    assert merchant.id not in await merchants_due(db)
    assert merchant.id in await merchants_due(db, problems=True)
    # its SQL fails: still nobody else is held up
    async with merchant.work() as w:
        await w.sql.execute("UPDATE segments SET problem = NULL WHERE id = $1", lost)
        (three,) = await add_customers(w)
        await tag(w, three)
    await follow_changes(db, registry(Failing()), merchant.id)
    await refresh_due(db, registry(Failing()), merchant.id)
    assert await members(merchant, sound) == [one, two, three]
    assert "UndefinedTable" in (await segment_row(merchant, lost))["problem"]
    assert await refresh_due(db, registry(Passing()), merchant.id) == 1
    assert await members(merchant, lost) == [one, two, three]
    assert (await segment_row(merchant, lost))["problem"] is None
    assert await events(merchant, lost) == [("entered", "change", [two, three])]


async def test_many_changes_become_a_refresh(merchant, monkeypatch):
    monkeypatch.setattr(changes, "AT_ONCE", 10)
    monkeypatch.setattr(changes, "MAX_FOLLOWED", 30)
    segment = await make(merchant, "zj", {"province": {"any_of": ["浙江"]}})
    async with merchant.work() as w:
        few = await add_customers(w, 40, "浙江省")
    assert await follow(merchant) == 40
    assert {cause for _, cause, _ in await events(merchant, segment)} == {"change"}
    async with merchant.work() as w:
        many = await add_customers(w, 41, "浙江省")
    await follow(merchant)
    assert await logged(merchant) == set()
    assert await members(merchant, segment) == few
    assert await refresh(merchant) == 1
    assert await members(merchant, segment) == few + many
    assert (await events(merchant, segment))[-1] == ("entered", "change", many)


async def test_other_merchants_are_never_touched(merchant):
    installation = merchant.installation
    made = await set_up_merchant(installation.db, installation.registry, "Other", shop="s")
    other = TestMerchant(made.merchant_id, made.shop_id, made.token, installation, merchant.clock)
    mine, theirs = [await make(one, "all", {"all": []}) for one in (merchant, other)]
    async with merchant.work() as w:
        (one,) = await add_customers(w)
    async with other.work() as w:
        (stranger,) = await add_customers(w)
    assert await logged(merchant) == {one}
    await follow(merchant)
    assert await members(merchant, mine) == [one]
    assert await members(other, theirs) == []
    assert await logged(other) == {stranger}
    # an entry that names another merchant's customer finds nobody
    async with merchant.work() as w:
        await w.sql.execute(
            "INSERT INTO customer_changes (merchant_id, customer_id) VALUES ($1, $2)",
            merchant.id, stranger,
        )  # fmt: skip
    await follow(merchant)
    assert await members(merchant, mine) == [one]
