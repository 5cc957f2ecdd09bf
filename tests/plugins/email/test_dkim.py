"""Signatures against the vectors of RFC 8463, and against dkimpy."""

import base64
import re
import threading
from types import SimpleNamespace

import dkim
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from core.sdk import OutgoingMessage
from plugins.email.checking.keys import record_of
from plugins.email.dkim import Signer, UnfitKey, body_hash, canonical_header, read_key
from plugins.email.message import MessageBuilder

# RFC 8463, appendix A
SEED = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="
PUBLIC = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
HEADERS = [
    ("From", "Joe SixPack <joe@football.example.com>"),
    ("To", "Suzie Q <suzie@shopping.example.net>"),
    ("Subject", "Is dinner ready?"),
    ("Date", "Fri, 11 Jul 2003 21:00:37 -0700 (PDT)"),
    ("Message-ID", "<20030712040037.46341.5F8J@football.example.com>"),
]
BODY = b"Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n"
BODY_HASH = "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8="
SIGNATURE = (
    "/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11BusFa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw=="
)
SIGNED = (
    "v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n"
    " d=football.example.com; i=@football.example.com;\r\n"
    " q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n"
    " subject : date : message-id : from : subject : date;\r\n"
    f" bh={BODY_HASH};\r\n b="
)


class VerifyKey:
    """What dkimpy asks of PyNaCl, done by cryptography."""

    def __init__(self, text, encoder):
        self._key = ed25519.Ed25519PublicKey.from_public_bytes(base64.b64decode(text))

    def verify(self, signed, signature):
        self._key.verify(signature, signed)


NACL = SimpleNamespace(
    signing=SimpleNamespace(VerifyKey=VerifyKey), encoding=SimpleNamespace(Base64Encoder=None),
    exceptions=SimpleNamespace(ValueError=ValueError, BadSignatureError=InvalidSignature),
)  # fmt: skip


@pytest.fixture(scope="module")
def keys():
    return {
        "rsa": rsa.generate_private_key(65537, 2048),
        "ed25519": ed25519.Ed25519PrivateKey.generate(),
    }


def pem(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def test_the_vector_of_rfc_8463():
    assert body_hash(BODY) == BODY_HASH
    signer = Signer(
        "football.example.com", "brisbane",
        ed25519.Ed25519PrivateKey.from_private_bytes(base64.b64decode(SEED)),
    )  # fmt: skip
    signed = "".join(canonical_header(*header) + "\r\n" for header in HEADERS)
    signed += canonical_header("DKIM-Signature", SIGNED)
    assert base64.b64encode(signer.signature(signed.encode())).decode() == SIGNATURE
    key = ed25519.Ed25519PrivateKey.from_private_bytes(base64.b64decode(SEED))
    assert record_of(key) == f"v=DKIM1; k=ed25519; p={PUBLIC}"


def built(keys, kinds=("rsa", "ed25519"), url="https://x.example/u/1", **content):
    signers = [Signer("example.com", kind, keys[kind]) for kind in kinds]
    builder = MessageBuilder("shop@example.com", "小店", "answers@example.com", signers)
    fields = {
        "subject": "林，好久不见",
        "html": "<p>您好</p>",
        "text": "hi  there \n\n\n",
    } | content
    return builder.build(
        OutgoingMessage("1.2.key", "a@example.com", fields, "marketing", url)
    )[1]  # fmt: skip


@pytest.mark.parametrize(("kind", "apart"), [("rsa", True), ("ed25519", False)])
async def test_slow_signatures_are_made_beside_the_event_loop(keys, kind, apart):
    threads = set()

    class Watched(Signer):
        def signature(self, signed):
            threads.add(threading.get_ident())
            return super().signature(signed)

    builder = MessageBuilder("a@example.com", "", None, [Watched("example.com", kind, keys[kind])])
    message = OutgoingMessage("1.2.key", "b@example.com", {"subject": "x", "html": "y"}, "service")
    raw = await builder.signed(builder.letter(message))
    assert verdict(keys, raw, 0)
    assert (threading.get_ident() not in threads) is apart


def verdict(keys, raw, number):
    """Whether dkimpy takes signature `number` of a message."""

    def ask(name, timeout=5):
        selector = name.decode().split(".")[0]
        return record_of(keys[selector]).encode()

    monkey = pytest.MonkeyPatch()
    # dkimpy knows Ed25519 by a library of its own only
    monkey.setattr(dkim, "nacl", NACL, raising=False)
    try:
        return dkim.DKIM(raw).verify(idx=number, dnsfunc=ask)
    except dkim.ValidationError:
        return False
    finally:
        monkey.undo()


@pytest.mark.parametrize("number", [0, 1])
def test_dkimpy_takes_our_signatures(keys, number):
    raw = built(keys)
    assert verdict(keys, raw, number)
    assert not verdict(keys, raw.replace(b"hi  there", b"ho  there"), number)
    assert verdict(keys, raw.replace(b"hi  there", b"hi there"), number)


@pytest.mark.parametrize("spoil", [
    lambda raw: raw.replace(b"https://x.example/u/1", b"https://x.example/u/2"),
    lambda raw: raw.replace(b"One-Click", b"None"),
    lambda raw: raw.replace(b"answers@", b"other@"),
    lambda raw: raw.replace(b"To: a@", b"To: b@"),
    lambda raw: raw.replace(b"\r\nTo: ", b"\r\nFrom: evil@example.com\r\nTo: "),
    lambda raw: raw.replace(b"\r\nTo: ", b"\r\nSubject: other\r\nTo: "),
])  # fmt: skip
def test_what_matters_is_covered_by_the_signature(keys, spoil):
    raw = built(keys, ("rsa",))
    spoilt = spoil(raw)
    assert spoilt != raw
    assert not verdict(keys, spoilt, 0)


@settings(max_examples=40, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300))
def test_any_text_can_be_signed(keys, text):
    raw = built(keys, ("ed25519",), text=text, html=text)
    assert verdict(keys, raw, 0)
    assert max(map(len, raw.split(b"\r\n"))) < 998


@given(st.lists(st.sampled_from([b" ", b"\t", b"\r\n", b"a", b"b"]), max_size=30))
def test_the_body_hash_is_dkimpys(pieces):
    body = b"".join(pieces)
    theirs = dkim.canonicalization.CanonicalizationPolicy.from_c_value(b"relaxed/relaxed")
    hashed = dkim.hashlib.sha256(theirs.canonicalize_body(body)).digest()
    if body.endswith(b"\r\n") or not body:
        assert body_hash(body) == base64.b64encode(hashed).decode()


def test_a_signature_is_made_of_short_lines_and_says_when(keys):
    raw = built(keys, ("rsa",)).decode()
    head = raw.partition("\r\nFrom:")[0]
    assert max(map(len, head.split("\r\n"))) < 200
    assert re.search(r"t=\d{10};", head)


@pytest.mark.parametrize(("text", "why"), [
    ("", "no private key"), ("nonsense", "no private key"),
    (pem(ec.generate_private_key(ec.SECP256R1())), "another kind"),
])  # fmt: skip
def test_a_key_that_cannot_sign_says_why(text, why):
    with pytest.raises(UnfitKey, match=why):
        read_key(text)
