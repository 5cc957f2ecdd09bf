"""Making, changing and deleting a merchant's segments."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import asyncpg
import orjson

from core.domain.segments.references import User, dependents_of, users_of
from core.domain.segments.refresh import refresh_soon, watches_deliveries
from core.domain.segments.rules import read_rule
from core.domain.segments.tree import asks_for_segment
from core.domain.shops.merchants import check_name
from core.registry import Registry
from core.sdk.errors import AlreadyExists, Faults, InvalidInput, NotFound, WrongState
from core.sdk.facets import SHOWN
from core.storage.database import Session, Work
from core.storage.versions import hold_version

DESCRIPTION_LIMIT = 1_000


async def create_segment(
    w: Work, registry: Registry, name: str, stored: Mapping[str, Any], description: str = ""
) -> int:
    """Make a dynamic segment of a stored rule ({"version": 1, "rule": ...}) and return its id.

    Its members are written down soon after. Raises InvalidInput, Several of InvalidInput,
    AlreadyExists.
    """
    faults, watches = Faults(), False
    with faults:
        check_texts(name, description)
    with faults:
        watches = watches_deliveries(await read_rule(w, registry, stored))
    faults.tell()
    segment_id = await _insert(w, name, "dynamic", stored, description, watches)
    w.ring("segments.refresh", w.merchant_id)
    return segment_id


async def create_kept_segment(
    w: Work, name: str, kind: Literal["snapshot", "list"], description: str = ""
) -> int:
    """Make a segment whose members are kept, as yet without any, and return its id.

    Its rule asks for its own members. Raises InvalidInput, AlreadyExists.
    """
    segment_id = await _insert(w, name, kind, {}, description)
    rule = asks_for_segment(segment_id)
    await w.sql.execute(
        "UPDATE segments SET rule = $3, filled_at = $4 WHERE merchant_id = $1 AND id = $2",
        w.merchant_id, segment_id, orjson.dumps(rule).decode(), w.now,
    )  # fmt: skip
    return segment_id


async def copy_segment(w: Work, registry: Registry, segment_id: int, name: str) -> int:
    """Make a segment like this one, of a kept one with its present members; returns its id.

    Raises NotFound, InvalidInput, Several of InvalidInput, AlreadyExists.
    """
    segment = await get_segment(w, segment_id)
    if segment["kind"] == "dynamic":
        return await create_segment(w, registry, name, segment["rule"], segment["description"])
    copy_id = await create_kept_segment(w, name, segment["kind"], segment["description"])
    await w.sql.execute(
        """INSERT INTO segment_members (merchant_id, segment_id, customer_id, entered_at)
           SELECT $1, $3, customer_id, $4 FROM segment_members
           WHERE merchant_id = $1 AND segment_id = $2 AND left_at IS NULL""",
        w.merchant_id, segment_id, copy_id, w.now,
    )  # fmt: skip
    return copy_id


async def _insert(
    w: Work,
    name: str,
    kind: str,
    stored: Mapping[str, Any],
    description: str,
    watches_deliveries: bool = False,
) -> int:
    name, description = check_texts(name, description)
    try:
        async with w.sql.transaction():
            segment_id: int = await w.sql.fetchval(
                """INSERT INTO segments (merchant_id, name, description, kind, rule,
                       watches_deliveries, version, created_at, updated_at)
                   VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $7) RETURNING id""",
                w.merchant_id, name, description, kind,
                orjson.dumps(stored, default=str).decode(), watches_deliveries, w.now,
            )  # fmt: skip
    except asyncpg.UniqueViolationError:
        raise _taken(name) from None
    return segment_id


async def update_segment(
    w: Work,
    registry: Registry,
    segment_id: int,
    changes: Mapping[str, Any],
    if_version: int | None = None,
) -> None:
    """Change name, description or rule (a stored rule) of a segment; other keys are a bug.

    With another rule the members follow soon, those of segments that refer to this one too. Runs
    that have begun keep the rule that they began with. Raises NotFound, InvalidInput, Several of
    InvalidInput, AlreadyExists, WrongState for a rule of a segment that has none, and Conflict for
    one of another version than `if_version`.
    """
    assert set(changes) <= {"name", "description", "rule"}
    faults = Faults()
    for key, value in changes.items():
        if value is None:
            faults.wrong(f"{key} cannot be empty", key)
    name: str | None = None
    description: str | None = None
    if changes.get("name") is not None:
        with faults:
            name = check_name(changes["name"])
    if changes.get("description") is not None:
        with faults:
            description = check_description(changes["description"])
    rule = watches = None
    if "rule" in changes:
        # in one order, as those who follow changes hold them; and no two rules change at once,
        # so that a circle is always found
        await w.sql.execute(
            "SELECT id FROM segments WHERE merchant_id = $1 ORDER BY id FOR NO KEY UPDATE",
            w.merchant_id,
        )
    await hold_version(w, "segments", segment_id, if_version)
    if changes.get("rule") is not None:
        segment = await get_segment(w, segment_id)
        inside = (segment_id, name or segment["name"])
        with faults:
            if segment["kind"] != "dynamic":
                raise WrongState(f"a {segment['kind']} has no rule to change", ("input", "rule"))
            read = await read_rule(w, registry, changes["rule"], inside=inside)
            watches = watches_deliveries(read)
        rule = orjson.dumps(changes["rule"], default=str).decode()
    faults.tell()
    try:
        async with w.sql.transaction():
            found = await w.sql.fetchval(
                """UPDATE segments SET name = COALESCE($3, name), rule = COALESCE($4, rule),
                       description = COALESCE($6, description),
                       watches_deliveries = COALESCE($7, watches_deliveries),
                       version = version + 1, updated_at = $5
                   WHERE merchant_id = $1 AND id = $2 RETURNING id""",
                w.merchant_id, segment_id, name, rule, w.now, description, watches,
            )  # fmt: skip
    except asyncpg.UniqueViolationError:
        raise _taken(str(name)) from None
    if found is None:
        raise _missing()
    if rule is not None:
        for number in (segment_id, *await dependents_of(w, segment_id)):
            await refresh_soon(w, number, "rule")


def check_texts(name: str, description: str) -> tuple[str, str]:
    """Name and description without blanks around them. Raises InvalidInput, Several."""
    faults = Faults()
    with faults:
        name = check_name(name)
    with faults:
        description = check_description(description)
    faults.tell()
    return name, description


def check_description(text: str) -> str:
    """The text without blanks around it. Raises InvalidInput."""
    if len(text) > DESCRIPTION_LIMIT or "\x00" in text:
        raise InvalidInput(
            f"a description has at most {DESCRIPTION_LIMIT} characters", ("input", "description")
        )
    return text.strip()


async def delete_segment(w: Work, segment_id: int) -> None:
    """Delete a segment with its members. Raises NotFound, and WrongState when it is used."""
    found = await w.sql.fetchval(
        "SELECT id FROM segments WHERE merchant_id = $1 AND id = $2 FOR UPDATE",
        w.merchant_id, segment_id,
    )  # fmt: skip
    if found is None:
        raise _missing()
    users = (await users_of(w, [segment_id]))[segment_id]
    if users:
        raise WrongState(f"this segment is in use: by {_named(users)}", ("id",))
    for table, column in (("segment_members", "segment_id"), ("segments", "id")):
        await w.sql.execute(
            f"DELETE FROM {table} WHERE merchant_id = $1 AND {column} = $2",
            w.merchant_id, segment_id,
        )  # fmt: skip


async def get_segment(
    session: Session, segment_id: int, path: tuple[str, ...] = ("id",)
) -> Mapping[str, Any]:
    """A segment's row, `rule` as the stored dict. Raises NotFound."""
    row = await session.sql.fetchrow(
        "SELECT * FROM segments WHERE merchant_id = $1 AND id = $2", session.merchant_id, segment_id
    )
    if row is None:
        raise _missing(path)
    return {**row, "rule": orjson.loads(row["rule"])}


def _named(users: Sequence[User]) -> str:
    """ "the campaign 'a', the segment 'b' and 3 others"."""
    named = [f"the {user.kind} {user.name!r}" for user in users[:SHOWN]]
    if len(users) > SHOWN:
        named.append(f"{len(users) - SHOWN} others")
    return " and ".join([", ".join(named[:-1]), named[-1]] if len(named) > 1 else named)


def _missing(path: tuple[str, ...] = ("id",)) -> NotFound:
    return NotFound("there is no segment with this id", path)


def _taken(name: str) -> AlreadyExists:
    return AlreadyExists(f"there is a segment named {name!r} already", ("input", "name"))
