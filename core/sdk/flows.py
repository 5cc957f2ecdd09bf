"""What a campaign does, as data: what lets customers in, the steps they take, what ends it.

A flow is stored as JSON, checked here for its form and by core.domain.campaigns for what it names
(channels, segments, fields). Recipes, which plugins bring, make flows too.
"""

from datetime import UTC, datetime, time, timedelta
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any, Literal

from cronsim import CronSim, CronSimError
from pydantic import BaseModel, ConfigDict, Field, model_validator

from core.sdk.channels import MessageClass
from core.sdk.orders import OrderState

MAX_STEPS = 100
MAX_VARIANTS = 8
END = "end"
"""As the name of a next step: the journey ends here."""

Key = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Goal = Literal["opened", "clicked", "bought"]
Filter = dict[str, list[str | int | bool]]
"""Fields of an event's payload with the values that count, as in {"state": ["signed"]}."""


class Part(BaseModel):
    """Base of a flow's parts: frozen, and nothing unknown in them."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Duration(Part):
    """A length of time; a day is 24 hours here."""

    days: int = Field(default=0, ge=0, le=3650)
    hours: int = Field(default=0, ge=0, le=10_000)
    minutes: int = Field(default=0, ge=0, le=100_000)

    @property
    def span(self) -> timedelta:
        """The length as a timedelta."""
        return timedelta(days=self.days, hours=self.hours, minutes=self.minutes)


# -- what lets customers in ---------------------------------------------------------------------


class Schedule(Part):
    """When something recurs, in the shop's calendar: a cron expression, or a single moment.

    `cron` has five fields (minute hour day month weekday). With `local` it happens for each
    customer when the clocks where the customer lives show what the shop's show then. What falls on
    a holiday of the shop (with `weekends` on a Saturday or Sunday too, unless the shop's calendar
    has it as a working day) is kept, skipped, or moved
    to the same time of the next or previous day that is none.
    """

    cron: str | None = None
    at: datetime | None = None
    local: bool = False
    holidays: Literal["keep", "skip", "next", "previous"] = "keep"
    weekends: bool = False

    @model_validator(mode="after")
    def _is_one_of_both(self) -> "Schedule":
        if (self.cron is None) == (self.at is None):
            raise ValueError("a schedule has either cron or at")
        if self.at is not None and self.at.tzinfo is None:
            raise ValueError("a time needs its offset, as in 2026-06-15T12:00:00+08:00")
        if self.at is not None and self.holidays == "skip":
            raise ValueError("a single moment can be moved to another day, but not skipped")
        if self.weekends and self.holidays == "keep":
            raise ValueError("say what becomes of weekends: skip, next or previous")
        if self.cron is not None:
            _check_cron(self.cron)
        return self


def _check_cron(text: str) -> None:
    if len(text.split()) != 5:
        raise ValueError("cron has five fields: minute hour day month weekday")
    try:
        CronSim(text, datetime(2000, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise ValueError(f"cron {text!r}: {error}") from None


class OnAudience(Part):
    """All customers of a segment: at once when the campaign starts, or as scheduled."""

    kind: Literal["audience"] = "audience"
    segment_id: int
    schedule: Schedule | None = None


class OnEvent(Part):
    """A domain event about a customer, or one of the merchant's own (its type starts "custom.").

    `about` names the field of the event that says whose journey it begins: of a referral either
    the customer who came, or the one who referred.
    """

    kind: Literal["event"] = "event"
    type: str
    where: Filter = Field(default_factory=dict)
    about: Literal["customer_id", "referrer_id"] = "customer_id"


class OnSegment(Part):
    """A customer enters or leaves a segment.

    With `present` those who are in it when the journey starts come in as well, once.
    """

    kind: Literal["segment"] = "segment"
    segment_id: int
    moment: Literal["entered", "left"] = "entered"
    present: bool = False

    @model_validator(mode="after")
    def _is_about_who_enters(self) -> "OnSegment":
        if self.present and self.moment == "left":
            raise ValueError("present is for who enters a segment: who left it is not in it")
        return self


class OnDate(Part):
    """A date of the customer: "birthday" or a custom field of dates, each year or once.

    The journey begins `days_before` it (negative: after it) at `at` in the shop's time zone.
    """

    kind: Literal["date"] = "date"
    field: str
    days_before: int = Field(default=0, ge=-366, le=366)
    at: time = time(10)
    yearly: bool = True


Trigger = Annotated[OnAudience | OnEvent | OnSegment | OnDate, Field(discriminator="kind")]


class Entry(Part):
    """How often a customer may come in: `every` needs `days`, at least so many in between.

    "order" is once for each order (of an event that is about one). `rule` is a segment rule that
    the customer must fulfil to come in.
    """

    again: Literal["never", "order", "every", "always"] = "never"
    days: int = Field(default=0, ge=0, le=3650)
    rule: Any = None


class Exit(Part):
    """What takes a customer out before the end, looked at before each step and each message.

    `order_states`: the order that the journey is about is no longer in one of these. `bought`: the
    customer paid another order since coming in. `rule`: a segment rule that ends it once fulfilled.
    Who may no longer be written to gets no more messages in any case.
    """

    order_states: list[OrderState] | None = None
    bought: bool = False
    rule: Any = None


# -- steps --------------------------------------------------------------------------------------


class Variant(Part):
    """One text of several that are tried against each other; `share` weighs it."""

    content: dict[str, str]
    share: int = Field(default=1, ge=1, le=1000)


class Winner(Part):
    """Which variant is best is decided by itself: `test_percent` of the recipients get one of the
    variants, and `after` that the rest get the one that reached the goal most often."""

    goal: Goal
    after: Duration
    test_percent: int = Field(default=20, ge=1, le=90)


class _Step(Part):
    key: Key
    next: Key | None = None
    """The step that follows; None: the one below in the list, END: none."""

    def followers(self) -> list[tuple[str, str | None]]:
        """(name of the attribute, key of the step) of all that may follow."""
        return [("next", self.next)]


class Send(_Step):
    """A message, in one or several variants."""

    kind: Literal["send"] = "send"
    channel: str
    message_class: MessageClass = "marketing"
    variants: Annotated[list[Variant], Field(min_length=1, max_length=MAX_VARIANTS)]
    winner: Winner | None = None
    ignore_caps: bool = False


class Wait(_Step):
    """A pause: for a length of time, then until the next time of day `at` (on `weekday`, 1 is
    Monday) in the shop's time zone."""

    kind: Literal["wait"] = "wait"
    span: Duration = Duration()
    at: time | None = None
    weekday: int | None = Field(default=None, ge=1, le=7)


