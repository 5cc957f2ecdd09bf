"""Double opt-in, from the request over a real SMTP server and the page to a campaign."""

import asyncio
import re
from datetime import timedelta
from email import message_from_bytes
from html import unescape
from urllib.parse import urlsplit

import orjson
import pytest

from core.domain.campaigns.audit import audit_run
from core.domain.campaigns.control import start_campaign
from core.domain.campaigns.sending import send_run
from core.domain.customers.consent import set_consent, unsubscribe
from core.domain.customers.customers import update_customer
from core.domain.customers.suppressions import suppression_add
from core.installation import job_kinds
from core.schema.scalars import split_id
from core.storage import jobs
from core.testing.smtp import smtp_sink
from tests.sending_kit import enable_email, make_campaign

START = """mutation ($id: ID!, $input: ConsentRequestStartInput!) {
    consentRequestStart(id: $id, input: $input) {
        request { id state text expiresAt } job { id } errors { code path message } } }"""
TEXT = "我同意收到“小店”的邮件 <优惠>"


@pytest.fixture
async def sink(world):
    async with smtp_sink() as opened:
        await enable_email(world.merchant, opened.port)
        yield opened


def pk(world, name="Customer"):
    return split_id(world.ids[name])[1]


async def ask(api, world, key="k", **more):
    given = {"channel": "email", "source": "form", "text": TEXT, "textVersion": "2",
             "idempotencyKey": key, **more}  # fmt: skip
    answer = await api.data(world.token, START, id=world.ids["Customer"], input=given)
    return answer["consentRequestStart"]


async def work_off(world, job_id):
    """What the worker does; returns the job's row."""
    opened, merchant_id = world.merchant.installation, world.merchant.id
    number = split_id(job_id)[1]
    job = await jobs.claim(opened.db, merchant_id, number)
    if job is not None:
        await jobs.perform(opened.db, job, job_kinds(opened.registry))
    async with world.merchant.read() as session:
        row = await jobs.get(session, number)
    return row | {"result": orjson.loads(row["result"]) if row["result"] else None}


async def asked(api, world, sink, key="k", **more):
    """A request whose message arrived; returns its link's path."""
    started = await ask(api, world, key, **more)
    assert started["errors"] == []
    done = await work_off(world, started["job"]["id"])
    assert done["result"] == {"state": "sent", "reason": None}
    return link_in(sink)


def link_in(sink):
    parts = message_from_bytes(sink.messages[-1]).get_payload()
    html = parts[1].get_payload(decode=True).decode()
    (found,) = re.findall(r'href="([^"]+/consent/confirm[^"]+)"', html)
    parts = urlsplit(unescape(found))
    return f"{parts.path}?{parts.query}"


async def words(world):
    async with world.merchant.read() as session:
        return [
            dict(row)
            for row in await session.sql.fetch(
                "SELECT * FROM consent_events WHERE merchant_id = $1 ORDER BY id",
                world.merchant.id,
            )
        ]


async def test_the_whole_way(api, world, sink):
    path = await asked(api, world, sink)
    (_, recipient), data = sink.accepted[0], sink.messages[0]
    assert recipient == "ann@example.com"
    message = message_from_bytes(data)
    assert "list-unsubscribe" not in message
    html = message.get_payload()[1].get_payload(decode=True).decode()
    assert "我同意收到“小店”的邮件 &lt;优惠&gt;" in html

    for method in (api.client.get, api.client.head):  # what scanners do
        assert (await method(path)).status_code == 200
    assert await words(world) == []
    shown = (await api.client.get(path)).text
    assert "&lt;优惠&gt;" in shown
    assert "<form method=" in shown

    for _ in range(2):
        answer = await api.client.post(path, headers={"user-agent": "Browser/1"})
        assert (answer.status_code, "已确认" in answer.text) == (200, True)
    (word,) = await words(world)
    assert (word["status"], word["source"], word["text"], word["text_version"]) == (
        "granted", "double_opt_in", TEXT, "2",
    )  # fmt: skip
    evidence = orjson.loads(word["evidence"])
    assert (evidence["ip"], evidence["user_agent"]) == ("127.0.0.1", "Browser/1")
    assert evidence["requested_by"] == "form"
    assert word["actor"] == "customer"

    campaign_id = await make_campaign(world.merchant, name="after")
    opened = world.merchant.installation
    async with world.merchant.work() as w:
        run_id = await start_campaign(w, opened.registry, campaign_id)
    await send_run(opened.db, opened.registry, world.merchant.id, run_id, "http://x")
    async with world.merchant.read() as session:
        assert (await audit_run(session, run_id)).sent == 1

    # a refusal afterwards is not undone by the old link
    async with world.merchant.work() as w:
        await unsubscribe(w, pk(world), "email", "link")
    assert (await api.client.post(path)).status_code == 200
    assert [word["status"] for word in await words(world)] == ["granted", "denied"]


