"""Actions that plugins bring, as steps of a journey."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from core.domain.campaigns.journeys.travellers import Traveller
from core.domain.shops.plugins import plugin_settings
from core.guard import guarded
from core.registry import Registry
from core.sdk.actions import Action, Subject
from core.sdk.errors import InvalidInput, Several
from core.sdk.flows import Act
from core.storage.database import Work

Path = tuple[str, ...]


async def act(w: Work, registry: Registry, step: Act, group: Sequence[Traveller]) -> None:
    """Perform the step's action. Raises InvalidInput, Several, PluginDisabled, PluginFailed."""
    action = find_action(registry, step.action, ())
    plugin = registry.actions[action.name].plugin
    await plugin_settings(w, registry, plugin)  # raises for one that is switched off
    settings = read_settings(action, step.settings, ())
    subjects = [Subject(one.id, one.customer_id, one.order_id, one.parcel_id) for one in group]
    seconds = registry.manifests[plugin].timeout
    await guarded(plugin, w.merchant_id, seconds, action.perform(w, settings, subjects))


def find_action(registry: Registry, name: str, path: Path) -> Action:
    """The action of that name. Raises InvalidInput."""
    owned = registry.actions.get(name)
    if owned is None:
        known = ", ".join(sorted(registry.actions)) or "none"
        raise InvalidInput(f"there is no action {name!r}; there are {known}", path)
    return owned.value


def read_settings(action: Action, given: dict[str, Any], path: Path) -> BaseModel:
    """A step's settings, checked by the action's model. Raises Several of InvalidInput."""
    try:
        return action.settings.model_validate(given)
    except ValidationError as error:
        raise Several([
            InvalidInput(one["msg"], (*path, *map(str, one["loc"]))) for one in error.errors()
        ]) from None  # fmt: skip
