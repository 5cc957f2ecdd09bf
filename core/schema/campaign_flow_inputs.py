"""The input of a flow, and how it becomes the flow that is stored."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime, time
from enum import Enum
from typing import Any

import strawberry

from core.domain.campaigns.flows import parse_flow, parse_options
from core.domain.segments.rules import stored_rule
from core.registry import Registry
from core.schema.campaign_parts import ContentPartInput, MessageClass, content_of
from core.schema.scalars import JSON, SegmentRule, camel, need_id
from core.schema.segment_rules import id_kind
from core.sdk.flows import Flow, Options
from core.sdk.orders import OrderState
from core.storage.database import Session

Path = tuple[str, ...]
FLOW = ("input", "flow")
NEXT = 'The key of the step that follows; none: the one below in the list, "end": no step.'


@strawberry.enum(description="How often a customer may come in.")
class EntryAgain(Enum):
    NEVER = "never"
    ORDER = strawberry.enum_value("order", description="Once for each order.")
    EVERY = strawberry.enum_value("every", description="With at least `days` in between.")
    ALWAYS = "always"


@strawberry.enum(description="Whose journey an event begins, if it is about two.")
class EventSide(Enum):
    CUSTOMER = strawberry.enum_value(
        "customer_id", description="The customer that the event is about."
    )
    REFERRER = strawberry.enum_value(
        "referrer_id", description="Of a referral: who referred the customer."
    )


@strawberry.enum
class SegmentMoment(Enum):
    ENTERED = "entered"
    LEFT = "left"


@strawberry.enum(description="What decides which variant is best.")
class WinnerGoal(Enum):
    OPENED = "opened"
    CLICKED = "clicked"
    BOUGHT = "bought"


@strawberry.enum(description="Whether a customer is put on a list or taken off.")
class ListChange(Enum):
    ADD = "add"
    REMOVE = "remove"


@strawberry.enum(description="What becomes of a time that falls on a holiday of the shop.")
class HolidayRule(Enum):
    KEEP = strawberry.enum_value("keep", description="It happens all the same.")
    SKIP = strawberry.enum_value("skip", description="It does not happen.")
    NEXT = strawberry.enum_value("next", description="It happens on the next working day.")
    PREVIOUS = strawberry.enum_value("previous", description="On the working day before.")


WEEKENDS = (
    "Whether Saturdays and Sundays are treated as holidays are, but for those that the calendar "
    "names as working days."
)


@strawberry.input(description="A length of time; a day is 24 hours.")
class DurationInput:
    days: int = 0
    hours: int = 0
    minutes: int = 0


@strawberry.input(description="A field of an event's payload, with the values that count.")
class EventFilterInput:
    field: str
    values: list[JSON]


@strawberry.input(description="A cron expression in the shop's calendar, or a single moment.")
class FlowScheduleInput:
    cron: str | None = None
    at: datetime | None = None
    local: bool = False
    holidays: HolidayRule = HolidayRule.KEEP
    weekends: bool = strawberry.field(default=False, description=WEEKENDS)


@strawberry.input(description="All customers of a segment, at once or as scheduled.")
class AudienceTriggerInput:
    segment_id: strawberry.ID
    schedule: FlowScheduleInput | None = None


@strawberry.input(description='A domain event, or one of your own (its type begins "custom.").')
class EventTriggerInput:
    type: str
    where: list[EventFilterInput] = strawberry.field(default_factory=list)
    about: EventSide = strawberry.field(
        default=EventSide.CUSTOMER, description="Whose journey it begins."
    )


@strawberry.input
class SegmentTriggerInput:
    segment_id: strawberry.ID
    moment: SegmentMoment = SegmentMoment.ENTERED
    present: bool = strawberry.field(
        default=False, description="Also who is in it when the journey starts, once."
    )


@strawberry.input(description='"birthday", or a custom field of dates.')
class DateTriggerInput:
    field: str
    days_before: int = 0
    at: time = time(10)
    yearly: bool = True


@strawberry.input(one_of=True, description="What lets customers in.")
class FlowTriggerInput:
    audience: strawberry.Maybe[AudienceTriggerInput]
    event: strawberry.Maybe[EventTriggerInput]
    segment: strawberry.Maybe[SegmentTriggerInput]
    date: strawberry.Maybe[DateTriggerInput]


@strawberry.input(description="How often a customer may come in, and who.")
class FlowEntryInput:
    again: EntryAgain = EntryAgain.NEVER
    days: int = 0
    rule: SegmentRule | None = None


@strawberry.input(description="What takes a customer out before the end.")
class FlowExitInput:
    order_states: list[OrderState] | None = strawberry.field(
        default=None, description="Once the order is no longer in one of these."
    )
    bought: bool = strawberry.field(default=False, description="Once another order is paid.")
    rule: SegmentRule | None = strawberry.field(default=None, description="Once it is fulfilled.")


@strawberry.input
class VariantInput:
    content: list[ContentPartInput]
    share: int = 1


@strawberry.input(description="The best variant of a test is sent to the rest.")
class WinnerInput:
    goal: WinnerGoal
    after: DurationInput
    test_percent: int = 20


@strawberry.input(description="What is asked of the order; all of the given holds.")
class OrderIsInput:
    states: list[OrderState] | None = None
    shop_ids: list[strawberry.ID] | None = None
    total_at_least: int | None = strawberry.field(default=None, description="In minor units.")
    total_at_most: int | None = strawberry.field(default=None, description="In minor units.")
    product_ids: list[str] | None = None
    categories: list[str] | None = None
    parcels_at_least: int | None = None
    parcels_signed: bool | None = None


@strawberry.input
class SendStepInput:
    key: str
    channel: str
    variants: list[VariantInput]
    message_class: MessageClass = MessageClass.MARKETING
    winner: WinnerInput | None = None
    ignore_caps: bool = False
    next: str | None = strawberry.field(default=None, description=NEXT)


@strawberry.input(description="For a time, then until a time of day (of a weekday, 1 is Monday).")
class WaitStepInput:
    key: str
    span: DurationInput | None = None
    at: time | None = None
    weekday: int | None = None
    next: str | None = strawberry.field(default=None, description=NEXT)


@strawberry.input(description="Until an event, of the same order if both have one.")
class WaitForStepInput:
    key: str
    type: str
    timeout: DurationInput
    where: list[EventFilterInput] = strawberry.field(default_factory=list)
    next: str | None = strawberry.field(default=None, description=NEXT)
    otherwise: str | None = strawberry.field(default=None, description="After the timeout.")


@strawberry.input
class ConditionStepInput:
    key: str
    rule: SegmentRule | None = None
    order: OrderIsInput | None = None
    next: str | None = strawberry.field(default=None, description=NEXT)
    otherwise: str | None = None


@strawberry.input
class BranchInput:
    next: str | None = strawberry.field(default=None, description=NEXT)
    share: int = 1


@strawberry.input(description="By a stable hash: a customer always takes the same branch.")
class SplitStepInput:
    key: str
    branches: list[BranchInput]


@strawberry.input
class TagStepInput:
    key: str
    add: list[str] = strawberry.field(default_factory=list)
    remove: list[str] = strawberry.field(default_factory=list)
    next: str | None = strawberry.field(default=None, description=NEXT)


@strawberry.input
class SetFieldStepInput:
    key: str
    field: str
    value: JSON | None = strawberry.field(default=None, description="Null clears it.")
    next: str | None = strawberry.field(default=None, description=NEXT)


@strawberry.input
class ChangeListStepInput:
    key: str
    segment_id: strawberry.ID
    change: ListChange = ListChange.ADD
    next: str | None = strawberry.field(default=None, description=NEXT)


@strawberry.input(description="A POST to your own server.")
class WebhookStepInput:
    key: str
    url: str
    next: str | None = strawberry.field(default=None, description=NEXT)


@strawberry.input(description="What a plugin brings.")
class ActionStepInput:
    key: str
    action: str
    settings: JSON | None = None
    next: str | None = strawberry.field(default=None, description=NEXT)


@strawberry.input(one_of=True)
class FlowStepInput:
    send: strawberry.Maybe[SendStepInput]
    wait: strawberry.Maybe[WaitStepInput]
    wait_for: strawberry.Maybe[WaitForStepInput]
    condition: strawberry.Maybe[ConditionStepInput]
    split: strawberry.Maybe[SplitStepInput]
    tag: strawberry.Maybe[TagStepInput]
    set_field: strawberry.Maybe[SetFieldStepInput]
    change_list: strawberry.Maybe[ChangeListStepInput]
    webhook: strawberry.Maybe[WebhookStepInput]
    action: strawberry.Maybe[ActionStepInput]


@strawberry.input(description="A whole campaign; see the guide to journeys.")
class CampaignFlowInput:
    trigger: FlowTriggerInput
    steps: list[FlowStepInput]
    entry: FlowEntryInput | None = None
    exit: FlowExitInput | None = None


@strawberry.input(description="How a campaign behaves beside its flow; absent: the defaults.")
class CampaignOptionsInput:
    priority: int = strawberry.field(
        default=0, description="-10 to 10; the higher goes first where a cap leaves room for one."
    )
    holdout_percent: int = strawberry.field(
        default=0, description="0 to 50; so many get nothing, to see what the campaign adds."
    )
    max_lateness: DurationInput | None = strawberry.field(
        default=None, description="A message later than this is not sent; one day if absent."
    )
    start_lateness: DurationInput | None = strawberry.field(
        default=None,
        description="A scheduled start later than this is paused instead; one hour if absent.",
    )
    track_clicks: bool = True
    track_opens: bool = False


def options_of(given: CampaignOptionsInput) -> Options:
    """The options that an input describes. Raises Several of InvalidInput."""
    return parse_options(_plain(given, ("input", "options")))


async def flow_of(session: Session, registry: Registry, given: CampaignFlowInput) -> Flow:
    """The flow that an input describes, checked for its form. Raises Several, NotFound."""
    made: dict[str, Any] = {
        "trigger": _one_of(given.trigger, (*FLOW, "trigger")),
        "steps": [_one_of(step, (*FLOW, "steps", str(n))) for n, step in enumerate(given.steps)],
    }
    for name in ("entry", "exit"):
        if getattr(given, name) is not None:
            made[name] = _plain(getattr(given, name), (*FLOW, name))
    for part in (*made["steps"], made.get("entry", {}), made.get("exit", {})):
        if part.get("rule") is not None:
            part["rule"] = await stored_rule(session, registry, part["rule"])
    return parse_flow(made)


def _one_of(given: Any, path: Path) -> dict[str, Any]:
    ((name, some),) = (
        (name, value) for name, value in vars(given).items() if isinstance(value, strawberry.Some)
    )
    return {"kind": name, **_plain(some.value, (*path, camel(name)))}


def _plain(value: Any, path: Path) -> dict[str, Any]:
    """An input as JSON values; what was not given is left out, ids become numbers."""
    made: dict[str, Any] = {}
    for field in fields(value):
        one = getattr(value, field.name)
        if isinstance(one, ListChange):
            made["remove"] = one is ListChange.REMOVE
        elif one is not None:
            made[field.name] = _value(field.name, one, (*path, camel(field.name)))
    return made


def _value(name: str, value: Any, path: Path) -> Any:
    kind = id_kind(name)
    if name == "content":
        return content_of(value)
    if name == "where":
        return {one.field: [_filtered(one.field, v, path) for v in one.values] for one in value}
    if name in ("rule", "value", "settings"):
        return value
    if kind in ("Shop", "Segment"):
        return [need_id(kind, i, path) for i in value] if isinstance(value, list) else (
            need_id(kind, value, path)
        )  # fmt: skip
    if isinstance(value, list):
        return [_value("", one, (*path, str(n))) for n, one in enumerate(value)]
    if is_dataclass(value):
        return _plain(value, path)
    if isinstance(value, Enum):
        return value.value
    return value.isoformat() if isinstance(value, time | datetime) else value


def _filtered(name: str, value: Any, path: Path) -> Any:
    """A value of an event's field; ids are given as everywhere, and stored as numbers."""
    kind = id_kind(name)
    return need_id(kind, value, path) if kind and isinstance(value, str) else value


def shown_where(where: Mapping[str, Any], show: Any) -> list[tuple[str, list[Any]]]:
    """The filter of an event as (field, values), ids as `show(kind, number)` has them."""
    return [
        (name, [show(id_kind(name), v) if id_kind(name) and isinstance(v, int) else v
                for v in values])
        for name, values in where.items()
    ]  # fmt: skip
