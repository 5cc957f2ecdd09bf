"""Core's facets: what a rule can ask about a customer."""

from core.domain.segments.facets.custom_fields import CustomField
from core.domain.segments.facets.customers import (
    HasEmail,
    HasPhone,
    OptedIn,
    Province,
    Tag,
)
from core.domain.segments.facets.lifecycle import DaysToNextPurchase, InStage
from core.domain.segments.facets.membership import InSegment
from core.domain.segments.facets.orders import DaysSinceLastPurchase, OrderCount, OrderSum
from core.domain.segments.facets.replenishment import ReplenishmentDue
from core.domain.segments.facets.value import InRfmGroup, RfmScore, ValuePercentile
from core.sdk.facets import Facet

FACETS: list[Facet] = [
    Province(), OrderCount(), OrderSum(), DaysSinceLastPurchase(), Tag(), HasPhone(), HasEmail(),
    OptedIn(), CustomField(), InSegment(),
    InStage(), DaysToNextPurchase(), ValuePercentile(), RfmScore(), InRfmGroup(),
    ReplenishmentDue(),
]  # fmt: skip
