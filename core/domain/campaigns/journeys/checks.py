"""Whether what the steps of a flow name is there and fits."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from core.domain.campaigns.journeys.actions import find_action
from core.domain.campaigns.journeys.events import fault_of
from core.domain.customers.field_values import check_value
from core.domain.customers.fields import MERCHANTS
from core.domain.customers.tags import check_tags
from core.domain.segments.lists import check_list
from core.domain.shops.plugins import read_settings
from core.domain.shops.shops import shop_exists
from core.registry import Registry
from core.sdk.errors import HuikeError, InvalidInput, NotFound, Several
from core.sdk.flows import (
    Act,
    ChangeList,
    Condition,
    Flow,
    OnEvent,
    SetField,
    Step,
    Tag,
    WaitFor,
    Webhook,
)
from core.storage.database import Session

Path = tuple[str, ...]


async def faults(
    session: Session, registry: Registry, flow: Flow, path: Path
) -> AsyncIterator[HuikeError]:
    """What is wrong with the trigger's event and with the steps; `path` is the flow's."""
    if isinstance(flow.trigger, OnEvent):
        fault = fault_of(flow.trigger.type, flow.trigger.where, flow.trigger.about)
        if fault:
            yield InvalidInput(fault, (*path, "trigger"))
    for number, step in enumerate(flow.steps):
        try:
            await _check_step(session, registry, step, (*path, "steps", str(number)))
        except Several as several:
            for error in several.errors:
                yield error
        except HuikeError as error:
            yield error


async def _check_step(session: Session, registry: Registry, step: Step, path: Path) -> None:
    match step:
        case WaitFor():
            if fault := fault_of(step.type, step.where):
                raise InvalidInput(fault, path)
        case Tag():
            if not step.add and not step.remove:
                raise InvalidInput("give tags to put on or to take off", path)
            check_tags(step.add, (*path, "add"))
            check_tags(step.remove, (*path, "remove"))
        case SetField():
            await check_value(session, step.field, step.value, MERCHANTS, path)
        case Condition() if step.order is not None:
            for shop_id in step.order.shop_ids or ():
                if not await shop_exists(session, shop_id):
                    raise NotFound("there is no shop with this id", (*path, "order", "shopIds"))
        case ChangeList():
            try:
                await check_list(session, step.segment_id, (*path, "segmentId"))
            except NotFound:
                return  # told already, as of every segment
        case Webhook():
            parts = urlsplit(step.url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise InvalidInput("give an address that begins with https://", (*path, "url"))
        case Act():
            action = find_action(registry, step.action, (*path, "action"))
            read_settings(action.settings, step.settings, (*path, "settings"))
