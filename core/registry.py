"""The plugins of this process: discovered, checked and sorted once at start.

The one file that touches pluggy. A plugin that fails to load is left out and named in `broken`;
one that contradicts another or this version stops the start, because going on would change what
the others mean.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Any, Generic, TypeVar

import click
import pluggy
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from core import __version__
from core.sdk.actions import Action
from core.sdk.channels import Channel
from core.sdk.codes import CodeSource
from core.sdk.connectors import Connector
from core.sdk.errors import HuikeError
from core.sdk.facets import Facet
from core.sdk.hooks import PROJECT, Hooks
from core.sdk.orders import OrderFormat
from core.sdk.personal import PersonalTable
from core.sdk.plugin import (
    HealthCheck,
    Manifest,
    NodeType,
    SchemaField,
    SettingsCheck,
    Subscriber,
    migrations_beside,
)
from core.sdk.recipes import Recipe
from core.sdk.rewards import RewardProvider
from core.sdk.ticks import Tick
from core.sdk.timeline import TimelineSource
from core.sdk.variables import VariableSource
from core.sdk.web import WebRoute

logger = logging.getLogger(__name__)

GROUP = "huike.plugins"
LOAD_SECONDS = 15.0
CORE = "core"

T = TypeVar("T")


class RegistryError(Exception):
    """The plugins cannot be put together; the message names them and says what to do."""


@dataclass(frozen=True)
class Owned(Generic[T]):
    """A contribution and the plugin that it came from."""

    plugin: str
    value: T


@dataclass(frozen=True)
class Registry:
    """Everything the plugins contribute, by name. `broken` says which plugin failed, and how."""

    manifests: Mapping[str, Manifest]
    channels: Mapping[str, Owned[Channel]]
    facets: Mapping[str, Owned[Facet]]
    order_formats: Mapping[str, Owned[OrderFormat]]
    schema_fields: Mapping[str, Owned[SchemaField]]
    node_types: Mapping[str, Owned[NodeType]]
    subscribers: Mapping[str, Owned[Subscriber]]
    error_codes: Mapping[str, Owned[type[HuikeError]]]
    settings_checks: Mapping[str, Owned[SettingsCheck]]
    health_checks: Mapping[str, Owned[HealthCheck]]
    personal_tables: Mapping[str, Owned[PersonalTable]]
    timeline_sources: Mapping[str, Owned[TimelineSource]]
    actions: Mapping[str, Owned[Action]]
    campaign_recipes: Mapping[str, Owned[Recipe]]
    reward_providers: Mapping[str, Owned[RewardProvider]]
    code_sources: Mapping[str, Owned[CodeSource]]
    message_variables: Mapping[str, Owned[VariableSource]]
    connectors: Mapping[str, Owned[Connector]]
    web_routes: Mapping[str, Owned[WebRoute]]
    ticks: Mapping[str, Owned[Tick]]
    commands: Mapping[str, Owned[click.Command]]
    broken: Mapping[str, str] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)
    """The package, or the module, with each plugin's code."""
    deprecated: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """What plugins use that will go, by plugin; it works until the version that is named."""

    def plugin_of(self, module: str) -> str | None:
        """The plugin to which a module belongs."""
        return next(
            (name for name, package in self.packages.items()
             if f"{module}.".startswith(f"{package}.")),
            None,
        )  # fmt: skip

    def model_apps(self) -> dict[str, list[str]]:
        """The modules with tables of each plugin that has any."""
        return {m.name: [m.models] for m in self.manifests.values() if m.models}


def load(
    builtin: object,
    skip: Iterable[str] = (),
    found: Iterable[EntryPoint] | None = None,
    seconds: float = LOAD_SECONDS,
) -> Registry:
    """Load core's own contributions (`builtin`) and every installed plugin.

    Raises RegistryError for a plugin out of its version range and for names claimed twice.
    """
    skipped = set(skip)
    points = entry_points(group=GROUP) if found is None else found
    loaded: dict[str, object] = {CORE: builtin}
    broken: dict[str, str] = {}
    packages: dict[str, str] = {}
    for point in sorted(points, key=lambda point: (point.name, point.value)):
        if point.name in skipped:
            continue
        if point.name in loaded or point.name in broken:
            raise RegistryError(
                f"two installed packages bring a plugin named {point.name}: "
                f"uninstall one, or skip both with HUIKE_SKIP_PLUGINS={point.name}"
            )
        try:
            plugin = _within(seconds, point.load)
            _check_manifest(point.name, plugin)
            loaded[point.name] = plugin
            packages[point.name] = point.module.rpartition(".")[0] or point.module
        except RegistryError:
            raise
        except Exception as error:
            logger.exception("plugin %s failed to load and is left out", point.name)
            broken[point.name] = f"failed to load: {type(error).__name__}: {error}"
    return _collect(loaded, broken, packages, seconds)


