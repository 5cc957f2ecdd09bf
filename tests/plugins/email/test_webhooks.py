"""What delivery services push, signed as each signs it, and forged pushes."""

import base64
import hmac
import json
from datetime import datetime

import httpx2
import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from core.app import create_app
from core.domain.shops.web_routes import route_url
from plugins.email.verp import tag
from plugins.email.webhooks import sns
from tests.plugins.email.kit import enable, fate, send_all

BASE = "https://crm.example"
TOPIC = "arn:aws:sns:us-east-1:123456789012:email"
CERTIFICATE = "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-1.pem"
SENDGRID = ec.generate_private_key(ec.SECP256R1())
AMAZON = rsa.generate_private_key(65537, 2048)
SVIX_SECRET = base64.b64encode(b"0123456789abcdef01234567").decode()
SETTINGS = {"from_address": "shop@example.com", "providers": [
    {"kind": "ses", "region": "us-east-1", "access_key_id": "A", "secret_access_key": "s",
     "topic_arns": [TOPIC]},
    {"kind": "sendgrid", "api_key": "k", "webhook_key": base64.b64encode(
        SENDGRID.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ).decode()},
    {"kind": "mailgun", "domain": "mg.example.com", "api_key": "k", "webhook_signing_key": "mgkey"},
    {"kind": "postmark", "server_token": "t", "webhook_username": "hook",
     "webhook_password": "right"},
    {"kind": "resend", "api_key": "k", "webhook_secret": f"whsec_{SVIX_SECRET}"},
]}  # fmt: skip


@pytest_asyncio.fixture(loop_scope="session")
async def post(merchant):
    """Posts a body to a service's address of the merchant."""
    installation = merchant.installation
    transport = httpx2.ASGITransport(create_app(installation))

    async def call(service, body, headers=None, of=merchant.id):
        url = route_url(installation.db.keyring, BASE, of, f"email.{service}")
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with httpx2.AsyncClient(transport=transport, base_url=BASE) as client:
            return (await client.post(url, content=data, headers=headers or {})).status_code

    return call


@pytest.fixture
def now(merchant):
    return str(int(merchant.clock().timestamp()))


async def messages(merchant, *names):
    sent, _ = await send_all(merchant, names)
    await enable(merchant, SETTINGS)
    return sent


# -- SendGrid -----------------------------------------------------------------------------------


def sendgrid(events, timestamp, key=SENDGRID):
    body = json.dumps(events).encode()
    signature = key.sign(timestamp.encode() + body, ec.ECDSA(SHA256()))
    return body, {
        "x-twilio-email-event-webhook-signature": base64.b64encode(signature).decode(),
        "x-twilio-email-event-webhook-timestamp": timestamp,
    }


def sendgrid_event(sent, event, number=1, **more):
    return {"email": sent.address, "event": event, "sg_event_id": f"{event}{number}{sent.key}",
            "huike_key": tag(sent.key), "sg_message_id": "x.recv-1", **more}  # fmt: skip


async def test_sendgrid(merchant, post, now):
    gone, blocked, full, happy, angry, left = await messages(
        merchant, "gone", "blocked", "full", "happy", "angry", "left"
    )
    events = [
        sendgrid_event(gone, "bounce", type="bounce", status="5.1.1", reason="550 no such user"),
        sendgrid_event(blocked, "bounce", type="blocked", status="5.7.1", reason="550 spam"),
        sendgrid_event(full, "bounce", type="bounce", status="5.2.2", reason="552 full \ud83d\x00"),
        sendgrid_event(happy, "delivered"), sendgrid_event(happy, "open"),
        sendgrid_event(happy, "deferred", response="451 try again"),
        sendgrid_event(angry, "spamreport"), sendgrid_event(left, "unsubscribe"), "nonsense", {},
    ]  # fmt: skip
    for _ in range(2):
        assert await post("sendgrid", *sendgrid(events, now)) == 200
    assert await fate(merchant, gone) == ("sent", "bounced", "bounced")
    assert await fate(merchant, blocked) == ("sent", "bounced", None)
    assert await fate(merchant, full) == ("sent", "undelivered", None)
    assert await fate(merchant, happy) == ("sent", "delivered", None)
    assert await fate(merchant, angry) == ("sent", "complained", "complained")
    assert (await fate(merchant, left))[2] == "unsubscribed"


