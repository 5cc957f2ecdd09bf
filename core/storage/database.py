"""The connection to PostgreSQL, and the unit of work in which everything is read and written."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg
import orjson

from core.clock import Clock
from core.sdk.events import Event
from core.sdk.plugin import migrations_beside
from core.storage import chain
from core.storage.connections import (
    Budget,
    Pool,
    budget,
    open_pool,
    refuse_nesting,
    working,
)
from core.storage.keyring import Keyring
from core.storage.signals import CHANNEL, name_of
from core.storage.telling import insert_events
from core.storage.together import Together, sharing

logger = logging.getLogger(__name__)

SYSTEM = 0
EVERYBODY = "SELECT id FROM merchants ORDER BY id"
INSERT_EVENTS = insert_events(
    """SELECT u.type, u.payload::jsonb, $2::timestamptz AS at, u.place
       FROM unnest($3::text[], $4::text[]) WITH ORDINALITY AS u (type, payload, place)""",
    "place",
)
"""The merchant id of work that belongs to no merchant: sweeps and set-up."""


MAX_PREPARED = 256 * 1024
"""Characters of the longest statement that is planned once per connection."""
BEGIN_TRIES = 3
CLOSE_SECONDS = 10
CUT_OFF = (
    OSError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError, asyncpg.AdminShutdownError,
)  # fmt: skip


class DatabaseError(Exception):
    """The database cannot be used as it is; the message says what to do."""


class TookTooLong(Exception):
    """The statements of a hurried session did not end in its time."""


class Doorbell(Protocol):
    """Tells workers to look now. A ring that gets lost costs seconds, never work."""

    async def ring(self, job: str, *args: int) -> None:
        """Ask for `job` to run soon; never raises."""


@dataclass
class Session:
    """A connection that acts for one merchant at one instant.

    Every statement on `sql` must filter by `merchant_id`.
    """

    merchant_id: int
    now: datetime
    sql: asyncpg.Connection
    keyring: Keyring
    actor: str = "system"
    """Who acts, for the logs: "system", "token:12", "staff:3", "job:7", "customer:4711"."""

    async def figures(self, statement: str, *args: Any) -> asyncpg.Record:
        """The one row of a statement that reads many.

        fetchrow and fetchval ask the database for one row only, which then leaves its parallel
        workers out.
        """
        (row,) = await self.sql.fetch(statement, *args)
        return row

    async def try_lock(self, space: int, key: int) -> bool:
        """Take a lock that lasts as long as the session; False while another holds it.

        Its connection holds it, so that a killed process frees it at once.
        """
        self.sql.must_reset()  # also of a task that is cancelled while it asks
        taken: bool = await self.sql.fetchval(
            "SELECT pg_try_advisory_lock($1::int, $2::int)", space, key
        )
        return taken

    async def hurry(self) -> None:
        """Called between long statements; ends a session that has had its time."""


@dataclass
class Hurried(Session):
    """A session that ends at a moment of the process's monotonic clock."""

    ends: float = 0.0

    async def hurry(self) -> None:
        """Leave the statements that follow what is left of the time. Raises TookTooLong."""
        left = self.ends - monotonic()
        if left <= 0:
            raise TookTooLong
        await self.sql.execute(
            "SELECT set_config('statement_timeout', $1::text, TRUE)", str(max(1, int(left * 1000)))
        )


