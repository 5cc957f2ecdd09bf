"""A customer's timeline: what happened in all nouns, the newest first, in one statement.

Each source gives its newest entries before the cursor, and is told how old an entry may be to be
among the page at all: the age of the page's last entry so far. So a source with very many rows
looks at the newest of them only.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg
import orjson

from core.domain.shops.plugins import enabled_plugins
from core.registry import CORE, Owned, Registry
from core.sdk.timeline import TimelineSource
from core.storage.database import Session

logger = logging.getLogger(__name__)

BEGINNING = datetime(1, 1, 1, tzinfo=UTC)

TIMELINE = [
    TimelineSource(
        name="consent",
        kinds={
            "consent.granted": "Agreed to {purpose} by {channel}",
            "consent.denied": "Refused {purpose} by {channel}",
            "consent.unproven": "Unproven consent to {purpose} by {channel}",
        },
        sql="""SELECT at, 'consent.' || status AS kind, id AS key, NULL::text AS object_type,
                      NULL::bigint AS object_id, channel, purpose, source
               FROM consent_events WHERE merchant_id = $1 AND customer_id = $2""",
        data="jsonb_build_object('channel', channel, 'purpose', purpose, 'source', source)",
    ),
    TimelineSource(
        name="log",
        kinds={
            "tag_added": "Tagged {tags}",
            "tag_removed": "No longer tagged {tags}",
            "tag_renamed": "The tag {from} became {to}",
            "note_added": "Note written",
            "note_changed": "Note changed",
            "note_removed": "Note removed",
            "task_done": "Task done: {outcome}",
            "field_changed": "Fields changed: {fields}",
            "changed": "Changed: {columns}",
            "api.created": "Taken in over the API",
            "api.updated": "News of the customer over the API",
            "import.created": "Taken in from a file",
            "import.updated": "News of the customer from a file",
            "import.undone": "What came from a file was taken back",
        },
        is_open=True,
        sql="""SELECT at, kind, id AS key,
                      CASE WHEN data ? 'note_id' THEN 'CustomerNote' END AS object_type,
                      (data->>'note_id')::bigint AS object_id, data AS said, actor
               FROM customer_log WHERE merchant_id = $1 AND customer_id = $2""",
        data="(said - 'note_id') || jsonb_build_object('actor', actor)",
    ),
]


@dataclass(frozen=True)
class Entry:
    """One thing that happened. `at`, `source` and `key` are its place in the timeline."""

    at: datetime
    source: str
    key: int
    kind: str
    title: str
    object_type: str | None
    object_id: int | None
    data: dict[str, Any]


Place = tuple[datetime, str, int]


@dataclass(frozen=True)
class Wanted:
    """What of a timeline to show: these kinds, or all; from `since` on, and before `until`."""

    customer_id: int
    kinds: Sequence[str] | None = None
    since: datetime | None = None
    until: datetime | None = None


async def read_timeline(
    session: Session,
    registry: Registry,
    may: Callable[[str], bool],
    wanted: Wanted,
    limit: int,
    after: Place | None = None,
) -> list[Entry]:
    """The newest entries that come after the place `after`; of what the caller may see.

    A source of a plugin whose SQL fails is left out, with the reason in the log.
    """
    sources = await usable_sources(session, registry, may, wanted)
    try:
        return await _read(session, sources, wanted, limit, after)
    except asyncpg.PostgresError:
        own = [owned for owned in sources if owned.plugin == CORE]
        if len(own) == len(sources):
            raise
        logger.exception("the timeline leaves out plugins, since a source of theirs failed")
        return await _read(session, own, wanted, limit, after)


async def count_timeline(
    session: Session,
    registry: Registry,
    may: Callable[[str], bool],
    wanted: Wanted,
    limit: int,
) -> int:
    """How many entries there are, counted up to `limit`."""
    sources = await usable_sources(session, registry, may, wanted)
    if not sources:
        return 0
    parts = " UNION ALL ".join(
        f"SELECT 1 FROM ({owned.value.sql}) e WHERE {_BETWEEN}" for owned in sources
    )
    steps = _common([owned.value for owned in sources])
    count: int = await session.sql.fetchval(
        f"""{"WITH " if steps else ""}{", ".join(steps)}
            SELECT count(*) FROM (SELECT 1 FROM ({parts}) entries LIMIT {int(limit)}) counted""",
        *_args(session, wanted),
    )
    return count


async def usable_sources(
    session: Session, registry: Registry, may: Callable[[str], bool], wanted: Wanted
) -> list[Owned[TimelineSource]]:
    """The sources that can have something to show, those of orders first: they have the most."""
    found = [
        owned
        for owned in registry.timeline_sources.values()
        if may(owned.value.permission) and _has_kinds(owned.value, wanted.kinds)
    ]
    if any(owned.plugin != CORE for owned in found):
        enabled = await enabled_plugins(session)
        found = [owned for owned in found if owned.plugin == CORE or owned.plugin in enabled]
    return sorted(found, key=lambda owned: owned.plugin != CORE)


def _has_kinds(source: TimelineSource, kinds: Sequence[str] | None) -> bool:
    return kinds is None or source.is_open or not source.kinds.keys().isdisjoint(kinds)


_COLUMNS = "at, source, key, kind, object_type, object_id, data"
_ORDER = 'at DESC, source COLLATE "C" DESC, key DESC'
_BETWEEN = """e.at IS NOT NULL AND e.at >= $3 AND ($4::timestamptz IS NULL OR e.at < $4)
    AND ($5::text[] IS NULL OR e.kind = ANY($5))"""


def _args(session: Session, wanted: Wanted) -> list[Any]:
    kinds = None if wanted.kinds is None else list(wanted.kinds)
    since = wanted.since or BEGINNING
    return [session.merchant_id, wanted.customer_id, since, wanted.until, kinds]


async def _read(
    session: Session,
    sources: Sequence[Owned[TimelineSource]],
    wanted: Wanted,
    limit: int,
    after: Place | None,
) -> list[Entry]:
    if not sources:
        return []
    args = _args(session, wanted)
    if after is not None:
        args += [after[0], after[2]]
    rows = await session.sql.fetch(
        timeline_sql([owned.value for owned in sources], limit, after), *args
    )
    titles = {kind: title for owned in sources for kind, title in owned.value.kinds.items()}
    return [_entry(row, titles) for row in rows]


def timeline_sql(sources: Sequence[TimelineSource], limit: int, after: Place | None = None) -> str:
    """The statement of a page. Its parameters: merchant, customer, since, until, kinds, and the
    cursor's time and key if there is one.
    """
    steps = _common(sources)
    for number, source in enumerate(sources):
        page = _page(source, number, limit, after)
        if number:
            page = f"""SELECT * FROM (SELECT {_COLUMNS} FROM page_{number - 1}
                UNION ALL SELECT {_COLUMNS} FROM ({page}) more) both_
                ORDER BY {_ORDER} LIMIT {limit}"""
        steps.append(f"page_{number} AS MATERIALIZED ({page})")
    return f"""WITH {", ".join(steps)}
        SELECT {_COLUMNS} FROM page_{len(sources) - 1} ORDER BY {_ORDER}"""


def _common(sources: Sequence[TimelineSource]) -> list[str]:
    common: dict[str, str] = {}
    for source in sources:
        common = {**source.common, **common}
    return [f"{name} AS MATERIALIZED ({sql})" for name, sql in common.items()]


def _page(source: TimelineSource, number: int, limit: int, after: Place | None) -> str:
    """The newest entries of one source; `$3` becomes the time of the page's last entry so far."""
    floor = "$3"
    if number:
        floor = f"""COALESCE((SELECT at FROM page_{number - 1} ORDER BY at DESC
            OFFSET {limit - 1} LIMIT 1), $3)"""
    chosen = f"""SELECT * FROM ({source.sql}) e WHERE {_BETWEEN}{_beyond(source, after)}
        ORDER BY e.at DESC, e.key DESC LIMIT {limit}"""
    name = source.name.replace("'", "''")
    return f"""SELECT at, '{name}'::text AS source, key::bigint AS key, kind::text AS kind,
               object_type::text AS object_type, object_id::bigint AS object_id,
               {source.data} AS data
        FROM ({chosen.replace("$3", floor)}) chosen"""


def _beyond(source: TimelineSource, after: Place | None) -> str:
    """Entries after the cursor's, which stands somewhere among all sources."""
    if after is None:
        return ""
    if source.name == after[1]:
        return " AND (e.at, e.key) < ($6::timestamptz, $7::bigint)"
    sign = "<=" if source.name < after[1] else "<"
    return f" AND e.at {sign} $6::timestamptz AND $7::bigint IS NOT NULL"


def _entry(row: Any, titles: dict[str, str]) -> Entry:
    data = orjson.loads(row["data"]) if row["data"] else {}
    title = titles.get(row["kind"]) or row["kind"].replace("_", " ").replace(".", " ").capitalize()
    return Entry(
        row["at"], row["source"], row["key"], row["kind"], title.format_map(_Words(data)),
        row["object_type"], row["object_id"], data,
    )  # fmt: skip


class _Words(dict[str, Any]):
    """The data of an entry as words of its title; what it lacks is left blank."""

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if isinstance(value, list):
            return ", ".join(str(one) for one in value)
        return "" if value is None else str(value)
