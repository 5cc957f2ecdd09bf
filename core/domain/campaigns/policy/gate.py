"""The policy as it is now for the messages of one step, and its verdict on each as SQL.

The same verdict is asked when messages are planned, when they are claimed, and when a campaign is
simulated. What a merchant has no rules for leaves nothing in the SQL.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import cached_property, lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from core.domain.campaigns.policy.caps import Cap, room_sql
from core.domain.campaigns.policy.hours import stored_spans
from core.domain.campaigns.policy.windows import HORIZON, Opening, Rules, Span, next_opening
from core.domain.customers.time_zones import ZONES, moment_sql
from core.sdk.channels import Channel, marketing_hours
from core.sdk.facets import Query
from core.sdk.flows import Send
from core.storage.database import Session

SEND, WAIT, SKIP = "send", "wait", "skip"


@dataclass(frozen=True)
class Gate:
    """What one step's messages must pass at an instant, beside the question who may be written to.

    `higher` are the running runs of higher priority, if caps make them matter. `rated` says
    whether the channel has a rate. With `local` the hours are those of the clocks where each
    customer lives.
    """

    now: datetime
    zone: ZoneInfo
    rules: Rules
    caps: Sequence[Cap] = ()
    higher: Sequence[int] = ()
    rated: bool = False
    local: bool = False

    @cached_property
    def opening(self) -> Opening:
        """From when on messages may go out by the shop's clock."""
        return next_opening(self.now, self.zone, self.rules)

    @cached_property
    def places(self) -> dict[str, dict[str, datetime]]:
        """For each rule that forbids something somewhere: from when on it lets messages go out,
        by places of time_zones.ZONES."""
        if not self.local:
            return {}
        minute = self.now.replace(second=0, microsecond=0)
        opening = {zone: _opening_at(minute, zone, self.rules) for zone in set(ZONES.values())}
        found: dict[str, dict[str, datetime]] = {}
        for rule in {one.rule for one in opening.values() if one.rule is not None}:
            found[rule] = {
                place: opening[zone].at if opening[zone].rule == rule else self.now
                for place, zone in ZONES.items()
            }
        return found


@lru_cache(maxsize=4096)
def _opening_at(minute: datetime, zone: str, rules: Rules) -> Opening:
    return next_opening(minute, ZoneInfo(zone), rules)


async def read_gate(
    session: Session,
    channel: Channel,
    send: Send,
    shop_id: int | None,
    priority: int,
    local: bool = False,
) -> Gate:
    """The policy for the messages of a step in a shop's name (None: of no single shop)."""
    marketing = send.message_class == "marketing"
    row = await session.sql.fetchrow(
        """WITH capping AS (
               SELECT shop_id, channel, hours, messages FROM sending_caps
               WHERE merchant_id = $1 AND shop_id IN (0, $2) AND channel IN ('*', $3) AND $5)
           SELECT COALESCE(s.time_zone, m.time_zone) AS zone,
               (SELECT jsonb_agg(jsonb_build_object('open', h.open, 'quiet', h.quiet))
                FROM sending_hours h WHERE h.merchant_id = $1 AND h.shop_id IN (0, $2)
                  AND h.channel IN ('*', $3) AND ($4 OR h.service)) AS hours,
               (SELECT array_agg(y.day) FROM sending_holidays y
                WHERE y.merchant_id = $1 AND y.shop_id IN (0, $2) AND ($4 OR y.service)
                  AND y.kind = 'quiet'
                  AND y.day BETWEEN $6::date - 1 AND $7::date) AS holidays,
               (SELECT jsonb_agg(to_jsonb(capping)) FROM capping) AS caps,
               (SELECT array_agg(r.id) FROM campaign_runs r
                WHERE r.merchant_id = $1 AND r.state = 'running' AND r.priority > $8
                  AND EXISTS (SELECT 1 FROM capping)) AS higher,
               EXISTS (SELECT 1 FROM sending_rates f
                       WHERE f.merchant_id = $1 AND f.channel = $3) AS rated
           FROM merchants m LEFT JOIN shops s ON s.merchant_id = m.id AND s.id = $2
           WHERE m.id = $1""",
        session.merchant_id, shop_id or 0, channel.name, marketing,
        marketing and not send.ignore_caps, session.now, session.now + HORIZON, priority,
    )  # fmt: skip
    assert row is not None
    legal = marketing_hours(channel) if marketing else None
    return Gate(
        session.now,
        ZoneInfo(row["zone"]),
        _rules(legal, orjson.loads(row["hours"] or "[]"), row["holidays"] or ()),
        tuple(Cap(**cap) for cap in orjson.loads(row["caps"] or "[]")),
        tuple(row["higher"] or ()),
        row["rated"],
        local,
    )


