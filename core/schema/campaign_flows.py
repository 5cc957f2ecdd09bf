"""A campaign's flow as the API shows it: typed, and in the form in which it is given."""

from datetime import datetime, time
from typing import Annotated, Any

import strawberry

from core.domain.campaigns.flows import stored_flow, stored_options
from core.registry import Registry
from core.schema.campaign_flow_inputs import (
    EntryAgain,
    EventSide,
    HolidayRule,
    ListChange,
    SegmentMoment,
    WinnerGoal,
    shown_where,
)
from core.schema.campaign_parts import ContentPart, MessageClass, parts
from core.schema.context import Info, field
from core.schema.scalars import JSON, global_id
from core.schema.segment_rules import shown_rule
from core.sdk import flows
from core.sdk.orders import OrderState


@strawberry.type(description="A length of time; a day is 24 hours.")
class Duration:
    days: int
    hours: int
    minutes: int


@strawberry.type(description="A field of an event's payload, with the values that count.")
class EventFilter:
    field: str
    values: list[JSON]


@strawberry.type(description="A cron expression in the shop's calendar, or a single moment.")
class FlowSchedule:
    cron: str | None
    at: datetime | None
    local: bool
    holidays: HolidayRule
    weekends: bool


@strawberry.type
class AudienceTrigger:
    segment_id: strawberry.ID
    schedule: FlowSchedule | None


@strawberry.type
class EventTrigger:
    type: str
    where: list[EventFilter]
    about: EventSide = strawberry.field(description="Whose journey it begins.")


@strawberry.type
class SegmentTrigger:
    segment_id: strawberry.ID
    moment: SegmentMoment
    present: bool


@strawberry.type
class DateTrigger:
    field: str
    days_before: int
    at: time
    yearly: bool


FlowTrigger = Annotated[
    AudienceTrigger | EventTrigger | SegmentTrigger | DateTrigger, strawberry.union("FlowTrigger")
]


@strawberry.type
class FlowEntry:
    again: EntryAgain
    days: int
    rule: JSON | None


@strawberry.type
class FlowExit:
    order_states: list[OrderState] | None
    bought: bool
    rule: JSON | None


@strawberry.type
class Variant:
    content: list[ContentPart]
    share: int


@strawberry.type
class Winner:
    goal: WinnerGoal
    after: Duration
    test_percent: int


@strawberry.type(description="Amounts are minor units of the order's currency.")
class OrderIs:
    states: list[OrderState] | None
    shop_ids: list[strawberry.ID] | None
    total_at_least: int | None
    total_at_most: int | None
    product_ids: list[str] | None
    categories: list[str] | None
    parcels_at_least: int | None
    parcels_signed: bool | None


@strawberry.interface(
    description='`next` is the key of the step that follows; null: the one below, "end": none.'
)
class FlowStep:
    key: str
    next: str | None


@strawberry.type
class SendStep(FlowStep):
    channel: str
    message_class: MessageClass
    variants: list[Variant]
    winner: Winner | None
    ignore_caps: bool


@strawberry.type
class WaitStep(FlowStep):
    span: Duration
    at: time | None
    weekday: int | None


@strawberry.type
class WaitForStep(FlowStep):
    type: str
    where: list[EventFilter]
    timeout: Duration
    otherwise: str | None


@strawberry.type
class ConditionStep(FlowStep):
    rule: JSON | None
    order: OrderIs | None
    otherwise: str | None


@strawberry.type
class Branch:
    next: str | None
    share: int


@strawberry.type
class SplitStep(FlowStep):
    branches: list[Branch]


@strawberry.type
class TagStep(FlowStep):
    add: list[str]
    remove: list[str]


@strawberry.type
class SetFieldStep(FlowStep):
    field: str
    value: JSON | None


@strawberry.type
class ChangeListStep(FlowStep):
    segment_id: strawberry.ID
    change: ListChange


@strawberry.type
class WebhookStep(FlowStep):
    url: str


