"""Answers that last: how many a token may have, how slow a reader may be, and how they end."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from contextvars import copy_context
from typing import Any

from graphql import GraphQLError
from starlette.types import Message, Scope, Send
from strawberry.types.execution import ExecutionResult

from core.schema.errors import THROTTLED, TIMEOUT, RequestError

logger = logging.getLogger(__name__)

MAX_OPEN = 100
"""Subscriptions of one token or person in one process."""
SEND_SECONDS = 30.0
"""Who has not taken an event by then is cut off; it reads on from its cursor when it is back."""
LEAVE_SECONDS = 5.0
TOO_SLOW = "events were not read for too long"
POLICY_VIOLATION = 1008
BEAT_SECONDS = 15.0
"""A silent stream shows by a comment that it is there, so that nothing between cuts it."""
BEAT = ": still here\r\n\r\n"
COMPLETE = "event: complete\r\ndata: \r\n\r\n"


class Live:
    """The subscriptions that are open in this process."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self._closing = asyncio.Event()

    @contextmanager
    def place(self, holder: str) -> Iterator[None]:
        """Hold one subscription of a token or person. Raises RequestError when it has too many."""
        if self._open[holder] >= MAX_OPEN:
            raise RequestError(
                THROTTLED, f"this token has {MAX_OPEN} subscriptions open: end some of them"
            )
        self._open[holder] += 1
        try:
            yield
        finally:
            self._open[holder] -= 1
            if not self._open[holder]:
                del self._open[holder]

    def close(self) -> None:
        """End what is streamed over HTTP; a client takes that for a loss and comes again."""
        self._closing.set()

    async def events(
        self, results: AsyncGenerator[Any], encode: Callable[[Any], Awaitable[str]]
    ) -> AsyncGenerator[str]:
        """The results as server-sent events, until they or the process end.

        One is asked for when the one before it was taken. What is asked for belongs to one
        context, as it would in one task.
        """
        context = copy_context()
        closing = asyncio.ensure_future(self._closing.wait())
        event: asyncio.Future[Any] = closing
        async with aclosing(results):
            try:
                while True:
                    event = asyncio.create_task(_next(results), context=context)
                    while not event.done():
                        await asyncio.wait((event, closing), timeout=BEAT_SECONDS,
                                           return_when=asyncio.FIRST_COMPLETED)  # fmt: skip
                        if closing.done():
                            return
                        if not event.done():
                            yield BEAT
                    if event.result() is None:
                        break
                    yield await encode(event.result())
                yield COMPLETE
            finally:
                event.cancel()
                closing.cancel()
                await asyncio.gather(event, closing, return_exceptions=True)


async def _next(results: AsyncGenerator[Any]) -> Any:
    return await anext(results, None)


@asynccontextmanager
async def patient(scope: Scope, send: Send) -> AsyncIterator[Send]:
    """`send` for a block of work that ends when the client takes nothing for SEND_SECONDS.

    What is not sent waits in the database, not in memory: an event is made when the one before it
    is on its way.
    """
    try:
        async with asyncio.timeout(None) as limit:

            async def send_in_time(message: Message) -> None:
                try:
                    async with asyncio.timeout(SEND_SECONDS):
                        await send(message)
                except TimeoutError:
                    limit.reschedule(0)
                    raise

            yield send_in_time
    except TimeoutError:
        if not limit.expired():
            raise
        logger.warning("cut off: %s", TOO_SLOW, extra={"request_id": scope["request_id"]})
        if scope["type"] == "websocket":
            await _say_goodbye(send)


async def _say_goodbye(send: Send) -> None:
    close = {"type": "websocket.close", "code": POLICY_VIOLATION, "reason": TOO_SLOW}
    try:
        async with asyncio.timeout(LEAVE_SECONDS):
            await send(close)
    except TimeoutError:
        pass  # it does not even read why


async def in_time(
    results: AsyncGenerator[Any], seconds: float, request_id: str
) -> AsyncGenerator[Any]:
    """The results of an operation, the first of which may take so long."""
    async with aclosing(results):
        try:
            async with asyncio.timeout(seconds):
                first = await anext(results, None)
        except TimeoutError:
            yield timed_out(seconds, request_id)
            return
        if first is not None:
            yield first
            async for result in results:
                yield result


def timed_out(seconds: float, request_id: str) -> ExecutionResult:
    """The answer to what took too long."""
    message = f"no answer within {seconds} seconds: ask for less at once"
    error = GraphQLError(message, extensions={"code": TIMEOUT, "requestId": request_id})
    return ExecutionResult(data=None, errors=[error])
