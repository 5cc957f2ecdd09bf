"""A token's four further ends: reading and writing, of ordinary and of sensitive data.

The platform lets a token's right to sensitive calls end before the token itself. Which call is in
which class is as the open platform groups its APIs; one that is not named here reads ordinary data.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from core.sdk import ReconnectNeeded, Token
from core.sdk.apps import end_told

CLASSES = ("r1", "r2", "w1", "w2")
SENSITIVE_READS = ("taobao.trade.", "taobao.trades.", "taobao.refund", "taobao.crm.member")
WRITES = (
    "taobao.promotion.coupon.send", "taobao.promotion.benefit.activity.send",
    "alibaba.benefit.send", "taobao.jst.sms.", "taobao.opencrm.sms.",
)  # fmt: skip
SENSITIVE_WRITES = ("taobao.trade.memo.update",)


def class_of(api: str) -> str:
    """The class of a call: "r1", "r2", "w1" or "w2"."""
    if api.startswith(SENSITIVE_WRITES):
        return "w2"
    if api.startswith(WRITES):
        return "w1"
    return "r2" if api.startswith(SENSITIVE_READS) else "r1"


def check_class(token: Token, api: str, now: datetime) -> None:
    """Raises ReconnectNeeded where the token's right to such calls has ended."""
    kind = class_of(api)
    end = token.more.get(kind)
    if end is not None and datetime.fromisoformat(end) <= now:
        raise ReconnectNeeded(
            f"the shop's permission for calls of class {kind.upper()} ended at {end}: "
            "the seller has to authorise again"
        )


def token_of(result: Mapping[str, Any], now: datetime, before: Token | None = None) -> Token:
    """The token of what `/token` or token.create gave; `before` is the one that was refreshed.

    An end of 0 seconds says nothing. Raises KeyError.
    """
    more = dict(before.more) if before else {}
    for kind in CLASSES:
        end = end_told(result, f"{kind}_expires_in", f"{kind}_valid", now)
        if end is not None:
            more[kind] = end.isoformat()
        else:
            more.pop(kind, None)
    refresh = result.get("refresh_token") or (before.refresh if before else None)
    until = end_told(result, "re_expires_in", "refresh_token_valid_time", now)
    return Token(
        str(result["access_token"]),
        str(refresh) if refresh else None,
        end_told(result, "expires_in", "expire_time", now),
        until or (before.refresh_until if before else None),
        more,
    )
