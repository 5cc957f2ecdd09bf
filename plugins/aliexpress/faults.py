"""What the gateway's errors mean for a call."""

from datetime import datetime, timedelta

from core.sdk import OutsideError, ReconnectNeeded, Refused
from core.sdk.gateways import SHORT_BAN, ClockOff, ban_length, lost
from plugins.aliexpress.answers import ApiError

SESSION = frozenset({
    "IllegalAccessToken", "IllegalRefreshToken", "InvalidSession", "invalid-sessionkey",
    "AUTH_TYPE_UNSUPPORTED", "26", "27",
})  # fmt: skip
MIGRATION = "isv.account-migration-check-fail"
APP = frozenset({
    "IncompleteSignature", "InvalidAppKey", "MissingAppKey", "25", "28", "29",
})  # fmt: skip
PERMISSION = frozenset({"InsufficientPermission", "isv.invalid-permission", "11", "12"})
TIMESTAMP = frozenset({"InvalidTimestamp", "30", "31"})
APP_LIMITED = frozenset({"AppCallLimit", "7"})
API_LIMITED = frozenset({"ApiCallLimit", "AppApiCallLimit"})
SELLER_LIMITED = "SellerCallLimit"
AWAY = frozenset({"ServiceUnavailable", "ServiceTimeout", "10", "15"})
PLATFORM = ("ISP", "SYSTEM")


def ban_of(error: ApiError, now: datetime) -> tuple[str, timedelta] | None:
    """Whom the gateway shuts out ("app", "shop", an API's name) and how long; None if nobody."""
    if error.code in API_LIMITED:
        return error.api, ban_length(error.message, now)
    if error.code in APP_LIMITED:
        return "app", ban_length(error.message, now)
    return ("shop", SHORT_BAN) if error.code == SELLER_LIMITED else None


def meaning(error: ApiError, write: bool) -> OutsideError:
    """What a refused call means; bans are `ban_of`'s."""
    said = str(error)
    if error.business:
        return Refused(said)
    if error.code in SESSION:
        return ReconnectNeeded(f"the shop has to be authorised again: {said}")
    if error.code == MIGRATION:
        return ReconnectNeeded(f"the seller's account is not moved to the new gateway yet: {said}")
    if error.code in APP:
        return ReconnectNeeded(f"app_key or app_secret is wrong: {said}")
    if error.code in TIMESTAMP:
        return ClockOff(said)
    if error.code in PERMISSION:
        return Refused(f"the app may not do this, apply for it at the open platform: {said}")
    if error.code in AWAY or error.code.startswith("isp.") or error.kind in PLATFORM:
        return lost(said, write)
    return Refused(said)
