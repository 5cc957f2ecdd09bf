"""Vectors that the vendors publish, and what must not pass."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest

from core.sdk import Refused
from plugins.email.apis.sigv4 import signed_headers
from plugins.email.webhooks.signatures import (
    check_age,
    check_mailgun,
    check_password,
    check_sendgrid,
    check_svix,
    public_key,
)

# Amazon's test suite for Signature Version 4
AMAZON_KEY, AMAZON_SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
AT = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)

# the unit tests of SendGrid's own libraries
SENDGRID_KEY = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+"
    "2fNNRaINXvVpiglSI8eNEc6wEA3F+g=="
)
SENDGRID_SIGNATURE = (
    "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+l"
    "uQAbPIqHh89M15TluLtEZtM="
)
SENDGRID_TIME = "1600112502"
SENDGRID_EVENT = {
    "email": "hello@world.com",
    "event": "dropped",
    "reason": "Bounced Address",
    "sg_event_id": "ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA",
    "sg_message_id": "LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0",
    "smtp-id": "<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>",
    "timestamp": 1600112492,
}
SENDGRID_BODY = (json.dumps([SENDGRID_EVENT], separators=(",", ":")) + "\r\n").encode()

# the worked example of Svix
SVIX = (
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330",
    "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", b'{"test": 2432232314}',
)  # fmt: skip

MAILGUN = (
    "testSK", "1767323045", "tok0001",
    "53efdafa4d18141709ad62a4a3c9641b51b16a70e8703e873d093811784744e4",
)  # fmt: skip


@pytest.mark.parametrize(("method", "headers", "body", "signature"), [
    ("GET", {}, b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    ("POST", {}, b"", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    ("POST", {"Content-Type": "application/x-www-form-urlencoded"}, b"Param1=value1",
     "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
])  # fmt: skip
def test_amazons_vectors(method, headers, body, signature):
    made = signed_headers(
        method, "https://example.amazonaws.com/", headers, body, ("us-east-1", "service"),
        AMAZON_KEY, AMAZON_SECRET, AT,
    )  # fmt: skip
    assert made["authorization"].endswith(f"Signature={signature}")
    assert made["x-amz-date"] == "20150830T123600Z"


def test_sendgrids_vector():
    check_sendgrid(SENDGRID_KEY, SENDGRID_TIME, SENDGRID_SIGNATURE, SENDGRID_BODY)


@pytest.mark.parametrize(("timestamp", "signature", "body"), [
    ("1600112503", SENDGRID_SIGNATURE, SENDGRID_BODY),
    (SENDGRID_TIME, SENDGRID_SIGNATURE, SENDGRID_BODY + b" "),
    (SENDGRID_TIME, SENDGRID_SIGNATURE[:-8] + "AAAAAAA=", SENDGRID_BODY),
    (SENDGRID_TIME, "", SENDGRID_BODY), (SENDGRID_TIME, "…", SENDGRID_BODY),
])  # fmt: skip
def test_a_forged_signature_of_sendgrid(timestamp, signature, body):
    with pytest.raises(Refused):
        check_sendgrid(SENDGRID_KEY, timestamp, signature, body)


def test_mailguns_vector():
    check_mailgun(*MAILGUN)
    for place in range(4):
        spoilt = [text + "0" if at == place else text for at, text in enumerate(MAILGUN)]
        with pytest.raises(Refused):
            check_mailgun(*spoilt)


def test_svixs_vector_also_beside_others():
    check_svix(*SVIX)
    secret, name, at, signature, body = SVIX
    check_svix(secret, name, at, f"v1,AAAA v2,xx {signature}", body)


@pytest.mark.parametrize("spoilt", [
    (SVIX[0], SVIX[1], SVIX[2], SVIX[3], SVIX[4] + b" "),
    (SVIX[0], "msg_other", SVIX[2], SVIX[3], SVIX[4]),
    (SVIX[0], SVIX[1], "1614265331", SVIX[3], SVIX[4]),
    (SVIX[0], SVIX[1], SVIX[2], SVIX[3].replace("v1", "v2"), SVIX[4]),
    (SVIX[0], SVIX[1], SVIX[2], "", SVIX[4]), (SVIX[0], SVIX[1], SVIX[2], "v1,", SVIX[4]),
    ("whsec_AAAA", *SVIX[1:]), ("whsec_!", *SVIX[1:]),
])  # fmt: skip
def test_a_forged_signature_of_resend(spoilt):
    with pytest.raises(Refused):
        check_svix(*spoilt)


def test_a_password():
    right = "Basic " + base64.b64encode("hook:秘密".encode()).decode()
    check_password("hook", "秘密", right)
    for wrong in ("", "Basic", right[:-4], right.replace("Basic", "Bearer"), "…"):
        with pytest.raises(Refused):
            check_password("hook", "秘密", wrong)


@pytest.mark.parametrize("timestamp", ["", "x", "nan", "inf", "1000000000", "1000000601"])
def test_old_and_future_signatures(timestamp):
    now = datetime.fromtimestamp(1000000301, UTC)
    with pytest.raises(Refused):
        check_age(timestamp, now, timedelta(minutes=5 - 0.01))
    check_age("1000000300", now, timedelta(minutes=5))


def test_a_key_that_is_none():
    for text in ("", "x", "AAAA", base64.b64encode(b"x" * 91).decode()):
        with pytest.raises(ValueError, match="SendGrid"):
            public_key(text)
