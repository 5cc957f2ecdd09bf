"""Opening a merchant's channel, for what is done beside the sending of runs."""

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from core.domain.campaigns.flows import campaign_channel
from core.domain.shops.plugins import plugin_context
from core.guard import closed, guarded
from core.registry import Registry
from core.sdk.channels import ChannelSession, opening
from core.storage.database import Database

T = TypeVar("T")


@dataclass(frozen=True)
class Call:
    """Awaits a call into a channel's plugin, with its time limit and breaker; see guard.py."""

    plugin: str
    merchant_id: int
    timeout: float

    async def __call__(self, awaited: Awaitable[T]) -> T:
        return await guarded(self.plugin, self.merchant_id, self.timeout, awaited)


@asynccontextmanager
async def opened_channel(
    db: Database, registry: Registry, merchant_id: int, name: str
) -> AsyncIterator[tuple[ChannelSession, Call]]:
    """A session of the channel, and the way to call it. Raises HuikeError or OutsideError."""
    channel = campaign_channel(registry, name)
    plugin = registry.channels[name].plugin
    context = await plugin_context(db, registry, plugin, merchant_id)
    call = Call(plugin, merchant_id, registry.manifests[plugin].timeout)
    manager = opening(channel, context)
    opened = await call(manager.__aenter__())
    try:
        yield opened, call
    finally:
        await closed(plugin, manager, call.timeout)
