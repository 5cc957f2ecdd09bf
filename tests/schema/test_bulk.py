"""Imports and exports as a frontend goes through them: start, follow, fetch."""

import csv
import importlib.util
import io
from pathlib import Path

import orjson
import pytest

from core.installation import job_kinds
from core.schema.scalars import split_id
from core.storage import jobs

spec = importlib.util.spec_from_file_location(
    "operations", Path(__file__).with_name("operations.py")
)
operations = importlib.util.module_from_spec(spec)
spec.loader.exec_module(operations)

FILE = "姓名,手机,积分\n李四,13900000001,3\n王五,1390,4\n".encode("gb18030")


async def perform(merchant, job):
    """Do a job as a worker would."""
    installation = merchant.installation
    pk = split_id(job["id"])[1]
    claimed = await jobs.claim(installation.db, merchant.id, pk, force=True)
    await jobs.perform(installation.db, claimed, job_kinds(installation.registry))


async def upload(api, token, name, given, content=FILE, file_name="客户.csv"):
    body = {"query": operations.text(name), "variables": {"input": {"file": None, **given}}}
    answer = await api.client.post(
        "/graphql",
        data={"operations": orjson.dumps(body).decode(), "map": '{"0": ["variables.input.file"]}'},
        files={"0": (file_name, content)},
        headers={"authorization": f"Bearer {token}"},
    )
    (field,) = answer.json()["data"].values()
    return field


async def job_of(api, token, job):
    return (await api.data(token, operations.text("job"), id=job["id"]))["job"]


async def test_preview_import_and_undo(api, merchant):
    token = merchant.token
    shown = await upload(api, token, "customer-import-preview", {})
    preview = shown["preview"]
    assert preview["columns"] == [
        {"field": "phone", "headers": ["手机"], "guessed": True},
        {"field": "name", "headers": ["姓名"], "guessed": True},
    ]
    assert preview["unusedHeaders"] == ["积分"]
    assert preview["rows"][0] == {
        "row": 2, "values": {"phone": "+8613900000001", "name": "李四"}, "problem": None
    }  # fmt: skip
    assert preview["rows"][1]["problem"]["code"] == "BAD_PHONE"
    columns = [{"field": "id.card", "header": "积分"}]
    started = await upload(
        api, token, "customer-import-start",
        {"columns": columns, "tags": ["fair"], "existing": "FILL", "idempotencyKey": "fair",
         "consents": [{"channel": "email", "evidence": "fair"}]},
    )  # fmt: skip
    await perform(merchant, started["job"])
    job = await job_of(api, token, started["job"])
    assert job["state"] == "SUCCEEDED"
    assert (job["result"]["created"], job["result"]["rejected"]) == (1, 1)
    assert job["rejects"]["nodes"][0]["column"] == "手机"
    query = """{ customers { nodes { name phone { value } tags { tag } identities { kind value }
                                      consents { channel status } } } }"""
    (customer,) = (await api.data(token, query))["customers"]["nodes"]
    assert customer["identities"] == [{"kind": "card", "value": "3"}]
    assert customer["consents"] == [{"channel": "email", "status": "GRANTED"}]
    data = await api.data(token, operations.text("customer-import-undo"), id=job["id"])
    undo = data["customerImportUndo"]["job"]
    assert undo["progress"]["total"] == 1
    await perform(merchant, undo)
    assert (await job_of(api, token, undo))["result"]["deleted"] == 1
    assert (await api.data(token, query))["customers"]["nodes"] == []


@pytest.mark.parametrize(
    ("given", "content", "name", "code"),
    [
        ({"columns": [{"field": "colour", "header": "姓名"}]}, FILE, "c.csv", "INVALID_INPUT"),
        ({}, b"", "c.csv", "IMPORT_FILE_UNREADABLE"),
        ({}, b"a,b\n1,2\n", "c.csv", "IMPORT_NO_IDENTITY"),
        ({}, FILE, "c.xls", "INVALID_INPUT"),
        ({"rows": 101}, FILE, "c.csv", "INVALID_INPUT"),
        ({"shopId": "bm9uZQ=="}, FILE, "c.csv", "NOT_FOUND"),
    ],
)
async def test_what_a_preview_refuses(api, merchant, given, content, name, code):
    answer = await upload(api, merchant.token, "customer-import-preview", given, content, name)
    assert [error["code"] for error in answer["errors"]] == [code]
    assert answer["preview"] is None


async def start(api, token, **given):
    data = await api.data(token, operations.text("customer-export-start"), input=given)
    return data["customerExportStart"]


async def test_an_export_is_fetched_by_its_link(api, world):
    where = {"province": {"eq": "浙江省"}}
    answer = await start(api, world.token, where=where, idempotencyKey="a")
    again = await start(api, world.token, where=where, idempotencyKey="a")
    assert answer["job"]["id"] == again["job"]["id"]
    other = await start(api, world.token, idempotencyKey="a")
    assert [error["code"] for error in other["errors"]] == ["IDEMPOTENCY_KEY_REUSED"]
    assert answer["job"]["progress"]["total"] == 1
    await perform(world.merchant, answer["job"])
    file = (await job_of(api, world.token, answer["job"]))["file"]
    fetched = await api.client.get(file["url"].removeprefix("http://127.0.0.1:8000"))
    assert fetched.status_code == 200
    assert len(fetched.content) == file["size"]
    (row,) = csv.DictReader(io.StringIO(fetched.content.decode("utf-8-sig")))
    assert row["id"] == world.ids["Customer"]
    assert (row["name"], row["phone"]) == ("张三", "'+8613812341234")


async def test_contacts_are_for_those_with_the_right(api, world):
    token = await world.limited("CUSTOMERS_READ", "JOBS_READ")
    masked = (await start(api, token, idempotencyKey="b"))["job"]
    await perform(world.merchant, masked)
    file = (await job_of(api, token, masked))["file"]
    fetched = await api.client.get(file["url"].removeprefix("http://127.0.0.1:8000"))
    assert b"13812341234" not in fetched.content
    assert b"138****1234" in fetched.content
    full = (await start(api, world.token, idempotencyKey="c"))["job"]
    await perform(world.merchant, full)
    answer = await api(token, operations.text("job"), id=full["id"])
    assert answer["data"]["job"]["file"] is None
    assert "PII_EMAIL" in answer["errors"][0]["message"]


async def test_unknown_columns_are_named(api, merchant):
    answer = await start(api, merchant.token, columns=["name", "colour"], idempotencyKey="d")
    (error,) = answer["errors"]
    assert error["path"] == ["input", "columns"]
    assert "there is no column colour" in error["message"]
    assert answer["job"] is None
