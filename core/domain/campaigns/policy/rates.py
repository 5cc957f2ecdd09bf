"""How fast a merchant's messages may go out by a channel, by all workers together.

A bucket of tokens in the database: a message takes one when it is claimed, and its row is held
until the claim is committed.
"""

from dataclasses import dataclass
from datetime import datetime

from core.domain.campaigns.policy.places import check_place
from core.domain.campaigns.policy.resting import wake_runs
from core.registry import Registry
from core.sdk.errors import Faults
from core.storage.buckets import CLOCK_WENT_BACK, Bucket
from core.storage.database import Work
from core.storage.versions import next_version

MAX_MESSAGES = 1_000_000
SECOND, MINUTE = 1, 60
RATE = "sending_rate"
"""The kind of setting, in places of channels."""


@dataclass(frozen=True)
class Room:
    """How many messages may be claimed now; if none, `at` is when one may.

    `tokens` are what is in the bucket now, None without a rate.
    """

    messages: int
    at: datetime
    tokens: float | None = None


async def set_rate(
    w: Work,
    registry: Registry,
    channel: str,
    messages: int | None,
    seconds: int,
    if_version: int | None = None,
) -> int | None:
    """Allow so many messages by a channel in any `seconds` (1 or 60); None: as many as can be.

    Returns the row's id, None without one. Raises InvalidInput, Several, Conflict.
    """
    faults = Faults()
    with faults:
        await check_place(w, registry, channel=channel)
    if messages is not None and not 1 <= messages <= MAX_MESSAGES:
        faults.wrong(
            f"a rate is from 1 to {MAX_MESSAGES} messages; pause campaigns to send none", "messages"
        )
    if seconds not in (SECOND, MINUTE):
        faults.wrong("a rate is for a second or a minute", "per")
    faults.tell()
    await next_version(w, RATE, channel, if_version, is_set=messages is not None)
    await wake_runs(w)
    w.audit("sending_rate.set", {"channel": channel, "messages": messages, "seconds": seconds})
    if messages is None:
        await w.sql.execute(
            "DELETE FROM sending_rates WHERE merchant_id = $1 AND channel = $2",
            w.merchant_id, channel,
        )  # fmt: skip
        return None
    row_id: int = await w.sql.fetchval(
        """INSERT INTO sending_rates (merchant_id, channel, messages, seconds, tokens, filled_at,
                                      updated_at)
           VALUES ($1, $2, $3, $4, 0, $5, $5)
           ON CONFLICT (merchant_id, channel)
           DO UPDATE SET messages = EXCLUDED.messages, seconds = EXCLUDED.seconds,
               tokens = 0, filled_at = EXCLUDED.filled_at, updated_at = EXCLUDED.updated_at
           RETURNING id""",
        w.merchant_id, channel, messages, seconds, w.now,
    )  # fmt: skip
    return row_id


async def room_in_rate(w: Work, channel: str, wanted: int) -> Room:
    """How many of the wanted messages the channel's rate has room for.

    The rate is held until the transaction ends; `spend` says how many were taken.
    """
    row = await w.sql.fetchrow(
        """SELECT messages, seconds, tokens, filled_at FROM sending_rates
           WHERE merchant_id = $1 AND channel = $2 FOR UPDATE""",
        w.merchant_id, channel,
    )  # fmt: skip
    if row is None:
        return Room(wanted, w.now)
    bucket = Bucket(row["messages"], row["seconds"])
    tokens = bucket.tokens(row["tokens"], row["filled_at"], w.now)
    # what counts is whole messages; a rounding error must not cost one
    whole = int(tokens + 1e-6)
    return Room(min(wanted, whole), bucket.ready_at(1, tokens, w.now), tokens)


async def spend(w: Work, channel: str, room: Room, messages: int) -> None:
    """Take the tokens of messages that were claimed in the room that there was."""
    if room.tokens is None or not messages:
        return
    await w.sql.execute(
        """UPDATE sending_rates SET tokens = $3,
               filled_at = CASE WHEN filled_at > $4::timestamptz + $5::interval THEN $4
                                ELSE GREATEST(filled_at, $4) END
           WHERE merchant_id = $1 AND channel = $2""",
        w.merchant_id, channel, max(0.0, room.tokens - messages), w.now, CLOCK_WENT_BACK,
    )  # fmt: skip
