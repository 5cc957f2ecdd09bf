import pytest

from core.domain.campaigns.content.sms import faults, has_link, measure, says_how_to_refuse


@pytest.mark.parametrize(
    ("text", "signature", "abroad", "length", "parts"),
    [
        ("", "", False, 0, 1),
        ("字" * 70, "", False, 70, 1),
        ("字" * 71, "", False, 71, 2),
        ("a" * 134, "", False, 134, 2),
        ("a" * 135, "", False, 135, 3),
        ("字" * 64, "小店铺", False, 69, 1),
        ("字" * 66, "小店铺", False, 71, 2),
        ("😀" * 35, "", False, 70, 1),
        ("😀" * 36, "", False, 72, 2),
        ("字" * 66 + "😀" + "字" * 66, "", False, 134, 3),
        ("a" * 160, "", True, 160, 1),
        ("a" * 161, "", True, 161, 2),
        ("a" * 306, "", True, 306, 2),
        ("a" * 307, "", True, 307, 3),
        ("€" * 80, "", True, 160, 1),
        ("[" + "a" * 159, "", True, 161, 2),
        ("a" * 152 + "€" + "a" * 152 + "€", "", True, 308, 3),
        ("é" * 160, "", True, 160, 1),
        ("ê" + "a" * 70, "", True, 71, 2),
    ],
)
def test_lengths_and_parts(text, signature, abroad, length, parts):
    made = measure(text, signature, abroad)
    assert (made.length, made.parts) == (length, parts)


def test_what_providers_refuse():
    assert list(faults("您的订单已发货")) == []
    assert "😀" in next(faults("好😀"))
    assert "signature" in next(faults("【店】好"))
    assert "500" in next(faults("字" * 497, "小店"))
    assert list(faults("字" * 496)) == []
    assert list(faults("[😀]" * 300, abroad=True)) == []


@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        ("新品上市，拒收请回复R", "拒收请回复R", True),
        ("新品上市，拒收请回复R。", "拒收请回复R", True),
        ("拒收请回复R 新品上市", "拒收请回复R", False),
        ("新品上市 回T退订", None, True),
        ("Sale! Reply STOP", None, True),
        ("新品上市", None, False),
        ("欢迎回来看看", None, False),
        ("退订方法见官网。新品上市，全场五折，快来看看吧", None, False),
    ],
)
def test_how_to_refuse_stands_at_the_end(text, words, said):
    assert says_how_to_refuse(text, words) == said


def test_links_in_values_are_found():
    assert has_link("see HTTP://a.cn")
    assert has_link("www.a.cn")
    assert not has_link("张三")
