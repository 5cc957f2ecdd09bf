"""Files of jobs: who gets a link, and what the link gives."""

from datetime import timedelta

import orjson
import pytest

from core.schema.scalars import global_id
from core.storage import jobs
from core.storage.outputs import OutputFile, describe_output

NAME = '客户 "名单";.csv'
PARTS = [b"a" * 1000, "中".encode(), b"z" * 10]
QUERY = "query ($id: ID!) { job(id: $id) { file { name mediaType size sha256 url expiresAt } } }"


class Maker:
    name = "test.file"

    def __init__(self, permissions=("ORDERS_READ",), described=True):
        self.permissions = permissions
        self.described = described

    async def run(self, db, job):
        async with job.step(db) as w:
            for number, part in enumerate(PARTS):
                await jobs.add_file_piece(w, job.id, number, part, "output")
        file = await describe_output(
            db, job.merchant_id, job.id, NAME, "text/csv", self.permissions
        )
        found = file.described()
        if not self.described:
            del found["permissions"]
        return {"rows": 3, "file": found}


async def made(merchant, maker=None):
    db = merchant.installation.db
    async with merchant.work() as w:
        job_id = await jobs.enqueue(w, "test.file", {}, queued=False)
    job = await jobs.claim(db, merchant.id, job_id, force=True)
    await jobs.perform(db, job, {"test.file": maker or Maker()})
    return global_id("Job", job_id)


async def link(api, token, job):
    data = await api.data(token, QUERY, id=job)
    return data["job"]["file"]


def path(file):
    assert file["url"].startswith("http://127.0.0.1:8000/downloads/")
    return file["url"].removeprefix("http://127.0.0.1:8000")


async def test_a_file_is_fetched_without_a_token(api, merchant):
    file = await link(api, merchant.token, await made(merchant))
    assert (file["name"], file["mediaType"], file["size"]) == (NAME, "text/csv", 1013)
    answer = await api.client.get(path(file))
    assert answer.status_code == 200
    assert answer.content == b"".join(PARTS)
    headers = answer.headers
    assert headers["content-type"] == "text/csv"
    assert headers["content-length"] == "1013"
    assert headers["x-content-type-options"] == "nosniff"
    assert "no-store" in headers["cache-control"]
    disposition = headers["content-disposition"]
    assert disposition == (
        'attachment; filename="________.csv"; '
        "filename*=UTF-8''%E5%AE%A2%E6%88%B7%20%22%E5%90%8D%E5%8D%95%22%3B.csv"
    )
    head = await api.client.head(path(file))
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "1013")
    assert (await api.client.post(path(file))).status_code == 405


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-9", 0, 10), ("bytes=990-", 990, 1013), ("bytes=998-1001", 998, 1002),
        ("bytes=-12", 1001, 1013), ("bytes=1012-99999", 1012, 1013), ("bytes=-5000", 0, 1013),
    ],
)  # fmt: skip
async def test_a_part_of_a_file_is_fetched(api, merchant, asked, start, stop):
    file = await link(api, merchant.token, await made(merchant))
    whole = await api.client.get(path(file))
    assert whole.headers["accept-ranges"] == "bytes"
    tag = whole.headers["etag"]
    for condition in ({}, {"if-range": tag}):
        part = await api.client.get(path(file), headers={"range": asked, **condition})
        assert part.status_code == 206
        assert part.content == b"".join(PARTS)[start:stop]
        assert part.headers["content-length"] == str(stop - start)
        assert part.headers["content-range"] == f"bytes {start}-{stop - 1}/1013"
    other = await api.client.get(path(file), headers={"range": asked, "if-range": '"x"'})
    assert (other.status_code, other.content) == (200, whole.content)


