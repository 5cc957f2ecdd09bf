"""Custom fields: typed fields of customers that merchants and plugins define at run time.

A field is named `<namespace>.<key>`. Merchants own the namespace `custom`; a plugin owns the one of
its name, and nobody else writes there. A plugin calls `define_fields`, `set_fields`, `read_fields`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import orjson

from core.domain.shops.merchants import check_name
from core.sdk.errors import (
    AlreadyExists,
    Faults,
    HuikeError,
    InvalidInput,
    NotFound,
    WrongState,
)
from core.sdk.versions import check_version
from core.storage import jobs
from core.storage.database import Database, Session, Work

MERCHANTS = "custom"
"""The namespace that merchants own."""
TYPES = ("text", "int", "decimal", "bool", "date", "datetime", "choice")
NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
INDEXED = 64
"""So many characters of a text are in the index of values; see migration 0006."""
MAX_FIELDS = 500
MAX_CHOICES = 200
CHOICE_LIMIT = 100
AT_ONCE = 5_000


class FieldNotYours(HuikeError):
    code = "FIELD_NOT_YOURS"
    cause = "The custom field's namespace belongs to somebody else: each plugin owns its own."
    cure = "Use a field of the namespace `custom`, or change the value where the plugin offers it."


@dataclass(frozen=True)
class FieldDefinition:
    """A field as a plugin defines it; `choices` only for the type choice."""

    key: str
    title: str
    type: str
    choices: Sequence[str] = ()


async def create_field(
    w: Work,
    owner: str,
    namespace: str,
    key: str,
    title: str,
    kind: str,
    choices: Sequence[str] = (),
) -> int:
    """Define a field and return its id. `owner` is "custom" or the plugin's name.

    Raises FieldNotYours, InvalidInput, Several, AlreadyExists.
    """
    faults = Faults()
    with faults:
        check_owner(namespace, owner, ("input", "namespace"))
    if not NAME.fullmatch(key):
        faults.wrong(
            "a key begins with a letter a to z; letters, digits and _ follow, up to 40 in all",
            "key",
        )
    if kind not in TYPES:
        faults.wrong(f"a field is one of {', '.join(TYPES)}", "type")
    with faults:
        title = check_name(title, ("input", "title"))
    with faults:
        listed = _check_choices(kind, choices)
    faults.tell()
    if await _number_of_fields(w) >= MAX_FIELDS:
        raise WrongState(f"there are {MAX_FIELDS} fields, which is the most", ("input",))
    try:
        async with w.sql.transaction():
            field_id: int = await w.sql.fetchval(
                """INSERT INTO custom_fields
                       (merchant_id, namespace, key, title, type, choices, created_at)
                   VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id""",
                w.merchant_id, namespace, key, title, kind, orjson.dumps(listed).decode(), w.now,
            )  # fmt: skip
    except asyncpg.UniqueViolationError:
        raise AlreadyExists(
            f"there is a field {namespace}.{key} already", ("input", "key")
        ) from None
    return field_id


async def define_fields(w: Work, plugin: str, definitions: Sequence[FieldDefinition]) -> None:
    """Make sure that a plugin's fields exist; one that does gets the title and choices given.

    Raises InvalidInput, and WrongState when a field exists with another type.
    """
    rows = await w.sql.fetch(
        "SELECT id, key, type FROM custom_fields WHERE merchant_id = $1 AND namespace = $2",
        w.merchant_id, plugin,
    )  # fmt: skip
    known = {row["key"]: row for row in rows}
    for one in definitions:
        found = known.get(one.key)
        if found is None:
            await create_field(w, plugin, plugin, one.key, one.title, one.type, one.choices)
            continue
        if found["type"] != one.type:
            raise WrongState(f"the field {plugin}.{one.key} is of the type {found['type']}")
        changes: dict[str, Any] = {"title": one.title}
        if one.type == "choice":
            changes["choices"] = one.choices
        await update_field(w, plugin, found["id"], changes)


async def update_field(
    w: Work, owner: str, field_id: int, changes: Mapping[str, Any], if_version: int | None = None
) -> None:
    """Change the title or the choices; other keys are a bug. A type never changes.

    Raises NotFound, FieldNotYours, InvalidInput, Several, WrongState for a choice that is in use,
    and Conflict for a field of another version than `if_version`.
    """
    assert set(changes) <= {"title", "choices"}
    row = await _owned_field(w, owner, field_id)
    check_version(row["version"], if_version)
    title, choices = row["title"], orjson.loads(row["choices"])
    faults = Faults()
    if "title" in changes:
        with faults:
            title = check_name(changes["title"] or "", ("input", "title"))
    if "choices" in changes:
        with faults:
            listed = _check_choices(row["type"], changes["choices"] or ())
            await _check_unused(w, field_id, sorted(set(choices) - set(listed)))
            choices = listed
    faults.tell()
    await w.sql.execute(
        """UPDATE custom_fields SET title = $3, choices = $4, version = version + 1
           WHERE merchant_id = $1 AND id = $2""",
        w.merchant_id, field_id, title, orjson.dumps(choices).decode(),
    )  # fmt: skip


async def delete_field(w: Work, owner: str, field_id: int) -> tuple[int, int | None]:
    """Delete a field with all its values, which nobody sees from now on.

    Returns how many values there are, and the job that removes them if they are very many.
    Raises NotFound, FieldNotYours.
    """
    await _owned_field(w, owner, field_id)
    count: int = await w.sql.fetchval(
        "SELECT count(*) FROM custom_field_values WHERE merchant_id = $1 AND field_id = $2",
        w.merchant_id, field_id,
    )  # fmt: skip
    await w.sql.execute(
        "DELETE FROM custom_fields WHERE merchant_id = $1 AND id = $2", w.merchant_id, field_id
    )
    if count > AT_ONCE:
        return count, await jobs.enqueue(w, FieldRemoval.name, {"field_id": field_id}, count)
    await _remove_values(w, field_id)
    return count, None


async def _remove_values(w: Work, field_id: int) -> int:
    done: str = await w.sql.execute(
        """DELETE FROM custom_field_values WHERE merchant_id = $1 AND id IN (
               SELECT id FROM custom_field_values WHERE merchant_id = $1 AND field_id = $2
               LIMIT $3)""",
        w.merchant_id, field_id, AT_ONCE,
    )  # fmt: skip
    return int(done.rpartition(" ")[2])


class FieldRemoval:
    """The job that removes the very many values of a deleted field."""

    name = "customers.field_remove"

    async def run(self, db: Database, job: jobs.Job) -> dict[str, Any]:
        while True:
            async with job.step(db) as w:
                removed = await _remove_values(w, job.params["field_id"])
                job.done += removed
            if removed < AT_ONCE:
                return {"values": job.done}


async def _owned_field(w: Work, owner: str, field_id: int) -> Mapping[str, Any]:
    """A field's row, kept from being used by others until the end of the transaction."""
    row: Mapping[str, Any] | None = await w.sql.fetchrow(
        "SELECT * FROM custom_fields WHERE merchant_id = $1 AND id = $2 FOR UPDATE",
        w.merchant_id, field_id,
    )  # fmt: skip
    if row is None:
        raise NotFound("there is no custom field with this id", ("id",))
    check_owner(row["namespace"], owner, ("id",))
    return row


