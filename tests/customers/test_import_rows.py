import contextlib
from datetime import date

import pytest

from core.domain.customers.import_columns import NoIdentityColumn, find_columns
from core.domain.customers.import_rows import RowParser, read_birthday, read_email, read_phone
from core.sdk import InvalidInput
from core.tabular.bulk import RowError

TODAY = date(2026, 6, 15)


@pytest.mark.parametrize(
    "text",
    ["13800138000", "138 0013 8000", "138-0013-8000", "+86 138 0013 8000", "+8613800138000",
     "86-13800138000", "0086 13800138000", "１３８００１３８０００", "＋８６１３８００１３８０００",
     "13800138000.0", "(+86)13800138000"],
)  # fmt: skip
def test_phones(text):
    assert read_phone(text) == "+8613800138000"


def test_phones_of_other_countries():
    assert read_phone("0171 2345678", "DE") == "+491712345678"
    assert read_phone("+1 650-253-0000") == "+16502530000"
    assert read_phone("010-65125678") == "+861065125678"


@pytest.mark.parametrize(
    "text", ["138****8000", "138＊＊＊＊8000", "13800138000-1234", "13800138000转5678",
             "95013012345678-1234", "13800138000 ext 99"]
)  # fmt: skip
def test_masked_and_virtual_phones_say_not_who_it_is(text):
    assert read_phone(text) is None


@pytest.mark.parametrize("text", ["12345", "abc", "=1+1", "123456789012345678", "😀", "0"])
def test_no_phones(text):
    with pytest.raises(RowError) as error:
        read_phone(text)
    assert error.value.code == "BAD_PHONE"
    assert text not in error.value.reason


@pytest.mark.parametrize("text", ["1.38E+10", "1.3800138E10", "1.3800138E+10"])
def test_rounded_phones(text):
    with pytest.raises(RowError) as error:
        read_phone(text)
    assert error.value.code == "LOST_DIGITS"


def test_emails():
    assert read_email(" Ann@Example.COM ") == "ann@example.com"
    assert read_email("ann＠example．com") == "ann@example.com"
    assert read_email("a***@example.com") is None
    for text in ("ann", "a@b", "a b@example.com", "@example.com", "a@@b.com", "x" * 300 + "@a.com"):
        with pytest.raises(RowError) as error:
            read_email(text)
        assert error.value.code == "BAD_EMAIL"


@pytest.mark.parametrize(
    "text",
    ["1990-01-02", "1990/1/2", "1990.1.2", "1990年1月2日", "19900102", "１９９０-０１-０２",
     "1990-01-02 00:00:00", "1990-01-02T08:00:00+08:00", "32875"],
)  # fmt: skip
def test_birthdays(text):
    assert read_birthday(text, TODAY) == date(1990, 1, 2)


@pytest.mark.parametrize(
    "text",
    ["1826-01-02", "2026-06-16", "9999-12-31", "1/2/1990", "02-01-1990", "90-01-02", "1990",
     "1990-02-30", "1990-13-01", "soon", "0000-00-01", "1月2日", "-1"],
)  # fmt: skip
def test_no_birthdays(text):
    with pytest.raises(ValueError):
        read_birthday(text, TODAY)


def test_headers_are_found():
    columns = find_columns(
        ["会员卡号", "姓名", "联系电话", "手机", "E-Mail", "生 日", "省份", "城市", "标签", "备注"],
        {},
    )
    assert dict(columns.at) == {
        "id.member_card": (0,), "name": (1,), "phone": (3, 2), "email": (4,), "birthday": (5,),
        "province": (6,), "city": (7,), "tags": (8,),
    }  # fmt: skip
    assert columns.unused() == ["备注"]
    english = find_columns(["First Name", "Last Name", "Email", "Accepts Email Marketing"], {})
    assert set(english.at) == {"first_name", "last_name", "email", "consent.email"}
    own = find_columns(["phone", "id.nick", "consent.sms", "evidence.sms", "custom.size"], {})
    assert set(own.at) == {"phone", "id.nick", "consent.sms", "evidence.sms", "custom.size"}


