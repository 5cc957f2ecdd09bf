"""Which plugins a merchant has switched on, and with which settings."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import to_jsonable_python

from core.guard import guarded
from core.registry import Registry
from core.sdk.errors import (
    HuikeError,
    InvalidInput,
    NotFound,
    OutsideError,
    PluginDisabled,
    Several,
)
from core.sdk.plugin import Manifest, PluginContext
from core.storage.database import Database, Session, Work
from core.storage.versions import next_version

SETTINGS = "plugin"
"""The kind of setting, in places of plugins."""
SECRET_KEPT = "********"  # noqa: S105 - stands for a secret, is none
"""What a secret reads as; given back unchanged, it keeps the secret that is stored."""


class SettingsRefused(HuikeError):
    code = "PLUGIN_SETTINGS_REFUSED"
    cause = "The outside system did not accept the plugin's settings."
    cure = "Correct the settings; the message says what the outside system answered."


async def enable_plugin(
    db: Database,
    merchant_id: int,
    registry: Registry,
    name: str,
    settings: Mapping[str, Any],
    actor: str = "system",
    if_version: int | None = None,
) -> None:
    """Switch a plugin on, or change the settings of one that is on.

    The settings are validated, then tried by the plugin's real calls, then stored encrypted. A
    secret given as SECRET_KEPT stays as it is. Raises NotFound, Several(InvalidInput),
    SettingsRefused, Conflict.
    """
    manifest = _manifest(registry, name)
    async with db.read(merchant_id) as session:
        stored = await _stored(session, name)
    model = read_settings(manifest.settings, _kept(settings, stored))
    for owned in registry.settings_checks.values():
        if owned.plugin == name:
            try:
                await guarded(name, merchant_id, manifest.timeout, owned.value.check(model))
            except OutsideError as error:
                raise SettingsRefused(str(error), ("input", "settings")) from error
    async with db.work(merchant_id, actor) as w:
        dumped = _dump(model)
        await next_version(w, SETTINGS, name, if_version)
        await _store(w, name, True, dumped)
        w.audit("plugin.enabled", {"plugin": name, "changed": _changed(stored, dumped)})


async def enable_plugins_without_settings(w: Work, registry: Registry) -> None:
    """What a new merchant starts with: every plugin that needs nothing from it."""
    for name, manifest in registry.manifests.items():
        if not any(field.is_required() for field in manifest.settings.model_fields.values()):
            await _store(w, name, True, _dump(manifest.settings()))
            w.audit("plugin.enabled", {"plugin": name, "changed": []})


async def disable_plugin(w: Work, registry: Registry, name: str) -> None:
    """Switch a plugin off; its settings are kept. Raises NotFound."""
    _manifest(registry, name)
    await w.sql.execute(
        """UPDATE plugin_states SET enabled = FALSE, updated_at = $3
           WHERE merchant_id = $1 AND plugin = $2""",
        w.merchant_id, name, w.now,
    )  # fmt: skip
    w.audit("plugin.disabled", {"plugin": name})


async def plugin_settings(session: Session, registry: Registry, name: str) -> BaseModel:
    """The validated settings of a plugin that is on. Raises PluginDisabled."""
    manifest = registry.manifests.get(name)
    enabled = await session.sql.fetchval(
        "SELECT enabled FROM plugin_states WHERE merchant_id = $1 AND plugin = $2",
        session.merchant_id, name,
    )  # fmt: skip
    if manifest is None or not enabled:
        raise PluginDisabled(f"the plugin {name} is not switched on")
    return read_settings(manifest.settings, await _stored(session, name))


async def plugin_context(
    db: Database, registry: Registry, name: str, merchant_id: int
) -> PluginContext:
    """What a plugin's code is given when it acts for a merchant. Raises PluginDisabled."""
    async with db.read(merchant_id) as session:
        settings = await plugin_settings(session, registry, name)
    return PluginContext(merchant_id, settings, db, registry)


async def enabled_plugins(session: Session) -> set[str]:
    """Names of the plugins that the merchant has switched on."""
    rows = await session.sql.fetch(
        "SELECT plugin FROM plugin_states WHERE merchant_id = $1 AND enabled", session.merchant_id
    )
    return {row["plugin"] for row in rows}


