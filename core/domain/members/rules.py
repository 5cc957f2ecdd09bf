"""The programme's rules, as a merchant sets them; stored as JSON and checked here."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from core.sdk.ids import split_id

Measure = Literal["net_spend", "purchases", "points"]
Key = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]

Grade = Annotated[int, Field(ge=0, le=32_767)]


def _number(kind: str) -> BeforeValidator:
    """Lets an id of this kind be given as clients see it."""

    def read(given: Any) -> Any:
        found = split_id(given) if isinstance(given, str) else None
        return found[1] if found is not None and found[0] == kind else given

    return BeforeValidator(read)


ShopId = Annotated[int, _number("Shop")]
TierId = Annotated[int, _number("Tier")]
RewardId = Annotated[int, _number("Reward")]
Points = Annotated[int, Field(ge=0, le=1_000_000)]
Days = Annotated[int, Field(ge=1, le=365)]


class Part(BaseModel):
    """Base of the rules' parts: frozen, and nothing unknown in them."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TierRules(Part):
    """By what members rise, and how long a tier is kept.

    `net_spend` is minor units of the programme's currency, paid less refunded; `purchases` counts
    purchases, `points` those earned. It is measured over the last `window_days`, or since the
    beginning of the calendar year. A tier is kept for `keep_days` from when it was reached; then
    it is kept for as long again by its keep threshold, or lost after `grace_days`.
    """

    measure: Measure = "net_spend"
    window: Literal["rolling", "calendar_year"] = "rolling"
    window_days: int = Field(default=365, ge=1, le=3650)
    keep_days: int = Field(default=365, ge=1, le=3650)
    grace_days: int = Field(default=0, ge=0, le=365)


class Expiry(Part):
    """When points expire: never, so many days after they can be used, or at the end of the month
    or year `count` months or years after the one in which they can be used first."""

    kind: Literal["never", "days", "month_end", "year_end"] = "year_end"
    count: int = Field(default=1, ge=0, le=3650)

    def after(self, start: datetime, zone: ZoneInfo) -> datetime | None:
        """The instant from which points that can be used from `start` on are gone."""
        if self.kind == "never":
            return None
        if self.kind == "days":
            return start + timedelta(days=self.count)
        local = start.astimezone(zone)
        if self.kind == "year_end":
            year, month = local.year + self.count + 1, 1
        else:
            months = local.month + self.count
            year, month = local.year + months // 12, months % 12 + 1
        return datetime(min(year, 9998), month, 1, tzinfo=zone)


class OrderEarning(Part):
    """`points` for each full `per_amount` (minor units) of what was paid and not refunded.

    Of orders of these shops only, and of lines of these products or categories only; None: of all.
    `per_order` and `per_month` are the most points of the rule for one order, and for a customer's
    orders that were paid in one month of the merchant's calendar.
    """

    key: Key
    points: int = Field(ge=1, le=1_000_000)
    per_amount: int = Field(ge=1, le=10**9)
    shop_ids: list[ShopId] | None = None
    product_ids: list[str] | None = None
    categories: list[str] | None = None
    per_order: int | None = Field(default=None, ge=1)
    per_month: int | None = Field(default=None, ge=1)


class Multiplier(Part):
    """A campaign in which orders earn `percent` of their points: 200 is twice as many.

    For orders paid from `start` until `end`, on these days of the week (1 is Monday) of the
    merchant's calendar, in these shops and by members of these tiers only; None: all. Of several
    that fit the highest counts, and it multiplies what the tier gives.
    """

    key: Key
    percent: int = Field(ge=1, le=10_000)
    start: AwareDatetime | None = None
    end: AwareDatetime | None = None
    weekdays: list[Annotated[int, Field(ge=1, le=7)]] | None = None
    shop_ids: list[ShopId] | None = None
    tier_ids: list[TierId] | None = None


class EventEarning(Part):
    """`points` for something that a customer did, at most `per_day` times a day of the merchant's
    calendar and `in_all` times altogether."""

    key: Key
    points: int = Field(ge=1, le=1_000_000)
    per_day: int | None = Field(default=None, ge=1)
    in_all: int | None = Field(default=None, ge=1)


class PointsRules(Part):
    """How points are earned and lost.

    Points of an order can be used `pending_days` after it was paid, when it can no longer be
    returned. With `debts` the points of a refunded order are taken back even if they were spent,
    and the balance may fall below 0; otherwise what is missing is forgiven. Adjustments by hand
    above `approve_above` need approval by somebody else. A thousand points are worth
    `value_per_1000` minor units of the programme's currency; None: nobody said so.
    """

    orders: list[OrderEarning] = Field(default_factory=list, max_length=20)
    multipliers: list[Multiplier] = Field(default_factory=list, max_length=50)
    events: list[EventEarning] = Field(default_factory=list, max_length=50)
    pending_days: int = Field(default=15, ge=0, le=365)
    expiry: Expiry = Expiry()
    debts: bool = True
    approve_above: int | None = Field(default=None, ge=0)
    value_per_1000: int | None = Field(default=None, ge=1, le=10**9)


class ReminderRules(Part):
    """What members are told ahead, each once: see reminders.py.

    Points that expire within so many days, a tier that is about to end within so many days, and
    the next tier once no more is missing than `next_tier_percent` of its threshold; None: never.
    """

    points_days: list[Days] = Field(default=[30, 7], max_length=5)
    tier_days: list[Days] = Field(default=[30], max_length=5)
    next_tier_percent: int | None = Field(default=10, ge=1, le=99)


class PlatformRules(Part):
    """What membership of a platform's own programme means here.

    With `joins` who joins there in a shop of the merchant's is a member here too, and whoever came
    that way leaves by leaving there. `grades` says for each platform the rank of the tier that a
    member of a grade is at least in, whatever it bought: {"taobao": {"2": 1, "3": 2}}.
    """

    joins: bool = False
    grades: dict[str, dict[Grade, Annotated[int, Field(ge=0, le=32_767)]]] = Field(
        default_factory=dict, max_length=20
    )


class ReferralRules(Part):
    """What both sides get once the first purchase of a referred customer is kept: points, and a
    reward of the catalogue, which costs them nothing.

    Of one customer's referrals `per_month` (of the merchant's calendar) and `in_all` are granted at
    most; None: any number.
    """

    referrer_points: Points = 0
    customer_points: Points = 0
    referrer_reward_id: RewardId | None = None
    customer_reward_id: RewardId | None = None
    per_month: int | None = Field(default=None, ge=1)
    in_all: int | None = Field(default=None, ge=1)

    @property
    def reward_ids(self) -> list[int]:
        """The rewards that are named, in their order."""
        return sorted({one for one in (self.referrer_reward_id, self.customer_reward_id) if one})

    @model_validator(mode="after")
    def _gives_something(self) -> Self:
        if not (self.referrer_points or self.customer_points or self.reward_ids):
            raise ValueError("a referral gives points or a reward to one side at least")
        return self


class Rules(Part):
    """All rules of a programme; `welcome_points` are given on joining for the first time. Without
    `referral` nobody can refer others. With `join_on_purchase` who buys and never was a member
    becomes one."""

    tiers: TierRules = TierRules()
    points: PointsRules = PointsRules()
    reminders: ReminderRules = ReminderRules()
    platform: PlatformRules = PlatformRules()
    referral: ReferralRules | None = None
    welcome_points: Points = 0
    join_on_purchase: bool = False