async def test_the_secret_is_stored_nowhere(api, world, sink):
    path = await asked(api, world, sink)
    secret = path.rpartition(".")[2]
    async with world.merchant.read() as session:
        for table in ("consent_requests", "jobs", "outbox_events", "idempotency_keys"):
            rows = await session.sql.fetch(
                f"SELECT t::text FROM {table} t WHERE merchant_id = $1", world.merchant.id
            )
            assert rows or table == "outbox_events"
            assert not any(secret in row[0] or "ann@" in row[0] for row in rows)


async def test_confirming_lifts_what_unsubscribing_suppressed(api, world, sink):
    async with world.merchant.work() as w:
        await unsubscribe(w, pk(world), "email", "link")
    world.merchant.clock.move(timedelta(seconds=1))
    path = await asked(api, world, sink)
    await api.client.post(path)
    async with world.merchant.read() as session:
        assert not await session.sql.fetchval(
            "SELECT count(*) FROM suppressions WHERE merchant_id = $1 AND channel = 'email'",
            world.merchant.id,
        )


async def test_many_clicks_at_once_confirm_once(api, world, sink):
    path = await asked(api, world, sink)
    answers = await asyncio.gather(*(api.client.post(path) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(await words(world)) == 1


async def test_a_new_request_replaces_the_one_before(api, world, sink):
    first = await asked(api, world, sink)
    other_shop = await asked(api, world, sink, "k2", shopId=world.ids["Shop"])
    second = await asked(api, world, sink, "k3")
    for method in (api.client.get, api.client.post):
        assert (await method(first)).status_code == 410
    assert await words(world) == []
    assert (await api.client.post(second)).status_code == 200
    assert (await api.client.post(other_shop)).status_code == 200
    assert [word["shop_id"] for word in await words(world)] == [0, world.merchant.shop_id]


async def test_a_link_ends_after_seven_days(api, world, sink):
    path = await asked(api, world, sink)
    world.merchant.clock.move(timedelta(days=6, hours=23))
    assert (await api.client.get(path)).status_code == 200
    world.merchant.clock.move(timedelta(hours=1))
    for method in (api.client.get, api.client.post):
        assert (await method(path)).status_code == 410
    assert await words(world) == []
    world.merchant.clock.move(timedelta(days=-7))


async def test_a_link_counts_for_the_address_it_was_sent_to(api, world, sink):
    path = await asked(api, world, sink)
    async with world.merchant.work() as w:
        await update_customer(w, pk(world), {"email": "new@example.com"})
    for method in (api.client.get, api.client.post):
        assert (await method(path)).status_code == 410
    assert await words(world) == []


@pytest.mark.parametrize("token", ["", "x", "1.", ".x", "1.x", "999999999999999999999.x", "1.é"])
async def test_links_that_are_none(api, world, token):
    for method in (api.client.get, api.client.post):
        answer = await method(f"/consent/confirm?t={token}")
        assert answer.status_code == 404
        assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_another_merchants_number_does_not_open_a_link(api, world, stranger, sink):
    path = await asked(api, world, sink)
    secret = path.rpartition(".")[2]
    answer = await api.client.post(f"/consent/confirm?t={stranger.merchant.id}.{secret}")
    assert answer.status_code == 404
    assert await words(world) == []


async def test_the_same_key_asks_once(api, world, sink):
    first = await ask(api, world)
    assert await ask(api, world) == first
    await work_off(world, first["job"]["id"])
    await work_off(world, first["job"]["id"])
    assert len(sink.accepted) == 1
    other = await ask(api, world, text="something else")
    assert [error["code"] for error in other["errors"]] == ["IDEMPOTENCY_KEY_REUSED"]


@pytest.mark.parametrize(
    ("change", "code", "path"),
    [
        ({"channel": "pigeon"}, "INVALID_INPUT", ["input", "channel"]),
        ({"text": " "}, "INVALID_INPUT", ["input", "text"]),
        ({"purpose": "personalisation"}, "INVALID_INPUT", ["input", "channel"]),
        ({"shopId": "nothing"}, "NOT_FOUND", ["input", "shopId"]),
    ],
)
async def test_what_cannot_be_asked(api, world, sink, change, code, path):
    (error,) = (await ask(api, world, **change))["errors"]
    assert (error["code"], error["path"]) == (code, path)


async def test_who_has_no_address_cannot_be_asked(api, world, sink):
    async with world.merchant.work() as w:
        await update_customer(w, pk(world), {"email": None})
    (error,) = (await ask(api, world))["errors"]
    assert (error["code"], error["path"]) == ("WRONG_STATE", ["id"])


async def set_address(world, email):
    async with world.merchant.work() as w:
        await update_customer(w, pk(world), {"email": email})


@pytest.mark.parametrize("address", ["lost@example.com", "drop@example.com"])
async def test_what_nobody_knows_stays_unknown_and_is_not_sent_again(api, world, sink, address):
    await set_address(world, address)
    started = await ask(api, world)
    done = await work_off(world, started["job"]["id"])
    assert (done["state"], done["result"]["state"]) == ("succeeded", "unknown")
    tried = len(sink.accepted)
    await work_off(world, started["job"]["id"])
    assert len(sink.accepted) == tried


async def test_a_worker_that_dies_while_it_sends_leaves_it_unknown(api, world, sink):
    started = await ask(api, world)
    opened = world.merchant.installation
    number = split_id(started["job"]["id"])[1]
    job = await jobs.claim(opened.db, world.merchant.id, number)
    async with job.step(opened.db):
        job.checkpoint = {"handed_over": True}
    world.merchant.clock.move(timedelta(minutes=5))
    done = await work_off(world, started["job"]["id"])
    assert done["result"]["state"] == "unknown"
    assert sink.accepted == []
    world.merchant.clock.move(timedelta(minutes=-5))


async def test_a_refused_address_is_told_without_it(api, world, sink):
    await set_address(world, "fail550@example.com")
    done = await work_off(world, (await ask(api, world))["job"]["id"])
    assert (done["state"], done["result"]["state"]) == ("succeeded", "refused")
    assert "example.com" not in str(done)


async def test_certainly_not_sent_is_tried_again(api, world, sink, caplog):
    await set_address(world, "retry450@example.com")
    started = await ask(api, world)
    done = await work_off(world, started["job"]["id"])
    assert (done["state"], done["checkpoint"]) == ("queued", "{}")
    assert "retry450" not in caplog.text
    await set_address(world, "ann@example.com")
    world.merchant.clock.move(timedelta(minutes=5))
    # the customer has another address by now: the request was for the old one
    done = await work_off(world, started["job"]["id"])
    assert done["result"] == {"state": "skipped", "reason": "address_changed"}
    world.merchant.clock.move(timedelta(minutes=-5))


async def test_a_server_away_is_tried_again_until_it_is_there(api, world):
    async with smtp_sink() as sink:
        await enable_email(world.merchant, sink.port)
    started = await ask(api, world)
    assert (await work_off(world, started["job"]["id"]))["state"] == "queued"
    async with smtp_sink() as sink:
        await enable_email(world.merchant, sink.port)
        world.merchant.clock.move(timedelta(minutes=5))
        done = await work_off(world, started["job"]["id"])
        assert done["result"]["state"] == "sent"
        assert (await api.client.post(link_in(sink))).status_code == 200
    world.merchant.clock.move(timedelta(minutes=-5))


async def test_an_account_that_must_be_seen_to_fails_the_job(api, world, sink):
    await enable_email(world.merchant, sink.port, from_address="refused@example.com")
    done = await work_off(world, (await ask(api, world))["job"]["id"])
    assert (done["state"], orjson.loads(done["error"])["code"]) == ("failed", "WRONG_STATE")


@pytest.mark.parametrize(
    ("what", "reason"),
    [("service", "opted_out"), ("suppressed", "suppressed"), ("replaced", "replaced")],
)
async def test_who_must_not_be_written_to_is_not_asked(api, world, sink, what, reason):
    started = await ask(api, world)
    async with world.merchant.work() as w:
        if what == "service":
            await set_consent(w, pk(world), "email", "service", "denied", "form")
        elif what == "suppressed":
            await suppression_add(w, "email", "ann@example.com", "complaint")
    if what == "replaced":
        await ask(api, world, "k2")
    done = await work_off(world, started["job"]["id"])
    assert done["result"] == {"state": "skipped", "reason": reason}
    assert sink.accepted == []


async def test_an_erased_customer_is_neither_asked_nor_found(api, world, sink):
    path = await asked(api, world, sink)
    started = await ask(api, world, "k2")
    async with world.merchant.work() as w:
        for table, column in (("consent_requests", "customer_id"), ("customers", "id")):
            await w.sql.execute(
                f"DELETE FROM {table} WHERE merchant_id = $1 AND {column} = $2",
                world.merchant.id, pk(world),
            )  # fmt: skip
    done = await work_off(world, started["job"]["id"])
    assert done["result"] == {"state": "skipped", "reason": "erased"}
    assert (await api.client.post(path)).status_code == 404
