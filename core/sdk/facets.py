"""Facets: what a segment's rule can ask about a customer, in SQL and in words."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Literal, NamedTuple
from zoneinfo import ZoneInfo

from core.sdk.money import exponent, from_minor
from core.sdk.rows import Pass, Total, pass_of
from core.sdk.rows import Rows as Rows

Language = Literal["en", "zh"]
Form = Literal["probe", "mixed", "joined"]
MAX_DAYS = 36_500
SHOWN = 10
MAX_JOINS = 20
"""Planning takes the cube of the joins: rows of further questions are looked up instead."""


class Text(NamedTuple):
    """The same words in English and Chinese."""

    en: str
    zh: str


NO_UNIT = Text("", "")


class Query:
    """What a facet's SQL is made with: parameters, times, and rows of the customer `c`.

    A statement around it reads `FROM {q.source} WHERE {q.base} AND {the facet's condition}`.
    The same rule can be asked in three forms, whose costs differ by rule and by data: "probe" looks
    rows up for each customer, "joined" gathers them for all customers first, and "mixed" gathers
    only what must be added up. What is gathered of the same rows is read in one pass. `within`
    restricts everything to a range of customers' ids.
    """

    def __init__(
        self,
        merchant_id: int,
        now: datetime,
        time_zone: str,
        *,
        shop_zones: Mapping[int, str] | None = None,
        form: Form = "probe",
        within: tuple[int, int] | None = None,
    ) -> None:
        self.merchant_id = merchant_id
        self.now = now
        self.time_zone = time_zone
        self.args: list[Any] = [merchant_id]
        self._zones = dict(shop_zones or {})
        self._form = form
        self._known: dict[tuple[str | None, str], str] = {}
        self._passes: dict[tuple[object, ...], Pass] = {}
        self._only_in: dict[str, Pass] = {}
        self.led_by: Sequence[Pass] = ()
        self._range = within and (self.arg(within[0], "bigint"), self.arg(within[1], "bigint"))

    def lookup(self) -> "Query":
        """A query of the same statement whose conditions ask nothing of its FROM clause."""
        made = Query(self.merchant_id, self.now, self.time_zone, shop_zones=self._zones)
        made.args = self.args
        return made

    @property
    def source(self) -> str:
        """The FROM clause that conditions made by this query need."""
        read = {one: self._gathered(one) for one in self._passes.values()}
        start = ["customers c"]
        if self.led_by:
            first, *more = (read.pop(one) for one in self.led_by)
            start = [first, *(f"FULL JOIN {one} USING (id)" for one in more)]
            if more:
                start.append("AS led")
            start.append(f"LEFT JOIN customers c ON c.merchant_id = $1 AND c.id = {self._id}")
        joins = [f"LEFT JOIN {text} ON {one.alias}.id = {self._id}" for one, text in read.items()]
        return "\n".join([*start, *joins])

    @property
    def base(self) -> str:
        """The condition that keeps to the merchant's customers, and to the range if any."""
        return f"c.merchant_id = $1{self._in_range('c.id')}"

    @property
    def one_by_one(self) -> bool:
        """Whether rows are looked up for each customer, and never gathered for all."""
        return self._form == "probe"

    def only_in(self, condition: str) -> Pass | None:
        """The pass whose customers alone a condition made by this query can hold for, if any."""
        return self._only_in.get(condition)

    def lead(self, passes: Sequence[Pass]) -> None:
        """Start from what these passes find, since nobody else can match.

        The database then leaves the customers out, unless a condition asks for their columns.
        """
        self.led_by = passes

    def select(self, condition: str) -> str:
        """A SELECT of the `id` of each customer for whom a condition made by this query holds."""
        if self._is_a_pass(condition):
            return self.led_by[0].ids(self._in_range(self.led_by[0].customer))
        where = condition if self.led_by else f"{self.base} AND {condition}"
        return f"SELECT {self._id} AS id FROM {self.source} WHERE {where}"

    def count(self, condition: str) -> str:
        """A SELECT of the number of customers for whom such a condition holds."""
        if self._is_a_pass(condition):
            return self.led_by[0].count(self._in_range(self.led_by[0].customer))
        return f"SELECT count(*) FROM ({self.select(condition)}) c"

    def arg(self, value: Any, cast: str | None = None) -> str:
        """A parameter's placeholder, for instance "$3" or "$3::bigint"; equal ones are one."""
        key = (cast, repr(value))
        if key not in self._known:
            self.args.append(value)
            self._known[key] = f"${len(self.args)}" + (f"::{cast}" if cast else "")
        return self._known[key]

    def one_of(self, column: str, values: Sequence[Any], cast: str = "text") -> str:
        """A condition: the column holds one of these; the values of several such are looked up in
        an index together when there is one of each."""
        if len(values) == 1:
            return f"{column} = {self.arg(values[0], cast)}"
        return f"{column} = ANY({self.arg(values, f'{cast}[]')})"

    def has(self, rows: Rows) -> str:
        """A condition: the customer has at least one such row."""
        if self._form == "joined" and (found := self._gather(rows)):
            return self._holds(rows, *found)
        return f"EXISTS (SELECT 1 {rows.own})"

    def between(
        self,
        rows: Rows,
        total: str,
        low: str | None,
        high: str | None,
        *,
        none: bool = False,
        before_high: bool = False,
    ) -> str:
        """A condition: `total`, an aggregate over such rows, lies between two placeholders.

        Bounds are inclusive, with `before_high` the upper one is not; None is no bound. `none` says
        whether a customer without any such row is meant: true for a count that may be 0.
        """
        bounds = [f"{total} >= {low}"] if low else []
        if high:
            bounds.append(f"{total} {'<' if before_high else '<='} {high}")
        test = " AND ".join(bounds) or f"{total} IS NOT NULL"
        kept = f"NOT ({test})" if none else test
        if self._form != "probe" and (found := self._gather(rows, Total(total, kept))):
            return f"({found[1]} IS NOT TRUE)" if none else self._holds(rows, *found)
        return f"COALESCE((SELECT {test} {rows.own}), {str(none).upper()})"

    def value(self, rows: Rows, total: str) -> str:
        """An aggregate over such rows of the one customer, for an explanation."""
        return f"(SELECT {total} {rows.own})"

    def money(self, minor: str, currency: str) -> str:
        """An amount in minor units as {"amount": "99.00", "currency": "CNY"}, for an explanation.

        `minor` is an SQL expression; NULL stays NULL.
        """
        digits = exponent(currency)
        return f"""(SELECT jsonb_build_object(
                'amount', round(x.minor * {from_minor(1, currency)}, {digits})::text,
                'currency', {self.arg(currency, "text")})
            FROM (SELECT ({minor})::numeric AS minor OFFSET 0) x WHERE x.minor IS NOT NULL)"""

    def days_ago(self, days: int, shop: str | None = None) -> str:
        """The first instant of the day so many days before today, as SQL.

        Of the merchant's calendar, or with a column that holds a shop's id of that shop's.
        """
        return self._by_zone(
            lambda zone: midnight(self.now.astimezone(zone).date() - timedelta(days), zone), shop
        )

    def midnight(self, day: date, shop: str | None = None) -> str:
        """The first instant of a calendar day, as SQL; see `days_ago`."""
        return self._by_zone(lambda zone: midnight(day, zone), shop)

    @property
    def one_zone(self) -> bool:
        """Whether the days of every shop are those of the merchant's calendar."""
        return all(zone == self.time_zone for zone in self._zones.values())

    def today(self) -> date:
        """Today in the merchant's time zone."""
        return self.now.astimezone(ZoneInfo(self.time_zone)).date()

    def zone_of(self, shop: str | None = None) -> str:
        """The name of the time zone, as SQL: the merchant's, or that of a column's shop."""
        return self._by_zone(lambda zone: zone.key, shop, "text")

    def _by_zone(self, made: Any, shop: str | None, cast: str = "timestamptz") -> str:
        others = {s: z for s, z in sorted(self._zones.items()) if z != self.time_zone}
        own = self.arg(made(ZoneInfo(self.time_zone)), cast)
        if shop is None or not others:
            return own
        cases = "".join(
            f" WHEN {number} THEN {self.arg(made(ZoneInfo(zone)), cast)}"
            for number, zone in others.items()
        )
        return f"(CASE {shop}{cases} ELSE {own} END)"

    @property
    def _id(self) -> str:
        if not self.led_by:
            return "c.id"
        return "led.id" if len(self.led_by) > 1 else f"{self.led_by[0].alias}.id"

    def _gather(self, rows: Rows, total: Total | None = None) -> tuple[Pass, str] | None:
        """The pass that answers, and its column; None when there are joins enough."""
        key = pass_of(rows, total)
        if key not in self._passes:
            if len(self._passes) >= MAX_JOINS:
                return None
            alias = f"j{len(self._passes) + 1}"
            self._passes[key] = Pass(alias, rows.source, rows.customer, rows.few)
        return self._passes[key], self._passes[key].ask(rows, total)

    def _holds(self, rows: Rows, read: Pass, column: str) -> str:
        condition = f"({column} IS TRUE)"
        if rows.existing:
            self._only_in[condition] = read
        return condition

    def _is_a_pass(self, condition: str) -> bool:
        """Whether the customers are just those that the leading pass finds for its one question."""
        only = self._only_in.get(condition)
        return (
            only is not None
            and list(self.led_by) == list(self._passes.values()) == [only]
            and len(only.asked) == 1
        )

    def _gathered(self, read: Pass) -> str:
        # asking for the process keeps it out of the statement's parallel workers, each of which
        # would gather everything again for itself; inside, workers may help
        inner = read.select(self._in_range(read.customer))
        return f"(SELECT g.* FROM ({inner}) g WHERE pg_backend_pid() > 0 OFFSET 0) {read.alias}"

    def _in_range(self, column: str) -> str:
        if self._range is None:
            return ""
        return f" AND {column} BETWEEN {self._range[0]} AND {self._range[1]}"


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """The first instant of a day in a zone."""
    if not 1 < day.year < 9999:
        day = date(2 if day.year < 2 else 9998, 1, 1)
    return datetime.combine(day, time.min, zone).astimezone(UTC)


