"""A campaign's flow: read from what a merchant gives or from storage, and checked.

Its form is core.sdk.flows'; whether what it names is there, and its texts fit, is asked here.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from core.domain.campaigns.content.plugin_variables import plugin_names
from core.domain.campaigns.content.variables import EVERYTHING, About, flow_about, known_variables
from core.domain.campaigns.content.writing import check_content, mentions_fields
from core.domain.campaigns.journeys.checks import faults
from core.domain.customers.fields import field_types
from core.domain.segments.rules import read_rule
from core.registry import Registry
from core.sdk.channels import Channel, order_only
from core.sdk.errors import (
    Faults,
    HuikeError,
    InvalidInput,
    NotFound,
    Several,
    WrongState,
    paths_moved,
)
from core.sdk.flows import (
    ChangeList,
    Flow,
    OnAudience,
    OnDate,
    OnSegment,
    Options,
    Schedule,
    Send,
    Variant,
)
from core.storage.database import Session

Path = tuple[str, ...]
FLOW = ("input", "flow")
BIRTHDAY = "birthday"
"""The date that customers have beside those of custom fields."""

_FLOW = TypeAdapter(Flow)
_OPTIONS = TypeAdapter(Options)


def message_flow(
    segment_id: int, channel: str, content: Mapping[str, str], message_class: Any = "marketing"
) -> Flow:
    """The flow of one message to one segment. Raises Several of InvalidInput."""
    send = {
        "kind": "send", "key": "message", "channel": channel, "message_class": message_class,
        "variants": [{"content": dict(content)}],
    }  # fmt: skip
    return parse_flow({
        "trigger": {"kind": "audience", "segment_id": segment_id}, "steps": [send],
    })  # fmt: skip


def with_message(flow: Flow, **changes: Any) -> Flow:
    """The flow of one message with another segment_id, content or message_class."""
    trigger, send = flow.trigger, flow.steps[0]
    if not isinstance(trigger, OnAudience) or not isinstance(send, Send):
        raise TypeError("a flow of one message to one segment is needed")
    if "segment_id" in changes:
        trigger = trigger.model_copy(update={"segment_id": changes["segment_id"]})
    if "content" in changes:
        variant = Variant(content=dict(changes["content"]))
        send = send.model_copy(update={"variants": [variant], "winner": None})
    if "message_class" in changes:
        send = send.model_copy(update={"message_class": changes["message_class"]})
    return flow.model_copy(update={"trigger": trigger, "steps": [send]})


def make_schedule(place: str, **given: Any) -> Schedule:
    """A schedule from JSON values, checked; `place` is the input's field that makes it one.

    Raises Several of InvalidInput.
    """
    made: Schedule = _parsed(TypeAdapter(Schedule), given, ("input", place))
    return made


def with_schedule(flow: Flow, schedule: Schedule | None) -> Flow:
    """The flow of customers of a segment, at another time. Raises WrongState for another."""
    if not isinstance(flow.trigger, OnAudience):
        raise WrongState("only what is sent to the customers of a segment has a schedule", ("id",))
    return flow.model_copy(
        update={"trigger": flow.trigger.model_copy(update={"schedule": schedule})}
    )


def parse_flow(given: Any) -> Flow:
    """A flow from JSON values, checked for its form. Raises Several of InvalidInput."""
    made: Flow = _parsed(_FLOW, given, FLOW)
    return made


def parse_options(given: Any) -> Options:
    """Options from JSON values, checked. Raises Several of InvalidInput."""
    made: Options = _parsed(_OPTIONS, given, ("input", "options"))
    return made


def stored_flow(text: str) -> Flow:
    """The flow of a database row."""
    return _FLOW.validate_json(text)


def stored_options(text: str) -> Options:
    """The options of a database row."""
    return _OPTIONS.validate_json(text)


async def check_flow(
    session: Session, registry: Registry, flow: Flow, simple: bool = False
) -> None:
    """Whether everything that the flow names is there and fits.

    `simple` gives the paths that a campaign of one message has in the API. Raises Several, or a
    single error as it is.
    """
    noted = Faults()
    for segment_id, path in _segments(flow):
        if not await _segment_exists(session, segment_id):
            noted.add(NotFound(
                "there is no segment with this id", ("input", "segmentId") if simple else path
            ))  # fmt: skip
    if flow.kind == "journey" and flow.schedule and flow.schedule.local:
        path = (*FLOW, "trigger", "schedule", "local")
        noted.add(InvalidInput("a journey follows the shop's clocks, not each customer's", path))
    if isinstance(flow.trigger, OnDate):
        for fault in await _date_faults(session, flow.trigger):
            noted.add(fault)
    for number, send in flow.sends().items():
        await _check_send(session, registry, flow, send, number, simple, noted)
    async for fault in faults(session, registry, flow, FLOW):
        noted.add(fault)
    for rule, path in _rules(flow):
        with noted, paths_moved(("input", "rule"), path):
            await read_rule(session, registry, rule)
    noted.tell()


async def _check_send(
    session: Session,
    registry: Registry,
    flow: Flow,
    send: Send,
    number: int,
    simple: bool,
    noted: Faults,
) -> None:
    step = (*FLOW, "steps", str(number))
    at_channel = ("input", "channel") if simple else (*step, "channel")
    channel: Channel | None = None
    with noted, paths_moved(("input", "channel"), at_channel):
        channel = campaign_channel(registry, send.channel)
    if channel is None:
        return
    if order_only(channel) and "order" not in flow_about(flow):
        noted.add(InvalidInput(
            f"{channel.title} can only write about an order: let an event of an order, a parcel, "
            "a refund or a review begin the campaign", at_channel,
        ))  # fmt: skip
    content = ("input", "content")
    for place, variant in enumerate(send.variants):
        path = content if simple else (*step, "variants", str(place), "content")
        with noted, paths_moved(content, path):
            await check_variant(session, registry, channel, variant.content, flow_about(flow))


async def _date_faults(session: Session, trigger: OnDate) -> list[HuikeError]:
    types = {BIRTHDAY: "date", **await field_types(session)}
    if types.get(trigger.field) in ("date", "datetime"):
        return []
    known = ", ".join(name for name, type_ in types.items() if type_ in ("date", "datetime"))
    message = f"there is no date {trigger.field!r} of customers; there are {known}"
    return [NotFound(message, (*FLOW, "trigger", "field"))]


async def check_variant(
    session: Session,
    registry: Registry,
    channel: Channel,
    content: Mapping[str, str],
    about: Collection[About] = EVERYTHING,
) -> None:
    """Whether the texts fit the channel and name only what there is. Raises Several."""
    check_content(channel, content, await variables(session, registry, content, about))


async def variables(
    session: Session,
    registry: Registry,
    content: Mapping[str, str],
    about: Collection[About] = EVERYTHING,
) -> frozenset[str]:
    """The variables that there are; custom fields and plugins' only if templates may use any."""
    named = any(mentions_fields(text or "") for text in content.values())
    fields = await field_types(session) if named else ()
    return known_variables(fields, about) | await plugin_names(session, registry, content)


