"""What is new in a customer's timeline since somebody last looked.

Entries come late: a parcel's scan is told an hour after it was made. So whoever looks remembers
which of the newest entries it has seen, not only the time of the last one.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from core.domain.customers.timeline import Entry, Wanted, read_timeline
from core.registry import Registry
from core.storage.database import Session

WINDOW = 50
"""So many of the newest entries are remembered; what is older than these is no news."""
MOST = 200
DIGEST_LENGTH = 10


@dataclass(frozen=True)
class Seen:
    """What somebody has seen: all up to `since`, and of what is newer these."""

    since: datetime | None = None
    digests: frozenset[str] = frozenset()


@dataclass(frozen=True)
class News:
    """Entries that were not seen, the newest first, and what is seen with them.

    `complete` is false when more came than fit; the timeline has the rest.
    """

    entries: list[Entry]
    seen: Seen
    complete: bool


async def timeline_news(
    session: Session,
    registry: Registry,
    may: Callable[[str], bool],
    wanted: Wanted,
    seen: Seen | None,
) -> News:
    """What is new for who has seen that; the newest entries for who has seen nothing."""
    since = seen.since if seen else None
    limit = WINDOW if seen is None else MOST + 1
    found = await read_timeline(session, registry, may, replace(wanted, since=since), limit)
    found = [one for one in found if since is None or one.at > since]
    known = seen.digests if seen else frozenset()
    entries = [one for one in found if digest_of(one) not in known]
    if len(found) >= WINDOW:
        since = found[WINDOW - 1].at
    digests = frozenset(digest_of(one) for one in found if since is None or one.at > since)
    complete = seen is None or len(found) <= MOST
    return News(entries[:MOST], Seen(since, digests), complete)


def digest_of(entry: Entry) -> str:
    """Tells an entry from others; one that changed its kind or time is another."""
    text = f"{entry.at.isoformat()} {entry.source} {entry.key} {entry.kind}"
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]
