"""Making, changing and deleting a merchant's segments."""

from collections.abc import Mapping
from typing import Any

import asyncpg
import orjson

from core.domain.segments.rules import read_rule
from core.domain.shops.merchants import check_name
from core.registry import Registry
from core.sdk.errors import AlreadyExists, InvalidInput, NotFound, WrongState
from core.storage.database import Session, Work


async def create_segment(w: Work, registry: Registry, name: str, stored: Mapping[str, Any]) -> int:
    """Make a segment of a stored rule ({"version": 1, "rule": ...}) and return its id.

    Raises InvalidInput, Several of InvalidInput, AlreadyExists.
    """
    name = check_name(name)
    await read_rule(w, registry, stored)
    try:
        async with w.sql.transaction():
            segment_id: int = await w.sql.fetchval(
                """INSERT INTO segments (merchant_id, name, rule, version, created_at, updated_at)
                   VALUES ($1, $2, $3, 1, $4, $4) RETURNING id""",
                w.merchant_id, name, orjson.dumps(stored, default=str).decode(), w.now,
            )  # fmt: skip
    except asyncpg.UniqueViolationError:
        raise _taken(name) from None
    return segment_id


async def update_segment(
    w: Work, registry: Registry, segment_id: int, changes: Mapping[str, Any]
) -> None:
    """Change name or rule (a stored rule) of a segment; other keys are a bug.

    Runs that have begun keep the rule that they began with. Raises NotFound, InvalidInput,
    Several of InvalidInput, AlreadyExists.
    """
    assert set(changes) <= {"name", "rule"}
    for key, value in changes.items():
        if value is None:
            raise InvalidInput(f"{key} cannot be empty", ("input", key))
    name = check_name(changes["name"]) if "name" in changes else None
    rule = None
    if "rule" in changes:
        await read_rule(
            w, registry, changes["rule"], inside=(segment_id, name or f"segment {segment_id}")
        )
        rule = orjson.dumps(changes["rule"], default=str).decode()
    try:
        async with w.sql.transaction():
            found = await w.sql.fetchval(
                """UPDATE segments SET name = COALESCE($3, name), rule = COALESCE($4, rule),
                       version = version + 1, updated_at = $5
                   WHERE merchant_id = $1 AND id = $2 RETURNING id""",
                w.merchant_id, segment_id, name, rule, w.now,
            )  # fmt: skip
    except asyncpg.UniqueViolationError:
        raise _taken(str(name)) from None
    if found is None:
        raise _missing(segment_id)


async def delete_segment(w: Work, segment_id: int) -> None:
    """Delete a segment. Raises NotFound, and WrongState when a campaign uses it."""
    found = await w.sql.fetchval(
        "SELECT id FROM segments WHERE merchant_id = $1 AND id = $2 FOR UPDATE",
        w.merchant_id, segment_id,
    )  # fmt: skip
    if found is None:
        raise _missing(segment_id)
    campaign = await w.sql.fetchval(
        "SELECT name FROM campaigns WHERE merchant_id = $1 AND segment_id = $2 ORDER BY id LIMIT 1",
        w.merchant_id, segment_id,
    )  # fmt: skip
    if campaign is not None:
        raise WrongState(f"the campaign {campaign!r} uses this segment", ("id",))
    await w.sql.execute(
        "DELETE FROM segments WHERE merchant_id = $1 AND id = $2", w.merchant_id, segment_id
    )


async def get_segment(session: Session, segment_id: int) -> Mapping[str, Any]:
    """A segment's row, `rule` as the stored dict. Raises NotFound."""
    row = await session.sql.fetchrow(
        "SELECT * FROM segments WHERE merchant_id = $1 AND id = $2", session.merchant_id, segment_id
    )
    if row is None:
        raise _missing(segment_id)
    return {**row, "rule": orjson.loads(row["rule"])}


def _missing(segment_id: int) -> NotFound:
    return NotFound(f"there is no segment {segment_id}", ("id",))


def _taken(name: str) -> AlreadyExists:
    return AlreadyExists(f"there is a segment named {name!r} already", ("input", "name"))
