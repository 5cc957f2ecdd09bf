"""For how long rows are kept: a list of tables that may be thinned out, and each merchant's choice.

The audit log, the delivery ledger, orders and customers are not in the list: they are what other
figures and proofs rest on.
"""

import logging
from dataclasses import dataclass
from datetime import timedelta

from core.sdk.errors import InvalidInput, NotFound
from core.storage import jobs
from core.storage.database import SYSTEM, Database, Session, Work
from core.storage.versions import next_version

logger = logging.getLogger(__name__)

CHUNK = 2000
MAX_DAYS = 36_500
EVERY = timedelta(hours=1)
RETENTION = "retention"
"""The kind of setting, in places of tables."""
PROOF_DAYS = 5 * 366
"""How long a consent may still have to be proven after it was withdrawn."""

OF_JOBS = (
    "EXISTS (SELECT 1 FROM jobs j WHERE j.merchant_id = t.merchant_id AND j.id = t.job_id "
    "AND j.finished_at < $2)"
)


@dataclass(frozen=True)
class Keeping:
    """A table whose old rows may go. `days` None keeps them for ever unless a merchant decides.

    `old` is an SQL condition on a row `t` with the point in time $2; `least` the fewest days that
    a merchant may choose; `children` have the column and go together with a row of this table.
    """

    table: str
    title: str
    why: str
    days: int | None
    least: int
    old: str
    children: tuple[tuple[str, str], ...] = ()


