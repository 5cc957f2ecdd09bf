"""Every call into a plugin goes through here: a time limit, and a breaker per merchant."""

import asyncio
import logging
import time
from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from core.sdk.errors import HuikeError, OutsideError, Several

logger = logging.getLogger(__name__)

FAILURES_TO_OPEN = 5
OPEN_SECONDS = 30.0

T = TypeVar("T")


class PluginFailed(HuikeError):
    """A plugin raised, hung, or is being left alone after it did so too often."""

    code: ClassVar[str] = "PLUGIN_FAILED"
    cause: ClassVar[str] = "A plugin raised an unexpected error or did not answer in time."
    cure: ClassVar[str] = "Try again later; the operator finds the error in the log."
    retryable: ClassVar[bool] = True


@dataclass
class _Breaker:
    failures: int = 0
    open_until: float = 0.0


_breakers: dict[tuple[str, int], _Breaker] = {}


async def guarded(
    plugin: str,
    merchant_id: int,
    seconds: float,
    call: Awaitable[T],
    expected: tuple[type[Exception], ...] = (),
) -> T:
    """Await a plugin's call.

    Expected errors (HuikeError, OutsideError, and those given) pass through; anything else becomes
    PluginFailed.
    After FAILURES_TO_OPEN of those in a row the plugin is not called for OPEN_SECONDS.
    """
    breaker = _breakers.setdefault((plugin, merchant_id), _Breaker())
    if breaker.open_until > time.monotonic():
        if asyncio.iscoroutine(call):
            call.close()
        raise PluginFailed(f"plugin {plugin} failed too often and rests for a while")
    passing: tuple[type[Exception], ...] = (HuikeError, Several, OutsideError, *expected)
    try:
        async with asyncio.timeout(seconds):
            result = await call
    except passing:
        breaker.failures = 0
        raise
    except Exception as error:
        breaker.failures += 1
        if breaker.failures >= FAILURES_TO_OPEN:
            breaker.open_until = time.monotonic() + OPEN_SECONDS
            breaker.failures = 0
        logger.exception("plugin %s failed for merchant %s", plugin, merchant_id)
        hung = isinstance(error, TimeoutError)
        what = f"did not answer within {seconds:g} seconds" if hung else "failed"
        raise PluginFailed(f"plugin {plugin} {what}") from error
    breaker.failures = 0
    return result


async def closed(plugin: str, session: AbstractAsyncContextManager[Any], seconds: float) -> None:
    """Close what a plugin has opened, whatever comes of that.

    Not guarded: what was done stands and has to be told, and a breaker that is open must not keep
    connections from being closed.
    """
    try:
        async with asyncio.timeout(seconds):
            await session.__aexit__(None, None, None)
    except Exception:
        logger.exception("plugin %s failed to close its connections", plugin)
