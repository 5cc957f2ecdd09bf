"""Enrolments in the hands of a worker: claimed, moved from step to step, and written back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from core.domain.campaigns.journeys.running import Journey
from core.sdk.flows import ChangeList, SetField, Tag
from core.storage.database import Work

WRITING = (Tag, SetField, ChangeList)
"""Steps that change the customer."""


@dataclass(slots=True)
class Traveller:
    """An enrolment that is due. `moment` is when it came to its present step, by plan.

    Waits count from that moment, not from when a worker got to it, so that delays do not add up.
    """

    id: int
    customer_id: int
    order_id: int | None
    parcel_id: int | None
    step: int
    until: datetime | None
    heard: bool
    moment: datetime
    moving: bool = True
    state: str = "waiting"
    reason: str | None = None

    def go(self, step: int | None, moment: datetime | None = None) -> None:
        """On to the next step, at once; None ends the journey."""
        self.moment = moment or self.moment
        self.until, self.heard = None, False
        if step is None:
            self._end("done", None)
        else:
            self.step = step

    def wait(self, until: datetime) -> None:
        """Stay at the present step until then."""
        self.until, self.moving = until, False

    def leave(self, reason: str) -> None:
        """End the journey before its end."""
        self._end("left", reason)

    def _end(self, state: str, reason: str | None) -> None:
        self.state, self.reason, self.moving = state, reason, False


async def claim(
    w: Work, journey: Journey, limit: int, event: tuple[int, Sequence[int]] | None = None
) -> list[Traveller]:
    """Take up to `limit` due enrolments of a run, passing over those that others work on.

    `event` takes only those that this event moved: its id, and the customers' ids. Empty as well
    when the run is not running, which cannot change before the transaction ends. The customers
    are held too, so that nobody is merged or erased meanwhile.
    """
    if not await w.sql.fetchval(
        """SELECT id FROM campaign_runs WHERE merchant_id = $1 AND id = $2 AND state = 'running'
              FOR SHARE""",
        w.merchant_id, journey.run_id,
    ):  # fmt: skip
        return []
    writes = any(isinstance(step, WRITING) for step in journey.flow.steps)
    moved, args = ("", []) if event is None else (
        "AND e.event_id = $5 AND e.customer_id = ANY($6::bigint[])", [event[0], list(event[1])]
    )  # fmt: skip
    rows = await w.sql.fetch(
        f"""SELECT e.id, e.customer_id, e.order_id, e.parcel_id, e.step, e.until, e.heard,
                   COALESCE(e.until, e.entered_at) AS moment
            FROM enrolments e
            JOIN customers c ON c.merchant_id = e.merchant_id AND c.id = e.customer_id
            WHERE e.merchant_id = $1 AND e.run_id = $2 AND e.state = 'waiting' AND e.wake_at <= $3
              {moved}
            ORDER BY e.wake_at, e.id LIMIT $4
            FOR {"NO KEY UPDATE" if writes else "KEY SHARE"} OF c SKIP LOCKED
            FOR NO KEY UPDATE OF e SKIP LOCKED""",
        w.merchant_id, journey.run_id, w.now, limit, *args,
    )  # fmt: skip
    return [Traveller(*row) for row in rows]


async def write_back(w: Work, travellers: Sequence[Traveller]) -> None:
    """Write where they stand now, in one statement."""
    await w.sql.execute(
        """UPDATE enrolments e SET step = x.step, state = x.state, reason = x.reason,
               until = x.until, wake_at = x.until, heard = FALSE,
               ended_at = CASE WHEN x.state <> 'waiting' THEN $2::timestamptz END
           FROM unnest($3::bigint[], $4::smallint[], $5::text[], $6::text[], $7::timestamptz[])
                AS x (id, step, state, reason, until)
           WHERE e.merchant_id = $1 AND e.id = x.id""",
        w.merchant_id, w.now, [t.id for t in travellers], [t.step for t in travellers],
        [t.state for t in travellers], [t.reason for t in travellers],
        [t.until for t in travellers],
    )  # fmt: skip
