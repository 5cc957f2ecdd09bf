"""The mailbox by IMAP, from what lies in it to what becomes of messages and addresses."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from core.domain.shops import ticks
from core.domain.shops.plugins import plugin_context
from core.sdk import ReconnectNeeded, RetryLater
from plugins.email.bounces import mailbox
from plugins.email.bounces.mailbox import read_mailbox
from plugins.email.plugin import plugin
from plugins.email.verp import return_path
from tests.plugins.email.kit import enable, fate, send_all
from tests.plugins.email.test_reading import MAILS
from tests.stand_ins.imap import PASSWORD, USER, imap_server

BOUNCES = "bounces@example.com"


def settings(at, **changes):
    box = {"host": "127.0.0.1", "port": at, "username": USER, "password": PASSWORD,
           "tls": "none"} | changes  # fmt: skip
    return {"host": "127.0.0.1", "from_address": "s@example.com", "mailbox": box}


def mail(name, sent):
    original = f"Message-ID: <{sent.key}@example.com>\nSubject: x\n"
    text = (MAILS / f"{name}.eml").read_text("utf-8")
    path = return_path(BOUNCES, sent.key)
    return text.replace("{path}", path).replace("{original}", original).encode()


def reply(sent, text, sender=None):
    return (
        f"From: {sender or sent.address}\nTo: answers@example.com\nSubject: Re: x\n"
        f"Message-ID: <reply-{sent.delivery_id}@y>\nIn-Reply-To: <{sent.key}@example.com>\n\n{text}"
    ).encode()


async def read(merchant):
    installation = merchant.installation
    context = await plugin_context(
        installation.db, installation.registry, "email", merchant.id
    )  # fmt: skip
    await read_mailbox(context, plugin.channel)


async def test_bounces_complaints_and_replies(merchant, monkeypatch):
    monkeypatch.setattr(mailbox, "PORTION", 2)
    sent, sink = await send_all(
        merchant, ["gone", "blocked", "full", "angry", "left", "kind"], return_path=BOUNCES
    )
    gone, blocked, full, angry, left, kind = sent
    async with imap_server() as server:
        server.add(b"From: old@example.com\nSubject: what was there before\n\nSTOP")
        await enable(merchant, settings(server.port))
        await read(merchant)
        for name, one in (("postfix_unknown", gone), ("outlook_blocked", blocked),
                          ("exchange_full", full), ("arf_abuse", angry)):  # fmt: skip
            server.add(mail(name, one))
        server.add(reply(left, "退订"))
        server.add(reply(kind, "谢谢"))
        for _ in range(2):
            await read(merchant)
        # a mail that is there twice, and a folder that was made anew
        server.add(mail("postfix_unknown", gone))
        server.validity += 1
        await read(merchant)
        assert not server.changed
    assert await fate(merchant, gone) == ("sent", "bounced", "bounced")
    assert await fate(merchant, blocked) == ("sent", "bounced", None)
    assert await fate(merchant, full) == ("sent", "undelivered", None)
    assert await fate(merchant, angry) == ("sent", "complained", "complained")
    assert (await fate(merchant, left))[2] == "unsubscribed"
    assert await fate(merchant, kind) == ("sent", None, None)
    async with merchant.read() as session:
        found = await session.sql.fetch(
            """SELECT delivery_id, opt_out FROM inbound_messages
               WHERE merchant_id = $1 AND delivery_id IS NOT NULL ORDER BY delivery_id""",
            merchant.id,
        )  # fmt: skip
    assert [tuple(row) for row in found] == [(left.delivery_id, True), (kind.delivery_id, False)]
    # what was sent has a return path that names it
    assert len(sink.accepted) == 6


async def test_a_forged_bounce_suppresses_nobody(merchant):
    (victim, mine), _ = await send_all(merchant, ["victim", "mine"])
    forged = mail("postfix_unknown", mine).replace(b"nobody@y.example", victim.address.encode())
    made_up = mail("postfix_unknown", replace(victim, key=victim.key[:-4] + "AAAA"))
    strange = mail("arf_abuse", replace(victim, key=f"{merchant.id + 1}.1.{'A' * 20}"))
    async with imap_server() as server:
        await enable(merchant, settings(server.port))
        await read(merchant)
        for raw in (forged, made_up, strange):
            server.add(raw)
        await read(merchant)
    assert await fate(merchant, victim) == ("sent", None, None)
    assert await fate(merchant, mine) == ("sent", "bounced", "bounced")


async def test_one_mail_that_cannot_be_read_holds_up_no_others(merchant):
    (gone,), _ = await send_all(merchant, ["gone"])
    nested = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n)
        for n in range(1500)
    )
    bounce = mail("postfix_unknown", gone).replace(b"smtp;", b"smtp; \x00\xff")
    async with imap_server() as server:
        await enable(merchant, settings(server.port))
        await read(merchant)
        for raw in (b"From: a@y.example\r\n" + nested, bounce):
            server.add(raw)
        await read(merchant)
    assert await fate(merchant, gone) == ("sent", "bounced", "bounced")


async def test_a_mailbox_that_cannot_be_read_says_why(merchant):
    async with imap_server() as server:
        for changes, error in (
            ({"password": "wrong"}, ReconnectNeeded), ({"folder": "Other"}, ReconnectNeeded),
            ({"tls": "starttls"}, ReconnectNeeded), ({"port": 9}, RetryLater),
            ({"tls": "tls"}, RetryLater),
        ):  # fmt: skip
            await enable(merchant, settings(server.port, **changes))
            with pytest.raises(error):
                await asyncio.wait_for(read(merchant), 20)


async def test_the_clock_reads_it(merchant):
    async with imap_server() as server:
        await enable(merchant, settings(server.port))
        installation = merchant.installation
        await ticks.run_due(installation.db, installation.registry, merchant.id)
        assert server.sessions == 1
        merchant.clock.move(timedelta(minutes=2))
        await ticks.run_due(installation.db, installation.registry, merchant.id)
        assert server.sessions == 2
