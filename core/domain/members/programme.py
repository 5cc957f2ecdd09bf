"""The merchant's programme and its tiers: written, read, and tried before they are in force."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
from pydantic import ValidationError

from core.domain.members.benefits import check_benefits, dump_benefits
from core.domain.members.rules import Rules
from core.domain.members.tiers import TierRule
from core.domain.shops.merchants import check_currency, check_name
from core.sdk.errors import AlreadyExists, Faults, InvalidInput, NotFound, Several, WrongState
from core.sdk.versions import check_version
from core.storage.database import Session, Work


@dataclass(frozen=True)
class Programme:
    """The programme as it is in force; `zone` is the merchant's."""

    name: str
    currency: str
    rules: Rules
    tiers: Sequence[TierRule]
    zone: ZoneInfo
    version: int


async def find_programme(session: Session) -> Programme | None:
    """The merchant's programme, or None."""
    row = await session.sql.fetchrow(
        """SELECT p.*, m.time_zone FROM programmes p JOIN merchants m ON m.id = p.merchant_id
           WHERE p.merchant_id = $1""",
        session.merchant_id,
    )
    if row is None:
        return None
    tiers = await session.sql.fetch(
        """SELECT id, rank, threshold, keep_threshold FROM tiers
           WHERE merchant_id = $1 AND deleted_at IS NULL ORDER BY rank""",
        session.merchant_id,
    )
    return Programme(
        row["name"], row["currency"], Rules.model_validate_json(row["rules"]),
        [TierRule(**tier) for tier in tiers], ZoneInfo(row["time_zone"]), row["version"],
    )  # fmt: skip


async def get_programme(session: Session) -> Programme:
    """The merchant's programme. Raises WrongState where there is none."""
    programme = await find_programme(session)
    if programme is None:
        raise WrongState("there is no membership programme yet: set one up first")
    return programme


async def set_programme(
    w: Work, name: str, currency: str, rules: Mapping[str, Any], if_version: int | None = None
) -> None:
    """Write the programme, a new one or other rules of the present one.

    Raises Several of InvalidInput; NotFound for shops, tiers and rewards that are not there;
    WrongState for another currency once there are members; Conflict
    for a programme of another version than `if_version`, of which 0 is that there is none.
    """
    if if_version is not None:
        version = await w.sql.fetchval(
            "SELECT version FROM programmes WHERE merchant_id = $1 FOR NO KEY UPDATE", w.merchant_id
        )
        check_version(version or 0, if_version)
    faults, before = Faults(), await find_programme(w)
    with faults:
        name = check_name(name)
    with faults:
        check_currency(currency)
        if before is not None and before.currency != currency and await _has_members(w):
            raise WrongState(
                "the currency cannot be changed while there are members: their tiers were reached "
                "in it", ("input", "currency"),
            )  # fmt: skip
    with faults:
        checked = check_rules(rules)
        await _check_named(w, checked)
    faults.tell()
    await w.sql.execute(
        """WITH written AS (
               INSERT INTO programmes (merchant_id, name, currency, rules, created_at, updated_at)
               VALUES ($1, $2, $3, $4, $5, $5)
               ON CONFLICT (merchant_id) DO UPDATE SET name = $2, currency = $3, rules = $4,
                   version = programmes.version + 1, updated_at = $5
               RETURNING version)
           INSERT INTO programme_versions (merchant_id, version, rules, valid_from)
           SELECT $1, version, $4, $5 FROM written""",
        w.merchant_id, name, currency, checked.model_dump_json(), w.now,
    )  # fmt: skip
    w.audit("programme.set", {"fields": sorted(rules)})
    w.ring("members.review", w.merchant_id)


async def rules_at(session: Session, at: datetime) -> Rules:
    """The rules that were in force at an instant; before there were any, the first ones."""
    text = await session.sql.fetchval(
        """SELECT rules FROM programme_versions WHERE merchant_id = $1
           ORDER BY valid_from <= $2 DESC,
                    CASE WHEN valid_from <= $2 THEN version END DESC, version LIMIT 1""",
        session.merchant_id, at,
    )  # fmt: skip
    return Rules.model_validate_json(text)


def check_rules(rules: Mapping[str, Any]) -> Rules:
    """The rules, checked. Raises Several of InvalidInput."""
    try:
        return Rules.model_validate(rules)
    except ValidationError as error:
        raise Several([
            InvalidInput(one["msg"], ("input", "rules", *map(str, one["loc"])))
            for one in error.errors()
        ]) from None  # fmt: skip


async def create_tier(
    w: Work,
    name: str,
    rank: int,
    threshold: int | None = None,
    keep_threshold: int | None = None,
    benefits: Sequence[Mapping[str, Any]] = (),
) -> int:
    """Add a tier; returns its id. Raises InvalidInput, Several, AlreadyExists."""
    faults = Faults()
    with faults:
        name = check_name(name)
    with faults:
        await _check_order(w, rank, threshold, keep_threshold)
    with faults:
        stored = dump_benefits(check_benefits(benefits))
    faults.tell()
    try:
        async with w.sql.transaction():
            tier_id: int = await w.sql.fetchval(
                """INSERT INTO tiers (merchant_id, name, rank, threshold, keep_threshold, benefits,
                       created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
                   RETURNING id""",
                w.merchant_id, name, rank, threshold, keep_threshold, stored, w.now,
            )  # fmt: skip
    except asyncpg.UniqueViolationError:
        raise AlreadyExists(f"there is a tier of rank {rank} already", ("input", "rank")) from None
    await _review_all(w)
    return tier_id


