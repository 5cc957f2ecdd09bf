"""Coupon codes of parcels: set aside when it is decided, given when it is packed, or put back."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import orjson

from core.domain.shops.code_sources import (
    give_back_codes,
    give_codes,
    hold_codes,
    take_back_codes,
)
from core.sdk import Holder
from plugins.packages.outcomes import Outcome

AT_ONCE = 10_000
"""Codes that a source is asked for in one call, which has a limit of time."""


async def hold(w: Any, registry: Any, wave_id: int) -> None:
    """Give each parcel of a wave that was given a coupon with codes its own; those for whom there
    is none are refused it, with the reason."""
    rows = await w.sql.fetch(
        """SELECT c.id, c.customer_id, i.id AS insert_id, i.code_source, i.code_settings
           FROM packages_choices c
           JOIN packages_parcels p ON p.merchant_id = $1 AND p.id = c.parcel_id
           JOIN packages_inserts i ON i.merchant_id = $1 AND i.id = c.insert_id
           WHERE c.merchant_id = $1 AND p.wave_id = $2 AND c.outcome = $3
             AND i.code_source IS NOT NULL
           ORDER BY i.id, p.id""",
        w.merchant_id, wave_id, int(Outcome.GIVEN),
    )  # fmt: skip
    for group in [
        same[place : place + AT_ONCE]
        for same in _grouped(rows, "insert_id")
        for place in range(0, len(same), AT_ONCE)
    ]:
        held = await hold_codes(
            w, registry, group[0]["code_source"], orjson.loads(group[0]["code_settings"]),
            [Holder(key_of(row["id"]), row["customer_id"]) for row in group],
        )  # fmt: skip
        await w.sql.execute(
            """UPDATE packages_choices c SET code = u.code, refused = u.refused,
                   outcome = CASE WHEN u.code IS NULL THEN $2::smallint ELSE c.outcome END
               FROM unnest($3::bigint[], $4::text[], $5::text[]) AS u (id, code, refused)
               WHERE c.merchant_id = $1 AND c.id = u.id""",
            w.merchant_id, int(Outcome.REFUSED), [row["id"] for row in group],
            [one.code for one in held], [one.reason for one in held],
        )  # fmt: skip


async def give(w: Any, registry: Any, parcel_id: int) -> None:
    """The parcel's customer has its codes from now on. Raises what the source raises."""
    for source, keys in await _keys(w, [parcel_id], Outcome.GIVEN):
        await give_codes(w, registry, source, keys)


async def take_back(w: Any, registry: Any, parcel_id: int) -> None:
    """The parcel was not packed: its codes are set aside again, as far as nobody has used them."""
    for source, keys in await _keys(w, [parcel_id], Outcome.GIVEN):
        await take_back_codes(w, registry, source, keys)


async def give_back(w: Any, registry: Any, parcel_ids: Sequence[int]) -> None:
    """Put back the codes of parcels whose inserts were released."""
    for source, keys in await _keys(w, parcel_ids, Outcome.RELEASED):
        await give_back_codes(w, registry, source, keys)


def key_of(choice_id: int) -> str:
    """What a choice's code is set aside for."""
    return f"packages:{choice_id}"


async def _keys(w: Any, parcel_ids: Sequence[int], outcome: Outcome) -> list[tuple[str, list[str]]]:
    """The sources of the parcels' own codes, each with their keys."""
    rows = await w.sql.fetch(
        """SELECT c.id, i.code_source FROM packages_choices c
           JOIN packages_inserts i ON i.merchant_id = $1 AND i.id = c.insert_id
           WHERE c.merchant_id = $1 AND c.parcel_id = ANY($2::bigint[]) AND c.outcome = $3
             AND c.code IS NOT NULL
           ORDER BY i.code_source, c.id""",
        w.merchant_id, list(parcel_ids), int(outcome),
    )  # fmt: skip
    return [
        (group[0]["code_source"], [key_of(row["id"]) for row in group])
        for group in _grouped(rows, "code_source")
    ]


def _grouped(rows: Sequence[Mapping[str, Any]], name: str) -> list[list[Mapping[str, Any]]]:
    return [list(group) for _, group in groupby(rows, lambda row: row[name])]
