from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from core.domain.campaigns.content import message as module
from core.domain.campaigns.content.message import Content, Recipient, Sender
from core.domain.campaigns.content.templates import Liquid, RenderError
from core.domain.campaigns.content.values import Amount, Moment
from core.domain.campaigns.content.variables import ANY, known_variables
from core.domain.campaigns.content.writing import check_content
from core.sdk import ContentField, Several
from core.sdk.errors import HuikeError


class Channel:
    name = title = "letter"
    contact = "email"
    concurrency = 1
    fields = (
        ContentField("subject", "Subject", max_length=200),
        ContentField("html", "Message", html=True),
        ContentField("text", "Text", required=False, text_of="html"),
    )


LIN = Recipient("林 <&>", "浙江省", None, "http://x/unsubscribe/1", "http://x/preferences?t=1")


SENDER = Sender("A & B", None, "Asia/Shanghai")


def render(html, subject="hello", recipient=LIN):
    content = Content(Channel(), {"subject": subject, "html": html}, SENDER)
    return content.render(recipient)["html"]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("<p>{{ customer.name }}</p>", "<p>林 &lt;&amp;&gt;</p>"),
        ("{{customer.province}}{{ customer.city | default: 'x & y' }}|", "浙江省x & y|"),
        ('{{ customer.name | default: "nobody" }}', "林 &lt;&amp;&gt;"),
        ("{{ merchant.name }} {{ shop.name }}", "A &amp; B A &amp; B"),
        ("{{ unsubscribe_url }}\n", "http://x/unsubscribe/1\n"),
        ("100% {curly} }} {", "100% {curly} }} {"),
    ],
)
def test_plain_templates_are_filled_in_as_liquid_would(template, expected, monkeypatch):
    assert render(template) == expected
    monkeypatch.setattr(module, "template", Liquid)
    assert render(template) == expected


def test_liquid_is_there_when_wanted():
    template = "{% unless customer.city %}{{ customer.name | upcase }}{% endunless %}"
    assert render(template) == "林 &lt;&amp;&gt;"
    assert render("{{ customer.city | default: '您的城市' }}") == "您的城市"


def test_text_is_not_escaped():
    content = Content(Channel(), {"subject": "{{ customer.name }}", "html": "x"}, SENDER)
    assert content.render(LIN)["subject"] == "林 <&>"


def refused(content):
    with pytest.raises((HuikeError, Several)) as caught:
        check_content(Channel(), content)
    return {error.path[-1]: error.message for error in caught.value.errors}


def test_every_fault_is_told_at_once():
    found = refused({"subject": " ", "html": "{{ customer.phone }}", "sms": "x"})
    assert found.keys() == {"subject", "html", "sms"}
    assert "customer.phone" in found["html"]


@pytest.mark.parametrize(
    "template",
    ["{{ customer.name", "{% for %}", "{% include 'x' %}", "{{ ''.__class__ }}", "{{ customer }}",
     "{{ customer['phone'] }}", "{% nothing %}", "{{ customer.name | nofilter }}", "a\x00b"],
)  # fmt: skip
def test_bad_templates_are_refused_when_written(template):
    assert "html" in refused({"subject": "x", "html": template})


@pytest.mark.parametrize(
    "template",
    [
        "{% for i in (1..99999) %}{% for j in (1..99999) %}x{% endfor %}{% endfor %}",
        "{% for i in (1..9999) %}" + "x" * 200 + "{% endfor %}",
        "{% assign a = 'aaaaaaaaaaaaaaaa' %}"
        + "{% assign a = a | append: a | append: a | append: a %}" * 12
        + "x",
    ],
)
def test_templates_that_eat_the_machine_fail_for_the_message_only(template):
    with pytest.raises(RenderError):
        render(template)


def test_too_long_and_empty_results_fail():
    with pytest.raises(RenderError, match="longer"):
        render("x", "{{ customer.name }}", Recipient("n" * 300, None, None, "", ""))
    with pytest.raises(RenderError, match="empty"):
        render("x", "{{ customer.name | default: '' }}", Recipient(None, None, None, "", ""))


