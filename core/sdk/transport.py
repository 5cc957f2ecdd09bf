"""How the httpx2 clients of outbound.py connect: by addresses that were looked at."""

import ssl
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from typing import Any

import httpx2

Find = Callable[[str, int], Awaitable[Sequence[tuple[Any, ...]]]]
"""Gives the addresses of a host and port, as getaddrinfo does, or refuses them."""


@cache
def _trusted() -> ssl.SSLContext:
    """Whom we believe; loading the certificates takes longer than most calls."""
    return httpx2.create_ssl_context(trust_env=False)


class Transport(httpx2.AsyncHTTPTransport):
    """Connects to the addresses of a name itself, in their order; raises what `find` raises.

    It keeps no connection: that was verified for one name, and another may lead to its address.
    """

    def __init__(self, find: Find) -> None:
        limits = httpx2.Limits(max_keepalive_connections=0)
        super().__init__(verify=_trusted(), trust_env=False, limits=limits)
        self._find = find

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url, host = request.url, request.url.raw_host.decode()
        port = url.port or {"http": 80, "https": 443}[url.scheme]
        failed: httpx2.TransportError = httpx2.ConnectError(f"{host} has no address")
        for *_, where in await self._find(host, port):
            aimed = httpx2.Request(
                request.method, url.copy_with(host=str(where[0])), headers=request.headers,
                stream=request.stream, extensions={**request.extensions, "sni_hostname": host},
            )  # fmt: skip
            try:
                return await super().handle_async_request(aimed)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                failed = error
        raise failed
