"""What staff writes down about a customer."""

from collections.abc import Mapping
from typing import Any

from core.domain.customers.log import log_event
from core.sdk.errors import InvalidInput, NotFound
from core.sdk.versions import check_version
from core.storage.database import Work

TEXT_LIMIT = 5_000


async def add_note(w: Work, customer_id: int, text: str) -> int:
    """Write a note; its author is who acts. Returns its id. Raises NotFound, InvalidInput."""
    text = _checked(text)
    held = await w.sql.fetchval(
        "SELECT id FROM customers WHERE merchant_id = $1 AND id = $2 FOR KEY SHARE",
        w.merchant_id, customer_id,
    )  # fmt: skip
    if held is None:
        raise NotFound("there is no customer with this id", ("id",))
    note_id: int = await w.sql.fetchval(
        """INSERT INTO customer_notes
               (merchant_id, customer_id, text, author, version, created_at, updated_at)
           VALUES ($1, $2, $3, $4, 1, $5, $5) RETURNING id""",
        w.merchant_id, customer_id, text, w.actor, w.now,
    )  # fmt: skip
    await log_event(w, [customer_id], "note_added", {"note_id": note_id})
    return note_id


async def update_note(w: Work, note_id: int, text: str, if_version: int | None = None) -> None:
    """Write a note anew; its author stays. Raises NotFound, InvalidInput, Conflict."""
    text = _checked(text)
    note = await _held_note(w, note_id)
    check_version(note["version"], if_version)
    if note["text"] == text:
        return
    await w.sql.execute(
        """UPDATE customer_notes SET text = $3, version = version + 1, updated_at = $4
           WHERE merchant_id = $1 AND id = $2""",
        w.merchant_id, note_id, text, w.now,
    )  # fmt: skip
    await log_event(w, [note["customer_id"]], "note_changed", {"note_id": note_id})


async def remove_note(w: Work, note_id: int) -> None:
    """Remove a note. Raises NotFound."""
    note = await _held_note(w, note_id)
    await w.sql.execute(
        "DELETE FROM customer_notes WHERE merchant_id = $1 AND id = $2", w.merchant_id, note_id
    )
    await log_event(w, [note["customer_id"]], "note_removed", {"note_id": note_id})


async def _held_note(w: Work, note_id: int) -> Mapping[str, Any]:
    note: Mapping[str, Any] | None = await w.sql.fetchrow(
        "SELECT * FROM customer_notes WHERE merchant_id = $1 AND id = $2 FOR UPDATE",
        w.merchant_id, note_id,
    )  # fmt: skip
    if note is None:
        raise NotFound("there is no note with this id", ("id",))
    return note


def _checked(text: str) -> str:
    cleaned = text.strip()
    if not 1 <= len(cleaned) <= TEXT_LIMIT or "\x00" in cleaned:
        raise InvalidInput(f"a note has 1 to {TEXT_LIMIT} characters", ("input", "text"))
    return cleaned
