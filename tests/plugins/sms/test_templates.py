import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from core.sdk.ids import join_id
from plugins.sms.routing import way_of
from plugins.sms.settings import SmsSettings
from plugins.sms.templates import Template, Templates, wrong_with_template
from plugins.sms.texts import full_number, is_abroad, price_of, short_number

SANDBOX = {"kind": "sandbox"}


@pytest.mark.parametrize(
    ("template", "text", "values"),
    [
        ("你好", "你好", {}),
        ("你好", "你好!", None),
        ("${a}你好", "张三你好", {"a": "张三"}),
        ("${a}你好", "你好", {"a": ""}),
        ("{1}在{2}", "x在y在z", {"1": "x", "2": "y在z"}),
        ("${a}和${a}", "x和x", {"a": "x"}),
        ("${a}和${a}", "x和y", None),
        ("【${a}", "a", None),
        ("aa${x}aa", "aaa", None),
        ("a${x}b${y}c", "a1b2c", {"x": "1", "y": "2"}),
        ("a${x}b${y}c", "a1c", None),
    ],
)
def test_a_text_is_read_by_its_template(template, text, values):
    assert Template("1", template).read(text) == values


def joined(literals, between):
    pairs = zip(literals, [*between[: len(literals) - 1], ""], strict=True)
    return "".join(literal + one for literal, one in pairs)


@limits(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.text("ab。", min_size=1, max_size=4), min_size=2, max_size=5),
    st.lists(st.text("abc。", max_size=5), min_size=5, max_size=5),
)
def test_whatever_is_read_makes_the_text_again(literals, values):
    names = [f"v{n}" for n in range(len(literals) - 1)]
    template = Template("1", joined(literals, [f"${{{name}}}" for name in names]))
    text = joined(literals, values)
    found = template.read(text)
    assert found is not None
    made = template.text
    for name, value in found.items():
        made = made.replace(f"${{{name}}}", value)
    assert made == text


def test_the_template_of_the_right_class_and_place_is_taken():
    templates = Templates([
        Template("1", "hi${x}", "service", False), Template("2", "hi${x}", "marketing", False),
        Template("3", "hi${x}", None, True),
    ])  # fmt: skip
    assert templates.match("hi!", "marketing", False)[0].code == "2"
    assert templates.match("hi!", "service", True)[0].code == "3"
    assert templates.match("ho!", "service", True) is None


@pytest.mark.parametrize(
    ("text", "message_class", "faults"),
    [
        ("${a}快来，拒收请回复R", "marketing", 0), ("${a}快来", "marketing", 1),
        ("${a}${b}快来，拒收请回复R", "marketing", 1), ("${a}", "service", 1),
        ("【店】你好", "service", 1), ("发货了，拒收请回复R", "service", 1),
    ],
)  # fmt: skip
def test_what_reviewers_would_reject(text, message_class, faults):
    assert len(list(wrong_with_template(text, message_class, "拒收请回复R", False))) == faults


@pytest.mark.parametrize(
    ("number", "full"),
    [("13800138000", "+8613800138000"), ("8613800138000", "+8613800138000"),
     ("+8613800138000", "+8613800138000"), ("008613800138000", "+8613800138000"),
     ("447400123451", "+447400123451")],
)  # fmt: skip
def test_numbers_as_vendors_write_them(number, full):
    assert full_number(number) == full
    assert full_number(short_number(full)) == full
    assert is_abroad(full) is full.startswith("+44")


def settings(**more):
    return SmsSettings.model_validate({"providers": [SANDBOX], "signature": "小店", **more})


def test_the_route_of_the_shop_and_class_goes_first():
    two = {"providers": [SANDBOX, {"kind": "sandbox", "name": "other"}]}
    made = settings(**two, routes=[
        {"providers": ["other"], "message_class": "service"},
        {"providers": ["other", "sandbox"], "shop": join_id("Shop", 7), "signature": "旗舰店"},
        {"providers": ["sandbox"], "shop": 7, "message_class": "service"},
    ])  # fmt: skip
    assert way_of(made, None, "marketing").providers == ["sandbox", "other"]
    assert way_of(made, None, "service").providers == ["other"]
    assert way_of(made, 7, "service").providers == ["sandbox"]
    assert way_of(made, 7, "marketing").signature == "旗舰店"


def test_prices_go_by_the_numbers_region():
    provider = settings(providers=[SANDBOX | {"prices": {"CN": "0.04", "GB": "0.3"}}]).providers[0]
    assert str(price_of(provider, "+8613800138000")) == "0.04"
    assert str(price_of(provider, "+447400123451")) == "0.3"
    assert price_of(provider, "+12015550123") is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"providers": []}, {"providers": [SANDBOX, SANDBOX]}, {"signature": "【店】"},
        {"routes": [{"providers": ["nobody"]}]},
        {"routes": [{"providers": ["sandbox"], "shop": "x"}]},
        {"budget": {"day": "5"}}, {"providers": [SANDBOX | {"prices": {"China": "1"}}]},
        {"unknown": 1},
        {"providers": [{"kind": "gateway", "url": "file:///etc/passwd", "fields": {"a": "b"},
                        "accepted": {"path": "a", "values": ["1"]}, "push_secret": "x" * 16}]},
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_are_refused(wrong):
    with pytest.raises(ValueError):
        settings(**wrong)
