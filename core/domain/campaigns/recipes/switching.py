"""Switching a recipe on: its segments and campaigns are made, and started if that is asked for."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import orjson
from pydantic import ValidationError

from core.domain.campaigns.campaigns import create_flow_campaign
from core.domain.campaigns.control import check_channel, start_campaign
from core.domain.campaigns.flows import campaign_channel
from core.domain.segments.segments import create_segment
from core.domain.shops.merchants import check_name
from core.registry import Registry
from core.sdk.errors import AlreadyExists, Faults, InvalidInput, NotFound, Several
from core.sdk.facets import Language
from core.sdk.flows import Flow
from core.sdk.recipes import Asked, NewCampaign, NewSegment, Parameters, Recipe
from core.storage.database import Session, Work

PARAMETERS = ("input", "parameters")


def find_recipe(registry: Registry, name: str) -> Recipe:
    """The recipe of that name. Raises NotFound."""
    owned = registry.campaign_recipes.get(name)
    if owned is None:
        known = ", ".join(sorted(registry.campaign_recipes))
        raise NotFound(f"there is no recipe {name!r}; there are {known}", ("input", "recipe"))
    return owned.value


def read_parameters(recipe: Recipe, given: Any) -> Parameters:
    """A recipe's parameters from JSON values. Raises InvalidInput, Several of InvalidInput."""
    if not isinstance(given, Mapping):
        raise InvalidInput("parameters are an object", PARAMETERS)
    try:
        return recipe.parameters.model_validate(given)
    except ValidationError as error:
        raise _faults(error, sorted(recipe.parameters.model_fields)) from None


def campaigns_of(
    registry: Registry,
    recipe: Recipe,
    parameters: Parameters,
    language: Language,
    shop_id: int | None = None,
) -> Sequence[NewCampaign]:
    """What a recipe would make. Raises InvalidInput for a channel that does not exist, Several."""
    try:
        channel = campaign_channel(registry, parameters.channel)
    except InvalidInput as error:
        raise InvalidInput(error.message, (*PARAMETERS, "channel")) from None
    try:
        return recipe.build(Asked(parameters, language, shop_id, channel))
    except ValidationError as error:
        raise _faults(error) from None


async def switch_on(
    w: Work,
    registry: Registry,
    name: str,
    given: Mapping[str, Any],
    *,
    language: Language = "zh",
    shop_id: int | None = None,
    title: str | None = None,
    start: bool = False,
) -> list[int]:
    """Make a recipe's campaigns and return their ids; `title` names the first instead of its own.

    Segments with the same rule are taken as they are. Raises NotFound, InvalidInput, Several,
    PluginDisabled, and AlreadyExists when the recipe is on for the shop and channel already.
    """
    faults = Faults()
    with faults:
        recipe = find_recipe(registry, name)
        parameters = read_parameters(recipe, given)
        made = campaigns_of(registry, recipe, parameters, language, shop_id)
    with faults:
        shop = await _shop_name(w, shop_id)
    if title is not None:
        with faults:
            title = check_name(title)
    faults.tell()
    await _check_new(w, recipe, parameters, shop_id)
    if start and recipe.sends:
        await check_channel(w, registry, parameters.channel)
    ids = []
    for number, one in enumerate(made):
        segments = [await _segment(w, registry, segment, shop) for segment in one.segments]
        own = " · ".join(
            part for part in (one.name, shop, recipe.sends and parameters.channel) if part
        )
        named = title if title and number == 0 else await _free_name(w, "campaigns", own)
        campaign_id = await create_flow_campaign(
            w, registry, name=named, flow=flow_of(one, segments),
            shop_id=shop_id, options=one.options, recipe=recipe.name,
            parameters=parameters.model_dump_json(),
        )  # fmt: skip
        if start:
            await start_campaign(w, registry, campaign_id)
        ids.append(campaign_id)
    return ids


def _faults(error: ValidationError, known: Sequence[str] | None = None) -> Several:
    """Parameters that do not fit those `known`; without them, that do not make a flow together."""
    return Several([
        InvalidInput(
            f"there is no parameter {one['loc'][0]!r}; there are {', '.join(known or ())}"
            if one["type"] == "extra_forbidden" else one["msg"].removeprefix("Value error, "),
            PARAMETERS if known is None else (*PARAMETERS, *map(str, one["loc"])),
        )
        for one in error.errors()
    ])  # fmt: skip


def flow_of(made: NewCampaign, segments: Sequence[int]) -> Flow:
    """The flow of a campaign to make. Raises Several."""
    try:
        return made.flow(segments)
    except ValidationError as error:
        raise _faults(error) from None


async def _shop_name(w: Work, shop_id: int | None) -> str:
    """The shop's name, locked so that nobody else switches on the same meanwhile."""
    table, number = ("merchants", w.merchant_id) if shop_id is None else ("shops", shop_id)
    owner = "id" if shop_id is None else "merchant_id"
    name: str | None = await w.sql.fetchval(
        f"SELECT name FROM {table} WHERE {owner} = $1 AND id = $2 FOR NO KEY UPDATE",
        w.merchant_id, number,
    )  # fmt: skip
    if name is None:
        raise NotFound("there is no shop with this id", ("input", "shopId"))
    return "" if shop_id is None else name


async def _check_new(
    session: Session, recipe: Recipe, parameters: Parameters, shop_id: int | None
) -> None:
    told_by = {"channel", *recipe.apart} if recipe.sends else {*recipe.apart}
    apart = parameters.model_dump(mode="json", include=told_by)
    name = await session.sql.fetchval(
        """SELECT name FROM campaigns WHERE merchant_id = $1 AND recipe = $2
              AND shop_id IS NOT DISTINCT FROM $3 AND parameters @> $4
              AND state NOT IN ('finished', 'cancelled') LIMIT 1""",
        session.merchant_id, recipe.name, shop_id, orjson.dumps(apart).decode(),
    )  # fmt: skip
    if name is not None:
        raise AlreadyExists(
            f"the recipe is on for this shop and channel already, by the campaign {name!r}: "
            "change it, or end it first", ("input", "recipe"),
        )  # fmt: skip


async def _segment(w: Work, registry: Registry, wanted: NewSegment, shop: str) -> int:
    """A dynamic segment with the rule, made unless there is one."""
    stored = {"version": 1, "rule": wanted.rule}
    found: int | None = await w.sql.fetchval(
        """SELECT id FROM segments WHERE merchant_id = $1 AND kind = 'dynamic' AND rule = $2
           ORDER BY id LIMIT 1""",
        w.merchant_id, orjson.dumps(stored).decode(),
    )  # fmt: skip
    if found is not None:
        return found
    name = " · ".join(part for part in (wanted.name, shop) if part)
    return await create_segment(w, registry, await _free_name(w, "segments", name), stored)


async def _free_name(w: Work, table: Literal["campaigns", "segments"], name: str) -> str:
    """The name, with a number if there is one of that name: an ended campaign keeps its own."""
    taken = {
        row["name"] for row in await w.sql.fetch(
            f"SELECT name FROM {table} WHERE merchant_id = $1 AND starts_with(name, $2)",
            w.merchant_id, name,
        )
    }  # fmt: skip
    numbered = (f"{name} {number}" for number in itertools.count(2))
    return next(one for one in itertools.chain([name], numbered) if one not in taken)
