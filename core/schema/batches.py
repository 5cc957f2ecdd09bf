"""Batches of records over the API: what becomes of the others when one is wrong."""

from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import Any, Generic, TypeVar

import strawberry

from core.schema.errors import UserError, user_errors
from core.sdk.errors import HuikeError, InvalidInput, Several

MAX_BATCH = 500
T = TypeVar("T")
R = TypeVar("R")


@strawberry.enum(description="What becomes of a batch in which something is wrong.")
class OnError(Enum):
    ABORT = strawberry.enum_value("abort", description="Nothing of it is done.")
    CONTINUE = strawberry.enum_value(
        "continue", description="Those that are right are done; `errors` tells of the others."
    )


def error_policy() -> Any:
    """The field that says what becomes of the others; the results are in order, null if wrong."""
    return strawberry.field(
        default=OnError.ABORT, description="What becomes of the others when one is wrong."
    )


def goes_on(on_error: OnError) -> bool:
    """Whether those that are right are done although others are wrong."""
    return on_error is OnError.CONTINUE


class Batch(Generic[R]):
    """The records of a batch that are right, and the errors of the others."""

    def __init__(self, size: int) -> None:
        self.records: list[R] = []
        self._places: list[int] = []
        self._size = size
        self._errors: list[HuikeError] = []

    def add(self, place: int, record: R, errors: Sequence[HuikeError]) -> None:
        """Take a record, or what is wrong with it."""
        self._errors += errors
        if not errors:
            self.records.append(record)
            self._places.append(place)

    def need_all(self) -> None:
        """Raises Several with every error of every record."""
        if self._errors:
            raise Several(self._errors)

    @property
    def errors(self) -> list[UserError]:
        """Of the records that were left out, for the payload."""
        return user_errors(Several(self._errors))

    def results(self, made: Iterable[T]) -> list[T | None]:
        """What the records became, at their places in the batch."""
        found: list[T | None] = [None] * self._size
        for place, one in zip(self._places, made, strict=True):
            found[place] = one
        return found


def read_batch(
    name: str,
    given: Sequence[T],
    on_error: OnError,
    read: Callable[[T, tuple[str, ...], list[HuikeError]], R],
) -> Batch[R]:
    """The records of a batch, normalised by `read`, which gets the path and collects errors.

    Raises Several, and InvalidInput for too many.
    """
    if len(given) > MAX_BATCH:
        raise InvalidInput(f"at most {MAX_BATCH} {name} at once", ("input", name))
    batch: Batch[R] = Batch(len(given))
    for place, one in enumerate(given):
        errors: list[HuikeError] = []
        record = read(one, ("input", name, str(place)), errors)
        batch.add(place, record, errors)
    if on_error is OnError.ABORT:
        batch.need_all()
    return batch
