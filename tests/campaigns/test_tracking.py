"""Links in templates, and the tokens that name a message and a link."""

from dataclasses import replace

import pytest

from core.domain.campaigns.content.message import Content, Recipient, Sender
from core.domain.campaigns.content.tracking import is_sound, links_of
from core.domain.campaigns.links import click_url, open_url, read_click_token, read_open_token
from core.sdk import ContentField
from core.sdk.flows import Options

SENDER = Sender("m", None, "Asia/Shanghai")
RECIPIENT = Recipient("Lin", None, None, "http://x/u", "http://x/p")
URL = "https://shop.example"


class Letter:
    name = title = "letter"
    contact = "email"
    concurrency = 1
    fields = (
        ContentField("subject", "Subject"),
        ContentField("html", "Message", html=True),
        ContentField("text", "Text", required=False, text_of="html"),
    )


class Text:
    name = title = "text"
    contact = "phone"
    concurrency = 1
    fields = (ContentField("text", "Text"),)


def made(merchant, channel, content, options=None, **more):
    built = Content(channel, content, SENDER, None, options or Options())
    keyring = merchant.installation.db.keyring
    values = built.tracking.values(keyring, URL, 7, 42)
    addresses = built.tracking.addresses(keyring, URL, 7, 42)
    return built, built.render(replace(RECIPIENT, values=values | more), addresses), addresses.found


HTML = """<body><a class="x" href="https://a.cn/?b=1&amp;c=2">one</a>
<a href='{{ unsubscribe_url }}'>no</a> <A HREF='http://b.cn'>two</a>
<a href="https://a.cn/?b=1&amp;c=2">one again</a> <a href="https://c.cn/{{ customer.name }}">own</a>
<a href="https://{{ customer.name }}.cn/">free</a>
<a href="mailto:a@b.cn">mail</a> <a href="#top">top</a></body>"""


def test_links_of_html_and_of_its_text_lead_over_us(merchant):
    built, content, found = made(merchant, Letter(), {"subject": "https://s.cn", "html": HTML})
    assert built.tracking.urls == ("https://a.cn/?b=1&c=2", "http://b.cn")
    keyring = merchant.installation.db.keyring
    first, second = (click_url(keyring, URL, 7, 42, n) for n in (0, 1))
    assert content["html"].count(f'href="{first}"') == 2
    assert f"HREF='{second}'" in content["html"]
    own = click_url(keyring, URL, 7, 42, 3)
    assert found == {"https://c.cn/Lin": (3, 2)}
    assert built.tracking.patterns == ("https://c.cn/{{ customer.name }}",)
    assert f'href="{own}">own' in content["html"]
    assert f"own ({own})" in content["text"]
    assert 'href="https://Lin.cn/"' in content["html"]
    assert f"one ({first})" in content["text"]
    assert "http://x/u" in content["html"]
    assert content["subject"] == "https://s.cn"
    assert "<img" not in content["html"]


def test_texts_get_short_links(merchant):
    text = "看 https://a.cn/x, https://b.cn/{{ customer.name }}。https://a.cn/x！"
    built, content, found = made(merchant, Text(), {"text": text})
    keyring = merchant.installation.db.keyring
    short, own = (click_url(keyring, URL, 7, 42, n, short=True) for n in (0, 2))
    assert content["text"] == f"看 {short}, {own}。{short}！"
    assert found == {"https://b.cn/Lin": (2, 1)}
    assert len(short) == len(URL) + len("/s/7.G.0.") + 8
    assert built.tracking.urls == ("https://a.cn/x",)


def test_nothing_is_tracked_unless_wanted(merchant):
    options = Options(track_clicks=False)
    built, content, _ = made(merchant, Letter(), {"subject": "s", "html": HTML}, options)
    assert (built.tracking.urls, built.tracking.variables) == ((), frozenset())
    assert "http://b.cn" in content["html"]


def test_openings_are_seen_by_a_picture_at_the_end(merchant):
    options = Options(track_clicks=False, track_opens=True)
    _, content, _ = made(merchant, Letter(), {"subject": "s", "html": HTML}, options)
    url = open_url(merchant.installation.db.keyring, URL, 7, 42)
    assert content["html"].endswith(f'<img src="{url}" width="1" height="1" alt=""></body>')