@strawberry.type
class ActionStep(FlowStep):
    action: str
    settings: JSON


STEPS = {
    "send": SendStep, "wait": WaitStep, "wait_for": WaitForStep, "condition": ConditionStep,
    "split": SplitStep, "tag": TagStep, "set_field": SetFieldStep, "change_list": ChangeListStep,
    "webhook": WebhookStep, "action": ActionStep,
}  # fmt: skip
TRIGGERS = {
    "audience": AudienceTrigger, "event": EventTrigger, "segment": SegmentTrigger,
    "date": DateTrigger,
}  # fmt: skip
PARTS: dict[type, Any] = {
    flows.Duration: Duration, flows.Schedule: FlowSchedule, flows.Winner: Winner,
    flows.OrderIs: OrderIs, flows.Branch: Branch,
}  # fmt: skip


@strawberry.type(description="What lets customers in, the steps they take, and what ends it.")
class CampaignFlow:
    trigger: FlowTrigger
    steps: list[FlowStep]
    entry: FlowEntry
    exit: FlowExit


def shown_flow(flow: flows.Flow, registry: Registry) -> CampaignFlow:
    """A flow with its types; rules are in the form of SegmentRuleInput."""
    show = _Shower(registry)
    return CampaignFlow(
        trigger=TRIGGERS[flow.trigger.kind](**show.fields(flow.trigger)),
        steps=[STEPS[step.kind](**show.fields(step)) for step in flow.steps],
        entry=FlowEntry(**show.fields(flow.entry)),
        exit=FlowExit(**show.fields(flow.exit)),
    )


class _Shower:
    def __init__(self, registry: Registry) -> None:
        self._facets = registry.facets

    def fields(self, part: flows.Part) -> dict[str, Any]:
        if isinstance(part, flows.ChangeList):
            change = ListChange.REMOVE if part.remove else ListChange.ADD
            segment_id = global_id("Segment", part.segment_id)
            return {"key": part.key, "next": part.next, "segment_id": segment_id, "change": change}
        names = (name for name in type(part).model_fields if name != "kind")
        return {name: self._value(name, getattr(part, name)) for name in names}

    def _value(self, name: str, value: Any) -> Any:
        if value is None:
            return None
        match name:
            case "rule":
                return shown_rule(value["rule"], self._facets)
            case "segment_id":
                return global_id("Segment", value)
            case "shop_ids":
                return [global_id("Shop", number) for number in value]
            case "where":
                return [EventFilter(field=field, values=values)
                        for field, values in shown_where(value, global_id)]  # fmt: skip
            case "again":
                return EntryAgain(value)
            case "holidays":
                return HolidayRule(value)
            case "about":
                return EventSide(value)
            case "moment":
                return SegmentMoment(value)
            case "goal":
                return WinnerGoal(value)
            case "message_class":
                return MessageClass(value)
            case "variants":
                return [Variant(content=parts(one.content), share=one.share) for one in value]
        if isinstance(value, list):
            return [self._value("", one) for one in value]
        if type(value) in PARTS:
            return PARTS[type(value)](**self.fields(value))
        return value


@strawberry.type(description="How a campaign behaves beside its flow.")
class CampaignOptions:
    priority: int
    holdout_percent: int
    max_lateness: Duration
    start_lateness: Duration
    track_clicks: bool
    track_opens: bool


@strawberry.type
class WithFlow:
    """The fields of a campaign that show its flow."""

    row: strawberry.Private[Any]

    @field("CAMPAIGNS_READ", description="As it is now; runs that are on keep their own.")
    async def flow(self, info: Info) -> CampaignFlow:
        return shown_flow(stored_flow(self.row["flow"]), info.context.installation.registry)

    @field("CAMPAIGNS_READ")
    async def options(self, info: Info) -> CampaignOptions:
        return CampaignOptions(**_Shower(info.context.installation.registry).fields(
            stored_options(self.row["options"])
        ))  # fmt: skip
