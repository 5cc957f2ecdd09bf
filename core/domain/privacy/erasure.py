"""Erasing a person: everything but the suppressed addresses' hashes and the audit log.

It is one transaction, since a person is small. What stays of orders and messages are figures
without the person.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from core.domain.campaigns.ledger import close_erased
from core.domain.customers.customers import get_customer
from core.domain.customers.identify import lock_customers
from core.domain.customers.suppressions import suppress
from core.domain.privacy import export
from core.domain.privacy.tables import (
    belongs,
    children_first,
    family,
    known_addresses,
    personal_tables,
)
from core.registry import Registry
from core.sdk.errors import NotFound, WrongState
from core.sdk.events import CustomerErased
from core.sdk.personal import PersonalTable
from core.storage import jobs
from core.storage.database import Database, Session, Work
from core.storage.jobs import Job

KIND = "customer.erase"
REASONS = ("on_request", "consent_withdrawn", "purpose_ended", "unlawful", "legal_duty")
"""Why a person is erased; a choice, so that no text about the person outlives them."""


@dataclass(frozen=True)
class TablePreview:
    """How many rows of a table are about the person, and what happens to them."""

    name: str
    title: str
    rows: int
    action: str


@dataclass(frozen=True)
class ErasePreview:
    """What an erasure would do: `customers` were merged into one, `addresses` are suppressed."""

    customers: int
    addresses: int
    open_messages: int
    tables: list[TablePreview]


async def start_erasure(w: Work, customer_id: int, reason: str) -> int:
    """Hand a customer's erasure to the workers; returns the job.

    Raises NotFound; WrongState for a customer who was merged into another.
    """
    assert reason in REASONS
    await _check(w, customer_id)
    params = {"customer_id": customer_id, "reason": reason}
    job_id = await jobs.enqueue(w, KIND, params)
    w.audit("customer.erase_requested", {"customer": customer_id, "reason": reason, "job": job_id})
    return job_id


async def preview_erasure(session: Session, registry: Registry, customer_id: int) -> ErasePreview:
    """Count what an erasure would find. Raises NotFound, WrongState."""
    await _check(session, customer_id)
    tables = personal_tables(registry)
    ids = await family(session, customer_id)
    counted = []
    for table in tables:
        rows = await session.sql.fetchval(
            f"""SELECT count(*) FROM {table.table} t
                WHERE t.merchant_id = $1 AND {belongs(tables, table)}""",
            session.merchant_id, ids,
        )  # fmt: skip
        counted.append(TablePreview(table.name, table.title, rows, table.erase))
    open_messages = await session.sql.fetchval(
        """SELECT count(*) FROM deliveries WHERE merchant_id = $1
              AND customer_id = ANY($2::bigint[]) AND state IN ('pending', 'sending')""",
        session.merchant_id, ids,
    )  # fmt: skip
    addresses = await known_addresses(session, ids)
    return ErasePreview(len(ids), len(addresses), open_messages, counted)


async def _check(session: Session, customer_id: int) -> None:
    await get_customer(session, customer_id)
    into = await session.sql.fetchval(
        """SELECT into_id FROM customer_merges
           WHERE merchant_id = $1 AND from_id = $2 AND undone_at IS NULL""",
        session.merchant_id, customer_id,
    )  # fmt: skip
    if into is not None:
        raise WrongState(f"the customer became part of customer {into}: erase that one", ("id",))


class CustomerErasure:
    """The job kind "customer.erase". Doing it again finds nothing left, and is no error."""

    name = KIND

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def run(self, db: Database, job: Job) -> dict[str, Any]:
        """Erase, then look once more for what transactions wrote that were under way."""
        tables = personal_tables(self._registry)
        if "ids" not in job.checkpoint:
            async with job.step(db) as w:
                ids, counts = await self._erase(w, job)
                job.checkpoint = {"ids": ids, "rows": counts}
        async with job.step(db) as w:
            await lock_customers(w)
            await _erase_rows(w, tables, job.checkpoint["ids"])
        return {"rows": job.checkpoint["rows"]}

    async def _erase(self, w: Work, job: Job) -> tuple[list[int], dict[str, int]]:
        return await erase_customer(
            w, self._registry, job.params["customer_id"], job.params["reason"]
        )


async def erase_customer(
    w: Work, registry: Registry, customer_id: int, reason: str
) -> tuple[list[int], dict[str, int]]:
    """Erase one person; returns the ids that he had, and how many rows that touched, by table.

    One who is gone already is no error. Raises WrongState for somebody merged into another.
    """
    await lock_customers(w)
    try:
        await _check(w, customer_id)
    except NotFound:
        return [customer_id], {}
    ids = await family(w, customer_id)
    await close_erased(w, ids)
    for index in await known_addresses(w, ids):
        for channel in sorted(registry.channels):
            await suppress(w, channel, index, "erased")
    counts = await _erase_rows(w, personal_tables(registry), ids)
    w.emit(CustomerErased(customer_id))
    w.audit("customer.erased", {"customer": customer_id, "reason": reason, "rows": counts})
    return ids, counts


async def _erase_rows(
    w: Work, tables: Sequence[PersonalTable], ids: Sequence[int]
) -> dict[str, int]:
    """Treat each table as it is declared; returns how many rows that touched, by table."""
    # what is otherwise only ever added to may be erased in this transaction
    await w.sql.execute("SET LOCAL huike.erasing = 'on'")
    await _drop_exports(w, ids)
    counts = {}
    for table in children_first(tables):
        if table.erase == "keep":
            continue
        args: list[Any] = [w.merchant_id, list(ids)]
        if table.erase == "delete":
            statement = f"DELETE FROM {table.table} t"
        else:
            sets = [f"{column} = NULL" for column in table.blank]
            if table.stamp is not None:
                sets.append(f"{table.stamp} = $3")
                args.append(w.now)
            statement = f"UPDATE {table.table} t SET {', '.join(sets)}"
        done: str = await w.sql.execute(
            f"{statement} WHERE t.merchant_id = $1 AND {belongs(tables, table)}", *args
        )
        counts[table.name] = int(done.rpartition(" ")[2])
    counts["merges"] = counts.get("merges", 0) + await _erase_merges(w, ids)
    return {name: count for name, count in counts.items() if count}


async def _erase_merges(w: Work, ids: Sequence[int]) -> int:
    """Forget merges and suggestions of the person: they hold copies of rows, and evidence."""
    await w.sql.execute(
        """DELETE FROM customer_merge_moves v USING customer_merges m
           WHERE v.merchant_id = $1 AND m.merchant_id = $1 AND m.id = v.merge_id
             AND (m.into_id = ANY($2::bigint[]) OR m.from_id = ANY($2::bigint[]))""",
        w.merchant_id, list(ids),
    )  # fmt: skip
    await w.sql.execute(
        """DELETE FROM merge_suggestions WHERE merchant_id = $1
              AND (first_id = ANY($2::bigint[]) OR second_id = ANY($2::bigint[]))""",
        w.merchant_id, list(ids),
    )  # fmt: skip
    done: str = await w.sql.execute(
        """DELETE FROM customer_merges WHERE merchant_id = $1
              AND (into_id = ANY($2::bigint[]) OR from_id = ANY($2::bigint[]))""",
        w.merchant_id, list(ids),
    )  # fmt: skip
    return int(done.rpartition(" ")[2])


async def _drop_exports(w: Work, ids: Sequence[int]) -> None:
    """Forget the files of the person's data exports, and end those that are under way."""
    rows = await w.sql.fetch(
        """SELECT id, state FROM jobs WHERE merchant_id = $1 AND kind = $3
              AND params ? 'customer_id' AND params ->> 'customer_id' = ANY($2::text[])""",
        w.merchant_id, [str(one) for one in ids], export.KIND,
    )  # fmt: skip
    for row in rows:
        if row["state"] in ("queued", "running"):
            with contextlib.suppress(WrongState):  # it ended just now
                await jobs.cancel(w, row["id"])
    await jobs.drop_files(w, [row["id"] for row in rows])