async def test_parts_that_cannot_be_given(api, merchant):
    address = path(await link(api, merchant.token, await made(merchant)))
    for asked in ("bytes=9-3", "bytes=-", "bytes=0-1,4-5", "lines=1-2", "bytes=a-b",
                  "bytes=0-" + "9" * 5000):  # fmt: skip
        whole = await api.client.get(address, headers={"range": asked})
        assert (whole.status_code, len(whole.content)) == (200, 1013)
    for asked in ("bytes=1013-", "bytes=5000-6000", "bytes=-0"):
        none = await api.client.get(address, headers={"range": asked})
        assert none.status_code == 416
        assert none.headers["content-range"] == "bytes */1013"
        assert none.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


async def test_a_link_that_was_touched_is_refused(api, merchant, stranger):
    address = path(await link(api, merchant.token, await made(merchant)))
    start, text = address.rsplit("/", 1)
    merchant_id, job, expires, token, signature = text.split(".")
    wrong = [
        f"{stranger.merchant.id}.{job}.{expires}.{token}.{signature}",
        f"{merchant_id}.{int(job) + 1}.{expires}.{token}.{signature}",
        f"{merchant_id}.{job}.{int(expires) + 1}.{token}.{signature}",
        f"{merchant_id}.{job}.{expires}.{token}1.{signature}",
        f"{merchant_id}.{job}.{expires}.{token}.{signature[:-1]}",
        f"{merchant_id}.{job}.{expires}.{token}.",
        "x", "....", "%E5%AE", "1.2.3.4.AAAAAAAAAAAAAAAAAAAA",
    ]  # fmt: skip
    for text in wrong:
        answer = await api.client.get(f"{start}/{text}")
        assert answer.status_code == 403, text
        assert answer.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"
        assert answer.headers["cache-control"] == "no-store"


async def test_a_link_expires_and_so_does_the_file(api, merchant):
    job = await made(merchant)
    address = path(await link(api, merchant.token, job))
    merchant.clock.move(timedelta(minutes=15, seconds=1))
    answer = await api.client.get(address)
    assert answer.status_code == 403
    assert "expired" in answer.json()["errors"][0]["message"]
    address = path(await link(api, merchant.token, job))
    assert (await api.client.get(address)).status_code == 200
    async with merchant.work() as w:
        await w.sql.execute("DELETE FROM job_files WHERE merchant_id = $1", merchant.id)
    answer = await api.client.get(address)
    assert answer.status_code == 404
    assert answer.json()["errors"][0]["extensions"]["code"] == "NOT_FOUND"
    merchant.clock.move(timedelta(days=jobs.OUTPUT_DAYS))
    assert await link(api, merchant.token, job) is None


async def test_a_link_needs_the_rights_of_what_is_in_the_file(api, world):
    job = await made(world.merchant, Maker(["CUSTOMERS_READ", "PII_PHONE"]))
    unsaid = await made(world.merchant, Maker(described=False))
    for given in (["JOBS_READ"], ["JOBS_READ", "CUSTOMERS_READ"]):
        token = await world.limited(*given)
        answer = await api(token, QUERY, id=job)
        assert answer["data"]["job"]["file"] is None
        assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    token = await world.limited("JOBS_READ", "CUSTOMERS_READ", "PII_PHONE")
    assert (await link(api, token, job))["size"] == 1013
    answer = await api(token, QUERY, id=unsaid)
    assert "ORDERS_READ" in answer["errors"][0]["message"]


async def test_other_merchants_files_are_not_found(api, merchant, stranger):
    job = await made(stranger.merchant)
    assert (await api.data(merchant.token, QUERY, id=job))["job"] is None


async def test_a_job_without_a_file_has_none(api, world):
    data = await api.data(world.token, QUERY, id=world.ids["Job"])
    assert data["job"]["file"] is None


@pytest.mark.parametrize("state", ["running", "failed"])
async def test_an_unfinished_file_is_not_shown(api, merchant, state):
    job = await made(merchant)
    async with merchant.work() as w:
        await w.sql.execute("UPDATE jobs SET state = $2 WHERE merchant_id = $1", merchant.id, state)
    assert await link(api, merchant.token, job) is None


def test_a_description_is_json():
    file = OutputFile("a.csv", "text/csv", 1, "00")
    assert OutputFile(**orjson.loads(orjson.dumps(file.described()))).permissions
