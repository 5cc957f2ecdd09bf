"""Who is in a segment: intervals of membership, and the events of those who enter and leave.

Everything is done inside the database: ids of members never come to this process.
"""

from collections.abc import Mapping

from core.sdk.events import SegmentEntered, SegmentLeft
from core.storage.telling import insert_events, payload

EVENT_SIZE = 1_000
"""How many customers one event tells of at most."""


def differences(matching: str, scope: str, now: str, cause: str | None) -> str:
    """A statement that makes members of whom `matching` gives, and ends what it does not.

    `matching` is a SELECT of (segment_id, customer_id); `scope` a condition about open rows `m` of
    segment_members that says whom it was asked about. `now` and `cause` are placeholders; without a
    cause there are no events. $1 is the merchant. Its one row is (entered, left). Whoever runs it
    holds the segments' rows, so that nobody enters or leaves twice.
    """
    # a full join is hashed or merged, however little the planner knows about the numbers
    return f"""
        WITH matching AS MATERIALIZED ({matching}),
        differing AS MATERIALIZED (
            SELECT segment_id, customer_id, m.id
            FROM (SELECT segment_id, customer_id, TRUE AS matches FROM matching) x
            FULL JOIN (
                SELECT m.id, m.segment_id, m.customer_id FROM segment_members m
                WHERE m.merchant_id = $1 AND m.left_at IS NULL AND {scope}) m
                USING (segment_id, customer_id)
            WHERE m.id IS NULL OR x.matches IS NULL),
        gone AS (
            UPDATE segment_members m SET left_at = GREATEST({now}, m.entered_at)
            FROM differing d WHERE m.merchant_id = $1 AND m.id = d.id
            RETURNING m.segment_id, m.customer_id),
        come AS (
            INSERT INTO segment_members (merchant_id, segment_id, customer_id, entered_at)
            SELECT $1, d.segment_id, d.customer_id, {now} FROM differing d WHERE d.id IS NULL
            ON CONFLICT DO NOTHING  -- a merge just now brought the customer in
            RETURNING segment_id, customer_id)
        {told({SegmentLeft.type: "gone", SegmentEntered.type: "come"}, now, cause) if cause else ""}
        SELECT (SELECT count(*) FROM come) AS entered, (SELECT count(*) FROM gone) AS left
    """


def told(moved: Mapping[str, str], now: str, cause: str) -> str:
    """A CTE that puts events in the outbox about the rows (segment_id, customer_id) of others.

    `moved` names the CTE of each type of event. Whoever runs it rings for the outbox.
    """
    rows = " UNION ALL ".join(
        f"SELECT {place} AS place, '{event}' AS type, segment_id, customer_id FROM {name}"
        for place, (event, name) in enumerate(moved.items())
    )
    told = payload(
        SegmentEntered,  # and SegmentLeft says the same
        customer_ids="jsonb_agg(customer_id ORDER BY customer_id)",
        cause=cause,
    )
    events = f"""SELECT place, type, segment_id, part, {told} AS payload, {now}::timestamptz AS at
            FROM (SELECT *, (row_number() OVER (
                      PARTITION BY place, segment_id ORDER BY customer_id) - 1) / {EVENT_SIZE} part
                  FROM ({rows}) moved) numbered
            GROUP BY place, type, segment_id, part"""
    return f", told AS ({insert_events(events, 'place, segment_id, part')})"
