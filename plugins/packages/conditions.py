"""What a rule asks about the order and the parcel, in SQL and in words."""

from collections.abc import Iterator
from decimal import Decimal

from pydantic import BaseModel, Field

from core.domain.orders.facts import COUNTED
from core.sdk import InvalidInput, Query, Say, minor_of, to_minor

MOST = 1_000_000

NTH = f"""(SELECT count(*) FROM orders x WHERE x.merchant_id = $1 AND x.customer_id = o.customer_id
    AND {COUNTED.replace("o.", "x.")} AND (x.paid_at, x.id) <= (o.paid_at, o.id))"""
"""Which purchase of its customer order `o` is, from 1; NULL or 0 for one that is none."""


class OrderRule(BaseModel, extra="forbid"):
    """Conditions on an order and its parcel, all of which must hold; none are for every parcel.

    Amounts are of what was paid, in the merchant's currency; `items` are product ids or SKUs, of
    which the order has at least one. Bounds are inclusive.
    """

    shop_ids: list[int] | None = Field(default=None, min_length=1, max_length=100)
    provinces: list[str] | None = Field(default=None, min_length=1, max_length=100)
    items: list[str] | None = Field(default=None, min_length=1, max_length=1000)
    paid_at_least: Decimal | None = Field(default=None, ge=0, le=MOST)
    paid_at_most: Decimal | None = Field(default=None, ge=0, le=MOST)
    purchase_from: int | None = Field(default=None, ge=1, le=MOST)
    purchase_to: int | None = Field(default=None, ge=1, le=MOST)
    parcel_from: int | None = Field(default=None, ge=1, le=1000)
    parcel_to: int | None = Field(default=None, ge=1, le=1000)

    def check(self, currency: str) -> None:
        """Raises InvalidInput for bounds between which there is nothing."""
        for low, high in (
            ("paid_at_least", "paid_at_most"), ("purchase_from", "purchase_to"),
            ("parcel_from", "parcel_to"),
        ):  # fmt: skip
            least, most = getattr(self, low), getattr(self, high)
            if least is not None and most is not None and least > most:
                raise InvalidInput(f"{low} is greater than {high}", ("input", "orders"))
        for name in ("paid_at_least", "paid_at_most"):
            if (amount := getattr(self, name)) is not None:
                minor_of(amount, currency, ("input", "orders", name))

    def sql(self, q: Query, currency: str) -> str:
        """A condition, never NULL, on order `o`, its purchase `n.nth` and its parcel `k.number`."""
        return f"COALESCE({' AND '.join(self._parts(q, currency)) or 'TRUE'}, FALSE)"

    @property
    def asks_for_nth(self) -> bool:
        """Whether it asks which purchase of the customer the order is."""
        return self.purchase_from is not None or self.purchase_to is not None

    def _parts(self, q: Query, currency: str) -> Iterator[str]:
        if self.shop_ids is not None:
            yield q.one_of("o.shop_id", self.shop_ids, "bigint")
        if self.provinces is not None:
            yield q.one_of("o.province", self.provinces)
        if self.items is not None:
            wanted = q.arg(self.items, "text[]")
            yield f"""EXISTS (SELECT 1 FROM order_lines l
                WHERE l.merchant_id = $1 AND l.order_id = o.id
                  AND (l.product_id = ANY({wanted}) OR l.sku = ANY({wanted})))"""
        if self.paid_at_least is not None or self.paid_at_most is not None:
            yield f"o.currency = {q.arg(currency, 'text')}"
        for column, low, high in (
            ("o.paid", *(None if amount is None else to_minor(amount, currency)
                         for amount in (self.paid_at_least, self.paid_at_most))),
            ("n.nth", self.purchase_from, self.purchase_to),
            ("k.number", self.parcel_from, self.parcel_to),
        ):  # fmt: skip
            if low is not None:
                yield f"{column} >= {q.arg(low, 'bigint')}"
            if high is not None:
                yield f"{column} <= {q.arg(high, 'bigint')}"

    def words(self, say: Say) -> str:
        """The conditions in words, empty for none."""
        return say(" and ", "且").join(self._words(say))

    def _words(self, say: Say) -> Iterator[str]:
        if self.shop_ids is not None:
            names = say.either([say.name("shop", number) for number in self.shop_ids])
            yield say(f"the order is of {names}", f"订单来自{names}")
        if self.provinces is not None:
            names = say.either(self.provinces)
            yield say(f"the order goes to {names}", f"收货地为{names}")
        if self.items is not None:
            names = say.either(self.items)
            yield say(f"the order has {names}", f"订单包含{names}")
        if self.paid_at_least is not None or self.paid_at_most is not None:
            amount = say.bounds(self.paid_at_least, self.paid_at_most)
            yield say(f"the order is paid {amount}", f"订单实付{amount}")
        if self.asks_for_nth:
            if self.purchase_to == 1:
                yield say("it is the first purchase", "是首次购买")
            else:
                nth = say.bounds(self.purchase_from, self.purchase_to)
                yield say(f"it is purchase number {nth}", f"是第{nth}次购买")
        if self.parcel_from is not None or self.parcel_to is not None:
            which = say.bounds(self.parcel_from, self.parcel_to)
            yield say(f"it is parcel number {which}", f"是第{which}个包裹")
