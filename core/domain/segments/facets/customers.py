"""What is known of a customer: where it lives, its contacts, since when and in which shops."""

from dataclasses import dataclass
from typing import ClassVar

from core.domain.customers.countries import COUNTRIES
from core.domain.customers.places import cities_of, province_of
from core.domain.segments.facets.choices import check_choices
from core.domain.segments.facets.filters import Window
from core.sdk.facets import Facet, Fault, Query, Rows, Say, Text


@dataclass(frozen=True)
class CountryRule:
    """Whose country is any of these, as two letters such as CN; an empty list matches nobody."""

    any_of: list[str]


class Country(Facet):
    """The country that the customer lives in."""

    name: ClassVar[str] = "country"
    title: ClassVar[Text] = Text("Country", "国家")
    rule: ClassVar[type] = CountryRule

    def check(self, rule: CountryRule) -> Fault | None:
        for place, code in enumerate(rule.any_of):
            if code.upper() not in COUNTRIES:
                return Fault("not a country's two letters, such as CN", ("any_of", str(place)))
        return check_choices(rule.any_of)

    def sql(self, rule: CountryRule, q: Query) -> str:
        codes = sorted({code.upper() for code in rule.any_of})
        return f"(c.country IS NOT NULL AND c.country = ANY({q.arg(codes)}::text[]))"

    def found(self, rule: CountryRule, q: Query) -> str:
        return "c.country"

    def explain(self, rule: CountryRule, say: Say) -> str:
        codes = say.either([code.upper() for code in rule.any_of])
        return say(f"lives in the country {codes}", f"所在国家为{codes}")


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
class CityRule:
    """Whose city is any of these; an empty list matches nobody."""

    any_of: list[str]


class City(Facet):
    """The city that the customer's latest known address is in."""

    name: ClassVar[str] = "city"
    title: ClassVar[Text] = Text("City", "城市")
    rule: ClassVar[type] = CityRule

    def check(self, rule: CityRule) -> Fault | None:
        return check_choices(rule.any_of)

    def sql(self, rule: CityRule, q: Query) -> str:
        names = sorted({name for asked in rule.any_of for name in cities_of(asked)})
        return f"(c.city IS NOT NULL AND c.city = ANY({q.arg(names)}::text[]))"

    def found(self, rule: CityRule, q: Query) -> str:
        return "c.city"

    def explain(self, rule: CityRule, say: Say) -> str:
        names = say.either(rule.any_of)
        return say(f"lives in the city {names}", f"所在城市为{names}")


@dataclass(frozen=True)
class KnownSinceRule:
    """Who became known in that time: by an order, an import or by hand."""

    within: Window


class KnownSince(Facet):
    """When the customer was first taken in."""

    name: ClassVar[str] = "known_since"
    title: ClassVar[Text] = Text("Known since", "建档时间")
    rule: ClassVar[type] = KnownSinceRule

    def sql(self, rule: KnownSinceRule, q: Query) -> str:
        return f"({' AND '.join(rule.within.sql('c.created_at', q)) or 'TRUE'})"

    def found(self, rule: KnownSinceRule, q: Query) -> str:
        return "c.created_at"

    def explain(self, rule: KnownSinceRule, say: Say) -> str:
        when = rule.within.explain(say)
        return say(f"became known {when}", f"建档时间为{when}")


@dataclass(frozen=True)
class KnownInRule:
    """Who has an account in any of these shops or on any of these platforms; give one or both,
    then both hold. Empty lists match nobody."""

    shop_ids: list[int] | None = None
    platforms: list[str] | None = None


class KnownIn(Facet):
    """In which shops the customer has an account, that is an id of the platform."""

    name: ClassVar[str] = "known_in"
    title: ClassVar[Text] = Text("Known in a shop", "店铺账号")
    rule: ClassVar[type] = KnownInRule

    def check(self, rule: KnownInRule) -> Fault | None:
        if rule.shop_ids is None and rule.platforms is None:
            return Fault("give shop_ids, platforms or both")
        return check_choices(rule.shop_ids, "shop_ids") or check_choices(
            rule.platforms, "platforms"
        )

    def sql(self, rule: KnownInRule, q: Query) -> str:
        where = ["i.scope = 'shop'"]
        if rule.shop_ids is not None:
            where.append(f"i.scope_id = ANY({q.arg(rule.shop_ids)}::bigint[])")
        if rule.platforms is not None:
            where.append(f"""i.scope_id IN (SELECT s.id FROM shops s WHERE s.merchant_id = $1
                AND s.platform = ANY({q.arg(rule.platforms)}::text[]))""")
        return q.has(Rows("customer_identities i", "i.customer_id", where))

    def found(self, rule: KnownInRule, q: Query) -> str:
        rows = Rows(
            "customer_identities i JOIN shops s ON s.merchant_id = i.merchant_id"
            " AND s.id = i.scope_id",
            "i.customer_id", ["i.scope = 'shop'"],
        )  # fmt: skip
        return q.value(rows, "array_agg(DISTINCT s.name ORDER BY s.name)")

    def explain(self, rule: KnownInRule, say: Say) -> str:
        said = []
        if rule.shop_ids is not None:
            names = say.either([say.name("shop", number) for number in rule.shop_ids])
            said.append(say(f"in the shop {names}", f"在店铺{names}"))
        if rule.platforms is not None:
            names = say.either(rule.platforms)
            said.append(say(f"on the platform {names}", f"在平台{names}"))
        where = say(" and ", "且").join(said)
        return say(f"has an account {where}", f"{where}有账号")


@dataclass(frozen=True)
class HasNameRule:
    """Whose name is known."""


class HasName(Facet):
    """Whether the customer's name is known."""

    name: ClassVar[str] = "has_name"
    title: ClassVar[Text] = Text("Has a name", "有姓名")
    rule: ClassVar[type] = HasNameRule

    def sql(self, rule: HasNameRule, q: Query) -> str:
        return "(c.name IS NOT NULL)"

    def explain(self, rule: HasNameRule, say: Say) -> str:
        return say("has a name", "有姓名")


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
