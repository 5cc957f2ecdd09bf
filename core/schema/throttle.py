"""How much a token may ask for in a minute: a bucket of cost that all server processes share.

The bucket stands in Redis. A process takes a little more out of it than it needs and gives that
out by itself for a while, so that most requests need no word with Redis. Without Redis each
process has a bucket of its own.
"""

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from redis.exceptions import RedisError, WatchError

from core.clock import Clock
from core.storage.buckets import Bucket
from core.storage.doorbell import RedisPool

logger = logging.getLogger(__name__)

PERIOD = 60.0
MAX_KEYS = 10_000
LEASE = timedelta(seconds=10)
"""What a process has taken and not given out by then is lost: others have waited for it."""
LEASE_PART = 50
"""A process takes this part of a bucket ahead."""
REDIS_SECONDS = 0.5
PAUSE = timedelta(seconds=5)
"""After a failure of Redis a process goes by itself for so long."""
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Taken:
    """What became of one request: `wait` is 0 if it may go on, else seconds until it may."""

    available: int
    wait: float


@dataclass
class _Lease:
    """What this process has taken out of a bucket, and what it saw left in there."""

    left: float = 0.0
    rest: float = 0.0
    until: datetime = LONG_AGO
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    own: tuple[float, datetime] | None = None
    """The bucket itself while Redis is away: what was in it, and when."""


class Throttle:
    """The buckets of all tokens; each allows `amount` of cost in any minute."""

    def __init__(self, redis: RedisPool | None, amount: int, clock: Clock) -> None:
        self._redis = redis
        self._bucket = Bucket(amount, PERIOD)
        self._clock = clock
        self._leases: OrderedDict[str, _Lease] = OrderedDict()
        self._alone_until = LONG_AGO

    @property
    def restore_rate(self) -> float:
        """The cost that a bucket gains in a second."""
        return self._bucket.speed

    async def take(self, key: str, cost: int) -> Taken:
        """Take the cost of one request. A cost beyond a full bucket takes all of it."""
        lease = self._lease(key)
        wanted = min(float(cost), float(self._bucket.size))
        if lease.left < wanted or self._clock() > lease.until:
            async with lease.lock:
                now = self._clock()
                if now > lease.until:
                    lease.left = 0.0
                while lease.left < wanted:  # others may take of what is left meanwhile
                    missing = wanted - lease.left
                    got = await self._draw(key, lease, missing, now)
                    if got == 0.0:
                        ready = self._bucket.ready_at(missing, lease.rest, now)
                        available = int(lease.left + lease.rest)
                        return Taken(available, (ready - now).total_seconds())
                    lease.left += got
                    lease.until = now + LEASE
        lease.left -= wanted
        return Taken(int(lease.left + lease.rest), 0.0)

    def _lease(self, key: str) -> _Lease:
        lease = self._leases.get(key)
        if lease is None:
            lease = self._leases[key] = _Lease()
        self._leases.move_to_end(key)
        if len(self._leases) > MAX_KEYS:
            self._leases.popitem(last=False)
        return lease

    async def _draw(self, key: str, lease: _Lease, missing: float, now: datetime) -> float:
        """What comes out of the bucket: what is missing and some more, or nothing."""
        if self._redis is not None and now >= self._alone_until:
            try:
                async with asyncio.timeout(REDIS_SECONDS):
                    return await self._draw_shared(self._redis, key, lease, missing, now)
            except (RedisError, OSError) as error:
                self._alone_until = now + PAUSE
                logger.warning("the costs of requests are counted by each process: %r", error)
        left, filled_at = lease.own or (float(self._bucket.size), now)
        got, rest = self._split(self._bucket.tokens(left, filled_at, now), missing)
        lease.own, lease.rest = (rest, now), rest
        return got

    async def _draw_shared(
        self, redis: RedisPool, key: str, lease: _Lease, missing: float, now: datetime
    ) -> float:
        name = f"huike:cost:{key}"
        while True:
            async with redis.pipeline(transaction=True) as pipe:
                await pipe.watch(name)
                text = await pipe.get(name)
                left, at = map(float, text.split()) if text else (float(self._bucket.size), 0.0)
                filled_at = datetime.fromtimestamp(at, UTC)
                got, rest = self._split(self._bucket.tokens(left, filled_at, now), missing)
                pipe.multi()  # type: ignore[no-untyped-call]
                pipe.set(name, f"{rest!r} {now.timestamp()!r}", ex=int(PERIOD))
                try:
                    await pipe.execute()
                except WatchError:
                    continue  # another process was quicker
            lease.own, lease.rest = None, rest
            return got

    def _split(self, tokens: float, missing: float) -> tuple[float, float]:
        """What is given, and what stays in the bucket."""
        if tokens < missing:
            return 0.0, tokens
        got = min(tokens, missing + self._bucket.size / LEASE_PART)
        return got, tokens - got
