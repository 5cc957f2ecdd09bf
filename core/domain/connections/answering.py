"""Messages are answered by whatever shows the change: a look at the entity, or a list."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta

from core.sdk.connectors import Record, Resource
from core.storage.database import Session, Work

SLACK = timedelta(seconds=3)
"""A platform tells of a change so long after its time, and means that change."""
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
"""When our own wishes to see an entity whole were sent: no list fulfils them."""


BEHIND, MANY = timedelta(seconds=10), 50
"""So many messages that wait so long come faster than they are fetched: windows have to help."""


async def fetches_lag(session: Session, shop_id: int, resource: Resource) -> bool:
    """Whether messages about a resource of the shop come faster than they are fetched."""
    found: bool = await session.sql.fetchval(
        """SELECT count(*) = $6 FROM (
               SELECT 1 FROM push_inbox
               WHERE merchant_id = $1 AND shop_id = $2 AND resource = $3 AND done_at IS NULL
                 AND next_at <= $4 AND received_at < $4::timestamptz - $5::interval
               LIMIT $6::bigint) waiting""",
        session.merchant_id, shop_id, resource.value, session.now, BEHIND, MANY,
    )  # fmt: skip
    return found


def shown_at(record: Record) -> datetime | None:
    """The time of the changes that the record shows, as far as it tells."""
    moment: datetime | None = getattr(record, "modified_at", None)
    return moment


async def answer(
    w: Work,
    shop_id: int,
    resource: Resource,
    records: Sequence[tuple[str, Record]],
    halves: Collection[str],
) -> None:
    """What the records show need not be fetched any more. `halves` are ids of those not stored.

    In a promotion lists bring hundreds of changes by a call, and messages would ask for each.
    """
    shown = [
        (external_id, moment + SLACK)
        for external_id, record in records
        if external_id not in halves and (moment := shown_at(record)) is not None
    ]
    if not shown:
        return
    await w.sql.execute(
        # a message that is being claimed is left to its fetch: nobody waits for the other here
        """UPDATE push_inbox SET done_at = $4
           WHERE merchant_id = $1 AND id IN (
               SELECT p.id FROM unnest($5::text[], $6::timestamptz[]) AS u (external_id, shown)
               JOIN push_inbox p ON p.merchant_id = $1 AND p.shop_id = $2 AND p.resource = $3
                    AND p.external_id = u.external_id AND p.done_at IS NULL
                    AND p.sent_at <= u.shown AND p.sent_at > $7
               FOR UPDATE OF p SKIP LOCKED)""",
        w.merchant_id, shop_id, resource.value, w.now, *zip(*shown, strict=True), LONG_AGO,
    )  # fmt: skip
