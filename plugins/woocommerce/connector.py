"""WooCommerce as a connector: orders and their refunds flow in."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, timedelta

from pydantic import BaseModel

from core.sdk import (
    Authorised,
    Budget,
    Changed,
    ConnectedShop,
    ConnectorSession,
    Kind,
    Meter,
    Page,
    Record,
    Refused,
    Resource,
    Sync,
    Text,
    Token,
    WebRequest,
    WebResponse,
    Window,
    paging,
)
from core.sdk.answers import Row, one, page, rows, text
from plugins.woocommerce import pushes
from plugins.woocommerce.client import Access, Client
from plugins.woocommerce.orders import DRAFTS, order, refund, refund_row
from plugins.woocommerce.settings import WooCommerceSettings

RESOURCES = {
    # a store shows at once what it has done, and keeps it for ever
    Resource.ORDERS: Sync(
        overlap=timedelta(minutes=2), window=timedelta(days=1), safety=timedelta(seconds=5),
        reach=None, slice=timedelta(days=30),
    ),
}  # fmt: skip
SIZE = 100
SECOND = timedelta(seconds=1)
COUNTED = "pending,processing,on-hold,completed,cancelled,refunded,failed"


class WooCommerceConnector:
    name = "woocommerce"
    title = Text("WooCommerce", "WooCommerce")
    identity_kind = "woocommerce_customer"
    """What `buyer_id` of this platform's records is: the account in the store."""
    resources: Mapping[Resource, Sync] = RESOURCES
    budgets: Sequence[Budget] = (Budget("shop", 5, 1),)
    """What a small server bears beside its visitors."""

    @asynccontextmanager
    async def open(
        self, settings: BaseModel, shop: ConnectedShop, meter: Meter
    ) -> AsyncIterator[ConnectorSession]:
        async with Client.opened(Access.of(shop.token.access), meter) as client:
            yield WooCommerceSession(client)

    async def verify(self, settings: BaseModel, token: Token) -> Authorised:
        async with Client.opened(Access.of(token.access)) as client:
            about = await client.about()
            # before any order: what is found all the same, an old version has not looked for
            found, _ = await client.some(
                "orders", per_page=1, modified_before="1990-01-01T00:00:00"
            )
            money = await client.one("data/currencies/current") or {}
        if found:
            raise Refused("the store's WooCommerce is older than 5.8: update it")
        shop = pushes.shop_id(str(about.get("home") or ""))
        if not shop:
            raise Refused("the store does not tell its own address")
        name = text(about.get("name")) or shop
        return Authorised(shop, name, token, _zone(about), text(money.get("code")))

    async def receive(
        self, settings: BaseModel, request: WebRequest
    ) -> tuple[Sequence[Changed], WebResponse]:
        assert isinstance(settings, WooCommerceSettings)
        return pushes.receive(settings, request)


def _zone(about: Row) -> str:
    """The store's time zone: a name, or so many hours from UTC, whose names count backwards."""
    offset = float(about.get("gmt_offset") or 0)
    return text(about.get("timezone_string")) or f"Etc/GMT{-offset:+g}"


class WooCommerceSession:
    """An open access to one store."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def capabilities(self) -> frozenset[str]:
        return frozenset({"orders.full", "refunds.read", "push.webhook"})

    async def pull(self, resource: Resource, window: Window, kind: Kind) -> AsyncIterator[Page]:
        if resource is not Resource.ORDERS:
            raise Refused(f"the store lists no {resource}")
        by = "modified" if kind is Kind.INCREMENTAL else "date"
        query = {**_span(window, kind), "orderby": by, "order": "desc", "per_page": SIZE}

        async def ask(place: int, counted: bool) -> tuple[Sequence[Row], int]:
            return await self._client.some("orders", page=place, **query)

        async for found, total in paging.backwards(ask, lambda row: row["id"], SIZE, "orders"):
            orders = [row for row in found if row["status"] not in DRAFTS]
            refunds = [told for row in orders for told in await self._refunds(row)]
            told, back = page(orders, "id", order, total), page(refunds, "id", refund)
            yield Page([*told.records, *back.records], total, [*told.broken, *back.broken])

    async def fetch(self, resource: Resource, external_id: str) -> Sequence[Record]:
        # a refund's number begins with that of its order
        number = external_id.partition(":")[0]
        row = await self._client.one(f"orders/{number}") if number.isdecimal() else None
        if row is None or row["status"] in DRAFTS:
            return []
        refunds = [record for told in await self._refunds(row) for record in one(told, refund)]
        return [*one(row, order), *refunds]

    async def count_orders(self, window: Window) -> int:
        span = _span(window, Kind.BACKFILL)
        return (await self._client.some("orders", per_page=1, status=COUNTED, **span))[1]

    async def _refunds(self, row: Row) -> list[Row]:
        """The refunds of an order, of which it tells itself the numbers only."""
        told: list[Row] = []
        for place in range(1, -(-len(rows(row, "refunds")) // SIZE) + 1):
            found, _ = await self._client.some(
                f"orders/{row['id']}/refunds", page=place, per_page=SIZE
            )
            told += [refund_row(row, one) for one in found]
        return told


def _span(window: Window, kind: Kind) -> dict[str, str | int]:
    """The window as a query. The store leaves both ends out, which are to be in."""
    by = "modified_" if kind is Kind.INCREMENTAL else ""
    after, before = (
        at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
        for at in (window.start - SECOND, window.end + SECOND)
    )
    return {f"{by}after": after, f"{by}before": before, "dates_are_gmt": "true"}