async def update_tier(
    w: Work, tier_id: int, changes: Mapping[str, Any], if_version: int | None = None
) -> None:
    """Change a tier's name, threshold, keep_threshold or benefits; the rank stays.

    Members are looked at again soon. Raises NotFound, InvalidInput, Several, and Conflict for a
    tier of another version than `if_version`.
    """
    row = await w.sql.fetchrow(
        """SELECT * FROM tiers WHERE merchant_id = $1 AND id = $2 AND deleted_at IS NULL
           FOR UPDATE""",
        w.merchant_id, tier_id,
    )  # fmt: skip
    if row is None:
        raise NotFound("there is no tier with this id", ("id",))
    check_version(row["version"], if_version)
    threshold = changes.get("threshold", row["threshold"])
    keep_threshold = changes.get("keep_threshold", row["keep_threshold"])
    faults, benefits = Faults(), row["benefits"]
    with faults:
        name = check_name(changes.get("name", row["name"]))
    with faults:
        await _check_order(w, row["rank"], threshold, keep_threshold)
    if "benefits" in changes:
        with faults:
            benefits = dump_benefits(check_benefits(changes["benefits"]))
    faults.tell()
    await w.sql.execute(
        """UPDATE tiers SET name = $3, threshold = $4, keep_threshold = $5, benefits = $6,
               updated_at = $7, version = version + 1 WHERE merchant_id = $1 AND id = $2""",
        w.merchant_id, tier_id, name, threshold, keep_threshold, benefits, w.now,
    )  # fmt: skip
    await _review_all(w)


async def delete_tier(w: Work, tier_id: int) -> None:
    """Take a tier away; its members get the tier that they deserve otherwise. Raises NotFound.

    Its row stays: figures of the past need its rank and name.
    """
    gone = await w.sql.execute(
        """UPDATE tiers SET deleted_at = $3
           WHERE merchant_id = $1 AND id = $2 AND deleted_at IS NULL""",
        w.merchant_id, tier_id, w.now,
    )  # fmt: skip
    if gone == "UPDATE 0":
        raise NotFound("there is no tier with this id", ("id",))
    await _review_all(w)


async def _review_all(w: Work) -> None:
    """Have every member looked at soon, since tiers are not what they were."""
    await w.sql.execute(
        "UPDATE programmes SET version = version + 1 WHERE merchant_id = $1", w.merchant_id
    )
    w.ring("members.review", w.merchant_id)


async def _check_order(
    w: Work, rank: int, threshold: int | None, keep_threshold: int | None
) -> None:
    """A better tier is harder to reach, and none harder to keep than to reach."""
    faults = Faults()
    for name, value in (("threshold", threshold), ("keepThreshold", keep_threshold)):
        if value is not None and value < 0:
            faults.wrong("a threshold is not below 0", name)
    if not faults and keep_threshold is not None and keep_threshold > (threshold or -1):
        faults.wrong("what keeps a tier is at most what reaches it", "keepThreshold")
    faults.tell()
    if threshold is None:
        return
    wrong = await w.sql.fetchrow(
        """SELECT name, rank, threshold FROM tiers
           WHERE merchant_id = $1 AND threshold IS NOT NULL AND deleted_at IS NULL
              AND (rank < $2 AND threshold >= $3 OR rank > $2 AND threshold <= $3)
           ORDER BY rank LIMIT 1""",
        w.merchant_id, rank, threshold,
    )  # fmt: skip
    if wrong is not None:
        raise InvalidInput(
            f"a better tier needs a higher threshold: {wrong['name']} of rank {wrong['rank']} is "
            f"reached at {wrong['threshold']}",
            ("input", "threshold"),
        )


async def _check_named(w: Work, rules: Rules) -> None:
    """Raises NotFound for shops, tiers and rewards that the rules name and that are not there."""
    multipliers = rules.points.multipliers
    shops = [shop for order in rules.points.orders for shop in order.shop_ids or ()]
    shops += [shop for one in multipliers for shop in one.shop_ids or ()]
    tiers = [tier for one in multipliers for tier in one.tier_ids or ()]
    rewards = rules.referral.reward_ids if rules.referral else []
    for table, part, named in (
        ("shops", "points", shops), ("tiers", "points", tiers), ("rewards", "referral", rewards),
    ):  # fmt: skip
        known = await w.sql.fetch(
            f"SELECT id FROM {table} WHERE merchant_id = $1 AND id = ANY($2::bigint[])",
            w.merchant_id, named,
        )  # fmt: skip
        missing = set(named) - {row["id"] for row in known}
        if missing:
            raise NotFound(f"there is no {table[:-1]} {min(missing)}", ("input", "rules", part))


async def _has_members(w: Work) -> bool:
    found: bool = await w.sql.fetchval(
        "SELECT EXISTS (SELECT 1 FROM memberships WHERE merchant_id = $1)", w.merchant_id
    )
    return found
