"""Writing a campaign, and moving it through its states.

draft -> scheduled -> running <-> paused -> finished, and cancelled from any of the first four. A
campaign that was too late for its schedule is paused without a run; resuming starts it.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, get_args

import asyncpg
import orjson

from core.domain.campaigns.content import check_content, mentions_fields
from core.domain.customers.fields import field_types
from core.domain.shops.merchants import check_name
from core.domain.shops.plugins import plugin_settings
from core.registry import Registry
from core.sdk.channels import Channel, MessageClass
from core.sdk.errors import AlreadyExists, InvalidInput, NotFound, Several, WrongState
from core.storage.database import Session, Work

CHANGEABLE = frozenset({"name", "segment_id", "content", "message_class", "shop_id"})


async def create_campaign(
    w: Work,
    registry: Registry,
    *,
    name: str,
    channel: str,
    segment_id: int,
    content: Mapping[str, str],
    message_class: str = "marketing",
    shop_id: int | None = None,
) -> int:
    """Write a draft and return its id. Raises InvalidInput, Several, NotFound, AlreadyExists."""
    values = {"name": name, "segment_id": segment_id, "content": content,
              "message_class": message_class, "shop_id": shop_id}  # fmt: skip
    checked = await _checked(w, campaign_channel(registry, channel), values)
    try:
        async with w.sql.transaction():
            campaign_id: int = await w.sql.fetchval(
                """INSERT INTO campaigns (merchant_id, name, channel, segment_id, content,
                       message_class, shop_id, state, version, created_at, updated_at)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, 'draft', 1, $8, $8) RETURNING id""",
                w.merchant_id, checked["name"], channel, segment_id, checked["content"],
                message_class, shop_id, w.now,
            )  # fmt: skip
    except asyncpg.UniqueViolationError:
        raise _name_taken(name) from None
    return campaign_id


async def update_campaign(
    w: Work, registry: Registry, campaign_id: int, changes: Mapping[str, Any]
) -> None:
    """Change name, segment_id, content, message_class or shop_id of a campaign not yet started.

    Raises WrongState, NotFound, InvalidInput, Several, AlreadyExists.
    """
    row = await _locked(w, campaign_id)
    _require(row, ("draft", "scheduled"), "changed")
    unknown = set(changes) - CHANGEABLE
    if unknown:
        raise InvalidInput(f"a campaign has no {', '.join(sorted(unknown))} to change", ("input",))
    values = {name: row[name] for name in CHANGEABLE}
    values["content"] = orjson.loads(row["content"])
    checked = await _checked(w, campaign_channel(registry, row["channel"]), values | dict(changes))
    try:
        async with w.sql.transaction():
            await w.sql.execute(
                """UPDATE campaigns SET name = $3, segment_id = $4, content = $5,
                       message_class = $6, shop_id = $7, version = version + 1, updated_at = $8
                   WHERE merchant_id = $1 AND id = $2""",
                w.merchant_id, campaign_id, checked["name"], checked["segment_id"],
                checked["content"], checked["message_class"], checked["shop_id"], w.now,
            )  # fmt: skip
    except asyncpg.UniqueViolationError:
        raise _name_taken(str(checked["name"])) from None


async def get_campaign(session: Session, campaign_id: int) -> Mapping[str, Any]:
    """One campaign's row; `content` is JSON text. Raises NotFound."""
    row = await session.sql.fetchrow(
        "SELECT * FROM campaigns WHERE merchant_id = $1 AND id = $2",
        session.merchant_id, campaign_id,
    )  # fmt: skip
    if row is None:
        raise NotFound(f"there is no campaign {campaign_id}", ("id",))
    return dict(row)


