"""The Connector protocol: how a platform's shops flow in, and what can be done there.

A connector knows one platform's API. When and how often it is asked, what is kept, and what
becomes of failures, core decides, the same for every platform: docs/plugins/connectors.md.

A session of any connector can `pull` and `fetch`. What else it can do, it says by having the
methods of Queue, Counting or Acting; a connector by those of Authorising or Pushed.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from pydantic import BaseModel

from core.sdk.facets import Text
from core.sdk.members import PlatformMember
from core.sdk.orders import OrderRecord, ParcelTrace, RefundRecord
from core.sdk.reviews import ReviewRecord
from core.sdk.web import WebRequest, WebResponse


class Resource(StrEnum):
    """What a shop's data consists of."""

    ORDERS = "orders"
    REFUNDS = "refunds"
    PARCELS = "parcels"
    REVIEWS = "reviews"
    MEMBERS = "members"


Record = OrderRecord | RefundRecord | ParcelTrace | ReviewRecord | PlatformMember


@dataclass(frozen=True)
class Token:
    """What a platform lets a shop's data be read with; kept sealed, never shown.

    `expires_at` is the end of `access`, `refresh_until` of `refresh`; None is unknown or never.
    `more` is what else the platform gave and the connector needs again, such as further ends.
    """

    access: str
    refresh: str | None = None
    expires_at: datetime | None = None
    refresh_until: datetime | None = None
    more: Mapping[str, str] = field(default_factory=dict)


TokenOf = Callable[[int], Awaitable[Token]]
"""Gives the token of a shop. Raises NotFound, WrongState."""


@dataclass(frozen=True)
class Authorised:
    """A seller has let us in: his shop's id on the platform, its name, and the token.

    `time_zone` (IANA) and `currency` (ISO 4217) are a new shop's, where the platform tells ones
    that there are; else it has the merchant's.
    """

    external_id: str
    name: str
    token: Token
    time_zone: str | None = None
    currency: str | None = None


@dataclass(frozen=True)
class ConnectedShop:
    """A shop as a session is opened for it.

    `clock_offset` is how far the platform's clock is ahead of ours, as last measured.
    """

    shop_id: int
    external_id: str
    time_zone: str
    currency: str
    token: Token
    clock_offset: timedelta = timedelta(0)


@dataclass(frozen=True)
class Window:
    """A stretch of the platform's time, both ends included."""

    start: datetime
    end: datetime


@dataclass(frozen=True)
class Broken:
    """Something that the platform told and that makes no sense: kept as a dead letter.

    `payload` is as it came. A retry fetches `external_id` again.
    """

    external_id: str
    reason: str
    payload: str


@dataclass(frozen=True)
class Page:
    """Records of one call. `total` is how many the window holds, where the platform says."""

    records: Sequence[Record]
    total: int | None = None
    broken: Sequence[Broken] = ()


@dataclass(frozen=True)
class Sync:
    """How one resource is kept in step; what the platform allows, not what would be nice.

    Incremental windows begin `overlap` before the cursor, are `window` long at most and end
    `safety` before now, because lists lag. A backfill goes back `reach` (None: no limit) in slices
    of `slice`, newest first.
    """

    every: timedelta = timedelta(minutes=1)
    overlap: timedelta = timedelta(minutes=10)
    window: timedelta = timedelta(minutes=30)
    safety: timedelta = timedelta(minutes=1)
    reach: timedelta | None = timedelta(days=90)
    slice: timedelta = timedelta(days=1)


@dataclass(frozen=True)
class Budget:
    """Calls that the platform allows: `calls` in `seconds`, shared by all workers.

    `scope` is "app" for all of a merchant's shops together, since they are read by one app (and
    for those of other merchants who have the same, see SharedApp), and "shop" for each.
    """

    scope: str
    calls: int
    seconds: float


class TooMuch(Exception):
    """The window holds more than the platform gives out: it is asked for in halves."""


class Kind(StrEnum):
    """Why a window is pulled, which a platform may ask for by another call."""

    BACKFILL = "backfill"
    """By the time of creation."""
    INCREMENTAL = "incremental"
    """By the time of change."""


class ConnectorSession(Protocol):
    """An open access to one shop.

    Every method raises RetryLater (with `after` where the platform names it), ReconnectNeeded (the
    seller must authorise again), Refused (this request never succeeds: kept as a dead letter) or,
    for actions, Unknown. Each call to the platform first awaits `spend()` of the `Meter` that the
    session was opened with. `fetch` and `pull` are called several times at once.
    """

    async def capabilities(self) -> frozenset[str]:
        """What this shop and app may do, such as "orders.full", "coupon.send", "im.send"."""

    def pull(self, resource: Resource, window: Window, kind: Kind) -> AsyncIterator[Page]:
        """Every record of the window, in pages; the cursor moves once all of them are stored.

        A list that shifts while it is read must be read from its end. Raises TooMuch.
        """

    async def fetch(self, resource: Resource, external_id: str) -> Sequence[Record]:
        """What the platform knows of one entity now; nothing if there is none."""


