"""AliExpress as a connector: which data flows in, and what can be done in a shop."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from pydantic import BaseModel

from core.clock import Clock, system_clock
from core.sdk import (
    Authorised,
    Budget,
    Changed,
    ConnectedShop,
    ConnectorSession,
    Done,
    GiveCoupon,
    Kind,
    Meter,
    Page,
    PlatformAction,
    PlatformCoupon,
    Record,
    Refused,
    Resource,
    Sync,
    Text,
    Token,
    WebRequest,
    WebResponse,
    Window,
)
from core.sdk.apps import app_known_by, consent_url
from plugins.aliexpress import coupons, oauth, orders, pushes, refunds, reviews
from plugins.aliexpress.client import Client
from plugins.aliexpress.settings import AliExpressSettings

RESOURCES: Mapping[Resource, Sync] = {
    # each window takes eight calls or more, most of them for what is finished
    Resource.ORDERS: Sync(
        every=timedelta(minutes=2), window=timedelta(hours=6), reach=orders.OPEN_REACH,
        slice=timedelta(days=7),
    ),
    # all disputes that there are take the same calls for a day as for a minute
    Resource.REFUNDS: Sync(
        every=timedelta(minutes=30), window=timedelta(days=30), reach=orders.OPEN_REACH,
        slice=timedelta(days=180),
    ),
    Resource.REVIEWS: Sync(
        every=timedelta(minutes=30), overlap=timedelta(hours=1), window=timedelta(days=1),
        reach=orders.OPEN_REACH, slice=timedelta(days=1),
    ),
}  # fmt: skip
BUDGETS: Sequence[Budget] = (Budget("app", 40, 1), Budget("shop", 10, 1))
"""What no document shows to be too fast."""


class AliExpressConnector:
    name = "aliexpress"
    title = Text("AliExpress", "速卖通")
    identity_kind = "buyer_login_id"
    """What `buyer_id` of this platform's records is."""
    resources = RESOURCES
    budgets = BUDGETS

    def __init__(self, clock: Clock = system_clock) -> None:
        self._clock = clock

    @asynccontextmanager
    async def open(
        self, settings: BaseModel, shop: ConnectedShop, meter: Meter
    ) -> AsyncIterator[ConnectorSession]:
        opened = Client.opened(_ours(settings), self._clock, shop.token, meter, shop.clock_offset)
        async with opened as client:
            yield AliExpressSession(client, shop)

    def app(self, settings: BaseModel) -> str | None:
        return app_known_by(settings)

    def authorise_url(self, settings: BaseModel, state: str, callback: str) -> str:
        ours = _ours(settings)
        return consent_url(ours, ours.authorize_url, state, callback, force_auth="true")

    async def exchange(self, settings: BaseModel, code: str, callback: str) -> Authorised:
        return await oauth.exchange(_ours(settings), self._clock, code)

    async def refresh(self, settings: BaseModel, token: Token) -> Token:
        return await oauth.refresh(_ours(settings), self._clock, token)

    async def verify(self, settings: BaseModel, token: Token) -> Authorised:
        return await oauth.verify(_ours(settings), self._clock, token)

    async def receive(
        self, settings: BaseModel, request: WebRequest
    ) -> tuple[Sequence[Changed], WebResponse]:
        return pushes.receive(_ours(settings), request)


def _ours(settings: BaseModel) -> AliExpressSettings:
    assert isinstance(settings, AliExpressSettings)
    return settings


class AliExpressSession:
    """An open access to one shop."""

    def __init__(self, client: Client, shop: ConnectedShop) -> None:
        self._client = client
        self._shop_id = shop.shop_id

    async def capabilities(self) -> frozenset[str]:
        return frozenset({
            "orders.full", "parcels", "ratings", "refunds.read", "coupon.send", "push.webhook",
            "im.send",
        })  # fmt: skip

    async def pull(self, resource: Resource, window: Window, kind: Kind) -> AsyncIterator[Page]:
        async for page in self._pages(resource, window, kind):
            yield page

    def _pages(self, resource: Resource, window: Window, kind: Kind) -> AsyncIterator[Page]:
        match resource:
            case Resource.ORDERS:
                return orders.pull(self._client, window, kind)
            case Resource.REFUNDS:
                return refunds.pull(self._client, window, kind)
            case Resource.REVIEWS:
                return reviews.pull(self._client, self._shop_id, window)
            case _:
                raise Refused(f"the platform lists no {resource}")

    async def fetch(self, resource: Resource, external_id: str) -> Sequence[Record]:
        match resource:
            case Resource.ORDERS | Resource.PARCELS:
                # an order's detail tells its parcels
                return await orders.fetch(self._client, external_id)
            case Resource.REFUNDS:
                return await refunds.fetch(self._client, external_id)
            case Resource.REVIEWS:
                return await reviews.fetch(self._client, self._shop_id, external_id)
            case _:
                raise Refused(f"the platform tells no {resource}")

    async def count_orders(self, window: Window) -> int:
        return await orders.count(self._client, window)

    async def act(self, action: PlatformAction) -> Sequence[Done]:
        if isinstance(action, GiveCoupon):
            return await coupons.give(self._client, action)
        raise Refused("remarks are not written at AliExpress")

    async def coupons(self) -> Sequence[PlatformCoupon]:
        return await coupons.coupons(self._client)
