"""Where segments are used: by campaigns, and by other segments' rules."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import orjson

from core.domain.segments.tree import segments_asked
from core.storage.database import Session


@dataclass(frozen=True)
class User:
    """What uses a segment."""

    kind: Literal["campaign", "segment"]
    id: int
    name: str


async def users_of(session: Session, segment_ids: Iterable[int]) -> dict[int, list[User]]:
    """What uses each of the segments directly, campaigns first, by id."""
    users: dict[int, list[User]] = {number: [] for number in segment_ids}
    # wherever in a flow: its trigger, a list that it changes, a rule that it asks
    rows = await session.sql.fetch(
        """SELECT DISTINCT c.id, c.name, (s.id #>> '{}')::bigint AS segment_id
           FROM campaigns c, jsonb_path_query(c.flow, 'strict $.**.segment_id') s (id)
           WHERE c.merchant_id = $1 AND jsonb_typeof(s.id) = 'number'
             AND (s.id #>> '{}')::bigint = ANY($2::bigint[]) ORDER BY c.id""",
        session.merchant_id, list(users),
    )  # fmt: skip
    for row in rows:
        users[row["segment_id"]].append(User("campaign", row["id"], row["name"]))
    for number, name, asked in await _rules(session):
        for used in asked & set(users):
            users[used].append(User("segment", number, name))
    return users


async def dependents_of(session: Session, segment_id: int) -> list[int]:
    """The segments whose rules refer to this one, directly or through others."""
    rules = await _rules(session)
    found: set[int] = set()
    new = {segment_id}
    while new:
        new = {number for number, _, asked in rules if asked & new} - found
        found |= new
    return sorted(found)


async def _rules(session: Session) -> list[tuple[int, str, set[int]]]:
    """(id, name, other segments asked for) of the merchant's segments."""
    rows = await session.sql.fetch(
        """SELECT id, name, rule FROM segments
           WHERE merchant_id = $1 AND kind = 'dynamic' ORDER BY id""",
        session.merchant_id,
    )
    return [(row["id"], row["name"], segments_asked(orjson.loads(row["rule"]))) for row in rows]
