"""Calls to platforms, kept to what they allow by all workers together.

The buckets are rows of the database: beside a call over the internet a locked row costs nothing,
a worker that dies leaves nothing behind, and the merchant sees the same figures as the workers.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import Enum
from hashlib import blake2b
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from core.sdk.connectors import Budget, Connector, SharedApp
from core.sdk.errors import RetryLater
from core.storage.buckets import CLOCK_WENT_BACK, Bucket
from core.storage.database import SYSTEM, Database, Session, Work
from core.storage.together import Together

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


@dataclass(frozen=True)
class Buckets:
    """Where the buckets of a shop stand: its own with its merchant, the app's with whose it is.

    Merchants whose shops are read by one `app` (a hash, as of `app_of`) share what it may do: then
    its buckets belong to no merchant. Without `app` each merchant has one of his own.
    """

    merchant_id: int
    connector: str
    shop_id: int
    app: str | None = None

    @property
    def shop(self) -> str:
        """The scope that all calls of the shop are counted in."""
        return f"shop:{self.shop_id}"

    def base(self, scope: str) -> str:
        """The scope of a budget or ban as it is stored."""
        return {"app": "app", "shop": self.shop}.get(scope, f"api:{scope}")

    def name(self, budget: Budget) -> str:
        """The scope of a budget's bucket."""
        return f"{self.base(budget.scope)}|{budget.calls}/{budget.seconds:g}"

    def keys(self, scopes: Sequence[str]) -> tuple[list[int], list[str], list[str]]:
        """The merchants, connectors and scopes of buckets' rows."""
        shared = [self.app is not None and scope.partition("|")[0] != self.shop for scope in scopes]
        return (
            [SYSTEM if one else self.merchant_id for one in shared],
            [f"{self.connector}:{self.app}" if one else self.connector for one in shared],
            list(scopes),
        )


def app_of(connector: Connector, settings: BaseModel) -> str | None:
    """What names the app that the settings give, for those who know its secret and nobody else."""
    known = connector.app(settings) if isinstance(connector, SharedApp) else None
    return None if known is None else blake2b(known.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True)
class _Asked:
    """Calls of one API that somebody wants to make."""

    scope: str
    calls: int