def campaign_channel(registry: Registry, name: str) -> Channel:
    """The channel of that name. Raises InvalidInput."""
    owned = registry.channels.get(name)
    if owned is None:
        known = ", ".join(sorted(registry.channels)) or "none"
        raise InvalidInput(f"there is no channel {name!r}; there are {known}", ("input", "channel"))
    return owned.value


def _segments(flow: Flow) -> Iterable[tuple[int, Path]]:
    if isinstance(flow.trigger, OnAudience | OnSegment):
        yield flow.trigger.segment_id, (*FLOW, "trigger", "segmentId")
    for number, step in enumerate(flow.steps):
        if isinstance(step, ChangeList):
            yield step.segment_id, (*FLOW, "steps", str(number), "segmentId")


def _rules(flow: Flow) -> Iterable[tuple[Any, Path]]:
    """The segment rules in a flow, as stored."""
    for name, part in (("entry", flow.entry), ("exit", flow.exit)):
        if part.rule is not None:
            yield part.rule, (*FLOW, name, "rule")
    for number, step in enumerate(flow.steps):
        rule = getattr(step, "rule", None)
        if rule is not None:
            yield rule, (*FLOW, "steps", str(number), "rule")


async def audience_rule(session: Session, segment_id: int) -> str:
    """The stored rule of a campaign's segment, as JSON text. Raises NotFound."""
    rule: str | None = await session.sql.fetchval(
        "SELECT rule FROM segments WHERE merchant_id = $1 AND id = $2",
        session.merchant_id, segment_id,
    )  # fmt: skip
    if rule is None:
        raise NotFound("the campaign's segment no longer exists: choose another one", ("id",))
    return rule


async def _segment_exists(session: Session, segment_id: int) -> bool:
    found: bool = await session.sql.fetchval(
        "SELECT EXISTS (SELECT 1 FROM segments WHERE merchant_id = $1 AND id = $2)",
        session.merchant_id, segment_id,
    )  # fmt: skip
    return found


def _parsed(adapter: TypeAdapter[Any], given: Any, path: Path) -> Any:
    try:
        return adapter.validate_python(given)
    except ValidationError as error:
        raise Several([
            InvalidInput(one["msg"].removeprefix("Value error, "), (*path, *map(str, one["loc"])))
            for one in error.errors()
        ]) from None  # fmt: skip
