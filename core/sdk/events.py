"""Domain events: facts that became true in a committed transaction, named in the past tense.

An event carries ids and states, never contact data: it is stored, and it leaves the house.
"""

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, ClassVar

CUSTOM_PREFIX = "custom."
CUSTOM_TYPE = re.compile(r"custom\.[a-z][a-z0-9_.]{0,59}")
"""The types of events that merchants' own servers tell of."""


class Event:
    """Base of all events. A subclass is a frozen dataclass of JSON values with a `type`."""

    type: ClassVar[str]

    def payload(self) -> dict[str, Any]:
        """The event's fields, as they are stored."""
        return asdict(self)  # type: ignore[call-overload, no-any-return]  # subclasses are dataclasses


@dataclass(frozen=True)
class Occurrence:
    """A stored event, as a subscriber gets it.

    `id` is unique and grows within a merchant; a subscriber that has seen it must do nothing.
    """

    id: int
    merchant_id: int
    type: str
    at: datetime
    payload: dict[str, Any]


@dataclass(frozen=True)
class OrdersImported(Event):
    """A file of orders was taken in; its orders make no events of their own (they are history)."""

    type: ClassVar[str] = "orders.imported"
    job_id: int
    shop_id: int
    created: int
    updated: int


@dataclass(frozen=True)
class OrderCreated(Event):
    """An order was seen for the first time, in the given state."""

    type: ClassVar[str] = "order.created"
    order_id: int
    shop_id: int
    customer_id: int | None
    state: str


@dataclass(frozen=True)
class OrderStateChanged(Event):
    """A stored order went from one state to another."""

    type: ClassVar[str] = "order.state_changed"
    order_id: int
    shop_id: int
    customer_id: int | None
    old_state: str
    state: str


@dataclass(frozen=True)
class ParcelStateChanged(Event):
    """A stored parcel went from one state to another; `old_state` is None for its first news."""

    type: ClassVar[str] = "parcel.state_changed"
    parcel_id: int
    order_id: int
    shop_id: int
    customer_id: int | None
    old_state: str | None
    state: str


@dataclass(frozen=True)
class RefundStateChanged(Event):
    """A refund was asked for (`old_state` None), or a stored one changed its state."""

    type: ClassVar[str] = "refund.state_changed"
    refund_id: int
    order_id: int
    shop_id: int
    customer_id: int | None
    kind: str
    old_state: str | None
    state: str


@dataclass(frozen=True)
class ReviewGiven(Event):
    """A buyer's review was seen for the first time; `written` says that it has words.

    `sign` is 1 good, 0 neutral, -1 bad; either of `sign` and `stars` may be unknown.
    """

    type: ClassVar[str] = "review.given"
    review_id: int
    order_id: int | None
    shop_id: int
    customer_id: int | None
    sign: int | None
    stars: int | None
    written: bool


@dataclass(frozen=True)
class ReviewChanged(Event):
    """A buyer changed a stored review, or added to it; see ReviewGiven."""

    type: ClassVar[str] = "review.changed"
    review_id: int
    order_id: int | None
    shop_id: int
    customer_id: int | None
    old_sign: int | None
    sign: int | None
    stars: int | None
    written: bool


@dataclass(frozen=True)
class ReviewNegative(Event):
    """A review needs care: given so, or become so, once for each.

    `cause` is "bad" or "neutral" by its sign, or "keyword" for a good one that has one of the
    merchant's words.
    """

    type: ClassVar[str] = "review.negative"
    review_id: int
    order_id: int | None
    shop_id: int
    customer_id: int | None
    sign: int | None
    stars: int | None
    cause: str


@dataclass(frozen=True)
class CustomerUnsubscribed(Event):
    """A customer refused further marketing on a channel."""

    type: ClassVar[str] = "customer.unsubscribed"
    customer_id: int
    channel: str
    source: str


@dataclass(frozen=True)
class CustomerErased(Event):
    """A person's data was erased; whoever holds more of it under this id erases that too."""

    type: ClassVar[str] = "customer.erased"
    customer_id: int


@dataclass(frozen=True)
class ConsentGranted(Event):
    """A customer's consent to a purpose on a channel took effect; `shop_id` 0 is all shops."""

    type: ClassVar[str] = "consent.granted"
    customer_id: int
    shop_id: int
    channel: str
    purpose: str
    source: str


@dataclass(frozen=True)
class ConsentWithdrawn(Event):
    """A customer refused a purpose on a channel; `shop_id` 0 is all shops."""

    type: ClassVar[str] = "consent.withdrawn"
    customer_id: int
    shop_id: int
    channel: str
    purpose: str
    source: str