def check_owner(namespace: str, owner: str, path: tuple[str, ...]) -> None:
    """Raises FieldNotYours for a namespace of somebody else."""
    if namespace != owner:
        whose = f"belongs to the plugin {namespace}" if owner == MERCHANTS else "is not yours"
        raise FieldNotYours(f"the namespace {namespace[:60]!r} {whose}: write to {owner!r}", path)


def _check_choices(kind: str, choices: Sequence[str]) -> list[str]:
    path = ("input", "choices")
    listed = [choice.strip() for choice in choices]
    if kind != "choice":
        if listed:
            raise InvalidInput("only a field of the type choice has choices", path)
        return []
    if not 1 <= len(listed) <= MAX_CHOICES or len(set(listed)) < len(listed):
        raise InvalidInput(f"a choice has 1 to {MAX_CHOICES} different values", path)
    faults = Faults()
    for place, choice in enumerate(listed):
        if not 1 <= len(choice) <= CHOICE_LIMIT or not storable(choice):
            faults.wrong(f"a value has 1 to {CHOICE_LIMIT} characters", "choices", place)
    faults.tell()
    return listed


async def _check_unused(w: Work, field_id: int, choices: Sequence[str]) -> None:
    for choice in choices:
        used = await w.sql.fetchval(
            f"""SELECT EXISTS (SELECT 1 FROM custom_field_values
                   WHERE merchant_id = $1 AND field_id = $2 AND text = $3
                     AND left(text, {INDEXED}) = left($3, {INDEXED}))""",
            w.merchant_id, field_id, choice,
        )  # fmt: skip
        if used:
            raise WrongState(
                f"customers have the value {choice!r}: change it there first, or keep the choice",
                ("input", "choices"),
            )


async def _number_of_fields(session: Session) -> int:
    count: int = await session.sql.fetchval(
        "SELECT count(*) FROM custom_fields WHERE merchant_id = $1", session.merchant_id
    )
    return count


async def field_types(session: Session) -> dict[str, str]:
    """The type of each of the merchant's fields, by name: {"custom.size": "choice"}."""
    rows = await session.sql.fetch(
        """SELECT namespace || '.' || key AS name, type FROM custom_fields
           WHERE merchant_id = $1""",
        session.merchant_id,
    )  # fmt: skip
    return {row["name"]: row["type"] for row in rows}


def storable(text: str) -> bool:
    """Whether the database can hold the text."""
    return "\x00" not in text and not any("\ud800" <= char <= "\udfff" for char in text)
