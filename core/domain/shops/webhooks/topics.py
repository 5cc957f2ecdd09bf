"""What webhooks can be told of: types of events, and an event's fields as the API writes them."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from core.sdk.errors import Faults, InvalidInput
from core.sdk.events import CUSTOM_PREFIX, CUSTOM_TYPE, event_types
from core.sdk.ids import join_id
from core.sdk.naming import camel

MAX_TOPICS = 100
IDS = {
    "campaign_id": "Campaign", "customer_id": "Customer", "customer_ids": "Customer",
    "delivery_id": "Delivery", "job_id": "Job", "merge_id": "CustomerMerge",
    "merged_id": "Customer", "message_id": "Reply", "old_tier_id": "Tier", "order_id": "Order",
    "parcel_id": "Parcel", "redemption_id": "Redemption", "referral_id": "Referral",
    "referrer_id": "Customer", "refund_id": "Refund", "review_id": "Review",
    "reward_id": "Reward", "run_id": "CampaignRun", "segment_id": "Segment", "shop_id": "Shop",
    "tier_id": "Tier", "webhook_id": "Webhook",
}  # fmt: skip
"""Fields of events that are ids, and of what; they go out as the API's ids."""


def known_topics() -> dict[str, tuple[str, ...]]:
    """The names of the fields of each type of event, core's and plugins', by type."""
    return {
        event.type: tuple(camel(field.name) for field in fields(event))  # type: ignore[arg-type]
        for event in sorted(event_types(), key=lambda event: event.type)
    }


def is_own(topic: str) -> bool:
    """Whether it is a type of the merchant's own events, whose fields nobody knows before."""
    return topic.startswith(CUSTOM_PREFIX)


def fields_of(topics: Sequence[str]) -> tuple[set[str], set[str]] | None:
    """The fields that all these topics have, and those that any has; None where nobody knows."""
    if not topics or any(is_own(topic) for topic in topics):
        return None
    known = known_topics()
    found = [set(known[topic]) for topic in topics]
    return set.intersection(*found), set.union(*found)


def check_topics(topics: Sequence[str]) -> list[str]:
    """The topics, sorted and without repetition. Raises InvalidInput, Several."""
    known, faults = known_topics(), Faults()
    wanted = sorted(set(topics))
    if not 1 <= len(wanted) <= MAX_TOPICS:
        faults.wrong(f"give 1 to {MAX_TOPICS} topics", "topics")
    for topic in wanted:
        if topic not in known and not CUSTOM_TYPE.fullmatch(topic):
            faults.wrong(
                f"there is no topic {topic[:100]!r}: `webhookTopics` lists them, and those of your "
                f"own begin with {CUSTOM_PREFIX!r}", "topics",
            )  # fmt: skip
    faults.tell()
    return wanted


def check_filter(where: Mapping[str, Any], topics: Sequence[str] | None) -> None:
    """Check a filter: values by field, each of them one or a list of which one has to be there.

    The fields are those that all topics have; None are topics that are wrong themselves. Raises
    InvalidInput, Several.
    """
    if not isinstance(where, Mapping):
        raise InvalidInput("a filter is an object with values by field", ("input", "filter"))
    faults, there = Faults(), fields_of(topics or ())
    for name, value in where.items():
        values = value if isinstance(value, list) else [value]
        if there is not None and name not in there[0]:
            has = ", ".join(sorted(there[0])) or "there is none"
            faults.wrong(
                f"{name[:100]!r} is none of the fields that all topics have: {has}", "filter"
            )
        elif not values or not all(isinstance(one, str | int | None) for one in values):
            faults.wrong(f"{name[:100]!r} needs a value, or a list of some", "filter")
    faults.tell()


def shown(topic: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    """An event's fields as the API writes them: camelCase, with global ids."""
    own = is_own(topic)
    return {
        camel(name) if name in IDS or not own else name: _shown(IDS.get(name), value)
        for name, value in payload.items()
    }


def _shown(kind: str | None, value: Any) -> Any:
    if isinstance(value, list):
        return [_shown(kind, one) for one in value]
    # shop 0 stands for all shops
    return join_id(kind, value) if kind is not None and isinstance(value, int) and value else value


def fits(where: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    """Whether an event, as it is shown, passes a filter."""
    return all(
        event.get(name) in (value if isinstance(value, list) else [value])
        for name, value in where.items()
    )
