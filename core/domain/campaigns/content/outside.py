"""Whether a link answers, asked without becoming a tool against servers that only we can reach."""

import asyncio
import ssl
from urllib.parse import urlsplit

from core.domain.shops.outbound import address_of

SECONDS = 4.0
LINE_BYTES = 1024
DEFAULT_PORTS = {"http": 80, "https": 443}
ANSWERED = frozenset({401, 403, 405, 429, 501})
"""Refusals that only say that a program does not get the page."""


async def fault_of(url: str, allow_private: bool = False) -> str | None:
    """Why a link seems broken, by one HEAD request that follows nothing; None if it answers.

    Addresses that are not public are not asked, unless `allow_private`.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme]
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        async with asyncio.timeout(SECONDS):
            address = await address_of(host, port, allow_private)
            if address is None:
                return "is not on a public address"
            status = await _head(parts.scheme == "https", host, address, port, path)
    except TimeoutError:
        return f"does not answer within {SECONDS:g} seconds"
    except (OSError, ValueError) as error:
        return f"cannot be reached: {getattr(error, 'strerror', None) or type(error).__name__}"
    return f"answers {status}" if status >= 400 and status not in ANSWERED else None


async def _head(secure: bool, host: str, address: str, port: int, path: str) -> int:
    reader, writer = await asyncio.open_connection(
        address, port, limit=LINE_BYTES,
        ssl=ssl.create_default_context() if secure else None,
        server_hostname=host if secure else None,
    )  # fmt: skip
    try:
        shown = f"[{host}]" if ":" in host else host.encode("idna").decode()
        name = shown if port == DEFAULT_PORTS["https" if secure else "http"] else f"{shown}:{port}"
        writer.write(
            f"HEAD {path} HTTP/1.1\r\nHost: {name}\r\nUser-Agent: huike-link-check\r\n"
            "Accept: */*\r\nConnection: close\r\n\r\n".encode("ascii")
        )
        await writer.drain()
        version, status, *_ = (await reader.readline()).split()
        if not version.startswith(b"HTTP/"):
            raise ValueError("no HTTP")
        return int(status)
    finally:
        writer.close()
