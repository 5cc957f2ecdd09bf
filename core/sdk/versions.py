"""Optimistic locking: a change that holds only for the object as its author saw it."""

from core.sdk.errors import Conflict

PATH = ("input", "if_version")


def check_version(version: int, if_version: int | None, path: tuple[str, ...] = PATH) -> None:
    """Raises Conflict for an object that is another version by now; None is any."""
    if if_version is not None and version != if_version:
        raise Conflict(f"it has version {version} by now, not {if_version}: read it again", path)
