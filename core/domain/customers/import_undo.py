"""Taking an import of customers back: a job that goes through what the import did to each one.

A customer that the import made is deleted if nothing else refers to it and nobody changed it
since. A customer that it changed gets back what the import overwrote, if nobody changed it since.
Tags, ids, values of custom fields and words of consent that the import brought are taken back; the
log of consent is appended to, never shortened. What is kept is told with the reason.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from core.domain.customers import importing
from core.domain.customers.consent import MARKETING
from core.domain.customers.contacts import seal_email, seal_phone
from core.domain.customers.identify import lock_customers
from core.domain.customers.import_fields import unpacked, write_values
from core.domain.customers.intake import append_words, old_value
from core.domain.customers.log import log_event
from core.registry import Registry
from core.sdk.errors import NotFound, WrongState
from core.sdk.personal import PersonalTable
from core.storage import jobs
from core.storage.database import Database, Work
from core.storage.jobs import Job
from core.storage.keyring import SealError
from core.tabular.bulk import LocalRun, RejectedRow, run_local, store_rejects

KIND = "customers.import_undo"
CHUNK = 500

REASONS = {
    "CHANGED_SINCE": "the customer was changed after the import",
    "IN_USE": "orders, messages, notes or other data refer to the customer",
    "MERGED": "the customer was merged with another one",
    "GONE": "the customer is no longer there",
    "KEY_GONE": "the old phone or email was sealed with a key that the keyring no longer holds",
}

OF_THE_IMPORT = {
    "customer_identities": "source = $3",
    "customer_tags": "source = $3",
    "custom_field_values": "source = $3",
    "consent_events": "actor = $4",
    "consents": "TRUE",
    "customer_log": "actor = $4",
    "import_changes": "job_id = $5",
}
"""Rows about a customer that the import itself wrote; any other row keeps the customer."""


@dataclass
class UndoAccount:
    """What became of the import's customers: deleted + restored + kept, and why kept."""

    deleted: int = 0
    restored: int = 0
    kept: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def keep(self, reason: str) -> None:
        self.kept += 1
        self.reasons[reason] += 1


@dataclass(frozen=True)
class Change:
    """A row of import_changes with the customer's present version, None if it is gone."""

    id: int
    customer_id: int
    before: Mapping[str, Any] | None
    after_version: int
    version: int | None
    merged: bool


async def start_undo(w: Work, job_id: int) -> int:
    """Have an import taken back by a job, in this transaction; returns that job's id.

    Raises NotFound without such an import, WrongState while it runs.
    """
    await check_undo(w, job_id)
    total = await w.sql.fetchval(
        "SELECT count(*) FROM import_changes WHERE merchant_id = $1 AND job_id = $2",
        w.merchant_id, job_id,
    )  # fmt: skip
    undo_id = await jobs.enqueue(w, KIND, {"job_id": job_id}, total)
    w.audit("import.undone", {"import": job_id, "job": undo_id})
    return undo_id


async def check_undo(w: Work, job_id: int) -> None:
    """Raises NotFound unless the job is an import of customers, WrongState while it runs."""
    row = await jobs.get(w, job_id)
    if row["kind"] != importing.KIND:
        raise NotFound("the job is no import of customers", ("id",))
    if row["state"] in ("queued", "running"):
        raise WrongState("the import has not ended: cancel it first", ("id",))


async def undo_local(db: Database, registry: Registry, merchant_id: int, job_id: int) -> LocalRun:
    """Take an import back in this process. Raises what `start_undo` does, and WrongState."""
    async with db.work(merchant_id) as w:
        await check_undo(w, job_id)
    busy = WrongState("another process is taking this import back", ("id",))
    kind = CustomerImportUndo(registry)
    return await run_local(db, merchant_id, kind, {"job_id": job_id}, job_id % 2**28, busy)


class CustomerImportUndo:
    """The job kind "customers.import_undo"; its param `job_id` is the import."""

    name = KIND

    def __init__(self, registry: Registry) -> None:
        self._tables = [
            owned.value for owned in registry.personal_tables.values() if not owned.value.parent
        ]

    async def run(self, db: Database, job: Job) -> dict[str, Any]:
        """Undo what is left to undo; the result is its account."""
        stored = job.checkpoint.get("account", {})
        account = UndoAccount(**{**stored, "reasons": Counter(stored.get("reasons", {}))})
        while await self._step(db, job, account):
            pass
        return {**asdict(account), "reasons": dict(account.reasons)}

    async def _step(self, db: Database, job: Job, account: UndoAccount) -> bool:
        undone: int = job.params["job_id"]
        async with job.step(db) as w:
            await lock_customers(w)
            changes = await _changes(w, undone, job.checkpoint.get("last"))
            if not changes:
                return False
            undo = _Undo(w, undone, job.id, account)
            await undo.delete([c for c in changes if c.before is None], self._tables)
            await undo.restore([c for c in changes if c.before is not None])
            await undo.finish()
            job.done += len(changes)
            job.failed = account.kept
            job.checkpoint = {
                "last": changes[-1].id,
                "account": {**asdict(account), "reasons": dict(account.reasons)},
            }
        return True