@dataclass(frozen=True)
class Say:
    """Puts a rule into words of one language, with the names of what it refers to.

    `names` maps ("shop", 3) to the name of shop 3.
    """

    language: Language = "en"
    names: Mapping[tuple[str, int], str] = field(default_factory=dict)

    def __call__(self, en: str, zh: str) -> str:
        """The words of this language."""
        return zh if self.language == "zh" else en

    def name(self, kind: str, number: int) -> str:
        """The name of an object, or its number where there is none by that number."""
        known = self.names.get((kind, number))
        if known is None:
            return f"{kind} {number}"
        return self(f"“{known}”", f"「{known}」")

    def either(self, choices: Sequence[object]) -> str:
        """ "a or b or c", cut short after ten; none of no values is nobody."""
        shown = [str(choice) for choice in choices[:SHOWN]]
        if more := len(choices) - len(shown):
            shown.append(self(f"{more} others", f"其他{more}个"))
        return self(" or ", "或").join(shown) or self("none of no values (nobody)", "空列表(无人)")

    def bounds(self, low: object, high: object, unit: Text = NO_UNIT) -> str:
        """ "at least 3 times", "3 to 5 times", "exactly 3 times"."""
        en, zh = (f" {unit.en}" if unit.en else ""), unit.zh
        if high is None:
            return self(f"at least {low}{en}", f"至少{low}{zh}")
        if low is None:
            return self(f"at most {high}{en}", f"至多{high}{zh}")
        if low == high:
            return self(f"exactly {low}{en}", f"正好{low}{zh}")
        return self(f"{low} to {high}{en}", f"{low}至{high}{zh}")


