"""Lists: segments whose customers are put on and taken off by hand, or by a file."""

from collections.abc import Sequence

from core.domain.segments.members import told
from core.domain.segments.segments import get_segment
from core.sdk.errors import NotFound, WrongState
from core.sdk.events import SegmentEntered, SegmentLeft
from core.storage.database import Session, Work

MAX_CUSTOMERS = 1_000
"""How many one call puts on a list or takes off."""

# segments that ask for the list are asked again about these customers
LOGGED = """, logged AS (
            INSERT INTO customer_changes (merchant_id, customer_id)
            SELECT $1, customer_id FROM moved WHERE (SELECT huike_follows($1, FALSE)))"""

ENTER = f"""
    WITH moved AS (
        INSERT INTO segment_members (merchant_id, segment_id, customer_id, entered_at)
        SELECT $1, $2::bigint, c.id, $4::timestamptz FROM customers c
        WHERE c.merchant_id = $1 AND c.id = ANY($3::bigint[]) AND NOT EXISTS (
            SELECT 1 FROM segment_members m WHERE m.merchant_id = $1 AND m.segment_id = $2
               AND m.customer_id = c.id AND m.left_at IS NULL)
        RETURNING segment_id, customer_id)
    {told({SegmentEntered.type: "moved"}, "$4", "'list'")} {LOGGED}
    SELECT count(*) FROM moved
"""

LEAVE = f"""
    WITH moved AS (
        UPDATE segment_members m SET left_at = GREATEST($4::timestamptz, m.entered_at)
        WHERE m.merchant_id = $1 AND m.segment_id = $2 AND m.customer_id = ANY($3::bigint[])
          AND m.left_at IS NULL
        RETURNING m.segment_id, m.customer_id)
    {told({SegmentLeft.type: "moved"}, "$4", "'list'")} {LOGGED}
    SELECT count(*) FROM moved
"""


async def add_to_list(w: Work, segment_id: int, customer_ids: Sequence[int]) -> int:
    """Put customers on a list; returns how many were not on it. Who is no customer is passed over.

    Raises NotFound, WrongState for a segment that is no list.
    """
    return await _move(w, ENTER, segment_id, customer_ids)


async def remove_from_list(w: Work, segment_id: int, customer_ids: Sequence[int]) -> int:
    """Take customers off a list; returns how many were on it.

    Raises NotFound, WrongState for a segment that is no list.
    """
    return await _move(w, LEAVE, segment_id, customer_ids)


async def check_list(session: Session, segment_id: int, path: tuple[str, ...] = ("id",)) -> None:
    """Raises NotFound, WrongState for a segment that is no list."""
    try:
        segment = await get_segment(session, segment_id)
    except NotFound as error:
        raise NotFound(error.message, path) from None
    if segment["kind"] != "list":
        raise WrongState(
            f"{segment['name']!r} is a {segment['kind']} segment: "
            "customers are put on lists and taken off them alone",
            path,
        )


async def _move(w: Work, statement: str, segment_id: int, customer_ids: Sequence[int]) -> int:
    # held, as a merge holds them, so that nobody is put on it who goes; and the list, so that two
    # calls at once do not put somebody on it twice
    await w.sql.execute(
        """SELECT id FROM customers WHERE merchant_id = $1 AND id = ANY($2::bigint[])
           ORDER BY id FOR KEY SHARE""",
        w.merchant_id, list(customer_ids),
    )  # fmt: skip
    await w.sql.execute(
        "SELECT id FROM segments WHERE merchant_id = $1 AND id = $2 FOR NO KEY UPDATE",
        w.merchant_id, segment_id,
    )  # fmt: skip
    await check_list(w, segment_id)
    moved: int = await w.sql.fetchval(
        statement, w.merchant_id, segment_id, list(customer_ids), w.now
    )
    if moved:
        w.ring("outbox.drain", w.merchant_id)
        w.ring("segments.follow", w.merchant_id)
    return moved