@pytest.mark.parametrize(
    "template",
    ["{{ customer.city }}", "{{ customer.city | upcase }}", "{{ customer['city'] }}",
     "{% if true %}{{ customer.city }}{% endif %}", "{{ order.number }}",
     "{% for item in order.items %}{{ item.title }}{% endfor %}"],
)  # fmt: skip
def test_a_variable_without_value_never_goes_out(template):
    name = "order" if "order" in template else r"customer\.city"
    with pytest.raises(RenderError, match=rf"^html: {name}[a-z.]* has no value"):
        render(template)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ order.total | money: order.currency }}", "¥1,234.50"),
        ("{{ order.total | times: 2 | money: order.currency }}", "¥2,469.00"),
        ("{{ order.total }}", "1234.50"),
        ("{% if order.total > 1000 %}large{% endif %}", "large"),
        ('{{ order.ordered_at | date: "%-m月%-d日 %H:%M" }}', "6月15日 01:30"),
        ('{{ order.ordered_at | date: "100%% %F" }}', "100% 2026-06-15"),
        ("{{ order.ordered_at }}", "2026-06-15 01:30"),
        ('{{ "2026-06-14T17:30:00+00:00" | date: "%d" }}', "15"),
        ('{{ "2026-02-03" | date: "%d.%m." }}', "03.02."),
        ("{{ customer.name | masked }}", "林**"),
        ("{% for i in order.items %}{{ i.title }}×{{ i.quantity }};{% endfor %}", "茶&lt;×2;"),
        ("{{ order.items[0].title }}{{ order.items.size }}", "茶&lt;1"),
    ],
)
def test_filters_and_orders(template, expected):
    ordered = Moment(2026, 6, 15, 1, 30, tzinfo=ZoneInfo("Asia/Shanghai"))
    values = {
        "now": ordered, "order.total": Amount(123450, "CNY"), "order.currency": "CNY",
        "order.ordered_at": ordered, "order.items": [{"title": "茶<", "quantity": 2}],
    }  # fmt: skip
    assert render(template, recipient=replace(LIN, values=values)) == expected


@pytest.mark.parametrize(
    "template",
    ["{{ 'x' | money: 'CNY' }}", "{{ 'now' | date: '%Y' }}", "{{ today | date: '%Q' }}"],
)
def test_a_filter_that_cannot_be_used_stops_the_message(template):
    with pytest.raises(RenderError, match=r"^html: (money|date)"):
        render(template, recipient=replace(LIN, values={"today": "2026-06-15"}))


def test_only_what_a_message_is_about_can_be_named():
    known = known_variables((), ANY)
    with pytest.raises(
        (HuikeError, Several), match=r"uses order\.number, which does not exist here; there are"
    ):
        check_content(Channel(), {"subject": "{{ order.number }}", "html": "x"}, known)
    check_content(Channel(), {"subject": "{{ order.number }}", "html": "x"})


def test_plain_text_is_made_of_html_unless_it_is_given():
    html = """<html><head><title>no</title><style>p { color: red }</style></head><body>
    <h1>Hi {{ customer.name }}</h1><p>one<br>two &amp; three</p><img src="x" alt="[logo]">
    <ul>{% for i in (1..2) %}<li>{{ i }}</li>{% endfor %}</ul>
    <a href="{{ unsubscribe_url }}">leave</a> <a href="https://a.cn/">https://a.cn/</a></body>"""
    made = Content(Channel(), {"subject": "s", "html": html}, SENDER).render(LIN)
    lines = [line for line in made["text"].split("\n") if line]
    assert lines == [
        "Hi 林 <&>", "one", "two & three", "[logo]", "1", "2",
        "leave (http://x/unsubscribe/1) https://a.cn/",
    ]  # fmt: skip
    given = Content(Channel(), {"subject": "s", "html": html, "text": "own"}, SENDER).render(LIN)
    assert given["text"] == "own"


def test_styles_and_mjml_are_worked_in():
    html = (
        "<style>p{color:red}@media (max-width:9px){p{color:blue}}</style><table>"
        "{% for i in (1..2) %}<tr><td title='{{ i }}'><p>{{ i }}</p></td></tr>{% endfor %}</table>"
    )
    made = render(html)
    assert made.count('<p style="color: red;">') == 2
    assert 'title="2"' in made
    assert "@media" in made
    mjml = (
        "<mjml><mj-body><mj-section><mj-column><mj-text>{{ customer.name }}</mj-text>"
        "</mj-column></mj-section></mj-body></mjml>"
    )
    assert "林 &lt;&amp;&gt;</div>" in render(mjml)


def test_no_file_is_read_for_a_style_sheet(tmp_path):
    (tmp_path / "x.css").write_text("p{color:red}")
    link = f'<link rel="stylesheet" href="file://{tmp_path}/x.css">'
    assert "red" not in render(f"{link}<style>a{{b:c}}</style><p>x</p>")


@pytest.mark.parametrize(
    "html",
    ["<mjml><mj-body", '<mjml><mj-body><mj-include path="/etc/hostname"/></mj-body></mjml>',
     "<mjml><mj-body>" + "<mj-wrapper>" * 8000, "<div>" * 20_000,
     "<mjml><mj-head>{{ customer.name }}</mj-head><mj-body></mj-body></mjml>"],
)  # fmt: skip
def test_html_that_cannot_be_worked_with_is_refused(html):
    assert "is not sound" in refused({"subject": "x", "html": html})["html"]
