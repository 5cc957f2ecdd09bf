"""The default templates, and advice on what is written."""

import pytest
from click.testing import CliRunner

from core.domain.campaigns.content.html import CLIPPED_BYTES, prepared
from core.domain.campaigns.content.message import Content, Recipient, Sender
from core.domain.campaigns.content.writing import check_content, variables_named
from plugins.email.advice import advice
from plugins.email.channel import EmailChannel
from plugins.email.commands import email
from plugins.email.templates import LANGUAGES, default_template

CHANNEL = EmailChannel()


def content(language):
    return {"subject": "{{ shop.name }}", "html": default_template(language)}


def rendered(language, name="林"):
    made = Content(CHANNEL, content(language), Sender("好店公司", "好店", "Asia/Shanghai"))
    return made.render(Recipient(name, None, None, "https://x.example/u", "https://x.example/p"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_default_template_can_be_sent_as_it_is(language):
    check_content(CHANNEL, content(language))
    assert {"unsubscribe_url", "preferences_url"} <= variables_named(CHANNEL, content(language))
    assert advice(content(language)) == []
    assert (
        CliRunner().invoke(email, ["template", "--language", language]).output.startswith("<mjml")
    )
    made = rendered(language)
    assert "林" in made["html"]
    assert rendered(language, None)["html"] != made["html"]
    assert len(made["html"].encode()) < CLIPPED_BYTES / 5
    for words in ("https://x.example/u", "https://x.example/p", "好店公司"):
        assert words in made["html"]
        assert words in made["text"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_default_template_is_safe_in_the_dark(language):
    html = prepared(default_template(language)).lower()
    assert '<meta name="color-scheme" content="light dark"' in html
    assert "prefers-color-scheme: dark" in html
    assert "<img" not in html
    # pure black and white are what mail programs turn around badly
    for colour in ('#fff"', "#ffffff", '#000"', "#000000"):
        assert colour not in default_template(language).lower()


@pytest.mark.parametrize(("field", "text", "words"), [
    ("subject", "BUY NOW CHEAP THINGS", "capitals"),
    ("subject", "好消息！！", "exclamation"),
    ("subject", "Re: your order", "pretends to be an answer"),
    ("subject", "x" * 71, "longer than 70"),
    ("subject", "恭喜您中奖", "from spam"),
    ("html", "<p>hi</p><script>x</script>", "scripts"),
    ("html", "<form action='x'></form>", "forms"),
    ("html", "<img src='https://x.example/a.png'><p>short</p>", "hardly any text"),
    ("html", "<a href='https://evil.example/x'>www.bank.example</a>", "looks like fraud"),
    ("html", "<a href='https://bit.ly/x'>see</a>", "shortened"),
    ("html", "<a href='http://192.0.2.1/x'>see</a>", "bare internet address"),
])  # fmt: skip
def test_what_filters_dislike(field, text, words):
    (found,) = advice({"subject": "x", "html": "<p>x</p>"} | {field: text})
    assert found[0] == field
    assert words in found[1]


@pytest.mark.parametrize("html", [
    "<a href='{{ unsubscribe_url }}'>www.shop.example</a>",
    "<a href='https://shop.example/x'>https://www.shop.example/sale</a>",
    "<img src='https://x.example/a.png'>" + "many words " * 30,
    "<a href='http://[broken'>x</a>", "<style>p{content: 'act now'}</style><p>x</p>",
])  # fmt: skip
def test_what_nobody_minds(html):
    assert advice({"subject": "{{ customer.name }}，好久不见！", "html": html}) == []
