"""What the planner knows of tables that a moment ago had far fewer rows.

The server looks at a table again within a minute or so; until then it plans for the table that
was, and may take a hundred times as long for a statement about the one that is.
"""

import logging

import asyncpg

from core.storage.database import Database

logger = logging.getLogger(__name__)

MANY = 5_000
"""So many new rows make a table another one."""


async def look_again(db: Database, merchant_id: int, rows: int, *tables: str) -> None:
    """Have the planner look at tables that got so many rows, if that is many."""
    if rows < MANY:
        return
    try:
        async with db.read(merchant_id) as session:
            await session.sql.execute(f"ANALYZE {', '.join(tables)}")
    except asyncpg.PostgresError as error:
        logger.info("cannot look at %s again: %s", ", ".join(tables), error)
