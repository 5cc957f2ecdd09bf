"""What a warehouse works with: the pick list of a wave as CSV, and its cards as PDF."""

import asyncio
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

from core.domain.shops.kept_files import keep_file
from core.domain.shops.merchants import time_zone_of
from core.sdk import WrongState
from core.tabular.writing import WRITERS, Value
from plugins.packages.packing import Card, Parcel, need_wave, parcels_of
from plugins.packages.texts import Shown, render

COLUMNS = (
    "parcel", "order", "shop", "number", "count", "customer", "insert", "kind", "sku",
    "coupon_code", "text", "late",
)  # fmt: skip
MOST_CARDS = 2_000
FILE = "packages.file"
RIGHTS = ("PACKAGES_PACK", "PII_NAME")
"""What whoever fetches such a file needs: it names customers."""


async def wave_file(w: Any, wave_id: int, format: str) -> int:
    """Make the file of a wave, "csv" or "pdf"; returns the job that holds it.

    Raises NotFound, and WrongState for a wave too large for one PDF.
    """
    wave = await need_wave(w, wave_id, ("input", "waveId"))
    cards = await cards_of(w, await parcels_of(w, wave_id=wave_id))
    if format == "csv":
        zone = ZoneInfo(await time_zone_of(w))
        data = _csv(cards, zone)
        return await keep_file(w, FILE, f"wave-{wave_id}.csv", "text/csv", data, RIGHTS)
    if len(cards) > MOST_CARDS:
        raise WrongState(
            f"a PDF takes {MOST_CARDS} parcels: make smaller waves", ("input", "format")
        )
    title = f"{wave['warehouse']} #{wave_id}"
    data = await asyncio.to_thread(_pdf, title, cards)
    return await keep_file(w, FILE, f"wave-{wave_id}.pdf", "application/pdf", data, RIGHTS)


async def cards_of(session: Any, parcels: Sequence[Parcel]) -> list[Card]:
    """The parcels with the texts of their inserts."""
    pairs = [(parcel, item) for parcel in parcels for item in parcel.items]
    texts = iter(await render(session, [
        Shown(one.id, one.order_id, one.customer_id, item.text, item.coupon_code)
        for one, item in pairs
    ]))  # fmt: skip
    return [Card(one, [(item, next(texts)) for item in one.items]) for one in parcels]


def _pdf(title: str, cards: Sequence[Card]) -> bytes:
    from plugins.packages.pdf import cards_pdf  # large and slow to load, seldom needed

    return cards_pdf(title, cards)


def _csv(cards: Sequence[Card], zone: ZoneInfo) -> bytes:
    writer = WRITERS["csv"](COLUMNS, zone)
    rows: list[tuple[Value, ...]] = []
    for card in cards:
        one = card.parcel
        head: tuple[Value, ...] = (
            one.code, one.order_number, one.shop, one.number, one.count, one.customer_name,
        )  # fmt: skip
        items: list[tuple[Value, ...]] = [
            (item.name, item.kind, item.sku, item.coupon_code, text) for item, text in card.items
        ]
        rows += [(*head, *item, one.late) for item in items or [(None,) * 5]]
    return writer.head() + writer.rows(rows)
