"""What a customer said about marketing."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from core.domain.customers.consent import MARKETING, status_sql
from core.domain.segments.facets.choices import check_choices
from core.domain.segments.facets.filters import Window
from core.sdk.facets import Facet, Fault, Query, Rows, Say, Text


@dataclass(frozen=True)
class OptedInRule:
    """Who agreed to marketing on the channel; shop_id asks what counts in that shop."""

    channel: str
    shop_id: int | None = None


@dataclass(frozen=True)
class OptedOutRule:
    """Who refused marketing on the channel; shop_id asks what counts in that shop."""

    channel: str
    shop_id: int | None = None


@dataclass(frozen=True)
class ConsentUnprovenRule:
    """Whose consent to marketing on the channel nobody can prove; shop_id asks what counts in that
    shop."""

    channel: str
    shop_id: int | None = None


ConsentRule = OptedInRule | OptedOutRule | ConsentUnprovenRule


class _Consent(Facet):
    """What a customer's word on marketing is now."""

    status: ClassVar[str]

    def check(self, rule: ConsentRule) -> Fault | None:
        return None if rule.channel.strip() else Fault("channel is empty", ("channel",))

    def sql(self, rule: ConsentRule, q: Query) -> str:
        if rule.shop_id is not None:
            return f"COALESCE({self.found(rule, q)} = '{self.status}', FALSE)"
        # the words for all shops are one row, which can be gathered for everybody too
        where = [
            "co.shop_id = 0", f"co.channel = {q.arg(rule.channel, 'text')}",
            f"co.purpose = '{MARKETING}'", f"co.status = '{self.status}'",
        ]  # fmt: skip
        return q.has(Rows("consents co", "co.customer_id", where, existing=True))

    def found(self, rule: ConsentRule, q: Query) -> str:
        shop = None if rule.shop_id is None else q.arg(rule.shop_id, "bigint")
        return status_sql(shop, q.arg(rule.channel, "text"), "marketing")

    def explain(self, rule: ConsentRule, say: Say) -> str:
        words = self.words(rule.channel, say)
        if rule.shop_id is None:
            return words
        shop = say.name("shop", rule.shop_id)
        return say(f"{words} in shop {shop}", f"在店铺{shop}{words}")

    @abstractmethod
    def words(self, channel: str, say: Say) -> str:
        """The status in words."""


class OptedIn(_Consent):
    """Whether the customer agreed to marketing on a channel."""

    name: ClassVar[str] = "opted_in"
    title: ClassVar[Text] = Text("Agreed to marketing", "同意营销")
    rule: ClassVar[type] = OptedInRule
    status = "granted"

    def words(self, channel: str, say: Say) -> str:
        return say(f"agreed to marketing by {channel}", f"同意接收{channel}营销")


class OptedOut(_Consent):
    """Whether the customer refused marketing on a channel."""

    name: ClassVar[str] = "opted_out"
    title: ClassVar[Text] = Text("Refused marketing", "拒绝营销")
    rule: ClassVar[type] = OptedOutRule
    status = "denied"

    def words(self, channel: str, say: Say) -> str:
        return say(f"refused marketing by {channel}", f"拒绝接收{channel}营销")


class ConsentUnproven(_Consent):
    """Whether the customer's consent to marketing on a channel cannot be proven."""

    name: ClassVar[str] = "consent_unproven"
    title: ClassVar[Text] = Text("Consent cannot be proven", "同意无法证明")
    rule: ClassVar[type] = ConsentUnprovenRule
    status = "unproven"

    def words(self, channel: str, say: Say) -> str:
        return say(
            f"has a consent to marketing by {channel} that cannot be proven",
            f"接收{channel}营销的同意无法证明",
        )


@dataclass(frozen=True)
class UnsubscribedRule:
    """Who said no to marketing in that time, whatever was said since; without parameters: ever.

    shop_ids are those for which it was said; a no for all shops is none of a shop's.
    """

    within: Window | None = None
    channels: list[str] | None = None
    shop_ids: list[int] | None = None


class Unsubscribed(Facet):
    """Whether and when the customer said no to marketing."""

    name: ClassVar[str] = "unsubscribed"
    title: ClassVar[Text] = Text("Unsubscribed", "退订")
    rule: ClassVar[type] = UnsubscribedRule

    def check(self, rule: UnsubscribedRule) -> Fault | None:
        return check_choices(rule.channels, "channels") or check_choices(rule.shop_ids, "shop_ids")

    def sql(self, rule: UnsubscribedRule, q: Query) -> str:
        return q.has(self._rows(rule, q))

    def found(self, rule: UnsubscribedRule, q: Query) -> str:
        return q.value(self._rows(rule, q), "max(e.at)")

    def explain(self, rule: UnsubscribedRule, say: Say) -> str:
        said = []
        if rule.within is not None:
            when = rule.within.explain(say)
            said.append(say(f" {when}", when))
        if rule.shop_ids is not None:
            names = say.either([say.name("shop", number) for number in rule.shop_ids])
            said.append(say(f" in shop {names}", f"在店铺{names}"))
        how = "".join(said)
        if rule.channels is None:
            return say(f"unsubscribed{how}", f"{how}退订过")
        channels = say.either(rule.channels)
        return say(f"unsubscribed from {channels}{how}", f"{how}退订过{channels}")

    def _rows(self, rule: UnsubscribedRule, q: Query) -> Rows:
        where = [f"e.purpose = '{MARKETING}'", "e.status = 'denied'"]
        if rule.within is not None:
            where += rule.within.sql("e.at", q)
        if rule.channels is not None:
            where.append(f"e.channel = ANY({q.arg(rule.channels)}::text[])")
        if rule.shop_ids is not None:
            where.append(f"e.shop_id = ANY({q.arg(rule.shop_ids)}::bigint[])")
        return Rows("consent_events e", "e.customer_id", where)
