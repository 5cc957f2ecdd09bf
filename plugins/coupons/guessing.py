"""Keeping guessers out: who gives many codes that do not exist has to wait."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from plugins.coupons.codes import mistyped, normal
from plugins.coupons.errors import CouponGuessing

FREE = 10
"""So many misses within PERIOD are let pass; who mistypes makes none, by the check symbol."""
PERIOD = timedelta(hours=1)


@dataclass
class Misses:
    """How often a client has missed, since when."""

    count: int
    since: datetime

    def refusal(self) -> CouponGuessing | None:
        """What a client is told who has missed too often."""
        if self.count < FREE:
            return None
        return CouponGuessing(
            "too many codes that do not exist; "
            f"try again after {(self.since + PERIOD).isoformat()}",
            ("input", "codes"),
        )


async def misses_of(session: Any, clients: Collection[str]) -> dict[str, Misses]:
    """What each client has missed lately."""
    rows = await session.sql.fetch(
        """SELECT client, misses, since FROM coupons_guesses
           WHERE merchant_id = $1 AND client = ANY($2::text[]) AND since > $3""",
        session.merchant_id, sorted(clients), session.now - PERIOD,
    )  # fmt: skip
    stored = {row["client"]: Misses(row["misses"], row["since"]) for row in rows}
    return {one: stored.get(one) or Misses(0, session.now) for one in clients}


async def could_be_guesses(session: Any, codes: Collection[str]) -> set[str]:
    """Those of the codes that are not there, and no typos either."""
    rows = await session.sql.fetch(
        """SELECT u FROM unnest($2::text[]) u
           WHERE NOT EXISTS (SELECT FROM coupons_coupons WHERE merchant_id = $1 AND code = u)
             AND NOT EXISTS (SELECT FROM coupons_templates
                             WHERE merchant_id = $1 AND public_code = u)""",
        session.merchant_id, sorted({normal(code) for code in codes}),
    )  # fmt: skip
    unknown = {row["u"] for row in rows}
    return {one for one in codes if normal(one) in unknown and not mistyped(normal(one))}


async def count_misses(w: Any, missed: Mapping[str, int]) -> None:
    """Note how many codes that do not exist each client gave."""
    clients = sorted(client for client, count in missed.items() if count)
    if not clients:
        return
    await w.sql.execute(
        """INSERT INTO coupons_guesses AS g (merchant_id, client, misses, since)
           SELECT $1, u.client, u.misses, $4
           FROM unnest($2::text[], $3::int[]) AS u (client, misses) ORDER BY u.client
           ON CONFLICT (merchant_id, client) DO UPDATE SET
               misses = CASE WHEN g.since > $5 THEN g.misses ELSE 0 END + excluded.misses,
               since = CASE WHEN g.since > $5 THEN g.since ELSE $4 END""",
        w.merchant_id, clients, [missed[one] for one in clients], w.now, w.now - PERIOD,
    )  # fmt: skip


async def forget(w: Any) -> None:
    """Remove what no longer counts."""
    await w.sql.execute(
        "DELETE FROM coupons_guesses WHERE merchant_id = $1 AND since <= $2",
        w.merchant_id, w.now - PERIOD,
    )  # fmt: skip
