"""From a row of a file to a customer's record. No I/O."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import phonenumbers

from core.domain.customers.contacts import is_masked, normalise_email, normalise_phone
from core.domain.customers.customers import TEXT_LIMIT
from core.domain.customers.import_columns import Columns
from core.domain.customers.places import province_of
from core.domain.customers.tags import TAG_LIMIT, TAGS_LIMIT
from core.tabular.bulk import RowError
from core.tabular.cells import BLANK, COMPACT, DATE, FULL_WIDTH, SERIAL, SERIAL_START, clean

ID_LIMIT = 200
EVIDENCE_LIMIT = 1000
OLDEST_YEARS = 130
BETWEEN_TAGS = re.compile(r"[,;|、，；\n]")
BROKEN_NUMBER = re.compile(r"[0-9](?:\.[0-9]+)?E\+?[0-9]+", re.IGNORECASE)
# a platform's virtual number: digits behind the number belong to one order
VIRTUAL = re.compile(r".*[0-9]{7,}\s*(?:[-转,，]|ext\.?|x)\s*[0-9]{1,6}", re.IGNORECASE)
ISO_DATE = re.compile(r"\d{4}-\d\d-\d\dT.*")
ZERO_DATES = frozenset({"0000-00-00", "0000-00-00 00:00:00", "0"})
GRANTED = frozenset({
    "yes", "y", "true", "1", "granted", "ok", "subscribed",
    "是", "同意", "已同意", "接受", "订阅", "已订阅", "允许",
})  # fmt: skip
DENIED = frozenset({
    "no", "n", "false", "0", "denied", "unsubscribed",
    "否", "不同意", "拒绝", "已拒绝", "退订", "已退订", "未订阅", "不允许",
})  # fmt: skip
UNPROVEN = frozenset({"unproven", "unknown", "未知", "待确认"})
COUNTRIES: Mapping[str, str] = {
    "中国": "CN", "中国大陆": "CN", "中华人民共和国": "CN", "china": "CN", "chn": "CN",
    "中国香港": "HK", "香港": "HK", "hong kong": "HK", "中国澳门": "MO", "澳门": "MO",
    "macao": "MO", "macau": "MO", "中国台湾": "TW", "台湾": "TW", "taiwan": "TW",
    "日本": "JP", "japan": "JP", "韩国": "KR", "south korea": "KR", "korea": "KR",
    "新加坡": "SG", "singapore": "SG", "马来西亚": "MY", "malaysia": "MY",
    "泰国": "TH", "thailand": "TH", "越南": "VN", "vietnam": "VN",
    "美国": "US", "united states": "US", "usa": "US", "united states of america": "US",
    "加拿大": "CA", "canada": "CA", "英国": "GB", "united kingdom": "GB", "uk": "GB",
    "德国": "DE", "germany": "DE", "法国": "FR", "france": "FR", "意大利": "IT", "italy": "IT",
    "西班牙": "ES", "spain": "ES", "俄罗斯": "RU", "russia": "RU",
    "澳大利亚": "AU", "澳洲": "AU", "australia": "AU", "新西兰": "NZ", "new zealand": "NZ",
}  # fmt: skip

CellParser = Callable[[str], Any]
"""Makes a custom field's value of a cell's text; raises ValueError with what is wrong."""


@dataclass(slots=True)
class CustomerRecord:
    """What one row says. Blank cells are None or missing; contacts are in their normal form."""

    row: int
    phone: str | None = None
    email: str | None = None
    name: str | None = None
    birthday: date | None = None
    country: str | None = None
    province: str | None = None
    city: str | None = None
    ids: list[tuple[str, str]] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    consents: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    custom: dict[str, Any] = field(default_factory=dict)


class RowParser:
    """Reads rows by the columns found. `today` bounds birthdays."""

    def __init__(self, columns: Columns, today: date, custom: Mapping[str, CellParser]) -> None:
        self._at = columns.at
        self._width = len(columns.headers)
        self._today = today
        self._ids = columns.family("id")
        self._consents = columns.family("consent")
        self._evidence = columns.family("evidence")
        self._custom = {key: (at, custom[key]) for key, at in columns.family("custom").items()}

    def __call__(self, number: int, row: list[str]) -> CustomerRecord:
        """The row's record. Raises RowError."""
        self._fit(row)
        country = self._country(row)
        phone, unusable_phone = self._contact(
            row, "phone", lambda text: read_phone(text, country or "CN")
        )
        email, unusable_email = self._contact(row, "email", read_email)
        ids = [(kind, text) for kind, at in self._ids.items() if (text := _id(kind, row[at]))]
        if phone is None and email is None and not ids:
            why = "; a masked or virtual one identifies nobody"
            raise RowError(
                "NO_IDENTITY", "phone" if "phone" in self._at else None,
                "no phone, email or id says who this is"
                + (why if unusable_phone or unusable_email else ""),
            )  # fmt: skip
        province = self._text(row, "province", TEXT_LIMIT)
        return CustomerRecord(
            row=number,
            phone=phone,
            email=email,
            name=self._name(row),
            birthday=self._birthday(row),
            country=country,
            province=province_of(province) if province else None,
            city=self._text(row, "city", TEXT_LIMIT),
            ids=ids,
            tags=self._tags(row),
            consents=self._said(row),
            custom=self._values(row),
        )

    def _fit(self, row: list[str]) -> None:
        if any(cell.strip() for cell in row[self._width :]):
            raise RowError("COLUMN_COUNT", None, "the row has more cells than there are headers")
        del row[self._width :]
        row.extend([""] * (self._width - len(row)))

    def _text(self, row: Sequence[str], field: str, limit: int) -> str | None:
        positions = self._at.get(field)
        return None if positions is None else _bounded(row[positions[0]], field, limit)

    def _contact(
        self, row: Sequence[str], field: str, read: Callable[[str], str | None]
    ) -> tuple[str | None, bool]:
        """The first usable value, and whether there was one that identifies nobody."""
        unusable = False
        for position in self._at.get(field, ()):
            text = _bounded(row[position], field, ID_LIMIT + 120)
            if text is None:
                continue
            value = read(text)
            if value is not None:
                return value, unusable
            unusable = True
        return None, unusable

    def _name(self, row: Sequence[str]) -> str | None:
        name = self._text(row, "name", TEXT_LIMIT)
        if name is None:
            first = self._text(row, "first_name", TEXT_LIMIT // 2 - 1)
            last = self._text(row, "last_name", TEXT_LIMIT // 2 - 1)
            if first and last:
                name = f"{first} {last}" if (first + last).isascii() else last + first
            else:
                name = first or last
        return None if name is None or is_masked(name) else name

    def _birthday(self, row: Sequence[str]) -> date | None:
        text = self._text(row, "birthday", TEXT_LIMIT)
        if text is None or text in ZERO_DATES:
            return None
        try:
            return read_birthday(text, self._today)
        except ValueError as error:
            raise RowError("BAD_DATE", "birthday", str(error)) from None

    def _country(self, row: Sequence[str]) -> str | None:
        text = self._text(row, "country", TEXT_LIMIT)
        if text is None:
            return None
        code = COUNTRIES.get(text.casefold()) or text.upper()
        if code not in phonenumbers.SUPPORTED_REGIONS:
            raise RowError("BAD_COUNTRY", "country", "not a country; write its code, such as CN")
        return code

    def _tags(self, row: Sequence[str]) -> list[str]:
        text = self._text(row, "tags", TAG_LIMIT * TAGS_LIMIT)
        tags = sorted({tag.strip() for tag in BETWEEN_TAGS.split(text or "")} - {""})
        if len(tags) > TAGS_LIMIT or any(len(tag) > TAG_LIMIT for tag in tags):
            raise RowError(
                "TOO_LONG", "tags", f"at most {TAGS_LIMIT} tags of {TAG_LIMIT} characters"
            )
        return tags

    def _said(self, row: Sequence[str]) -> dict[str, tuple[str, str | None]]:
        said = {}
        for channel, position in self._consents.items():
            name = f"consent.{channel}"
            text = _bounded(row[position], name, TEXT_LIMIT)
            if text is None:
                continue
            evidence = None
            if channel in self._evidence:
                at = self._evidence[channel]
                evidence = _bounded(row[at], f"evidence.{channel}", EVIDENCE_LIMIT)
            said[channel] = (read_consent(text, name), evidence)
        return said

    def _values(self, row: Sequence[str]) -> dict[str, Any]:
        values = {}
        for key, (position, parse) in self._custom.items():
            text = _bounded(row[position], f"custom.{key}", 10_000)
            if text is None:
                continue
            try:
                values[key] = parse(text)
            except ValueError as error:
                raise RowError("BAD_VALUE", f"custom.{key}", str(error)) from None
        return values


def _bounded(cell: str, field: str, limit: int) -> str | None:
    text = clean(cell)
    if text in BLANK:
        return None
    if len(text) > limit:
        raise RowError("TOO_LONG", field, f"longer than {limit} characters")
    return text


def _id(kind: str, cell: str) -> str | None:
    text = _bounded(cell, f"id.{kind}", ID_LIMIT)
    if text is None or "*" in text:
        return None  # masked: several people would become one
    if text[0] == "=":
        raise RowError("FORMULA", f"id.{kind}", "a formula is no id")
    if BROKEN_NUMBER.fullmatch(text):
        raise RowError(
            "LOST_DIGITS", f"id.{kind}",
            "a spreadsheet has rounded the number: export it anew and do not save it there",
        )  # fmt: skip
    return text


def read_phone(text: str, region: str = "CN") -> str | None:
    """The number in E.164; None for a masked or virtual one, which says not who somebody is.

    Raises RowError for anything else.
    """
    plain = text.translate(FULL_WIDTH).replace("＊", "*").strip()
    if BROKEN_NUMBER.fullmatch(plain):
        raise RowError("LOST_DIGITS", "phone", "a spreadsheet has rounded the number: export anew")
    phone = normalise_phone(plain.removesuffix(".0"), region)
    if phone is None and "*" not in plain and not VIRTUAL.fullmatch(plain):
        raise RowError("BAD_PHONE", "phone", "not a phone number that can be reached")
    return phone


def read_email(text: str) -> str | None:
    """The address in lower case; None for a masked one. Raises RowError for anything else."""
    email = normalise_email(text)
    if email is None and "*" not in text.replace("＊", "*"):
        raise RowError("BAD_EMAIL", "email", "not an email address")
    return email


def read_birthday(text: str, today: date) -> date:
    """A day of the last 130 years. Raises ValueError with what is wrong."""
    day = read_day(text)
    if day > today:
        raise ValueError("a birthday is not in the future")
    if day.year < today.year - OLDEST_YEARS:
        raise ValueError(f"a birthday is at most {OLDEST_YEARS} years ago")
    return day


def read_day(text: str) -> date:
    """A day in any common form. Raises ValueError with what is wrong."""
    text = text.translate(FULL_WIDTH).strip()
    if ISO_DATE.fullmatch(text):
        text = text[:10]
    match = DATE.fullmatch(text) or COMPACT.fullmatch(text)
    if match:
        try:
            return date(*map(int, match.groups()[:3]))
        except ValueError:
            raise ValueError("there is no such date") from None
    if SERIAL.fullmatch(text):
        return (SERIAL_START + timedelta(days=int(float(text)))).date()
    raise ValueError("not a date; write it as 1990-01-31")


def read_consent(text: str, field: str) -> str:
    """granted, denied or unproven. Raises RowError."""
    word = text.casefold()
    if word in GRANTED:
        return "granted"
    if word in DENIED:
        return "denied"
    if word in UNPROVEN:
        return "unproven"
    raise RowError("BAD_CONSENT", field, "neither yes nor no; write yes, no or unknown")
