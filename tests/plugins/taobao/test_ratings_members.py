"""Ratings and members, with the platform's caps."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from core.sdk import Identity, Kind, Resource, TooMuch, Window
from plugins.taobao.tmall import TYPE
from tests.plugins.taobao.kit import NOW, SHOP_ID, Platform, last, pulled
from tests.stand_ins.taobao.shapes import at

RATING = {
    "tid": 4100000000000000001, "oid": 4100000000000000002, "role": "buyer", "nick": "t**1",
    "result": "bad", "created": "2026-01-01 11:40:00", "content": "面料偏硬", "reply": "",
    "item_title": "婴儿连体衣", "item_price": "69.00", "num_iid": 600000000001,
    "valid_score": True, "ouid": "AAGsynOuid0001",
}  # fmt: skip
MEMBER = {
    "ouid": "AAGsynOuid0001", "status": "normal", "grade": 2, "grade_name": "高级会员",
    "trade_count": 7, "trade_amount": "1234.50", "close_trade_count": 1,
    "close_trade_amount": "59.00", "item_num": 12, "last_trade_time": "2026-01-01 11:03:10",
    "relation_source": 1, "group_ids": "1001,1002", "modified": "2026-01-01 11:50:00",
}  # fmt: skip


async def test_a_rating(platform):
    platform.shop.ratings.append(RATING)
    async with platform.open() as session:
        (review,) = await pulled(session, Resource.REVIEWS)
        assert await session.fetch(Resource.REVIEWS, "4100000000000000001") == [review]
        assert await session.fetch(Resource.REVIEWS, review.external_id) == [review]
        assert await session.fetch(Resource.REVIEWS, "4100000000000000009") == []
    assert review.external_id == "4100000000000000001:4100000000000000002:buyer"
    assert (review.sign, review.stars, review.text, review.reply) == (-1, None, "面料偏硬", None)
    assert review.identities == [Identity("shop", SHOP_ID, "ouid", "AAGsynOuid0001")]


@pytest.mark.parametrize(("negative", "later_negative", "sign"), [
    (True, False, -1), (False, True, -1), (False, False, 1),
])  # fmt: skip
async def test_tmall_tells_by_tags(world, negative, later_negative, sign):
    platform = Platform(world, kind="B")
    platform.shop.ratings.append(RATING | {"result": "good"})
    platform.shop.feeds["4100000000000000002"] = {
        "content": "面料偏硬", "comment_time": "2026-01-08 20:00:00", "has_negtv": negative,
        "tags": [{"tag_name": "面料一般", "posi": False}], "append_content": "洗后好些",
        "append_has_negtv": later_negative, "user_nick": "t**1", "ouid": "AAGsynOuid0001",
    }  # fmt: skip
    code = world.code(platform.app, platform.shop)
    authorised = await platform.connector.exchange(platform.settings, code, "")
    assert authorised.token.more[TYPE] == "B"
    async with platform.open(authorised.token) as session:
        (review,) = await pulled(session, Resource.REVIEWS)
    assert (review.sign, review.later_text, review.tags) == (sign, "洗后好些", ["面料一般"])


async def test_more_ratings_than_the_platform_gives_out_are_asked_for_in_halves(platform):
    for number in range(1600):
        moment = NOW - timedelta(seconds=number)
        platform.shop.ratings.append(RATING | {"oid": number, "created": at(moment)})
    async with platform.open() as session:
        with pytest.raises(TooMuch):
            await pulled(session, Resource.REVIEWS)
        half = Window(NOW - timedelta(seconds=800), NOW)
        other = Window(NOW - timedelta(seconds=1599), NOW - timedelta(seconds=800))
        found = [
            review.line_external_id
            for window in (half, other)
            for review in await pulled(session, Resource.REVIEWS, window)
        ]
    assert {int(line) for line in found} == set(range(1600))


async def test_members(platform):
    platform.shop.members = {
        "AAGsynOuid0001": MEMBER,
        "AAGsynOuid0002": MEMBER | {
            "ouid": "AAGsynOuid0002", "grade": 0, "status": "blacklist",
            "last_trade_time": "2025-06-01 10:00:00", "relation_source": 3,
        },
    }  # fmt: skip
    async with platform.open() as session:
        changed = await pulled(session, Resource.MEMBERS)
        recent = await pulled(session, Resource.MEMBERS, last(120), Kind.BACKFILL)
        (one,) = await session.fetch(Resource.MEMBERS, "AAGsynOuid0001")
    assert {m.buyer_id for m in changed} == {"AAGsynOuid0001", "AAGsynOuid0002"}
    assert recent == [replace(one, modified_at=None)]
    assert {m.modified_at for m in changed} == {one.modified_at} == {NOW}
    assert (one.member, one.grade, one.grade_name, one.blacklisted) == (True, 2, "高级会员", False)
    assert (one.trade_count, one.trade_amount) == (7, 123450)
    assert one.last_trade_at == datetime(2026, 1, 1, 3, 3, 10, tzinfo=UTC)
    (other,) = [m for m in changed if m != one]
    assert (other.member, other.blacklisted, other.join_source) == (False, True, "added by seller")


async def test_a_message_tells_what_the_list_of_members_does_not(platform):
    platform.shop.members["AAGsynOuid0001"] = MEMBER
    world = platform.world
    world.tell(platform.shop, "taobao_opencrm_MemberJoinPrivate", {
        "user": "AAGsynOuid0001", "seller": "示范店铺", "join_time": "2026-01-01 12:00:00",
        "first_join_time": "2025-12-01 12:00:00", "msg_id": "m-1",
    })  # fmt: skip
    world.tell(platform.shop, "taobao_opencrm_MemberGradeChange", {
        "ouid": "AAGsynOuid0001", "omid": "AAOsyn/Omid+1=", "grade": 2, "seller_id": 1,
        "msg_id": "m-2",
    })  # fmt: skip
    async with platform.open() as session:
        (joined, graded), _ = await session.consume()
        (member,) = await session.fetch(Resource.MEMBERS, joined.external_id)
        (again,) = await session.fetch(Resource.MEMBERS, graded.external_id)
    assert member.joined_at == datetime(2025, 12, 1, 4, 0, tzinfo=UTC)
    assert again.identities == [Identity("merchant", 0, "omid", "AAOsyn/Omid+1=")]
    assert (member.buyer_id, again.buyer_id) == ("AAGsynOuid0001",) * 2


async def test_more_members_than_the_platform_gives_out(platform):
    for number in range(8001):
        ouid = f"AAG{number}"
        platform.shop.members[ouid] = MEMBER | {"ouid": ouid}
    async with platform.open() as session:
        with pytest.raises(TooMuch):
            await pulled(session, Resource.MEMBERS, last(120), Kind.BACKFILL)


async def test_grades_are_called_as_the_shop_calls_them(platform):
    nameless = {key: value for key, value in MEMBER.items() if key != "grade_name"}
    platform.shop.members["AAGsynOuid0001"] = nameless | {"grade": 3}
    async with platform.open() as session:
        (member,) = await session.fetch(Resource.MEMBERS, "AAGsynOuid0001")
    assert member.grade_name == "VIP会员"