def test_a_liquid_text_with_an_address_inside_stays_whole(merchant):
    html = """<p>{{ customer.city | default: "https://a.cn" }}</p>
    {% assign more = '<a href="https://b.cn">b</a>' %}<a href="https://c.cn">c</a>"""
    built, _, _ = made(merchant, Letter(), {"subject": "s", "html": html})
    assert built.tracking.links == ("https://c.cn",)


def test_each_address_of_a_loop_is_a_link_of_its_own(merchant):
    html = """{% for one in order.items %}<a href="https://a.cn/?p={{ one.sku }}&amp;o={{
    order.number }}">{{ one.title }}</a>{% endfor %}"""
    items = [{"title": "茶", "sku": sku} for sku in ("T 1", "C2", "T 1")]
    given = {"order.items": items, "order.number": "7"}
    _, content, found = made(merchant, Letter(), {"subject": "s", "html": html}, None, **given)
    assert found == {"https://a.cn/?p=T%201&o=7": (1, 0), "https://a.cn/?p=C2&o=7": (2, 0)}
    first = click_url(merchant.installation.db.keyring, URL, 7, 42, 1)
    assert content["html"].count(f'href="{first}"') == 2


@pytest.mark.parametrize(
    "name",
    ["\x03 \x020:https://evil.cn/\x03", "\x021:https://evil.cn/\x03", "\x02", "x" * 2000,
     "\x020:https://a.cn.evil.cn/\x03", "\x0299:https://a.cn/\x03", f"\x02{'9' * 5000}:https://a.cn/\x03"],
)  # fmt: skip
def test_no_value_of_a_customer_leads_anywhere_else(merchant, name):
    text = "{{ customer.name }} https://a.cn/{{ customer.name }} "
    _, content, found = made(merchant, Text(), {"text": text}, None, **{"customer.name": name})
    assert all(url.startswith("https://a.cn/") for url in found)
    assert not {"\x02", "\x03"} & set(content["text"])


@pytest.mark.parametrize(
    ("url", "sound"),
    [("https://a.cn/x?y#z", True), ("http://1.2.3.4:80/", True), ("https://u:p@a.cn/", False),
     ("https://a.cn:99999/", False), ("https:///x", False), ("https://a.cn/\\x", False),
     ("https://a.cn/" + "x" * 2000, False), ("https://[::1", False)],
)  # fmt: skip
def test_only_sound_addresses_are_stored(url, sound):
    assert is_sound(url) == sound


def test_addresses_that_cannot_be_tracked_are_told():
    assert links_of(HTML, True) == (
        ["https://a.cn/?b=1&c=2", "http://b.cn"], ["https://{{…}}.cn/"]
    )  # fmt: skip
    text = "https://a.cn{{ x }}/ https://u@b.cn/{{ x }} https://c.cn:{{ x }}/ https://d.cn?{{ x }}"
    assert links_of(text, False) == (
        [], ["https://a.cn{{…}}/", "https://u@b.cn/{{…}}", "https://c.cn:{{…}}/"]
    )  # fmt: skip


def test_tokens_cannot_be_made_up(merchant):
    keyring = merchant.installation.db.keyring
    for short, path in ((False, "/t/c/"), (True, "/s/")):
        token = click_url(keyring, "", 7, 10**15, 3, short).removeprefix(path)
        assert read_click_token(keyring, token, short) == (7, 10**15, 3)
        assert read_click_token(keyring, token, not short) is None
        changed = ("9" if token.startswith("8") else "8") + token[1:]
        for forged in ("", ".", "7.1.0", token[:-1], changed, token + "x", "é.é"):
            assert read_click_token(keyring, forged, short) is None
    token = open_url(keyring, "", 7, 42).removeprefix("/t/o/")
    assert read_open_token(keyring, token) == (7, 42)
    assert read_open_token(keyring, token.replace("7.", "8.")) is None
    assert read_click_token(keyring, token) is None
