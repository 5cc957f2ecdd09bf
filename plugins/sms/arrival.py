"""How many messages arrived, by provider, signature and carrier."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any


@dataclass(frozen=True)
class Arrival:
    """Messages that a provider took under a signature, to numbers of one carrier prefix.

    `waiting` are those of which no end is known yet.
    """

    provider: str
    signature: str
    prefix: str
    sent: int
    delivered: int
    undelivered: int

    @property
    def waiting(self) -> int:
        return self.sent - self.delivered - self.undelivered

    @property
    def rate(self) -> Decimal | None:
        """Delivered by those whose end is known; None if none is."""
        known = self.delivered + self.undelivered
        return round(Decimal(self.delivered) / known, 4) if known else None


async def arrivals(session: Any, since: date, until: date) -> list[Arrival]:
    """Of the messages sent from a day to another (both included) in the merchant's calendar."""
    rows = await session.sql.fetch(
        """SELECT m.provider, m.signature, m.prefix, count(*) AS sent,
                  count(*) FILTER (WHERE d.receipt IN ('delivered', 'complained')) AS delivered,
                  count(*) FILTER (WHERE d.receipt IN ('undelivered', 'bounced')) AS undelivered
           FROM merchants
           JOIN deliveries d ON d.merchant_id = merchants.id
           JOIN sms_messages m ON m.merchant_id = $1 AND m.id = d.id
           WHERE merchants.id = $1 AND d.merchant_id = $1 AND d.channel = 'sms'
             AND d.state = 'sent'
             AND d.sent_at >= $2::date::timestamp AT TIME ZONE merchants.time_zone
             AND d.sent_at < ($3::date + 1)::timestamp AT TIME ZONE merchants.time_zone
           GROUP BY 1, 2, 3 ORDER BY 1, 2, 3""",
        session.merchant_id, since, until,
    )  # fmt: skip
    return [Arrival(**row) for row in rows]
