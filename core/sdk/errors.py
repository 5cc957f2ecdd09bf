"""Errors: what a caller did wrong, and what became of a call to an outside system."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import ClassVar


class HuikeError(Exception):
    """An expected error, shown to the caller as it is.

    A subclass stands beside the rule that it reports and sets `code`, `cause` and `cure`; a
    plugin's code starts with the plugin's name. `path` leads to the offending input value, for
    instance ("input", "orders", "3", "paid").
    """

    code: ClassVar[str]
    cause: ClassVar[str]
    cure: ClassVar[str]
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, path: Sequence[str | int] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.path = tuple(str(step) for step in path)

    @property
    def errors(self) -> tuple["HuikeError", ...]:
        """Itself, so that it is read as Several are."""
        return (self,)


class InvalidInput(HuikeError):
    code = "INVALID_INPUT"
    cause = "A value has the wrong form or range."
    cure = "Correct the value that `path` leads to."


class NotFound(HuikeError):
    code = "NOT_FOUND"
    cause = "No such object exists for this merchant."
    cure = "Check the id; ids of other merchants are never found."


class AlreadyExists(HuikeError):
    code = "ALREADY_EXISTS"
    cause = "Another object already has this name or id."
    cure = "Choose another name, or update the existing object."


class WrongState(HuikeError):
    code = "WRONG_STATE"
    cause = "The object's state does not allow this action."
    cure = "Read the object's state again; the message says what it must be."


class Conflict(HuikeError):
    code = "CONFLICT"
    cause = "The object was changed since the version that `ifVersion` names."
    cure = "Read it again, and decide anew what to change."


class KeyReused(HuikeError):
    code = "IDEMPOTENCY_KEY_REUSED"
    cause = "The idempotency key was used before with other input."
    cure = "Use a new key for new input, and the same key only to repeat a call."


class PluginDisabled(HuikeError):
    code = "PLUGIN_DISABLED"
    cause = "The plugin that this needs is not switched on for the merchant."
    cure = "Enable the plugin with `pluginEnable`."


class Several(Exception):
    """All the errors of one input, reported in one answer."""

    def __init__(self, errors: Sequence[HuikeError]) -> None:
        super().__init__("; ".join(error.message for error in errors))
        self.errors = tuple(errors)


class Faults:
    """The expected errors of one input, noted so that all of them are told in one answer.

    Each check that can fail by itself is a block of its own, and `tell` ends the checking:

        faults = Faults()
        with faults:
            name = check_name(given.name)
        with faults:
            await need_shop(w, given.shop_id)
        faults.tell()

    What a block was to set may be used after `tell` only: it is not there if the block failed.
    """

    def __init__(self) -> None:
        self._errors: list[HuikeError] = []

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, HuikeError):
            self._errors.append(error)
        elif isinstance(error, Several):
            self._errors += error.errors
        else:
            return False
        return True

    def __bool__(self) -> bool:
        return bool(self._errors)

    def add(self, error: HuikeError) -> None:
        """Note an error that nothing raised."""
        self._errors.append(error)

    def wrong(self, message: str, *path: str | int) -> None:
        """Note that the value of the input at this path is wrong."""
        self._errors.append(InvalidInput(message, ("input", *path)))

    def tell(self) -> None:
        """Raise what was noted, if anything: a single error as it is, more as Several."""
        if len(self._errors) == 1:
            raise self._errors[0]
        if self._errors:
            raise Several(self._errors)


@contextmanager
def paths_moved(place: tuple[str, ...], to: tuple[str, ...]) -> Iterator[None]:
    """Lead the errors about one place of an input to the one where the value really stands."""
    try:
        yield
    except (HuikeError, Several) as error:
        for one in error.errors:
            if one.path[: len(place)] == place:
                one.path = (*to, *one.path[len(place) :])
        raise


class OutsideError(Exception):
    """How a call to an outside system ended, when it did not end with a result."""


class RetryLater(OutsideError):
    """Certainly not done; worth another try after `after`.

    A channel with several providers says by `provider` which one failed: the next try avoids it.
    With `tried` False nobody was asked at all, since a limit of ours is reached: that uses up none
    of the message's tries.
    """

    def __init__(
        self,
        reason: str,
        after: timedelta | None = None,
        provider: str | None = None,
        tried: bool = True,
    ) -> None:
        super().__init__(reason)
        self.after = after
        self.provider = provider
        self.tried = tried


class ReconnectNeeded(OutsideError):
    """The account, its credentials or its money must be seen to by the merchant first."""


class Refused(OutsideError):
    """Certainly not done, and never will be for this request."""


class Unknown(OutsideError):
    """Done or not, nobody knows: never repeat it blindly. `provider` can be asked, if known."""

    def __init__(self, reason: str, provider: str | None = None) -> None:
        super().__init__(reason)
        self.provider = provider
