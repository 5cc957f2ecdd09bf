"""Calls to addresses that merchants enter, which never become a tool against inner servers.

Whoever fills in a server's address (a webhook, an SMS gateway, a mail server, a store, an identity
provider) makes us connect to it. So only public addresses are called, and those in networks that
the operator allows (HUIKE_PRIVATE_NETWORKS). It is the address of the very connection that is
looked at: what the name led to a moment before, or leads to after a redirect, does not matter.
"""

import asyncio
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Any

from core.sdk.large import aiohttp, httpx2

Network = IPv4Network | IPv6Network
Found = tuple[int, int, int, str, tuple[Any, ...]]
"""An address as getaddrinfo gives it."""

NAT64 = IPv6Network("64:ff9b::/96")
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


class NotPublic(OSError):
    """The address is not public, and the operator allows no such network."""

    def __init__(self) -> None:
        super().__init__("is not on a public address that may be called (HUIKE_PRIVATE_NETWORKS)")


_allowed: tuple[Network, ...] = ()


@contextmanager
def allowed(networks: Sequence[Network]) -> Iterator[None]:
    """Let this process call addresses in these networks too, instead of those before."""
    global _allowed
    before, _allowed = _allowed, tuple(networks)
    try:
        yield
    finally:
        _allowed = before


def check(address: str) -> None:
    """Whether an IP address may be called. Raises NotPublic."""
    parsed = _inner(ip_address(address.partition("%")[0]))
    inside = (
        not parsed.is_global or parsed.is_multicast or parsed.is_reserved
        or getattr(parsed, "is_site_local", False)
    )  # fmt: skip
    if inside and not any(parsed in network for network in _allowed):
        raise NotPublic


def _inner(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 one stands for, if it does."""
    if isinstance(address, IPv4Address):
        return address
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


async def addresses_of(host: str, port: int) -> Sequence[Found]:
    """The addresses of a host, none of which is inside. Raises NotPublic, OSError."""
    loop = asyncio.get_running_loop()
    return _checked(await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))


def _checked(found: Sequence[Found]) -> Sequence[Found]:
    for *_, where in found:
        check(str(where[0]))
    return found


# -- sockets ------------------------------------------------------------------------------------


async def open_socket(host: str, port: int) -> socket.socket:
    """A connected socket. Raises NotPublic, OSError."""
    loop, failed = asyncio.get_running_loop(), OSError(f"{host} has no address")
    for family, kind, protocol, _, where in await addresses_of(host, port):
        opened = socket.socket(family, kind, protocol)
        opened.setblocking(False)
        try:
            await loop.sock_connect(opened, where)
        except OSError as error:
            opened.close()
            failed = error
        except BaseException:
            opened.close()
            raise
        else:
            return opened
    raise failed


def open_socket_blocking(host: str, port: int, seconds: float) -> socket.socket:
    """A connected socket, for libraries that block. Raises NotPublic, OSError."""
    failed = OSError(f"{host} has no address")
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for *_, where in _checked(found):
        try:
            return socket.create_connection(where[:2], seconds)
        except OSError as error:
            failed = error
    raise failed


# -- HTTP ---------------------------------------------------------------------------------------


def http_session(
    timeout: "aiohttp.ClientTimeout", limit: int = 100, keep_seconds: float = 15.0
) -> "aiohttp.ClientSession":
    """An aiohttp session; a call fails with ClientConnectorError, whose `os_error` is NotPublic."""
    connector = aiohttp.TCPConnector(
        limit=limit, keepalive_timeout=keep_seconds, socket_factory=_guarded_socket
    )
    return aiohttp.ClientSession(connector=connector, timeout=timeout)


def _guarded_socket(found: Found) -> socket.socket:
    family, kind, protocol, _, where = found
    check(str(where[0]))
    return socket.socket(family, kind, protocol)


def inside(error: Exception) -> NotPublic | None:
    """Why a call failed, if it is its address: no later try would end otherwise."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else None
    return cause if isinstance(cause, NotPublic) else None


async def body_of(answer: "aiohttp.ClientResponse", most: int) -> bytes:
    """The whole body, unpacked. Raises aiohttp.ClientPayloadError beyond `most` bytes."""
    body = bytearray()
    async for piece in answer.content.iter_any():
        body += piece
        if len(body) > most:
            raise aiohttp.ClientPayloadError(f"the answer is longer than {most} bytes")
    return bytes(body)


def http_client(timeout: float, base_url: str = "") -> "httpx2.AsyncClient":
    """An httpx2 client; a call raises NotPublic. It follows nothing and takes no proxy."""
    from core.sdk.transport import Transport  # loads httpx2

    return httpx2.AsyncClient(
        transport=Transport(addresses_of), base_url=base_url, timeout=timeout,
        follow_redirects=False, trust_env=False,
    )  # fmt: skip
