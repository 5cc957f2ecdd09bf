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
from core.domain.segments.facets.membership import InSegment
from core.domain.segments.facets.orders import DaysSinceLastPurchase, OrderCount, OrderSum
from core.domain.segments.facets.random_share import RandomShare
from core.domain.segments.facets.tags import Tag
from core.sdk.facets import Facet

FACETS: list[Facet] = [
    Country(), Province(), City(), KnownSince(), KnownIn(),
    OrderCount(), OrderSum(), DaysSinceLastPurchase(), Tag(), HasName(), HasPhone(), HasEmail(),
    Birthday(), Age(), FirstPurchaseAnniversary(),
    OptedIn(), OptedOut(), ConsentUnproven(), Unsubscribed(),
    CustomField(), RandomShare(), InSegment(),
]  # fmt: skip