@dataclass
class Work(Session):
    """One transaction: all of it is committed at the end of the block, or nothing."""

    _events: list[Event] = field(default_factory=list)
    _rings: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)
    _changed: list[str] = field(default_factory=list)
    _audits: list[tuple[str, str, Mapping[str, Any]]] = field(default_factory=list)
    audit_end: chain.End | None = None
    """The audit log's last entry, if it is of this transaction and written already."""

    def audit(
        self, action: str, data: Mapping[str, Any] | None = None, actor: str | None = None
    ) -> None:
        """Record what was done in the merchant's audit log, in this transaction.

        `action` is a noun and a past participle ("token.created"). `data` holds ids, names of
        fields and counts, never contact data: the log outlives the customers. `actor` is who did
        it, if that was not who works.
        """
        chain.check_data(data or {})
        self._audits.append((actor or self.actor, action, dict(data or {})))

    def emit(self, event: Event) -> None:
        """Record a domain event in the outbox, in this transaction."""
        self._events.append(event)

    def ring(self, job: str, *args: int) -> None:
        """Ring a worker's doorbell after the commit."""
        if (job, args) not in self._rings:
            self._rings.append((job, args))

    async def notify(self, topic: str, key: int) -> None:
        """Tell live listeners, after the commit, that the object changed; see signals.py."""
        name = name_of(topic, self.merchant_id, key)
        await self.sql.execute("SELECT pg_notify($1, $2)", CHANNEL, name)
        self._changed.append(name)

    async def new_ids(self, table: str, count: int) -> list[int]:
        """Ids for so many new rows, where they must be known before the rows are written."""
        if not count:
            return []
        rows = await self.sql.fetch(
            f"""WITH ids AS MATERIALIZED (SELECT pg_get_serial_sequence('{table}', 'id') AS name)
                SELECT nextval(ids.name::regclass) FROM ids, generate_series(1, $1::int)""",
            count,
        )
        return [row[0] for row in rows]

    async def flush(self) -> None:
        """Write the events and audit entries so far; the end of the block does it."""
        events, self._events = self._events, []
        if events:
            await self.sql.execute(
                INSERT_EVENTS,
                self.merchant_id, self.now, [event.type for event in events],
                [orjson.dumps(event.payload()).decode() for event in events],
            )  # fmt: skip
            self.ring("outbox.drain", self.merchant_id)
            # whatever happened, it may have changed who is in which segment
            self.ring("segments.follow", self.merchant_id)
        if self._audits:
            entries = [
                chain.Entry(self.merchant_id, 0, self.now, actor, action, data)
                for actor, action, data in self._audits
            ]
            self._audits = []
            self.audit_end = await chain.append(self.sql, self.keyring, entries)


Do = Callable[[Any, Sequence[Any]], Awaitable[Sequence[Any]]]
"""Does items in a unit of work; returns one result for each, in their order.

A result that is an exception is raised for who asked for the item.
"""
Opened = Callable[[int, str], AbstractAsyncContextManager[Session]]
"""`Database.work` or `Database.read`."""
Look = Callable[[Session, list[Any]], Awaitable[Mapping[Any, Any]]]
"""Finds the answers for items, each of them given once; there is none for who is not in there."""


