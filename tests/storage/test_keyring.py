"""Encryption at rest: what opens, what does not, and where the keyring comes from."""

import json
import stat
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest

from core.settings import Settings, SettingsError
from core.storage.keyring import (
    Keyring,
    SealError,
    keyring_path,
    load_keyring,
    write_keyring,
)

PLACE = "customers.phone|7|4711"
NOW = datetime(2026, 6, 15, tzinfo=UTC)


def test_a_sealed_value_opens_at_its_place_and_hides_the_text():
    keyring = Keyring.generate()
    sealed = keyring.seal("+8613800138000", PLACE)
    assert b"13800138000" not in sealed
    assert keyring.open(sealed, PLACE) == "+8613800138000"
    assert keyring.seal("+8613800138000", PLACE) != sealed


@pytest.mark.parametrize("place", ["customers.phone|8|4711", "customers.phone|7|4712", ""])
def test_a_moved_value_does_not_open(place):
    keyring = Keyring.generate()
    with pytest.raises(SealError, match="moved or altered"):
        keyring.open(keyring.seal("x", PLACE), place)


@pytest.mark.parametrize("length", [0, 1, 5, 13, 20])
def test_a_cut_off_value_does_not_open(length):
    keyring = Keyring.generate()
    with pytest.raises(SealError):
        keyring.open(keyring.seal("some text", PLACE)[:length], PLACE)


def test_an_altered_value_does_not_open():
    keyring = Keyring.generate()
    sealed = bytearray(keyring.seal("x", PLACE))
    sealed[-1] ^= 1
    with pytest.raises(SealError, match="altered"):
        keyring.open(bytes(sealed), PLACE)


def test_another_keyring_does_not_open_it():
    sealed = Keyring.generate().seal("x", PLACE)
    with pytest.raises(SealError, match="altered"):
        Keyring.generate().open(sealed, PLACE)


def test_an_old_key_still_opens_and_the_new_one_seals():
    old = Keyring.generate()
    data = json.loads(old.to_text())
    data["keys"]["2"] = json.loads(Keyring.generate().to_text())["keys"]["1"]
    data["primary"] = 2
    both = Keyring.from_text(json.dumps(data))
    assert both.open(old.seal("x", PLACE), PLACE) == "x"
    with pytest.raises(SealError, match="does not hold"):
        old.open(both.seal("x", PLACE), PLACE)


def test_the_blind_index_depends_on_field_merchant_and_value_only():
    keyring = Keyring.generate()
    index = keyring.blind_index("phone", 7, "+8613800138000")
    assert Keyring.from_text(keyring.to_text()).blind_index("phone", 7, "+8613800138000") == index
    others = [("email", 7, "+8613800138000"), ("phone", 8, "+8613800138000"), ("phone", 7, "+86")]
    assert index not in {keyring.blind_index(*other) for other in others}


def test_a_signature_holds_for_its_purpose_and_text_only():
    keyring = Keyring.generate()
    signature = keyring.sign("unsubscribe", "7.4711.email")
    assert keyring.verify("unsubscribe", "7.4711.email", signature)
    assert not keyring.verify("unsubscribe", "7.4712.email", signature)
    assert not keyring.verify("login", "7.4711.email", signature)
    assert not keyring.verify("unsubscribe", "7.4711.email", "é")


GOOD = json.loads(Keyring.generate().to_text())


@pytest.mark.parametrize(
    "text",
    [
        "", "nonsense", "[]", "{}", "null", '"text"',
        json.dumps({**GOOD, "primary": 2}),
        json.dumps({**GOOD, "primary": "x"}),
        json.dumps({**GOOD, "keys": []}),
        json.dumps({**GOOD, "keys": {"1": "c2hvcnQ="}}),
        json.dumps({**GOOD, "keys": {"300": GOOD["keys"]["1"]}, "primary": 300}),
        json.dumps({**GOOD, "index": "!"}),
        json.dumps({**GOOD, "index": 5}),
    ],
)  # fmt: skip
def test_a_malformed_keyring_is_refused(text):
    with pytest.raises(SettingsError, match="keyring"):
        Keyring.from_text(text)


