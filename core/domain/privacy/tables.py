"""Which rows of which tables are about a person, by the tables' own descriptions."""

from collections.abc import Sequence

from core.registry import Registry
from core.sdk.personal import PersonalTable
from core.storage.database import Session

BYTES_AS_JSON = "\\x"
"""How PostgreSQL begins bytes in JSON; hexadecimal digits follow."""


def personal_tables(registry: Registry) -> list[PersonalTable]:
    """Core's tables and the plugins', in the order in which they were declared."""
    return [owned.value for owned in registry.personal_tables.values()]


def belongs(tables: Sequence[PersonalTable], table: PersonalTable) -> str:
    """SQL: whether a row `t` of a table is about one of the customers $2, of the merchant $1."""
    if table.parent is None:
        return f"t.{table.customer} = ANY($2::bigint[])"
    column, parent = table.parent
    owner = next(one for one in tables if one.table == parent)
    return (
        f"t.{column} IN (SELECT t.id FROM {parent} t "
        f"WHERE t.merchant_id = $1 AND {belongs(tables, owner)})"
    )


def children_first(tables: Sequence[PersonalTable]) -> list[PersonalTable]:
    """The tables in an order in which none comes after the one that it belongs to."""
    by_table = {table.table: table for table in tables}

    def depth(table: PersonalTable) -> int:
        return 0 if table.parent is None else 1 + depth(by_table[table.parent[1]])

    return sorted(tables, key=depth, reverse=True)


async def family(session: Session, customer_id: int) -> list[int]:
    """The customer and all who were merged into it, and into those."""
    rows = await session.sql.fetch(
        """WITH RECURSIVE family (id) AS (
               SELECT $2::bigint
               UNION
               SELECT m.from_id FROM customer_merges m JOIN family f ON m.into_id = f.id
               WHERE m.merchant_id = $1 AND m.undone_at IS NULL)
           SELECT id FROM family ORDER BY id""",
        session.merchant_id, customer_id,
    )  # fmt: skip
    return [row["id"] for row in rows]


async def known_addresses(session: Session, ids: Sequence[int]) -> list[bytes]:
    """Blind indexes of every phone number and email address known of these customers.

    Earlier ones that a merge or an import put aside count too.
    """
    rows = await session.sql.fetch(
        """WITH moves AS (
               SELECT v.table_name, v.content, m.filled FROM customer_merges m
               LEFT JOIN customer_merge_moves v
                   ON v.merchant_id = m.merchant_id AND v.merge_id = m.id
               WHERE m.merchant_id = $1 AND m.into_id = ANY($2::bigint[]) AND m.undone_at IS NULL),
           texts (value) AS (
               SELECT value FROM customer_identities
               WHERE merchant_id = $1 AND customer_id = ANY($2::bigint[])
                 AND kind IN ('phone', 'email')
               UNION ALL
               SELECT content ->> 'value' FROM moves
               WHERE table_name = 'customer_identities'
                 AND content ->> 'kind' IN ('phone', 'email')
               UNION ALL
               SELECT substr(kept.index, 3) FROM moves, LATERAL (VALUES
                   (CASE WHEN table_name = 'customers' THEN content ->> 'phone_index' END),
                   (CASE WHEN table_name = 'customers' THEN content ->> 'email_index' END),
                   (filled -> 'phone_index' ->> 0), (filled -> 'phone_index' ->> 1),
                   (filled -> 'email_index' ->> 0), (filled -> 'email_index' ->> 1)
               ) AS kept (index)
               UNION ALL
               SELECT substr(kept.index, 3) FROM import_changes i, LATERAL (VALUES
                   (i.before ->> 'phone_index'), (i.before ->> 'email_index')) AS kept (index)
               WHERE i.merchant_id = $1 AND i.customer_id = ANY($2::bigint[]))
           SELECT phone_index AS index FROM customers
           WHERE merchant_id = $1 AND id = ANY($2::bigint[]) AND phone_index IS NOT NULL
           UNION
           SELECT email_index FROM customers
           WHERE merchant_id = $1 AND id = ANY($2::bigint[]) AND email_index IS NOT NULL
           UNION
           SELECT CASE WHEN value ~ '^([0-9a-f]{2})+$' THEN decode(value, 'hex') END FROM texts
           WHERE value ~ '^([0-9a-f]{2})+$'
           ORDER BY 1""",
        session.merchant_id, list(ids),
    )  # fmt: skip
    return [row["index"] for row in rows]
