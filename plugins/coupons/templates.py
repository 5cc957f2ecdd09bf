"""Templates: what a kind of coupon is worth, checked when it is made or changed."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

import asyncpg
import orjson

from core.sdk import AlreadyExists, HuikeError, InvalidInput, NotFound, Several
from core.sdk.versions import check_version
from plugins.coupons.codes import MAX_CODE, normal

KINDS = ("amount_off", "percent_off", "free_shipping", "gift")
SOURCES = ("own", "public", "pool", "platform")
STATES = ("active", "paused", "ended")
HANDLE = re.compile(r"[a-z][a-z0-9_]{0,39}")
GRANTED = "granted"
"""In place of a handle: the coupon that a campaign has granted the customer it writes to."""
MOST = 10**12
MAX_DAYS = 3660
MAX_LIST = 1000
LISTS = ("shop_ids", "platforms", "product_ids")


@dataclass(frozen=True)
class Template:
    """A stored template; see the model CouponTemplate."""

    id: int
    name: str
    handle: str
    kind: str
    value: int
    currency: str
    source: str
    state: str = "active"
    threshold: int | None = None
    max_off: int | None = None
    gift: str | None = None
    per_item: bool = False
    shop_ids: Sequence[int] = ()
    platforms: Sequence[str] = ()
    product_ids: Sequence[str] = ()
    segment_id: int | None = None
    public_code: str | None = None
    platform_shop_id: int | None = None
    platform_coupon: str | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    valid_days: int | None = None
    per_customer: int | None = None
    total: int | None = None
    daily: int | None = None
    budget: int | None = None
    stack_group: str | None = None
    exclusive: bool = False
    claimable: bool = False
    transfers: int = 0
    low_stock: int | None = None
    issued: int = 0
    spent: int = 0
    version: int = 1


GIVEN = tuple(
    one.name
    for one in fields(Template)
    if one.name not in ("id", "state", "issued", "spent", "version")
)
"""What a merchant says of a template."""
CHANGEABLE = (
    "name", "valid_from", "valid_until", "valid_days", "per_customer", "total", "daily", "budget",
    "claimable", "transfers", "low_stock", "state",
)  # fmt: skip
"""What may change while coupons of it are about: never what they are worth."""
_COLUMNS = tuple(name for name in GIVEN if name not in LISTS)


def read_template(row: Mapping[str, Any]) -> Template:
    """A row of coupons_templates."""
    conditions = orjson.loads(row["conditions"])
    plain = {one.name: row[one.name] for one in fields(Template) if one.name not in LISTS}
    return Template(**plain, **conditions)


async def create_template(w: Any, given: Mapping[str, Any]) -> Template:
    """Make a template of values of GIVEN. Raises Several of InvalidInput, AlreadyExists."""
    values = {name: given[name] for name in GIVEN if name in given}
    made = Template(id=0, **values)
    await _check(w, made)
    stored = {name: getattr(made, name) for name in _COLUMNS}
    if made.public_code is not None:
        stored["public_code"] = normal(made.public_code)
    conditions = {name: list(getattr(made, name)) for name in LISTS}
    names = ", ".join(stored)
    places = ", ".join(f"${number}" for number in range(4, 4 + len(stored)))
    try:
        async with w.sql.transaction():
            row = await w.sql.fetchrow(
                f"""INSERT INTO coupons_templates (merchant_id, created_at, updated_at, conditions,
                        issued, spent, state, {names})
                    VALUES ($1, $2, $2, $3, 0, 0, 'active', {places}) RETURNING *""",
                w.merchant_id, w.now, orjson.dumps(conditions).decode(), *stored.values(),
            )  # fmt: skip
    except asyncpg.UniqueViolationError as error:
        raise _taken(error) from None
    w.audit("coupons.template_created", {"template": row["id"]})
    return read_template(row)


async def update_template(
    w: Any, template_id: int, changes: Mapping[str, Any], if_version: int | None = None
) -> Template:
    """Change values of CHANGEABLE; what is issued or used makes no version.

    Raises NotFound, Several of InvalidInput, AlreadyExists, and Conflict for a template of another
    version than `if_version`.
    """
    strange = sorted(set(changes) - set(CHANGEABLE))
    if strange:
        raise InvalidInput(f"{', '.join(strange)} cannot be changed", ("input", strange[0]))
    old = await hold_template(w, template_id, ("id",))
    check_version(old.version, if_version)
    made = replace(old, **changes, version=old.version + 1)
    await _check(w, made)
    sets = ", ".join(f"{name} = ${number}" for number, name in enumerate(changes, 4))
    try:
        async with w.sql.transaction():
            await w.sql.execute(
                f"""UPDATE coupons_templates
                    SET updated_at = $3, version = version + 1{", " if sets else ""}{sets}
                    WHERE merchant_id = $1 AND id = $2""",
                w.merchant_id, template_id, w.now, *changes.values(),
            )  # fmt: skip
    except asyncpg.UniqueViolationError as error:
        raise _taken(error) from None
    w.audit("coupons.template_updated", {"template": template_id, "changed": sorted(changes)})
    return made


async def hold_template(w: Any, template_id: int, path: tuple[str, ...]) -> Template:
    """The template, locked until the end of the transaction. Raises NotFound."""
    row = await w.sql.fetchrow(
        """SELECT * FROM coupons_templates WHERE merchant_id = $1 AND id = $2
           FOR NO KEY UPDATE""",
        w.merchant_id, template_id,
    )  # fmt: skip
    if row is None:
        raise NotFound("there is no coupon template with this id", path)
    return read_template(row)


async def find_templates(session: Any, handles: Sequence[str] | None = None) -> list[Template]:
    """The merchant's templates, the newest first, or those of these handles."""
    rows = await session.sql.fetch(
        """SELECT * FROM coupons_templates
           WHERE merchant_id = $1 AND ($2::text[] IS NULL OR handle = ANY($2::text[]))
           ORDER BY id DESC""",
        session.merchant_id, None if handles is None else list(handles),
    )  # fmt: skip
    return [read_template(row) for row in rows]


