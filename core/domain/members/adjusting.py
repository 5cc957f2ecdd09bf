"""Adjustments by hand; beyond the programme's limit somebody else has to agree.

What was adjusted for a customer on one day of the merchant's calendar counts together, so that
several small adjustments are no way round the limit. Nothing of a request is in the ledger before
it is approved.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.domain.customers.customers import get_customer
from core.domain.members.points import CUSTOMER, MAX_POINTS, Lot, give, lock, take
from core.domain.members.programme import Programme, get_programme
from core.domain.shops.tokens import is_same_person
from core.sdk.errors import Faults, NotFound, WrongState
from core.sdk.facets import midnight
from core.storage.database import Work


@dataclass(frozen=True)
class Adjustment:
    """What an adjustment became: an entry of the ledger, or a request that waits for approval."""

    entry_id: int | None = None
    request_id: int | None = None


async def adjust(w: Work, customer_id: int, points: int, reason: str) -> Adjustment:
    """Give a customer points, or take them (negative), by hand.

    Raises NotFound, InvalidInput, Several, NotEnoughPoints.
    """
    faults = Faults()
    if not reason:
        faults.wrong("say why", "reason")
    if not 0 < abs(points) <= MAX_POINTS:
        faults.wrong(f"from 1 to {MAX_POINTS} either way", "points")
    programme = await get_programme(w)
    with faults:
        await get_customer(w, customer_id, path=CUSTOMER)
    faults.tell()
    await lock(w, [customer_id])
    limit = programme.rules.points.approve_above
    if limit is None or abs(points) + await _adjusted_today(w, programme, customer_id) <= limit:
        entry_id = await _enter(w, programme, customer_id, points, reason)
        w.audit("points.adjusted", {"customer": customer_id, "points": points})
        return Adjustment(entry_id=entry_id)
    request_id: int = await w.sql.fetchval(
        """INSERT INTO points_requests (merchant_id, customer_id, points, reason, actor,
               requested_at) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id""",
        w.merchant_id, customer_id, points, reason, w.actor, w.now,
    )  # fmt: skip
    w.audit("points.requested", {"request": request_id, "customer": customer_id, "points": points})
    return Adjustment(request_id=request_id)


async def approve(w: Work, request_id: int) -> int:
    """Do what somebody else has asked for; returns the entry's id.

    Raises NotFound, WrongState for one's own request or one that was decided, NotEnoughPoints.
    """
    row = await _hold(w, request_id)
    programme = await get_programme(w)
    entry_id = await _enter(w, programme, row["customer_id"], row["points"], row["reason"])
    await _decide(w, request_id, "approved", entry_id=entry_id)
    return entry_id


async def reject(w: Work, request_id: int, note: str) -> None:
    """Refuse what somebody else has asked for. Raises as `approve`."""
    await _hold(w, request_id)
    await _decide(w, request_id, "rejected", note=note)


async def _adjusted_today(w: Work, programme: Programme, customer_id: int) -> int:
    today = midnight(w.now.astimezone(programme.zone).date(), programme.zone)
    found: int = await w.sql.fetchval(
        """SELECT COALESCE(sum(abs(e.points)), 0)::bigint FROM points_entries e
           WHERE e.merchant_id = $1 AND e.customer_id = $2 AND e.kind = 'adjust' AND e.at >= $3
             AND e.actor <> 'system' AND NOT EXISTS (SELECT 1 FROM points_requests r
                 WHERE r.merchant_id = $1 AND r.customer_id = $2 AND r.entry_id = e.id)""",
        w.merchant_id, customer_id, today,
    )  # fmt: skip
    return found


async def _enter(
    w: Work, programme: Programme, customer_id: int, points: int, reason: str | None
) -> int:
    if points < 0:
        return await take(w, customer_id, -points, "adjust", reason=reason)
    expires_at = programme.rules.points.expiry.after(w.now, programme.zone)
    lot = Lot(customer_id, points, w.now, expires_at, reason=reason)
    return (await give(w, "adjust", [lot]))[0]


async def _hold(w: Work, request_id: int) -> Mapping[str, Any]:
    """An open request of somebody else, kept from changing."""
    row: Mapping[str, Any] | None = await w.sql.fetchrow(
        "SELECT * FROM points_requests WHERE merchant_id = $1 AND id = $2 FOR UPDATE",
        w.merchant_id, request_id,
    )  # fmt: skip
    if row is None:
        raise NotFound(f"there is no request {request_id}", ("id",))
    if row["state"] != "requested":
        raise WrongState(f"the request is {row['state']} already", ("id",))
    if await is_same_person(w, row["actor"], w.actor):
        raise WrongState("somebody else has to decide on what one has asked for", ("id",))
    return row


async def _decide(
    w: Work, request_id: int, state: str, *, entry_id: int | None = None, note: str | None = None
) -> None:
    await w.sql.execute(
        """UPDATE points_requests SET state = $3, decided_by = $4, decided_at = $5, entry_id = $6,
               note = $7 WHERE merchant_id = $1 AND id = $2""",
        w.merchant_id, request_id, state, w.actor, w.now, entry_id, note,
    )  # fmt: skip
    w.audit(f"points.{state}", {"request": request_id})
