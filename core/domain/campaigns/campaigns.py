"""Writing campaigns; control.py moves them through their states."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg

from core.domain.campaigns.flows import (
    check_flow,
    message_flow,
    stored_flow,
    with_message,
)
from core.domain.campaigns.journeys.versions import new_version
from core.domain.campaigns.occurrences import NO_DAYS, Calendar, next_begin
from core.domain.campaigns.proposals import Change, propose
from core.domain.lifecycle.calendar import ALL_SHOPS, calendar_of
from core.domain.shops.merchants import check_name
from core.domain.shops.shops import need_shop
from core.registry import Registry
from core.sdk.channels import MessageClass
from core.sdk.errors import (
    AlreadyExists,
    Faults,
    InvalidInput,
    NotFound,
    WrongState,
)
from core.sdk.flows import Flow, OnAudience, OnSegment, Options, Schedule
from core.sdk.versions import check_version
from core.storage.database import Session, Work

MESSAGE = frozenset({"segment_id", "content", "message_class"})
BEFORE = ("draft", "review", "approved", "scheduled")
"""States of a campaign that has not begun."""
LIVE = ("running", "paused")
"""States of a campaign that is on."""
CHANGEABLE = MESSAGE | {"name", "shop_id", "flow", "options"}


async def create_campaign(
    w: Work,
    registry: Registry,
    *,
    name: str,
    channel: str,
    segment_id: int,
    content: Mapping[str, str],
    message_class: MessageClass = "marketing",
    shop_id: int | None = None,
    options: Options | None = None,
) -> int:
    """Write a draft of one message to one segment; returns its id.

    Raises InvalidInput, Several, NotFound, AlreadyExists.
    """
    flow = message_flow(segment_id, channel, content, message_class)
    return await create_flow_campaign(
        w, registry, name=name, flow=flow, shop_id=shop_id, options=options, simple=True
    )


async def create_flow_campaign(
    w: Work,
    registry: Registry,
    *,
    name: str,
    flow: Flow,
    shop_id: int | None = None,
    options: Options | None = None,
    recipe: str | None = None,
    parameters: str | None = None,
    simple: bool = False,
) -> int:
    """Write a draft of any campaign; returns its id.

    `recipe` and `parameters` (JSON) say what it was made by. Raises Several, AlreadyExists.
    """
    name = await _checked(w, registry, name, shop_id, flow, simple)
    try:
        async with w.sql.transaction():
            campaign_id: int = await w.sql.fetchval(
                """INSERT INTO campaigns (merchant_id, name, kind, channel, message_class,
                       segment_id, shop_id, flow, options, recipe, parameters, state, version,
                       created_at, updated_at)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'draft', 1, $12, $12)
                   RETURNING id""",
                w.merchant_id, name, flow.kind, *_found_by(flow), shop_id, flow.model_dump_json(),
                (options or Options()).model_dump_json(), recipe, parameters, w.now,
            )  # fmt: skip
    except asyncpg.UniqueViolationError:
        raise _name_taken(name) from None
    return campaign_id


async def update_campaign(
    w: Work,
    registry: Registry,
    campaign_id: int,
    changes: Mapping[str, Any],
    if_version: int | None = None,
) -> None:
    """Change a campaign not yet started: its name, shop_id, options (Options) and flow (Flow).

    A journey can be changed while it is on: other options or another flow make a new version, or
    where campaigns need approval a proposal (all but the name needs it then). Of a campaign of one
    message to one segment, segment_id, content and message_class can be changed instead of the
    flow. What was reviewed has to be reviewed again. Raises WrongState, NotFound,
    InvalidInput, Several, AlreadyExists, and Conflict for one of another version than `if_version`.
    """
    row = await locked_campaign(w, campaign_id)
    check_version(row["version"], if_version)
    live = row["kind"] == "journey" and row["state"] in LIVE
    if not live:
        require_state(row, BEFORE, "changed")
    asks = await approval_needed(w)
    state = "draft" if row["state"] in BEFORE[1:3] or (asks and not live) else row["state"]
    unknown = set(changes) - CHANGEABLE
    if unknown:
        raise InvalidInput(f"a campaign has no {', '.join(sorted(unknown))} to change", ("input",))
    before = stored_flow(row["flow"])
    flow: Flow = changes.get("flow", before)
    message = {key: value for key, value in changes.items() if key in MESSAGE}
    if message:
        if before.kind == "journey" or "flow" in changes:
            raise InvalidInput(
                f"change the campaign's flow: it is not one message to one segment, whose "
                f"{', '.join(sorted(message))} can be changed alone", ("input",),
            )  # fmt: skip
        flow = with_message(before, **message)
    shop_id = changes.get("shop_id", row["shop_id"])
    name = await _checked(
        w, registry, changes.get("name", row["name"]), shop_id, flow, flow.kind != "journey"
    )
    options = changes["options"].model_dump_json() if "options" in changes else row["options"]
    if live and flow.kind != "journey":
        raise InvalidInput("a journey that is on remains a journey", ("input", "flow"))
    change = Change(name, shop_id, flow, options)
    if live and asks and changes.keys() - {"name"}:
        await propose(w, row, change)
    else:
        await write_change(w, row, change, state, anew=bool(changes.keys() & {"flow", "options"}))


async def write_change(
    w: Work, row: Mapping[str, Any], change: Change, state: str, *, anew: bool
) -> None:
    """Change a campaign's row, locked, as it was checked; `anew` makes a new version of a journey
    that is on. Raises AlreadyExists, WrongState."""
    flow, live = change.flow, row["state"] in LIVE
    if live and anew:
        await new_version(w, row, flow, change.options)
    try:
        async with w.sql.transaction():
            await w.sql.execute(
                """UPDATE campaigns SET name = $3, kind = $4, channel = $5, message_class = $6,
                       segment_id = $7, shop_id = $8, flow = $9, options = $10, state = $12,
                       version = version + 1, updated_at = $11
                   WHERE merchant_id = $1 AND id = $2""",
                w.merchant_id, row["id"], change.name, flow.kind, *_found_by(flow),
                change.shop_id, flow.model_dump_json(), change.options, w.now, state,
            )  # fmt: skip
    except asyncpg.UniqueViolationError:
        raise _name_taken(change.name) from None
    if row["state"] == "running" and flow != stored_flow(row["flow"]):
        await await_next(w, row["id"], change.shop_id, flow.schedule, w.now)


async def get_campaign(session: Session, campaign_id: int) -> Mapping[str, Any]:
    """One campaign's row; `flow` and `options` are JSON text. Raises NotFound."""
    row = await session.sql.fetchrow(
        "SELECT * FROM campaigns WHERE merchant_id = $1 AND id = $2",
        session.merchant_id, campaign_id,
    )  # fmt: skip
    if row is None:
        raise NotFound("there is no campaign with this id", ("id",))
    return dict(row)


