"""`huike doctor`: looks at an installation as an operator would, and says what is wrong."""

import importlib.metadata
from collections.abc import AsyncIterator
from dataclasses import dataclass

from core.domain.shops.plugins import enabled_plugins, plugin_context
from core.guard import guarded
from core.installation import Installation, load_registry, open_installation
from core.registry import Owned, Registry, RegistryError
from core.sdk.errors import HuikeError, OutsideError, Several
from core.sdk.plugin import HealthCheck
from core.settings import Settings, SettingsError
from core.storage import outbox
from core.storage.database import SYSTEM, DatabaseError
from core.storage.doorbell import RedisUnavailable
from core.storage.engines import EngineError

PACKAGES = ("core", "plugins", "worker")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str


async def examine(settings: Settings) -> list[Finding]:
    """Look at packages, plugins, engines, schema and each merchant's outside systems."""
    findings = [_packages()]
    try:
        registry = load_registry(settings)
    except RegistryError as error:
        return [*findings, Finding("plugins", False, str(error))]
    findings += _plugins(registry)
    try:
        async with open_installation(settings, registry=registry) as installation:
            findings.append(await _database(installation))
            findings.append(_redis(installation))
            findings.append(await _events(installation))
            findings += [finding async for finding in _outside_systems(installation)]
    except (SettingsError, EngineError, DatabaseError, RedisUnavailable) as error:
        findings.append(Finding("engines", False, str(error)))
    return findings


def _packages() -> Finding:
    """The package names are generic: another distribution may have overwritten ours."""
    owners = importlib.metadata.packages_distributions()
    foreign = {
        f"{package} is also shipped by {other}"
        for package in PACKAGES
        for other in owners.get(package, [])
        if other != "huike"
    }
    return Finding("packages", not foreign, "; ".join(sorted(foreign)) or ", ".join(PACKAGES))


def _plugins(registry: Registry) -> list[Finding]:
    fine = [Finding(f"plugin {m.name}", True, m.version) for m in registry.manifests.values()]
    broken = [Finding(f"plugin {name}", False, why) for name, why in registry.broken.items()]
    return fine + broken


async def _database(installation: Installation) -> Finding:
    async with installation.db.read(SYSTEM) as session:
        version = await session.sql.fetchval("SHOW server_version")
        size = await session.sql.fetchval(
            "SELECT pg_size_pretty(pg_database_size(current_database()))"
        )
    where = "embedded" if installation.settings.embedded else "external"
    return Finding("database", True, f"PostgreSQL {version}, {where}, {size}, schema up to date")


def _redis(installation: Installation) -> Finding:
    if installation.shared_redis:
        return Finding("redis", True, "external" if installation.settings.redis_url else "embedded")
    return Finding(
        "redis", True, "none to be had: `huike serve` uses one inside its own process, "
        "and `huike worker` needs a redis-server on the PATH or REDIS_URL",
    )  # fmt: skip


async def _events(installation: Installation) -> Finding:
    aside = await outbox.count_aside(installation.db)
    if not aside:
        return Finding("events", True, "all were handled, or wait to be")
    return Finding(
        "events", False, f"{aside} could not be handled: see failedEvents and the log, "
        "then failedEventsRetry",
    )  # fmt: skip


async def _outside_systems(installation: Installation) -> AsyncIterator[Finding]:
    async with installation.db.read(SYSTEM) as session:
        merchants = await session.sql.fetch("SELECT id FROM merchants ORDER BY id")
    for row in merchants:
        async with installation.db.read(row["id"]) as session:
            enabled = await enabled_plugins(session)
        for owned in installation.registry.health_checks.values():
            if owned.plugin in enabled:
                yield await _outside_system(installation, row["id"], owned)


async def _outside_system(
    installation: Installation, merchant_id: int, owned: Owned[HealthCheck]
) -> Finding:
    registry, plugin = installation.registry, owned.plugin
    name = f"{owned.value.name} of merchant {merchant_id}"
    try:
        context = await plugin_context(installation.db, registry, plugin, merchant_id)
        timeout = registry.manifests[plugin].timeout
        await guarded(plugin, merchant_id, timeout, owned.value.check(context))
    except (HuikeError, Several, OutsideError) as error:
        return Finding(name, False, str(error))
    return Finding(name, True, "answers")
