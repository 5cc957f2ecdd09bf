"""Provinces and cities: one spelling for each, and where they stand in an address. No I/O."""

import re

MUNICIPALITIES = {"北京": "北京", "上海": "上海", "天津": "天津", "重庆": "重庆"}
PROVINCES = MUNICIPALITIES | {
    "内蒙": "内蒙古自治区", "广西": "广西壮族自治区", "西藏": "西藏自治区",
    "宁夏": "宁夏回族自治区", "新疆": "新疆维吾尔自治区", "香港": "香港特别行政区",
    "澳门": "澳门特别行政区", "黑龙": "黑龙江省",
    **{name: f"{name}省" for name in (
        "河北", "山西", "辽宁", "吉林", "江苏", "浙江", "安徽", "福建", "江西", "山东", "河南",
        "湖北", "湖南", "广东", "海南", "四川", "贵州", "云南", "陕西", "甘肃", "青海", "台湾",
    )},
}  # fmt: skip
"""The provinces as Taobao writes them, by their first two characters."""

PROVINCE = re.compile(
    r"(?:内蒙古|广西|西藏|宁夏|新疆)[^省市]{0,5}自治区|(?:香港|澳门)(?:特别行政区)?|黑龙江省?"
    r"|[\u4e00-\u9fff]{2}[省市]?"
)
CITY = re.compile(r"[\u4e00-\u9fff]{1,10}?(?:自治州|地区|市|盟)")


def province_of(text: str) -> str:
    """The province's one spelling: 浙江 and 浙江省 are the same; foreign ones stay as they are."""
    return PROVINCES.get(text[:2], text)


def cities_of(text: str) -> tuple[str, str]:
    """How a city may be stored, since shops write it both ways: 杭州 and 杭州市."""
    short = text.removesuffix("市")
    return short, f"{short}市"


def place_of(address: str) -> tuple[str | None, str | None]:
    """Province and city at the head of a Chinese address, or None where they do not stand there."""
    parts = address.split(None, 2)
    if len(parts) >= 2 and (province := PROVINCES.get(parts[0][:2])) and len(parts[0]) <= 10:
        city = parts[1]
        return province, city if len(city) <= 20 and not city.endswith(("区", "县")) else None
    province = PROVINCES.get(address[:2])
    if province is None:
        return None, None
    if (head := PROVINCE.match(address)) is None:
        return province, None
    rest = address[head.end() :].lstrip()
    city_match = CITY.match(rest)
    if city_match:
        return province, city_match.group()
    return province, f"{province}市" if province in MUNICIPALITIES else None
