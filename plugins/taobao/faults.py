"""What the gateway's errors mean for a call, by the open platform's tables."""

from datetime import datetime, timedelta

from core.sdk import OutsideError, ReconnectNeeded, Refused, RetryLater, TooMuch, Unknown
from core.sdk.gateways import SHORT_BAN, ClockOff, ban_length
from plugins.taobao.answers import ApiError

APP_LIMITED = 7
CALLER_LIMITED = frozenset({4, 5, 8})
SESSION = frozenset({26, 27, 53})
"""The token is missing or does not hold any more."""
APP = frozenset({25, 28, 29})
"""The app's key or secret is wrong."""
PERMISSION = frozenset({11, 12})
TIMESTAMP = frozenset({30, 31})
REMOTE = frozenset({15, 50, 530})
"""The service behind the gateway: the sub-code tells."""

NO_PERMISSION = (
    "isv.invalid-permission", "isv.permission-api-package-limit", "permission-api-app-not-apply",
)  # fmt: skip
TOO_LARGE = "isp.runtime-max-limit"
NOT_DONE = ("isp.call-limited", "isp.system-busy", TOO_LARGE)
"""Faults of the platform by which a write was certainly not begun."""


class NotThere(Refused):
    """The platform knows no such thing."""


def ban_of(error: ApiError, now: datetime) -> tuple[str, timedelta] | None:
    """Whom the gateway shuts out ("app", "shop", an API's name) and how long; None if nobody."""
    if error.code == APP_LIMITED or error.sub_code.startswith("accesscontrol."):
        one_api = any(word in error.sub_code for word in ("-by-api-", "-by-app-api-"))
        return error.api if one_api else "app", ban_length(error.message, now)
    return ("shop", SHORT_BAN) if error.code in CALLER_LIMITED else None


def meaning(error: ApiError, write: bool) -> OutsideError | TooMuch:
    """What a refused call means; bans are `ban_of`'s."""
    said = str(error)
    if error.code in SESSION:
        return ReconnectNeeded(f"the shop has to be authorised again: {said}")
    if error.code in APP:
        return ReconnectNeeded(f"app_key or app_secret is wrong: {said}")
    if error.code in TIMESTAMP:
        return ClockOff(said)
    if error.code in PERMISSION or error.sub_code.startswith(NO_PERMISSION):
        return Refused(f"the app may not do this, apply for it at the open platform: {said}")
    if error.sub_code == TOO_LARGE and not write:
        return TooMuch(said)
    if error.sub_code.startswith("isp.") or (error.code in REMOTE and not error.sub_code):
        if write and not error.sub_code.startswith(NOT_DONE):
            return Unknown(said)
        return RetryLater(said)
    if error.code == 10:
        return RetryLater(said)
    if error.sub_code.endswith(("-not-exist", "-not-exists")):
        return NotThere(said)
    return Refused(said)