def test_a_mapping_overrides():
    columns = find_columns(["姓名", "手机", "号码"], {"phone": "号码", "id.card": "手机"})
    assert dict(columns.at) == {"name": (0,), "phone": (2,), "id.card": (1,)}
    assert columns.guessed == {"name"}
    with pytest.raises(InvalidInput, match="no column '电话'"):
        find_columns(["姓名"], {"phone": "电话"})
    for field in ("colour", "id.", "id.A B", "consent", "custom.a.b"):
        with pytest.raises(InvalidInput, match="there is no field"):
            find_columns(["姓名"], {field: "姓名"})
    with pytest.raises(NoIdentityColumn, match="姓名"):
        find_columns(["姓名", "城市"], {})


def parse(headers, cells, mapping=None):
    return RowParser(find_columns(headers, mapping or {}), TODAY, {})(2, cells)


def code(headers, cells):
    with pytest.raises(RowError) as error:
        parse(headers, cells)
    assert not any(cell and len(cell) > 3 and cell in error.value.reason for cell in cells)
    return error.value.code


def test_the_first_usable_phone_counts():
    headers = ["手机", "电话"]
    assert parse(headers, ["138****0000", "13800138000"]).phone == "+8613800138000"
    assert parse(headers, ["", "13800138000"]).phone == "+8613800138000"
    assert code(headers, ["nonsense", "13800138000"]) == "BAD_PHONE"
    assert code(headers, ["138****0000", ""]) == "NO_IDENTITY"


def test_names_and_places():
    headers = ["手机", "姓名", "省", "国家"]
    record = parse(headers, ["13800138000", "👩🏽‍🦰 李🌸", "浙江", "中国"])
    assert (record.name, record.province, record.country) == ("👩🏽‍🦰 李🌸", "浙江省", "CN")
    assert parse(headers, ["13800138000", "李**", "", ""]).name is None
    record = parse(["phone", "country"], ["0171 2345678", "Germany"])
    assert (record.phone, record.country) == ("+491712345678", "DE")
    assert parse(["名", "姓", "手机"], ["四", "李", "13800138000"]).name == "李四"
    assert parse(["First name", "Last name", "phone"], ["Ann", "Lee", "13800138000"]).name == (
        "Ann Lee"
    )
    assert code(headers, ["13800138000", "", "", "Atlantis"]) == "BAD_COUNTRY"
    for position in range(1, 3):
        cells = ["13800138000", "", "", ""]
        cells[position] = "x" * 10_000
        assert code(headers, cells) == "TOO_LONG"


def test_tags_and_words():
    headers = ["phone", "tags", "consent.email", "evidence.email"]
    record = parse(headers, ["13800138000", "vip, 老客；tea|vip、", "是", "form 12"])
    assert record.tags == ["tea", "vip", "老客"]
    assert record.consents == {"email": ("granted", "form 12")}
    assert parse(headers, ["13800138000", "", "退订", ""]).consents == {"email": ("denied", None)}
    assert parse(headers, ["13800138000", "", "", "x"]).consents == {}
    assert code(headers, ["13800138000", "", "perhaps", ""]) == "BAD_CONSENT"
    assert code(headers, ["13800138000", "x" * 65, "", ""]) == "TOO_LONG"
    assert code(headers, ["13800138000", ",".join(map(str, range(101))), "", ""]) == "TOO_LONG"


def test_ids():
    headers = ["会员卡号", "phone"]
    assert parse(headers, ['="00123"', ""]).ids == [("member_card", "00123")]
    assert code(headers, ["=A1", ""]) == "FORMULA"
    assert code(headers, ["1.2E+15", ""]) == "LOST_DIGITS"
    assert code(headers, ["x" * 201, ""]) == "TOO_LONG"
    assert code(headers, ["V**", ""]) == "NO_IDENTITY"
    assert code(headers, ["1", "", "wide"]) == "COLUMN_COUNT"
    assert parse(headers, ["1"]).ids == [("member_card", "1")]


def test_the_parser_takes_anything():
    """No row whatsoever does anything but give a record or a reason."""
    from hypothesis import given, settings
    from hypothesis import strategies as st

    headers = ["phone", "email", "姓名", "生日", "国家", "tags", "consent.email", "id.card"]
    parser = RowParser(find_columns(headers, {}), TODAY, {})
    cell = st.text(max_size=30) | st.from_regex(r"[0-9./: -]{1,20}", fullmatch=True)

    @settings(max_examples=500, deadline=None)
    @given(st.lists(cell, max_size=10))
    def check(cells):
        with contextlib.suppress(RowError):
            record = parser(2, list(cells))
            assert record.phone or record.email or record.ids

    check()
