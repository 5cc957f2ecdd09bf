"""The plugin's domain events. They carry ids, never codes: a code is worth money."""

from dataclasses import dataclass
from typing import ClassVar

from core.sdk import Event


@dataclass(frozen=True)
class CouponGranted(Event):
    """A customer got a coupon; `source` says from what."""

    type: ClassVar[str] = "coupons.granted"
    coupon_id: int
    template_id: int
    customer_id: int
    source: str


@dataclass(frozen=True)
class CouponRedeemed(Event):
    """A coupon was redeemed, for so much off in minor units."""

    type: ClassVar[str] = "coupons.redeemed"
    coupon_id: int
    template_id: int
    customer_id: int | None
    amount: int


@dataclass(frozen=True)
class CouponExpiring(Event):
    """A customer's unused coupon expires within `days` days; told once for each number."""

    type: ClassVar[str] = "coupons.expiring"
    coupon_id: int
    template_id: int
    customer_id: int
    days: int


@dataclass(frozen=True)
class CouponUnused(Event):
    """A customer has had a coupon for `days` days and not used it; told once."""

    type: ClassVar[str] = "coupons.unused"
    coupon_id: int
    template_id: int
    customer_id: int
    days: int


@dataclass(frozen=True)
class CouponStockLow(Event):
    """A template has few codes left; told once until there are more again."""

    type: ClassVar[str] = "coupons.stock_low"
    template_id: int
    left: int


@dataclass(frozen=True)
class CouponAddressBusy(Event):
    """Many coupons were redeemed for one address within 30 days; `count` with this one."""

    type: ClassVar[str] = "coupons.address_busy"
    coupon_id: int
    template_id: int
    count: int


@dataclass(frozen=True)
class PlatformCouponsDue(Event):
    """Coupons of a platform are to be given there, up to 100 at once."""

    type: ClassVar[str] = "coupons.platform_due"
    template_id: int
    coupon_ids: list[int]
