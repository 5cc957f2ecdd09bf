"""The catalogue of rewards: what members can have for how many points."""

from collections.abc import Mapping
from typing import Any

import asyncpg
import orjson
from pydantic import BaseModel

from core.domain.members.points import MAX_POINTS
from core.domain.shops.merchants import check_name
from core.domain.shops.plugins import read_settings
from core.registry import Registry
from core.sdk.errors import AlreadyExists, Faults, InvalidInput, NotFound
from core.sdk.facets import Text
from core.sdk.plugin import NoSettings, PluginContext
from core.sdk.rewards import Redeemed, RewardProvider
from core.sdk.versions import check_version
from core.storage.database import Work

COLUMNS = ("name", "cost", "stock", "per_customer", "tier_ids", "valid_from", "valid_until")


class Gift:
    """Something that somebody sends or hands over: the redemption is a task to do by hand."""

    name = "gift"
    title = Text("Gift", "礼品")
    settings: type[BaseModel] = NoSettings

    async def hand_out(
        self, context: PluginContext, settings: BaseModel, redeemed: Redeemed
    ) -> str | None:
        return None


async def create_reward(
    w: Work,
    registry: Registry,
    provider: str,
    settings: Mapping[str, Any],
    given: Mapping[str, Any],
) -> int:
    """Add a reward; returns its id. `given` are values of COLUMNS, name and cost at least.

    Raises InvalidInput, Several, AlreadyExists.
    """
    faults = Faults()
    with faults:
        checked = read_settings(_provider(registry, provider).settings, settings)
    values = {**dict.fromkeys(COLUMNS), **given}
    with faults:
        stored = await _stored(w, values)
    faults.tell()
    try:
        async with w.sql.transaction():
            reward_id: int = await w.sql.fetchval(
                """INSERT INTO rewards (merchant_id, provider, settings, name, cost, stock,
                       per_customer, tier_ids, valid_from, valid_until, created_at, updated_at)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11) RETURNING id""",
                w.merchant_id, provider, checked.model_dump_json(), *stored, w.now,
            )  # fmt: skip
    except asyncpg.UniqueViolationError:
        raise AlreadyExists("there is a reward of this name already", ("input", "name")) from None
    w.audit("reward.created", {"reward": reward_id})
    return reward_id


async def update_reward(
    w: Work, reward_id: int, changes: Mapping[str, Any], if_version: int | None = None
) -> None:
    """Change values of COLUMNS; what was redeemed already stays as it is.

    Raises NotFound, InvalidInput, AlreadyExists, and Conflict for a reward of another version than
    `if_version`; a redemption makes no version, though it takes from the stock.
    """
    row = await hold_reward(w, reward_id, ("id",))
    check_version(row["version"], if_version)
    tier_ids = row["tier_ids"] and orjson.loads(row["tier_ids"])
    values = {**{name: row[name] for name in COLUMNS}, "tier_ids": tier_ids, **changes}
    stored = await _stored(w, values)
    try:
        async with w.sql.transaction():
            await w.sql.execute(
                """UPDATE rewards SET name = $3, cost = $4, stock = $5, per_customer = $6,
                       tier_ids = $7, valid_from = $8, valid_until = $9, updated_at = $10,
                       version = version + 1
                   WHERE merchant_id = $1 AND id = $2""",
                w.merchant_id, reward_id, *stored, w.now,
            )  # fmt: skip
    except asyncpg.UniqueViolationError:
        raise AlreadyExists("there is a reward of this name already", ("input", "name")) from None
    w.audit("reward.updated", {"reward": reward_id, "fields": sorted(changes)})


async def hold_reward(w: Work, reward_id: int, path: tuple[str, ...]) -> Mapping[str, Any]:
    """A reward's row, kept from changing: whoever redeems it waits. Raises NotFound."""
    row: Mapping[str, Any] | None = await w.sql.fetchrow(
        "SELECT * FROM rewards WHERE merchant_id = $1 AND id = $2 FOR NO KEY UPDATE",
        w.merchant_id, reward_id,
    )  # fmt: skip
    if row is None:
        raise NotFound("there is no reward with this id", path)
    return row


def _provider(registry: Registry, name: str) -> RewardProvider:
    owned = registry.reward_providers.get(name)
    if owned is None:
        known = ", ".join(sorted(registry.reward_providers))
        raise InvalidInput(
            f"there is no provider {name!r}; there are {known}", ("input", "provider")
        )
    return owned.value


async def _stored(w: Work, values: Mapping[str, Any]) -> list[Any]:
    """The values of COLUMNS as they are stored. Raises all that is wrong with them."""
    faults = Faults()
    with faults:
        name = check_name(values["name"])
    with faults:
        await _check(w, values)
    faults.tell()
    tier_ids = values["tier_ids"]
    kept = {**values, "tier_ids": None if tier_ids is None else orjson.dumps(tier_ids).decode()}
    kept["name"] = name
    return [kept[name] for name in COLUMNS]


async def _check(w: Work, values: Mapping[str, Any]) -> None:
    faults = Faults()
    for name, path, least in (("cost", "cost", 1), ("stock", "stock", 0),
                              ("per_customer", "perCustomer", 1)):  # fmt: skip
        value = values[name]
        if (value is not None or name == "cost") and not least <= (value or 0) <= MAX_POINTS:
            faults.wrong(f"a number from {least} to {MAX_POINTS}", path)
    first, last = values["valid_from"], values["valid_until"]
    if first is not None and last is not None and last <= first:
        faults.wrong("it would end before it begins", "validUntil")
    if values["tier_ids"] == []:
        faults.wrong("name tiers, or leave them out for all members", "tierIds")
    if values["tier_ids"] is not None:
        known = await w.sql.fetchval(
            """SELECT count(*) FROM tiers
               WHERE merchant_id = $1 AND id = ANY($2::bigint[]) AND deleted_at IS NULL""",
            w.merchant_id, values["tier_ids"],
        )  # fmt: skip
        if known < len(set(values["tier_ids"])):
            faults.add(NotFound("there is no such tier", ("input", "tierIds")))
    faults.tell()
