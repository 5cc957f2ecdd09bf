"""Whose journey an event begins that is about two."""

import pytest

from core.domain.campaigns.journeys.events import fault_of


@pytest.mark.parametrize(("event", "about", "fault"), [
    ("referral.granted", "referrer_id", None), ("referral.granted", "customer_id", None),
    ("order.created", "customer_id", None), ("order.created", "referrer_id", "has no referrer_id"),
    ("custom.cart", "referrer_id", "is about its customer"),
])  # fmt: skip
def test_only_an_event_about_a_referrer_begins_the_referrers_journey(event, about, fault):
    told = fault_of(event, {}, about)
    assert (told is None) if fault is None else (fault in told)
