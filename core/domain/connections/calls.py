"""Calls to platforms, kept to what they allow by all workers together.

The buckets are rows of the database: beside a call over the internet a locked row costs nothing,
a worker that dies leaves nothing behind, and the merchant sees the same figures as the workers.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Any
from zoneinfo import ZoneInfo

from core.sdk.connectors import Budget
from core.sdk.errors import RetryLater
from core.storage.buckets import CLOCK_WENT_BACK, Bucket
from core.storage.database import Database, Session, Work

PATIENCE = 2.0
"""Seconds that a call waits for its turn; beyond, its worker does something else meanwhile."""


class Priority(Enum):
    """Which share of a bucket is left to those that go first."""

    PUSH = 0.0
    INCREMENTAL = 0.2
    BACKFILL = 0.5


@dataclass(frozen=True)
class Usage:
    """What was used of a budget: calls of `day`, and what may be called at once now."""

    scope: str
    budget: Budget | None
    day: date
    used: int
    left: int | None
    banned_until: datetime | None


class Calls:
    """The Meter of one shop's session."""

    def __init__(
        self,
        db: Database,
        merchant_id: int,
        connector: str,
        budgets: Sequence[Budget],
        shop_id: int,
        time_zone: str,
        priority: Priority,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self._db = db
        self._merchant_id = merchant_id
        self._connector = connector
        self._shop = f"shop:{shop_id}"
        self._buckets = {
            _name(self._base(budget.scope), budget): Bucket(budget.calls, budget.seconds)
            for budget in budgets
        }
        self._zone = ZoneInfo(time_zone)
        self._priority = priority
        self._sleep = sleep

    async def spend(self, api: str, calls: int = 1) -> None:
        """Wait for a turn. Raises RetryLater if it does not come within PATIENCE."""
        waited = 0.0
        while (until := await self._take(api, calls)) is not None:
            wait = max(0.0, (until - self._db.clock()).total_seconds())
            if waited + wait > PATIENCE:
                raise RetryLater(
                    f"the platform's limit of calls is reached for {wait:.0f} seconds",
                    timedelta(seconds=wait),
                )
            await self._sleep(wait)
            waited += max(wait, 0.01)

    async def ban(self, scope: str, seconds: float) -> None:
        """Nobody calls in this scope for so long, whichever worker he is."""
        async with self._db.work(self._merchant_id) as w:
            await self._ensure(w, [self._base(scope)])
            await w.sql.execute(
                """UPDATE call_budgets SET banned_until = GREATEST(banned_until, $4)
                   WHERE merchant_id = $1 AND connector = $2 AND scope = $3""",
                w.merchant_id, self._connector, self._base(scope),
                w.now + timedelta(seconds=seconds),
            )  # fmt: skip

    def _base(self, scope: str) -> str:
        return {"app": "app", "shop": self._shop}.get(scope, f"api:{scope}")

    async def _take(self, api: str, calls: int) -> datetime | None:
        """Take the tokens of so many calls, or say until when there are too few."""
        counted = [*self._buckets, self._shop]
        async with self._db.work(self._merchant_id) as w:
            # a spent token that a crash of the database forgets is no harm
            await w.sql.execute("SET LOCAL synchronous_commit TO off")
            rows = await self._held(w, [*counted, "app", self._base(api)])
            if not set(counted) <= rows.keys():
                await self._ensure(w, counted)
                rows = await self._held(w, [*counted, "app", self._base(api)])
            until: list[datetime] = [
                row["banned_until"] for row in rows.values() if row["banned_until"]
            ]
            tokens = {}
            for scope, bucket in self._buckets.items():
                row = rows[scope]
                tokens[scope] = bucket.tokens(row["tokens"], row["filled_at"], w.now)
                wanted = min(float(bucket.size), calls + self._priority.value * bucket.size)
                if tokens[scope] < wanted:
                    until.append(bucket.ready_at(wanted, tokens[scope], w.now))
            if until and max(until) > w.now:
                return max(until)
            await w.sql.execute(
                """UPDATE call_budgets b SET tokens = u.tokens,
                       filled_at = CASE WHEN filled_at > $3::timestamptz + $4::interval THEN $3
                                        ELSE GREATEST(filled_at, $3) END,
                       used = CASE WHEN day = $5 THEN used ELSE 0 END + $6, day = $5
                   FROM unnest($7::text[], $8::float8[]) AS u (scope, tokens)
                   WHERE b.merchant_id = $1 AND b.connector = $2 AND b.scope = u.scope""",
                w.merchant_id, self._connector, w.now, CLOCK_WENT_BACK, self._today(w.now), calls,
                counted, [tokens.get(scope, 0.0) - calls for scope in counted],
            )  # fmt: skip
            return None

    async def _held(self, w: Work, scopes: Sequence[str]) -> dict[str, Any]:
        rows = await w.sql.fetch(
            """SELECT scope, tokens, filled_at, banned_until FROM call_budgets
               WHERE merchant_id = $1 AND connector = $2 AND scope = ANY($3::text[])
               ORDER BY scope FOR UPDATE""",
            w.merchant_id, self._connector, list(scopes),
        )  # fmt: skip
        return {row["scope"]: row for row in rows}

    async def _ensure(self, w: Work, scopes: Sequence[str]) -> None:
        sizes = [float(self._buckets[s].size) if s in self._buckets else 0.0 for s in scopes]
        await w.sql.execute(
            """INSERT INTO call_budgets (merchant_id, connector, scope, tokens, filled_at, day,
                                         used)
               SELECT $1, $2, u.scope, u.tokens, $3, $4, 0
               FROM unnest($5::text[], $6::float8[]) AS u (scope, tokens) ORDER BY u.scope
               ON CONFLICT (merchant_id, connector, scope) DO NOTHING""",
            w.merchant_id, self._connector, w.now, self._today(w.now), list(scopes), sizes,
        )  # fmt: skip

    def _today(self, now: datetime) -> date:
        return now.astimezone(self._zone).date()


def _name(base: str, budget: Budget) -> str:
    return f"{base}|{budget.calls}/{budget.seconds:g}"


async def usage(
    session: Session, connector: str, budgets: Sequence[Budget], shop_id: int
) -> list[Usage]:
    """What a shop and its app have used, and what bans them now."""
    rows = await session.sql.fetch(
        """SELECT scope, tokens, filled_at, banned_until, day, used FROM call_budgets
           WHERE merchant_id = $1 AND connector = $2
             AND (scope LIKE 'app%' OR scope LIKE 'api:%' OR scope = $3 OR scope LIKE $3 || '|%')
           ORDER BY scope""",
        session.merchant_id, connector, f"shop:{shop_id}",
    )  # fmt: skip
    named = {
        _name("app" if budget.scope == "app" else f"shop:{shop_id}", budget): budget
        for budget in budgets
    }
    found = []
    for row in rows:
        budget = named.get(row["scope"])
        left = None
        if budget is not None:
            bucket = Bucket(budget.calls, budget.seconds)
            left = max(0, int(bucket.tokens(row["tokens"], row["filled_at"], session.now) + 1e-6))
        banned = row["banned_until"]
        found.append(
            Usage(
                row["scope"].partition("|")[0],
                budget,
                row["day"],
                row["used"],
                left,
                banned if banned and banned > session.now else None,
            )
        )
    return found
