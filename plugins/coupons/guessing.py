"""Keeping guessers out: who gives many codes that do not exist has to wait."""

from collections.abc import Collection
from datetime import timedelta
from typing import Any

from plugins.coupons.errors import CouponGuessing

FREE = 10
"""So many misses within PERIOD are let pass; who mistypes makes none, by the check symbol."""
PERIOD = timedelta(hours=1)


async def check_clients(session: Any, clients: Collection[str]) -> None:
    """Raises CouponGuessing if one of the clients has missed too often."""
    since = await session.sql.fetchval(
        """SELECT max(since) FROM coupons_guesses WHERE merchant_id = $1
              AND client = ANY($2::text[]) AND misses >= $3 AND since > $4""",
        session.merchant_id, sorted(clients), FREE, session.now - PERIOD,
    )  # fmt: skip
    if since is not None:
        raise CouponGuessing(
            f"too many codes that do not exist; try again after {(since + PERIOD).isoformat()}",
            ("input", "codes"),
        )


async def count_misses(w: Any, client: str, misses: int) -> None:
    """Note that a client gave codes that do not exist."""
    await w.sql.execute(
        """INSERT INTO coupons_guesses AS g (merchant_id, client, misses, since)
           VALUES ($1, $2, $3, $4)
           ON CONFLICT (merchant_id, client) DO UPDATE SET
               misses = CASE WHEN g.since > $5 THEN g.misses + $3 ELSE $3 END,
               since = CASE WHEN g.since > $5 THEN g.since ELSE $4 END""",
        w.merchant_id, client, misses, w.now, w.now - PERIOD,
    )  # fmt: skip


async def forget(w: Any) -> None:
    """Remove what no longer counts."""
    await w.sql.execute(
        "DELETE FROM coupons_guesses WHERE merchant_id = $1 AND since <= $2",
        w.merchant_id, w.now - PERIOD,
    )  # fmt: skip
