"""The commands for the audit log and the encryption keys, as an operator types them."""

import json
import stat

from tests.cli.test_cli import home, huike, refused  # noqa: F401


def test_the_log_is_verified_and_exported(home):  # noqa: F811
    done = huike(home, "audit", "verify")
    assert done.returncode == 0, done.stderr
    entries, head, verdict = done.stdout.splitlines()
    assert verdict == "the log is intact"
    exported = huike(home, "audit", "export")
    rows = [json.loads(line) for line in exported.stdout.splitlines()]
    assert rows[-1]["action"] == "audit.exported"
    assert rows[-1]["actor"] == "command"
    assert f"entries {len(rows) - 1}" == entries
    assert f"head {rows[-2]['hash']}" == head
    noted = head.removeprefix("head ")
    assert huike(home, "audit", "verify", "--head", noted).returncode == 0
    broken = huike(home, "audit", "verify", "--head", "ab" * 32)
    assert broken.returncode == 1
    assert "cut off" in broken.stderr
    assert "64 hexadecimal digits" in refused(huike(home, "audit", "verify", "--head", "xyz"))


def test_keys_are_rotated_and_retired(home):  # noqa: F811
    assert huike(home, "keys").stdout == "key 1: seals and opens, 0 days old\n"
    added = huike(home, "keys", "add")
    assert added.returncode == 0, added.stderr
    assert "key 2: opens only" in huike(home, "keys").stdout
    done = huike(home, "keys", "rotate")
    assert done.returncode == 0, done.stderr
    assert "key 2 seals from now on" in done.stdout
    assert "merchant 1: 5 values sealed anew, 0 left" in done.stdout
    assert huike(home, "keys").stdout == (
        "key 1: opens only, 0 days old\nkey 2: seals and opens, 0 days old\n"
    )
    path = home / "keyring.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "younger than 10 minutes" in refused(huike(home, "keys", "retire", "1"))
    data = json.loads(path.read_text())
    data["made"]["2"] = "2026-01-01T00:00:00+00:00"
    path.write_text(json.dumps(data))
    done = huike(home, "keys", "retire", "1")
    assert done.returncode == 0, done.stderr
    assert list(json.loads(path.read_text())["keys"]) == ["2"]
    assert huike(home, "doctor").returncode == 0
    rows = [json.loads(line) for line in huike(home, "audit", "export").stdout.splitlines()]
    done = [(row["action"], row["data"]["key"]) for row in rows if "keys." in row["action"]]
    assert done == [("keys.rotated", 2), ("keys.retired", 1)]


def test_a_keyring_of_the_environment_is_printed_and_not_changed(home):  # noqa: F811
    text = (home / "keyring.json").read_text()
    first = huike(home, "keys", "rotate", HUIKE_KEYRING=text)
    assert first.returncode == 0, first.stderr
    assert "huike keys rotate` again" in first.stderr
    added = json.loads(first.stdout)
    before = json.loads(text)
    assert added["primary"] == before["primary"]
    assert len(added["keys"]) == len(before["keys"]) + 1
    second = huike(home, "keys", "rotate", HUIKE_KEYRING=first.stdout)
    assert "huike keys reseal" in second.stderr
    promoted = json.loads(second.stdout)
    assert promoted["keys"] == added["keys"]
    assert promoted["primary"] == before["primary"] + 1
    assert (home / "keyring.json").read_text() == text
