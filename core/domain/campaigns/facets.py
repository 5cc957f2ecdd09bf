"""What a rule can ask about campaigns: who can be reached, and what became of earlier messages.

A message counts as sent when the channel's provider has accepted it. Times are in days of the
merchant's calendar.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from core.domain.campaigns.policy import address_of, skip_reason_sql
from core.domain.orders.facts import COUNTED
from core.domain.segments.facets.choices import check_choices
from core.domain.segments.facets.filters import Window
from core.registry import Owned
from core.sdk.channels import Channel
from core.sdk.facets import Facet, Fault, Query, Rows, Say, Text, check_bounds

MAX_MESSAGES = 1_000_000
MAX_DAYS_AFTER = 365


@dataclass(frozen=True)
class ReachableRule:
    """Whom a marketing message on the channel would really be sent to now; shop_id: in the name of
    that shop."""

    channel: str
    shop_id: int | None = None


class Reachable(Facet):
    """Whether marketing on a channel may and can be sent to the customer.

    It is the rule by which campaigns are sent: there is an address, consent, and no suppression.
    Which contact a channel needs is known once every plugin has brought its channels, so this
    facet is made of them (see builtin.py): neither can the person who writes a rule name a contact
    that the channel does not use, nor a channel that does not exist.
    """

    name: ClassVar[str] = "reachable"
    title: ClassVar[Text] = Text("Can be reached", "可触达")
    rule: ClassVar[type] = ReachableRule

    def __init__(self, channels: Mapping[str, Owned[Channel]]) -> None:
        self._channels = channels

    def check(self, rule: ReachableRule) -> Fault | None:
        if rule.channel in self._channels:
            return None
        known = ", ".join(sorted(self._channels)) or "none"
        return Fault(f"there is no channel {rule.channel[:100]!r}; there are: {known}",
                     ("channel",))  # fmt: skip

    def sql(self, rule: ReachableRule, q: Query) -> str:
        return f"(({self._reason(rule, q)}) IS NULL)"

    def found(self, rule: ReachableRule, q: Query) -> str:
        return f"COALESCE({self._reason(rule, q)}, 'reachable')"

    def explain(self, rule: ReachableRule, say: Say) -> str:
        if rule.shop_id is None:
            return say(f"can be reached by {rule.channel}", f"可通过{rule.channel}触达")
        shop = say.name("shop", rule.shop_id)
        return say(
            f"can be reached by {rule.channel} in the name of shop {shop}",
            f"可由店铺{shop}通过{rule.channel}触达",
        )

    def _reason(self, rule: ReachableRule, q: Query) -> str:
        shop = None if rule.shop_id is None else q.arg(rule.shop_id, "bigint")
        address = address_of(self._channels[rule.channel].value, q.arg, shop)
        return skip_reason_sql(address, "marketing", q.arg(rule.channel, "text"), shop)


@dataclass(frozen=True)
class MessageFilter:
    """Which messages are meant; all of the given conditions hold. Lists: any of these."""

    campaign_ids: list[int] | None = None
    channels: list[str] | None = None
    within: Window | None = None

    def check(self) -> Fault | None:
        """What is wrong with the filter, or None."""
        return check_choices(self.campaign_ids, "campaign_ids") or check_choices(
            self.channels, "channels"
        )

    def sql(self, q: Query, time: str) -> list[str]:
        """Conditions on delivery `d`; `within` is about the column `time`."""
        made = []
        if self.campaign_ids is not None:
            made.append(f"""d.run_id IN (SELECT r.id FROM campaign_runs r WHERE r.merchant_id = $1
                AND r.campaign_id = ANY({q.arg(self.campaign_ids)}::bigint[]))""")
        if self.channels is not None:
            made.append(f"d.channel = ANY({q.arg(self.channels)}::text[])")
        if self.within is not None:
            made += self.within.sql(time, q)
        return made

    def explain(self, say: Say) -> tuple[str, str]:
        """When and by which messages, such as " in the last 30 days" and " of campaign “a”"."""
        when, which = "", ""
        if self.within is not None:
            words = self.within.explain(say)
            when = say(f" {words}", words)
        if self.campaign_ids is not None:
            names = say.either([say.name("campaign", number) for number in self.campaign_ids])
            which += say(f" of campaign {names}", f"活动{names}")
        if self.channels is not None:
            names = say.either(self.channels)
            which += say(f" by {names}", f"通过{names}")
        return when, which


EVERY_MESSAGE = MessageFilter()


def sent(messages: MessageFilter | None, q: Query) -> list[str]:
    """Conditions on delivery `d`: the message was sent, and is one of those."""
    return ["d.state = 'sent'", *(messages or EVERY_MESSAGE).sql(q, "d.sent_at")]


@dataclass(frozen=True)
class ReceivedRule:
    """Who was sent such messages, at least once unless bounds are given; at_most 0 is never."""

    at_least: int | None = None
    at_most: int | None = None
    messages: MessageFilter | None = None


class Received(Facet):
    """How many messages of campaigns the customer was sent."""

    name: ClassVar[str] = "received"
    title: ClassVar[Text] = Text("Was sent messages", "活动触达")
    rule: ClassVar[type] = ReceivedRule

    def check(self, rule: ReceivedRule) -> Fault | None:
        if rule.at_least is None and rule.at_most is None:
            return None
        return check_bounds(rule.at_least, rule.at_most, MAX_MESSAGES)

    def sql(self, rule: ReceivedRule, q: Query) -> str:
        least, most = self._bounds(rule)
        if most is None and least < 2:
            return q.has(self._rows(rule, q)) if least else "TRUE"
        low = q.arg(least, "bigint") if least else None
        high = None if most is None else q.arg(most, "bigint")
        return q.between(self._rows(rule, q), "count(*)", low, high, none=not least)

    def found(self, rule: ReceivedRule, q: Query) -> str:
        return q.value(self._rows(rule, q), "count(*)")

    def explain(self, rule: ReceivedRule, say: Say) -> str:
        least, most = self._bounds(rule)
        times = "" if (least, most) == (1, None) else say.bounds(least, most, Text("times", "次"))
        when, which = (rule.messages or EVERY_MESSAGE).explain(say)
        often = f" {times}" if times else ""
        return say(f"was sent a message{which}{often}{when}", f"{when}被{which}触达{times}")

    def _bounds(self, rule: ReceivedRule) -> tuple[int, int | None]:
        if rule.at_least is None and rule.at_most is None:
            return 1, None
        return rule.at_least or 0, rule.at_most

    def _rows(self, rule: ReceivedRule, q: Query) -> Rows:
        return Rows("deliveries d", "d.customer_id", sent(rule.messages, q))


DELIVERED = "d.receipt IN ('delivered', 'complained')"
"""Whether a receipt says that message `d` arrived: who complains about it got it."""


@dataclass(frozen=True)
class Happened:
    """To whom it happened with such a message; within is about when it did."""

    messages: MessageFilter | None = None


class MessageFailedRule(Happened):
    """To whom such a message could not be sent; within is about the time of the failure."""


class MessageDeliveredRule(Happened):
    """To whom such a message was delivered, as its receipt says; within is about that time."""


class MessageOpenedRule(Happened):
    """Who opened such a message; within is about the first time."""


class MessageClickedRule(Happened):
    """Who clicked a link in such a message; within is about the first time."""


class MessageFacet(Facet):
    """Whether something happened with a message: a condition on delivery `d`, and its time."""

    condition: ClassVar[str]
    time: ClassVar[str]
    words: ClassVar[Text]
    """With what is meant in the place of {which}, and in Chinese when in that of {when}."""

    def sql(self, rule: Happened, q: Query) -> str:
        return q.has(self._rows(rule, q))

    def found(self, rule: Happened, q: Query) -> str:
        return q.value(self._rows(rule, q), f"max({self.time})")

    def explain(self, rule: Happened, say: Say) -> str:
        when, which = (rule.messages or EVERY_MESSAGE).explain(say)
        return say(*self.words).format(when=when, which=which)

    def _rows(self, rule: Happened, q: Query) -> Rows:
        meant = (rule.messages or EVERY_MESSAGE).sql(q, self.time)
        return Rows("deliveries d", "d.customer_id", [self.condition, *meant])


class MessageFailed(MessageFacet):
    """Whether a message to the customer failed."""

    name: ClassVar[str] = "message_failed"
    title: ClassVar[Text] = Text("Message failed", "发送失败")
    rule: ClassVar[type] = MessageFailedRule
    condition: ClassVar[str] = "d.state = 'failed'"
    time: ClassVar[str] = "d.updated_at"
    words: ClassVar[Text] = Text(
        "could not be sent a message{which}{when}", "{when}{which}消息发送失败"
    )


class MessageDelivered(MessageFacet):
    """Whether a message reached the customer."""

    name: ClassVar[str] = "message_delivered"
    title: ClassVar[Text] = Text("Message delivered", "消息已送达")
    rule: ClassVar[type] = MessageDeliveredRule
    condition: ClassVar[str] = DELIVERED
    time: ClassVar[str] = "d.delivered_at"
    words: ClassVar[Text] = Text("was delivered a message{which}{when}", "{when}{which}消息已送达")


class MessageOpened(MessageFacet):
    """Whether the customer opened a message."""

    name: ClassVar[str] = "message_opened"
    title: ClassVar[Text] = Text("Message opened", "打开消息")
    rule: ClassVar[type] = MessageOpenedRule
    condition: ClassVar[str] = "d.opened_at IS NOT NULL"
    time: ClassVar[str] = "d.opened_at"
    words: ClassVar[Text] = Text("opened a message{which}{when}", "{when}打开了{which}消息")


class MessageClicked(MessageFacet):
    """Whether the customer clicked a link in a message."""

    name: ClassVar[str] = "message_clicked"
    title: ClassVar[Text] = Text("Message clicked", "点击消息")
    rule: ClassVar[type] = MessageClickedRule
    condition: ClassVar[str] = "d.clicked_at IS NOT NULL"
    time: ClassVar[str] = "d.clicked_at"
    words: ClassVar[Text] = Text("clicked a message{which}{when}", "{when}点击了{which}消息")


@dataclass(frozen=True)
class BoughtAfterMessageRule:
    """Who paid an order within so many times 24 hours after such a message was sent.

    It is an order that counts: neither closed nor fully refunded since. within of messages is
    about the time of sending.
    """

    days: int
    messages: MessageFilter | None = None


class BoughtAfterMessage(Facet):
    """Whether the customer bought soon after a message."""

    name: ClassVar[str] = "bought_after_message"
    title: ClassVar[Text] = Text("Bought after a message", "触达后购买")
    rule: ClassVar[type] = BoughtAfterMessageRule

    def check(self, rule: BoughtAfterMessageRule) -> Fault | None:
        if not 1 <= rule.days <= MAX_DAYS_AFTER:
            return Fault(f"days must be from 1 to {MAX_DAYS_AFTER}", ("days",))
        return None

    def sql(self, rule: BoughtAfterMessageRule, q: Query) -> str:
        return q.has(self._rows(rule, q))

    def found(self, rule: BoughtAfterMessageRule, q: Query) -> str:
        return q.value(self._rows(rule, q), "max(o.paid_at)")

    def explain(self, rule: BoughtAfterMessageRule, say: Say) -> str:
        when, which = (rule.messages or EVERY_MESSAGE).explain(say)
        hours = rule.days * 24
        return say(
            f"bought within {hours} hours after a message{which} was sent{when}",
            f"{when}被{which}触达后{hours}小时内购买",
        )

    def _rows(self, rule: BoughtAfterMessageRule, q: Query) -> Rows:
        # hours, since an interval of days would change its length with summer time
        until = f"d.sent_at + {q.arg(rule.days * 24, 'int')} * interval '1 hour'"
        paid = [COUNTED, "o.paid_at >= d.sent_at", f"o.paid_at < {until}"]
        return Rows(
            """deliveries d JOIN orders o ON o.merchant_id = d.merchant_id
                AND o.customer_id = d.customer_id""",
            "d.customer_id", [*sent(rule.messages, q), *paid],
        )  # fmt: skip


FACETS: list[Facet] = [
    Received(),
    MessageFailed(),
    MessageDelivered(),
    MessageOpened(),
    MessageClicked(),
    BoughtAfterMessage(),
]
"""Those that need to know nothing about the installed plugins."""
