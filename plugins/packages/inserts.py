"""What can go into a parcel beside the goods, and how many of it each warehouse has."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

from core.domain.campaigns.content.templates import analysed, paths_named, reason
from core.domain.campaigns.content.variables import base_name, known_variables
from core.domain.shops.code_sources import check_codes
from core.domain.shops.merchants import check_name
from core.sdk import AlreadyExists, Faults, InvalidInput, NotFound, WrongState
from core.sdk.large import liquid
from core.sdk.versions import check_version
from plugins.packages.events import PackagesStockLow
from plugins.packages.fonts import lacking

TEXT_LIMIT, CODE_LIMIT = 500, 40
MOST = 10_000_000
VARIABLES = (
    known_variables(about=("any", "order"))
    - {"unsubscribe_url", "preferences_url", "customer.province", "customer.city"}
) | {"coupon.code"}
"""What a card may name, besides the customer's own fields."""


class InsertKind(StrEnum):
    """What an insert is."""

    CARD = "card"
    SAMPLE = "sample"
    GIFT = "gift"
    LEAFLET = "leaflet"
    COUPON = "coupon"
    PACKING = "packing"
    NOTE = "note"


WITH_TEXT = (InsertKind.CARD, InsertKind.NOTE, InsertKind.COUPON)


@dataclass(frozen=True)
class Codes:
    """Where the codes of a coupon are from, one for each parcel; see core.sdk.codes."""

    source: str
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class NewInsert:
    """An insert to be made. `unit_cost` is in minor units of the merchant's currency.

    A card and a note have a text in Liquid, a coupon may; a coupon has one code for all, or codes.
    """

    name: str
    kind: InsertKind
    sku: str | None = None
    text: str | None = None
    coupon_code: str | None = None
    codes: Codes | None = None
    unit_cost: int = 0
    tracks_stock: bool = False
    low_stock: int = 0


@dataclass(frozen=True)
class Insert:
    """A stored insert."""

    id: int
    name: str
    kind: InsertKind
    sku: str | None
    text: str | None
    coupon_code: str | None
    codes: Codes | None
    unit_cost: int
    tracks_stock: bool
    low_stock: int
    archived: bool


@dataclass(frozen=True)
class Stock:
    """How many of an insert a warehouse has; `reserved` of them are for parcels not packed yet."""

    warehouse: str
    on_hand: int
    reserved: int
    version: int


async def create_insert(w: Any, registry: Any, new: NewInsert) -> int:
    """Make an insert; returns its id.

    Raises InvalidInput, Several, AlreadyExists, and what the source of its codes has against it.
    """
    faults, settings = Faults(), None
    with faults:
        name = check_name(new.name)
    with faults:
        _check(new)
    printed = new.text is not None and new.kind is not InsertKind.NOTE
    if printed and (missing := await asyncio.to_thread(lacking, new.text or "")):
        faults.wrong(f"the font of the cards has no {missing}", "text")
    if new.codes is not None:
        with faults:
            settings = await check_codes(
                w, registry, new.codes.source, new.codes.settings, _at("codes")
            )
    faults.tell()
    made: int | None = await w.sql.fetchval(
        """INSERT INTO packages_inserts (merchant_id, name, kind, sku, text, coupon_code,
               code_source, code_settings, unit_cost, tracks_stock, low_stock, created_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8::jsonb, $9, $10, $11, $12)
           ON CONFLICT (merchant_id, name) DO NOTHING RETURNING id""",
        w.merchant_id, name, new.kind, new.sku, new.text, new.coupon_code,
        new.codes and new.codes.source, settings and settings.model_dump_json(), new.unit_cost,
        new.tracks_stock, new.low_stock, w.now,
    )  # fmt: skip
    if made is None:
        raise AlreadyExists(f"there is an insert {name} already", ("input", "name"))
    w.audit("packages_insert.created", {"insert": made})
    return made


def _check(new: NewInsert) -> None:
    faults = Faults()
    if new.text is None and new.kind in (InsertKind.CARD, InsertKind.NOTE):
        faults.wrong("a card and a note need a text", "text")
    if new.text is not None and new.kind not in WITH_TEXT:
        faults.wrong("only cards, notes and coupons have a text", "text")
    elif new.text is not None:
        with faults:
            check_text(new.text)
    if (new.coupon_code is not None) + (new.codes is not None) != (new.kind is InsertKind.COUPON):
        faults.wrong("a coupon has either a code or codes, and nothing else has any", "couponCode")
    for field, value in (("couponCode", new.coupon_code), ("sku", new.sku)):
        if value is not None and not (1 <= len(value) <= CODE_LIMIT and value.isascii()
                                      and value.isprintable()):  # fmt: skip
            faults.wrong(f"1 to {CODE_LIMIT} letters, digits and signs", field)
    for field, number in (("unitCost", new.unit_cost), ("lowStock", new.low_stock)):
        if not 0 <= number <= MOST:
            faults.wrong(f"from 0 to {MOST}", field)
    faults.tell()


def check_text(text: str) -> None:
    """Raises InvalidInput for a text that no card could show."""
    if not 1 <= len(text.strip()) <= TEXT_LIMIT or "\x00" in text:
        raise InvalidInput(f"a text has 1 to {TEXT_LIMIT} characters", _at("text"))
    try:
        named = paths_named(analysed(text, False))
    except (liquid.exceptions.LiquidError, RecursionError) as error:
        raise InvalidInput(reason(error), _at("text")) from None
    unknown = sorted(
        name for name in named
        if base_name(name) not in VARIABLES and not name.startswith("customer.fields.")
    )  # fmt: skip
    if unknown:
        raise InvalidInput(f"there is no variable {unknown[0]}", _at("text"))


