"""The events that journeys can wait for, and the fields by which they can be told apart."""

from dataclasses import fields

from core.domain.campaigns.journeys.custom_events import PREFIX, TYPE
from core.sdk.events import event_types
from core.sdk.flows import Filter

ABOUT = frozenset({"customer_id", "customer_ids"})


def known_events() -> dict[str, list[str]]:
    """The fields of each type of event that is about customers, core's and plugins'."""
    return {
        event.type: names
        for event in sorted(event_types(), key=lambda event: event.type)
        if ABOUT & set(names := [field.name for field in fields(event)])  # type: ignore[arg-type]
    }


def fault_of(event_type: str, where: Filter, about: str = "customer_id") -> str | None:
    """What is wrong with waiting for such events, or None."""
    if event_type.startswith(PREFIX):
        if about != "customer_id":
            return "an event of your own is about its customer"
        return None if TYPE.fullmatch(event_type) else f"{event_type!r} is no type of an event"
    known = known_events()
    if event_type not in known:
        return (
            f"there is no event {event_type!r} about customers; there are {', '.join(known)}, and "
            f"your own, whose types begin with {PREFIX!r}"
        )
    strange = sorted(set(where) - set(known[event_type]))
    if about != "customer_id" and about not in known[event_type]:
        strange.append(about)
    if strange:
        return (
            f"the event {event_type} has no {', '.join(strange)}; "
            f"it has {', '.join(known[event_type])}"
        )
    return None
