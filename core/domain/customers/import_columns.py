"""The fields of a file of customers and the headers they are found by.

Beside the fixed fields there are families: `id.KIND` (an id of the customer), `consent.CHANNEL`
(yes or no), `evidence.CHANNEL` (how the yes can be proven) and `custom.KEY` (a custom field).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.sdk.errors import InvalidInput

FIELDS: Mapping[str, str] = {
    "phone": "phone number",
    "email": "email address",
    "name": "name",
    "first_name": "first name, for files that have two",
    "last_name": "last name, for files that have two",
    "birthday": "date of birth",
    "country": "country, as ISO code or name",
    "province": "province",
    "city": "city",
    "tags": "tags, with commas between them",
}

HEADERS: Mapping[str, Sequence[str]] = {
    "phone": (
        "手机", "手机号", "手机号码", "联系手机", "移动电话", "联系电话", "电话", "电话号码",
        "收货人手机", "phone", "phone number", "mobile", "mobile phone", "mobile number", "cell",
        "tel", "telephone",
    ),
    "email": (
        "邮箱", "电子邮箱", "邮箱地址", "电子邮件", "买家邮箱", "email", "e-mail", "email address",
        "mail",
    ),
    "name": (
        "姓名", "客户姓名", "会员姓名", "真实姓名", "客户名称", "收货人姓名", "收货人", "联系人",
        "name", "full name", "customer name",
    ),
    "first_name": ("名", "first name", "given name"),
    "last_name": ("姓", "last name", "surname", "family name"),
    "birthday": (
        "生日", "出生日期", "出生年月日", "会员生日", "birthday", "birth date", "birthdate",
        "date of birth", "dob",
    ),
    "country": (
        "国家", "国家/地区", "国家地区", "country", "country code", "default address country code",
    ),
    "province": (
        "省", "省份", "所在省", "所在省份", "province", "state", "default address province",
    ),
    "city": ("市", "城市", "所在城市", "city", "default address city"),
    "tags": ("标签", "客户标签", "会员标签", "tags", "tag", "labels", "label"),
    "id.member_card": (
        "会员卡号", "会员号", "会员编号", "卡号", "member card", "card number", "member number",
        "membership number",
    ),
    "id.external_id": (
        "客户编号", "客户id", "客户号", "外部id", "customer id", "customer number", "external id",
    ),
    "consent.email": ("接受邮件营销", "邮件订阅", "email consent", "accepts email marketing"),
    "consent.sms": ("接受短信营销", "短信订阅", "sms consent", "accepts sms marketing"),
}  # fmt: skip

SEVERAL = ("phone", "email")
"""Fields of which a file may have several columns: the first usable cell counts."""

FAMILY = re.compile(
    r"id\.[a-z][a-z0-9_]{0,63}|(?:consent|evidence)\.[a-z][a-z0-9_]{0,31}"
    r"|custom\.[a-z][a-z0-9_]{0,63}"
)


class NoIdentityColumn(InvalidInput):
    code = "IMPORT_NO_IDENTITY"
    cause = "No column of the file says who the customers are."
    cure = "Give a column with phone, email or an id, or map one (phone=Header, id.card=Header)."


@dataclass(frozen=True)
class Columns:
    """Where the fields of a file stand, and which headers were understood without a mapping."""

    headers: Sequence[str]
    at: Mapping[str, tuple[int, ...]]
    guessed: frozenset[str]

    def header_of(self, field: str | None) -> str | None:
        """The header of the column that carries a field."""
        if field is None or field not in self.at:
            return field
        return self.headers[self.at[field][0]]

    def unused(self) -> list[str]:
        """The headers that no field is read from."""
        used = {position for positions in self.at.values() for position in positions}
        return [header for n, header in enumerate(self.headers) if n not in used and header]

    def family(self, name: str) -> dict[str, int]:
        """The columns of a family: what stands behind its dot, and the position."""
        start = f"{name}."
        return {f[len(start) :]: at[0] for f, at in self.at.items() if f.startswith(start)}


def find_columns(headers: Sequence[str], mapping: Mapping[str, str]) -> Columns:
    """Find each field's columns: as mapped, else by header.

    Raises InvalidInput for a mapping that cannot be, NoIdentityColumn.
    """
    positions: dict[str, list[int]] = {}
    for position, header in enumerate(headers):
        positions.setdefault(header_key(header), []).append(position)
    mapped = {
        field: _mapped(field, header, headers, positions) for field, header in mapping.items()
    }
    taken = {position for found in mapped.values() for position in found}
    guessed: dict[str, tuple[int, ...]] = {}
    for field, names in _all_names(headers).items():
        if field in mapped:
            continue
        found = [p for name in names for p in positions.get(header_key(name), ()) if p not in taken]
        if found:
            guessed[field] = tuple(found if field in SEVERAL else found[:1])
    at = guessed | mapped
    if not any(field in ("phone", "email") or field.startswith("id.") for field in at):
        raise NoIdentityColumn(
            "no column says who the customers are: map phone, email or an id (id.KIND); "
            f"the file's headers are: {', '.join(headers) or 'none'}",
            ("input", "columns"),
        )
    return Columns(headers, at, frozenset(guessed))


def check_mapping(mapping: Mapping[str, str]) -> None:
    """Raises InvalidInput for a field that there cannot be."""
    for field in mapping:
        if field not in FIELDS and not FAMILY.fullmatch(field):
            raise InvalidInput(
                f"there is no field {field!r}; there are: {', '.join(FIELDS)}, id.KIND, "
                "consent.CHANNEL, evidence.CHANNEL, custom.KEY",
                ("input", "columns"),
            )


def _mapped(
    field: str, header: str, headers: Sequence[str], positions: Mapping[str, list[int]]
) -> tuple[int, ...]:
    check_mapping({field: header})
    found = positions.get(header_key(header))
    if found is None:
        raise InvalidInput(
            f"the file has no column {header!r}, to which {field} is mapped; "
            f"its headers are: {', '.join(headers) or 'none'}",
            ("input", "columns"),
        )
    return tuple(found[:1])


def _all_names(headers: Sequence[str]) -> dict[str, Sequence[str]]:
    """Each field with its headers; a header that is a field's own name is that field."""
    names: dict[str, Sequence[str]] = {}
    for field in dict.fromkeys((*FIELDS, *HEADERS)):
        names[field] = (field, *HEADERS.get(field, ()))
    for header in headers:
        if FAMILY.fullmatch(header.strip().lower()):
            names.setdefault(header.strip().lower(), (header,))
    return names


def header_key(header: str) -> str:
    """A header without what two writings of it differ in."""
    return "".join(header.split()).replace("_", "").casefold()
