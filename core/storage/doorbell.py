"""The doorbell over Redis: an arq job that means "look now". Redis holds no truth."""

import asyncio
import logging
from contextlib import suppress
from typing import Any

import orjson
from arq.connections import ArqRedis, RedisSettings, create_pool
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

SHORT_QUEUE = "huike:short"
LONG_QUEUE = "huike:long"
RING_SECONDS = 1.0
"""A server of Redis that does not answer holds nobody up any longer: a sweep finds the work."""
PAUSE_SECONDS = 0.05
RedisPool = ArqRedis
"""The pool of connections that doorbells and workers share."""

LONG_JOBS = frozenset({"job.run", "run.send", "segments.refresh", "webhooks.post"})


class RedisUnavailable(Exception):
    """The Redis server cannot be reached; the message says what to check."""


class RedisDoorbell:
    """Rings by enqueuing an arq job; without Redis the ring is lost and a sweep finds the work.

    Nobody waits for Redis: rings are sent in the background, the same ones once in PAUSE_SECONDS,
    so that a busy merchant's commits do not cost a message each.
    """

    def __init__(self, pool: RedisPool) -> None:
        self.pool = pool
        self._waiting: dict[tuple[str, tuple[int, ...]], None] = {}
        self._sender: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    async def ring(self, job: str, *args: int) -> None:
        self._waiting[job, args] = None
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send(), name="doorbell")

    async def _send(self) -> None:
        while self._waiting:
            # what is rung for from here on may have missed its worker, and is sent again
            rings, self._waiting = self._waiting, {}
            try:
                for job, args in rings:
                    queue = LONG_QUEUE if job in LONG_JOBS else SHORT_QUEUE
                    async with asyncio.timeout(RING_SECONDS):
                        await self.pool.enqueue_job(job, *args, _queue_name=queue)
            except (RedisError, OSError) as error:
                logger.warning("no ring for %d jobs, a sweep will find them: %s", len(rings), error)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), PAUSE_SECONDS)

    async def close(self) -> None:
        """Send what waits, and leave Redis."""
        self._closing.set()
        if self._sender is not None:
            await self._sender
        await self.pool.aclose()


class SilentDoorbell:
    """For single commands that run no worker: the sweep of the next worker finds the work."""

    async def ring(self, job: str, *args: int) -> None:
        pass


def serialize(job: dict[str, Any]) -> bytes:
    """Job data as JSON: the library's default would run code for whoever writes to Redis."""
    return orjson.dumps(job, default=repr)


def deserialize(data: bytes) -> dict[str, Any]:
    result: dict[str, Any] = orjson.loads(data)
    return result


async def connect_redis(url: str | None) -> ArqRedis:
    """A pool for doorbells and workers; without a URL, one inside this process alone.

    Raises RedisUnavailable.
    """
    if url is None:
        from fakeredis import FakeAsyncRedis, FakeServer  # large, not needed beside a server

        fake = FakeAsyncRedis(server=FakeServer())
        return ArqRedis(
            pool_or_conn=fake.connection_pool,
            job_serializer=serialize,
            job_deserializer=deserialize,
        )
    try:
        settings = RedisSettings.from_dsn(url)
        settings.conn_retries = 0
        settings.retry_on_timeout = True
        return await create_pool(settings, job_serializer=serialize, job_deserializer=deserialize)
    except (RedisError, OSError, ValueError) as error:
        raise RedisUnavailable(
            f"cannot use the Redis server of REDIS_URL: {str(error).rstrip('.')}. "
            "Check that it runs and the address"
        ) from error
