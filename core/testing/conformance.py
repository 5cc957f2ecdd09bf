"""Checks that a plugin keeps the rules on which core and the other plugins rely."""

import importlib
from collections.abc import AsyncIterator, Iterator

from tortoise.models import Model

from core.installation import Installation
from core.registry import RegistryError
from core.schema.build import build_schema
from core.schema.lint import faults
from core.storage.database import SYSTEM

TABLES = """
    SELECT c.relname AS name,
           (SELECT a.attname FROM pg_index i
            JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
            WHERE i.indrelid = c.oid AND i.indisprimary) AS leader,
           EXISTS (SELECT 1 FROM pg_attribute a
                   WHERE a.attrelid = c.oid AND a.attname = 'customer_id') AS of_customers
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND n.nspname = 'public' AND starts_with(c.relname, $1)
    ORDER BY 1
"""


class PluginFault(AssertionError):
    """What a plugin does that it must not, a line for each."""


async def check_plugin(installation: Installation, name: str) -> None:
    """Look at a plugin as it is loaded beside the others, all of it at once.

    Raises PluginFault with every reason: it is left out; it uses hooks that will go; its part of
    the GraphQL schema breaks the conventions; its errors lack cause or cure; its tables are called
    otherwise or their key does not begin with the merchant; or one is about customers, and
    `personal_tables` does not tell what becomes of it on a merge, an export and an erasure.
    """
    registry = installation.registry
    if name in registry.broken:
        raise PluginFault(f"{name} {registry.broken[name]}")
    if name not in registry.manifests:
        raise PluginFault(f"no plugin {name} is installed here")
    found = list(registry.deprecated.get(name, ()))
    try:
        found += faults(build_schema(registry)._schema)
    except RegistryError as error:
        found.append(str(error))
    found += _errors(installation, name)
    found += [fault async for fault in _tables(installation, name)]
    if found:
        raise PluginFault("\n".join([f"the plugin {name} breaks rules:", *found]))


def _errors(installation: Installation, name: str) -> Iterator[str]:
    for code, owned in installation.registry.error_codes.items():
        for part in ("cause", "cure"):
            text = getattr(owned.value, part, "")
            if owned.plugin == name and not (text[:1].isupper() and text.endswith(".")):
                yield f"{code}: its {part} is a sentence for people"


async def _tables(installation: Installation, name: str) -> AsyncIterator[str]:
    registry = installation.registry
    models = registry.manifests[name].models
    if models is not None:
        for kind in vars(importlib.import_module(models)).values():
            if isinstance(kind, type) and issubclass(kind, Model) and kind is not Model:
                table = kind._meta.db_table
                if not table.startswith(f"{name}_"):
                    yield f"{table}: its tables are called {name}_..."
    personal = {owned.value.table for owned in registry.personal_tables.values()}
    async with installation.db.read(SYSTEM) as session:
        rows = await session.sql.fetch(TABLES, f"{name}_")
    for row in rows:
        if row["leader"] != "merchant_id":
            yield f"{row['name']}: its primary key begins with merchant_id"
        if row["of_customers"] and row["name"] not in personal:
            yield f"{row['name']}: it has a customer_id, so personal_tables tells of it"
