"""What may be spent on a day and on a campaign: reserved before sending, given back if not sent."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from core.sdk import ReconnectNeeded
from core.sdk.money import from_millionths, to_millionths
from plugins.sms.settings import Budget

KEPT = timedelta(days=400)


@dataclass(frozen=True)
class Spend:
    """A message's cost in millionths, and the scopes that it counts for with their limits."""

    cost: int
    limits: dict[str, int]


NOTHING = Spend(0, {})


def spend(budget: Budget, cost: Decimal, day: str, campaign_id: int | None) -> Spend:
    """What a message counts for."""
    limits = {}
    if budget.day is not None:
        limits[f"day:{day}"] = to_millionths(budget.day)
    if budget.campaign is not None and campaign_id is not None:
        limits[f"campaign:{campaign_id}"] = to_millionths(budget.campaign)
    return Spend(to_millionths(cost), limits)


async def reserve(w: Any, spends: Sequence[Spend]) -> list[ReconnectNeeded | None]:
    """Take the money for as many messages as there is; why not, for each of the others."""
    scopes = sorted({scope for one in spends for scope in one.limits})
    if not scopes:
        return [None] * len(spends)
    await w.sql.execute(
        """INSERT INTO sms_spending (merchant_id, scope, amount, at)
           SELECT $1, unnest($2::text[]), 0, $3
           ON CONFLICT (merchant_id, scope) DO NOTHING""",
        w.merchant_id, scopes, w.now,
    )  # fmt: skip
    rows = await w.sql.fetch(
        """SELECT scope, amount FROM sms_spending WHERE merchant_id = $1 AND scope = ANY($2::text[])
           ORDER BY scope FOR UPDATE""",
        w.merchant_id, scopes,
    )  # fmt: skip
    spent = {row["scope"]: row["amount"] for row in rows}
    refusals: list[ReconnectNeeded | None] = []
    for one in spends:
        over = [scope for scope, most in one.limits.items() if spent[scope] + one.cost > most]
        if over:
            refusals.append(_used_up(over[0], one.limits[over[0]]))
            continue
        refusals.append(None)
        for scope in one.limits:
            spent[scope] += one.cost
    await _store(w, spent)
    return refusals


async def give_back(w: Any, spends: Sequence[Spend]) -> None:
    """Return the money of messages that were certainly not sent."""
    back: dict[str, int] = {}
    for one in spends:
        for scope in one.limits:
            back[scope] = back.get(scope, 0) + one.cost
    scopes = sorted(back)
    await w.sql.execute(
        """WITH held AS MATERIALIZED (
               SELECT s.id, u.amount FROM sms_spending s
               JOIN unnest($2::text[], $3::bigint[]) AS u (scope, amount) ON u.scope = s.scope
               WHERE s.merchant_id = $1 ORDER BY s.scope FOR UPDATE OF s)
           UPDATE sms_spending s SET amount = s.amount - held.amount FROM held
           WHERE s.merchant_id = $1 AND s.id = held.id""",
        w.merchant_id, scopes, [back[scope] for scope in scopes],
    )  # fmt: skip


def day_of(now: Any, zone: str) -> str:
    """The merchant's day."""
    return f"{now.astimezone(ZoneInfo(zone)):%Y-%m-%d}"


async def _store(w: Any, spent: dict[str, int]) -> None:
    await w.sql.execute(
        """UPDATE sms_spending s SET amount = u.amount, at = $4
           FROM unnest($2::text[], $3::bigint[]) AS u (scope, amount)
           WHERE s.merchant_id = $1 AND s.scope = u.scope""",
        w.merchant_id, list(spent), list(spent.values()), w.now,
    )  # fmt: skip


def _used_up(scope: str, most: int) -> ReconnectNeeded:
    kind, _, name = scope.partition(":")
    what = f"of {name} for SMS" if kind == "day" else "of this campaign for SMS"
    amount = from_millionths(most).normalize()
    return ReconnectNeeded(
        f"the budget {what} ({amount:f}) is used up: raise it, or resume the campaign "
        + ("on another day" if kind == "day" else "with a higher one")
    )
