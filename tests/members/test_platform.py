"""Members of platforms' programmes, and what follows for the merchant's own."""

import asyncio
from datetime import date, timedelta

import orjson

from core.domain.campaigns.policy import contact_address, skip_reason_sql
from core.domain.members.membership import counts_by_day, leave
from core.domain.members.platform import ingest_platform_members
from core.domain.members.platform_counts import platform_counts
from core.domain.members.platform_joining import admit_due
from core.domain.members.points import balances
from core.domain.members.programme import create_tier, set_programme
from core.domain.shops.shops import create_shop
from core.sdk import Identity
from core.sdk.members import PlatformMember
from core.testing.fixtures import START
from tests.privacy.test_erasure import erase

DAY = timedelta(days=1)


def member(buyer="AAG1", day=None, **more):
    modified = None if day is None else START + day * DAY
    return PlatformMember(buyer, modified_at=modified, **more)


async def tell(merchant, *records, events=True, shop_id=None):
    async with merchant.work() as w:
        return await ingest_platform_members(
            w, shop_id or merchant.shop_id, "taobao", records, "ouid", events
        )


async def table(merchant, name):
    async with merchant.read() as session:
        return await session.sql.fetch(
            f"SELECT * FROM {name} WHERE merchant_id = $1 ORDER BY id", merchant.id
        )


async def happened(merchant, *prefixes):
    """(type, what it tells) of events, in order."""
    return [
        (row["type"], orjson.loads(row["payload"]))
        for row in await table(merchant, "outbox_events")
        if row["type"].startswith(prefixes or ("platform_member.", "member."))
    ]


async def kinds(merchant, *prefixes):
    return [kind for kind, _ in await happened(merchant, *prefixes)]


async def club(merchant, **platform):
    async with merchant.work() as w:
        await set_programme(w, "Club", "CNY", {"platform": platform, "welcome_points": 50})
        return [await create_tier(w, f"T{rank}", rank) for rank in (1, 2)]


async def test_a_members_way(merchant):
    joined, left = START - 5 * DAY, START - 1 * DAY
    first = member(
        day=-5, member=True, grade=1, joined_at=joined, join_source="qr",
        trade_count=7, trade_amount=123450, province="浙江省", city="杭州",
    )  # fmt: skip
    assert await tell(merchant, first) == ["created"]
    assert await tell(merchant, first) == ["unchanged"]
    assert await tell(merchant, member(day=-3, grade=2)) == ["updated"]
    assert await tell(merchant, member(day=-4, grade=1)) == ["unchanged"]
    assert await tell(merchant, member(day=-1, member=False, grade=0, left_at=left)) == ["updated"]
    assert await tell(merchant, member(day=0, grade=1)) == ["updated"]
    (row,) = await table(merchant, "platform_members")
    (person,) = await table(merchant, "customers")
    assert row["customer_id"] == person["id"]
    assert (person["province"], person["city"]) == ("浙江省", "杭州")
    assert (row["member"], row["grade"], row["trade_count"], row["trade_amount"]) == (
        True, 1, 7, 123450,
    )  # fmt: skip
    times = await table(merchant, "platform_memberships")
    assert [(one["joined_at"], one["left_at"]) for one in times] == [(joined, left), (START, None)]
    told = await happened(merchant)
    assert [kind.removeprefix("platform_member.") for kind, _ in told] == [
        "joined", "grade_changed", "left", "joined",
    ]  # fmt: skip
    assert (told[1][1]["old_grade"], told[1][1]["grade"]) == (1, 2)
    assert {payload["customer_id"] for _, payload in told} == {person["id"]}
    async with merchant.read() as session:
        counts = await platform_counts(session, date(2026, 6, 1), date(2026, 6, 30))
        assert [(one.day.day, one.joined, one.left) for one in counts] == [
            (10, 1, 0), (14, 0, 1), (15, 1, 0),
        ]  # fmt: skip
        assert await platform_counts(session, date(2026, 6, 1), date(2026, 6, 30), 10**9) == []


async def test_orders_ids_lead_to_the_same_person_and_masked_ones_to_nobody(merchant):
    await tell(
        merchant,
        member("AAG1", member=True, identities=[Identity("merchant", 0, "omid", "O1")]),
        member("AAG2", member=True),
    )
    async with merchant.work() as w:
        other = await create_shop(w, "other", "taobao")
    assert await tell(
        merchant, member("BBG1", identities=[Identity("merchant", 0, "omid", "O1")]),
        member("t**1", member=True), shop_id=other,
    ) == ["created", "refused"]  # fmt: skip
    rows = await table(merchant, "platform_members")
    assert rows[0]["customer_id"] == rows[2]["customer_id"] != rows[1]["customer_id"]
    assert len(await table(merchant, "customers")) == 2