class Fault(NamedTuple):
    """What is wrong with a parameter, and which one, as names of fields.

    Who wrote the rule reads both as the API names them: `at_least` is told as `atLeast`.
    """

    message: str
    path: tuple[str, ...] = ()


def check_bounds(
    at_least: int | Decimal | None, at_most: int | Decimal | None, limit: int, lowest: int = 0
) -> Fault | None:
    """What is wrong with a pair of bounds of which at least one must be given."""
    if at_least is None and at_most is None:
        return Fault("give at_least, at_most or both")
    for name, value in (("at_least", at_least), ("at_most", at_most)):
        if value is not None and not lowest <= value <= limit:
            return Fault(f"{name} must be from {lowest} to {limit}", (name,))
    if at_least is not None and at_most is not None and at_least > at_most:
        return Fault("at_least is greater than at_most: nobody could match", ("at_least",))
    return None


class Facet(ABC):
    """A question about a customer: subclass it, and contribute an instance by the hook `facets`.

    `rule` is a frozen dataclass of the question's parameters; its fields become the GraphQL input,
    its docstring the description. Parameters are int, str, bool, Decimal, date, an Enum, another
    such dataclass, a list of these, or None. A field named `shop_id`, `segment_ids` and so on holds
    ids of such objects, which GraphQL shows as global ids. A nested dataclass may check itself by a
    method `check(self) -> Fault | None`.

    A stored rule remembers `version`. Raise it when the parameters change, and bring older ones in
    line in `upgrade`.
    """

    name: ClassVar[str]
    title: ClassVar[Text]
    rule: ClassVar[type]
    version: ClassVar[int] = 1

    def check(self, rule: Any) -> Fault | None:
        """What is wrong with the parameters, or None."""
        return None

    @abstractmethod
    def sql(self, rule: Any, q: Query) -> str:
        """A boolean SQL expression about customer `c`, never NULL."""

    @abstractmethod
    def explain(self, rule: Any, say: Say) -> str:
        """The question in words, for instance "bought at least 2 times in the last 365 days"."""

    def found(self, rule: Any, q: Query) -> str | None:
        """An SQL expression of what is found for customer `c`, shown beside the question.

        Of a type that `to_jsonb` takes; NULL is nothing. Money as `q.money` makes it.
        """
        return None

    def upgrade(self, params: dict[str, Any], version: int) -> dict[str, Any]:
        """The parameters of an older version, as this version writes them."""
        return params
