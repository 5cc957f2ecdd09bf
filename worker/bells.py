"""Listening to the doorbells: arq workers whose jobs only begin a duty and end at once."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, cast

from arq.connections import ArqRedis
from arq.typing import WorkerCoroutine
from arq.worker import Function, Worker, func

from core.storage.doorbell import LONG_QUEUE, SHORT_QUEUE, deserialize, serialize
from worker.duties import Duties

logger = logging.getLogger(__name__)

MAX_JOBS = 50
POLL_SECONDS = 0.1
HEALTH_SECONDS = 30
FIRST_PAUSE = 0.5
LAST_PAUSE = 5.0


class _Listener(Worker):
    """An arq worker that leaves the shared pool open, and asks Redis for no INFO.

    The Redis inside a single process does not know that command.
    """

    async def main(self) -> None:
        self.ctx["redis"] = self.pool
        while True:
            await self._poll_iteration()
            await asyncio.sleep(self.poll_delay_s)

    async def leave(self) -> None:
        """End its jobs, which end at once anyway."""
        self.allow_pick_jobs = False
        tasks = list(self.tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def listen(redis: ArqRedis, duties: Duties) -> None:
    """Hear both queues until cancelled; when Redis is away, try again and again."""
    async with asyncio.TaskGroup() as group:
        for queue in (SHORT_QUEUE, LONG_QUEUE):
            group.create_task(_listen(redis, duties, queue))


async def _listen(redis: ArqRedis, duties: Duties, queue: str) -> None:
    pause = FIRST_PAUSE
    while True:
        listener = _listener(redis, duties, queue)
        started = asyncio.get_running_loop().time()
        try:
            await listener.main()
        except asyncio.CancelledError:
            await listener.leave()
            raise
        except Exception as error:
            # sweeps go on meanwhile: Redis only makes things faster
            logger.warning("cannot hear doorbells (%s), trying again: %s", queue, error)
            await listener.leave()
        if asyncio.get_running_loop().time() - started > 2 * LAST_PAUSE:
            pause = FIRST_PAUSE
        await asyncio.sleep(pause)
        pause = min(pause * 2, LAST_PAUSE)


def _listener(redis: ArqRedis, duties: Duties, queue: str) -> _Listener:
    return _Listener(
        functions=[_bell(name, duties.begin) for name in duties.by_name],
        queue_name=queue,
        redis_pool=redis,
        handle_signals=False,
        max_jobs=MAX_JOBS,
        poll_delay=POLL_SECONDS,
        keep_result=0,
        health_check_interval=HEALTH_SECONDS,
        health_check_key=f"{queue}:health",
        job_serializer=serialize,
        job_deserializer=deserialize,
        log_results=False,
    )


def _bell(name: str, begin: Callable[..., None]) -> Function:
    async def ring(_context: dict[Any, Any], *args: int) -> None:
        begin(name, *args)

    return func(cast(WorkerCoroutine, ring), name=name)
