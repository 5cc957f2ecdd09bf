"""Whole lists by a query of the caller's, written page by page."""

import orjson
import pytest
import pytest_asyncio

from core.domain.shops.tokens import revoke_token
from core.schema import bulk_running
from core.schema.bulk_running import BulkExport
from core.schema.documents import Documents
from core.schema.scalars import read_id
from core.storage import jobs
from tests.schema.operations import text

LIST = "query ($word: String) { found: customers(where: { province: { eq: $word } }) "
QUERY = LIST + "{ nodes { id name tags { tag } orders { externalId } } } }"
COUNT = 230
FILE = "query ($id: ID!) { job(id: $id) { state error { message } progress { done total } "
FILE += "file { url name mediaType } } }"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def kind(installation):
    return BulkExport(Documents(installation))


async def many(merchant):
    async with merchant.work() as w:
        await w.sql.execute(
            """INSERT INTO customers (merchant_id, name, province, version, created_at, updated_at)
               SELECT $1, 'n' || n, 'X', 1, $2, $2 FROM generate_series(1, $3::int) n""",
            merchant.id, w.now, COUNT,
        )  # fmt: skip


async def start(api, token, query=QUERY, key="k", **variables):
    given = {"query": query, "variables": variables, "idempotencyKey": key}
    data = await api.data(token, text("bulk-export-run"), input=given)
    return data["bulkExportRun"]


async def perform(merchant, job_id, kind):
    db = merchant.installation.db
    claimed = await jobs.claim(db, merchant.id, read_id("Job", job_id))
    await jobs.perform(db, claimed, {kind.name: kind})


async def lines(api, file):
    answer = await api.client.get(file["url"][file["url"].index("/downloads") :])
    assert answer.status_code == 200
    return [orjson.loads(line) for line in answer.text.splitlines()]


async def test_every_row_is_written_once_also_after_a_kill(api, merchant, kind, monkeypatch):
    await many(merchant)
    monkeypatch.setattr(bulk_running, "PIECE_BYTES", 1)  # a piece for each page
    started = await start(api, merchant.token, word="X")
    assert started["errors"] == []
    assert (await start(api, merchant.token, word="X"))["job"]["id"] == started["job"]["id"]
    pages = []

    class Killed(BaseException):
        pass

    real = Documents.run

    async def run(self, *given):
        pages.append(given)
        if len(pages) == 2:
            raise Killed
        return await real(self, *given)

    monkeypatch.setattr(Documents, "run", run)
    with pytest.raises(Killed):
        await perform(merchant, started["job"]["id"], kind)
    merchant.clock.move(jobs.LEASE * 2)
    await perform(merchant, started["job"]["id"], kind)
    job = (await api.data(merchant.token, FILE, id=started["job"]["id"]))["job"]
    assert job["progress"] == {"done": COUNT, "total": COUNT}, job
    found = await lines(api, job["file"])
    assert sorted(one["name"] for one in found) == sorted(f"n{n + 1}" for n in range(COUNT))
    assert set(found[0]) == {"id", "name", "tags", "orders"}
    assert job["file"]["mediaType"] == "application/x-ndjson"
    assert len(pages) == 4  # three, and the one that was killed


async def test_an_empty_list_is_an_empty_file(api, merchant, kind):
    started = await start(api, merchant.token, word="nowhere")
    await perform(merchant, started["job"]["id"], kind)
    job = (await api.data(merchant.token, FILE, id=started["job"]["id"]))["job"]
    assert job["progress"] == {"done": 0, "total": 0}
    assert await lines(api, job["file"]) == []


async def test_rights_are_those_of_the_caller_at_each_page(api, world, kind):
    query = "{ customers { nodes { name phone { value } } } }"
    token = await world.limited("JOBS_READ", "CUSTOMERS_READ", "PII_NAME")
    started = await start(api, token, query)
    await perform(world.merchant, started["job"]["id"], kind)
    job = (await api.data(token, FILE, id=started["job"]["id"]))["job"]
    assert {"name": "张三", "phone": {"value": "138****1234"}} in await lines(api, job["file"])
    other = await world.limited("JOBS_READ", "CUSTOMERS_READ")
    answer = await api(other, FILE, id=started["job"]["id"])
    assert "PII_NAME" in answer["errors"][0]["message"]
    answer = await api(
        await world.limited("JOBS_READ", "ORDERS_READ"), text("bulk-export-run"),
        input={"query": query, "idempotencyKey": "k"},
    )  # fmt: skip
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    started = await start(api, token, query, key="another")
    async with world.merchant.work() as w:
        await revoke_token(w, int(token.split("_")[2]))
    await perform(world.merchant, started["job"]["id"], kind)
    job = (await api.data(world.token, FILE, id=started["job"]["id"]))["job"]
    assert (job["state"], job["file"]) == ("FAILED", None)
    assert "has ended" in job["error"]["message"]


async def test_a_cancelled_export_leaves_no_file(api, merchant, kind):
    started = await start(api, merchant.token)
    await api.data(merchant.token, text("job-cancel"), id=started["job"]["id"])
    job = (await api.data(merchant.token, FILE, id=started["job"]["id"]))["job"]
    assert (job["state"], job["file"]) == ("CANCELLED", None)
    async with merchant.read() as session:
        assert not await session.sql.fetchval(
            "SELECT count(*) FROM job_files WHERE merchant_id = $1", merchant.id
        )


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("{ customers { nodes { colour } } }", "colour"),
        ("{ viewer { permissions } }", "no list with pages"),
        ("{ segments { nodes { id } } customers { nodes { id } } }", "one list"),
        ("{ customers { count { value } nodes { id } } }", "nothing beside"),
        ("{ customers { ...F } } fragment F on CustomerConnection { nodes { id } }", "nodes"),
        ("{ customers(first: 5) { nodes { id } } }", "leave `first`"),
        ("{ customers { all: nodes { id } } }", "alias"),
        ("query ($bulkExportAfter: Int) { customers { nodes { id } } }", "bulkExportAfter"),
        ("mutation { jobCancel(id: 1) { errors { code } } }", "one query"),
    ],
)  # fmt: skip
async def test_a_query_that_is_no_list_is_refused(api, kept, query, says):
    started = await start(api, kept.token, query)
    assert started["job"] is None
    assert says in started["errors"][0]["message"]


async def test_only_so_many_run_at_once(api, merchant):
    for number in range(5):
        assert (await start(api, merchant.token, key=str(number)))["errors"] == []
    refused = await start(api, merchant.token, key="one more")
    assert refused["errors"][0]["code"] == "WRONG_STATE"
