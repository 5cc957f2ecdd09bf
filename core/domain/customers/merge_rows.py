"""The rows of a merged customer: moved to the kept one, or taken out, and brought back.

Every statement goes over a whole table's rows of the customer. Each row that a merge touches is
logged in `customer_merge_moves`: one without content was moved, one with content was taken out
because the kept customer had the same already. A chain of merges logs a row once for each move.
"""

from collections.abc import Iterable, Sequence

from core.registry import Registry
from core.sdk.personal import PersonalTable
from core.storage.database import Work


def tables_to_move(registry: Registry) -> list[PersonalTable]:
    """The tables whose rows follow their customer, core's and the plugins'."""
    tables = (owned.value for owned in registry.personal_tables.values())
    return [table for table in tables if table.on_merge == "move" and table.parent is None]


async def move_rows(
    w: Work, tables: Iterable[PersonalTable], merge_id: int, into: int, from_: int
) -> None:
    """Give the rows of `from_` to `into`; what `into` has already is taken out and kept as JSON."""
    for table in tables:
        if table.restored:
            await w.sql.execute(_remember_sql(table), w.merchant_id, merge_id, [into, from_])
        if table.prefer:
            await w.sql.execute(_put_aside_sql(table), w.merchant_id, [into, from_], w.now)
        await w.sql.execute(_move_sql(table), w.merchant_id, merge_id, table.table, into, from_)


def _move_sql(table: PersonalTable) -> str:
    name, customer = table.table, table.customer
    if not table.unique:
        return f"""WITH moved AS (
                UPDATE {name} SET {customer} = $4 WHERE merchant_id = $1 AND {customer} = $5
                RETURNING id)
            INSERT INTO customer_merge_moves (merchant_id, merge_id, table_name, row_id)
            SELECT $1, $2::bigint, $3::text, id FROM moved"""
    return f"""WITH taken AS (
            DELETE FROM {name} r WHERE r.merchant_id = $1 AND r.{customer} = $5
                AND {has_same(table, "r", "$4")}
            RETURNING r.id, to_jsonb(r) AS content),
        moved AS (
            UPDATE {name} SET {customer} = $4
            WHERE merchant_id = $1 AND {customer} = $5 AND id NOT IN (SELECT id FROM taken)
            RETURNING id)
        INSERT INTO customer_merge_moves (merchant_id, merge_id, table_name, row_id, content)
        SELECT $1, $2::bigint, $3::text, id, content FROM taken
        UNION ALL SELECT $1, $2::bigint, $3::text, id, NULL FROM moved"""


def _remember_sql(table: PersonalTable) -> str:
    """What the present rows of both customers hold is logged beside the moves of the table."""
    values = ", ".join(f"'{column}', r.{column}" for column in table.restored)
    return f"""INSERT INTO customer_merge_moves
            (merchant_id, merge_id, table_name, row_id, content)
        SELECT $1, $2::bigint, '{table.table}.before', r.id, jsonb_build_object({values})
        FROM {table.table} r
        WHERE r.merchant_id = $1 AND r.{table.customer} = ANY($3::bigint[])
          AND r.{table.unique_while} IS NULL"""


def _restore_sql(table: PersonalTable) -> str:
    values = ", ".join(f"{column} = b.{column}" for column in table.restored)
    return f"""UPDATE {table.table} t SET {values}
        FROM customer_merge_moves m
        CROSS JOIN LATERAL jsonb_populate_record(NULL::{table.table}, m.content) b
        WHERE m.merchant_id = $1 AND m.merge_id = $2 AND m.table_name = '{table.table}.before'
          AND t.merchant_id = $1 AND t.id = m.row_id AND t.{table.customer} = ANY($3::bigint[])"""


def _put_aside_sql(table: PersonalTable) -> str:
    """Of the present rows of two customers that become one the best one stays present."""
    return f"""WITH ranked AS MATERIALIZED (
            SELECT r.id, row_number() OVER (ORDER BY {table.prefer}) AS place FROM {table.table} r
            WHERE r.merchant_id = $1 AND r.{table.customer} = ANY($2::bigint[])
              AND r.{table.unique_while} IS NULL)
        UPDATE {table.table} t SET {table.unique_while} = $3, {table.aside} = TRUE
        FROM ranked WHERE t.merchant_id = $1 AND t.id = ranked.id AND ranked.place > 1"""


def _open_again_sql(table: PersonalTable) -> str:
    """Customers without a present row get the best one that a merge had put aside."""
    name, customer, ended = table.table, table.customer, table.unique_while
    return f"""UPDATE {name} t SET {ended} = NULL, {table.aside} = FALSE
        FROM (SELECT DISTINCT ON (r.{customer}) r.id FROM {name} r
              WHERE r.merchant_id = $1 AND r.{customer} = ANY($2::bigint[]) AND r.{table.aside}
                AND NOT EXISTS (SELECT 1 FROM {name} p WHERE p.merchant_id = $1
                    AND p.{customer} = r.{customer} AND p.{ended} IS NULL)
              ORDER BY r.{customer}, {table.prefer}) best
        WHERE t.merchant_id = $1 AND t.id = best.id"""