class WaitFor(_Step):
    """Until an event about this customer (and this order, if the journey is about one and the
    event too), at the longest `timeout`; then `otherwise`."""

    kind: Literal["wait_for"] = "wait_for"
    type: str
    where: Filter = Field(default_factory=dict)
    timeout: Duration
    otherwise: Key | None = None

    def followers(self) -> list[tuple[str, str | None]]:
        return [("next", self.next), ("otherwise", self.otherwise)]


class OrderIs(Part):
    """What is asked of the order that the journey is about; all of the given conditions hold.

    Amounts are minor units of the order's currency.
    """

    states: list[OrderState] | None = None
    shop_ids: list[int] | None = None
    total_at_least: int | None = None
    total_at_most: int | None = None
    product_ids: list[str] | None = None
    categories: list[str] | None = None
    parcels_at_least: int | None = None
    parcels_signed: bool | None = None


class Condition(_Step):
    """`next` when the customer fulfils the segment rule and the order is so, else `otherwise`."""

    kind: Literal["condition"] = "condition"
    rule: Any = None
    order: OrderIs | None = None
    otherwise: Key | None = None

    def followers(self) -> list[tuple[str, str | None]]:
        return [("next", self.next), ("otherwise", self.otherwise)]


class Branch(Part):
    """One way of a split; `share` weighs it."""

    next: Key | None = None
    share: int = Field(default=1, ge=1, le=1000)


class Split(_Step):
    """Customers are divided by a stable hash; `next` is not used."""

    kind: Literal["split"] = "split"
    branches: Annotated[list[Branch], Field(min_length=2, max_length=MAX_VARIANTS)]

    def followers(self) -> list[tuple[str, str | None]]:
        return [(f"branches.{n}.next", branch.next) for n, branch in enumerate(self.branches)]


class Tag(_Step):
    """Tags put on the customer, and taken off."""

    kind: Literal["tag"] = "tag"
    add: list[str] = Field(default_factory=list)
    remove: list[str] = Field(default_factory=list)


class SetField(_Step):
    """A value for a custom field ("custom.size"); None clears it."""

    kind: Literal["set_field"] = "set_field"
    field: str
    value: Any = None


class ChangeList(_Step):
    """The customer is put on a segment's list, or taken off."""

    kind: Literal["change_list"] = "change_list"
    segment_id: int
    remove: bool = False


class Webhook(_Step):
    """A POST to the merchant's own server with the ids of customer, order and step."""

    kind: Literal["webhook"] = "webhook"
    url: str


