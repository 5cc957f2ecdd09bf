"""Live signals: tells subscribers, in whichever process, that an object changed (LISTEN/NOTIFY)."""

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

import asyncpg

logger = logging.getLogger(__name__)

CHANNEL = "huike"
RECONNECT_SECONDS = 1.0


def name_of(topic: str, merchant_id: int, key: int) -> str:
    """How a merchant's object is named in signals."""
    return f"{topic}:{merchant_id}:{key}"


class Signals:
    """One listening connection per process, fanned out to any number of subscribers."""

    def __init__(self, connect: Callable[[], Coroutine[Any, Any, asyncpg.Connection]]) -> None:
        self._connect = connect
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._told: list[Callable[[str | None], None]] = []
        self._task: asyncio.Task[None] | None = None
        self.listening = False
        """Whether changes are heard of."""

    def tell_all(self, told: Callable[[str | None], None]) -> None:
        """Call with the name of each object that changed; with None for whatever was missed.

        Of what this process changes it hears twice: at the commit, and from the database.
        """
        self._told.append(told)

    def changed_here(self, name: str) -> None:
        """To be called when a change by this process is committed."""
        for told in self._told:
            told(name)

    def start(self) -> None:
        self._task = asyncio.create_task(self._listen())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def changes(
        self, topic: str, merchant_id: int, key: int, at_least_every: float | None = None
    ) -> AsyncGenerator[None, None]:
        """Yields at once, and then after each change; bursts are folded into one.

        With a number of seconds it yields then as well, for what does not tell of each change.
        """
        name = name_of(topic, merchant_id, key)
        event = asyncio.Event()
        self._waiting[name].add(event)
        try:
            while True:
                yield None
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(at_least_every):
                        await event.wait()
                event.clear()
        finally:
            self._waiting[name].discard(event)
            if not self._waiting[name]:
                del self._waiting[name]

    async def _listen(self) -> None:
        while True:
            try:
                await self._listen_once()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                logger.warning("lost the listening connection, trying again: %s", error)
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen_once(self) -> None:
        connection = await self._connect()
        closed = asyncio.Event()

        def close(_: object) -> None:
            self.listening = False
            closed.set()

        connection.add_termination_listener(close)
        try:
            await connection.add_listener(CHANNEL, self._on_notify)
            # something may have changed while nobody listened
            for told in self._told:
                told(None)
            self.listening = True
            for events in self._waiting.values():
                for event in events:
                    event.set()
            await closed.wait()
        finally:
            self.listening = False
            if not connection.is_closed():
                await connection.close()

    def _on_notify(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        for told in self._told:
            told(str(payload))
        for event in self._waiting.get(str(payload), ()):
            event.set()
