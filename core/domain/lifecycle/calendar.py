"""The calendar in which a shop's days are counted; all shops together use the merchant's."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from core.sdk.errors import NotFound
from core.sdk.facets import midnight
from core.storage.database import Session

ALL_SHOPS = 0


@dataclass(frozen=True)
class Calendar:
    """A shop (0: all) with its time zone, today's date there, and its currency.

    `one_zone` says that the days of every shop meant are those of `zone`.
    """

    shop_id: int
    zone: str
    today: date
    currency: str
    one_zone: bool

    def end_of(self, day: date) -> datetime:
        """The first instant after a day."""
        return midnight(day + timedelta(days=1), ZoneInfo(self.zone))

    def start_of(self, day: date) -> datetime:
        """The first instant of a day."""
        return midnight(day, ZoneInfo(self.zone))


async def calendar_of(session: Session, shop_id: int = ALL_SHOPS) -> Calendar:
    """The calendar of a shop, or of all (0). Raises NotFound."""
    row = await session.sql.fetchrow(
        """SELECT s.id IS NOT NULL AS found, COALESCE(s.time_zone, m.time_zone) AS zone,
                  COALESCE(s.currency, m.currency) AS currency,
                  s.id IS NOT NULL OR NOT EXISTS (
                      SELECT 1 FROM shops o WHERE o.merchant_id = m.id
                        AND o.time_zone <> m.time_zone) AS one_zone
           FROM merchants m LEFT JOIN shops s ON s.merchant_id = m.id AND s.id = $2
           WHERE m.id = $1""",
        session.merchant_id, shop_id,
    )  # fmt: skip
    if row is None or not (row["found"] or shop_id == ALL_SHOPS):
        raise NotFound("there is no shop with this id", ("input", "shopId"))
    today = session.now.astimezone(ZoneInfo(row["zone"])).date()
    return Calendar(shop_id, row["zone"], today, row["currency"], row["one_zone"])
