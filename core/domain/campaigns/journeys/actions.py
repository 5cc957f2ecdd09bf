"""The actions that plugins bring, found by name, and what a step gives them."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from core.registry import Registry
from core.sdk.actions import Action
from core.sdk.errors import InvalidInput, Several

Path = tuple[str, ...]


def find_action(registry: Registry, name: str, path: Path) -> Action:
    """The action of that name. Raises InvalidInput."""
    owned = registry.actions.get(name)
    if owned is None:
        known = ", ".join(sorted(registry.actions)) or "none"
        raise InvalidInput(f"there is no action {name!r}; there are {known}", path)
    return owned.value


def read_settings(action: Action, given: Mapping[str, Any], path: Path) -> BaseModel:
    """A step's settings, checked by the action's model. Raises Several of InvalidInput."""
    try:
        return action.settings.model_validate(given)
    except ValidationError as error:
        raise Several([
            InvalidInput(one["msg"], (*path, *map(str, one["loc"]))) for one in error.errors()
        ]) from None  # fmt: skip