async def need_enabled(session: Session, name: str) -> None:
    """Raises PluginDisabled unless the merchant has switched the plugin on."""
    if name not in await enabled_plugins(session):
        raise PluginDisabled(f"the plugin {name} is not switched on")


async def shown_settings(session: Session, registry: Registry, name: str) -> dict[str, Any]:
    """A plugin's stored settings with secrets hidden, as a form would show them."""
    manifest = _manifest(registry, name)
    stored = await _stored(session, name)
    try:
        known = manifest.settings.model_validate(stored).model_dump(exclude_unset=True)
    except ValidationError:
        # stored by another version of the plugin: show nothing that could have been a secret
        return {
            key: SECRET_KEPT if isinstance(value, str) else None for key, value in stored.items()
        }
    shown: dict[str, Any] = to_jsonable_python(
        _map_secrets(known, lambda secret: SECRET_KEPT if secret else secret)
    )
    return shown


def _manifest(registry: Registry, name: str) -> Manifest:
    manifest = registry.manifests.get(name)
    if manifest is None:
        known = ", ".join(sorted(registry.manifests)) or "none"
        raise NotFound(f"there is no plugin {name!r}; installed are: {known}", ("name",))
    return manifest


def read_settings(
    model: type[BaseModel], given: Mapping[str, Any], path: tuple[str, ...] = ("input", "settings")
) -> BaseModel:
    """What is given, as the model that a plugin reads it by.

    Raises InvalidInput for what is no object, Several of InvalidInput.
    """
    if not isinstance(given, Mapping):
        raise InvalidInput("settings are an object", path)
    try:
        return model.model_validate(dict(given))
    except ValidationError as error:
        raise Several([
            InvalidInput(fault["msg"], (*path, *fault["loc"]))
            for fault in error.errors(include_input=False, include_url=False)
        ]) from None  # fmt: skip


def _dump(model: BaseModel) -> dict[str, Any]:
    dumped: dict[str, Any] = to_jsonable_python(_map_secrets(model.model_dump(), lambda text: text))
    return dumped


def _changed(stored: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """Names of the settings that differ; their values are nobody's business."""
    names = {*stored, *given}
    return sorted(name for name in names if stored.get(name) != given.get(name))


def _map_secrets(value: Any, show: Callable[[str], str]) -> Any:
    """The value with each secret in it, however deep, replaced by what `show` makes of it."""
    if isinstance(value, SecretStr):
        return show(value.get_secret_value())
    if isinstance(value, dict):
        return {key: _map_secrets(item, show) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_map_secrets(item, show) for item in value]
    return value


def _kept(given: Any, stored: Any) -> Any:
    """What is given, with the stored secret wherever it says SECRET_KEPT."""
    if given == SECRET_KEPT:
        return stored
    if isinstance(given, dict) and isinstance(stored, dict):
        return {key: _kept(value, stored.get(key)) for key, value in given.items()}
    if isinstance(given, list) and isinstance(stored, list) and len(given) == len(stored):
        return [_kept(*pair) for pair in zip(given, stored, strict=True)]
    return given


async def _stored(session: Session, name: str) -> dict[str, Any]:
    sealed = await session.sql.fetchval(
        "SELECT settings_sealed FROM plugin_states WHERE merchant_id = $1 AND plugin = $2",
        session.merchant_id, name,
    )  # fmt: skip
    if sealed is None:
        return {}
    settings: dict[str, Any] = orjson.loads(session.keyring.open(sealed, _place(session, name)))
    return settings


async def _store(w: Work, name: str, enabled: bool, settings: Mapping[str, Any]) -> None:
    sealed = w.keyring.seal(orjson.dumps(settings).decode(), _place(w, name))
    await w.sql.execute(
        """INSERT INTO plugin_states (merchant_id, plugin, enabled, settings_sealed, updated_at)
           VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (merchant_id, plugin) DO UPDATE SET enabled = $3, settings_sealed = $4,
               updated_at = $5""",
        w.merchant_id, name, enabled, sealed, w.now,
    )  # fmt: skip


def _place(session: Session, name: str) -> str:
    return f"plugin_states.settings|{session.merchant_id}|{name}"
