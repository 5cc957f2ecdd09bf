"""The demo itself, small: its exit code is 0 only when everything adds up."""

import os
import subprocess
import sys

import pytest


def run_demo(home, *options):
    return subprocess.run(
        [sys.executable, "-m", "demo", "--exit", *options],
        env={**os.environ, "HUIKE_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.slow
def test_every_message_is_accounted_for(tmp_path):
    done = run_demo(tmp_path, "--customers", "600", "--orders", "1800")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "sent and received are the same" in done.stdout
    assert "read 1800 = created 1800" in done.stdout


def test_a_folder_that_no_demo_made_is_left_alone(tmp_path):
    precious = tmp_path / "demo" / "precious"
    precious.parent.mkdir()
    precious.write_text("keep me")
    done = run_demo(tmp_path)
    assert done.returncode == 1
    assert "not made by the demo" in done.stderr
    assert precious.read_text() == "keep me"
