import pytest

from core.domain.customers.notes import add_note, remove_note, update_note
from core.sdk import InvalidInput, NotFound
from tests.customers.kit import add_customer, logged


async def test_a_note_from_beginning_to_end(merchant):
    async with merchant.installation.db.work(merchant.id, "token:3") as w:
        pk = await add_customer(w)
        note = await add_note(w, pk, "  likes 🍵  ")
    async with merchant.installation.db.work(merchant.id, "token:4") as w:
        await update_note(w, note, "likes coffee")
        await update_note(w, note, "likes coffee")
        row = await w.sql.fetchrow(
            "SELECT * FROM customer_notes WHERE merchant_id = $1", w.merchant_id
        )
        assert (row["text"], row["author"], row["version"]) == ("likes coffee", "token:3", 2)
        await remove_note(w, note)
        assert await logged(w, pk) == [
            ("note_added", {"note_id": note}, "token:3"),
            ("note_changed", {"note_id": note}, "token:4"),
            ("note_removed", {"note_id": note}, "token:4"),
        ]
        with pytest.raises(NotFound):
            await remove_note(w, note)


@pytest.mark.parametrize("text", ["", "  ", "x" * 5001, "a\x00b"])
async def test_texts_are_checked(merchant, text):
    async with merchant.work() as w:
        pk = await add_customer(w)
        note = await add_note(w, pk, "x" * 5000)
        for call in (add_note(w, pk, text), update_note(w, note, text)):
            with pytest.raises(InvalidInput) as caught:
                await call
            assert caught.value.path == ("input", "text")


async def test_nobodys_notes_are_not_found(merchant):
    async with merchant.work() as w:
        for call in (add_note(w, 10**12, "x"), update_note(w, 10**12, "x"), remove_note(w, 10**12)):
            with pytest.raises(NotFound):
                await call