class Calls:
    """The Meter of one shop's session."""

    def __init__(
        self,
        db: Database,
        buckets: Buckets,
        budgets: Sequence[Budget],
        time_zone: str,
        priority: Priority,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self._db = db
        self._at = buckets
        self._buckets = {
            buckets.name(budget): Bucket(budget.calls, budget.seconds) for budget in budgets
        }
        self._zone = ZoneInfo(time_zone)
        self._priority = priority
        self._sleep = sleep
        # calls that are begun side by side would wait for each other's row else
        self._turn = Together(self._take)

    async def spend(self, api: str, calls: int = 1) -> None:
        """Wait for a turn. Raises RetryLater if it does not come within PATIENCE."""
        waited = 0.0
        while (until := await self._turn(None, _Asked(self._at.base(api), calls))) is not None:
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
        base = self._at.base(scope)
        async with self._db.work(self._at.merchant_id) as w:
            await self._ensure(w, [base])
            await w.sql.execute(
                """UPDATE call_budgets b SET banned_until = GREATEST(banned_until, $1)
                   FROM unnest($2::bigint[], $3::text[], $4::text[])
                       AS u (merchant_id, connector, scope)
                   WHERE b.merchant_id = u.merchant_id AND b.connector = u.connector
                     AND b.scope = u.scope""",
                w.now + timedelta(seconds=seconds), *self._at.keys([base]),
            )  # fmt: skip

    async def _take(self, _: None, asking: Sequence[_Asked]) -> list[datetime | None]:
        """Take tokens for those who ask, the first one first; until when each has to wait."""
        counted = [*self._buckets, self._at.shop]
        scopes = list({*counted, "app", *(asked.scope for asked in asking)})
        async with self._db.work(self._at.merchant_id) as w:
            # a spent token that a crash of the database forgets is no harm
            await w.sql.execute("SET LOCAL synchronous_commit TO off")
            rows = await self._held(w, scopes)
            if not set(counted) <= rows.keys():
                await self._ensure(w, counted)
                rows = await self._held(w, scopes)
            tokens = {
                scope: bucket.tokens(rows[scope]["tokens"], rows[scope]["filled_at"], w.now)
                for scope, bucket in self._buckets.items()
            }
            spent, answers = 0, []
            for asked in asking:
                answers.append(until := self._ready_at(asked, rows, tokens, w.now))
                if until is None:
                    spent += asked.calls
                    tokens = {scope: left - asked.calls for scope, left in tokens.items()}
            if spent:
                await w.sql.execute(
                    """UPDATE call_budgets b SET tokens = u.tokens,
                           filled_at = CASE WHEN filled_at > $1::timestamptz + $2::interval THEN $1
                                            ELSE GREATEST(filled_at, $1) END,
                           used = CASE WHEN day = $3 THEN used ELSE 0 END + $4, day = $3
                       FROM unnest($5::bigint[], $6::text[], $7::text[], $8::float8[])
                           AS u (merchant_id, connector, scope, tokens)
                       WHERE b.merchant_id = u.merchant_id AND b.connector = u.connector
                         AND b.scope = u.scope""",
                    w.now, CLOCK_WENT_BACK, self._today(w.now), spent, *self._at.keys(counted),
                    [tokens.get(scope, 0.0) for scope in counted],
                )  # fmt: skip
        return answers

    def _ready_at(
        self, asked: _Asked, rows: Mapping[str, Any], tokens: Mapping[str, float], now: datetime
    ) -> datetime | None:
        """When there is room for the calls; None if that is now."""
        until: list[datetime] = [
            row["banned_until"]
            for scope, row in rows.items()
            if row["banned_until"] and (scope == asked.scope or not scope.startswith("api:"))
        ]
        for scope, bucket in self._buckets.items():
            share = self._priority.value * bucket.size
            wanted = min(float(bucket.size), asked.calls + share)
            if tokens[scope] < wanted:
                until.append(bucket.ready_at(wanted, tokens[scope], now))
        latest = max(until, default=now)
        return latest if latest > now else None

    async def _held(self, w: Work, scopes: Sequence[str]) -> dict[str, Any]:
        rows = await w.sql.fetch(
            """SELECT b.scope, b.tokens, b.filled_at, b.banned_until
               FROM unnest($1::bigint[], $2::text[], $3::text[])
                   AS u (merchant_id, connector, scope)
               JOIN call_budgets b ON b.merchant_id = u.merchant_id
                    AND b.connector = u.connector AND b.scope = u.scope
               ORDER BY b.merchant_id, b.scope FOR UPDATE OF b""",
            *self._at.keys(scopes),
        )
        return {row["scope"]: row for row in rows}

    async def _ensure(self, w: Work, scopes: Sequence[str]) -> None:
        sizes = [float(self._buckets[s].size) if s in self._buckets else 0.0 for s in scopes]
        await w.sql.execute(
            """INSERT INTO call_budgets (merchant_id, connector, scope, tokens, filled_at, day,
                                         used)
               SELECT u.merchant_id, u.connector, u.scope, u.tokens, $1, $2, 0
               FROM unnest($3::bigint[], $4::text[], $5::text[], $6::float8[])
                   AS u (merchant_id, connector, scope, tokens) ORDER BY 1, 3
               ON CONFLICT (merchant_id, connector, scope) DO NOTHING""",
            w.now, self._today(w.now), *self._at.keys(scopes), sizes,
        )  # fmt: skip

    def _today(self, now: datetime) -> date:
        return now.astimezone(self._zone).date()


async def usage(session: Session, at: Buckets, budgets: Sequence[Budget]) -> list[Usage]:
    """What a shop and its app have used, and what bans them now."""
    own, shared = at.keys([at.shop]), at.keys(["app"])
    rows = await session.sql.fetch(
        """SELECT scope, tokens, filled_at, banned_until, day, used FROM call_budgets
           WHERE (merchant_id = $1 AND connector = $2 AND (scope = $3 OR scope LIKE $3 || '|%'))
              OR (merchant_id = $4 AND connector = $5
                  AND (scope LIKE 'app%' OR scope LIKE 'api:%'))
           ORDER BY scope""",
        own[0][0], own[1][0], at.shop, shared[0][0], shared[1][0],
    )  # fmt: skip
    named = {at.name(budget): budget for budget in budgets}
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
