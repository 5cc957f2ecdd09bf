"""The plugin's errors."""

from core.sdk import HuikeError


class CouponsExhausted(HuikeError):
    code = "COUPONS_EXHAUSTED"
    cause = "The template has no coupons left: its limit, its day's limit or its codes are used up."
    cure = "Raise the limit or import more codes; a paused campaign then goes on with `resume`."


class CouponUnusable(HuikeError):
    code = "COUPONS_UNUSABLE"
    cause = "A coupon cannot be used, given or taken as asked; the message says why."
    cure = "Ask `couponsQuote` what applies to the basket."


class CouponGuessing(HuikeError):
    code = "COUPONS_GUESSING"
    cause = "The client gave many codes that do not exist."
    cure = "Wait until the time that the message tells."
    retryable = True
