import pytest

from core.domain.customers.places import place_of, province_of


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("浙江省 杭州市 西湖区 文三路 1 号", ("浙江省", "杭州市")),
        ("上海 上海市 浦东新区 世纪大道 1 号", ("上海", "上海市")),
        ("浙江省杭州市西湖区文三路1号", ("浙江省", "杭州市")),
        ("新疆维吾尔自治区 乌鲁木齐市 天山区", ("新疆维吾尔自治区", "乌鲁木齐市")),
        ("内蒙古自治区呼和浩特市新城区", ("内蒙古自治区", "呼和浩特市")),
        ("黑龙江省 哈尔滨市 南岗区", ("黑龙江省", "哈尔滨市")),
        ("somewhere else", (None, None)),
        ("", (None, None)),
    ],
)
def test_places(address, expected):
    assert place_of(address) == expected


def test_a_province_has_one_spelling():
    assert province_of("浙江") == province_of("浙江省") == "浙江省"
    assert province_of("上海市") == province_of("上海") == "上海"
