"""An opened installation: engines, database, registry and doorbell, ready for use cases.

The web application, the worker and each command open one; it holds no business rules.
"""

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import asyncpg

from core.builtin import CorePlugin, completed
from core.clock import Clock, system_clock
from core.domain.campaigns.confirmation import ConfirmationSending
from core.domain.campaigns.exporting import DELIVERIES
from core.domain.campaigns.reach import count_reach
from core.domain.campaigns.results.attribution import AttributionRecompute
from core.domain.campaigns.simulation import CampaignSimulation
from core.domain.customers.exporting import CUSTOMERS
from core.domain.customers.fields import FieldRemoval
from core.domain.customers.import_undo import CustomerImportUndo
from core.domain.customers.importing import CustomerImport
from core.domain.customers.tags import Retagging
from core.domain.lifecycle.refresh import LifecycleRefresh
from core.domain.members.importing import MemberImports
from core.domain.orders.exporting import ORDERS, REFUNDS
from core.domain.orders.facts import FactsRefresh
from core.domain.orders.importing import OrderImport
from core.domain.orders.merging import AutomaticMerges
from core.domain.orders.suggesting import SuggestMerges
from core.domain.privacy.erasure import CustomerErasure
from core.domain.privacy.export import CustomerDataExport
from core.domain.privacy.rotation import Resealing
from core.domain.privacy.shop_erasure import ShopErasure
from core.domain.segments.counting import SegmentCounting
from core.domain.segments.funnel import count_clauses
from core.domain.segments.list_import import SegmentListImport
from core.domain.segments.snapshot import SegmentSnapshot
from core.domain.segments.tagging import SegmentTagging
from core.domain.segments.traits import SegmentTraits
from core.domain.shops.audit import AuditVerification
from core.registry import Registry, load
from core.sdk import outbound
from core.settings import Settings
from core.storage import applied, database
from core.storage.connections import Pool
from core.storage.database import Database, Doorbell
from core.storage.doorbell import RedisDoorbell, RedisPool, SilentDoorbell, connect_redis
from core.storage.engines import Engines
from core.storage.jobs import JobKind
from core.storage.keyring import load_keyring
from core.storage.signals import Signals
from core.tabular.exporting import Export

logger = logging.getLogger(__name__)

EXPORTS = (CUSTOMERS, ORDERS, REFUNDS, DELIVERIES)
NOUNS = (
    "shops", "customers", "orders", "members", "connections", "lifecycle", "segments", "campaigns",
)  # fmt: skip


@dataclass(frozen=True)
class Installation:
    """What every entry point works with. `redis` is None in commands that do without it."""

    settings: Settings
    registry: Registry
    db: Database
    signals: Signals
    database_url: str
    redis: RedisPool | None
    shared_redis: bool


def model_apps(registry: Registry) -> dict[str, Sequence[str]]:
    """Every module with tables, by app: core first, since plugins may refer to it."""
    core = ["core.storage.models", *(f"core.domain.{noun}.models" for noun in NOUNS)]
    return {"core": core, **registry.model_apps()}


def load_registry(settings: Settings) -> Registry:
    """Core's contributions and those of the installed plugins. Raises RegistryError."""
    return completed(load(CorePlugin(), settings.skip_plugins))


def job_kinds(registry: Registry) -> Mapping[str, JobKind]:
    """How the jobs of this process are done, by kind."""
    kinds: list[JobKind] = [
        OrderImport(registry), FactsRefresh(), AutomaticMerges(registry), SuggestMerges(),
        FieldRemoval(), Retagging(), SegmentTagging(registry),
        SegmentSnapshot(registry), SegmentListImport(), ConfirmationSending(registry),
        CustomerDataExport(registry), CustomerErasure(registry), Resealing(registry),
        AuditVerification(), CustomerImport(), CustomerImportUndo(registry), Export(EXPORTS),
        SegmentCounting(registry, [count_clauses, count_reach]), SegmentTraits(registry),
        MemberImports(),
        LifecycleRefresh(), CampaignSimulation(registry), AttributionRecompute(),
        ShopErasure(registry),
    ]  # fmt: skip
    return {kind.name: kind for kind in kinds}


@asynccontextmanager
async def open_installation(
    settings: Settings,
    *,
    registry: Registry | None = None,
    clock: Clock = system_clock,
    with_redis: bool = True,
    check_schema: bool = True,
) -> AsyncIterator[Installation]:
    """Start or reach the engines, bring the schema up to date where that is ours to do, connect.

    Raises EngineError, SettingsError, DatabaseError, RedisUnavailable or RegistryError, each with
    a message for the operator.
    """
    registry = registry or load_registry(settings)
    async with AsyncExitStack() as stack:
        stack.enter_context(outbound.allowed(settings.private_networks))
        database_url, redis_url = settings.database_url, settings.redis_url
        if database_url is None or (redis_url is None and with_redis):
            engines = Engines(settings.home)
            stack.callback(engines.leave)
            addresses = engines.start(postgres=database_url is None)
            database_url = database_url or addresses.database_url
            redis_url = redis_url or addresses.redis_url
        keyring = load_keyring(settings)
        apps = model_apps(registry)
        redis: RedisPool | None = None
        doorbell: Doorbell = SilentDoorbell()
        if with_redis:
            redis = await connect_redis(redis_url)
            doorbell = RedisDoorbell(redis)
            stack.push_async_callback(doorbell.close)
        pool = await database.connect(database_url, settings.pool_size)
        stack.push_async_callback(database.disconnect, pool)
        if check_schema:
            await _bring_up_to_date(settings, pool, database_url, apps)
            await applied.check_keyring(pool, keyring)
        url = database_url
        signals = Signals(lambda: asyncpg.connect(**database.credentials(url)))
        db = Database(pool, keyring, clock, doorbell, signals.changed_here)
        yield Installation(
            settings, registry, db, signals, url, redis, shared_redis=redis_url is not None
        )


async def _bring_up_to_date(
    settings: Settings, pool: Pool, url: str, apps: dict[str, Sequence[str]]
) -> None:
    missing = await applied.pending(pool, apps)
    if missing and settings.embedded:
        from core.storage import migrate  # large, seldom needed

        await migrate.migrate(url, apps)
    elif missing:
        raise database.DatabaseError(
            f"the database lacks {len(missing)} migrations: run `huike migrate`, then start again"
        )
