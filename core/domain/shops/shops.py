"""A merchant's shops."""

from collections.abc import Mapping
from typing import Any

import asyncpg

from core.domain.shops.merchants import check_currency, check_name, check_time_zone
from core.sdk.errors import AlreadyExists, Faults, InvalidInput, NotFound
from core.storage import jobs
from core.storage.database import Session, Work
from core.storage.versions import hold_version

REFRESH_KIND = "facts.refresh"
"""The job that recomputes figures by a shop's days; see core.domain.orders.facts."""


async def create_shop(
    w: Work,
    name: str,
    platform: str,
    external_id: str | None = None,
    time_zone: str | None = None,
    currency: str | None = None,
) -> int:
    """Add a shop and return its id; time zone and currency default to the merchant's.

    Raises InvalidInput, Several, AlreadyExists when the merchant has a shop of this name.
    """
    platform, faults = platform.strip().lower(), Faults()
    with faults:
        name = check_name(name)
    if not platform.isidentifier() or len(platform) > 40:
        faults.wrong(f"{platform[:40]!r} is not a platform's name; write it as taobao", "platform")
    if time_zone is not None:
        with faults:
            check_time_zone(time_zone)
    if currency is not None:
        with faults:
            check_currency(currency)
    faults.tell()
    try:
        async with w.sql.transaction():
            shop_id: int = await w.sql.fetchval(
                """INSERT INTO shops (merchant_id, name, platform, external_id, time_zone,
                                      currency, version, created_at)
                   SELECT m.id, $2, $3, $4, COALESCE($5, m.time_zone), COALESCE($6, m.currency),
                          1, $7
                   FROM merchants m WHERE m.id = $1 RETURNING id""",
                w.merchant_id, name, platform, external_id, time_zone, currency, w.now,
            )  # fmt: skip
    except asyncpg.UniqueViolationError:
        raise AlreadyExists(f"there is a shop named {name!r} already", ("input", "name")) from None
    return shop_id


async def update_shop(
    w: Work, shop_id: int, changes: Mapping[str, Any], if_version: int | None = None
) -> None:
    """Change name, external_id, time_zone or currency of a shop; other keys are a bug.

    With another time zone its days are others: a job brings the customers' figures in line.
    Raises NotFound, InvalidInput, Several, AlreadyExists, and Conflict for a shop of another
    version than `if_version`.
    """
    await hold_version(w, "shops", shop_id, if_version)
    checks = {"name": check_name, "time_zone": check_time_zone, "currency": check_currency}
    sets: list[str] = ["version = version + 1"]
    args: list[Any] = [w.merchant_id, shop_id]
    faults = Faults()
    for column, value in changes.items():
        assert column in {*checks, "external_id"}
        with faults:
            if column in checks and value is None:
                raise InvalidInput(f"{column} cannot be empty", ("input", column))
            args.append(checks[column](value) if column in checks else value)
            sets.append(f"{column} = ${len(args)}")
    faults.tell()
    try:
        async with w.sql.transaction():
            found = await w.sql.fetchval(
                f"""UPDATE shops SET {", ".join(sets)}
                    WHERE merchant_id = $1 AND id = $2 RETURNING id""",
                *args,
            )
    except asyncpg.UniqueViolationError:
        raise AlreadyExists("there is a shop of this name already", ("input", "name")) from None
    if found is None:
        raise NotFound("there is no shop with this id", ("id",))
    if "time_zone" in changes:
        await jobs.enqueue(w, REFRESH_KIND, {"shop_id": shop_id})


async def shop_exists(session: Session, shop_id: int) -> bool:
    """Whether the merchant has this shop."""
    found: bool = await session.sql.fetchval(
        "SELECT EXISTS (SELECT 1 FROM shops WHERE merchant_id = $1 AND id = $2)",
        session.merchant_id, shop_id,
    )  # fmt: skip
    return found


async def shops_by_platform(session: Session) -> dict[str, list[int]]:
    """The ids of the merchant's shops, by their platform."""
    rows = await session.sql.fetch(
        "SELECT id, platform FROM shops WHERE merchant_id = $1 ORDER BY id", session.merchant_id
    )
    found: dict[str, list[int]] = {}
    for row in rows:
        found.setdefault(row["platform"], []).append(row["id"])
    return found


async def need_shop(
    session: Session, shop_id: int | None, path: tuple[str, ...] = ("input", "shopId")
) -> None:
    """Raises NotFound unless the merchant has this shop; None is no shop in particular."""
    if shop_id is not None and not await shop_exists(session, shop_id):
        raise NotFound("there is no shop with this id", path)


async def get_shop(
    session: Session, shop_id: int, path: tuple[str, ...] = ("input", "shopId")
) -> Mapping[str, Any]:
    """A shop's row. Raises NotFound."""
    row: Mapping[str, Any] | None = await session.sql.fetchrow(
        "SELECT * FROM shops WHERE merchant_id = $1 AND id = $2", session.merchant_id, shop_id
    )
    if row is None:
        raise NotFound("there is no shop with this id", path)
    return row


async def find_shop(session: Session, name_or_id: str) -> Mapping[str, Any]:
    """A shop by its name or its number. Raises NotFound, which names the shops there are."""
    rows = await session.sql.fetch(
        "SELECT * FROM shops WHERE merchant_id = $1 ORDER BY id", session.merchant_id
    )
    for row in rows:
        if row["name"] == name_or_id or str(row["id"]) == name_or_id:
            return dict(row)
    names = ", ".join(row["name"] for row in rows) or "none yet"
    raise NotFound(f"there is no shop {name_or_id!r}; there are: {names}")
