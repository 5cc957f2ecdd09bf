"""Addresses that merchants enter lead to nobody inside, whichever way they are called."""

import asyncio

import aiohttp
import pytest
from aiohttp import web

from core.domain.shops.outbound import post
from core.domain.shops.staff.oidc_client import OidcFailed, authorization_endpoint
from core.domain.shops.staff.oidc_provider import Provider
from core.sdk import ReconnectNeeded, RetryLater, outbound
from core.sdk.gateways import ask, http_session
from plugins.email.apis.calling import Caller as Service
from plugins.email.bounces.mailbox import fetch
from plugins.email.client import connect
from plugins.email.settings import Mailbox, Smtp
from plugins.sms.http import Caller, connections
from plugins.woocommerce.client import Access, Client
from tests.stand_ins.serving import served

INSIDE = [
    "127.0.0.1", "10.0.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
    "224.0.0.1", "240.0.0.1", "::1", "::", "::127.0.0.1", "::ffff:127.0.0.1", "64:ff9b::10.0.0.1",
    "2002:a00:1::", "fe80::1%eth0", "fec0::1", "fc00::1", "ff02::1",
]  # fmt: skip


@pytest.fixture
async def site():
    """A server on loopback: how it is called, and what it heard (the Host of each request)."""
    heard = []

    async def answer(request):
        heard.append(request.host)
        return web.Response(body=b"x" * int(request.query.get("bytes", "2")))

    async with served(answer) as url:
        yield url, heard


@pytest.fixture
def named(monkeypatch):
    """Makes every name lead to some addresses, in their order."""

    def lead(*addresses):
        async def getaddrinfo(host, port, **more):
            families = {":": 10, ".": 2}
            return [
                (families[":" if ":" in one else "."], 1, 6, "", (one, port)) for one in addresses
            ]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)

    return lead


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_is_refused(address):
    with outbound.allowed(()), pytest.raises(outbound.NotPublic):
        outbound.check(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]
)
def test_a_public_address_is_called(address):
    with outbound.allowed(()):
        outbound.check(address)


def test_the_operator_allows_networks_and_no_others():
    with outbound.allowed([outbound.ip_network("10.1.0.0/16")]):
        outbound.check("10.1.2.3")
        outbound.check("::ffff:10.1.2.3")
        for address in ("10.2.0.1", "127.0.0.1"):
            with pytest.raises(outbound.NotPublic):
                outbound.check(address)
    outbound.check("127.0.0.1")


def port_of(url):
    return int(url.rpartition(":")[2])


async def sms(port):
    async with connections() as http:
        await Caller("gateway", http).ask("POST", f"http://127.0.0.1:{port}/")


async def store(port):
    access = Access.of(f"http://key:secret@127.0.0.1:{port}")
    async with Client.opened(access) as client:
        await client.about()


async def mail_service(port):
    service = Service("postmark", f"http://127.0.0.1:{port}", 1)
    try:
        await service.call("GET", "/", {})
    finally:
        await service.close()


async def mail_server(port):
    await connect(Smtp(host="127.0.0.1", port=port, tls="none"))


async def mailbox(port):
    given = Mailbox(host="localhost", port=port, username="a", password="b", tls="none")
    await asyncio.to_thread(fetch, given, None)


@pytest.mark.parametrize("call", [sms, store, mail_service, mail_server, mailbox])
async def test_plugins_call_nobody_inside(site, call):
    url, heard = site
    with outbound.allowed(()), pytest.raises(ReconnectNeeded, match="HUIKE_PRIVATE_NETWORKS"):
        await call(port_of(url))
    assert heard == []


async def test_an_identity_provider_inside_is_not_asked(site):
    url, heard = site
    with outbound.allowed(()), pytest.raises(OidcFailed, match="HUIKE_PRIVATE_NETWORKS"):
        await authorization_endpoint(Provider(url, "huike", [url]))
    assert heard == []


async def test_a_name_that_leads_inside_is_not_followed(site, named):
    url, heard = site
    address = f"http://rebind.example:{port_of(url)}/"
    named("127.0.0.1")
    async with outbound.http_client(5) as client, http_session() as http:
        with outbound.allowed(()):
            assert "HUIKE_PRIVATE_NETWORKS" in (await post(client, address, b"{}", {})).detail
            with pytest.raises(ReconnectNeeded):
                await ask(http, "GET", address, "a")
        assert heard == []
        assert (await post(client, address, b"{}", {})).taken
        assert (await ask(http, "GET", address, "a")).status == 200
    assert heard == [f"rebind.example:{port_of(url)}"] * 2


async def test_one_address_inside_among_others_is_not_called(site, named):
    """However the connection is made: at once or after the public address is silent."""
    url, heard = site
    named("8.8.8.8", "127.0.0.1")
    with outbound.allowed(()), pytest.raises(outbound.NotPublic):
        await outbound.open_socket("mixed.example", port_of(url))
    assert heard == []


async def test_the_next_address_is_tried(site, named):
    url, heard = site
    named("::1", "127.0.0.1")  # the server is on the second
    address = f"http://two.example:{port_of(url)}/"
    async with outbound.http_client(5) as client:
        assert (await post(client, address, b"{}", {})).taken
    (await outbound.open_socket("two.example", port_of(url))).close()
    assert len(heard) == 1


async def test_a_body_without_end_is_not_taken(site, monkeypatch):
    url, _ = site
    async with http_session() as http:
        async with http.get(f"{url}/?bytes=100000") as answer:
            assert len(await outbound.body_of(answer, 100_000)) == 100_000
        async with http.get(f"{url}/?bytes=100001") as answer:
            with pytest.raises(aiohttp.ClientPayloadError):
                await outbound.body_of(answer, 100_000)
        monkeypatch.setattr("core.sdk.gateways.MAX_BYTES", 10)
        with pytest.raises(RetryLater, match="longer"):
            await ask(http, "GET", f"{url}/?bytes=11", "a")
