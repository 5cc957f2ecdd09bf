"""Every table of a merchant's data is keyed by merchant first: that keeps merchants apart."""

from core.installation import model_apps
from tests.tables import tables_of

OWN = {"merchants", "system", "tortoise_migrations"}

TABLES = """
    SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND n.nspname = 'public' ORDER BY 1
"""

KEYS = """
    SELECT c.relname AS tablename, i.indexrelid::regclass::text AS key,
           i.indisprimary AS is_primary, a.attname AS first_column,
           a.attnotnull AS never_null
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
    WHERE n.nspname = 'public' AND i.indisunique
"""


async def ask(installation, statement):
    async with installation.db.read(0) as session:
        return await session.sql.fetch(statement)


async def test_every_table_of_a_merchants_data_has_a_key_that_starts_with_the_merchant(
    installation,
):
    tables = {row["relname"] for row in await ask(installation, TABLES)} - OWN
    assert {"customers", "orders", "deliveries", "jobs", "outbox_events"} <= tables
    keys = await ask(installation, KEYS)
    with_primary = {row["tablename"] for row in keys if row["is_primary"]}
    assert tables - with_primary == set()
    wrong = [
        (row["tablename"], row["key"]) for row in keys
        if row["tablename"] in tables
        and not (row["first_column"] == "merchant_id" and row["never_null"])
    ]  # fmt: skip
    assert wrong == []


async def test_a_plugins_tables_bear_its_name(installation):
    tables = {row["relname"] for row in await ask(installation, TABLES)} - OWN
    core = tables_of(model_apps(installation.registry)["core"])
    plugins = tuple(f"{name}_" for name in installation.registry.manifests)
    assert {name for name in tables - core if not name.startswith(plugins)} == set()