async def archive_insert(w: Any, insert_id: int) -> None:
    """Give an insert up. Raises NotFound, and WrongState while a rule that is on gives it."""
    await need_insert(w, insert_id)
    using = await w.sql.fetchval(
        """SELECT name FROM packages_rules WHERE merchant_id = $1 AND is_on
             AND variants @> jsonb_build_array(jsonb_build_object('insert_id', $2::bigint))
           LIMIT 1""",
        w.merchant_id, insert_id,
    )  # fmt: skip
    if using is not None:
        raise WrongState(f"the rule {using} gives it: stop that first", ("id",))
    await w.sql.execute(
        "UPDATE packages_inserts SET archived_at = $3 WHERE merchant_id = $1 AND id = $2",
        w.merchant_id, insert_id, w.now,
    )  # fmt: skip
    w.audit("packages_insert.archived", {"insert": insert_id})


async def set_stock(
    w: Any, insert_id: int, warehouse: str, on_hand: int, if_version: int | None = None
) -> None:
    """Say how many there are, those that are reserved included; packing makes no version.

    Raises NotFound, InvalidInput, and Conflict for a stock of another version than `if_version`,
    of which 0 is that there is none.
    """
    faults = Faults()
    with faults:
        insert = await need_insert(w, insert_id, ("input", "insertId"))
        if not insert.tracks_stock:
            raise InvalidInput("this insert's stock is not kept", ("input", "insertId"))
    with faults:
        name = check_name(warehouse, ("input", "warehouse"))
    if not 0 <= on_hand <= MOST:
        faults.wrong(f"from 0 to {MOST}", "onHand")
    faults.tell()
    version = await w.sql.fetchval(
        """INSERT INTO packages_stock AS s
               (merchant_id, insert_id, warehouse, on_hand, reserved, told_low)
           VALUES ($1, $2, $3, $4, 0, FALSE)
           ON CONFLICT (merchant_id, insert_id, warehouse)
           DO UPDATE SET on_hand = $4, version = s.version + 1 RETURNING version""",
        w.merchant_id, insert_id, name, on_hand,
    )  # fmt: skip
    check_version(version - 1, if_version)
    w.audit("packages_stock.set", {"insert": insert_id, "on_hand": on_hand})
    await tell_low(w, name)


async def tell_low(w: Any, warehouse: str) -> None:
    """Tell once of each insert that has come down to its mark; one that is above it again is
    told of anew."""
    rows = await w.sql.fetch(
        """UPDATE packages_stock s SET told_low = (s.on_hand - s.reserved <= i.low_stock)
           FROM packages_inserts i
           WHERE s.merchant_id = $1 AND i.merchant_id = $1 AND i.id = s.insert_id
             AND s.warehouse = $2 AND s.told_low <> (s.on_hand - s.reserved <= i.low_stock)
           RETURNING s.insert_id, s.told_low, s.on_hand - s.reserved AS free""",
        w.merchant_id, warehouse,
    )  # fmt: skip
    for row in rows:
        if row["told_low"]:
            w.emit(PackagesStockLow(row["insert_id"], warehouse, row["free"]))


async def need_insert(session: Any, insert_id: int, path: tuple[str, ...] = ("id",)) -> Insert:
    """Raises NotFound."""
    found = await inserts_by_id(session, [insert_id])
    if insert_id not in found:
        raise NotFound("there is no insert with this id", path)
    return found[insert_id]


async def inserts_by_id(session: Any, ids: Sequence[int] | None = None) -> dict[int, Insert]:
    """The merchant's inserts, all without ids, in the order of their names."""
    rows = await session.sql.fetch(
        """SELECT * FROM packages_inserts
           WHERE merchant_id = $1 AND ($2::bigint[] IS NULL OR id = ANY($2::bigint[]))
           ORDER BY name""",
        session.merchant_id, ids,
    )  # fmt: skip
    return {row["id"]: _insert(row) for row in rows}


def _insert(row: Mapping[str, Any]) -> Insert:
    return Insert(
        row["id"], row["name"], InsertKind(row["kind"]), row["sku"], row["text"],
        row["coupon_code"],
        None if row["code_source"] is None
        else Codes(row["code_source"], orjson.loads(row["code_settings"])),
        row["unit_cost"], row["tracks_stock"], row["low_stock"],
        row["archived_at"] is not None,
    )  # fmt: skip


async def stock_of(session: Any, insert_ids: Sequence[int]) -> dict[int, list[Stock]]:
    """The stock of inserts in each warehouse."""
    rows = await session.sql.fetch(
        """SELECT insert_id, warehouse, on_hand, reserved, version FROM packages_stock
           WHERE merchant_id = $1 AND insert_id = ANY($2::bigint[]) ORDER BY warehouse""",
        session.merchant_id, insert_ids,
    )  # fmt: skip
    found: dict[int, list[Stock]] = {}
    for row in rows:
        stock = Stock(row["warehouse"], row["on_hand"], row["reserved"], row["version"])
        found.setdefault(row["insert_id"], []).append(stock)
    return found


def _at(field: str) -> tuple[str, ...]:
    return ("input", field)