def _rules(
    legal: tuple[time, time] | None, hours: Sequence[Mapping[str, Any]], holidays: Sequence[date]
) -> Rules:
    opened = tuple(stored_spans(row["open"]) for row in hours if row["open"])
    quiet = tuple(span for row in hours for span in stored_spans(row["quiet"]))
    return Rules(legal and Span(*legal), opened, quiet, frozenset(holidays))


def place_columns(q: Query, gate: Gate) -> str:
    """What the rows given to `judged_sql` need of their customer `c`, after their other columns."""
    opening, columns = gate.opening, ""
    for rule, places in sorted(gate.places.items()):
        known = q.arg(orjson.dumps(places).decode(), "jsonb")
        otherwise = q.arg(opening.at if opening.rule == rule else gate.now, "timestamptz")
        columns += f", {moment_sql(known, otherwise)} AS opens_{rule}"
    return columns


def judged_sql(q: Query, gate: Gate, rows: str, *, batch: bool = False) -> str:
    """A SELECT of `rows` with the policy's verdict on each.

    `rows` is a SELECT with the columns customer_id, reason (why nothing may be sent at all, or
    NULL), due_at, not_after and those of `place_columns`. With `batch` it has id too, and the same
    customer may be in it more than once: each counts for the next. Added are verdict (send, wait
    or skip), rule (what forbids it, NULL for send) and moment (when it may be sent).
    """
    now = q.arg(gate.now, "timestamptz")
    # OFFSET 0 keeps the reason from being asked for once for each mention
    source, rank = f"({rows} OFFSET 0) a", None
    limits = {rule: f"a.opens_{rule}" for rule in sorted(gate.places)}
    opening = gate.opening
    if opening.rule is not None and not gate.local:
        limits[opening.rule] = q.arg(opening.at, "timestamptz")
    if gate.caps:
        if batch:
            rank = "a.place"
            source = f"""(SELECT b.*, row_number() OVER (
                PARTITION BY b.customer_id, b.reason IS NULL AND b.not_after < {now} IS NOT TRUE
                ORDER BY b.due_at, b.id) AS place FROM ({rows} OFFSET 0) b OFFSET 0) a"""
        limits["capped"] = room_sql(q, gate.now, gate.caps, "a.customer_id", rank)
        if gate.higher:
            limits["outranked"] = room_sql(
                q, gate.now, gate.caps, "a.customer_id", rank, gate.higher
            )
    late = f"a.not_after < {now}"
    if not limits:
        return f"""SELECT a.*, COALESCE(a.reason, CASE WHEN {late} THEN 'too_late' END) AS rule,
                CASE WHEN a.reason IS NOT NULL OR {late} THEN '{SKIP}' ELSE '{SEND}' END AS verdict,
                a.due_at AS moment FROM {source}"""
    asked = ", ".join(
        f"CASE WHEN a.reason IS NULL THEN {limit} END AS {rule}" for rule, limit in limits.items()
    )
    latest = f"GREATEST({', '.join(f'l.{rule}' for rule in limits)})"
    named = " ".join(f"WHEN l.{rule} THEN '{rule}'" for rule in limits)
    # and the limits
    return f"""SELECT a.*, v.rule, GREATEST(a.due_at, l.latest) AS moment,
            CASE WHEN v.rule IS NULL THEN '{SEND}'
                 WHEN a.reason IS NOT NULL OR {late} OR l.latest = 'infinity'
                      OR l.latest > a.not_after THEN '{SKIP}' ELSE '{WAIT}' END AS verdict
        FROM {source}
        CROSS JOIN LATERAL (
            SELECT l.*, {latest} AS latest FROM (SELECT {asked} OFFSET 0) l OFFSET 0) l
        CROSS JOIN LATERAL (SELECT CASE
            WHEN a.reason IS NOT NULL THEN a.reason
            WHEN {late} THEN 'too_late'
            WHEN l.latest > GREATEST(a.due_at, {now}) THEN CASE l.latest {named} END
            END AS rule) v"""
