"""Actions: what a step of a journey can do to its customers beside what core brings."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from pydantic import BaseModel

from core.sdk.facets import Text


@dataclass(frozen=True)
class Subject:
    """A customer who has come to the step, with the order and parcel that the journey is about.

    `enrolment_id` is the same for everything that one way through the journey does.
    """

    enrolment_id: int
    customer_id: int
    order_id: int | None
    parcel_id: int | None


class Action(Protocol):
    """What one kind of step does. `settings` is the model of what each such step is given."""

    name: str
    title: Text
    settings: type[BaseModel]

    async def perform(self, w: Any, settings: Any, subjects: Sequence[Subject]) -> None:
        """Do it for all of the customers, of whom one may stand there several times.

        `w` is the unit of work in which the customers go on to the next step: what is written
        there is written exactly once. Calls to the outside do not belong here: emit an event, and
        call from its subscriber. A HuikeError pauses the campaign and shows its message.
        """


@runtime_checkable
class CheckedAction(Protocol):
    """An action that can tell, when a campaign starts, that its settings name what is not there."""

    async def check(self, session: Any, settings: Any) -> None:
        """Raises a HuikeError, whose path begins with the name of a setting."""
