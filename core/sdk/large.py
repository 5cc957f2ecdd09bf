"""Large libraries that are loaded when something of them is first used, as many processes never do.

    from core.sdk.large import aiohttp

In annotations their names stand in quotes, which load nothing. Who uses one in a coroutine awaits
`loaded(aiohttp)` before: loading it takes some hundred milliseconds, and would hold everybody.
"""

import asyncio
import importlib
import sys
from typing import TYPE_CHECKING, Any


class _Large:
    """Stands for a module."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self._name), name)


async def loaded(library: Any) -> None:
    """Load one of these in a thread, unless it is there."""
    if isinstance(library, _Large) and library._name not in sys.modules:
        await asyncio.to_thread(importlib.import_module, library._name)


if TYPE_CHECKING:
    import aiohttp
    import aiosmtplib
    import css_inline
    import httpx2
    import liquid
    import mrml
    import yarl
    from joserfc import errors as jose_errors
    from joserfc import jwk, jwt
    from selectolax import lexbor
else:
    aiohttp = _Large("aiohttp")
    aiosmtplib = _Large("aiosmtplib")
    css_inline = _Large("css_inline")
    httpx2 = _Large("httpx2")
    liquid = _Large("liquid")
    jose_errors = _Large("joserfc.errors")
    jwk = _Large("joserfc.jwk")
    jwt = _Large("joserfc.jwt")
    lexbor = _Large("selectolax.lexbor")
    mrml = _Large("mrml")
    yarl = _Large("yarl")

__all__ = [
    "aiohttp", "aiosmtplib", "css_inline", "httpx2", "jose_errors", "jwk", "jwt", "lexbor",
    "liquid", "loaded", "mrml", "yarl",
]  # fmt: skip
