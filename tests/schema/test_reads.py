"""Contact data is masked for who may not see it, and bulk reads of it are audited."""

import asyncio
import json

import orjson
import pytest

from core.domain.customers import masking
from core.domain.customers.contacts import seal_phone
from core.domain.shops import audit
from core.storage.database import Database
from tests.schema.test_live import message, subscribed

PEOPLE = "query People { customers { nodes { name nameRedacted phone { value redacted } } } }"
ALL = ("PII_NAME", "PII_PHONE", "PII_EMAIL", "PII_ADDRESS")


async def second(world):
    keyring, merchant = world.merchant.installation.db.keyring, world.merchant
    async with merchant.work() as w:
        pk = await w.sql.fetchval(
            """INSERT INTO customers (merchant_id, name, version, created_at, updated_at)
               VALUES ($1, 'Ann Smith', 1, $2, $2) RETURNING id""",
            w.merchant_id, w.now,
        )  # fmt: skip
        await w.sql.execute(
            "UPDATE customers SET phone_sealed = $3 WHERE merchant_id = $1 AND id = $2",
            w.merchant_id, pk, seal_phone(keyring, w.merchant_id, pk, "+8613900009999"),
        )  # fmt: skip
    return pk


async def reads(world):
    found = []
    async for entry in audit.entries(world.merchant.installation.db, world.merchant.id):
        if entry["action"] == "contacts.read":
            found.append(entry)
    return found


@pytest.mark.parametrize("given", ALL)
async def test_each_kind_has_a_right_of_its_own(api, world, given):
    keyring, merchant = world.merchant.installation.db.keyring, world.merchant
    async with merchant.work() as w:
        order = await w.sql.fetchval("SELECT id FROM orders WHERE merchant_id = $1", merchant.id)
        receiver = {"name": "李四", "phone": "+8613812345678", "address": "杭州市西湖区1号"}
        await w.sql.execute(
            "UPDATE orders SET receiver_sealed = $3 WHERE merchant_id = $1 AND id = $2",
            w.merchant_id, order,
            keyring.seal_bytes(orjson.dumps(receiver), f"orders.receiver|{merchant.id}|{order}"),
        )  # fmt: skip
    token = await world.limited("CUSTOMERS_READ", "ORDERS_READ", given)
    query = """query ($id: ID!, $order: ID!) {
        customer(id: $id) { name nameRedacted phone { value redacted } email { value redacted } }
        order(id: $order) { receiver { name phone address redacted } } }"""
    data = await api.data(token, query, id=world.ids["Customer"], order=world.ids["Order"])
    shown = {
        "PII_NAME": [data["customer"]["name"], data["order"]["receiver"]["name"]],
        "PII_PHONE": [data["customer"]["phone"]["value"], data["order"]["receiver"]["phone"]],
        "PII_EMAIL": [data["customer"]["email"]["value"]],
        "PII_ADDRESS": [data["order"]["receiver"]["address"]],
    }
    clear = {
        "PII_NAME": ["张三", "李四"], "PII_PHONE": ["+8613812341234", "+8613812345678"],
        "PII_EMAIL": ["ann@example.com"], "PII_ADDRESS": ["杭州市西湖区1号"],
    }  # fmt: skip
    masked = {
        "PII_NAME": ["张**", "李**"], "PII_PHONE": ["138****1234", "138****5678"],
        "PII_EMAIL": ["a***@example.com"], "PII_ADDRESS": ["杭州市****"],
    }  # fmt: skip
    for kind in ALL:
        assert shown[kind] == (clear if kind == given else masked)[kind]
    assert data["customer"]["nameRedacted"] is (given != "PII_NAME")
    assert data["customer"]["phone"]["redacted"] is (given != "PII_PHONE")
    assert data["order"]["receiver"]["redacted"] is True


async def test_a_masked_name_is_not_found_by_guessing(api, world):
    token = await world.limited("CUSTOMERS_READ", "PII_PHONE")
    query = "query ($w: CustomerWhere) { customers(where: $w) { nodes { id } } }"
    deep = {"or": [{"not": {"name": {"startsWith": "张"}}}]}
    answer = await api(token, query, w=deep)
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert "PII_NAME" in answer["errors"][0]["message"]
    token = await world.limited("CUSTOMERS_READ", "PII_NAME")
    found = (await api.data(token, query, w=deep))["customers"]["nodes"]
    assert found == [{"id": world.ids["Friend"]}, {"id": world.ids["Second"]}]


async def test_a_campaigns_sample_hides_names(api, world):
    query = "query ($id: ID!) { campaign(id: $id) { preview { samples { content { text } } } } }"
    async with world.merchant.work() as w:
        await w.sql.execute(
            """INSERT INTO consents (merchant_id, customer_id, channel, purpose, status, at)
               SELECT $1, id, 'email', 'marketing', 'granted', $2 FROM customers
               WHERE merchant_id = $1""",
            w.merchant_id, w.now,
        )  # fmt: skip
    token = await world.limited("CUSTOMERS_READ", "CAMPAIGNS_READ")
    assert "hi 张**" in str(await api.data(token, query, id=world.ids["Campaign"]))
    assert "hi 张三" in str(await api.data(world.token, query, id=world.ids["Campaign"]))


