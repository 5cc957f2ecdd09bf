"""Orders as platforms and files tell them, normalised; and the descriptions of file formats."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from core.sdk.identities import Identity


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


class ParcelState(StrEnum):
    """How far a parcel has come; also the kinds of its trace's events."""

    SHIPPED = "shipped"
    IN_TRANSIT = "in_transit"
    ARRIVED_CITY = "arrived_city"
    OUT_FOR_DELIVERY = "out_for_delivery"
    SIGNED = "signed"
    FAILED = "failed"
    RETURNED = "returned"


class RefundKind(StrEnum):
    """What the buyer asked for."""

    REFUND_ONLY = "refund_only"
    RETURN = "return"
    EXCHANGE = "exchange"
    RESEND = "resend"


class RefundState(StrEnum):
    """Where a refund stands; every platform's own states are mapped to these."""

    REQUESTED = "requested"
    AWAIT_RETURN = "await_return"
    RETURN_IN_TRANSIT = "return_in_transit"
    REFUSED = "refused"
    REFUNDED = "refunded"
    CANCELLED = "cancelled"
    RESOLVED = "resolved"


TERMINAL_REFUND_STATES = frozenset(
    {RefundState.REFUNDED, RefundState.CANCELLED, RefundState.RESOLVED}
)
"""States that no later snapshot of a refund leaves."""


@dataclass(slots=True)
class LineRecord:
    """One article of an order. `amount` is what was paid for it, in minor units, if known."""

    external_id: str
    title: str
    quantity: int = 1
    sku: str | None = None
    amount: int | None = None
    product_id: str | None = None
    category: str | None = None


@dataclass(slots=True)
class TraceEvent:
    """One scan of a parcel."""

    kind: ParcelState
    at: datetime
    place: str | None = None
    text: str | None = None


@dataclass(slots=True)
class ParcelRecord:
    """One parcel of an order, with what is known of its trace; events are only added."""

    tracking_number: str
    carrier: str | None = None
    events: list[TraceEvent] = field(default_factory=list)


@dataclass(slots=True)
class ParcelTrace:
    """News of a parcel by itself; its order may not be known yet."""

    order_external_id: str
    parcel: ParcelRecord


@dataclass(slots=True)
class RefundRecord:
    """A snapshot of one refund or return. `amount` is minor units of the order's currency.

    `line_external_id` names the article; None means the whole order. An older snapshot never
    overwrites a newer one, and a terminal state is never left.
    """

    external_id: str
    order_external_id: str
    state: RefundState
    amount: int
    requested_at: datetime
    kind: RefundKind = RefundKind.REFUND_ONLY
    platform_state: str | None = None
    line_external_id: str | None = None
    reason: str | None = None
    quantity: int | None = None
    tracking_number: str | None = None
    carrier: str | None = None
    refunded_at: datetime | None = None
    closed_at: datetime | None = None
    modified_at: datetime | None = None


@dataclass(slots=True)
class OrderRecord:
    """A snapshot of one order. Amounts are minor units of `currency`, times are aware.

    None means that the snapshot does not tell: what is stored is kept. A new order needs at least
    `state`, `currency`, `total`, `paid` and `ordered_at`. `in_dispute` is a flag beside the state:
    a platform that hides the state during a dispute gives the flag and no state, and by
    `first_state` where an order begins that was not seen before.

    `buyer_id` is the platform's own stable id of the buyer, never a masked name. `phone` is E.164,
    `email` is lower case; `name`, `phone`, `email` and `address` are the receiver's. `identities`
    are further ids of the buyer (of an app, the merchant), and contacts that he gave himself.
    `modified_at` is when the platform last changed the order: an older snapshot never overwrites
    a newer one. Lines and parcels are added to and updated, an absent one is kept.
    """

    external_id: str
    state: OrderState | None = None
    currency: str | None = None
    total: int | None = None
    paid: int | None = None
    ordered_at: datetime | None = None
    refunded: int | None = None
    platform_state: str | None = None
    paid_at: datetime | None = None
    shipped_at: datetime | None = None
    delivered_at: datetime | None = None
    closed_at: datetime | None = None
    modified_at: datetime | None = None
    in_dispute: bool | None = None
    buyer_id: str | None = None
    name: str | None = None
    phone: str | None = None
    email: str | None = None
    province: str | None = None
    city: str | None = None
    address: str | None = None
    lines: list[LineRecord] = field(default_factory=list)
    parcels: list[ParcelRecord] = field(default_factory=list)
    identities: list[Identity] = field(default_factory=list)
    first_state: OrderState | None = None

    @property
    def begins_as(self) -> OrderState | None:
        """The state of the order if it is new here."""
        return self.first_state if self.state is None else self.state


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
