"""Actions, which plugins and core bring, as steps of a journey."""

from collections.abc import Sequence

from core.domain.campaigns.journeys.actions import find_action
from core.domain.campaigns.journeys.travellers import Traveller
from core.domain.shops.plugins import plugin_settings, read_settings
from core.guard import guarded
from core.registry import CORE, Registry
from core.sdk.actions import Subject
from core.sdk.flows import Act
from core.storage.database import Work


async def act(w: Work, registry: Registry, step: Act, group: Sequence[Traveller]) -> None:
    """Perform the step's action. Raises InvalidInput, Several, PluginDisabled, PluginFailed."""
    action = find_action(registry, step.action, ())
    plugin = registry.actions[action.name].plugin
    settings = read_settings(action.settings, step.settings, ())
    subjects = [Subject(one.id, one.customer_id, one.order_id, one.parcel_id) for one in group]
    if plugin == CORE:
        await action.perform(w, settings, subjects)
        return
    await plugin_settings(w, registry, plugin)  # raises for one that is switched off
    seconds = registry.manifests[plugin].timeout
    await guarded(plugin, w.merchant_id, seconds, action.perform(w, settings, subjects))