def has_same(table: PersonalTable, row: str, customer: str) -> str:
    """SQL: whether another customer has a row with the unique values of `row`."""
    return f"""EXISTS (SELECT 1 FROM {table.table} kept WHERE kept.merchant_id = $1
        AND kept.{table.customer} = {customer} AND {same_row(table, "kept", row)})"""


def same_row(table: PersonalTable, one: str, other: str) -> str:
    """SQL: whether two rows could not belong to the same customer both."""
    same = [f"{one}.{column} = {other}.{column}" for column in table.unique]
    if table.unique_while:
        same += [f"{row}.{table.unique_while} IS NULL" for row in (one, other)]
    return " AND ".join(same)


async def move_back_rows(
    w: Work,
    tables: Iterable[PersonalTable],
    merge_id: int,
    later: Sequence[int],
    back: int,
    holder: int,
) -> None:
    """Undo `move_rows`: what the merge moved and took out belongs to `back` again.

    `holder` has the rows now. `later` are the merges of the same chain since: they no longer move
    rows that leave it, and give back those that they took out.
    """
    for table in tables:
        await w.sql.execute(
            _move_back_sql(table), w.merchant_id, merge_id, table.table, back, holder, list(later)
        )
        if table.unique:
            await w.sql.execute(
                _revive_sql(table), w.merchant_id, merge_id, table.table, back, holder
            )
        if table.prefer:
            await w.sql.execute(_open_again_sql(table), w.merchant_id, [back, holder])
        if table.restored:
            await w.sql.execute(_restore_sql(table), w.merchant_id, merge_id, [back, holder])


def _move_back_sql(table: PersonalTable) -> str:
    # arrays of ids, not joins: the planner knows nothing of how many rows a merge has moved
    name, customer = table.table, table.customer
    return f"""WITH mine AS MATERIALIZED (
            SELECT row_id, content FROM customer_merge_moves
            WHERE merchant_id = $1 AND merge_id = $2 AND table_name = $3),
        forgotten AS (
            DELETE FROM customer_merge_moves l
            WHERE l.merchant_id = $1 AND l.merge_id = ANY($6::bigint[]) AND l.table_name = $3
              AND l.row_id = ANY(ARRAY(SELECT row_id FROM mine WHERE content IS NULL))
            RETURNING l.content),
        restored AS (
            INSERT INTO {name}
            SELECT r.* FROM (SELECT content FROM mine UNION ALL SELECT content FROM forgotten) kept,
                jsonb_populate_record(NULL::{name}, kept.content
                    || jsonb_build_object('{customer}', $4::bigint)) r
            WHERE kept.content IS NOT NULL
            ON CONFLICT DO NOTHING)
        UPDATE {name} t SET {customer} = $4
        WHERE t.merchant_id = $1 AND t.{customer} = $5
          AND t.id = ANY(ARRAY(SELECT row_id FROM mine WHERE content IS NULL))"""


def _revive_sql(table: PersonalTable) -> str:
    """Rows that other merges took out only because of a row that has just left the holder.

    They come to the holder, as they would have without that row; the merges that their own was
    followed by count them as moved, too.
    """
    name, customer = table.table, table.customer
    columns = ", ".join(f"r.{column}" for column in table.unique)
    same = same_row(table, "gone", "r")
    return f"""WITH active AS MATERIALIZED (
            SELECT id FROM customer_merges
            WHERE merchant_id = $1 AND into_id = $5 AND undone_at IS NULL AND id <> $2),
        above AS MATERIALIZED (
            SELECT merge_id, row_id AS below FROM customer_merge_moves
            WHERE merchant_id = $1 AND merge_id IN (SELECT id FROM active)
              AND table_name = 'customer_merges'),
        gone AS MATERIALIZED (
            SELECT t.* FROM {name} t WHERE t.merchant_id = $1 AND t.{customer} = $4
              AND t.id = ANY(ARRAY(
                  SELECT row_id FROM customer_merge_moves WHERE merchant_id = $1
                     AND merge_id = $2 AND table_name = $3 AND content IS NULL))),
        revived AS MATERIALIZED (
            SELECT DISTINCT ON ({columns}) m.id, m.merge_id, m.row_id, m.content
            FROM customer_merge_moves m
            CROSS JOIN LATERAL jsonb_populate_record(NULL::{name}, m.content) r
            WHERE m.merchant_id = $1 AND m.merge_id IN (SELECT id FROM active)
              AND m.table_name = $3 AND m.content IS NOT NULL
              AND EXISTS (SELECT 1 FROM gone WHERE {same})
              AND NOT {has_same(table, "r", "$5")}
            ORDER BY {columns}, (SELECT count(*) FROM above WHERE below = m.merge_id), m.merge_id),
        restored AS (
            INSERT INTO {name}
            SELECT r.* FROM revived, jsonb_populate_record(NULL::{name}, revived.content
                || jsonb_build_object('{customer}', $5::bigint)) r
            ON CONFLICT DO NOTHING),
        moved AS (
            UPDATE customer_merge_moves m SET content = NULL FROM revived
            WHERE m.merchant_id = $1 AND m.id = revived.id)
        INSERT INTO customer_merge_moves (merchant_id, merge_id, table_name, row_id)
        SELECT $1, above.merge_id, $3, revived.row_id
        FROM revived JOIN above ON above.below = revived.merge_id"""
