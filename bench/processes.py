"""Huike's own processes, started as an operator starts them, for the benchmarks to look at."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

HUIKE = Path(sys.executable).with_name("huike")
PATIENCE = 60.0


def environment(home: Path) -> dict[str, str]:
    """The environment of a process that works in `home`, untouched by the caller's settings."""
    names = ("DATABASE_URL", "REDIS_URL")
    kept = {k: v for k, v in os.environ.items() if k not in names and not k.startswith("HUIKE_")}
    return kept | {"HUIKE_HOME": str(home), "HUIKE_PRIVATE_NETWORKS": "127.0.0.1"}


def huike(home: Path, *args: str) -> str:
    """Run a command to its end and return what it printed."""
    return subprocess.run(
        [HUIKE, *args], env=environment(home), check=True, capture_output=True, text=True
    ).stdout


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(home: Path, *args: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command that runs until the end of the block, and is then asked to end."""
    log = home / f"bench-{args[0]}.log"
    with (
        log.open("wb") as output,
        subprocess.Popen([HUIKE, *args], env=environment(home), stdout=output, stderr=output) as it,
    ):
        try:
            yield it
        finally:
            it.terminate()
            it.wait(PATIENCE)


def await_answer(process: subprocess.Popen[bytes], port: int, token: str) -> None:
    """Return as soon as the server has answered a GraphQL query."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        data=b'{"query": "{ __typename }"}',
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
    )
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                body = answer.read()
            if b'"Query"' in body:
                return
            raise RuntimeError(f"the server answered {body.decode()}")
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the server did not come up") from None
            time.sleep(0.01)


def ask(port: int, token: str, query: str, **variables: object) -> dict[str, Any]:
    """The data of a GraphQL answer. Raises RuntimeError for an answer with errors."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        data=json.dumps({"query": query, "variables": variables}).encode(),
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        body: dict[str, Any] = json.load(answer)
    if body.get("errors"):
        raise RuntimeError(str(body["errors"]))
    data: dict[str, Any] = body["data"]
    return data


class Peak:
    """The highest sum of resident memory of a process and its children, watched in a thread.

    PostgreSQL and Redis do not count; memory that processes share counts in each.
    """

    def __init__(self, pid: int) -> None:
        self.bytes = 0
        self._process = psutil.Process(pid)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.02):
            with contextlib.suppress(psutil.Error):
                python = [
                    process
                    for process in (self._process, *self._process.children(recursive=True))
                    if "python" in process.name() or "huike" in process.name()
                ]
                self.bytes = max(self.bytes, sum(one.memory_info().rss for one in python))
