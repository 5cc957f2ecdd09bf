"""The embedded engines under everything that happens to processes, disks and folders."""

# ruff: noqa: ASYNC220, ASYNC251

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import asyncpg
import psutil
import pytest

from core.storage.database import credentials
from core.storage.engines import EngineError, Engines, _postgres_server, redis_binary

USER = """
import pathlib, sys
from core.storage.engines import Engines
engines = Engines(pathlib.Path(sys.argv[1]))
print(engines.start().database_url, flush=True)
sys.stdin.readline()
engines.leave()
"""


@contextmanager
def user(home):
    """Another process that uses the engines of `home` until it is told to leave."""
    process = subprocess.Popen(
        [sys.executable, "-c", USER, home], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        process.url = process.stdout.readline().strip()
        assert process.url
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def leave(process):
    process.stdin.write("leave\n")
    process.stdin.flush()
    assert process.wait(120) == 0


def postmaster(home):
    return psutil.Process(int((home / "postgres/postmaster.pid").read_text().split()[0]))


def gone(process):
    # nobody may be there to collect the ended process
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def running(home):
    postgres = (home / "postgres/postmaster.pid").exists()
    return postgres and (redis_binary() is None or Engines(home)._redis_ready())


async def ask(url, statement):
    sql = await asyncpg.connect(**credentials(url))
    try:
        return await sql.fetchval(statement)
    finally:
        await sql.close()


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home whose cluster exists and is stopped between the tests; reached through a link."""
    real = tmp_path_factory.mktemp("engines")
    link = real.with_name("linked")
    link.symlink_to(real)
    yield link
    Engines(link).stop(force=True)


async def test_two_processes_share_one_pair_and_the_last_one_stops_it(home):
    with user(home) as first, user(home) as second:
        assert first.url == second.url
        server = postmaster(home)
        leave(first)
        assert await ask(second.url, "SELECT 1") == 1
        assert server.is_running()
        leave(second)
    assert not running(home)
    assert gone(server)


async def test_engines_outlive_a_killed_process_and_keep_the_data(home):
    with user(home) as killed:
        await ask(killed.url, "CREATE TABLE kept AS SELECT 42 AS answer")
        server = postmaster(home)
        killed.kill()
        killed.wait()
    with user(home) as after:
        assert postmaster(home) == server
        assert await ask(after.url, "SELECT answer FROM kept") == 42
        leave(after)
    assert not running(home)


async def test_a_killed_server_starts_again_with_its_data(home):
    engines = Engines(home)
    url = engines.start().database_url
    await ask(url, "CREATE TABLE survived AS SELECT 7 AS answer")
    server = postmaster(home)
    os.kill(server.pid, signal.SIGKILL)
    server.wait(60)
    again = Engines(home)
    assert await ask(again.start().database_url, "SELECT answer FROM survived") == 7
    again.leave()
    engines.leave()
    assert not running(home)


def test_leaving_and_stopping_after_the_server_was_killed(home):
    engines = Engines(home)
    engines.start()
    server = postmaster(home)
    os.kill(server.pid, signal.SIGKILL)
    server.wait(60)
    engines.leave()
    assert not Engines(home).stop()


def test_stop_is_refused_while_used_unless_forced(home):
    with user(home):
        with pytest.raises(EngineError, match="--force"):
            Engines(home).stop()
        assert running(home)
        assert Engines(home).stop(force=True)
        assert not running(home)
    assert not Engines(home).stop()


async def test_a_pid_file_that_names_a_foreign_process(home):
    engines = Engines(home)
    engines.start()
    engines.leave()
    with subprocess.Popen(["sleep", "60"]) as foreign:
        pid_file = home / "postgres/postmaster.pid"
        pid_file.write_text(f"{foreign.pid}\n{home}/postgres\n1\n5432\n")
        shutil.copy(pid_file, home / "postgres/.s.PGSQL.5432.lock")
        assert not Engines(home).stop()
        assert foreign.poll() is None
        assert await ask(engines.start().database_url, "SELECT 1") == 1
        engines.leave()
        assert foreign.poll() is None
        foreign.kill()


def test_a_garbled_pid_file_does_not_hinder(home):
    (home / "postgres/postmaster.pid").write_text("")
    engines = Engines(home)
    engines.start()
    engines.leave()


def test_stop_where_nothing_ever_ran(tmp_path):
    assert not Engines(tmp_path / "none").stop()


@pytest.mark.parametrize("make", ["{}/file/home", "{}/file", "/proc/huike"])
def test_a_folder_that_cannot_be_written_is_named(tmp_path, make):
    (tmp_path / "file").touch()
    home = make.format(tmp_path)
    with pytest.raises(EngineError, match=f"cannot write to {home}.*HUIKE_HOME"):
        Engines(tmp_path.__class__(home)).start()


def test_a_full_disk_is_said(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 5 * 1024**2))
    with pytest.raises(EngineError, match=r"full \(5 MB free"):
        Engines(tmp_path).start()
    assert not (tmp_path / "postgres").exists()


async def test_a_start_killed_in_the_middle_leaves_no_half_cluster(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", USER, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as killed:
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("postgres.new*/base")):
            assert time.monotonic() < deadline
            time.sleep(0.005)
        killed.kill()
    assert not (tmp_path / "postgres").exists()
    engines = Engines(tmp_path)
    assert await ask(engines.start().database_url, "SELECT 1") == 1
    engines.leave()


async def test_a_long_home_with_blanks_and_chinese_letters(tmp_path):
    home = tmp_path / "我的 店铺 & 'co' 100% #1" / ("x" * 120)
    engines = Engines(home)
    addresses = engines.start()
    assert await ask(addresses.database_url, "SELECT 1") == 1
    with user(home) as second:
        assert second.url == addresses.database_url
        engines.leave()
        assert await ask(second.url, "SELECT 1") == 1
        leave(second)
    assert not Engines(home).stop()


@pytest.mark.parametrize("length", range(60, 110))
def test_socket_paths_are_never_too_long(tmp_path, length):
    home = tmp_path.__class__("/" + "h" * (length - 1))
    path = os.fsencode(Engines(home)._postgres_socket_folder() / ".s.PGSQL.5432")
    assert len(path) <= 103  # the shortest limit of the systems we run on


async def test_folders_above_that_were_closed_meanwhile(home):
    if os.geteuid():
        pytest.skip("only root's server runs as a user of its own")
    above = home.resolve().parent
    above.chmod(0o700)
    engines = Engines(home)
    assert await ask(engines.start().database_url, "SELECT 1") == 1
    engines.leave()


def test_a_server_that_does_not_start_is_told_with_its_own_words(home):
    conf = home / "postgres/postgresql.conf"
    before = conf.read_text()
    conf.write_text(f"{before}\nno_such_setting = 1\n")
    try:
        with pytest.raises(EngineError, match="no_such_setting"):
            Engines(home).start()
    finally:
        conf.write_text(before)
    engines = Engines(home)
    engines.start()
    engines.leave()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another user for the server")
def test_one_process_at_a_time_makes_the_servers_user(tmp_path):
    others = os.open("/etc", os.O_RDONLY)
    with ThreadPoolExecutor(1) as thread:
        try:
            fcntl.flock(others, fcntl.LOCK_EX)
            made = thread.submit(_postgres_server, tmp_path)
            with pytest.raises(TimeoutError):
                made.result(1)
        finally:
            os.close(others)
        assert made.result(30).system_user is not None
