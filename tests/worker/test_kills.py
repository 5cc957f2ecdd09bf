"""Workers and engines are killed in the middle of campaigns; the account must be right."""

import subprocess
import sys
from pathlib import Path

import pytest

from core.storage.engines import redis_binary

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def play(tmp_path, scenario):
    """Run a scenario in a process of its own, since a process has one pool."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.worker.kill_scenario", tmp_path, scenario],
        capture_output=True, text=True, timeout=1200, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-5000:]}"


def test_killed_workers_lose_nobody_and_send_nothing_twice(tmp_path):
    play(tmp_path, "workers")


@pytest.mark.skipif(redis_binary() is None, reason="no Redis binary to be had here")
def test_killed_engines_lose_nobody_and_send_nothing_twice(tmp_path):
    play(tmp_path, "engines")