KEPT = {
    one.table: one
    for one in (
        Keeping("outbox_events", "Events that were handled",
                "For finding out why a plugin did something; needed by nothing.",
                30, 1, "t.done_at < $2"),
        Keeping("push_inbox", "Messages of platforms",
                "So that a repeated message counts once; platforms repeat within days.",
                7, 2, "t.received_at < $2"),
        Keeping("dead_letters", "What platforms told and could not be taken in",
                "For finding out why, and for asking again; the payloads are sealed.",
                180, 7, "t.at < $2"),
        Keeping("connect_attempts", "Links on which sellers authorise",
                "A link ends within an hour.", 30, 1, "t.expires_at < $2"),
        Keeping("idempotency_keys", "First answers to repeated calls",
                "A client repeats a call within minutes or days.", 30, 7, "t.created_at < $2"),
        Keeping("import_changes", "What imports changed, with the rows before",
                "For undoing an import; the copies hold contact data, sealed.", 90, 1, OF_JOBS),
        Keeping("job_rejects", "Rows that imports refused",
                "For correcting a file and importing it again.", 90, 1, OF_JOBS),
        Keeping("jobs", "Long work that has ended, with its files",
                "Longer than anybody looks back at an import.", 180, 30, "t.finished_at < $2",
                (("job_files", "job_id"), ("job_rejects", "job_id"),
                 ("import_changes", "job_id"), ("member_imports", "job_id"))),
        Keeping("webhook_messages", "Events for webhooks, with what their servers answered",
                "For finding out what arrived, and sending it again.", 30, 1, "t.created_at < $2",
                (("webhook_attempts", "message_id"),)),
        Keeping("waiting_records", "Parcels, refunds and reviews of orders that never came",
                "Platforms deliver late, but not half a year late.", 180, 30, "t.at < $2"),
        Keeping("consent_requests", "Requests for consent that nobody confirmed",
                "Proof that a question was asked is wanted for five months at least in China.",
                180, 150, "t.expires_at < $2 AND t.state <> 'confirmed'"),
        Keeping("parcel_events", "Traces of parcels",
                "The parcel keeps its last state; the scans say where its receiver lives.",
                365, 30, "t.at < $2"),
        Keeping("customer_log", "Changes to customers",
                "The timeline shows them; kept unless the merchant decides.",
                None, 30, "t.at < $2"),
        Keeping("reviews", "Reviews",
                "Rules ask for them; kept unless the merchant decides.", None, 30, "t.at < $2"),
        Keeping("consent_events", "Consent given and withdrawn, after its withdrawal",
                "Proof of a consent is wanted for years after it ended. The refusal itself stays.",
                None, PROOF_DAYS,
                "t.at < $2 AND EXISTS (SELECT 1 FROM consents c WHERE c.merchant_id = "
                "t.merchant_id AND c.customer_id = t.customer_id AND c.shop_id = t.shop_id AND "
                "c.channel = t.channel AND c.purpose = t.purpose AND c.status = 'denied' AND "
                "c.at < $2)"),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Rule:
    """For how many days a merchant keeps a table's rows (None: for ever), and who says so."""

    keeping: Keeping
    days: int | None
    chosen: bool


async def rules(session: Session) -> list[Rule]:
    """The merchant's rule for each table of the list."""
    rows = await session.sql.fetch(
        "SELECT table_name, days FROM retention_rules WHERE merchant_id = $1", session.merchant_id
    )
    chosen = {row["table_name"]: row["days"] for row in rows}
    return [
        Rule(keeping, chosen.get(name, keeping.days), name in chosen)
        for name, keeping in KEPT.items()
    ]


async def set_rule(w: Work, table: str, days: int, if_version: int | None = None) -> None:
    """Keep the rows of a table for so many days. Raises NotFound, InvalidInput, Conflict."""
    _checked(table, days, ("input", "days"))
    await next_version(w, RETENTION, table, if_version)
    await w.sql.execute(
        """INSERT INTO retention_rules (merchant_id, table_name, days, updated_at)
           VALUES ($1, $2, $3, $4)
           ON CONFLICT (merchant_id, table_name) DO UPDATE SET days = $3, updated_at = $4""",
        w.merchant_id, table, days, w.now,
    )  # fmt: skip
    w.audit("retention.set", {"table": table, "days": days})


async def remove_rule(w: Work, table: str) -> None:
    """Go back to a table's default. Raises NotFound."""
    find_keeping(table)
    removed = await w.sql.fetchval(
        "DELETE FROM retention_rules WHERE merchant_id = $1 AND table_name = $2 RETURNING id",
        w.merchant_id, table,
    )  # fmt: skip
    if removed is not None:
        await next_version(w, RETENTION, table, None, is_set=False)
        w.audit("retention.removed", {"table": table})


def find_keeping(table: str, path: tuple[str, ...] = ("name",)) -> Keeping:
    """The table's entry in the list. Raises NotFound, which names the list."""
    if table not in KEPT:
        raise NotFound(f"{table!r} is always kept; these can be thinned: {', '.join(KEPT)}", path)
    return KEPT[table]


def _checked(table: str, days: int, path: tuple[str, ...]) -> Keeping:
    keeping = find_keeping(table)
    if not keeping.least <= days <= MAX_DAYS:
        raise InvalidInput(f"rows of {table} are kept for {keeping.least} to {MAX_DAYS} days", path)
    return keeping


async def count_old(session: Session, table: str, days: int) -> int:
    """How many rows a rule of so many days would delete now. Raises NotFound, InvalidInput."""
    keeping = _checked(table, days, ("days",))
    count: int = await session.sql.fetchval(
        f"SELECT count(*) FROM {table} t WHERE t.merchant_id = $1 AND {keeping.old}",
        session.merchant_id, session.now - timedelta(days=days),
    )  # fmt: skip
    return count


async def house_keep(db: Database) -> bool:
    """Delete what is older than the rules, for all merchants; returns whether it was due.

    One process does it, once an hour. Killed in the middle, the next hour finds the rest.
    """
    if not await _claim(db):
        return False
    await jobs.drop_old_outputs(db)
    for merchant_id in await db.merchants():
        try:
            await apply_rules(db, merchant_id)
        except Exception:
            logger.exception("the house of merchant %s is not kept this hour", merchant_id)
    return True


async def _claim(db: Database) -> bool:
    async with db.work(SYSTEM) as w:
        claimed = await w.sql.fetchval(
            """INSERT INTO system (key, value) VALUES ('housekeeping', $1::timestamptz::text)
               ON CONFLICT (key) DO UPDATE SET value = excluded.value
                   WHERE system.value::timestamptz <= $1::timestamptz - $2::interval
               RETURNING key""",
            w.now, EVERY,
        )  # fmt: skip
    return claimed is not None


async def apply_rules(db: Database, merchant_id: int) -> dict[str, int]:
    """Delete one merchant's old rows, in portions; returns how many, by table."""
    async with db.read(merchant_id) as session:
        found = await rules(session)
    deleted = {}
    for rule in found:
        if rule.days is not None and (count := await _delete(db, merchant_id, rule)):
            deleted[rule.keeping.table] = count
    if deleted:
        async with db.work(merchant_id) as w:
            w.audit("retention.run", {"rows": deleted})
    return deleted


async def _delete(db: Database, merchant_id: int, rule: Rule) -> int:
    assert rule.days is not None
    keeping, total = rule.keeping, 0
    while True:
        async with db.work(merchant_id) as w:
            # what is otherwise only ever added to may go when its time has come
            await w.sql.execute("SET LOCAL huike.erasing = 'on'")
            rows = await w.sql.fetch(
                f"""DELETE FROM {keeping.table} d WHERE d.merchant_id = $1 AND d.id = ANY (
                        SELECT t.id FROM {keeping.table} t
                        WHERE t.merchant_id = $1 AND {keeping.old}
                        ORDER BY t.id LIMIT $3 FOR UPDATE SKIP LOCKED)
                    RETURNING d.id""",
                merchant_id, w.now - timedelta(days=rule.days), CHUNK,
            )  # fmt: skip
            ids = [row["id"] for row in rows]
            for table, column in keeping.children:
                await w.sql.execute(
                    f"DELETE FROM {table} WHERE merchant_id = $1 AND {column} = ANY($2::bigint[])",
                    merchant_id, ids,
                )  # fmt: skip
        total += len(ids)
        if len(ids) < CHUNK:
            return total
