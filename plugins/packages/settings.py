"""What a merchant may set."""

from pydantic import BaseModel, Field


class PackagesSettings(BaseModel, extra="forbid"):
    """`max_per_parcel` is the most inserts that one parcel gets.

    With `remarks`, the platform's order is given a remark of what a packed parcel has got.
    """

    max_per_parcel: int = Field(default=3, ge=1, le=20)
    remarks: bool = False
