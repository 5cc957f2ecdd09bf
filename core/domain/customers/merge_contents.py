"""Encryption of the rows that merges have taken out, renewed as it is in their own tables."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from core.sdk.personal import PersonalTable
from core.storage.database import Work


async def reseal_contents(
    w: Work, tables: Iterable[PersonalTable], after: int, limit: int
) -> tuple[int, int]:
    """Seal the values in up to `limit` rows with the primary key, from the row after `after` on.

    Returns the last row's id and how many rows were looked at; 0 of them means the end.
    """
    sealed = {table.table: table.sealed for table in tables if table.sealed}
    rows = await w.sql.fetch(
        """SELECT id, table_name, content FROM customer_merge_moves
           WHERE merchant_id = $1 AND id > $2 AND content IS NOT NULL
             AND table_name = ANY($3::text[])
           ORDER BY id LIMIT $4 FOR UPDATE""",
        w.merchant_id, after, list(sealed), limit,
    )  # fmt: skip
    if not rows:
        return after, 0
    contents = [
        orjson.dumps(_resealed(w, orjson.loads(row["content"]), sealed[row["table_name"]])).decode()
        for row in rows
    ]
    await w.sql.execute(
        """UPDATE customer_merge_moves m SET content = u.content
           FROM unnest($2::bigint[], $3::jsonb[]) AS u (id, content)
           WHERE m.merchant_id = $1 AND m.id = u.id""",
        w.merchant_id, [row["id"] for row in rows], contents,
    )  # fmt: skip
    return rows[-1]["id"], len(rows)


def _resealed(w: Work, content: dict[str, Any], sealed: Mapping[str, str]) -> dict[str, Any]:
    for column, place in sealed.items():
        text = content.get(column)
        if text is not None:
            at = f"{place}|{w.merchant_id}|{content['id']}"
            value = w.keyring.open_bytes(bytes.fromhex(text.removeprefix("\\x")), at)
            content[column] = "\\x" + w.keyring.seal_bytes(value, at).hex()
    return content