async def _check(w: Any, one: Template) -> None:
    faults: list[HuikeError] = [
        InvalidInput(message, ("input", name)) for name, message in _faults(one)
    ]
    shops = {*one.shop_ids, *([one.platform_shop_id] if one.platform_shop_id else [])}
    rows = await w.sql.fetch(
        "SELECT id FROM shops WHERE merchant_id = $1 AND id = ANY($2::bigint[])",
        w.merchant_id, sorted(shops),
    )  # fmt: skip
    missing = shops - {row["id"] for row in rows}
    if missing & set(one.shop_ids):
        faults.append(NotFound("there is no such shop", ("input", "shop_ids")))
    if one.platform_shop_id in missing:
        faults.append(NotFound("there is no such shop", ("input", "platform_shop_id")))
    if one.segment_id is not None and not await w.sql.fetchval(
        "SELECT EXISTS (SELECT 1 FROM segments WHERE merchant_id = $1 AND id = $2)",
        w.merchant_id, one.segment_id,
    ):  # fmt: skip
        faults.append(NotFound("there is no such segment", ("input", "segment_id")))
    if faults:
        raise Several(faults)


def _sum_fault(value: int) -> str:
    """Without figures: the caller may count in another unit than is stored."""
    return "must be more than 0" if value <= 0 else "must be less"


def _faults(one: Template) -> list[tuple[str, str]]:
    """What is wrong with a template, by the name of the value."""
    found = []
    if not one.name.strip() or len(one.name) > 100:
        found.append(("name", "must have 1 to 100 characters"))
    if not HANDLE.fullmatch(one.handle) or one.handle == GRANTED:
        found.append(
            (
                "handle",
                f"must be small letters, digits and _, beginning with a letter, not {GRANTED}",
            )
        )
    for name, known in (("kind", KINDS), ("source", SOURCES), ("state", STATES)):
        if getattr(one, name) not in known:
            found.append((name, f"must be one of {', '.join(known)}"))
    most = 10_000 if one.kind == "percent_off" else MOST
    value = "percent" if one.kind == "percent_off" else "amount"
    if one.kind in ("amount_off", "percent_off") and not 0 < one.value <= most:
        found.append((value, _sum_fault(one.value)))
    if one.kind in ("free_shipping", "gift") and one.value:
        found.append((value, f"a {one.kind} coupon has none: give 0"))
    if (one.kind == "gift") != bool(one.gift):
        found.append(("gift", "says what a gift coupon gives, and is for no other kind"))
    if one.per_item and one.kind != "amount_off":
        found.append(("per_item", "is for amount_off only"))
    for name in ("threshold", "max_off", "budget"):
        value = getattr(one, name)
        if value is not None and not 0 < value <= MOST:
            found.append((name, f"{_sum_fault(value)}, or left out"))
    counts = (("per_customer", MOST), ("total", MOST), ("daily", MOST))
    for name, most in (*counts, ("valid_days", MAX_DAYS), ("low_stock", 10**9)):
        value = getattr(one, name)
        if value is not None and not 0 < value <= most:
            found.append((name, f"must be from 1 to {most}"))
    if one.per_customer is not None and one.per_customer > 10**6:
        found.append(("per_customer", "must be at most 1000000"))
    if not 0 <= one.transfers <= 100:
        found.append(("transfers", "must be from 0 to 100"))
    if one.valid_from and one.valid_until and one.valid_from >= one.valid_until:
        found.append(("valid_until", "must be after valid_from"))
    if (one.source == "public") != (one.public_code is not None):
        found.append(("public_code", "belongs to public templates, and to them only"))
    elif one.public_code is not None and not 3 <= len(normal(one.public_code)) <= MAX_CODE:
        found.append(("public_code", f"must have 3 to {MAX_CODE} letters or digits"))
    platform = (one.platform_shop_id, one.platform_coupon)
    if (one.source == "platform") != (None not in platform):
        found.append(("platform_coupon", "belongs, with the shop, to platform templates only"))
    if one.low_stock is not None and one.source not in ("pool", "own"):
        found.append(("low_stock", "is for templates that keep codes in stock"))
    for name in LISTS:
        if len(getattr(one, name)) > MAX_LIST:
            found.append((name, f"at most {MAX_LIST}"))
    return found


def _taken(error: asyncpg.UniqueViolationError) -> AlreadyExists:
    by_code = "public_code" in (error.constraint_name or "")
    name = "public_code" if by_code else "handle"
    return AlreadyExists(f"another template has this {name}", ("input", name))