class Meter(Protocol):
    """Counts the calls of a session, and waits where a budget is used up."""

    async def spend(self, api: str, calls: int = 1) -> None:
        """Wait until the call is allowed. Raises RetryLater where that takes long."""

    async def ban(self, scope: str, seconds: float) -> None:
        """The platform refuses calls of this scope for so long: nobody tries meanwhile.

        The scope is "app", "shop", or the name of an API, which is then banned for the app.
        """


class Connector(Protocol):
    """A platform. `name` is that of its shops' `platform`.

    `identity_kind` names what its orders' `buyer_id` is ("ouid"), an id within the shop.
    """

    name: str
    title: Text
    identity_kind: str
    resources: Mapping[Resource, Sync]
    budgets: Sequence[Budget]

    def open(
        self, settings: BaseModel, shop: ConnectedShop, meter: Meter
    ) -> AbstractAsyncContextManager[ConnectorSession]:
        """Open a shop. `settings` is the merchant's of the plugin."""


@runtime_checkable
class Authorising(Protocol):
    """A connector whose sellers let us in on the platform's own page."""

    def authorise_url(self, settings: BaseModel, state: str, callback: str) -> str:
        """Where the seller is sent; he comes back to `callback` with a code and `state`."""

    async def exchange(self, settings: BaseModel, code: str, callback: str) -> Authorised:
        """The token for a code. Raises an OutsideError."""

    async def refresh(self, settings: BaseModel, token: Token) -> Token:
        """A new token. Raises ReconnectNeeded when the seller has to come back himself."""


@runtime_checkable
class SharedApp(Protocol):
    """A connector whose platform counts the calls of an app, whichever merchant makes them."""

    def app(self, settings: BaseModel) -> str | None:
        """What only those know who have the app, such as key and secret; None without one.

        Merchants who give the same share the budgets of scope "app", and its bans. It is kept as
        a hash.
        """


@runtime_checkable
class Verifying(Protocol):
    """A connector to which a merchant may give a token by hand."""

    async def verify(self, settings: BaseModel, token: Token) -> Authorised:
        """Try the token by a real call. Raises ReconnectNeeded if it does not hold."""


@dataclass(frozen=True)
class Changed:
    """Something at the platform has changed: a hint, upon which it is fetched.

    `key` is the platform's own id of the message; the same message counts once. `shop` is the
    shop's external id, `at` when the platform sent it. A `resource` of None says that the seller
    has withdrawn his authorisation.
    """

    key: str
    shop: str
    resource: Resource | None
    external_id: str
    at: datetime


@runtime_checkable
class Pushed(Protocol):
    """A connector whose platform calls us."""

    async def receive(
        self, settings: BaseModel, request: WebRequest
    ) -> tuple[Sequence[Changed], WebResponse]:
        """Check the signature and name what changed; the answer is given once that is kept.

        Raises Refused for what the platform did not send.
        """


@runtime_checkable
class Queue(Protocol):
    """A session of a platform that keeps its messages until they are fetched."""

    async def consume(self) -> tuple[Sequence[Changed], Sequence[str]]:
        """Messages there are, and the handles to confirm them by once they are kept."""

    async def confirm(self, handles: Sequence[str]) -> None:
        """They are kept: the platform need not give them again."""


@runtime_checkable
class Counting(Protocol):
    """A session that can tell how many orders a day had, to compare with what is stored."""

    async def count_orders(self, window: Window) -> int:
        """Orders created in the window."""


@runtime_checkable
class Timed(Protocol):
    """A session that can tell the platform's time."""

    async def platform_time(self) -> datetime:
        """The platform's clock."""


# -- what can be done there ---------------------------------------------------------------------


@dataclass(frozen=True)
class WriteRemark:
    """Put a text beside an order, for the seller's own people; `flag` is the platform's colour."""

    order_external_id: str
    text: str
    flag: int | None = None


@dataclass(frozen=True)
class GiveCoupon:
    """Give buyers a coupon that exists on the platform; `key` is the same at each try.

    `about` are ids of the caller's, which he is told again by PlatformDeedSettled if nobody knows
    whether it was done.
    """

    key: str
    coupon: str
    buyers: Sequence[str]
    about: Sequence[int] = ()


@dataclass(frozen=True)
class Done:
    """What became of an action for one buyer or order: done, or why not."""

    subject: str
    done: bool
    reference: str | None = None
    reason: str | None = None


PlatformAction = WriteRemark | GiveCoupon


@runtime_checkable
class Acting(Protocol):
    """A session that changes something on the platform.

    Messages to buyers are sent by a channel, not by an action.
    """

    async def act(self, action: PlatformAction) -> Sequence[Done]:
        """Do it; one answer for each buyer or order. Raises Refused for what it cannot do, and
        Unknown if it may have happened."""


@dataclass(frozen=True)
class PlatformCoupon:
    """A coupon that the seller made on the platform. Amounts are minor units of `currency`."""

    external_id: str
    name: str
    amount: int | None = None
    threshold: int | None = None
    currency: str | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    left: int | None = None
    more: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class CouponSource(Protocol):
    """A session that lists the seller's coupons."""

    async def coupons(self) -> Sequence[PlatformCoupon]:
        """Those that can be given now or later."""
