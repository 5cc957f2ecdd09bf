"""Codes in stock: made beforehand for print, or imported from elsewhere."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any

import asyncpg

from core.domain.shops.kept_files import keep_file
from core.sdk import Faults, HuikeError, InvalidInput, Several
from core.tabular.writing import WRITERS
from plugins.coupons.codes import MAX_CODE, make_codes, normal
from plugins.coupons.issuing import tell_low_stock
from plugins.coupons.templates import hold_template

CHUNK = 50_000
MAX_MADE = 100_000
MAX_IMPORTED = 100_000
MAX_FILED = 1_000_000
FILE = "coupons.file"
RIGHTS = ("COUPONS_WRITE",)
"""What whoever fetches a file of codes needs: who has a code can use it."""

INSERT = """INSERT INTO coupons_coupons (merchant_id, template_id, state, transferred, unused_told,
        code, shown)
    SELECT $1, $2, 'stock', 0, FALSE, u.* FROM unnest($3::text[], $4::text[]) u
    ON CONFLICT (merchant_id, code) DO NOTHING"""
COLUMNS = ("merchant_id", "template_id", "state", "transferred", "unused_told", "code")


@dataclass(frozen=True)
class Imported:
    """What became of given codes: taken in, or there already; and those that are none."""

    added: int
    known: int
    errors: Sequence[HuikeError] = ()


async def fill(w: Any, template_id: int, count: int) -> None:
    """Make so many codes of our own and keep them in stock. Raises NotFound, InvalidInput,
    Several.
    """
    faults = Faults()
    if not 0 < count <= MAX_MADE:
        faults.wrong(f"make 1 to {MAX_MADE} codes at once", "count")
    with faults:
        template = await hold_template(w, template_id, ("input", "templateId"))
        if template.source != "own":
            raise InvalidInput("only templates with own codes get such", ("input", "templateId"))
    faults.tell()
    for place in range(0, count, CHUNK):
        await _copy(w, template_id, min(CHUNK, count - place))
    await tell_low_stock(w, template)
    w.audit("coupons.codes_made", {"template": template_id, "count": count})


async def take_in(
    w: Any, template_id: int, codes: Sequence[str], *, go_on: bool = False
) -> Imported:
    """Add codes that were made elsewhere to a pool; those that are there already stay one.

    With `go_on` those that are no codes are left out. Raises NotFound, InvalidInput, Several.
    """
    faults = Faults()
    if not 0 < len(codes) <= MAX_IMPORTED:
        faults.wrong(f"give 1 to {MAX_IMPORTED} codes at once", "codes")
    with faults:
        template = await hold_template(w, template_id, ("input", "templateId"))
        if template.source != "pool":
            raise InvalidInput("only pools take codes in", ("input", "templateId"))
    unique: dict[str, str] = {}
    errors: list[HuikeError] = []
    for place, text in enumerate(codes[:MAX_IMPORTED]):
        code = normal(text)
        if not 3 <= len(code) <= MAX_CODE or not code.isprintable():
            path = ("input", "codes", str(place))
            errors.append(InvalidInput(f"a code has 3 to {MAX_CODE} characters", path))
        else:
            unique.setdefault(code, text.strip())
    if errors and not go_on:
        with faults:
            raise Several(errors)
    faults.tell()
    names = list(unique)
    shown = [None if unique[code] == code else unique[code] for code in names]
    status = await w.sql.execute(INSERT, w.merchant_id, template_id, names, shown)
    added = int(status.rpartition(" ")[2])
    await tell_low_stock(w, template)
    w.audit("coupons.codes_imported", {"template": template_id, "count": added})
    return Imported(added, len(codes) - len(errors) - added, errors)


async def keep_codes(w: Any, template_id: int) -> int | None:
    """Make a CSV file of a template's codes in stock, the oldest first; returns the job that holds
    it, None if there are none. Raises NotFound."""
    await hold_template(w, template_id, ("input", "templateId"))
    rows = await w.sql.fetch(
        """SELECT COALESCE(shown, code) AS code FROM coupons_coupons
           WHERE merchant_id = $1 AND template_id = $2 AND state = 'stock' ORDER BY id LIMIT $3""",
        w.merchant_id, template_id, MAX_FILED,
    )  # fmt: skip
    if not rows:
        return None
    writer = WRITERS["csv"](("code",), UTC)
    cells = [(row["code"],) for row in rows]
    data = writer.head() + await asyncio.to_thread(writer.rows, cells)
    w.audit("coupons.codes_filed", {"template": template_id, "count": len(rows)})
    return await keep_file(w, FILE, f"codes-{template_id}.csv", "text/csv", data, RIGHTS)


async def _copy(w: Any, template_id: int, count: int) -> None:
    """Put new codes in stock, by COPY: it takes a third of the time of INSERT."""
    while True:
        # in order, neighbours share pages of the index
        codes = sorted(await asyncio.to_thread(make_codes, count))
        rows = ((w.merchant_id, template_id, "stock", 0, False, code) for code in codes)
        try:
            async with w.sql.transaction():
                await w.sql.copy_records_to_table("coupons_coupons", records=rows, columns=COLUMNS)
        except asyncpg.UniqueViolationError:
            continue  # one of them is there already, which never happens: all are made anew
        return