async def test_platform_joins_count_where_the_rules_say_so(merchant):
    await tell(merchant, member("old", day=-30, member=True), events=False)
    await club(merchant)
    await tell(merchant, member("early", day=-2, member=True))
    assert await table(merchant, "memberships") == []
    await club_joins(merchant)
    await admit_due(merchant.installation.db, merchant.id)
    assert len(await table(merchant, "memberships")) == 2
    assert await kinds(merchant, "member.") == []  # history makes no events and brings no points
    await tell(merchant, member("new", day=0, member=True, joined_at=START - DAY))
    (joined,) = [one for one in await happened(merchant, "member.") if one[0] == "member.joined"]
    assert (joined[1]["source"], joined[1]["again"]) == ("platform", False)
    new = joined[1]["customer_id"]
    async with merchant.read() as session:
        held = await balances(session, [new])
        counts = await counts_by_day(session, date(2026, 6, 14), date(2026, 6, 15))
    assert held[new].available == 50
    assert counts == [(date(2026, 6, 14), "platform", 1, 0)]
    await tell(merchant, member("new", day=1, member=False))
    assert await kinds(merchant, "member.") == ["member.joined", "member.left"]
    await tell(merchant, member("new", day=2, member=True, joined_at=START + 2 * DAY))
    rows = [one for one in await table(merchant, "memberships") if one["customer_id"] == new]
    assert [one["left_at"] is None for one in rows] == [False, True]


async def club_joins(merchant):
    async with merchant.work() as w:
        rules = {"platform": {"joins": True}, "welcome_points": 50}
        await set_programme(w, "Club", "CNY", rules)


async def test_who_left_here_by_himself_is_not_brought_back(merchant):
    await club(merchant, joins=True)
    await tell(merchant, member(day=0, member=True, grade=1))
    (row,) = await table(merchant, "memberships")
    async with merchant.work() as w:
        await leave(w, row["customer_id"], "page")
    await tell(merchant, member(day=0, member=True, grade=1))
    await tell(merchant, member(day=1, member=True, grade=2))
    await admit_due(merchant.installation.db, merchant.id)
    assert [one["leave_source"] for one in await table(merchant, "memberships")] == ["page"]


async def test_grades_give_tiers_and_take_them(merchant):
    one, two = await club(merchant, joins=True, grades={"taobao": {"1": 1, "2": 2}})

    async def tiers():
        return [
            (row["tier_id"], row["cause"]) for row in await table(merchant, "tier_intervals")
            if row["valid_to"] is None
        ]  # fmt: skip

    await tell(merchant, member(day=0, member=True, grade=1))
    assert await tiers() == [(one, "platform")]
    await tell(merchant, member(day=1, grade=2))
    assert await tiers() == [(two, "platform")]
    await tell(merchant, member(day=2, grade=1))
    assert await tiers() == [(one, "platform")]
    await tell(merchant, member(day=3, grade=3))
    assert await tiers() == []
    causes = [payload["cause"] for _, payload in await happened(merchant, "member.tier_changed")]
    assert causes == ["platform"] * 4


async def test_who_is_blacklisted_on_a_platform_gets_no_marketing(merchant):
    await tell(merchant, member("bad", blacklisted=True, day=0), member("good", blacklisted=False))

    async def reasons(message_class):
        async with merchant.read() as session:
            reason = skip_reason_sql(contact_address("email"), message_class, "'email'", None)
            rows = await session.sql.fetch(
                f"SELECT {reason} AS reason FROM customers c WHERE merchant_id = $1 ORDER BY id",
                merchant.id,
            )
        return [row["reason"] for row in rows]

    async with merchant.work() as w:
        await w.sql.execute(
            "UPDATE customers SET email_index = int8send(id) WHERE merchant_id = $1", merchant.id
        )
        await w.sql.execute(
            """INSERT INTO consents (merchant_id, customer_id, channel, purpose, status, at)
               SELECT $1, id, 'email', 'marketing', 'granted', $2 FROM customers
               WHERE merchant_id = $1""",
            merchant.id, w.now,
        )  # fmt: skip
    assert await reasons("marketing") == ["blacklisted", None]
    assert await reasons("service") == [None, None]
    await tell(merchant, member("bad", blacklisted=False, day=1))
    assert await reasons("marketing") == [None, None]


async def test_an_erased_member_comes_back_only_by_joining_anew(merchant):
    await tell(merchant, member("secret", day=-2, member=True, grade=2))
    (row,) = await table(merchant, "platform_members")
    await erase(merchant, row["customer_id"])
    assert await tell(merchant, member("secret", day=1, grade=3)) == ["unchanged"]
    (row,) = await table(merchant, "platform_members")
    assert (row["customer_id"], row["buyer_id"], row["grade"]) == (None, None, 2)
    anew = member("secret", day=3, member=True, joined_at=START + 3 * DAY)
    merchant.clock.move(4 * DAY)
    assert await tell(merchant, anew) == ["updated"]
    (row,) = await table(merchant, "platform_members")
    assert row["buyer_id"] == "secret"
    assert row["erased_at"] is None
    assert row["customer_id"] is not None


async def test_two_writers_at_once(merchant):
    records = [member(day=n, member=bool(n % 2), grade=n) for n in range(4)]
    await asyncio.gather(*(tell(merchant, one) for one in (*records, *reversed(records))))
    (row,) = await table(merchant, "platform_members")
    assert (row["member"], row["grade"]) == (True, 3)
    times = await table(merchant, "platform_memberships")
    assert sum(one["left_at"] is None for one in times) == 1
