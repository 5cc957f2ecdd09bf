"""Core's facets: what a rule can ask about a customer."""

from core.domain.segments.facets.consent import ConsentUnproven, OptedIn, OptedOut, Unsubscribed
from core.domain.segments.facets.custom_fields import CustomField
from core.domain.segments.facets.customers import (
    City,
    Country,
    HasEmail,
    HasName,
    HasPhone,
    KnownIn,
    KnownSince,
    Province,
)
from core.domain.segments.facets.dates import Age, Birthday, FirstPurchaseAnniversary
from core.domain.segments.facets.lifecycle import DaysToNextPurchase, InStage
from core.domain.segments.facets.members import (
    Member,
    MemberLeft,
    MemberTier,
    PointsBalance,
    PointsExpiring,
    TierEndsIn,
)
from core.domain.segments.facets.membership import InSegment
from core.domain.segments.facets.next_tier import NextTierMissing
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
from core.domain.segments.facets.platforms import PlatformMember, PlatformTrades
from core.domain.segments.facets.purchases import (
    DaysSinceLastPurchase,
    FirstPurchase,
    LastPurchase,
    NthPurchase,
    PurchaseCount,
    PurchaseGap,
)
from core.domain.segments.facets.random_share import RandomShare
from core.domain.segments.facets.refunds import RefundCount, RefundRate
from core.domain.segments.facets.replenishment import ReplenishmentDue
from core.domain.segments.facets.reviews import Reviewed
from core.domain.segments.facets.tags import Tag
from core.domain.segments.facets.value import InRfmGroup, RfmScore, ValuePercentile
from core.sdk.facets import Facet

ORDERS: list[Facet] = [
    OrderCount(), OrderSum(), OrderAverage(), OrderLargest(), Bought(), BoughtThen(), Ordered(),
    PurchaseCount(), FirstPurchase(), LastPurchase(), NthPurchase(), DaysSinceLastPurchase(),
    PurchaseGap(), Parcel(), RefundCount(), RefundRate(),
]  # fmt: skip
"""The facets about orders."""

FACETS: list[Facet] = [
    Country(), Province(), City(), KnownSince(), KnownIn(), HasName(), HasPhone(), HasEmail(),
    Birthday(), Age(), FirstPurchaseAnniversary(), Tag(), CustomField(),
    OptedIn(), OptedOut(), ConsentUnproven(), Unsubscribed(),
    *ORDERS,
    InStage(), DaysToNextPurchase(), ValuePercentile(), RfmScore(), InRfmGroup(),
    ReplenishmentDue(), Reviewed(), RandomShare(), InSegment(),
    Member(), MemberLeft(), MemberTier(), TierEndsIn(), PointsBalance(), PointsExpiring(),
    PlatformMember(), PlatformTrades(),
    NextTierMissing(),
]  # fmt: skip