async def test_a_read_of_several_customers_leaves_one_entry(api, world):
    await second(world)
    body = {"query": PEOPLE, "variables": {}}
    answer = await api.raw(body, world.token, **{"x-request-id": "r-17"})
    assert "errors" not in answer.json()
    (entry,) = await reads(world)
    assert entry["data"] == {
        "fields": ["name", "phone"], "customers": 4, "operation": "People", "request": "r-17",
    }  # fmt: skip
    assert entry["actor"].startswith("token:")
    assert (await audit.verify(world.merchant.installation.db, world.merchant.id)).fault is None


async def test_a_read_of_one_customer_or_of_masked_data_leaves_none(api, world):
    one = "query ($id: ID!) { customer(id: $id) { name phone { value } } }"
    await api.data(world.token, one, id=world.ids["Customer"])
    await second(world)
    await api.data(await world.limited("CUSTOMERS_READ"), PEOPLE)
    await api.data(world.token, "{ customers { nodes { id province } } }")
    assert await reads(world) == []


async def test_an_operation_that_fails_afterwards_is_audited_too(api, world):
    await second(world)
    query = "{ customers { nodes { phone { value } orders(first: 1000) { id } } } }"
    answer = await api(world.token, query)
    assert answer["errors"]
    (entry,) = await reads(world)
    assert entry["data"]["operation"] is None


async def test_reads_at_the_same_time_share_commits_and_keep_their_entries(api, world, monkeypatch):
    await second(world)
    other = await world.limited("CUSTOMERS_READ", "PII_NAME")
    commits = []
    work = Database.work

    def counted(self, merchant_id, actor="system"):
        commits.append(actor)
        return work(self, merchant_id, actor)

    monkeypatch.setattr(Database, "work", counted)
    tokens = [world.token, other] * 5
    answers = await asyncio.gather(*(api(token, PEOPLE) for token in tokens))
    assert all("errors" not in answer for answer in answers)
    actors = [entry["actor"] for entry in await reads(world)]
    assert len(actors) == 10
    assert len(set(actors)) == 2
    assert len(commits) < 10


async def test_a_read_after_a_read_is_one_statement_unless_others_wrote(api, world, monkeypatch):
    await second(world)
    transactions = []
    work = Database.work

    def counted(self, merchant_id, actor="system"):
        transactions.append(actor)
        return work(self, merchant_id, actor)

    await api.data(world.token, PEOPLE)
    monkeypatch.setattr(Database, "work", counted)
    await api.data(world.token, PEOPLE)
    await api.data(world.token, PEOPLE)
    assert transactions == []
    async with world.merchant.work() as w:
        w.audit("test.between")
    transactions.clear()
    await api.data(world.token, PEOPLE)
    assert len(transactions) == 1
    assert len(await reads(world)) == 4
    assert (await audit.verify(world.merchant.installation.db, world.merchant.id)).fault is None


async def test_readers_and_writers_at_once_make_one_chain(api, world):
    await second(world)
    await api.data(world.token, PEOPLE)

    async def write():
        async with world.merchant.work() as w:
            w.audit("test.between")

    answers = await asyncio.gather(
        *(one for _ in range(10) for one in (api(world.token, PEOPLE), write()))
    )
    assert all("errors" not in answer for answer in answers if answer)
    assert len(await reads(world)) == 11
    assert (await audit.verify(world.merchant.installation.db, world.merchant.id)).fault is None


async def test_without_an_entry_there_is_no_answer(api, world, monkeypatch):
    await second(world)
    work = Database.work

    def broken(self, merchant_id, actor="system"):
        if actor.startswith("token:"):
            raise OSError("the disk of db.example.com is full")
        return work(self, merchant_id, actor)

    monkeypatch.setattr(Database, "work", broken)
    answer = await api(world.token, PEOPLE)
    assert answer.get("data") is None
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["INTERNAL"]
    assert "example.com" not in str(answer)
    assert "138" not in str(answer)


async def test_operations_of_one_socket_are_counted_apart(address, world):
    pk = await second(world)
    async with subscribed(address, world.token, PEOPLE) as socket:
        assert "Ann Smith" in str(await message(socket))
        assert (await message(socket))["type"] == "complete"
        one = "query One($id: ID!) { customer(id: $id) { name } }"
        from core.schema.scalars import global_id

        ids = [world.ids["Customer"], global_id("Customer", pk)]
        for number, id in enumerate(ids):
            payload = {"query": one, "variables": {"id": id}}
            await socket.send(
                json.dumps({"type": "subscribe", "id": f"x{number}", "payload": payload})
            )
        for _ in range(4):
            await message(socket)
    await asyncio.sleep(0)
    (entry,) = await reads(world)
    assert entry["data"]["operation"] == "People"


@pytest.mark.parametrize(
    ("mask", "value", "shown"),
    [
        (masking.mask_name, "张三", "张**"),
        (masking.mask_name, "欧阳娜娜", "欧**"),
        (masking.mask_name, "Ann", "A***"),
        (masking.mask_name, "😀", "😀***"),
        (masking.mask_phone, "+8613812341234", "138****1234"),
        (masking.mask_phone, "+4915112345678", "****5678"),
        (masking.mask_phone, "12345", "****"),
        (masking.mask_email, "ann@example.com", "a***@example.com"),
        (masking.mask_email, "broken", "****"),
        (masking.mask_address, "杭州市西湖区", "杭州市****"),
    ],
)
def test_masks(mask, value, shown):
    assert mask(value) == shown
