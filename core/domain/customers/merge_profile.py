"""What a merge writes into the kept customer's own row: only what it lacks, and back again.

Phone and email are sealed for their row, so they are opened and sealed anew. A place is one thing:
another customer's city never joins this one's province.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from core.domain.customers.contacts import seal_email, seal_phone
from core.domain.customers.merge_consent import Kept
from core.storage.database import Session, Work

Row = Mapping[str, Any]
Filled = dict[str, list[Any]]
"""Column -> [before, after], as JSON; of a contact it names the index column alone."""

CONTACTS = {"phone": seal_phone, "email": seal_email}
TYPES = {"birthday": "date", "phone_sealed": "bytea", "phone_index": "bytea",
         "email_sealed": "bytea", "email_index": "bytea"}  # fmt: skip


def gaps(into: Row, from_: Row) -> list[str]:
    """The columns that the kept customer lacks and the other has."""
    columns = ["name", "birthday", "phone_index", "email_index"]
    same_country = into["country"] in (None, from_["country"])
    if into["province"] is None and into["city"] is None and same_country:
        columns += ["country", "province", "city"]
    return [column for column in columns if into[column] is None and from_[column] is not None]


def kept_addresses(into: Row, from_: Row) -> dict[str, Kept]:
    """For phone and email, whose the merged customer has."""
    return {kind: _kept(into[f"{kind}_index"], from_[f"{kind}_index"]) for kind in CONTACTS}


def _kept(own: object, other: object) -> Kept:
    if own is None:
        return "none" if other is None else "from"
    return "both" if own == other else "into"


async def fill(w: Work, into: Row, from_: Row) -> Filled:
    """Fill the kept customer's gaps; returns what was written.

    `from_` may be a row that was taken out, as long as its values have their types.
    """
    filled: Filled = {}
    values: dict[str, Any] = {}
    for column in gaps(into, from_):
        values[column] = from_[column]
        filled[column] = [None, as_json(from_[column])]
        kind = column.removesuffix("_index")
        if kind in CONTACTS:
            values[f"{kind}_sealed"] = _sealed_anew(w, kind, from_, into["id"])
    await _set(w, into["id"], values)
    return filled


def _sealed_anew(w: Session, kind: str, from_: Row, customer_id: int) -> bytes:
    place = f"customers.{kind}|{w.merchant_id}|{from_['id']}"
    value = w.keyring.open(from_[f"{kind}_sealed"], place)
    return CONTACTS[kind](w.keyring, w.merchant_id, customer_id, value)


async def _set(w: Work, customer_id: int, values: Mapping[str, Any]) -> None:
    sets = "".join(f", {column} = ${number}" for number, column in enumerate(values, 4))
    await w.sql.execute(
        f"""UPDATE customers SET version = version + 1, updated_at = $3{sets}
            WHERE merchant_id = $1 AND id = $2""",
        w.merchant_id, customer_id, w.now, *values.values(),
    )  # fmt: skip


def as_json(value: Any) -> Any:
    """A column's value as `to_jsonb` writes it."""
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    return value if value is None or isinstance(value, str) else value.isoformat()


async def take_back(w: Work, chain: Sequence[Row], holder: Row) -> None:
    """Empty again what a merge filled, wherever it went since, unless it was changed.

    `chain` is the merge, and those by which its kept customer came to `holder`: the value is in
    the rows that they took out, and in what they filled in turn.
    """
    contents = {row["id"]: await _content(w, row["id"]) for row in chain[1:]}
    fills = {row["id"]: filled_of(row) for row in chain[1:]}
    empty = []
    for column, (_, after) in filled_of(chain[0]).items():
        for row in chain[1:]:
            content, filled = contents[row["id"]], fills[row["id"]]
            if content.get(column) != after:
                break
            content |= dict.fromkeys(_columns_of(column))
            if filled.get(column, [None, None])[1] != after:
                break
            del filled[column]
        else:
            if as_json(holder[column]) == after:
                empty.append(column)
    await _set(w, holder["id"], {name: None for column in empty for name in _columns_of(column)})
    for row in chain[1:]:
        await _store(w, row["id"], contents[row["id"]], fills[row["id"]])


