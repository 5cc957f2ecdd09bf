"""Taobao and Tmall as a connector: which data flows in, and what can be done in a shop."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

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
    RetryLater,
    Sync,
    Text,
    Token,
    Window,
    WriteRemark,
)
from core.sdk.apps import app_known_by, consent_url
from plugins.taobao import (
    coupons,
    members,
    messages,
    oauth,
    orders,
    parcels,
    ratings,
    refunds,
    remarks,
)
from plugins.taobao.client import Client
from plugins.taobao.settings import TaobaoSettings
from plugins.taobao.values import moment

ALWAYS = frozenset({"ratings", "refunds.read", "members", "parcels", "coupon.send", "push.tmc"})
THREE_MONTHS = timedelta(days=89)
"""The shortest three months there are: older orders the platform does not list."""

RESOURCES: Mapping[Resource, Sync] = {
    Resource.ORDERS: Sync(reach=THREE_MONTHS),
    Resource.REFUNDS: Sync(
        every=timedelta(minutes=2), reach=THREE_MONTHS, slice=timedelta(days=7)
    ),
    Resource.REVIEWS: Sync(
        every=timedelta(minutes=10), overlap=timedelta(hours=1), window=timedelta(days=1),
        reach=timedelta(days=179), slice=timedelta(days=7),
    ),
    Resource.MEMBERS: Sync(
        every=timedelta(minutes=5), window=timedelta(days=1), reach=timedelta(days=3650),
        slice=timedelta(days=365),
    ),
}  # fmt: skip
BUDGETS: Sequence[Budget] = (
    Budget("app", 1_000_000, 86_400),
    Budget("app", 40, 1),
    Budget("shop", 10, 1),
)
"""What an app of the service market has a day, and what no console shows to be too fast."""


class TaobaoConnector:
    name = "taobao"
    title = Text("Taobao and Tmall", "淘宝和天猫")
    identity_kind = "ouid"
    """What `buyer_id` of this platform's records is: one for each buyer and shop."""
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
            yield TaobaoSession(client, shop)

    def app(self, settings: BaseModel) -> str | None:
        return app_known_by(settings)

    def authorise_url(self, settings: BaseModel, state: str, callback: str) -> str:
        ours = _ours(settings)
        return consent_url(ours, ours.authorize_url, state, callback, view="web")

    async def exchange(self, settings: BaseModel, code: str, callback: str) -> Authorised:
        return await oauth.exchange(_ours(settings), self._clock, code)

    async def refresh(self, settings: BaseModel, token: Token) -> Token:
        return await oauth.refresh(_ours(settings), self._clock, token)

    async def verify(self, settings: BaseModel, token: Token) -> Authorised:
        return await oauth.verify(_ours(settings), self._clock, token)


def _ours(settings: BaseModel) -> TaobaoSettings:
    assert isinstance(settings, TaobaoSettings)
    return settings


class TaobaoSession:
    """An open access to one shop."""

    def __init__(self, client: Client, shop: ConnectedShop) -> None:
        self._client = client
        self._shop = shop
        self._group = client.settings.message_group

    async def capabilities(self) -> frozenset[str]:
        full = self._client.settings.mode == "full"
        own = {"orders.full", "sms.oaid"} if full else {"orders.simple"}
        return ALWAYS | own | {"sms.ouid"}

    async def pull(self, resource: Resource, window: Window, kind: Kind) -> AsyncIterator[Page]:
        async for page in self._pages(resource, window, kind):
            yield page

    def _pages(self, resource: Resource, window: Window, kind: Kind) -> AsyncIterator[Page]:
        match resource:
            case Resource.ORDERS:
                return orders.pull(self._client, window, kind)
            case Resource.REFUNDS:
                return refunds.pull(self._client, window)
            case Resource.REVIEWS:
                return ratings.pull(self._client, self._shop, window)
            case Resource.MEMBERS:
                return members.pull(self._client, window, kind)
            case Resource.PARCELS:
                raise Refused("the platform lists no parcels: they come with orders and messages")

    async def fetch(self, resource: Resource, external_id: str) -> Sequence[Record]:
        match resource:
            case Resource.ORDERS:
                return await orders.fetch(self._client, external_id)
            case Resource.REFUNDS:
                return await refunds.fetch(self._client, external_id)
            case Resource.REVIEWS:
                return await ratings.fetch(self._client, self._shop, external_id)
            case Resource.MEMBERS:
                return await members.fetch(self._client, external_id)
            case Resource.PARCELS:
                return await parcels.fetch(self._client, external_id)

    async def consume(self) -> tuple[Sequence[Changed], Sequence[str]]:
        found = await messages.consume(self._client, self._group)
        changes = [one for row in found if (one := messages.changed(row)) is not None]
        # reports of text messages stay for their channel
        return changes, [str(row["id"]) for row in found if row.get("topic") not in messages.SMS]

    async def confirm(self, handles: Sequence[str]) -> None:
        await messages.confirm(self._client, self._group, handles)

    async def count_orders(self, window: Window) -> int:
        return await orders.count(self._client, window)

    async def platform_time(self) -> datetime:
        answer = await self._client.read("taobao.time.get")
        now = moment(answer.get("time"))
        if now is None:
            raise RetryLater("the platform does not tell its time")
        return now

    async def act(self, action: PlatformAction) -> Sequence[Done]:
        match action:
            case WriteRemark():
                return [await remarks.write(self._client, action)]
            case GiveCoupon():
                return await coupons.give(self._client, action)

    async def coupons(self) -> Sequence[PlatformCoupon]:
        return await coupons.coupons(self._client)