def test_the_keyring_is_made_once_and_only_its_owner_reads_it(tmp_path):
    settings = Settings(home=tmp_path / "new" / "home")
    made = load_keyring(settings)
    file = settings.home / "keyring.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert load_keyring(settings).fingerprint() == made.fingerprint()
    assert [path.name for path in settings.home.iterdir()] == ["keyring.json"]


def test_a_named_keyring_wins_over_the_file(tmp_path):
    load_keyring(Settings(home=tmp_path))
    named = Keyring.generate()
    loaded = load_keyring(Settings(home=tmp_path, keyring=named.to_text()))
    assert loaded.fingerprint() == named.fingerprint()


def test_a_damaged_file_is_refused_and_not_replaced(tmp_path):
    file = tmp_path / "keyring.json"
    file.write_bytes(b"\xff\xfe\x00damaged")
    with pytest.raises(SettingsError, match="restore it from your backup"):
        load_keyring(Settings(home=tmp_path))
    assert file.read_bytes() == b"\xff\xfe\x00damaged"


def test_no_place_for_the_file_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="HUIKE_KEYRING"):
        load_keyring(Settings(home=tmp_path / "file" / "home"))


RACE = """
import pathlib, sys
from core.settings import Settings
from core.storage.keyring import load_keyring
sys.stdin.readline()
print(load_keyring(Settings(home=pathlib.Path(sys.argv[1]))).fingerprint())
"""


def test_processes_that_race_get_the_same_keyring(tmp_path):
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, tmp_path], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True,
        )
        for _ in range(4)
    ]  # fmt: skip
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    assert len({racer.communicate()[0] for racer in racers}) == 1
    assert [racer.returncode for racer in racers] == [0] * 4


def written(tmp_path):
    """A keyring's file, and two processes' keyrings read from it."""
    settings = Settings(home=tmp_path)
    return keyring_path(settings), load_keyring(settings), load_keyring(settings)


def test_a_process_takes_over_a_key_that_it_meets(tmp_path):
    path, here, there = written(tmp_path)
    sealed = here.seal("old", PLACE)
    write_keyring(path, here.with_new_key(NOW).promoted(NOW))
    here.refresh()
    assert there.open(here.seal("x", PLACE), PLACE) == "x"
    assert there.open(sealed, PLACE) == "old"
    assert there.primary == here.primary == 2
    assert there.seal("x", PLACE)[0] == 2
    assert here.made[2] == NOW
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_process_that_seals_takes_over_the_new_key_in_seconds(tmp_path, monkeypatch):
    path, here, _ = written(tmp_path)
    here.seal("x", PLACE)
    write_keyring(path, here.with_new_key(NOW).promoted(NOW))
    assert here.seal("x", PLACE)[0] == 1
    monkeypatch.setattr(time, "monotonic", lambda: here._look_at)
    assert here.seal("x", PLACE)[0] == 2


def test_an_added_key_opens_before_it_seals(tmp_path):
    _, here, _ = written(tmp_path)
    added = here.with_new_key(NOW)
    assert added.seal("x", PLACE)[0] == 1
    assert added.open(added.promoted(NOW).seal("x", PLACE), PLACE) == "x"
    retired = added.promoted(NOW).without(1)
    assert retired.ids == [2]
    with pytest.raises(SettingsError, match="primary"):
        added.without(1)
    assert retired.blind_index("phone", 1, "x") == here.blind_index("phone", 1, "x")


def test_a_broken_or_foreign_file_is_not_taken_over(tmp_path):
    path, here, _ = written(tmp_path)
    sealed = here.seal("x", PLACE)
    for text in ("{", Keyring.generate().to_text()):
        path.write_text(text)
        here.refresh()
        assert here.open(sealed, PLACE) == "x"
    path.unlink()
    here.refresh()
    assert here.open(sealed, PLACE) == "x"


def test_ids_are_used_again_when_they_run_out():
    keyring = Keyring.generate()
    for _ in range(254):
        keyring = keyring.with_new_key(NOW)
    with pytest.raises(SettingsError, match="full"):
        keyring.with_new_key(NOW)
    again = keyring.without(7).with_new_key(NOW).promoted(NOW)
    assert again.primary == 7
    assert Keyring.from_text(again.to_text()).ids[-1] == 7