async def keep_anew(w: Work, merge: Row, holder_id: int) -> None:
    """Say anew whose address each merge into the holder kept, now that `merge` is undone.

    What it had filled stood in the way of those after it: they found an address in the kept
    customer that was another's. Of kinds that it did not fill, what they said stays.
    """
    kinds = [kind for kind in CONTACTS if f"{kind}_index" in filled_of(merge)]
    rows = await w.sql.fetch(
        """SELECT g.id, g.from_id, g.filled, g.marks, m.content,
                  (SELECT min(o.merge_id) FROM customer_merge_moves o
                   WHERE o.merchant_id = $1 AND o.table_name = 'customer_merges'
                     AND o.row_id = g.id) AS taken_by
           FROM customer_merges g JOIN customer_merge_moves m ON m.merchant_id = $1
                AND m.merge_id = g.id AND m.table_name = 'customers'
           WHERE g.merchant_id = $1 AND g.into_id = $2 AND g.undone_at IS NULL ORDER BY g.id""",
        w.merchant_id, holder_id,
    ) if kinds else []  # fmt: skip
    if not rows:
        return
    holder = await _row(w, "id = $2", holder_id)
    from_of = {row["id"]: row["from_id"] for row in rows}
    merges: dict[int, list[Row]] = {}
    for row in rows:
        merges.setdefault(from_of.get(row["taken_by"], holder_id), []).append(row)
    contents = {row["from_id"]: orjson.loads(row["content"]) for row in rows}
    contents[holder_id] = {name: as_json(holder[name]) for name in TYPES if name in holder}
    marks = {row["id"]: orjson.loads(row["marks"] or "{}") for row in rows}

    def address(customer_id: int, column: str, kind: str) -> str | None:
        """What a customer has with those merged into it."""
        own: str | None = contents[customer_id][column]
        into = merges.get(customer_id, [])
        if any(filled_of(one).get(column, [None, None])[1] == own for one in into):
            own = None
        for one in into:
            other = address(one["from_id"], column, kind)
            marks[one["id"]][kind] = _kept(own, other)
            own = other if own is None else own
        return own

    for kind in kinds:
        address(holder_id, f"{kind}_index", kind)
    await w.sql.execute(
        """UPDATE customer_merges g SET marks = u.marks
           FROM unnest($2::bigint[], $3::jsonb[]) AS u (id, marks)
           WHERE g.merchant_id = $1 AND g.id = u.id""",
        w.merchant_id, list(marks), [orjson.dumps(one).decode() for one in marks.values()],
    )  # fmt: skip


async def refill(w: Work, customer_id: int) -> None:
    """Fill gaps from the customers that are still merged into this one, the first of them first."""
    for merge in await w.sql.fetch(
        """SELECT g.* FROM customer_merges g
           WHERE g.merchant_id = $1 AND g.into_id = $2 AND g.undone_at IS NULL
             AND NOT EXISTS (
                 SELECT 1 FROM customer_merge_moves m JOIN customer_merges above
                   ON above.merchant_id = m.merchant_id AND above.id = m.merge_id
                 WHERE m.merchant_id = $1 AND above.into_id = $2 AND above.undone_at IS NULL
                   AND m.table_name = 'customer_merges' AND m.row_id = g.id)
           ORDER BY g.id""",
        w.merchant_id, customer_id,
    ):  # fmt: skip
        into = await _row(w, "id = $2", customer_id)
        other = await w.sql.fetchrow(
            """SELECT r.* FROM customer_merge_moves m,
                   jsonb_populate_record(NULL::customers, m.content) r
               WHERE m.merchant_id = $1 AND m.merge_id = $2 AND m.table_name = 'customers'""",
            w.merchant_id, merge["id"],
        )  # fmt: skip
        if other is not None and gaps(into, other):
            filled = filled_of(merge) | await fill(w, into, other)
            await _store(w, merge["id"], None, filled)


async def _row(w: Work, condition: str, value: Any) -> Row:
    row: Row = await w.sql.fetchrow(
        f"SELECT * FROM customers WHERE merchant_id = $1 AND {condition}", w.merchant_id, value
    )
    return row


def _columns_of(column: str) -> list[str]:
    kind = column.removesuffix("_index")
    return [column, f"{kind}_sealed"] if kind in CONTACTS else [column]


def filled_of(merge: Row) -> Filled:
    """What a merge wrote into the kept customer's row."""
    filled: Filled = orjson.loads(merge["filled"])
    return filled


async def _content(w: Work, merge_id: int) -> dict[str, Any]:
    text = await w.sql.fetchval(
        """SELECT content FROM customer_merge_moves
           WHERE merchant_id = $1 AND merge_id = $2 AND table_name = 'customers'""",
        w.merchant_id, merge_id,
    )  # fmt: skip
    content: dict[str, Any] = orjson.loads(text)
    return content


async def _store(w: Work, merge_id: int, content: Mapping[str, Any] | None, filled: Filled) -> None:
    await w.sql.execute(
        "UPDATE customer_merges SET filled = $3 WHERE merchant_id = $1 AND id = $2",
        w.merchant_id, merge_id, orjson.dumps(filled).decode(),
    )  # fmt: skip
    if content is not None:
        await w.sql.execute(
            """UPDATE customer_merge_moves SET content = $3
               WHERE merchant_id = $1 AND merge_id = $2 AND table_name = 'customers'""",
            w.merchant_id, merge_id, orjson.dumps(content).decode(),
        )  # fmt: skip
