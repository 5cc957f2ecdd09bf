"""Actions, which plugins and core bring, as steps of a journey."""

from collections.abc import Sequence

from core.domain.campaigns.journeys.actions import Path, find_action
from core.domain.campaigns.journeys.travellers import Traveller
from core.domain.shops.plugins import plugin_settings, read_settings
from core.guard import guarded
from core.registry import CORE, Registry
from core.sdk.actions import CheckedAction, Subject
from core.sdk.errors import HuikeError
from core.sdk.flows import Act, Flow
from core.storage.database import Session, Work


async def check_acts(session: Session, registry: Registry, flow: Flow, path: Path) -> None:
    """Whether the flow's actions could be performed. Raises PluginDisabled, and what they raise."""
    for number, step in enumerate(flow.steps):
        if not isinstance(step, Act):
            continue
        action = find_action(registry, step.action, path)
        plugin = registry.actions[action.name].plugin
        if plugin == CORE:
            continue
        await plugin_settings(session, registry, plugin)  # raises for one that is switched off
        if isinstance(action, CheckedAction):
            place = (*path, "steps", str(number), "settings")
            settings = read_settings(action.settings, step.settings, place)
            seconds = registry.manifests[plugin].timeout
            try:
                check = action.check(session, settings)
                await guarded(plugin, session.merchant_id, seconds, check)
            except HuikeError as error:
                raise type(error)(error.message, (*place, *error.path)) from None


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
