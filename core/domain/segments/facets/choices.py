"""Checks that several facets share."""

from collections.abc import Sequence

from core.sdk.facets import Fault

MAX_CHOICES = 1_000


def check_choices(choices: Sequence[object] | None, name: str = "any_of") -> Fault | None:
    """What is wrong with a list of values to choose from; an empty one matches nobody."""
    if choices is not None and len(choices) > MAX_CHOICES:
        return Fault(f"at most {MAX_CHOICES} values are allowed", (name,))
    return None