async def _changes(w: Work, job_id: int, before: int | None) -> list[Change]:
    rows = await w.sql.fetch(
        """SELECT i.id, i.customer_id, i.before, i.after_version, c.version,
                  EXISTS (SELECT 1 FROM customer_merges m WHERE m.merchant_id = i.merchant_id
                             AND m.into_id = i.customer_id AND m.undone_at IS NULL) AS merged
           FROM import_changes i
           LEFT JOIN customers c ON c.merchant_id = i.merchant_id AND c.id = i.customer_id
           WHERE i.merchant_id = $1 AND i.job_id = $2 AND ($3::bigint IS NULL OR i.id < $3)
           ORDER BY i.id DESC LIMIT $4""",
        w.merchant_id, job_id, before, CHUNK,
    )  # fmt: skip
    return [
        Change(r[0], r[1], orjson.loads(r[2]) if r[2] else None, r[3], r[4], r[5]) for r in rows
    ]


class _Undo:
    """One step of an undo."""

    def __init__(self, w: Work, import_id: int, undo_id: int, account: UndoAccount) -> None:
        self.w = w
        self.import_id = import_id
        self.undo_id = undo_id
        self.source = f"import:{import_id}"
        self.account = account
        self.done: list[int] = []
        self.rejects: list[RejectedRow] = []

    def keep(self, change: Change, reason: str) -> None:
        self.account.keep(reason)
        self.rejects.append(RejectedRow(change.customer_id, reason, None, REASONS[reason]))

    async def delete(self, changes: Sequence[Change], tables: Sequence[PersonalTable]) -> None:
        """Delete customers that the import made and that nothing else refers to."""
        in_use = await self._in_use([c.customer_id for c in changes], tables)
        gone = []
        kept = []
        for change in changes:
            reason = _why_kept(change) or ("IN_USE" if change.customer_id in in_use else None)
            if reason is None:
                gone.append(change)
            else:
                self.keep(change, reason)
                kept.append(change.customer_id)
        await self._take_back_tags_and_words(kept)
        ids = [change.customer_id for change in gone]
        # their words on consent came with the import, and nobody is left whom they are about
        await self.w.sql.execute("SET LOCAL huike.erasing = 'on'")
        for table in tables:
            if table.table in OF_THE_IMPORT or table.table == "customers":
                await self.w.sql.execute(
                    f"""DELETE FROM {table.table}
                        WHERE merchant_id = $1 AND {table.customer} = ANY($2::bigint[])""",
                    self.w.merchant_id, ids,
                )  # fmt: skip
        await self.w.sql.execute(
            """DELETE FROM merge_suggestions WHERE merchant_id = $1
                  AND (first_id = ANY($2::bigint[]) OR second_id = ANY($2::bigint[]))""",
            self.w.merchant_id, ids,
        )  # fmt: skip
        self.account.deleted += len(gone)

    async def _in_use(self, ids: Sequence[int], tables: Sequence[PersonalTable]) -> set[int]:
        """Those of the customers that have rows which the import did not write."""
        found: set[int] = set()
        for table in tables:
            if table.table == "customers":
                continue
            own = OF_THE_IMPORT.get(table.table, "FALSE")
            rows = await self.w.sql.fetch(
                f"""SELECT DISTINCT {table.customer} FROM {table.table}
                    WHERE merchant_id = $1 AND {table.customer} = ANY($2::bigint[])
                      AND NOT ({own})
                      AND ($3::text, $4::text, $5::bigint) IS NOT NULL""",
                self.w.merchant_id, list(ids), self.source, f"job:{self.import_id}",
                self.import_id,
            )  # fmt: skip
            found.update(row[0] for row in rows)
        return found

    async def restore(self, changes: Sequence[Change]) -> None:
        """Give back what the import overwrote, and take back what it brought."""
        present = [change.customer_id for change in changes if change.version is not None]
        await self._take_back_tags_and_words(present)
        old_values = {}
        for change in changes:
            reason = _why_kept(change) or await self._restore_columns(change)
            if reason is not None:
                self.keep(change, reason)
                continue
            assert change.before is not None
            for field_id, old in change.before["custom"].items():
                old_values[change.customer_id, int(field_id)] = old
            self.account.restored += 1
            self.done.append(change.customer_id)
        await self._drop("customer_identities", self.done)
        theirs = await self._drop("custom_field_values", self.done, ", field_id")
        values = {
            (row[0], row[1]): unpacked(old)
            for row in theirs
            if (old := old_values.get((row[0], row[1]))) is not None
        }
        await write_values(self.w, values, "import_undo")

    async def _restore_columns(self, change: Change) -> str | None:
        assert change.before is not None
        columns = {n: old_value(n, v) for n, v in change.before.items() if n != "custom"}
        try:
            self._renew_seals(change.customer_id, columns)
        except SealError:
            return "KEY_GONE"
        if columns:
            sets = "".join(f", {name} = ${n}" for n, name in enumerate(columns, 4))
            await self.w.sql.execute(
                f"""UPDATE customers SET version = version + 1, updated_at = $3{sets}
                    WHERE merchant_id = $1 AND id = $2""",
                self.w.merchant_id, change.customer_id, self.w.now, *columns.values(),
            )  # fmt: skip
        return None

    def _renew_seals(self, customer_id: int, columns: dict[str, Any]) -> None:
        """Seal old contacts anew: the key that they were sealed with may be retired soon."""
        keyring, merchant_id = self.w.keyring, self.w.merchant_id
        for kind, seal in (("phone", seal_phone), ("email", seal_email)):
            sealed = columns.get(f"{kind}_sealed")
            if sealed is not None:
                value = keyring.open(sealed, f"customers.{kind}|{merchant_id}|{customer_id}")
                columns[f"{kind}_sealed"] = seal(keyring, merchant_id, customer_id, value)

    async def _drop(self, table: str, ids: Sequence[int], more: str = "") -> list[Any]:
        """Delete the customers' rows of a table that the import wrote and nobody wrote again."""
        rows: list[Any] = await self.w.sql.fetch(
            f"""DELETE FROM {table} WHERE merchant_id = $1 AND customer_id = ANY($2::bigint[])
                   AND source = $3 RETURNING customer_id{more}""",
            self.w.merchant_id, list(ids), self.source,
        )  # fmt: skip
        return rows

    async def _take_back_tags_and_words(self, ids: Sequence[int]) -> None:
        await self._drop("customer_tags", ids)
        await self._take_back_words(ids)

    async def _take_back_words(self, ids: Sequence[int]) -> None:
        """Append the word that was in force before the import, where its own still is.

        Without one it becomes "unproven": nothing is sent on it, and a proof still counts.
        """
        rows = await self.w.sql.fetch(
            """SELECT last.customer_id, last.channel, COALESCE(old.status, 'unproven') AS status
               FROM (SELECT DISTINCT ON (customer_id, channel) customer_id, channel, status, actor,
                            id
                     FROM consent_events
                     WHERE merchant_id = $1 AND customer_id = ANY($2::bigint[]) AND shop_id = 0
                       AND purpose = $3 ORDER BY customer_id, channel, id DESC) last
               LEFT JOIN LATERAL (
                   SELECT status FROM consent_events e
                   WHERE e.merchant_id = $1 AND e.customer_id = last.customer_id AND e.shop_id = 0
                     AND e.purpose = $3 AND e.channel = last.channel AND e.actor <> $4
                   ORDER BY id DESC LIMIT 1) old ON TRUE
               WHERE last.actor = $4 AND last.status <> COALESCE(old.status, 'unproven')""",
            self.w.merchant_id, list(ids), MARKETING, f"job:{self.import_id}",
        )  # fmt: skip
        evidence = orjson.dumps({"import": self.import_id}).decode()
        await append_words(self.w, [(r[0], r[1], r[2], evidence) for r in rows], "import_undo")

    async def finish(self) -> None:
        """Forget the changes that are undone, and tell of those that are not."""
        await self.w.sql.execute(
            """DELETE FROM import_changes WHERE merchant_id = $1 AND job_id = $2
                  AND customer_id = ANY($3::bigint[])""",
            self.w.merchant_id, self.import_id, self.done,
        )  # fmt: skip
        await log_event(self.w, self.done, "import.undone", {"job_id": self.import_id})
        await store_rejects(self.w, self.undo_id, self.rejects)


def _why_kept(change: Change) -> str | None:
    if change.version is None:
        return "GONE"
    if change.merged:
        return "MERGED"
    return None if change.version == change.after_version else "CHANGED_SINCE"