async def campaign_zone(session: Session, shop_id: int | None) -> ZoneInfo:
    """The time zone of a campaign's shop, or of the merchant."""
    return ZoneInfo((await calendar_of(session, shop_id or ALL_SHOPS)).zone)


async def campaign_calendar(session: Session, shop_id: int | None, schedule: Schedule) -> Calendar:
    """The days named for a campaign's shop and for all shops, if its schedule minds them."""
    if schedule.holidays == "keep":
        return NO_DAYS
    rows = await session.sql.fetch(
        """SELECT day, kind = 'working' AS working FROM sending_holidays
           WHERE merchant_id = $1 AND shop_id = ANY($2::bigint[])""",
        session.merchant_id, [ALL_SHOPS, shop_id or ALL_SHOPS],
    )  # fmt: skip
    return Calendar(
        frozenset(row["day"] for row in rows if not row["working"]),
        frozenset(row["day"] for row in rows if row["working"]),
    )


async def await_next(
    w: Work, campaign_id: int, shop_id: int | None, schedule: Schedule | None, since: datetime
) -> None:
    """Write down when a campaign's first occurrence later than `since` begins, if it recurs.

    Raises WrongState when all that would come falls on holidays.
    """
    next_at = None
    if schedule and schedule.cron:
        # one at each customer's own time begins long before its moment
        begun = await w.sql.fetchval(
            "SELECT max(occurrence) FROM campaign_runs WHERE merchant_id = $1 AND campaign_id = $2",
            w.merchant_id, campaign_id,
        )  # fmt: skip
        next_at = next_begin(
            schedule, await campaign_zone(w, shop_id), max(since, begun or since),
            await campaign_calendar(w, shop_id, schedule),
        )  # fmt: skip
        if next_at is None:
            raise WrongState("by its schedule it never happens: every time is a holiday", ("id",))
    await w.sql.execute(
        "UPDATE campaigns SET next_at = $3 WHERE merchant_id = $1 AND id = $2",
        w.merchant_id, campaign_id, next_at,
    )  # fmt: skip


async def locked_campaign(w: Work, campaign_id: int) -> Mapping[str, Any]:
    """One campaign's row, kept from changing until the transaction ends. Raises NotFound."""
    row = await w.sql.fetchrow(
        "SELECT * FROM campaigns WHERE merchant_id = $1 AND id = $2 FOR UPDATE",
        w.merchant_id, campaign_id,
    )  # fmt: skip
    if row is None:
        raise NotFound("there is no campaign with this id", ("id",))
    return dict(row)


async def approval_needed(session: Session) -> bool:
    """Whether somebody else has to approve of the merchant's campaigns before they start."""
    needed: bool = await session.sql.fetchval(
        "SELECT campaigns_need_approval FROM merchants WHERE id = $1", session.merchant_id
    )
    return needed


async def need_approval(session: Session, row: Mapping[str, Any]) -> None:
    """Raises WrongState for a draft that somebody else has to approve of first."""
    if row["state"] == "draft" and await approval_needed(session):
        raise WrongState(
            "campaigns need approval by somebody else here: submit it for review first", ("id",)
        )


def require_state(row: Mapping[str, Any], states: tuple[str, ...], action: str) -> None:
    """Raises WrongState when the campaign is in none of the states."""
    if row["state"] not in states:
        raise WrongState(
            f"the campaign is {row['state']}; it can be {action} when it is {' or '.join(states)}",
            ("id",),
        )


def _found_by(flow: Flow) -> tuple[str | None, str | None, int | None]:
    """(channel, message class, segment) by which a campaign is found."""
    sends = list(flow.sends().values())
    channels = {send.channel for send in sends}
    classes = {send.message_class for send in sends}
    trigger = flow.trigger
    return (
        channels.pop() if len(channels) == 1 else None,
        classes.pop() if len(classes) == 1 else None,
        trigger.segment_id if isinstance(trigger, OnAudience | OnSegment) else None,
    )


async def _checked(
    w: Work, registry: Registry, name: str, shop_id: int | None, flow: Flow, simple: bool
) -> str:
    faults = Faults()
    with faults:
        name = check_name(name)
    with faults:
        await check_flow(w, registry, flow, simple)
    with faults:
        await need_shop(w, shop_id)
    faults.tell()
    return name


def _name_taken(name: str) -> AlreadyExists:
    return AlreadyExists(f"there is a campaign named {name!r} already", ("input", "name"))