@dataclass(frozen=True)
class CustomersMerged(Event):
    """A customer became part of another, which has its orders and everything else from now on."""

    type: ClassVar[str] = "customers.merged"
    merge_id: int
    customer_id: int
    merged_id: int


@dataclass(frozen=True)
class CustomersUnmerged(Event):
    """A merge was undone: `merged_id` is a customer of its own again."""

    type: ClassVar[str] = "customers.unmerged"
    merge_id: int
    customer_id: int
    merged_id: int


@dataclass(frozen=True)
class SegmentEntered(Event):
    """Customers came into a segment: up to 1,000 of them, each once for each time it enters.

    `cause` is "change" (something about the customer changed), "refresh" (days passed, or all was
    asked anew), "rule" (the segment's rule was changed) or "list" (put on by hand or by a file).
    Those whom a new segment has from its beginning did not enter it.
    """

    type: ClassVar[str] = "segment.entered"
    segment_id: int
    customer_ids: list[int]
    cause: str


@dataclass(frozen=True)
class SegmentLeft(Event):
    """Customers left a segment; see `SegmentEntered`."""

    type: ClassVar[str] = "segment.left"
    segment_id: int
    customer_ids: list[int]
    cause: str


@dataclass(frozen=True)
class MessageClicked(Event):
    """A person followed a link of a message for the first time; scanners' clicks do not count.

    `order_id` is the order that the message was about, if any.
    """

    type: ClassVar[str] = "message.clicked"
    delivery_id: int
    customer_id: int
    order_id: int | None
    campaign_id: int
    run_id: int
    step: int
    link_id: int


@dataclass(frozen=True)
class CampaignStarted(Event):
    """A campaign's audience was frozen into the ledger."""

    type: ClassVar[str] = "campaign.started"
    campaign_id: int
    run_id: int
    target: int


@dataclass(frozen=True)
class CampaignFinished(Event):
    """Every recipient of a run is accounted for.

    `times` says how often by now: a run that had finished goes on when a message of which nobody
    knew proves not to be sent, or when people are moved to it. Then this is said again, with 2.
    """

    type: ClassVar[str] = "campaign.finished"
    campaign_id: int
    run_id: int
    times: int = 1


@dataclass(frozen=True)
class MemberJoined(Event):
    """A customer joined the programme; `again` says that it had been a member before."""

    type: ClassVar[str] = "member.joined"
    customer_id: int
    source: str
    shop_id: int | None
    again: bool


@dataclass(frozen=True)
class MemberLeft(Event):
    """A customer left the programme."""

    type: ClassVar[str] = "member.left"
    customer_id: int
    source: str


@dataclass(frozen=True)
class PlatformMemberJoined(Event):
    """A buyer joined the platform's own programme of a shop; `grade` is the platform's.

    `source` is the platform's word for how he came to it, if it says.
    """

    type: ClassVar[str] = "platform_member.joined"
    platform_member_id: int
    shop_id: int
    customer_id: int | None
    platform: str
    grade: int | None
    source: str | None


@dataclass(frozen=True)
class PlatformMemberLeft(Event):
    """A buyer left the platform's own programme of a shop."""

    type: ClassVar[str] = "platform_member.left"
    platform_member_id: int
    shop_id: int
    customer_id: int | None
    platform: str


@dataclass(frozen=True)
class PlatformGradeChanged(Event):
    """A member's grade on a platform changed."""

    type: ClassVar[str] = "platform_member.grade_changed"
    platform_member_id: int
    shop_id: int
    customer_id: int | None
    platform: str
    old_grade: int | None
    grade: int


@dataclass(frozen=True)
class TierChanged(Event):
    """A member's tier changed; None is none.

    `cause` is "upgrade", "downgrade", "refund" (what reached it was paid back), "manual", "ended"
    (a tier by hand was over), "removed" (the tier is no more), "platform" (a platform's grade) or
    "left".
    """

    type: ClassVar[str] = "member.tier_changed"
    customer_id: int
    old_tier_id: int | None
    tier_id: int | None
    cause: str


@dataclass(frozen=True)
class PointsExpiring(Event):
    """Points of a member expire at an instant (ISO 8601) within `days`, a number of the
    programme's rules; told once for each instant and number."""

    type: ClassVar[str] = "points.expiring"
    customer_id: int
    points: int
    expires_at: str
    days: int


