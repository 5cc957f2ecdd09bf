"""What is printed: the font goes into the file, and what it lacks is said or marked."""

import pytest

from core.sdk import InvalidInput
from plugins.packages.fonts import MISSING, lacking, printable
from plugins.packages.inserts import InsertKind
from plugins.packages.packing import Card, Item, Parcel
from plugins.packages.pdf import cards_pdf
from tests.plugins.packages import kit


def test_the_font_goes_into_the_file_with_what_it_needs_of_it():
    item = Item("感谢卡", "card", None, "谢谢您！", None)
    parcel = Parcel(7, 1, 1, "N1", "店", 1, "李<芳>&𠮷", 1, 1, None, None, None, None, [item])
    made = cards_pdf("main #1", [Card(parcel, [(item, "80℃，谢谢您！\nThank you")])])
    assert b"/FontFile2" in made
    assert b"WenQuanYi" in made
    assert len(made) < 60_000


@pytest.mark.parametrize(("text", "printed", "missing"), [
    ("谢谢 é ①\n", "谢谢 é ①\n", ""), ("80℃ǎ", "80°Ca", ""), ("a\u200d\ufe0fb", "ab", ""),
    ("好😀😀𠮷", f"好{MISSING * 3}", "😀𠮷"),
])  # fmt: skip
def test_what_the_font_lacks(text, printed, missing):
    assert (printable(text), lacking(text)) == (printed, missing)


async def test_a_card_that_cannot_be_printed_is_refused_and_a_note_by_hand_is_not(merchant):
    with pytest.raises(InvalidInput, match="😀"):
        await kit.insert(merchant, "card", InsertKind.CARD, text="谢谢😀")
    assert await kit.insert(merchant, "note", InsertKind.NOTE, text="谢谢😀")
