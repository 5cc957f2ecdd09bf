"""Core's facets: what a rule can ask about a customer."""

from core.domain.segments.facets.custom_fields import CustomField
from core.domain.segments.facets.customers import (
    HasEmail,
    HasPhone,
    OptedIn,
    Province,
    Tag,
)
from core.domain.segments.facets.membership import InSegment
from core.domain.segments.facets.orders import (
    Bought,
    BoughtThen,
    OrderAverage,
    OrderCount,
    Ordered,
    OrderLargest,
    OrderSum,
)
from core.domain.segments.facets.parcels import Parcel
from core.domain.segments.facets.purchases import (
    DaysSinceLastPurchase,
    FirstPurchase,
    LastPurchase,
    NthPurchase,
    PurchaseCount,
    PurchaseGap,
)
from core.domain.segments.facets.refunds import RefundCount, RefundRate
from core.sdk.facets import Facet

ORDERS: list[Facet] = [
    OrderCount(), OrderSum(), OrderAverage(), OrderLargest(), Bought(), BoughtThen(), Ordered(),
    PurchaseCount(), FirstPurchase(), LastPurchase(), NthPurchase(), DaysSinceLastPurchase(),
    PurchaseGap(), Parcel(), RefundCount(), RefundRate(),
]  # fmt: skip
"""The facets about orders."""

FACETS: list[Facet] = [
    Province(), *ORDERS, Tag(), HasPhone(), HasEmail(), OptedIn(), CustomField(), InSegment(),
]  # fmt: skip
