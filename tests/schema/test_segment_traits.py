"""What makes a segment special, over the API."""

from pathlib import Path

from core.domain.customers.tags import tag_customers
from core.installation import job_kinds
from core.schema.scalars import read_id
from core.storage import jobs

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations"
START = (OPERATIONS / "segment-traits-start.graphql").read_text("utf-8")
READ = (OPERATIONS / "segment-traits.graphql").read_text("utf-8")


async def test_begun_and_read(api, merchant):
    async with merchant.work() as w:
        rows = await w.sql.fetch(
            """INSERT INTO customers (merchant_id, city, version, created_at, updated_at)
               SELECT $1, CASE WHEN n < 30 OR n BETWEEN 40 AND 49 THEN '杭州市' ELSE '广州市' END,
                      1, $2, $2 FROM generate_series(0, 99) n RETURNING id""",
            w.merchant_id, w.now,
        )  # fmt: skip
        await tag_customers(w, [row[0] for row in rows[:40]], ["inside"], "test")
    rule = {"tag": {"anyOf": ["inside"]}}
    answer = await api.data(merchant.token, START, input={"rule": rule, "limit": 3})
    begun = answer["segmentTraitsStart"]
    assert begun["errors"] == []
    opened, number = merchant.installation, begun["job"]["id"]
    waiting = await api.data(merchant.token, READ, id=number)
    assert waiting["segmentTraits"]["traits"] is None
    assert waiting["segmentTraits"]["job"]["state"] == "QUEUED"
    job = await jobs.claim(opened.db, merchant.id, read_id("Job", number))
    await jobs.perform(opened.db, job, job_kinds(opened.registry))
    answer = await api.data(merchant.token, READ, id=number)
    found = answer["segmentTraits"]["traits"]
    assert (found["size"], found["everybody"], found["enough"]) == (40, 100, True)
    assert found["traits"][2] == {
        "attribute": "city", "title": "City", "titleZh": "城市", "value": "杭州市",
        "label": "杭州市", "labelZh": "杭州市", "inside": 30, "everybody": 40, "share": "0.7500",
        "shareOfEverybody": "0.4000", "difference": "0.3500", "lift": "1.88", "z": "5.83",
    }  # fmt: skip


async def test_refuses(api, world, stranger):
    token = world.token
    for given, path in (
        ({"limit": 5}, ["input", "segmentId"]),
        ({"segmentId": world.ids["Segment"], "limit": 101}, ["input", "limit"]),
        ({"segmentId": stranger.ids["Segment"]}, ["input", "segmentId"]),
    ):
        answer = await api.data(token, START, input=given)
        (error,) = answer["segmentTraitsStart"]["errors"]
        assert error["path"] == path
    # another kind of job
    answer = await api.data(token, READ, id=world.ids["Job"])
    assert answer["segmentTraits"]["errors"][0]["code"] == "NOT_FOUND"
