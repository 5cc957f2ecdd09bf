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


@pytest.mark.skipif(redis_binary() is None, reason="no Redis binary to be had here")
def test_a_provider_that_falls_silent_and_kills_of_everything_lose_nobody():
    """A few of the rounds of `python -m tests.worker.kill_rounds`, which makes hundreds."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.worker.kill_rounds", "--rounds", "2", "--kills", "3",
         "--recipients", "400"],
        capture_output=True, text=True, timeout=300, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-5000:]}"
