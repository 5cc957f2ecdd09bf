"""The demo itself, small: its exit code is 0 only when everything adds up."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest


def run_demo(home, *options):
    return subprocess.run(
        [sys.executable, "-m", "demo", "--exit", *options],
        env={**os.environ, "HUIKE_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.mark.slow
def test_every_message_is_accounted_for_and_it_serves_until_ctrl_c(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        env = {
            **os.environ,
            "HUIKE_HOME": str(tmp_path),
            "HUIKE_PORT": str(taken.getsockname()[1]),
            "PYTHONUNBUFFERED": "1",
        }
        said = tmp_path / "said.txt"
        with said.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "demo", "--customers", "300", "--orders", "900"],
                env=env, stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip
        try:
            found = wait_for(process, said, r"(http://\S+)/graphiql#token=(\S+)[^{]*(\{.*\})")
            base, token, query = found.groups()
            # a machine that is busy leaves the counting to a job
            found = {"preview": None}
            while found["preview"] is None:
                found = ask(base, token, query)["segments"]["nodes"][0]["preview"]
            assert found["preview"]["count"] > 0
            # a terminal sends it to the whole group
            os.killpg(process.pid, signal.SIGINT)
            assert process.wait(120) == 0, said.read_text()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    told = said.read_text()
    assert "read 900 = created 900" in told
    assert "sent and received are the same" in told
    assert "are stopped" in told
    assert not (tmp_path / "demo" / "postgres" / "postmaster.pid").exists()


def wait_for(process, file, pattern):
    until = time.monotonic() + 300
    while time.monotonic() < until and process.poll() is None:
        found = re.search(pattern, file.read_text(errors="replace"))
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(file.read_text(errors="replace"))


def ask(base, token, query):
    request = urllib.request.Request(
        f"{base}/graphql",
        json.dumps({"query": query}).encode(),
        {"content-type": "application/json", "authorization": f"Bearer {token}"},
    )
    with urllib.request.urlopen(request, timeout=120) as response:
        return json.load(response)["data"]


def test_a_folder_that_no_demo_made_is_left_alone(tmp_path):
    precious = tmp_path / "demo" / "precious"
    precious.parent.mkdir()
    precious.write_text("keep me")
    done = run_demo(tmp_path)
    assert done.returncode == 1
    assert "not made by the demo" in done.stderr
    assert precious.read_text() == "keep me"
