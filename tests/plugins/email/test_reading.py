"""Bounces, complaints and replies as they come in, and what must not be believed."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.email.bounces.reading import Incoming, own_words, read_mail
from plugins.email.verp import return_path

KEY = "7.4711.AAAAAAAAAAAAAAAA-_09"
PATH = return_path("bounces@example.com", KEY)
NOW = datetime(2026, 6, 15, 4, tzinfo=UTC)
ORIGINAL = f"Message-ID: <{KEY}@example.com>\nSubject: hello\nFrom: shop@example.com\n"
MAILS = Path(__file__).with_name("mails")


def read(text, to=PATH):
    found = Incoming()
    raw = text.replace("{path}", to).replace("{original}", ORIGINAL).replace("\n", "\r\n")
    read_mail(raw.encode(), NOW, found)
    return found


def mail(name):
    return (MAILS / f"{name}.eml").read_text("utf-8")


@pytest.mark.parametrize(("name", "status", "of_person"), [
    ("postfix_unknown", "bounced", True),
    ("postfix_delayed", "accepted", False),
    ("gmail_disabled", "bounced", True),
    ("outlook_blocked", "bounced", False),
    ("exchange_full", "undelivered", False),
    ("qmail_unknown", "bounced", True),
    ("qq_unknown", "bounced", True),
    ("dsn_delivered", "delivered", False),
    ("dsn_base64", "bounced", True),
])  # fmt: skip
@pytest.mark.parametrize("to", [PATH, PATH.upper(), "bounces@example.com"])
def test_bounces(name, status, of_person, to):
    found = read(mail(name), to)
    assert found.replies == []
    (receipt,) = found.receipts
    assert (receipt.key, receipt.status, receipt.of_person) == (KEY, status, of_person)
    assert receipt.to is None
    assert receipt.at <= NOW
    # the same news has the same name, whoever brings it
    assert read(mail(name), to).receipts[0].event_key == receipt.event_key


def test_a_complaint_and_a_wish_to_be_left_alone():
    (receipt,) = read(mail("arf_abuse")).receipts
    assert (receipt.key, receipt.status) == (KEY, "complained")
    found = read(mail("arf_abuse").replace("abuse\n", "opt-out\n", 1))
    assert found.receipts == []
    assert found.replies[0].opt_out
    for kind in ("not-spam", "auth-failure", ""):
        nothing = read(mail("arf_abuse").replace("Feedback-Type: abuse", f"Feedback-Type: {kind}"))
        assert (nothing.receipts, nothing.replies) == ([], [])


@pytest.mark.parametrize("head", [
    "From: a@y.example\nContent-Type: text/plain; charset=\"utf-8\x00\"",
    "From: a@y.example\nContent-Type: text/plain; charset*=us-ascii''utf%00",
    "From: a@y.example\nContent-Type: text/plain; charset=unicode_escape",
    "From: a@y.example\nContent-Type: text/plain; charset=hex",
    "From: =?utf-8?b?!?= <a@y.example>\nSubject: =?utf-8?q?=00=ff?=",
    "From: a@y.example\nSubject: =?gb2312?B?xOO6w?=",
])  # fmt: skip
def test_no_mail_is_poison(head):
    (reply,) = read(f"{head}\nMessage-ID: <1@y>\n\nSTOP \\ud800 \x00").replies
    assert reply.sender == "a@y.example"
    assert "\x00" not in reply.text
    assert reply.text.encode()


def test_a_report_without_a_key_is_nothing():
    for name in ("postfix_unknown", "arf_abuse", "qmail_unknown"):
        text = mail(name).replace("{original}", "Subject: hello\n")
        found = read(text, "bounces@example.com")
        assert found.receipts == []


@pytest.mark.parametrize(("body", "text"), [
    ("退订\n", "退订"),
    ("Stop\n\n> On Monday you wrote\n> hello\n", "Stop"),
    ("TD\n\nOn Mon, 15 Jun 2026 at 10:00, 小店 <shop@example.com> wrote:\n> hello\n", "TD"),
    ("R\n\n发自我的iPhone\n", "R"),
    ("T\n\n------------------ 原始邮件 ------------------\n发件人: shop\n", "T"),
    ("好的\n谢谢\n\n在 2026年6月15日，小店 写道：\n> 您好\n", "好的\n谢谢"),
    ("N\n-- \nJoe\nDirector\n", "N"),
    ("\n> only quoted\n", "Re: hello"),
])  # fmt: skip
def test_replies(body, text):
    found = read(
        "From: =?utf-8?b?5p6X?= <Lin@Example.COM>\nTo: answers@example.com\nSubject: Re: hello\n"
        "Date: Mon, 15 Jun 2026 03:00:00 +0000\nMessage-ID: <1@y>\n"
        f"In-Reply-To: <{KEY}@example.com>\nContent-Type: text/plain; charset=utf-8\n\n{body}"
    )
    (reply,) = found.replies
    assert reply.sender == "lin@example.com"
    assert reply.key == KEY
    assert reply.text == (text if not text.startswith("Re:") else "hello")
    assert reply.at.isoformat() == "2026-06-15T03:00:00+00:00"


@pytest.mark.parametrize("header", [
    "Auto-Submitted: auto-replied", "Precedence: bulk", "X-Autoreply: yes",
])  # fmt: skip
def test_machines_that_answer_are_not_heard(header):
    found = read(f"From: a@example.com\nTo: {{path}}\n{header}\nSubject: away\n\nI am away. STOP\n")
    assert (found.receipts, found.replies) == ([], [])


def test_html_and_other_character_sets():
    found = read(
        "From: a@example.com\nTo: x@example.com\nSubject: x\nContent-Type: text/html\n\n"
        "<html><style>p{}</style><p>退订</p><blockquote>hello</blockquote></html>"
    )
    assert found.replies[0].text.startswith("退订")
    raw = (
        b"From: a@example.com\r\nContent-Type: text/plain; charset=gb2312\r\n\r\n"
        + "退订".encode("gb2312")
    )
    into = Incoming()
    read_mail(raw, NOW, into)
    assert into.replies[0].text == "退订"


@settings(max_examples=150, deadline=None)
@given(st.one_of(
    st.binary(max_size=400),
    st.lists(st.sampled_from([
        b"Content-Type: multipart/report; report-type=delivery-status; boundary=x\r\n",
        b"Content-Type: message/delivery-status\r\n", b"\r\n", b"--x\r\n", b"--x--\r\n",
        b"Action: failed\r\n", b"Status: 5.1.1\r\n", b"Status: \xff\r\n", b"From: <>\r\n",
        b"Date: Mon, 99 Foo 2026 99:00:00\r\n", b"Content-Type: text/plain; charset=nope\r\n",
        b"Content-Transfer-Encoding: base64\r\n", b"=?x?b?!?=\r\n", f"To: {PATH}\r\n".encode(),
        b"Subject: =?utf-8?q?=ff?=\r\n", b"Return-Path: <>\r\n",
    ]), max_size=20).map(b"".join),
))  # fmt: skip
def test_nothing_that_comes_in_breaks_the_reading(raw):
    into = Incoming()
    read_mail(raw, NOW, into)
    assert all(receipt.key == KEY for receipt in into.receipts)


def test_quotes_do_not_swallow_what_was_written():
    assert own_words("> a\nyes") == ""
    assert own_words("yes\n> a\nno") == "yes"
    assert own_words("") == ""
