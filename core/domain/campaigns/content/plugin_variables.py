"""Variables that plugins bring: which there are, and their values for a group of messages."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from core.domain.shops.plugins import enabled_plugins
from core.guard import guarded
from core.registry import Owned, Registry
from core.sdk.errors import PluginDisabled
from core.sdk.variables import Addressee, VariableSource
from core.storage.database import Session, Work


async def plugin_names(
    session: Session, registry: Registry, content: Mapping[str, str]
) -> frozenset[str]:
    """The variables of those sources that the templates may name at all."""
    texts = [text for text in content.values() if text]
    wanted = [
        owned
        for owned in registry.message_variables.values()
        if any(f"{owned.value.name}." in text for text in texts)
    ]
    if not wanted:
        return frozenset()
    enabled = await enabled_plugins(session)
    found: set[str] = set()
    for owned in wanted:
        if owned.plugin in enabled:
            call = owned.value.names(session)
            names = await guarded(owned.plugin, session.merchant_id, _time(registry, owned), call)
            found |= {f"{owned.value.name}.{name}" for name in names}
    return frozenset(found)


async def add_samples(
    session: Session,
    registry: Registry,
    names: Collection[str],
    values: Mapping[int, dict[str, Any]],
) -> None:
    """Add sample values of plugins' variables to each message's values."""
    for owned, own in _named(registry, names):
        call = owned.value.samples(session, own)
        found = await guarded(owned.plugin, session.merchant_id, _time(registry, owned), call)
        for given in values.values():
            given |= _full(owned.value, found)


async def add_values(
    w: Work,
    registry: Registry,
    names: Collection[str],
    addressees: Sequence[Addressee],
    values: Mapping[int, dict[str, Any]],
) -> None:
    """Add the values of plugins' variables, by delivery. Raises what a source raises."""
    if not addressees:
        return
    for owned, own in _named(registry, names):
        if owned.plugin not in await enabled_plugins(w):
            raise PluginDisabled(f"the plugin {owned.plugin} is not switched on")
        call = owned.value.values(w, own, addressees)
        found = await guarded(owned.plugin, w.merchant_id, _time(registry, owned), call)
        for delivery_id, given in found.items():
            values[delivery_id].update(_full(owned.value, given))


def _named(
    registry: Registry, names: Collection[str]
) -> Iterator[tuple[Owned[VariableSource], list[str]]]:
    """The sources that are named, each with its variables."""
    for owned in registry.message_variables.values():
        head = f"{owned.value.name}."
        own = sorted(name.removeprefix(head) for name in names if name.startswith(head))
        if own:
            yield owned, own


def _full(source: VariableSource, given: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{source.name}.{name}": value for name, value in given.items() if value is not None}


def _time(registry: Registry, owned: Owned[VariableSource]) -> float:
    return registry.manifests[owned.plugin].timeout
