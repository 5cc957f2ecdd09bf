import email
import email.policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.sdk import OutgoingMessage, Refused
from plugins.email.message import MessageBuilder, check_address, text_of
from plugins.email.settings import EmailSettings


def build(to="a@example.com", url="http://x/unsubscribe/1", **content):
    fields = {"subject": "hello", "html": "<p>hi</p>"} | content
    builder = MessageBuilder("shop@example.com", '小店 "A"')
    _, data = builder.build(OutgoingMessage("1.2.key", to, fields, "marketing", url))
    return data


def parsed(data):
    return email.message_from_bytes(data, policy=email.policy.default)


def test_a_message_has_what_it_needs():
    message = parsed(build(subject="林，好久不见", html="<p>您好</p>", text="您好"))
    assert message["subject"] == "林，好久不见"
    assert message["from"].addresses[0].addr_spec == "shop@example.com"
    assert message["from"].addresses[0].display_name == '小店 "A"'
    assert message["to"] == "a@example.com"
    assert message["message-id"] == "<1.2.key@example.com>"
    assert message["list-unsubscribe"] == "<http://x/unsubscribe/1>"
    assert message["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
    assert message["date"].datetime
    assert message.get_body(("plain",)).get_content().strip() == "您好"
    assert message.get_body(("html",)).get_content().strip() == "<p>您好</p>"
    assert not message.defects


def test_a_service_message_cannot_be_unsubscribed_from():
    assert "list-unsubscribe" not in parsed(build(url=None))


@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=300))
def test_any_subject_survives(subject):
    found = parsed(build(subject=f"x{subject}x"))["subject"]
    assert found == f"x{subject}x"


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=2000))
def test_any_text_survives_and_lines_stay_short(text):
    data = build(text=text, html=text)
    assert max(map(len, data.split(b"\r\n"))) < 998
    content = parsed(data).get_body(("html",)).get_payload(decode=True).decode()
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    assert content.replace("\r\n", "\n") == plain


@pytest.mark.parametrize(
    ("to", "subject"),
    [
        ("a@example.com", "x\r\nBcc: evil@example.com"),
        ("a@example.com", "x\ny"),
        ("a@example.com\r\nRCPT TO:<b@example.com>", "x"),
        ("a@example.com>,<b@example.com", "x"),
        ("a b@example.com", "x"),
        ("nobody", "x"),
        ("林@example.com", "x"),
    ],
)
def test_headers_cannot_be_smuggled_in(to, subject):
    with pytest.raises(Refused):
        build(to=to, subject=subject)


def test_international_domains_are_written_in_ascii():
    assert check_address("a@例子.com") == "a@xn--fsqu00a.com"


def test_text_is_made_from_html():
    html = "<style>p{}</style><p>Hi&amp;you</p><p>Go <a href='http://x/?a=1'>there</a><br>now</p>"
    assert text_of(html) == "Hi&you\nGo there (http://x/?a=1)\nnow"


@pytest.mark.parametrize(
    "changes",
    [{"from_address": "nobody"}, {"from_name": "a\r\nBcc: x"}, {"port": 0}, {"username": "u"},
     {"tls": "perhaps"}, {"host": ""}, {"unknown": 1}],
)  # fmt: skip
def test_settings_that_cannot_work_are_refused(changes):
    good = {"host": "mail.example.com", "from_address": "shop@example.com"}
    EmailSettings.model_validate(good)
    with pytest.raises(ValueError):
        EmailSettings.model_validate(good | changes)