def _check_manifest(name: str, plugin: object) -> None:
    manifest = getattr(plugin, "manifest", None)
    if not isinstance(manifest, Manifest):
        raise TypeError("the plugin object has no `manifest` of type core.sdk.Manifest")
    if manifest.name != name:
        raise TypeError(f"the entry point is {name!r}, but the manifest says {manifest.name!r}")
    for permission in manifest.permissions:
        _check_prefix(name, "permissions", permission.name)
    if manifest.models:
        _check_tables(manifest.models)
    try:
        versions = SpecifierSet(manifest.core)
    except InvalidSpecifier as error:
        raise TypeError(f"the manifest's range of core versions is malformed: {error}") from None
    if not versions.contains(__version__, prereleases=True):
        raise RegistryError(
            f"plugin {name} {manifest.version} works with huike {manifest.core}, and this is "
            f"{__version__}: install a matching version of the plugin, or go on without it with "
            f"HUIKE_SKIP_PLUGINS={name}"
        )


def _check_tables(models: str) -> None:
    if find_spec(models) is None:
        raise TypeError(f"there is no module {models}")
    migrations = migrations_beside(models)
    if find_spec(migrations) is None:
        raise TypeError(f"there is no package {migrations} to make the tables of {models}")


def _collect(
    loaded: dict[str, object], broken: dict[str, str], packages: dict[str, str], seconds: float
) -> Registry:
    contributions: dict[str, dict[str, list[Any]]] = {}
    for name in sorted(loaded):
        try:
            contributions[name] = _contributions(name, loaded[name], seconds)
        except Exception as error:
            if name == CORE:
                raise
            logger.exception("plugin %s failed to contribute and is left out", name)
            broken[name] = f"failed to contribute: {type(error).__name__}: {error}"
    by_hook = {
        hook: _by_name(
            hook, {plugin: made[hook] for plugin, made in contributions.items() if hook in made}
        )
        for hook in _hooks()
    }
    manifests = {
        name: plugin.manifest  # type: ignore[attr-defined]  # checked by _check_manifest
        for name, plugin in loaded.items()
        if name != CORE and name in contributions
    }
    deprecated = {name: found for name, made in contributions.items() if (found := _old(made))}
    for name, found in deprecated.items():
        logger.warning("plugin %s uses what will go: %s", name, "; ".join(found))
    return Registry(
        manifests=manifests, broken=broken, packages=packages, deprecated=deprecated, **by_hook
    )


def _hooks() -> list[str]:
    return [name for name in vars(Hooks) if not name.startswith("_")]


def _old(made: Iterable[str]) -> list[str]:
    """What is to be said of the hooks among these that are deprecated."""
    specs = {hook: getattr(Hooks, hook).huike_spec["warn_on_impl"] for hook in made}
    return [f"the hook {hook} is {told}" for hook, told in specs.items() if told is not None]


def _contributions(name: str, plugin: object, seconds: float) -> dict[str, list[Any]]:
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Hooks)
    manager.register(plugin, name)
    manager.check_pending()  # raises for a misspelt hook
    made = {}
    for hook in _hooks():
        implementations = getattr(manager.hook, hook).get_hookimpls()
        if implementations:
            made[hook] = list(_within(seconds, implementations[0].function))
            for value in made[hook]:
                _check_name(name, hook, value)
    return made


def _key(hook: str, value: Any) -> str:
    if hook == "error_codes":
        return str(value.code)
    if hook == "schema_fields":
        return f"{value.owner}.{value.name}"
    return str(value.name)


def _check_name(plugin: str, hook: str, value: Any) -> None:
    """A plugin's own names start with the plugin's, so that they say where they come from.

    GraphQL types are named as clients read them.
    """
    if plugin == CORE or hook == "node_types":
        return
    if hook == "schema_fields":
        checked = value.name if value.owner in ("Query", "Mutation") else plugin
    else:
        checked = _key(hook, value)
    _check_prefix(plugin, hook, checked)


def _check_prefix(plugin: str, where: str, name: str) -> None:
    if not name.lower().startswith(plugin.lower()):
        raise TypeError(f"{where}: {name!r} must start with the plugin's name, {plugin!r}")


def _by_name(hook: str, made: dict[str, list[Any]]) -> dict[str, Owned[Any]]:
    by_name: dict[str, Owned[Any]] = {}
    for plugin, values in made.items():
        for value in values:
            key = _key(hook, value)
            if key in by_name:
                other = by_name[key].plugin
                raise RegistryError(
                    f"plugins {other} and {plugin} both bring {hook} {key!r}: uninstall one, "
                    f"or skip it with HUIKE_SKIP_PLUGINS={plugin}"
                )
            by_name[key] = Owned(plugin, value)
    return by_name


def _within(seconds: float, function: Callable[[], Any]) -> Any:
    """Call a plugin's function, but wait no longer than so many seconds for it."""
    outcome: list[Any] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(function())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError(f"no answer within {seconds:g} seconds")
    if failure:
        raise RuntimeError(f"{type(failure[0]).__name__}: {failure[0]}") from failure[0]
    return outcome[0]
