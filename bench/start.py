"""Seconds from `huike serve` on existing data to the first answered GraphQL query.

Beside it the floor of any such server on this machine: a Python that imports the same two
libraries, uvicorn and strawberry, and ends. Both are repeated in turn; medians are compared.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.processes import await_answer, free_port, huike, running

ROUNDS = 5


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="huike-bench-") as folder:
        home = Path(folder) / "home"
        token = huike(home, "init", "--shop", "bench").splitlines()[-1]
        pairs = [(_serve(home, token), _floor()) for _ in range(ROUNDS)]
    starts, floors = zip(*pairs, strict=True)
    start, floor = statistics.median(starts), statistics.median(floors)
    _print("start_first_answer", start, starts)
    _print("start_floor_imports", floor, floors)
    print(json.dumps({"figure": "start_over_floor", "value": round(start / floor, 2)}), flush=True)


def _serve(home: Path, token: str) -> float:
    """The engines, too, are started and stopped in each round."""
    port = free_port()
    began = time.perf_counter()
    with running(home, "serve", "--port", str(port)) as server:
        await_answer(server, port, token)
        return time.perf_counter() - began


def _floor() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import uvicorn, strawberry"], check=True)
    return time.perf_counter() - began


def _print(figure: str, value: float, all_values: tuple[float, ...]) -> None:
    line = {
        "figure": figure, "value": round(value, 3), "unit": "s",
        "min": round(min(all_values), 3), "max": round(max(all_values), 3), "rounds": ROUNDS,
    }  # fmt: skip
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
