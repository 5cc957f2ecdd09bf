"""Rules as sentences, in both languages."""

import pytest

from core.domain.segments.compile import sentence
from core.domain.segments.facets import FACETS
from core.domain.segments.tree import Stored, read_tree, write_rule
from core.registry import Owned
from core.sdk import Say

BY_NAME = {facet.name: Owned("core", facet) for facet in FACETS}
OFTEN = {"order_count": {"at_least": 3, "orders": {"within": {"last_days": 180}}}}
GUANGDONG = {"province": {"any_of": ["广东", "浙江"]}}
VIP = {"tag": {"any_of": ["vip"]}}
PHONE = {"has_phone": {}}
EMAIL = {"has_email": {}}


@pytest.mark.parametrize(
    ("rule", "en", "zh"),
    [
        ({"all": []}, "everybody", "所有人"),
        ({"any": []}, "nobody", "无人"),
        ({"not": {"any": []}}, "not: nobody", "不满足：无人"),
        (
            {"all": [OFTEN, GUANGDONG, PHONE]},
            "bought at least 3 times in the last 180 days and lives in 广东 or 浙江"
            " and has a phone number",
            "近180天购买至少3次且所在省份为广东或浙江且有手机号",
        ),
        (
            {"any": [{"all": [OFTEN, PHONE]}, VIP]},
            "bought at least 3 times in the last 180 days and has a phone number, or is tagged vip",
            "近180天购买至少3次且有手机号，或带有标签vip",
        ),
        (
            {"all": [{"any": [GUANGDONG, VIP]}, {"not": PHONE}, {"any": [EMAIL]}]},
            "(lives in 广东 or 浙江, or is tagged vip) and not (has a phone number)"
            " and has an email address",
            "（所在省份为广东或浙江，或带有标签vip）且不满足（有手机号）且有邮箱",
        ),
        (
            {"all": [PHONE, {"all": [EMAIL, {"all": [VIP]}]}]},
            "has a phone number and has an email address and is tagged vip",
            "有手机号且有邮箱且带有标签vip",
        ),
        (
            {"all": [{"not": {"any": [PHONE, EMAIL]}}, {"not": {"not": VIP}}]},
            "not (has a phone number, or has an email address) and not (not: is tagged vip)",
            "不满足（有手机号，或有邮箱）且不满足（不满足：带有标签vip）",
        ),
        ({"not": GUANGDONG}, "not: lives in 广东 or 浙江", "不满足：所在省份为广东或浙江"),
        ({"all": [{"not": PHONE}]}, "not: has a phone number", "不满足：有手机号"),
        (
            {"all": [{"any": [{"any": [PHONE, EMAIL]}, {"all": [VIP, OFTEN]}]}, GUANGDONG]},
            "(has a phone number, or has an email address, or is tagged vip and bought at least"
            " 3 times in the last 180 days) and lives in 广东 or 浙江",
            "（有手机号，或有邮箱，或带有标签vip且近180天购买至少3次）且所在省份为广东或浙江",
        ),
        (
            {"all": [PHONE, {"in_segment": {"segment_id": 7}}]},
            "has a phone number and is in the segment “老客”",
            "有手机号且属于人群「老客」",
        ),
    ],
)
def test_a_rule_reads_as_a_sentence(rule, en, zh):
    segments = {7: Stored("老客", {"version": 1, "rule": {"any": [PHONE, EMAIL]}})}
    root = read_tree(write_rule(rule, BY_NAME), BY_NAME, segments)
    assert sentence(root, Say("en")) == en
    assert sentence(root, Say("zh")) == zh