@dataclass(frozen=True)
class TierEnding(Event):
    """A member is about to lose the tier at an instant (ISO 8601) within `days`.

    `missing` is what would keep it, in the programme's measure (minor units of its currency, a
    number of purchases, points); None for a tier by hand, which ends in any case.
    """

    type: ClassVar[str] = "member.tier_ending"
    customer_id: int
    tier_id: int
    ends_at: str
    days: int
    missing: int | None


@dataclass(frozen=True)
class NextTierNear(Event):
    """Little is missing to a member's next tier, in the programme's measure as in TierEnding."""

    type: ClassVar[str] = "member.next_tier_near"
    customer_id: int
    tier_id: int
    missing: int


@dataclass(frozen=True)
class RewardRequested(Event):
    """A customer paid for a reward with points; its provider hands it out."""

    type: ClassVar[str] = "reward.requested"
    redemption_id: int
    reward_id: int
    customer_id: int
    points: int


@dataclass(frozen=True)
class RewardFulfilled(Event):
    """A customer got a reward."""

    type: ClassVar[str] = "reward.fulfilled"
    redemption_id: int
    reward_id: int
    customer_id: int


@dataclass(frozen=True)
class RewardCancelled(Event):
    """A redemption was cancelled, and its points given back."""

    type: ClassVar[str] = "reward.cancelled"
    redemption_id: int
    reward_id: int
    customer_id: int


@dataclass(frozen=True)
class ReferralEntered(Event):
    """A customer entered somebody's code; what both get waits for the first purchase."""

    type: ClassVar[str] = "referral.entered"
    referral_id: int
    customer_id: int
    referrer_id: int


@dataclass(frozen=True)
class ReferralGranted(Event):
    """The first purchase of a referred customer was kept, and both sides have got theirs."""

    type: ClassVar[str] = "referral.granted"
    referral_id: int
    customer_id: int
    referrer_id: int


@dataclass(frozen=True)
class ReferralRefused(Event):
    """A referral was refused for `reason`, a word such as "self" or "month_limit"."""

    type: ClassVar[str] = "referral.refused"
    referral_id: int
    customer_id: int
    referrer_id: int
    reason: str


@dataclass(frozen=True)
class ReferralUndone(Event):
    """The purchase of a granted referral was refunded; both sides' benefits were taken back."""

    type: ClassVar[str] = "referral.undone"
    referral_id: int
    customer_id: int
    referrer_id: int


@dataclass(frozen=True)
class CampaignReported(Event):
    """The attribution window of a run has closed, and its report is there."""

    type: ClassVar[str] = "campaign.reported"
    campaign_id: int
    run_id: int


@dataclass(frozen=True)
class CustomEvent(Event):
    """Something that a merchant's own server told of a customer; `name` begins with "custom.".

    Its payload are the fields of `data` beside the two ids.
    """

    name: str
    customer_id: int
    order_id: int | None
    data: dict[str, Any]

    @property
    def type(self) -> str:  # type: ignore[override]  # others have one for all of them
        return self.name

    def payload(self) -> dict[str, Any]:
        return {**self.data, "customer_id": self.customer_id, "order_id": self.order_id}


@dataclass(frozen=True)
class MessageReplied(Event):
    """Somebody wrote to the merchant; `customer_id` and `delivery_id` where they are known.

    `opt_out` says that it was a refusal of further marketing, which took effect already.
    """

    type: ClassVar[str] = "message.replied"
    message_id: int
    channel: str
    customer_id: int | None
    delivery_id: int | None
    opt_out: bool


@dataclass(frozen=True)
class PlatformDeedSettled(Event):
    """Somebody has looked whether something was done on a platform that nobody knew the end of.

    `key` and `about` are the action's. If it was not `done`, it may be begun again.
    """

    type: ClassVar[str] = "platform_deed.settled"
    deed_id: int
    shop_id: int
    key: str
    about: list[int]
    done: bool


@dataclass(frozen=True)
class WebhookPaused(Event):
    """A webhook was paused by itself, because its receiver kept failing since `failing_since`.

    The instant is ISO 8601. What happens meanwhile waits until somebody resumes it.
    """

    type: ClassVar[str] = "webhook.paused"
    webhook_id: int
    failures: int
    failing_since: str


def event_types(base: type[Event] = Event) -> Iterator[type[Event]]:
    """Every type of event that is known here, core's and plugins'; not a merchant's own."""
    for one in base.__subclasses__():
        if one is not CustomEvent:
            yield one
            yield from event_types(one)
