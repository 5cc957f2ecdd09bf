"""Customers who bought on given days, and a naive account of it."""

import random
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from core.domain.lifecycle.calendar import calendar_of
from core.domain.orders.facts import refresh_facts
from core.domain.shops.shops import create_shop
from core.testing.fixtures import START

ZONE = "Asia/Shanghai"
TODAY = START.astimezone(ZoneInfo(ZONE)).date()


@dataclass
class Bought:
    """One order that was paid; amounts in minor units."""

    day: date
    shop_id: int
    currency: str = "CNY"
    paid: int = 1_000
    refunded: int = 0
    state: str = "completed"
    hour: int = 12
    zone: str = ZONE

    @property
    def at(self) -> datetime:
        return datetime.combine(self.day, time(self.hour), ZoneInfo(self.zone))

    @property
    def counts(self) -> bool:
        return self.state == "completed" and (self.paid == 0 or self.refunded < self.paid)


@dataclass
class Person:
    orders: list[Bought] = field(default_factory=list)
    id: int = 0
    known: date = TODAY

    def in_shop(self, shop_id: int) -> list[Bought]:
        return [o for o in self.orders if o.counts and shop_id in (0, o.shop_id)]


async def store(w, people: list[Person], products: dict | None = None) -> None:
    """Write people with their orders; `products` maps an order's id() to products bought by it."""
    for person in people:
        known = datetime.combine(person.known, time(0), ZoneInfo(ZONE))
        person.id = await w.sql.fetchval(
            """INSERT INTO customers (merchant_id, version, created_at, updated_at)
               VALUES ($1, 1, $2, $2) RETURNING id""",
            w.merchant_id, known,
        )  # fmt: skip
        for number, o in enumerate(person.orders):
            order_id = await w.sql.fetchval(
                """INSERT INTO orders (merchant_id, shop_id, external_id, customer_id, state,
                       currency, total, paid, refunded, ordered_at, paid_at, content_hash, taken_at)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9, $9, '', $9) RETURNING id""",
                w.merchant_id, o.shop_id, f"{person.id}-{number}", person.id, o.state, o.currency,
                o.paid, o.refunded, o.at,
            )  # fmt: skip
            for product in (products or {}).get(id(o), []):
                await w.sql.execute(
                    """INSERT INTO order_lines (merchant_id, order_id, external_id, title,
                           product_id, quantity) VALUES ($1, $2, $3, $3, $3, 1)""",
                    w.merchant_id, order_id, product,
                )  # fmt: skip
    await refresh_facts(w, [person.id for person in people])


def days_ago(days: int) -> date:
    return TODAY - timedelta(days=days)


async def second_shop(w) -> int:
    return await create_shop(w, "second", "aliexpress")


def crowd(r: random.Random, shops: list[int], size: int) -> list[Person]:
    """People who buy at random in several shops and currencies; some days hold several orders."""
    people = []
    for _ in range(size):
        person = Person(known=days_ago(r.randrange(700)))
        for _ in range(r.choice([0, 1, 1, 2, 3, 4, 7])):
            day = days_ago(r.choice([0, 1, 29, 30, 31, 60, 61, 90, 91, 365, 366, r.randrange(600)]))
            paid = r.randrange(0, 5_000)
            person.orders.append(
                Bought(
                    day, r.choice(shops), r.choice(["CNY", "CNY", "CNY", "USD"]), paid,
                    r.choice([0, 0, 0, paid // 2, paid]),
                    r.choice(["completed"] * 5 + ["closed_refunded"]), r.randrange(24),
                )
            )  # fmt: skip
        people.append(person)
    return people


async def calendar(merchant, shop_id: int = 0):
    async with merchant.read() as session:
        return await calendar_of(session, shop_id)
