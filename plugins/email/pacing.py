"""How fast and how much each provider is given, by all workers together.

A worker takes a few places at once from the database, ahead of the clock, and hands them out
itself: one statement a second for a busy domain. Places that a worker took and lost are not given
again, so a limit is never passed.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Any

from core.sdk import PluginContext, RetryLater
from plugins.email.settings import DomainPace, Provider, WarmUp, provider_name

PATIENCE = timedelta(seconds=5)
"""So long a message waits for its place; what has to wait longer comes back later."""
MOST_PLACES = 500
DAY_PLACES = 50


class Pacing:
    """Says when a message may go by one provider."""

    def __init__(self, context: PluginContext, provider: Provider) -> None:
        name = provider_name(provider)
        self._day = _Day(context, name, provider.warm_up) if provider.warm_up else None
        self._lanes = {
            domain: lane
            for lane in (_Lane(context, name, pace) for pace in provider.paces)
            for domain in lane.pace.domains
        }

    async def wait(self, to: str) -> None:
        """Return when a message to this address may go. Raises RetryLater."""
        lane = self._lanes.get(to.rpartition("@")[2].lower())
        if self._day is not None:
            await self._day.take()
        if lane is not None:
            await lane.take()

    async def give_back(self) -> None:
        """Return what was taken of the day's allowance and not used."""
        if self._day is not None:
            await self._day.give_back()


@dataclass
class _Lane:
    """The places of a group of domains, each with its time."""

    context: PluginContext
    provider: str
    pace: DomainPace
    _places: deque[datetime] = field(default_factory=deque)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def take(self) -> None:
        async with self._lock:
            if not self._places:
                self._places.extend(await self._reserve())
            at = self._places.popleft()
        await asyncio.sleep(max(0.0, (at - self.context.database.clock()).total_seconds()))

    async def _reserve(self) -> Sequence[datetime]:
        """As many places as there are in a second. Raises RetryLater."""
        gap = timedelta(minutes=1) / self.pace.per_minute
        places = min(max(1, self.pace.per_minute // 60), MOST_PLACES)
        async with self.context.database.work(self.context.merchant_id) as w:
            key = (w.merchant_id, self.provider, ",".join(sorted(self.pace.domains)))
            end = await w.sql.fetchval(
                """INSERT INTO email_paces AS p (merchant_id, provider, domains, next_at)
                   VALUES ($1, $2, $3, $4::timestamptz + $5::interval)
                   ON CONFLICT (merchant_id, provider, domains) DO UPDATE
                       SET next_at = GREATEST(p.next_at, $4) + $5
                       WHERE p.next_at <= $4::timestamptz + $6::interval
                   RETURNING next_at""",
                *key, w.now, gap * places, PATIENCE,
            )  # fmt: skip
            if end is None:
                wait = await w.sql.fetchval(
                    """SELECT next_at - $4::timestamptz FROM email_paces
                       WHERE merchant_id = $1 AND provider = $2 AND domains = $3""",
                    *key, w.now,
                )  # fmt: skip
                raise RetryLater(
                    f"{self.provider} is given no more than {self.pace.per_minute} messages a "
                    f"minute for {self.pace.domains[0]}", after=wait, tried=False,
                )  # fmt: skip
        return [end - gap * (places - place) for place in range(places)]


@dataclass
class _Day:
    """The day's allowance of a provider that is warmed up."""

    context: PluginContext
    provider: str
    plan: WarmUp
    _places: int = 0
    _of: Any = None
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def take(self) -> None:
        now = self.context.database.clock().astimezone(UTC)
        allowed = self.plan.allowed(now.date())
        if allowed is None:
            return
        async with self._lock:
            if self._of != now.date():
                self._of, self._places = now.date(), 0
            if not self._places:
                self._places = await self._reserve(allowed)
            if not self._places:
                midnight = datetime.combine(now.date() + timedelta(days=1), time(), UTC)
                raise RetryLater(
                    f"{self.provider} is being warmed up: {allowed} messages may go today",
                    after=midnight - now, provider=self.provider, tried=False,
                )  # fmt: skip
            self._places -= 1

    async def give_back(self) -> None:
        if self._places:
            async with self.context.database.work(self.context.merchant_id) as w:
                await w.sql.execute(
                    """UPDATE email_days SET messages = messages - $4
                       WHERE merchant_id = $1 AND provider = $2 AND day = $3""",
                    w.merchant_id, self.provider, self._of, self._places,
                )  # fmt: skip
            self._places = 0

    async def _reserve(self, allowed: int) -> int:
        async with self.context.database.work(self.context.merchant_id) as w:
            key = (w.merchant_id, self.provider, self._of)
            await w.sql.execute(
                """INSERT INTO email_days (merchant_id, provider, day, messages)
                   VALUES ($1, $2, $3, 0) ON CONFLICT DO NOTHING""",
                *key,
            )
            taken: int = await w.sql.fetchval(
                """WITH held AS (
                       SELECT messages FROM email_days
                       WHERE merchant_id = $1 AND provider = $2 AND day = $3 FOR UPDATE)
                   UPDATE email_days d
                   SET messages = GREATEST(held.messages, LEAST($4, held.messages + $5))
                   FROM held WHERE d.merchant_id = $1 AND d.provider = $2 AND d.day = $3
                   RETURNING d.messages - held.messages""",
                *key, allowed, DAY_PLACES,
            )  # fmt: skip
        return taken
