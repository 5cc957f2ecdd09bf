"""A shop, or all of them, in the SQL and in the words of facets that count in its days."""

from functools import cached_property

from core.domain.lifecycle.thresholds import Name, threshold_sql
from core.sdk.facets import Query, Rows, Say


class Place:
    """A shop, or all (0), as SQL; each part becomes a parameter when it is asked for first."""

    def __init__(self, q: Query, shop_id: int | None) -> None:
        self._q = q
        self._shop_id = shop_id

    @cached_property
    def shop(self) -> str:
        """The shop's id."""
        return self._q.arg(self._shop_id or 0, "bigint")

    @cached_property
    def zone(self) -> str:
        """The name of its time zone."""
        return self._q.zone_of(self.shop if self._shop_id else None)

    @cached_property
    def today(self) -> str:
        """Today's date there."""
        return f"({self._q.arg(self._q.now, 'timestamptz')} AT TIME ZONE {self.zone})::date"

    def start(self, day: str) -> str:
        """The first instant of a day, looked up once per statement."""
        return f"(SELECT ({day})::timestamp AT TIME ZONE {self.zone})"

    def threshold(self, name: Name) -> str:
        """A lifecycle threshold in force today."""
        return threshold_sql(name, self.shop, self.today)

    def facts(self, *where: str) -> Rows:
        """The customer's figures of those currencies in which it bought."""
        conditions = [f"f.shop_id = {self.shop}", "f.last_purchase_at IS NOT NULL", *where]
        return Rows("customer_facts f", "f.customer_id", conditions, existing=True, few=True)


def in_shop(say: Say, shop_id: int | None) -> tuple[str, str]:
    """ " in the shop X" to stand at the end in English, "在店铺X" at the beginning in Chinese."""
    if shop_id is None:
        return "", ""
    return f" in {say.name('shop', shop_id)}", f"在店铺{say.name('shop', shop_id)}"
