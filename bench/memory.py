"""Resident memory of the server and of a worker at rest, and of the Python that both stand on.

`rss` counts shared pages in each process; `uss` counts what would be freed if it ended.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from bench.processes import await_answer, free_port, huike, running

REST_SECONDS = 8.0
FLOOR = "import uvicorn, strawberry, sys; print(flush=True); sys.stdin.read()"


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="huike-bench-") as folder:
        home = Path(folder) / "home"
        token = huike(home, "init", "--shop", "bench").splitlines()[-1]
        port = free_port()
        with running(home, "serve", "--no-worker", "--port", str(port)) as server:
            await_answer(server, port, token)
            with running(home, "worker") as worker:
                time.sleep(REST_SECONDS)
                _print("memory_server_at_rest", server.pid)
                _print("memory_worker_at_rest", worker.pid)
        with running(home, "serve", "--port", str(port)) as both:
            await_answer(both, port, token)
            time.sleep(REST_SECONDS)
            _print("memory_server_with_worker_at_rest", both.pid)
    with subprocess.Popen(
        [sys.executable, "-c", FLOOR], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as floor:
        assert floor.stdout is not None
        floor.stdout.readline()
        _print("memory_floor_imports", floor.pid)


def _print(figure: str, pid: int) -> None:
    memory = psutil.Process(pid).memory_full_info()
    line = {
        "figure": figure, "value": round(memory.rss / 1024**2, 1), "unit": "MiB rss",
        "uss": round(memory.uss / 1024**2, 1),
    }  # fmt: skip
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
