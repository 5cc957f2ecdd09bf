"""Processes of their own for tests, without a second of imports for each.

A server process imports once what the commands need; each process is a fork of it, with its own
environment, files and exit code. It can be signalled and killed like any other.
"""

import asyncio
import os
import signal
import sys
import tempfile
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

_context = get_context("forkserver")
_context.set_forkserver_preload(["tests.preloaded", "uvloop", "pytest"])


@dataclass(frozen=True)
class Ended:
    """A process's exit code, minus the signal's number if one killed it, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


class Process:
    """A process that calls `function`, which must be importable, and ends."""

    def __init__(self, function, *args, env):
        self._output = tempfile.TemporaryDirectory()
        self._process = _context.Process(
            target=_play, args=(function, args, dict(env), self._output.name), daemon=True
        )
        self._process.start()
        self.pid = self._process.pid

    @property
    def running(self):
        return self._process.is_alive()

    def kill(self):
        """Kill it with SIGKILL and wait for its end."""
        self._process.kill()
        return self.end()

    async def kill_once(self, begun, seconds=300):
        """Kill it with SIGKILL as soon as `begun()` is true; it has not ended before."""
        async with asyncio.timeout(seconds):
            while not await begun():
                assert self.running, self.end()
                await asyncio.sleep(0.01)
        assert self.kill().returncode == -signal.SIGKILL

    def signal(self, number):
        os.kill(self.pid, number)

    def end(self, seconds=300):
        """Wait until it has ended by itself; raises TimeoutError when it does not."""
        self._process.join(seconds)
        if self._process.exitcode is None:
            self._process.kill()
            raise TimeoutError(self._printed("stdout") + self._printed("stderr"))
        ended = Ended(self._process.exitcode, self._printed("stdout"), self._printed("stderr"))
        self._output.cleanup()
        return ended

    async def ended(self):
        return await asyncio.to_thread(self.end)

    def _printed(self, name):
        path = Path(self._output.name, name)
        return path.read_text() if path.exists() else ""


def huike(*args, env):
    """The command `huike` with these arguments, begun."""
    return Process(_command, *map(str, args), env=env)


def environment(home, **more):
    """This process's, without its settings, for a command that works in `home`."""
    theirs = ("HUIKE_", "PYTEST", "DATABASE_URL", "REDIS_URL")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(theirs)}
    return kept | {"HUIKE_HOME": str(home)} | more


def _command(*args):
    from core.cli import main

    sys.argv = ["huike", *args]
    main()


def _play(function, args, env, output):
    os.environ.clear()
    os.environ.update(env)
    for number, name in ((1, "stdout"), (2, "stderr")):
        file = os.open(Path(output, name), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    function(*args)