async def test_forged_and_old_pushes_of_sendgrid(merchant, post, now):
    (sent,) = await messages(merchant, "a")
    events = [sendgrid_event(sent, "spamreport")]
    body, headers = sendgrid(events, now)
    assert await post("sendgrid", body + b" ", headers) == 403
    assert await post("sendgrid", body) == 403
    stranger = ec.generate_private_key(ec.SECP256R1())
    assert await post("sendgrid", *sendgrid(events, now, stranger)) == 403
    assert await post("sendgrid", *sendgrid(events, str(int(now) - 90_000))) == 403
    assert await fate(merchant, sent) == ("sent", None, None)


# -- Mailgun ------------------------------------------------------------------------------------


def mailgun(sent, now, event, token="t1", key=b"mgkey", **more):
    made = hmac.new(key, f"{now}{token}".encode(), "sha256").hexdigest()
    return {
        "signature": {"timestamp": now, "token": token, "signature": made},
        "event-data": {"event": event, "id": token, "timestamp": float(now),
                       "recipient": sent.address, "user-variables": {"huike_key": tag(sent.key)},
                       "message": {"headers": {"message-id": "1@mg"}}, **more},
    }  # fmt: skip


async def test_mailgun(merchant, post, now):
    gone, blocked, angry, later = await messages(merchant, "gone", "blocked", "angry", "later")
    status = {"code": 550, "message": "5.1.1 The email account does not exist"}
    policy = {"code": 550, "message": "5.7.1 blocked for spam"}
    for push in (
        mailgun(gone, now, "failed", "t1", severity="permanent", **{"delivery-status": status}),
        mailgun(blocked, now, "failed", "t2", severity="permanent", **{"delivery-status": policy}),
        mailgun(angry, now, "complained", "t3"),
        mailgun(later, now, "failed", "t4", severity="temporary"),
    ):
        assert await post("mailgun", push) == 200
    assert await fate(merchant, gone) == ("sent", "bounced", "bounced")
    assert await fate(merchant, blocked) == ("sent", "bounced", None)
    assert await fate(merchant, angry) == ("sent", "complained", "complained")
    assert await fate(merchant, later) == ("sent", "accepted", None)


async def test_a_token_of_mailgun_is_good_for_one_event(merchant, post, now):
    sent, other = await messages(merchant, "a", "b")
    assert await post("mailgun", mailgun(sent, now, "delivered")) == 200
    assert await post("mailgun", mailgun(other, now, "complained")) == 200
    assert await fate(merchant, other) == ("sent", None, None)
    assert await post("mailgun", mailgun(other, now, "complained", "t2", b"wrong")) == 403
    assert await post("mailgun", mailgun(other, "1", "complained", "t3")) == 403
    for body in (b"", b"[]", b"{}", b'{"signature": 1}', b"\xff"):
        assert await post("mailgun", body) == 403
    assert await fate(merchant, other) == ("sent", None, None)


# -- Postmark -----------------------------------------------------------------------------------


def login(password="right"):
    return {"authorization": "Basic " + base64.b64encode(f"hook:{password}".encode()).decode()}


def postmark(sent, record, **more):
    return {"RecordType": record, "MessageID": "m-1", "Metadata": {"huike_key": tag(sent.key)},
            "ID": sent.delivery_id, **more}  # fmt: skip


async def test_postmark(merchant, post):
    gone, blocked, full, happy, angry, left = await messages(
        merchant, "gone", "blocked", "full", "happy", "angry", "left"
    )
    for push in (
        postmark(gone, "Bounce", Type="HardBounce", BouncedAt="2026-06-15T03:00:00Z"),
        postmark(blocked, "Bounce", Type="Blocked"), postmark(full, "Bounce", Type="SoftBounce"),
        postmark(happy, "Bounce", Type="AutoResponder"), postmark(happy, "Delivery"),
        postmark(angry, "SpamComplaint"),
        postmark(left, "SubscriptionChange", SuppressSending=True, Origin="Recipient",
                 SuppressionReason="ManualSuppression", Recipient=left.address),
    ):  # fmt: skip
        assert await post("postmark", push, login("wrong")) == 403
        assert await post("postmark", push, login()) == 200
    assert await fate(merchant, gone) == ("sent", "bounced", "bounced")
    assert await fate(merchant, blocked) == ("sent", "bounced", None)
    assert await fate(merchant, full) == ("sent", "undelivered", None)
    assert await fate(merchant, happy) == ("sent", "delivered", None)
    assert await fate(merchant, angry) == ("sent", "complained", "complained")
    assert (await fate(merchant, left))[2] == "unsubscribed"


