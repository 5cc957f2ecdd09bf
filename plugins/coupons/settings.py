"""What a merchant may set of the plugin."""

from typing import Annotated

from pydantic import BaseModel, Field

Days = Annotated[int, Field(ge=1, le=365)]


class CouponSettings(BaseModel, extra="forbid"):
    """`expiring_days` says how many days before its end a coupon is reminded of, each told once;
    `unused_days` after how many days an unused one is, None never."""

    expiring_days: list[Days] = Field(default=[3], max_length=5)
    unused_days: Days | None = None
