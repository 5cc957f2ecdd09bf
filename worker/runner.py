"""The background runner: hears doorbells, sweeps for due work, and stops gracefully."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
from datetime import timedelta

from core.domain.campaigns.sending import LEASE
from core.installation import Installation
from worker.bells import listen
from worker.duties import Duties

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 2.0
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Runner:
    """Does an installation's background work, in this event loop.

    `lease` is how long a silent worker keeps the messages that it is sending.
    """

    def __init__(
        self,
        installation: Installation,
        *,
        lease: timedelta = LEASE,
        sweep_seconds: float = SWEEP_SECONDS,
    ) -> None:
        self._installation = installation
        self._lease = lease
        self._sweep_seconds = sweep_seconds
        self._duties: Duties | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to work in the background."""
        self._duties = Duties(self._installation, self._lease)
        self._tasks = [asyncio.create_task(self._sweep(self._duties), name="sweep")]
        if self._installation.redis is not None:
            hearing = listen(self._installation.redis, self._duties)
            self._tasks.append(asyncio.create_task(hearing, name="doorbells"))

    async def stop(self) -> None:
        """Take no more work, end what is being handed over, and give the rest back."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        if self._duties is not None:
            await self._duties.stop()
            self._duties = None

    async def run_until_signalled(self) -> None:
        """Work until SIGTERM or SIGINT, then stop gracefully."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            with contextlib.suppress(NotImplementedError):  # not on every platform
                loop.add_signal_handler(number, stop.set)
        await self.start()
        # what is there now stays: looked through for garbage no more, which was a sixth of the
        # time that a shop's past takes
        gc.freeze()
        logger.info("the worker is ready (process %s)", os.getpid())
        try:
            await stop.wait()
            logger.info("stopping: ending what is under way")
        finally:
            await self.stop()

    async def _sweep(self, duties: Duties) -> None:
        while True:
            try:
                await duties.sweep()
            except Exception as error:
                logger.warning("the sweep failed, trying again: %s", error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._sweep_seconds):
                    await duties.room_again.wait()
            duties.room_again.clear()
