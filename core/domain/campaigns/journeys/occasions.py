"""What an event tells about whom: the customers, the order, the parcel, and when it happened."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from core.domain.campaigns.journeys.running import Journey
from core.sdk.events import Occurrence, OrderCreated, ParcelStateChanged
from core.sdk.flows import Filter, OnEvent
from core.storage.database import Session

ALL_SHOPS = 0


@dataclass(frozen=True)
class Occasion:
    """An event about customers. `at` is when it happened in the world, as far as it is known."""

    merchant_id: int
    event_id: int
    type: str
    payload: Mapping[str, Any]
    customer_ids: list[int]
    order_id: int | None
    parcel_id: int | None
    at: datetime

    def fits(self, wanted: str, where: Filter) -> bool:
        """Whether this is an event of that type whose payload has one of the values each."""
        return self.type == wanted and all(
            self.payload.get(name) in values for name, values in where.items()
        )

    def seen_by(self, journey: Journey) -> "Occasion":
        """The occasion as it is about those whom the journey's trigger names."""
        trigger = journey.flow.trigger
        if not isinstance(trigger, OnEvent) or trigger.type != self.type:
            return self
        if trigger.about == "customer_id":
            return self
        return replace(self, customer_ids=[self.payload[trigger.about]])

    def concerns(self, journey: Journey) -> bool:
        """Whether it is about the shop in whose name the journey speaks, if it is about one."""
        shop_id = self.payload.get("shop_id") or ALL_SHOPS  # a member may join without a shop
        return journey.shop_id is None or shop_id in (ALL_SHOPS, journey.shop_id)


async def occasion_of(session: Session, occurrence: Occurrence) -> Occasion | None:
    """The occasion of an event; None for one that is about no customer.

    The order's customer is the one that it has now: after a merge it is another one than the
    event names.
    """
    payload = occurrence.payload
    customer_ids = payload.get("customer_ids") or [payload.get("customer_id")]
    order_id, parcel_id = payload.get("order_id"), payload.get("parcel_id")
    at = occurrence.at
    if order_id is not None:
        row = await session.sql.fetchrow(
            """SELECT o.customer_id, o.ordered_at, p.last_event_at
               FROM orders o LEFT JOIN parcels p
                 ON p.merchant_id = o.merchant_id AND p.order_id = o.id AND p.id = $3
               WHERE o.merchant_id = $1 AND o.id = $2""",
            session.merchant_id, order_id, parcel_id,
        )  # fmt: skip
        if row is not None:
            customer_ids = [row["customer_id"]]
            happened = {
                OrderCreated.type: row["ordered_at"],
                ParcelStateChanged.type: row["last_event_at"],
            }
            at = min(at, happened.get(occurrence.type) or at)
    known = [number for number in customer_ids if number is not None]
    if not known:
        return None
    return Occasion(
        occurrence.merchant_id, occurrence.id, occurrence.type, payload, known, order_id,
        parcel_id, at,
    )  # fmt: skip
