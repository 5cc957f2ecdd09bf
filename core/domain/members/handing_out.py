"""Handing out rewards that were redeemed, by their providers."""

import orjson

from core.domain.members.redeeming import begin_handing, cancel, end_handing, fulfil
from core.domain.shops.plugins import plugin_context, read_settings
from core.guard import guarded
from core.registry import CORE, Owned, Registry
from core.sdk.errors import PluginDisabled, Refused, Unknown
from core.sdk.events import Occurrence, RewardRequested
from core.sdk.plugin import NoSettings, PluginContext
from core.sdk.rewards import Redeemed, RewardProvider
from core.storage.database import Database

EVENTS = frozenset({RewardRequested.type})


async def hand_out(db: Database, registry: Registry, occurrence: Occurrence) -> None:
    """Have the provider of a redeemed reward give it; told twice, it is given once.

    Errors that may pass are raised, so that the event comes again.
    """
    merchant_id, pk = occurrence.merchant_id, occurrence.payload["redemption_id"]
    async with db.work(merchant_id) as w:
        row = await begin_handing(w, pk)
    if row is None:
        return
    owned = registry.reward_providers.get(row["provider"])
    if owned is None:
        await _leave(db, merchant_id, pk, f"the provider {row['provider']} is not installed")
        return
    redeemed = Redeemed(pk, row["reward_id"], row["customer_id"], row["points"])
    try:
        given = await _given(db, registry, owned, merchant_id, row["settings"], redeemed)
    except Refused as error:
        async with db.work(merchant_id) as w:
            await cancel(w, pk, str(error), refused=True)
        return
    except (Unknown, PluginDisabled) as error:
        await _leave(db, merchant_id, pk, str(error))
        return
    if given is None:
        await _leave(db, merchant_id, pk, None)
        return
    async with db.work(merchant_id) as w:
        await fulfil(w, pk, given)


async def _given(
    db: Database,
    registry: Registry,
    owned: Owned[RewardProvider],
    merchant_id: int,
    stored: str,
    redeemed: Redeemed,
) -> str | None:
    settings = read_settings(owned.value.settings, orjson.loads(stored))
    if owned.plugin == CORE:
        context = PluginContext(merchant_id, NoSettings(), db, registry)
        return await owned.value.hand_out(context, settings, redeemed)
    context = await plugin_context(db, registry, owned.plugin, merchant_id)
    call = owned.value.hand_out(context, settings, redeemed)
    seconds = registry.manifests[owned.plugin].timeout
    return await guarded(owned.plugin, merchant_id, seconds, call)


async def _leave(db: Database, merchant_id: int, redemption_id: int, reason: str | None) -> None:
    async with db.work(merchant_id) as w:
        await end_handing(w, redemption_id, reason)
