import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.campaigns.links import confirmation_key, message_key
from core.storage.keyring import Keyring
from plugins.email.verp import key_of_path, key_of_tag, keys_of_ids, return_path, tag

KEYRING = Keyring.generate()
IDS = st.integers(1, 10**12)


@given(IDS, IDS, st.booleans())
def test_a_return_path_names_its_message_whatever_becomes_of_its_case(merchant, delivery, asked):
    key = (confirmation_key if asked else message_key)(KEYRING, merchant, delivery)
    path = return_path("bounces@mail.example.com", key)
    if path != "bounces@mail.example.com":
        local = path.partition("@")[0]
        assert len(local) <= 64
        assert key_of_path(path) == key_of_path(path.upper()) == key
        assert key_of_path(f"<{path.title()}>, other@example.com") == key
    else:
        assert len(key) > 40
    assert key_of_tag(tag(key)) == key
    assert keys_of_ids(f"<x@y> <{key}@example.com>") == [key]


@pytest.mark.parametrize("text", [
    "", "bounces@example.com", "bounces+1.2.short@example.com", "1.2.x",
    "+1.2.aaaaaaaaaaaaaaaaaaaaaaa1@x",
    "bounces+x.2.aaaaaaaaaaaaaaaaaaaaaaaa@x",
])  # fmt: skip
def test_other_addresses_name_nothing(text):
    assert key_of_path(text) is None
    assert key_of_tag(text) is None


def test_a_key_of_another_form_leaves_the_return_path_as_it_is():
    assert return_path("b@example.com", "key.a@example.com") == "b@example.com"
    assert return_path("b@example.com", "bare") == "b@example.com"
