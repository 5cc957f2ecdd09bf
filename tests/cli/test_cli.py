"""The command `huike` as an operator types it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from core.storage.engines import Engines
from tests import processes
from tests.processes import environment


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home with one merchant; the engines are kept running, so that the commands are quick."""
    path = tmp_path_factory.mktemp("cli") / "home"
    made = huike(path, "init", "--name", "Tea shop", "--shop", "main")
    assert made.returncode == 0, made.stderr
    assert not (path / "postgres/postmaster.pid").exists()
    (path.parent / "token").write_text(made.stdout.splitlines()[-1])
    engines = Engines(path)
    engines.start()
    yield path
    engines.leave()


def huike(home, *args, **env):
    return processes.huike(*args, env=environment(home, **env)).end()


def refused(done):
    """What the command said when it was refused as an operator should be told."""
    assert done.returncode == 1, (done.stdout, done.stderr)
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("huike: ")
    return done.stderr


def test_init_made_a_merchant_a_shop_and_a_token(home):
    assert re.fullmatch(r"hk_1_1_\S{30,}", (home.parent / "token").read_text())


def test_init_names_a_wrong_value(home):
    assert "Nowhere/Land" in refused(huike(home, "init", "--time-zone", "Nowhere/Land"))
    assert "yuan" in refused(huike(home, "init", "--currency", "yuan"))
    assert "1 to 200 characters" in refused(huike(home, "init", "--name", " "))


def test_doctor_finds_nothing_wrong(home):
    done = huike(home, "doctor")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert all(line.startswith("ok  ") for line in lines)
    for word in ("packages", "plugin taobao", "database: PostgreSQL", "redis"):
        assert any(word in line for line in lines), word


def test_doctor_says_what_is_wrong(home, tmp_path):
    done = huike(home, "doctor", DATABASE_URL="postgresql://127.0.0.1:1/shop")
    assert done.returncode == 1
    assert "FAIL  engines: cannot use the database at 127.0.0.1:1/shop" in done.stdout
    assert done.stderr == ""


def test_plugins_are_listed_for_programs_and_people(home):
    rows = json.loads(huike(home, "plugins", "--json").stdout)
    assert {"email", "taobao"} <= {row["name"] for row in rows}
    assert all(row["state"] == "ok" for row in rows)
    skipped = huike(home, "plugins", HUIKE_SKIP_PLUGINS="email").stdout
    assert "taobao" in skipped
    assert "email" not in skipped


def test_tokens_are_made_listed_and_revoked(home):
    made = huike(
        home, "token", "create", "--name", "report", "--permission", "ORDERS_READ", "--days", "3"
    )
    assert made.returncode == 0, made.stderr
    secret = made.stdout.strip()
    number = secret.split("_")[2]
    listed = huike(home, "token", "list").stdout
    assert secret.split("_", 3)[3] not in listed
    (line,) = (line for line in listed.splitlines() if "report" in line)
    assert line.split()[:3] == [number, "report", "valid"]
    assert "ORDERS_READ" in line
    assert huike(home, "token", "revoke", number).stdout == "revoked\n"
    (line,) = (
        line for line in huike(home, "token", "list").stdout.splitlines() if "report" in line
    )
    assert line.split()[2] == "revoked"


def test_staff_are_added_listed_and_reset(home):
    made = huike(home, "staff", "add", "--email", "Ann@Example.com", "--name", "Ann")
    assert made.returncode == 0, made.stderr
    token = made.stdout.splitlines()[-1]
    assert re.fullmatch(r"hi_1_\d+_[0-9a-f]{48}", token)
    merchant, line = huike(home, "staff", "list").stdout.splitlines()
    assert merchant.startswith("merchantId ")
    assert line.split()[1:] == ["invited", "owner", "ann@example.com", "Ann"]
    again = huike(home, "staff", "reset", "ann@example.com").stdout.splitlines()[-1]
    assert again != token
    assert "already" in refused(
        huike(home, "staff", "add", "--email", "ann@example.com", "--name", "Ann")
    )
    assert "nobody has" in refused(huike(home, "staff", "reset", "bo@example.com"))
    assert "no role 'king'" in refused(
        huike(home, "staff", "add", "--email", "k@example.com", "--name", "K", "--role", "king")
    )


def test_what_is_wrong_with_a_token_is_said(home):
    assert "there is no token 999" in refused(huike(home, "token", "revoke", "999"))
    assert "no permission FLY" in refused(
        huike(home, "token", "create", "--name", "x", "--permission", "FLY")
    )
    assert "there is no merchant 9" in refused(huike(home, "token", "list", "--merchant", "9"))


def test_a_shop_that_is_not_connected_says_what_to_do(home):
    assert "huike shop connect" in huike(home, "shop", "status").stdout
    assert "no plugin connects shops of 'moon'" in refused(huike(home, "shop", "connect", "moon"))
    assert "not connected" in refused(huike(home, "shop", "pause", "1"))
    assert "there is no deed 7" in refused(huike(home, "shop", "settle", "7", "done"))
    assert "there is no dead letter 7" in refused(huike(home, "shop", "retry", "7"))
    assert "there is no shop 'x'" in refused(huike(home, "shop", "resync", "x", "2026-06-01"))


def test_migrate_has_nothing_left_to_do(home):
    done = huike(home, "migrate")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "the schema is up to date (0 migrations applied)\n"


def test_stop_stops_and_says_so(home):
    assert "--force" in refused(huike(home, "stop"))
    assert huike(home, "stop", "--force").stdout == "stopped\n"
    assert huike(home, "stop", "--force").stdout == "nothing was running\n"
    done = huike(home, "token", "list")  # starts them again
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "args", [["init"], ["doctor"], ["stop"], ["plugins"], ["token", "list"], ["serve"], ["worker"]]
)
def test_a_bad_setting_ends_every_command_with_one_line(tmp_path, args):
    assert "HUIKE_PORT" in refused(huike(tmp_path, *args, HUIKE_PORT="eighty"))


def test_a_database_that_is_away_is_said(tmp_path):
    said = refused(huike(tmp_path, "init", DATABASE_URL="postgresql://u:hunter2@127.0.0.1:1/shop"))
    assert "cannot use the database at 127.0.0.1:1/shop" in said
    assert "hunter2" not in said


def test_a_malformed_url_is_said(tmp_path):
    assert "DATABASE_URL" in refused(huike(tmp_path, "init", DATABASE_URL="mysql://h/d"))


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1", "redis://127.0.0.1:1/first"])
def test_a_redis_that_is_away_is_said(home, url):
    assert "REDIS_URL" in refused(huike(home, "worker", REDIS_URL=url))


def test_a_home_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").touch()
    for home in (tmp_path / "file" / "home", Path("/proc/huike")):
        said = refused(huike(home, "init"))
        assert f"cannot write to {home}" in said
        assert "HUIKE_HOME" in said


def test_a_foreign_keyring_is_said(home):
    from core.storage.keyring import Keyring

    said = refused(huike(home, "token", "list", HUIKE_KEYRING=Keyring.generate().to_text()))
    assert "keyring is not the one" in said
    assert "malformed" in refused(huike(home, "token", "list", HUIKE_KEYRING="{}"))


def test_help_names_every_command():
    script = Path(sys.executable).with_name("huike")
    text = subprocess.run([script, "--help"], capture_output=True, text=True, check=True).stdout
    for command in ("init", "migrate", "serve", "worker", "stop", "plugins", "doctor", "token"):
        assert re.search(rf"^  {command} ", text, re.MULTILINE), command
    assert "makemigrations" not in text
