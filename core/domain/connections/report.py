"""How a shop's connection stands: for the merchant, with what to do about what is wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson

from core.domain.connections.backfill import LANES
from core.domain.connections.opening import ahead
from core.sdk.connectors import Resource
from core.storage.database import Session

SOON = timedelta(hours=24)


@dataclass(frozen=True)
class Past:
    """How far a resource's past has come in. `ends_at` is when it will be done, if that is known.

    `failed` slices were given up, and are read again by a resync. `problem` is the last one of a
    slice that is not done.
    """

    resource: Resource
    slices: int
    done: int
    failed: int
    records: int
    ends_at: datetime | None
    problem: str | None = None


@dataclass(frozen=True)
class Following:
    """How far a resource is in step: all up to `cursor_at` is stored, `lag` ago."""

    resource: Resource
    cursor_at: datetime
    lag: timedelta
    ran_at: datetime | None
    records: int
    problem: str | None
    problem_at: datetime | None


@dataclass(frozen=True)
class Report:
    """A connection as it stands."""

    shop_id: int
    connector: str
    state: str
    capabilities: list[str]
    connected_at: datetime
    expires_at: datetime | None
    refresh_until: datetime | None
    clock_ahead: timedelta
    problem: str | None
    problem_at: datetime | None
    cure: str | None
    past: list[Past] = field(default_factory=list)
    following: list[Following] = field(default_factory=list)
    waiting_messages: int = 0
    dead_letters: int = 0


CURES = {
    "needs_authorisation": "Connect the shop again: its seller has to authorise it anew.",
    "revoked": "Connect the shop again: its seller has withdrawn the authorisation.",
    "expired": "Connect the shop again: its token has expired.",
    "expiring": "Connect the shop again before its token expires.",
    "paused": "Resume the shop.",
    "disconnected": "Connect the shop.",
}
RETRIES = "Nothing: it is tried again by itself. If it stays, see the platform's status."


def state_of(row: Mapping[str, Any], now: datetime) -> str:
    """connected, expiring, expired, needs_authorisation, revoked, paused or disconnected."""
    if row["state"] != "connected":
        return str(row["state"])
    ends = row["expires_at"]
    if ends is not None and row["refresh_at"] is None:
        if ends <= now:
            return "expired"
        if ends - now <= SOON:
            return "expiring"
    return "paused" if row["paused"] else "connected"


async def reports(session: Session, shop_ids: Sequence[int] | None = None) -> list[Report]:
    """The merchant's connections, or those of some shops, in the order of the shops."""
    chosen = None if shop_ids is None else list(shop_ids)
    rows = await session.sql.fetch(
        """SELECT c.*,
                  (SELECT count(*) FROM push_inbox i WHERE i.merchant_id = c.merchant_id
                     AND i.shop_id = c.shop_id AND i.done_at IS NULL) AS waiting,
                  (SELECT count(*) FROM dead_letters d WHERE d.merchant_id = c.merchant_id
                     AND d.shop_id = c.shop_id AND d.state = 'open') AS dead
           FROM shop_connections c
           WHERE c.merchant_id = $1 AND ($2::bigint[] IS NULL OR c.shop_id = ANY($2))
           ORDER BY c.shop_id""",
        session.merchant_id, chosen,
    )  # fmt: skip
    ids = [row["shop_id"] for row in rows]
    past, following = await _past(session, ids), await _following(session, rows)
    return [
        _report(row, session.now, past.get(row["shop_id"], []), following.get(row["shop_id"], []))
        for row in rows
    ]


def _report(
    row: Mapping[str, Any], now: datetime, past: list[Past], following: list[Following]
) -> Report:
    state = state_of(row, now)
    told = [*(one.problem for one in past), *(one.problem for one in following)]
    wrong = row["problem"] or any(told)
    return Report(
        row["shop_id"], row["connector"], state, orjson.loads(row["capabilities"]),
        row["connected_at"], row["expires_at"], row["refresh_until"], ahead(row),
        row["problem"], row["problem_at"], CURES.get(state) or (RETRIES if wrong else None),
        past, following, row["waiting"], row["dead"],
    )  # fmt: skip


async def _past(session: Session, shop_ids: Sequence[int]) -> dict[int, list[Past]]:
    rows = await session.sql.fetch(
        """SELECT shop_id, resource, count(*) AS slices,
                  count(*) FILTER (WHERE state = 'done') AS done,
                  count(*) FILTER (WHERE state = 'failed') AS failed, sum(records) AS records,
                  avg(seconds) FILTER (WHERE state = 'done') AS each,
                  max(next_at) FILTER (WHERE state = 'waiting') AS next_at,
                  (array_agg(problem ORDER BY next_at DESC)
                      FILTER (WHERE problem IS NOT NULL AND state <> 'done'))[1] AS problem
           FROM sync_slices WHERE merchant_id = $1 AND shop_id = ANY($2::bigint[])
           GROUP BY shop_id, resource""",
        session.merchant_id, list(shop_ids),
    )  # fmt: skip
    left: dict[int, float] = {}
    for row in rows:
        waiting = row["slices"] - row["done"] - row["failed"]
        left[row["shop_id"]] = left.get(row["shop_id"], 0.0) + waiting * (row["each"] or 0.0)
    found: dict[int, list[Past]] = {}
    for row in rows:
        ends_at = None
        if row["next_at"] is not None and row["done"]:
            # the resources take turns, so that all of them end at about the same time
            seconds = left[row["shop_id"]] / LANES
            ends_at = max(session.now, row["next_at"]) + timedelta(seconds=seconds)
        found.setdefault(row["shop_id"], []).append(
            Past(
                Resource(row["resource"]),
                row["slices"],
                row["done"],
                row["failed"],
                int(row["records"]),
                ends_at,
                row["problem"],
            )
        )
    return {shop_id: sorted(each, key=_place) for shop_id, each in found.items()}


async def _following(
    session: Session, connections: Sequence[Mapping[str, Any]]
) -> dict[int, list[Following]]:
    offsets = {row["shop_id"]: ahead(row) for row in connections}
    rows = await session.sql.fetch(
        "SELECT * FROM sync_cursors WHERE merchant_id = $1 AND shop_id = ANY($2::bigint[])",
        session.merchant_id,
        list(offsets),
    )
    found: dict[int, list[Following]] = {}
    for row in rows:
        lag = session.now + offsets[row["shop_id"]] - row["cursor_at"]
        found.setdefault(row["shop_id"], []).append(
            Following(
                Resource(row["resource"]),
                row["cursor_at"],
                max(lag, timedelta(0)),
                row["ran_at"],
                row["records"],
                row["problem"],
                row["problem_at"],
            )
        )
    return {shop_id: sorted(each, key=_place) for shop_id, each in found.items()}


def _place(one: Past | Following) -> int:
    return list(Resource).index(one.resource)