# -- Resend -------------------------------------------------------------------------------------


def resend(sent, kind, now, name="msg_1", secret=SVIX_SECRET, **data):
    body = json.dumps({
        "type": kind, "created_at": "2026-06-15T03:00:00Z",
        "data": {"email_id": "e1", "tags": {"huike_key": tag(sent.key)}, **data},
    }).encode()  # fmt: skip
    made = hmac.new(base64.b64decode(secret), f"{name}.{now}.".encode() + body, "sha256")
    signature = f"v1,{base64.b64encode(made.digest()).decode()}"
    return body, {"svix-id": name, "svix-timestamp": now, "svix-signature": signature}


async def test_resend(merchant, post, now):
    gone, full, angry = await messages(merchant, "gone", "full", "angry")
    hard = {"type": "Permanent", "subType": "General", "message": "no such user"}
    soft = {"type": "Transient", "subType": "MailboxFull", "message": "full"}
    assert await post("resend", *resend(gone, "email.bounced", now, "m1", bounce=hard)) == 200
    assert await post("resend", *resend(full, "email.bounced", now, "m2", bounce=soft)) == 200
    assert await post("resend", *resend(angry, "email.complained", now, "m3")) == 200
    assert await fate(merchant, gone) == ("sent", "bounced", "bounced")
    assert await fate(merchant, full) == ("sent", "undelivered", None)
    assert await fate(merchant, angry) == ("sent", "complained", "complained")
    body, headers = resend(full, "email.complained", now, "m4")
    other = base64.b64encode(b"another secret").decode()
    assert await post("resend", *resend(full, "email.complained", now, "m4", other)) == 403
    assert await post("resend", body, {**headers, "svix-id": "m5"}) == 403
    old = str(int(now) - 400)
    assert await post("resend", *resend(full, "email.complained", old, "m6")) == 403
    assert await fate(merchant, full) == ("sent", "undelivered", None)


# -- Amazon SES ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate():
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
        .public_key(AMAZON.public_key())
        .not_valid_before(datetime(2026, 1, 1)).not_valid_after(datetime(2036, 1, 1))  # noqa: DTZ001
        .sign(AMAZON, SHA256())
    )  # fmt: skip
    return made.public_bytes(Encoding.PEM)


@pytest.fixture
def fetched(monkeypatch, certificate):
    """Addresses of Amazon's that were asked."""
    asked = []

    async def fetch(url):
        asked.append(url)
        return certificate if url == CERTIFICATE else b"<html>no</html>"

    monkeypatch.setattr(sns, "fetch", fetch)
    monkeypatch.setattr(sns, "_certificates", {})
    return asked


def from_sns(text, number=1, version="1", kind="Notification", **changes):
    message = {
        "Type": kind, "MessageId": f"id-{number}", "TopicArn": TOPIC, "Message": text,
        "Timestamp": "2026-06-15T03:00:00.000Z", "SignatureVersion": version,
        "SigningCertURL": CERTIFICATE, **changes,
    }  # fmt: skip
    names = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
    if kind != "Notification":
        names = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    signed = "".join(f"{name}\n{message[name]}\n" for name in names if name in message)
    algorithm = SHA1() if version == "1" else SHA256()
    made = AMAZON.sign(signed.encode(), PKCS1v15(), algorithm)
    return {**message, "Signature": base64.b64encode(made).decode()}


def ses(sent, kind, **part):
    return json.dumps({
        "eventType": kind, kind.lower(): {"timestamp": "2026-06-15T03:00:00.000Z", **part},
        "mail": {"messageId": "0100", "tags": {"huike": [tag(sent.key)]}},
    })  # fmt: skip


def bounced(kind, subtype, status="", words=""):
    return {"bounceType": kind, "bounceSubType": subtype, "bouncedRecipients": [
        {"emailAddress": "x", "status": status, "diagnosticCode": words}]}  # fmt: skip