class Act(_Step):
    """An action that a plugin brings, with its settings."""

    kind: Literal["action"] = "action"
    action: str
    settings: dict[str, Any] = Field(default_factory=dict)


Step = Annotated[
    Send | Wait | WaitFor | Condition | Split | Tag | SetField | ChangeList | Webhook | Act,
    Field(discriminator="kind"),
]


class Flow(Part):
    """A whole campaign: customers come in by the trigger and take the steps, from the first one.

    Steps may branch and join but not go round in circles, and each can be reached.
    """

    trigger: Trigger
    steps: Annotated[list[Step], Field(min_length=1, max_length=MAX_STEPS)]
    entry: Entry = Entry()
    exit: Exit = Exit()

    @model_validator(mode="after")
    def _is_a_graph(self) -> "Flow":
        places: dict[str, int] = {}
        for place, step in enumerate(self.steps):
            if step.key == END:
                raise ValueError(f"steps.{place}: no step can be named {END!r}")
            if step.key in places:
                raise ValueError(f"steps.{place}: there is a step {step.key!r} already")
            places[step.key] = place
        for place, step in enumerate(self.steps):
            for name, key in step.followers():
                if key not in (None, END) and key not in places:
                    raise ValueError(f"steps.{place}.{name}: there is no step {key!r}")
        try:
            tuple(
                TopologicalSorter(
                    {n: self.targets(n) for n in range(len(self.steps))}
                ).static_order()
            )
        except CycleError as error:
            keys = " -> ".join(self.steps[n].key for n in reversed(error.args[1]))
            raise ValueError(f"the steps go round in a circle: {keys}") from None
        reached, ahead = {0}, [0]
        while ahead:
            found = [n for n in self.targets(ahead.pop()) if n not in reached]
            reached.update(found)
            ahead += found
        for place, step in enumerate(self.steps):
            if place not in reached:
                raise ValueError(f"steps.{place}: nothing leads to the step {step.key!r}")
        return self

    @property
    def kind(self) -> Literal["broadcast", "recurring", "journey"]:
        """One message to a segment, once or again and again; all else is a journey."""
        alone = len(self.steps) == 1 and isinstance(self.steps[0], Send)
        if not alone or not isinstance(self.trigger, OnAudience):
            return "journey"
        if self.entry != Entry() or self.exit != Exit():
            return "journey"
        return "recurring" if self.schedule and self.schedule.cron else "broadcast"

    @property
    def schedule(self) -> Schedule | None:
        """When customers come in again: those of a segment as it says, on a date each day."""
        if isinstance(self.trigger, OnDate):
            return Schedule(cron=f"{self.trigger.at.minute} {self.trigger.at.hour} * * *")
        return self.trigger.schedule if isinstance(self.trigger, OnAudience) else None

    @property
    def local(self) -> bool:
        """Whether it goes by the clocks where each customer lives."""
        return self.schedule is not None and self.schedule.local

    def place(self, key: str | None, after: int) -> int | None:
        """The number of the step that `key` names for a follower of step number `after`."""
        if key == END:
            return None
        if key is None:
            return after + 1 if after + 1 < len(self.steps) else None
        return next(n for n, step in enumerate(self.steps) if step.key == key)

    def targets(self, number: int) -> list[int]:
        """The numbers of the steps that may follow step `number`."""
        found = (self.place(key, number) for _, key in self.steps[number].followers())
        return sorted({place for place in found if place is not None})

    def sends(self) -> dict[int, Send]:
        """The steps that send a message, by number."""
        return {n: step for n, step in enumerate(self.steps) if isinstance(step, Send)}


class Options(Part):
    """How a campaign behaves beside its flow.

    `priority`: of two campaigns that a frequency cap leaves room for one of, the higher goes
    first. `holdout_percent` of the customers are chosen by a stable hash and get nothing, to see
    what the campaign adds. A message later than `max_lateness` after its time is not sent, and a
    campaign that was to start longer ago than `start_lateness` is paused instead.
    """

    priority: int = Field(default=0, ge=-10, le=10)
    holdout_percent: int = Field(default=0, ge=0, le=50)
    max_lateness: Duration = Duration(days=1)
    start_lateness: Duration = Duration(hours=1)
    track_clicks: bool = True
    track_opens: bool = False

    @model_validator(mode="after")
    def _leaves_time_to_start(self) -> "Options":
        if self.start_lateness == Duration():
            raise ValueError("start_lateness is at least a minute: no clock is exact")
        return self
