"""Codes that a plugin sets aside for another one that prints them."""

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel

from core.domain.shops.plugins import plugin_settings, read_settings
from core.guard import guarded
from core.registry import Owned, Registry
from core.sdk.codes import CodeSource, Held, Holder
from core.sdk.errors import HuikeError, InvalidInput, PluginDisabled
from core.storage.database import Session, Work

T = TypeVar("T")


async def check_codes(
    session: Session,
    registry: Registry,
    name: str,
    settings: Mapping[str, Any],
    path: tuple[str, ...],
) -> BaseModel:
    """What a source of that name is given, checked; `path` leads to its name and settings.

    Raises InvalidInput, Several, PluginDisabled, and what the source has against it.
    """
    owned = registry.code_sources.get(name)
    if owned is None:
        known = ", ".join(sorted(registry.code_sources)) or "none"
        raise InvalidInput(f"there are no codes of {name!r}; there are {known}", (*path, "source"))
    within = (*path, "settings")
    checked = read_settings(owned.value.settings, settings, within)
    await plugin_settings(session, registry, owned.plugin)  # raises for one that is switched off
    try:
        await _call(session, registry, owned, owned.value.free(session, checked))
    except HuikeError as error:
        error.path = (*within, *error.path)
        raise
    return checked


async def free_codes(
    session: Session, registry: Registry, name: str, settings: Mapping[str, Any]
) -> int | None:
    """How many codes can be set aside, 0 if something is against it; None for any number."""
    owned = registry.code_sources.get(name)
    if owned is None:
        return 0
    try:
        await plugin_settings(session, registry, owned.plugin)
        checked = read_settings(owned.value.settings, settings)
        return await _call(session, registry, owned, owned.value.free(session, checked))
    except HuikeError:
        return 0


async def why_no_codes(
    session: Session,
    registry: Registry,
    name: str,
    settings: Mapping[str, Any],
    customer_ids: Sequence[int | None],
) -> Sequence[str | None]:
    """Why there would be no code for these customers now, in their order; None if there were."""
    owned = registry.code_sources.get(name)
    if owned is None:
        return ["its plugin is not installed"] * len(customer_ids)
    try:
        await plugin_settings(session, registry, owned.plugin)
        checked = read_settings(owned.value.settings, settings)
        return await _call(
            session, registry, owned, owned.value.why_not(session, checked, customer_ids)
        )
    except HuikeError as error:
        return [error.message] * len(customer_ids)


async def hold_codes(
    w: Work, registry: Registry, name: str, settings: Mapping[str, Any], holders: Sequence[Holder]
) -> Sequence[Held]:
    """Set a code aside for each holder, as far as they go. Raises what the source raises."""
    owned = _source(registry, name)
    checked = read_settings(owned.value.settings, settings)
    return await _call(w, registry, owned, owned.value.hold(w, checked, holders))


async def give_codes(w: Work, registry: Registry, name: str, keys: Sequence[str]) -> None:
    """The customers have these codes from now on, even if the plugin was switched off meanwhile:
    they are in print. Raises PluginDisabled for one that is not installed any more."""
    owned = _source(registry, name)
    await _call(w, registry, owned, owned.value.give(w, keys))


async def take_back_codes(w: Work, registry: Registry, name: str, keys: Sequence[str]) -> None:
    """Codes that were given by mistake are set aside again. Raises as `give_codes` does."""
    owned = _source(registry, name)
    await _call(w, registry, owned, owned.value.take_back(w, keys))


async def give_back_codes(w: Work, registry: Registry, name: str, keys: Sequence[str]) -> None:
    """Put codes back that were not given; those of a plugin that is gone are nobody's anyway."""
    if name in registry.code_sources:
        owned = _source(registry, name)
        await _call(w, registry, owned, owned.value.give_back(w, keys))


def _source(registry: Registry, name: str) -> Owned[CodeSource]:
    owned = registry.code_sources.get(name)
    if owned is None:
        raise PluginDisabled(f"the plugin that makes the codes of {name} is not installed")
    return owned


async def _call(
    session: Session, registry: Registry, owned: Owned[CodeSource], call: Awaitable[T]
) -> T:
    seconds = registry.manifests[owned.plugin].timeout
    return await guarded(owned.plugin, session.merchant_id, seconds, call)
