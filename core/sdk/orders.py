"""Orders as platforms and files tell them, normalised; and the descriptions of file formats."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class OrderState(StrEnum):
    """Where an order stands; every platform's own states are mapped to these."""

    CREATED_UNPAID = "created_unpaid"
    PAID_ON_HOLD = "paid_on_hold"
    TO_SHIP = "to_ship"
    PART_SHIPPED = "part_shipped"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    COMPLETED = "completed"
    CLOSED_UNPAID = "closed_unpaid"
    CLOSED_REFUNDED = "closed_refunded"


TERMINAL_STATES = frozenset({OrderState.CLOSED_UNPAID, OrderState.CLOSED_REFUNDED})
"""States that no later snapshot leaves. A completed order may still be refunded."""


@dataclass(slots=True)
class LineRecord:
    """One article of an order. `amount` is what was paid for it, in minor units, if known."""

    external_id: str
    title: str
    quantity: int = 1
    sku: str | None = None
    amount: int | None = None


@dataclass(slots=True)
class ParcelRecord:
    """One parcel of an order."""

    tracking_number: str
    carrier: str | None = None


@dataclass(slots=True)
class OrderRecord:
    """A snapshot of one order. Amounts are minor units of `currency`, times are aware.

    `buyer_id` is the platform's own stable id of the buyer, never a masked name. `phone` is E.164,
    `email` is lower case; `name`, `phone`, `email` and `address` are the receiver's.
    `modified_at` is when the platform last changed the order: an older snapshot never overwrites
    a newer one. Lines and parcels are added to and updated, an absent one is kept.
    """

    external_id: str
    state: OrderState
    currency: str
    total: int
    paid: int
    ordered_at: datetime
    refunded: int = 0
    platform_state: str | None = None
    paid_at: datetime | None = None
    shipped_at: datetime | None = None
    closed_at: datetime | None = None
    modified_at: datetime | None = None
    buyer_id: str | None = None
    name: str | None = None
    phone: str | None = None
    email: str | None = None
    province: str | None = None
    city: str | None = None
    address: str | None = None
    lines: list[LineRecord] = field(default_factory=list)
    parcels: list[ParcelRecord] = field(default_factory=list)


@dataclass(frozen=True)
class OrderFormat:
    """What a file of orders looks like: data, read by core's importer.

    `columns` maps each field of the importer (docs/guides/import.md lists them) to the headers
    under which files of this format carry it. A file is of this format when it has every header
    of `signature`. `states` maps the file's own order states. `identity_kind` names the buyer ids
    of `buyer_id` ("taobao_nick"), and `time_zone` is the one of the file's times; None means the
    shop's.
    """

    name: str
    title: str
    columns: Mapping[str, Sequence[str]]
    signature: frozenset[str]
    states: Mapping[str, OrderState]
    identity_kind: str
    time_zone: str | None = None