async def schedule_campaign(w: Work, registry: Registry, campaign_id: int, at: datetime) -> None:
    """Have a draft start at an instant to come. Raises WrongState, InvalidInput, PluginDisabled."""
    row = await _locked(w, campaign_id)
    _require(row, ("draft", "scheduled"), "scheduled")
    if at <= w.now:
        raise InvalidInput("the time lies in the past; start the campaign instead", ("input", "at"))
    await check_channel(w, registry, row["channel"])
    await w.sql.execute(
        """UPDATE campaigns SET state = 'scheduled', scheduled_at = $3, updated_at = $4
           WHERE merchant_id = $1 AND id = $2""",
        w.merchant_id, campaign_id, at, w.now,
    )  # fmt: skip
    await w.notify("campaign", campaign_id)


async def start_campaign(w: Work, registry: Registry, campaign_id: int) -> int:
    """Start sending now; returns the run's id. Raises WrongState, PluginDisabled, NotFound."""
    row = await _locked(w, campaign_id)
    _require(row, ("draft", "scheduled"), "started")
    return await _start(w, registry, row)


async def pause_campaign(w: Work, campaign_id: int) -> None:
    """Hold a running campaign: what is being handed over ends, nothing new begins."""
    row = await _locked(w, campaign_id)
    _require(row, ("running",), "paused")
    await pause_run(w, campaign_id, "paused by hand")


async def pause_run(w: Work, campaign_id: int, reason: str) -> None:
    """Hold a campaign and its open run, and say why; does nothing when it is not running."""
    await w.sql.execute(
        """UPDATE campaign_runs SET state = 'paused', pause_reason = $3
           WHERE merchant_id = $1 AND campaign_id = $2 AND state IN ('planning', 'running')""",
        w.merchant_id, campaign_id, reason,
    )  # fmt: skip
    await _set_state(w, campaign_id, "paused", ("running", "scheduled"))


async def resume_campaign(w: Work, registry: Registry, campaign_id: int) -> int:
    """Go on with a paused campaign; returns the run's id. Raises WrongState, PluginDisabled."""
    row = await _locked(w, campaign_id)
    _require(row, ("paused",), "resumed")
    await check_channel(w, registry, row["channel"])
    run_id: int | None = await w.sql.fetchval(
        """UPDATE campaign_runs SET pause_reason = NULL, resume_at = NULL,
               state = CASE WHEN planned_at IS NULL THEN 'planning' ELSE 'running' END
           WHERE merchant_id = $1 AND campaign_id = $2 AND state = 'paused' RETURNING id""",
        w.merchant_id, campaign_id,
    )  # fmt: skip
    if run_id is None:
        return await _start(w, registry, row)
    await _set_state(w, campaign_id, "running", ("paused",))
    w.ring("run.send", w.merchant_id, run_id)
    return run_id


async def cancel_campaign(w: Work, campaign_id: int) -> None:
    """End a campaign for good: what is not yet handed over is skipped. Raises WrongState."""
    row = await _locked(w, campaign_id)
    _require(row, ("draft", "scheduled", "running", "paused"), "cancelled")
    run_ids = await w.sql.fetch(
        """UPDATE campaign_runs SET state = 'cancelled', finished_at = $3, pause_reason = NULL
           WHERE merchant_id = $1 AND campaign_id = $2
             AND state IN ('planning', 'running', 'paused') RETURNING id""",
        w.merchant_id, campaign_id, w.now,
    )  # fmt: skip
    await w.sql.execute(
        """UPDATE deliveries SET state = 'skipped', reason = 'cancelled', updated_at = $3
           WHERE merchant_id = $1 AND run_id = ANY($2::bigint[]) AND state = 'pending'""",
        w.merchant_id, [run["id"] for run in run_ids], w.now,
    )  # fmt: skip
    await _set_state(w, campaign_id, "cancelled", (row["state"],))


def campaign_channel(registry: Registry, name: str) -> Channel:
    """The channel of that name. Raises InvalidInput."""
    owned = registry.channels.get(name)
    if owned is None:
        known = ", ".join(sorted(registry.channels)) or "none"
        raise InvalidInput(f"there is no channel {name!r}; there are {known}", ("input", "channel"))
    return owned.value


