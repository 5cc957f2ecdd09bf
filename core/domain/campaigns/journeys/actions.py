"""The actions that plugins bring, found by name."""

from core.registry import Registry
from core.sdk.actions import Action
from core.sdk.errors import InvalidInput

Path = tuple[str, ...]


def find_action(registry: Registry, name: str, path: Path) -> Action:
    """The action of that name. Raises InvalidInput."""
    owned = registry.actions.get(name)
    if owned is None:
        known = ", ".join(sorted(registry.actions)) or "none"
        raise InvalidInput(f"there is no action {name!r}; there are {known}", path)
    return owned.value
