"""Campaigns by email through the ledger: signed, with a return path, and refused recipients."""

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from core.testing import smtp
from core.testing.smtp import smtp_sink
from plugins.email.checking.keys import record_of
from plugins.email.settings import EmailSettings
from plugins.email.verp import key_of_path
from tests.plugins.email.kit import campaign_run, enable, fate, send, send_all
from tests.sending_kit import add_customers

KEY = rsa.generate_private_key(65537, 2048)
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
DKIM = [{"domain": "example.com", "selector": "s1", "private_key": PEM}]


async def test_a_message_is_signed_and_its_return_path_names_it(merchant, monkeypatch):
    senders = []
    plain = smtp.Conversation._mail

    def mail(self, line):
        senders.append(line.decode())
        return plain(self, line)

    monkeypatch.setitem(smtp.Conversation._answers, b"MAIL", mail)
    (sent,), sink = await send_all(merchant, ["a"], return_path="bounces@example.com", dkim=DKIM)
    assert [key_of_path(line) for line in senders] == [sent.key]
    (raw,) = sink.messages
    assert dkim.DKIM(raw).verify(dnsfunc=lambda name, timeout=5: record_of(KEY).encode())
    assert b"list-unsubscribe:list-unsubscribe-post" in raw.replace(b"\r\n", b"").lower()


async def test_only_a_mailbox_that_does_not_exist_is_suppressed(merchant, monkeypatch):
    answers = {"gone": b"550 5.1.1 no such user\r\n", "spam": b"550 5.7.1 blocked for spam\r\n"}

    def rcpt(self, line):
        name = line.decode().partition("<")[2].partition("@")[0]
        return answers.get(name) or plain(self, line)

    plain = smtp.Conversation._rcpt
    monkeypatch.setitem(smtp.Conversation._answers, b"RCPT", rcpt)
    (gone, spam, good), _ = await send_all(merchant, ["gone", "spam", "good"])
    assert await fate(merchant, gone) == ("failed", "bounced", "bounced")
    assert await fate(merchant, spam) == ("failed", None, None)
    assert await fate(merchant, good) == ("sent", None, None)


async def test_another_server_takes_over_when_the_first_is_away(merchant):
    async with smtp_sink() as second:
        other = {"kind": "smtp", "name": "second", "host": "127.0.0.1", "port": second.port,
                 "tls": "none"}  # fmt: skip
        await add_customers(merchant, ["a@example.com"])
        await enable(merchant, {"host": "127.0.0.1", "port": 9, "tls": "none",
                                "from_address": "s@example.com", "providers": [other]})  # fmt: skip
        run_id = await campaign_run(merchant)
        await send(merchant, run_id)
        assert len(second.accepted) == 1
    async with merchant.read() as session:
        provider = await session.sql.fetchval(
            "SELECT provider FROM deliveries WHERE merchant_id = $1", merchant.id
        )
    assert provider == "second"


@pytest.mark.parametrize(("changes", "words"), [
    ({"dkim": [{"domain": "example.com", "selector": "s", "private_key": "x"}]}, "dkim-key"),
    ({"return_path": "much-too-long-name@example.com"}, "at most 10"),
    ({"host": None}, "nobody takes the messages"),
    ({"host": None, "username": "u", "password": "p"}, "belong to host"),
    ({"providers": [{"kind": "smtp", "host": "x"}]}, "a name of its own"),
    ({"providers": [{"kind": "pigeon"}]}, "pigeon"),
])  # fmt: skip
def test_settings_say_what_is_wrong(changes, words):
    with pytest.raises(ValueError, match=words):
        EmailSettings.model_validate(
            {"host": "x.example", "from_address": "s@example.com"} | changes
        )  # fmt: skip
