"""Frequency caps: how many marketing messages one customer gets in a rolling window.

What was sent is counted from the ledger itself, and of two messages of different priority for
which there is room for one, the higher goes first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.domain.campaigns.policy.places import ALL_CHANNELS, ALL_SHOPS, check_place
from core.registry import Registry
from core.sdk.errors import Faults, NotFound
from core.sdk.facets import Query
from core.storage.database import Work
from core.storage.versions import next_version, place

MAX_HOURS = 24 * 366
MAX_MESSAGES = 1000
LOCK_SPACE = 0x6870
CAP = "sending_cap"
"""The kind of setting, in places of shop, channel and hours."""


@dataclass(frozen=True)
class Cap:
    """At most `messages` in any `hours` hours, by the channel and in the shop's name or by all."""

    shop_id: int
    channel: str
    hours: int
    messages: int


async def set_cap(w: Work, registry: Registry, cap: Cap, if_version: int | None = None) -> int:
    """Set a cap, in place of one of the same shop, channel and hours; returns its id.

    Raises InvalidInput, Several, Conflict.
    """
    faults = Faults()
    for value, low, high, name in (
        (cap.hours, 1, MAX_HOURS, "hours"), (cap.messages, 0, MAX_MESSAGES, "messages"),
    ):  # fmt: skip
        if not low <= value <= high:
            faults.wrong(f"{name} are from {low} to {high}", name)
    with faults:
        await check_place(w, registry, cap.shop_id, cap.channel)
    faults.tell()
    await next_version(w, CAP, place(cap.shop_id, cap.channel, cap.hours), if_version)
    cap_id: int = await w.sql.fetchval(
        """INSERT INTO sending_caps (merchant_id, shop_id, channel, hours, messages, updated_at)
           VALUES ($1, $2, $3, $4, $5, $6)
           ON CONFLICT (merchant_id, shop_id, channel, hours)
           DO UPDATE SET messages = EXCLUDED.messages, updated_at = EXCLUDED.updated_at
           RETURNING id""",
        w.merchant_id, cap.shop_id, cap.channel, cap.hours, cap.messages, w.now,
    )  # fmt: skip
    w.audit("sending_cap.set", vars(cap))
    return cap_id


async def delete_cap(w: Work, cap_id: int) -> None:
    """Take a cap away. Raises NotFound."""
    gone = await w.sql.fetchrow(
        """DELETE FROM sending_caps WHERE merchant_id = $1 AND id = $2
           RETURNING shop_id, channel, hours""",
        w.merchant_id, cap_id,
    )  # fmt: skip
    if gone is None:
        raise NotFound(f"there is no cap {cap_id}", ("id",))
    await next_version(w, CAP, place(*gone), None, is_set=False)
    w.audit("sending_cap.deleted", {"cap_id": cap_id})


async def hold_caps(w: Work) -> None:
    """Let nobody else of the merchant claim under caps until this transaction ends.

    What others claimed before is committed then, and the next statement counts it.
    """
    await w.sql.execute(
        "SELECT pg_advisory_xact_lock($1::int, $2::int)", LOCK_SPACE, w.merchant_id % 2**31
    )


def room_sql(
    q: Query,
    at: datetime,
    caps: Sequence[Cap],
    customer: str,
    rank: str | None,
    higher: Sequence[int] = (),
) -> str:
    """An SQL expression: the first instant from `at` on with room for the customer in all caps.

    NULL or an instant not after `at` is: at once; infinity is: never. `rank` is an expression: the
    message is the n-th, from 1, that this statement takes for the customer. Pending messages of
    the runs `higher` that fall due within a cap's window are counted as if they had been sent.
    """
    return f"GREATEST({', '.join(_room(q, at, cap, customer, rank, higher) for cap in caps)})"


def _room(
    q: Query, at: datetime, cap: Cap, customer: str, rank: str | None, higher: Sequence[int]
) -> str:
    if cap.messages == 0:
        return "'infinity'::timestamptz"
    now = q.arg(at, "timestamptz")
    window = q.arg(timedelta(hours=cap.hours), "interval")
    messages = q.arg(cap.messages, "bigint")
    which = ""
    if cap.channel != ALL_CHANNELS:
        which += f" AND m.channel = {q.arg(cap.channel, 'text')}"
    if cap.shop_id != ALL_SHOPS:
        which += f""" AND m.run_id IN (SELECT r.id FROM campaign_runs r
            JOIN campaigns g ON g.merchant_id = r.merchant_id AND g.id = r.campaign_id
            WHERE r.merchant_id = $1 AND g.shop_id = {q.arg(cap.shop_id, "bigint")})"""
    mine = f"m.merchant_id = $1 AND m.customer_id = {customer} AND m.marketing{which}"
    counted = f"""SELECT COALESCE(m.sent_at, m.updated_at) AS at FROM deliveries m
        WHERE {mine} AND m.state IN ('sending', 'sent', 'unknown')
          AND COALESCE(m.sent_at, m.updated_at) > {now} - {window}"""
    if higher:
        counted += f""" UNION ALL SELECT GREATEST(m.next_at, {now}) FROM deliveries m
            WHERE {mine} AND m.state = 'pending' AND m.next_at <= {now} + {window}
              AND m.run_id = ANY({q.arg(list(higher), "bigint[]")})"""
    # there is room again when the last but `messages` - 1 of those counted leaves the window
    ahead = "1" if rank is None else rank
    room = f"""(SELECT n.at + {window} FROM ({counted}) n
        ORDER BY n.at DESC OFFSET {messages} - {ahead} LIMIT 1)"""
    if rank is None:
        return room
    return f"CASE WHEN {rank} > {messages} THEN {now} + {window} ELSE {room} END"
