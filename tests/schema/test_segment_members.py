"""Membership over the API: who is in, who was, what uses a segment."""

from datetime import timedelta

from core.domain.segments.changes import follow_changes
from core.domain.segments.refresh import refresh_due

MEMBERS = """query ($id: ID!, $first: Int! = 20, $after: String, $onDay: Date,
                    $where: SegmentMembershipWhere) {
  segment(id: $id) {
    size kind refreshedAt problem usedBy { kind name }
    members(first: $first, after: $after, onDay: $onDay, where: $where) {
      nodes { enteredAt leftAt customer { id } segment { name } }
      pageInfo { hasNextPage endCursor }
      count { value }
    }
  }
}"""
CREATE = """mutation ($input: SegmentCreateInput!) {
  segmentCreate(input: $input) { segment { id size refreshedAt } errors { message path } }
}"""


async def work_off(world):
    merchant = world.merchant
    registry, db = merchant.installation.registry, merchant.installation.db
    await refresh_due(db, registry, merchant.id)
    await follow_changes(db, registry, merchant.id)


async def test_members_are_paged_and_known_of_past_days(api, world):
    made = await api(
        world.token, CREATE, input={"name": "vip", "rule": {"tag": {"anyOf": ["vip"]}}}
    )
    segment = made["data"]["segmentCreate"]["segment"]
    assert segment["size"] == 0
    assert segment["refreshedAt"] is None
    both = [world.ids["Second"], world.ids["Customer"]]  # the newest customer first

    async def tags(action, ids):
        name = f"customersTags{action}"
        await api(
            world.token,
            f"mutation ($input: {name[0].upper()}{name[1:]}Input!) "
            f"{{ {name}(input: $input) {{ errors {{ message }} }} }}",
            input={"ids": ids, "tags": ["vip"]},
        )
        await work_off(world)

    async def members(**variables):
        answer = await api(world.token, MEMBERS, id=segment["id"], **variables)
        return answer["data"]["segment"]

    await work_off(world)
    await tags("Add", both)
    found = await members(first=1)
    assert found["size"] == found["members"]["count"]["value"] == 2
    assert found["kind"] == "DYNAMIC"
    assert [one["customer"]["id"] for one in found["members"]["nodes"]] == both[:1]
    rest = (await members(first=1, after=found["members"]["pageInfo"]["endCursor"]))["members"]
    assert [one["customer"]["id"] for one in rest["nodes"]] == both[1:]
    assert not rest["pageInfo"]["hasNextPage"]
    world.merchant.clock.move(timedelta(days=2))
    await tags("Remove", both[:1])
    now = (await members())["members"]["nodes"]
    assert [(one["customer"]["id"], one["segment"]["name"]) for one in now] == [(both[1], "vip")]
    past = (await members(onDay="2026-06-15"))["members"]["nodes"]
    assert [one["customer"]["id"] for one in past] == both
    assert past[0]["leftAt"] == "2026-06-17T04:00:00+00:00"
    assert (await members(onDay="2026-06-14"))["members"]["nodes"] == []
    only = (await members(onDay="2026-06-15", where={"customer": {"eq": both[1]}}))["members"]
    assert [one["customer"]["id"] for one in only["nodes"]] == both[1:]
    mine = await api(
        world.token,
        "query ($id: ID!) { customer(id: $id) { segments { segment { name } leftAt } } }",
        id=both[1],
    )
    names = {one["segment"]["name"] for one in mine["data"]["customer"]["segments"]}
    assert names == {"all", "unused", "list", "vip"}


async def test_a_cursor_of_another_day_is_refused(api, world):
    await work_off(world)
    page = await api(world.token, MEMBERS, id=world.ids["Segment"], first=1)
    cursor = page["data"]["segment"]["members"]["pageInfo"]["endCursor"]
    answer = await api(
        world.token, MEMBERS, id=world.ids["Segment"], after=cursor, onDay="2026-06-15"
    )
    assert "cursor" in answer["errors"][0]["message"]


async def test_what_uses_a_segment_is_shown_and_named_when_it_cannot_go(api, world):
    rule = {"not": {"inSegment": {"segmentId": world.ids["Segment"]}}}
    await api(world.token, CREATE, input={"name": "others", "rule": rule})
    found = await api(world.token, MEMBERS, id=world.ids["Segment"])
    assert found["data"]["segment"]["usedBy"] == [
        {"kind": "CAMPAIGN", "name": "first"}, {"kind": "CAMPAIGN", "name": "sent"},
        {"kind": "SEGMENT", "name": "others"},
    ]  # fmt: skip
    answer = await api(
        world.token,
        "mutation ($id: ID!) { segmentDelete(id: $id) { errors { code message } } }",
        id=world.ids["Segment"],
    )
    (error,) = answer["data"]["segmentDelete"]["errors"]
    assert error["code"] == "WRONG_STATE"
    assert "the campaign 'first', the campaign 'sent' and the segment 'others'" in error["message"]


async def test_members_need_the_right_to_read_customers(api, world):
    token = await world.limited("SEGMENTS_READ")
    answer = await api(token, MEMBERS, id=world.ids["Segment"])
    assert "CUSTOMERS_READ" in answer["errors"][0]["message"]