class Database:
    """The process's one pool of connections.

    `changed` is told, after each commit, the names of what `Work.notify` was called for.
    """

    def __init__(
        self,
        pool: Pool,
        keyring: Keyring,
        clock: Clock,
        doorbell: Doorbell,
        changed: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.pool = pool
        self.keyring = keyring
        self.clock = clock
        self.doorbell = doorbell
        self._changed = changed
        self._together = Together(self._work_together)
        self._looks = Together(self._look_together)

    def read(self, merchant_id: int, actor: str = "system") -> AbstractAsyncContextManager[Session]:
        """A connection for reading, without a transaction; in a unit of work its connection."""
        if working.get():
            return self._read_within(merchant_id, actor)
        return _Reading(self, self.pool, merchant_id, actor)

    @asynccontextmanager
    async def _read_within(self, merchant_id: int, actor: str) -> AsyncIterator[Session]:
        sql, turn = _of_work.get()
        async with turn:
            yield Session(merchant_id, self.clock(), sql, self.keyring, actor)

    async def merchants(self, statement: str = EVERYBODY, *args: Any) -> list[int]:
        """The merchants whose ids a SELECT gives, or all."""
        async with self.read(SYSTEM) as session:
            return [row[0] for row in await session.sql.fetch(statement, *args)]

    async def merchants_in(self, table: str) -> list[int]:
        """The merchants with rows in a table, by one look into its key for each of them."""
        return await self.merchants(
            f"""WITH RECURSIVE m AS (
                    SELECT min(merchant_id) AS merchant_id FROM {table}
                    UNION ALL
                    SELECT (SELECT min(merchant_id) FROM {table}
                            WHERE merchant_id > m.merchant_id)
                    FROM m WHERE m.merchant_id IS NOT NULL)
                SELECT merchant_id FROM m WHERE merchant_id IS NOT NULL"""
        )

    @asynccontextmanager
    async def hurried(
        self, merchant_id: int, seconds: float, actor: str = "system"
    ) -> AsyncIterator[Session]:
        """One snapshot for reading, to be done with in about so many seconds.

        Call `hurry` between long statements. Raises TookTooLong.
        """
        async with self.read(merchant_id, actor) as reading:
            sql = reading.sql
            try:
                async with sql.transaction(isolation="repeatable_read", readonly=True):
                    ends = monotonic() + seconds
                    session = Hurried(merchant_id, self.clock(), sql, self.keyring, actor, ends)
                    await session.hurry()
                    yield session
            except asyncpg.QueryCanceledError:
                raise TookTooLong from None

    @asynccontextmanager
    async def work(self, merchant_id: int, actor: str = "system") -> AsyncIterator[Work]:
        """One transaction. Doorbells ring after its commit, and only then.

        Raises RuntimeError inside another unit of work: what looked committed might not be.
        """
        refuse_nesting()
        token = working.set(True)
        try:
            async with _transaction(self.pool) as sql:
                work = Work(merchant_id, self.clock(), sql, self.keyring, actor)
                yield work
                await work.flush()
        finally:
            working.reset(token)
        for name in work._changed:
            self._changed(name)
        for job, args in work._rings:
            await self.doorbell.ring(job, *args)

    async def together(self, merchant_id: int, actor: str, do: Do, item: Any) -> Any:
        """What `do` makes of the item, in a transaction shared with those who ask meanwhile.

        Raises what `do` raises for it alone; see together.py. The request that asks is charged its
        share of the statements.
        """
        return await self._together((merchant_id, actor, do, self.work), (item, budget.get()))

    async def at_once(self, merchant_id: int, actor: str, do: Do, item: Any) -> Any:
        """As `together`, where the only statement that writes is a transaction of its own."""
        return await self._together((merchant_id, actor, do, self.read), (item, budget.get()))

    async def look(self, merchant_id: int, look: Look, item: Any) -> Any:
        """What `look` finds for the item, in statements shared with those who ask meanwhile.

        It begins after the question was asked, so that what is answered held then or later. It has
        to be quick, since the next ones wait for it. With SYSTEM as merchant the items may be of
        any, and the statements have to keep them apart.
        """
        return await self._looks((merchant_id, look), item)

    async def _look_together(self, key: tuple[int, Look], items: Sequence[Any]) -> Sequence[Any]:
        merchant_id, look = key
        async with self.read(merchant_id) as session:
            found = await look(session, list(dict.fromkeys(items)))
        return [found.get(item) for item in items]

    async def _work_together(
        self, key: tuple[int, str, Do, Opened], calls: Sequence[tuple[Any, Budget | None]]
    ) -> Sequence[Any]:
        merchant_id, actor, do, opened = key
        results: Sequence[Any] = []
        try:
            with sharing([given for _, given in calls]):
                async with opened(merchant_id, actor) as session:
                    results = await do(session, [item for item, _ in calls])
        except CUT_OFF as error:
            if opened == self.work and not results:
                raise
            # nobody knows whether it was committed, so nobody may try it again
            return [error] * len(calls)
        return results


class _Reading:
    """The block of `Database.read`: written out, since most of what is done goes through it."""

    __slots__ = ("_actor", "_db", "_merchant_id", "_pool", "_sql")

    def __init__(self, db: Database, pool: Pool, merchant_id: int, actor: str) -> None:
        self._db = db
        self._pool = pool
        self._merchant_id = merchant_id
        self._actor = actor

    async def __aenter__(self) -> Session:
        self._sql = self._pool.lend() or await self._pool.acquire()
        db = self._db
        return Session(self._merchant_id, db.clock(), self._sql, db.keyring, self._actor)

    async def __aexit__(self, *_: object) -> None:
        await self._pool.release(self._sql)


_of_work: ContextVar[tuple[asyncpg.Connection, asyncio.Lock]] = ContextVar("of_work")
"""While `working`: the connection of the unit of work, and the lock of those who read by it."""


@asynccontextmanager
async def _transaction(pool: Pool) -> AsyncIterator[asyncpg.Connection]:
    """A transaction, begun on a connection that lives.

    A restarted server leaves dead connections in the pool, which are noticed when they are used.
    """
    for attempt in range(BEGIN_TRIES):
        sql = pool.lend() or await pool.acquire()
        transaction = sql.transaction()
        try:
            await transaction.start()
            break
        except BaseException as error:
            with suppress(Exception):
                await pool.release(sql)
            if attempt + 1 == BEGIN_TRIES or not isinstance(error, CUT_OFF):
                raise
    _of_work.set((sql, asyncio.Lock()))
    try:
        try:
            yield sql
        except BaseException:
            await transaction.rollback()
            raise
        await transaction.commit()
    finally:
        await pool.release(sql)


async def connect(url: str, pool_size: int) -> Pool:
    """Open a pool. Raises DatabaseError when the server cannot be used."""
    try:
        pool = await open_pool(
            pool_size, max_cacheable_statement_size=MAX_PREPARED, **credentials(url)
        )
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DatabaseError(f"cannot use the database at {_safe(url)}: {_hint(error)}") from error
    async with pool.acquire() as sql:
        version = sql.get_server_version()
    if version.major < 15:
        await disconnect(pool)
        raise DatabaseError(
            f"the database server is PostgreSQL {version.major}: huike needs version 15 or newer"
        )
    return pool


async def disconnect(pool: Pool) -> None:
    """Close a pool, in the end also under those who still use it."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await pool.close()
    except TimeoutError:
        pool.terminate()


def credentials(url: str) -> dict[str, Any]:
    """Host, port, user and so on of a PostgreSQL URL; `?host=` may name a socket folder."""
    parts = urlsplit(url)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    host = query.pop("host", None) or parts.hostname or "localhost"
    ssl = query.pop("sslmode", None)
    return {
        "host": host,
        "port": parts.port or 5432,
        "user": unquote(parts.username or "postgres"),
        "password": unquote(parts.password or ""),
        "database": unquote(parts.path.lstrip("/")) or "postgres",
        **({"ssl": ssl} if ssl else {}),
        **({"server_settings": query} if query else {}),
    }


def migrations_of(app: str, modules: Sequence[str]) -> str:
    """The package with the migrations of an app whose tables are in these modules."""
    return "core.migrations" if app == "core" else migrations_beside(modules[0])


def _safe(url: str) -> str:
    given = credentials(url)
    return f"{given['host']}:{given['port']}/{given['database']}"


def _hint(error: Exception) -> str:
    if isinstance(
        error, asyncpg.InvalidPasswordError | asyncpg.InvalidAuthorizationSpecificationError
    ):
        return f"{error}. Check user and password in DATABASE_URL"
    if isinstance(error, asyncpg.InvalidCatalogNameError):
        return f"{error}. Create it, or correct the name in DATABASE_URL"
    what = str(error) or type(error).__name__
    return f"{what}. Check that the server runs and that DATABASE_URL is right"
