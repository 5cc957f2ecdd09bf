"""What a customer is: where it lives, how it can be reached, what it agreed to, its tags."""

from dataclasses import dataclass
from typing import ClassVar

from core.domain.customers.consent import status_sql
from core.domain.customers.places import province_of
from core.domain.segments.facets.choices import check_choices
from core.sdk.facets import Facet, Fault, Query, Rows, Say, Text


@dataclass(frozen=True)
class ProvinceRule:
    """Whose province is any of these; an empty list matches nobody."""

    any_of: list[str]


class Province(Facet):
    """The province that the customer's latest known address is in."""

    name: ClassVar[str] = "province"
    title: ClassVar[Text] = Text("Province", "省份")
    rule: ClassVar[type] = ProvinceRule

    def check(self, rule: ProvinceRule) -> Fault | None:
        return check_choices(rule.any_of)

    def sql(self, rule: ProvinceRule, q: Query) -> str:
        # whoever asks for 广东 means 广东省, as it is stored
        names = sorted({*rule.any_of, *map(province_of, rule.any_of)})
        return f"(c.province IS NOT NULL AND c.province = ANY({q.arg(names)}::text[]))"

    def found(self, rule: ProvinceRule, q: Query) -> str:
        return "c.province"

    def explain(self, rule: ProvinceRule, say: Say) -> str:
        names = say.either(rule.any_of)
        return say(f"lives in {names}", f"所在省份为{names}")


@dataclass(frozen=True)
class TagRule:
    """Who has any of these tags; an empty list matches nobody."""

    any_of: list[str]


class Tag(Facet):
    """The tags on the customer."""

    name: ClassVar[str] = "tag"
    title: ClassVar[Text] = Text("Tag", "标签")
    rule: ClassVar[type] = TagRule

    def check(self, rule: TagRule) -> Fault | None:
        return check_choices(rule.any_of)

    def sql(self, rule: TagRule, q: Query) -> str:
        return q.has(
            Rows("customer_tags t", "t.customer_id", [f"t.tag = ANY({q.arg(rule.any_of)}::text[])"])
        )

    def found(self, rule: TagRule, q: Query) -> str:
        return q.value(Rows("customer_tags t", "t.customer_id"), "array_agg(t.tag ORDER BY t.tag)")

    def explain(self, rule: TagRule, say: Say) -> str:
        names = say.either(rule.any_of)
        return say(f"is tagged {names}", f"带有标签{names}")


@dataclass(frozen=True)
class HasPhoneRule:
    """Whose phone number is known."""


class HasPhone(Facet):
    """Whether a phone number of the customer is known."""

    name: ClassVar[str] = "has_phone"
    title: ClassVar[Text] = Text("Has a phone number", "有手机号")
    rule: ClassVar[type] = HasPhoneRule

    def sql(self, rule: HasPhoneRule, q: Query) -> str:
        return "(c.phone_index IS NOT NULL)"

    def explain(self, rule: HasPhoneRule, say: Say) -> str:
        return say("has a phone number", "有手机号")


@dataclass(frozen=True)
class HasEmailRule:
    """Whose email address is known."""


class HasEmail(Facet):
    """Whether an email address of the customer is known."""

    name: ClassVar[str] = "has_email"
    title: ClassVar[Text] = Text("Has an email address", "有邮箱")
    rule: ClassVar[type] = HasEmailRule

    def sql(self, rule: HasEmailRule, q: Query) -> str:
        return "(c.email_index IS NOT NULL)"

    def explain(self, rule: HasEmailRule, say: Say) -> str:
        return say("has an email address", "有邮箱")


@dataclass(frozen=True)
class OptedInRule:
    """Who agreed to marketing on the channel; shop_id asks what counts in that shop."""

    channel: str
    shop_id: int | None = None


class OptedIn(Facet):
    """Whether the customer agreed to marketing on a channel."""

    name: ClassVar[str] = "opted_in"
    title: ClassVar[Text] = Text("Agreed to marketing", "同意营销")
    rule: ClassVar[type] = OptedInRule

    def check(self, rule: OptedInRule) -> Fault | None:
        return None if rule.channel.strip() else Fault("channel is empty", ("channel",))

    def sql(self, rule: OptedInRule, q: Query) -> str:
        return f"COALESCE({self.found(rule, q)} = 'granted', FALSE)"

    def found(self, rule: OptedInRule, q: Query) -> str:
        shop = None if rule.shop_id is None else q.arg(rule.shop_id, "bigint")
        return status_sql(shop, q.arg(rule.channel, "text"), "marketing")

    def explain(self, rule: OptedInRule, say: Say) -> str:
        en, zh = f"agreed to marketing by {rule.channel}", f"同意接收{rule.channel}营销"
        if rule.shop_id is None:
            return say(en, zh)
        shop = say.name("shop", rule.shop_id)
        return say(f"{en} in shop {shop}", f"在店铺{shop}{zh}")