async def known_fields(session: Session, content: Mapping[str, str]) -> Collection[str]:
    """The custom fields that there are, if the templates use any at all."""
    if not any(mentions_fields(text or "") for text in content.values()):
        return ()
    return await field_types(session)


async def _start(w: Work, registry: Registry, row: Mapping[str, Any]) -> int:
    await check_channel(w, registry, row["channel"])
    content = orjson.loads(row["content"])
    channel = campaign_channel(registry, row["channel"])
    check_content(channel, content, await known_fields(w, content))
    run_id: int | None = await w.sql.fetchval(
        """INSERT INTO campaign_runs (merchant_id, campaign_id, state, rule, content, created_at)
           SELECT $1, $2, 'planning', s.rule, $3, $4 FROM segments s
           WHERE s.merchant_id = $1 AND s.id = $5 RETURNING id""",
        w.merchant_id, row["id"], row["content"], w.now, row["segment_id"],
    )  # fmt: skip
    if run_id is None:
        raise NotFound("the campaign's segment no longer exists: choose another one", ("id",))
    await _set_state(w, row["id"], "running", (row["state"],))
    w.ring("run.send", w.merchant_id, run_id)
    return run_id


async def check_channel(w: Work, registry: Registry, channel: str) -> None:
    """Raises InvalidInput or PluginDisabled when the merchant cannot send by it."""
    campaign_channel(registry, channel)
    await plugin_settings(w, registry, registry.channels[channel].plugin)


async def _checked(w: Work, channel: Channel, values: Mapping[str, Any]) -> dict[str, Any]:
    checked = dict(values)
    errors: list[Any] = []
    try:
        checked["name"] = check_name(values["name"])
    except InvalidInput as error:
        errors.append(error)
    try:
        check_content(channel, values["content"], await known_fields(w, values["content"]))
        checked["content"] = orjson.dumps(dict(values["content"])).decode()
    except Several as several:
        errors += several.errors
    if values["message_class"] not in get_args(MessageClass):
        errors.append(InvalidInput("a message is marketing or service", ("input", "messageClass")))
    for table, field, path in (("segments", "segment_id", "segment"), ("shops", "shop_id", "shop")):
        if values[field] is not None and not await _exists(w, table, values[field]):
            errors.append(NotFound(f"there is no {path} {values[field]}", ("input", path)))
    if errors:
        raise Several(errors)
    return checked


async def _exists(w: Work, table: str, row_id: int) -> bool:
    found: bool = await w.sql.fetchval(
        f"SELECT EXISTS (SELECT 1 FROM {table} WHERE merchant_id = $1 AND id = $2)",
        w.merchant_id, row_id,
    )  # fmt: skip
    return found


async def _locked(w: Work, campaign_id: int) -> Mapping[str, Any]:
    row = await w.sql.fetchrow(
        "SELECT * FROM campaigns WHERE merchant_id = $1 AND id = $2 FOR UPDATE",
        w.merchant_id, campaign_id,
    )  # fmt: skip
    if row is None:
        raise NotFound(f"there is no campaign {campaign_id}", ("id",))
    return dict(row)


def _require(row: Mapping[str, Any], states: Iterable[str], action: str) -> None:
    if row["state"] not in states:
        raise WrongState(
            f"the campaign is {row['state']}; it can be {action} when it is {' or '.join(states)}",
            ("id",),
        )


async def _set_state(w: Work, campaign_id: int, state: str, before: Iterable[str]) -> None:
    await w.sql.execute(
        """UPDATE campaigns SET state = $3, updated_at = $4
           WHERE merchant_id = $1 AND id = $2 AND state = ANY($5::text[])""",
        w.merchant_id, campaign_id, state, w.now, list(before),
    )  # fmt: skip
    await w.notify("campaign", campaign_id)


def _name_taken(name: str) -> AlreadyExists:
    return AlreadyExists(f"there is a campaign named {name!r} already", ("input", "name"))
