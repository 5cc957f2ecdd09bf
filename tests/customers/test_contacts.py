import pytest

from core.domain.customers.contacts import normalise_email, normalise_phone


@pytest.mark.parametrize(
    "text",
    [
        "13800138000",
        "+86 138 0013 8000",
        "86-13800138000",
        "１３８００１３８０００",
        " 138-0013-8000 ",
    ],
)
def test_one_number_has_one_form(text):
    assert normalise_phone(text) == "+8613800138000"


@pytest.mark.parametrize(
    "text",
    ["138****8000", "18877771111-123", "18877771111转123", "", "hello", "12345", "1" * 500, "\x00"],
)
def test_what_cannot_be_reached_is_no_number(text):
    assert normalise_phone(text) is None


def test_emails():
    assert normalise_email(" Li.Lei@Example.COM ") == "li.lei@example.com"


@pytest.mark.parametrize(
    "text",
    [
        "li***@example.com",
        "13800138000",
        "a@b",
        "a b@c.de",
        ".a@b.cn",
        "a..b@c.cn",
        "a@-b.cn",
        "a\r\nBcc: x@y.cn",
    ],
)
def test_what_is_no_email(text):
    assert normalise_email(text) is None
