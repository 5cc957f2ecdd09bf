"""Webhooks over the API: documents that are checked when saved, and run with given rights."""

import asyncio
from contextlib import asynccontextmanager

import orjson
import pytest
import pytest_asyncio

from core.domain.shops.webhooks.delivering import deliver_due
from core.schema.documents import Documents
from core.schema.scalars import read_id
from core.schema.webhook_bodies import renderer
from core.sdk.events import ConsentWithdrawn
from core.storage import outbox
from tests.schema.operations import text
from worker.duties import handlers

DOCUMENT = "query ($customerId: ID!) { customer(id: $customerId) { name phone { value } } }"
RIGHTS = ["CUSTOMERS_READ", "PII_NAME"]


@asynccontextmanager
async def receiving():
    heard = []

    async def serve(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].split()[0])
        heard.append(orjson.loads(await reader.readexactly(length)))
        writer.write(b"HTTP/1.1 204 X\r\n\r\n")
        writer.close()

    running = await asyncio.start_server(serve, "127.0.0.1")
    try:
        yield f"http://127.0.0.1:{running.sockets[0].getsockname()[1]}/", heard
    finally:
        running.close()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def render(installation):
    return renderer(Documents(installation))


async def create(api, token, url="https://example.com/", **given):
    values = {"name": "consents", "url": url, "topics": ["consent.withdrawn"], **given}
    data = await api.data(token, text("webhook-create"), input=values)
    return data["webhookCreate"]


async def test_the_body_is_made_with_the_rights_of_the_webhook(api, world, render):
    merchant, installation = world.merchant, world.merchant.installation
    async with receiving() as (url, heard):
        made = await create(api, world.token, url, document=DOCUMENT, permissions=RIGHTS)
        assert made["errors"] == []
        assert made["secret"].startswith("whsec_")
        pk = read_id("Webhook", made["webhook"]["id"])
        customer = read_id("Customer", world.ids["Customer"])
        async with merchant.work() as w:
            w.emit(ConsentWithdrawn(customer, 0, "email", "marketing", "page"))
        await outbox.drain(installation.db, merchant.id, handlers(installation))
        await deliver_due(installation.db, merchant.id, pk, render)
        assert [body["data"] for body in heard] == [
            {"customer": {"name": "张三", "phone": {"value": "138****1234"}}}
        ]
        async with merchant.work() as w:  # as if a right had been taken out of the product
            await w.sql.execute(
                """UPDATE webhooks SET permissions = '["PII_NAME"]'
                   WHERE merchant_id = $1 AND id = $2""",
                merchant.id, pk,
            )  # fmt: skip
        again = await api.data(world.token, text("webhook-test"), id=made["webhook"]["id"])
        await deliver_due(installation.db, merchant.id, pk, render)
        assert len(heard) == 1
    log = await api.data(world.token, text("webhook"), id=made["webhook"]["id"])
    failed, done = log["webhook"]["messages"]["nodes"]
    assert failed["id"] == again["webhookTest"]["message"]["id"]
    assert (failed["state"], failed["test"], done["state"]) == ("FAILED", True, "DONE")
    assert "CUSTOMERS_READ" in failed["attempts"][0]["detail"]
    assert done["event"]["customerId"] == world.ids["Customer"]
    assert done["attempts"][0]["status"] == 204


@pytest.mark.parametrize(
    ("document", "path", "says"),
    [
        ("{ customer(id: 1) { colour } }", "document", "colour"),
        ("{ customers {", "document", "Syntax"),
        ("mutation { webhookDelete(id: 1) { id } }", "document", "one query"),
        ("query A { viewer { permissions } } query B { __typename }", "document", "one"),
        ("query ($orderId: ID!) { order(id: $orderId) { id } }", "document", "$orderId"),
        ("query ($colour: ID) { order(id: $colour) { id } }", "document", "$colour"),
        ("query ($channel: ID!) { order(id: $channel) { id } }", "permissions", "ORDERS_READ"),
        ("{ a:customers { nodes { tags } } }", "document", "tag"),
        ("#" + "x" * 20_000, "document", "bytes"),
        ("{" + "".join(f"a{n}: viewer {{ permissions }} " for n in range(101)) + "}", "document",
         "at the top"),
    ],
)  # fmt: skip
async def test_a_document_that_cannot_work_is_not_saved(api, kept, document, path, says):
    made = await create(api, kept.token, document=document, permissions=["CUSTOMERS_READ"])
    assert made["webhook"] is None
    assert [error["path"] for error in made["errors"]] == [["input", path]]
    assert says in made["errors"][0]["message"]


async def test_nobody_gives_a_webhook_what_they_do_not_have(api, world):
    token = await world.limited("WEBHOOKS_WRITE", "ORDERS_READ")
    given = {"name": "x", "url": "https://example.com/", "topics": ["order.created"],
             "document": DOCUMENT, "permissions": ["CUSTOMERS_READ"]}  # fmt: skip
    answer = await api(token, text("webhook-create"), input=given)
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    made = await create(api, world.token, document=DOCUMENT, permissions=RIGHTS)
    values = {"id": made["webhook"]["id"], "input": {"url": "https://evil.example/"}}
    answer = await api(token, text("webhook-update"), **values)
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    answer = await api.data(world.token, text("webhook-update"), **values)
    assert answer["webhookUpdate"]["webhook"]["url"] == "https://evil.example/"
    assert answer["webhookUpdate"]["webhook"]["document"] == DOCUMENT
    values["input"] = {"topics": ["campaign.started"]}  # which the document has no variables for
    answer = await api.data(world.token, text("webhook-update"), **values)
    assert answer["webhookUpdate"]["errors"][0]["path"] == ["input", "document"]
