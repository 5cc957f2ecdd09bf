"""What the plugin tells the world."""

from dataclasses import dataclass
from typing import ClassVar

from core.sdk import Event


@dataclass(frozen=True)
class PackagesStockLow(Event):
    """An insert has come down to its mark in a warehouse; `free` are those not reserved."""

    type: ClassVar[str] = "packages.stock_low"
    insert_id: int
    warehouse: str
    free: int


@dataclass(frozen=True)
class PackagesParcelPacked(Event):
    """A parcel was packed with its inserts."""

    type: ClassVar[str] = "packages.parcel_packed"
    parcel_id: int
    order_id: int
    customer_id: int | None


@dataclass(frozen=True)
class PackagesParcelUnpacked(Event):
    """A parcel was packed by mistake only, and is as it was before."""

    type: ClassVar[str] = "packages.parcel_unpacked"
    parcel_id: int
    order_id: int
