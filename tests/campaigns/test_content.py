import pytest

from core.domain.campaigns import content as module
from core.domain.campaigns.content import Content, Recipient, RenderError, check_content
from core.sdk import ContentField, Several


class Channel:
    name = title = "letter"
    contact = "email"
    concurrency = 1
    fields = (
        ContentField("subject", "Subject", max_length=200),
        ContentField("html", "Message", html=True),
        ContentField("text", "Text", required=False),
    )


LIN = Recipient("林 <&>", "浙江省", None, "http://x/unsubscribe/1", "http://x/preferences?t=1")


def render(html, subject="hello", recipient=LIN):
    content = Content(Channel(), {"subject": subject, "html": html}, "A & B", None)
    return content.render(recipient)["html"]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("<p>{{ customer.name }}</p>", "<p>林 &lt;&amp;&gt;</p>"),
        ("{{customer.province}}{{ customer.city }}|", "浙江省|"),
        ("{{ merchant.name }} {{ shop.name }}", "A &amp; B A &amp; B"),
        ("{{ unsubscribe_url }}\n", "http://x/unsubscribe/1\n"),
        ("100% {curly} }} {", "100% {curly} }} {"),
    ],
)
def test_plain_templates_are_filled_in_as_liquid_would(template, expected, monkeypatch):
    assert render(template) == expected
    monkeypatch.setattr(module, "_plain", lambda *_: None)
    assert render(template) == expected


def test_liquid_is_there_when_wanted():
    template = "{% if customer.city == '' %}{{ customer.name | upcase }}{% endif %}"
    assert render(template) == "林 &lt;&amp;&gt;"
    assert render("{{ customer.city | default: '您的城市' }}") == "您的城市"


def test_text_is_not_escaped():
    content = Content(Channel(), {"subject": "{{ customer.name }}", "html": "x"}, "m", "s")
    assert content.render(LIN)["subject"] == "林 <&>"


def refused(content):
    with pytest.raises(Several) as caught:
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
        render("x", "{{ customer.name }}", Recipient(None, None, None, "", ""))
