"""What plugins do for a merchant beside channels: answering at addresses, and by the clock."""

from dataclasses import replace
from datetime import timedelta

import httpx2
import pytest
import pytest_asyncio

from core.app import create_app
from core.domain.shops import ticks
from core.domain.shops.plugins import disable_plugin, enable_plugin
from core.domain.shops.web_routes import route_url
from core.registry import Owned
from core.sdk import (
    InvalidInput,
    Manifest,
    Refused,
    RetryLater,
    Text,
    Tick,
    WebResponse,
    WebRoute,
)

HEARD = "bell.ring"
BASE = "https://crm.example"


class Bell:
    """A plugin that keeps what it was called with."""

    def __init__(self):
        self.requests, self.runs, self.failure = [], [], None

    async def take(self, context, request):
        if self.failure:
            raise self.failure
        self.requests.append((context.merchant_id, request))
        return WebResponse(f"heard {len(request.body)}")

    async def look(self, context):
        self.runs.append(context.merchant_id)
        if self.failure:
            raise self.failure


@pytest.fixture
def bell():
    return Bell()


@pytest_asyncio.fixture(loop_scope="session")
async def opened(merchant, bell):
    """The installation with the plugin, switched on for the merchant."""
    installation = merchant.installation
    registry = replace(
        installation.registry,
        manifests={**installation.registry.manifests,
                   "bell": Manifest("bell", "Bell", "1.0", ">=0.1", timeout=5)},
        web_routes={HEARD: Owned("bell", WebRoute(HEARD, Text("Bell", "铃"), bell.take,
                                                  max_bytes=10))},
        ticks={"bell.look": Owned("bell", Tick("bell.look", timedelta(hours=1), bell.look))},
    )  # fmt: skip
    installation = replace(
        installation, registry=registry, settings=replace(installation.settings, public_url=BASE)
    )
    await enable_plugin(installation.db, merchant.id, registry, "bell", {})
    return installation


@pytest.fixture
def client(opened):
    transport = httpx2.ASGITransport(create_app(opened))
    return httpx2.AsyncClient(transport=transport, base_url=BASE)


def address(opened, merchant_id, route=HEARD):
    return route_url(opened.db.keyring, BASE, merchant_id, route)


async def test_a_route_gets_the_merchant_and_the_request_as_it_was_sent(
    opened, client, merchant, bell
):
    url = address(opened, merchant.id)
    answer = await client.post(url + "?b=2&a=1&a=%20", content=b"\xff\x00", headers={"X-Sign": "s"})
    assert (answer.status_code, answer.text) == (200, "heard 2")
    ((merchant_id, request),) = bell.requests
    assert merchant_id == merchant.id
    assert request.body == b"\xff\x00"
    assert request.query == [("b", "2"), ("a", "1"), ("a", " ")]
    assert request.url == url + "?b=2&a=1&a=%20"
    assert request.headers["x-sign"] == "s"


@pytest.mark.parametrize("spoil", [
    lambda url: url[:-1] + ("A" if url[-1] != "A" else "B"),
    lambda url: url.replace("bell.ring", "bell.other"),
    lambda url: url.rsplit("/", 1)[0] + "/1",
    lambda url: url.rsplit("/", 1)[0] + "/９.x",
])  # fmt: skip
async def test_a_made_up_address_leads_nowhere(opened, client, merchant, bell, spoil):
    answer = await client.post(spoil(address(opened, merchant.id)), content=b"x")
    assert answer.status_code == 404
    assert bell.requests == []


@pytest.mark.parametrize(("failure", "status"), [
    (Refused("the signature is wrong"), 403),
    (RetryLater("no room"), 503),
    (InvalidInput("no such field"), 400),
    (ValueError("a fault of the plugin"), 503),
])  # fmt: skip
async def test_what_the_plugin_raises_becomes_a_status(
    opened, client, merchant, bell, failure, status
):
    bell.failure = failure
    answer = await client.post(address(opened, merchant.id), content=b"x")
    assert answer.status_code == status
    assert "a fault of" not in answer.text


async def test_other_methods_large_bodies_and_a_plugin_that_is_off(opened, client, merchant, bell):
    url = address(opened, merchant.id)
    assert (await client.get(url)).status_code == 405
    assert (await client.post(url, content=b"x" * 11)).status_code == 413
    async with opened.db.work(merchant.id) as w:
        await disable_plugin(w, opened.registry, "bell")
    assert (await client.post(url, content=b"x")).status_code == 404
    assert bell.requests == []


async def test_a_tick_runs_when_it_is_due_and_says_why_it_failed(opened, merchant, bell):
    db, registry = opened.db, opened.registry
    assert merchant.id in await ticks.merchants_due(db, registry)
    await ticks.run_due(db, registry, merchant.id)
    await ticks.run_due(db, registry, merchant.id)
    assert bell.runs == [merchant.id]

    merchant.clock.move(timedelta(hours=1))
    bell.failure = RetryLater("the provider rests")
    await ticks.run_due(db, registry, merchant.id)
    assert await problem(merchant) == "the provider rests"
    assert merchant.id not in await ticks.merchants_due(db, registry)

    merchant.clock.move(timedelta(minutes=5))
    bell.failure = None
    await ticks.run_due(db, registry, merchant.id)
    assert len(bell.runs) == 3
    assert await problem(merchant) is None


async def problem(merchant):
    async with merchant.read() as session:
        return await session.sql.fetchval(
            "SELECT problem FROM plugin_ticks WHERE merchant_id = $1", merchant.id
        )
