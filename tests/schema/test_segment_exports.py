"""Customers of a segment, or of a rule, in a file."""

from datetime import timedelta

import orjson
import pytest

from core.domain.customers.tags import tag_customers
from core.domain.segments.segments import create_segment
from core.installation import job_kinds
from core.schema.scalars import global_id, read_id
from core.storage import jobs
from tests.processes import environment, huike

EXPORT = """
    mutation ($input: CustomerExportStartInput!) {
      customerExportStart(input: $input) {
        job { id progress { total } }
        errors { code message path }
      }
    }
"""
VIP = {"version": 1, "rule": {"tag": {"any_of": ["vip"]}}}


@pytest.fixture
async def people(merchant):
    """Ten customers p0 to p9, of which the even ones are vip; p1 was once, and p0 came later."""
    registry = merchant.installation.registry
    async with merchant.work() as w:
        rows = await w.sql.fetch(
            """INSERT INTO customers (merchant_id, name, city, version, created_at, updated_at)
               SELECT $1, 'p' || n, CASE WHEN n < 5 THEN '杭州市' ELSE '广州市' END, 1, $2, $2
               FROM generate_series(0, 9) n RETURNING id""",
            w.merchant_id, w.now,
        )  # fmt: skip
        pks = [row[0] for row in rows]
        await tag_customers(w, pks[::2], ["vip"], "test")
        segment = await create_segment(w, registry, "vips", VIP)
        began = w.now - timedelta(days=10)
        await w.sql.execute(
            "UPDATE segments SET filled_at = $3 WHERE merchant_id = $1 AND id = $2",
            w.merchant_id, segment, began,
        )  # fmt: skip
        stays = [(pk, began, None) for pk in pks[2::2]]
        stays += [(pks[0], w.now - timedelta(days=2), None), (pks[1], began, w.now)]
        await w.sql.executemany(
            """INSERT INTO segment_members (merchant_id, segment_id, customer_id, entered_at,
                   left_at) VALUES ($1, $2, $3, $4, $5)""",
            [(w.merchant_id, segment, *stay) for stay in stays],
        )
    return segment


async def exported(api, merchant, token=None, **given):
    """Names of the customers in the file."""
    given = {"idempotencyKey": orjson.dumps(given).decode(), "format": "JSONL", **given}
    answer = await api.data(token or merchant.token, EXPORT, input=given)
    payload = answer["customerExportStart"]
    assert payload["errors"] == [], payload
    opened = merchant.installation
    job = await jobs.claim(opened.db, merchant.id, read_id("Job", payload["job"]["id"]))
    await jobs.perform(opened.db, job, job_kinds(opened.registry))
    pieces = jobs.file_pieces(opened.db, merchant.id, job.id, "output")
    data = b"".join([piece async for piece in pieces])
    names = [orjson.loads(line)["name"] for line in data.splitlines()]
    assert len(names) == payload["job"]["progress"]["total"]
    return names


async def refused(api, merchant, **given):
    answer = await api.data(merchant.token, EXPORT, input={"idempotencyKey": "r", **given})
    (error,) = answer["customerExportStart"]["errors"]
    return error["code"], ".".join(error["path"]), error["message"]


async def test_members_now_then_and_by_rule(api, merchant, people):
    segment = global_id("Segment", people)
    now = ["p8", "p6", "p4", "p2", "p0"]
    assert await exported(api, merchant, segmentId=segment) == now
    sort = [{"field": "CREATED_AT", "direction": "ASC"}]
    assert await exported(api, merchant, segmentId=segment, sort=sort) == now[::-1]
    where = {"city": {"eq": "杭州市"}, "name": {"in": ["p2", "p3", "p4", "p6"]}}
    assert await exported(api, merchant, segmentId=segment, where=where) == ["p4", "p2"]
    day = "2026-06-10"
    assert await exported(api, merchant, segmentId=segment, onDay=day) == [
        "p8", "p6", "p4", "p2", "p1",
    ]  # fmt: skip
    rule = {"not": {"tag": {"anyOf": ["vip"]}}}
    assert await exported(api, merchant, rule=rule, where=where) == ["p3"]
    rule = {"all": [{"inSegment": {"segmentId": segment}}, {"orderCount": {"atMost": 0}}]}
    assert await exported(api, merchant, rule=rule) == now


async def test_masks_and_rights_stay(api, world, people):
    merchant, segment = world.merchant, global_id("Segment", people)
    token = await world.limited("CUSTOMERS_READ", "SEGMENTS_READ")
    names = await exported(api, merchant, token, segmentId=segment)
    assert names == ["p***"] * 5
    token = await world.limited("CUSTOMERS_READ")
    for given in ({"segmentId": segment}, {"rule": {"hasPhone": True}}):
        answer = await api(token, EXPORT, input={"idempotencyKey": "k", **given})
        assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
        assert "SEGMENTS_READ" in answer["errors"][0]["message"]


async def test_refuses(api, merchant, stranger, people):
    segment = global_id("Segment", people)
    rule = {"hasPhone": True}
    assert await refused(api, merchant, segmentId=stranger.ids["Segment"]) == (
        "NOT_FOUND", "input.segmentId", "there is no such segment",
    )  # fmt: skip
    assert (await refused(api, merchant, segmentId=segment, rule=rule))[2].startswith("give either")
    assert (await refused(api, merchant, rule=rule, onDay="2026-06-10"))[1] == "input.onDay"
    assert (await refused(api, merchant, segmentId=segment, onDay="2026-06-16"))[2] == (
        "this day has not come"
    )
    assert "known from 2026-06-05" in (
        await refused(api, merchant, segmentId=segment, onDay="2026-06-04")
    )[2]  # fmt: skip
    await exported(api, merchant, segmentId=segment, onDay="2026-06-05")
    wrong = {"orderCount": {"atLeast": 3, "atMost": 2}}
    assert (await refused(api, merchant, rule=wrong))[1] == "input.rule.orderCount.atLeast"


async def test_the_same_call_again_starts_nothing(api, merchant, people):
    given = {
        "segmentId": global_id("Segment", people), "onDay": "2026-06-10", "idempotencyKey": "once",
    }  # fmt: skip
    first = await api.data(merchant.token, EXPORT, input=given)
    assert await api.data(merchant.token, EXPORT, input=given) == first
    other = await api.data(merchant.token, EXPORT, input={**given, "onDay": "2026-06-11"})
    assert other["customerExportStart"]["errors"][0]["code"] == "IDEMPOTENCY_KEY_REUSED"


async def test_the_command(merchant, people, tmp_path):
    async def called(name, *more):
        done = await huike(
            "export", "customers", "--merchant", merchant.id, "--output", tmp_path / name,
            "--columns", "name", *more, env=environment(merchant.installation.settings.home),
        ).ended()  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    code, said = await called("now.csv", "--segment", "vips", "--where", '{"name": {"eq": "p2"}}')
    assert code == 0, said
    assert (tmp_path / "now.csv").read_text("utf-8-sig").split() == ["name", "p2"]
    code, said = await called("then.csv", "--segment", "nobody")
    assert code == 1
    assert "no segment named 'nobody'" in said
    code, said = await called("then.csv", "--on-day", "2026-06-10")
    assert code == 2
    assert "--segment" in said