async def test_ses(merchant, post, fetched):
    gone, known, blocked, full, happy, angry = await messages(
        merchant, "gone", "known", "blocked", "full", "happy", "angry"
    )
    events = [
        ses(gone, "Bounce", **bounced("Permanent", "General", "5.1.1", "550 5.1.1 unknown user")),
        ses(known, "Bounce", **bounced("Permanent", "OnAccountSuppressionList")),
        ses(blocked, "Bounce", **bounced("Permanent", "General", "5.7.1", "550 5.7.1 spam")),
        ses(full, "Bounce", **bounced("Transient", "MailboxFull", "5.2.2", "552 full")),
        ses(happy, "Delivery", smtpResponse="250 ok"),
        ses(angry, "Complaint", complaintFeedbackType="abuse"),
        ses(happy, "Open"), "not json", "[]",
    ]  # fmt: skip
    for number, event in enumerate(events):
        assert await post("ses", from_sns(event, number, str(1 + number % 2))) == 200
    assert await fate(merchant, gone) == ("sent", "bounced", "bounced")
    assert await fate(merchant, known) == ("sent", "bounced", "bounced")
    assert await fate(merchant, blocked) == ("sent", "bounced", None)
    assert await fate(merchant, full) == ("sent", "undelivered", None)
    assert await fate(merchant, happy) == ("sent", "delivered", None)
    assert await fate(merchant, angry) == ("sent", "complained", "complained")
    assert fetched == [CERTIFICATE]


async def test_forged_messages_of_sns(merchant, post, fetched):
    (sent,) = await messages(merchant, "a")
    right = from_sns(ses(sent, "Complaint"))
    forged = [
        {**right, "Message": right["Message"] + " "}, {**right, "MessageId": "id-2"},
        {**right, "Signature": "AAAA"}, {**right, "SignatureVersion": "3"},
        from_sns(ses(sent, "Complaint"), TopicArn=TOPIC + "2"),
        from_sns(ses(sent, "Complaint"), SigningCertURL="https://evil.example/x.pem"),
        from_sns(ses(sent, "Complaint"),
                 SigningCertURL="https://sns.us-east-1.amazonaws.com.evil.example/x.pem"),
        from_sns(ses(sent, "Complaint"),
                 SigningCertURL="http://sns.us-east-1.amazonaws.com/x.pem"),
        from_sns(ses(sent, "Complaint"),
                 SigningCertURL="https://a@sns.us-east-1.amazonaws.com/x.pem"),
        from_sns(ses(sent, "Complaint"),
                 SigningCertURL="https://sns.us-east-1.amazonaws.com/other.pem"),
        {**right, "Type": "UnsubscribeConfirmation"},
    ]  # fmt: skip
    for push in forged:
        assert await post("ses", push) == 403, push
    assert await fate(merchant, sent) == ("sent", None, None)
    assert set(fetched) <= {CERTIFICATE, "https://sns.us-east-1.amazonaws.com/other.pem"}


async def test_a_subscription_is_confirmed_at_amazon_only(merchant, post, fetched):
    await enable(merchant, SETTINGS)
    confirm = "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&Token=x"
    asked = {"kind": "SubscriptionConfirmation", "Token": "x"}
    assert await post("ses", from_sns("hello", SubscribeURL=confirm, **asked)) == 200
    assert fetched == [CERTIFICATE, confirm]
    evil = "https://evil.example/?Action=ConfirmSubscription"
    assert await post("ses", from_sns("hello", SubscribeURL=evil, **asked)) == 403
    stranger = from_sns("hello", SubscribeURL=confirm, TopicArn=TOPIC + "2", **asked)
    assert await post("ses", stranger) == 403
    assert len(fetched) == 2


async def test_news_of_another_merchants_message_changes_nothing(merchant, post, now):
    (sent,) = await messages(merchant, "a")
    strange = sent.key.replace(f"{merchant.id}.", f"{merchant.id + 1}.", 1)
    made_up = sent.key[:-1] + ("y" if sent.key.endswith("x") else "x")
    for key in (strange, made_up, ""):
        event = sendgrid_event(sent, "spamreport") | {"huike_key": tag(key), "sg_event_id": key}
        assert await post("sendgrid", *sendgrid([event], now)) == 200
    assert await fate(merchant, sent) == ("sent", None, None)


async def test_a_merchant_without_the_provider_hears_nothing(merchant, post):
    await enable(merchant, {"host": "x.example", "from_address": "s@example.com"})
    for service in ("ses", "sendgrid", "mailgun", "postmark", "resend"):
        assert await post(service, {}) == 403
