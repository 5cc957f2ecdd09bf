"""What people ordered, and the questions about orders."""

import random
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from core.domain.orders.facts import refresh_facts
from core.domain.segments.facets.states import AskedOrderState
from core.testing.fixtures import START
from tests.segments.oracle.kit import DAYS, bounded, days_ago, within

ZONES = {0: "Asia/Shanghai", 1: "America/Los_Angeles"}
"""Of the first shop, whose zone is the merchant's, and of the second."""
PLATFORMS = ["taobao", "aliexpress"]
SHOPS: list[int] = []
"""The ids of the merchant's two shops, once people are stored."""

STATES = [state.value.lower() for state in AskedOrderState]
PRODUCTS, SKUS, CATEGORIES = ["p1", "p2", "p3"], ["s1", "s2"], ["shoes", "鞋"]
TITLES = ["Red Shirt", "红色T恤 100%_棉", "blue hat"]
PROVINCES = ["广东省", "浙江省", "California", None]


def fill(r: random.Random, person: dict) -> None:
    person.setdefault("created_at", moment(r, 0))
    person["orders"] = [make_order(r) for _ in range(r.choice([0, 1, 2, 3, 5, 8]))]


def moment(r: random.Random, shop: int) -> datetime:
    """A time in the past, often at the edge of a day of the shop's calendar."""
    days = r.choice([0, 0, 1, 2, 2, 3, 29, 30, 31, 89, 90, 365, r.randrange(500)])
    there = ZoneInfo(ZONES[shop])
    day = (START.astimezone(there) - timedelta(days=days)).date()
    at = datetime(day.year, day.month, day.day, tzinfo=there).astimezone(START.tzinfo)
    at += r.choice([timedelta(0), timedelta(microseconds=-1), timedelta(minutes=r.randrange(1440))])
    return min(at, START)


def make_order(r: random.Random) -> dict:
    shop = r.choice([0, 0, 1])
    state = r.choice([*STATES, "completed", "completed", "completed", "shipped"])
    at = moment(r, shop)
    paid = r.choice([0, 4_950, 9_900, 20_000, r.randrange(50_000)])
    return {
        "shop": shop,
        "state": state,
        "paid_at": None if "unpaid" in state and r.random() < 0.9 else at,
        "ordered_at": at if "unpaid" in state else at - timedelta(hours=r.choice([0, 1, 30])),
        "total": paid + r.choice([0, 500]),
        "paid": paid,
        "refunded": r.choice([0, 0, 0, paid // 2, paid, paid + 1]),
        "currency": r.choice(["CNY", "CNY", "CNY", "USD"]),
        "province": r.choice(PROVINCES),
        "in_dispute": r.random() < 0.2,
        "lines": [
            {
                "product_id": r.choice([*PRODUCTS, None]),
                "sku": r.choice([*SKUS, None]),
                "category": r.choice([*CATEGORIES, None]),
                "title": r.choice(TITLES),
            }
            for _ in range(r.choice([0, 1, 1, 2]))
        ],
    }


async def store(w, person: dict) -> None:
    SHOPS[:] = [
        row["id"]
        for row in await w.sql.fetch(
            "SELECT id FROM shops WHERE merchant_id = $1 ORDER BY id", w.merchant_id
        )
    ]
    await w.sql.execute(
        "UPDATE customers SET created_at = $3 WHERE merchant_id = $1 AND id = $2",
        w.merchant_id, person["id"], person["created_at"],
    )  # fmt: skip
    for i, o in enumerate(person["orders"]):
        o["shop_id"] = SHOPS[o["shop"]]
        o["id"] = await w.sql.fetchval(
            """INSERT INTO orders (merchant_id, shop_id, external_id, customer_id, state, currency,
                   total, paid, refunded, ordered_at, paid_at, province, in_dispute, content_hash,
                   taken_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, '', $10)
               RETURNING id""",
            w.merchant_id, o["shop_id"], f"{person['id']}-{i}", person["id"], o["state"],
            o["currency"], o["total"], o["paid"], o["refunded"], o["ordered_at"], o["paid_at"],
            o["province"], o["in_dispute"],
        )  # fmt: skip
        for j, line in enumerate(o["lines"]):
            line["id"] = await w.sql.fetchval(
                """INSERT INTO order_lines (merchant_id, order_id, external_id, title, product_id,
                       category, sku, quantity)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, 1) RETURNING id""",
                w.merchant_id, o["id"], str(j), line["title"], line["product_id"],
                line["category"], line["sku"],
            )  # fmt: skip
    await refresh_facts(w, [person["id"]])


def day_of(at: datetime, shop: int):
    return at.astimezone(ZoneInfo(ZONES[shop])).date()


def refunded(o: dict) -> int:
    return o["paid"] if o["state"] == "closed_refunded" else min(o["refunded"], o["paid"])


def net(o: dict) -> int:
    return o["paid"] - refunded(o)


def bought(one: dict) -> list[dict]:
    """The orders that count: paid, neither closed nor fully refunded."""
    return [
        o for o in one["orders"]
        if o["paid_at"] is not None and o["state"] not in ("closed_unpaid", "closed_refunded")
        and (o["paid"] == 0 or refunded(o) < o["paid"])
    ]  # fmt: skip


def purchases(orders: list[dict]) -> list[dict]:
    """Counted orders of one shop, day and currency taken together, the earliest first."""
    made: dict[tuple, dict] = {}
    for o in orders:
        day = day_of(o["paid_at"], o["shop"])
        one = made.setdefault(
            (o["shop"], day, o["currency"]),
            {"shop": o["shop"], "day": day, "currency": o["currency"], "at": START, "orders": []},
        )
        one["orders"].append(o)
        one["at"] = min(one["at"], o["paid_at"])
    return sorted(made.values(), key=lambda p: (p["at"], p["shop"], p["currency"]))


def event(name: str, one: dict) -> datetime | None:
    """When an event that windows are counted from came to pass."""
    if name == "FIRST_SEEN":
        return one["created_at"]
    made = purchases(bought(one))
    place = {"FIRST_PURCHASE": 0, "SECOND_PURCHASE": 1, "LAST_PURCHASE": -1}[name]
    return made[place]["at"] if len(made) > max(place, 0) else None


def in_window(asked: dict | None, at: datetime | None, shop: int, one: dict) -> bool:
    if asked is None:
        return True
    if at is None:
        return False
    if "last_hours" in asked:
        return at >= START - timedelta(hours=asked["last_hours"])
    ago, day = days_ago(at, ZONES[shop]), day_of(at, shop)
    if "event" in asked:
        since = event(asked["event"], one)
        after = None if since is None else (day - day_of(since, shop)).days
        low, high = asked.get("days_after_at_least", 0), asked.get("days_after_at_most", 10**6)
        return after is not None and low <= after <= high
    return (
        ago <= asked.get("last_days", 10**6)
        and asked.get("days_ago_at_least", -(10**6)) <= ago <= asked.get("days_ago_at_most", 10**6)
        and asked.get("from_day", "0002") <= str(day) <= asked.get("to_day", "9998")
    )


def line_fits(asked: dict, line: dict) -> bool:
    return (
        all(
            name not in asked or line[column] in asked[name]
            for name, column in (
                ("product_ids", "product_id"), ("skus", "sku"), ("categories", "category"),
            )
        )
        and asked.get("title_contains", "").lower() in line["title"].lower()
    )  # fmt: skip


LINE_KEYS = {"product_ids", "skus", "categories", "title_contains"}


def fits(asked: dict | None, o: dict, one: dict, time: str = "paid_at", amount=net) -> bool:
    """Whether an order passes the filter."""
    asked = asked or {}
    money = asked.get("amount")
    provinces = {name: {"广东": "广东省", "浙江省": "浙江省"}.get(name, name)
                 for name in asked.get("provinces", [])}  # fmt: skip
    return (
        in_window(asked.get("within"), o[time], o["shop"], one)
        and o["shop_id"] in asked.get("shop_ids", SHOPS)
        and PLATFORMS[o["shop"]] in map(str.lower, asked.get("platforms", PLATFORMS))
        and ("provinces" not in asked or o["province"] in provinces.values())
        and o["state"].upper() in asked.get("states", [o["state"].upper()])
        and (
            money is None
            or (o["currency"] == money["currency"] and within(money, Decimal(amount(o)) / 100))
        )
        and o["in_dispute"] == asked.get("in_dispute", o["in_dispute"])
        and (not LINE_KEYS & set(asked) or any(line_fits(asked, line) for line in o["lines"]))
    )


def chosen(params: dict, one: dict) -> list[dict]:
    """The counted orders that the filter `orders` leaves."""
    return [o for o in bought(one) if fits(params.get("orders"), o, one)]


def placed(params: dict, one: dict) -> list[dict]:
    """The orders in any state that the filter `orders` leaves."""
    asked = params.get("orders")
    return [o for o in one["orders"] if fits(asked, o, one, "ordered_at", lambda o: o["total"])]


def nets(params: dict, one: dict) -> list[Decimal]:
    """What the orders of the currency came to."""
    code = params["currency"]
    return [Decimal(net(o)) / 100 for o in chosen(params, one) if o["currency"] == code]


def order_average(params: dict, one: dict) -> bool:
    amounts = nets(params, one)
    return bool(amounts) and within(params, sum(amounts) / len(amounts))


def order_largest(params: dict, one: dict) -> bool:
    amounts = nets(params, one)
    return bool(amounts) and within(params, max(amounts))


def bought_then(params: dict, one: dict) -> bool:
    return any(
        fits(params["first"], a, one) and fits(params["then"], b, one)
        and a["paid_at"] < b["paid_at"]
        and params.get("days_at_least", 0)
        <= (day_of(b["paid_at"], b["shop"]) - day_of(a["paid_at"], b["shop"])).days
        <= params.get("days_at_most", 10**6)
        for a in bought(one) for b in bought(one)
    )  # fmt: skip


def some(params: dict, number: int) -> bool:
    """Bounds of a count; without any, one at least."""
    return within(params if {"at_least", "at_most"} & set(params) else {"at_least": 1}, number)


def pair(low: str, high: str, numbers: st.SearchStrategy[int]) -> st.SearchStrategy[dict]:
    """One or both of two bounds."""
    return st.builds(
        lambda two, keep: {
            name: value
            for name, value in ((low, min(two)), (high, max(two)))
            if keep in ("both", name)
        },
        st.tuples(numbers, numbers),
        st.sampled_from(["both", low, high]),
    )


def some_of(values: list) -> st.SearchStrategy[list]:
    return st.lists(st.sampled_from(values), max_size=2)


EDGES = st.sampled_from(["2025-06-15", "2026-03-17", "2026-05-16", "2026-06-12", "2026-06-14"])
PLAIN_WINDOWS = st.one_of(
    DAYS.map(lambda days: {"last_days": days}),
    pair("days_ago_at_least", "days_ago_at_most", DAYS),
    st.builds(
        lambda two, keep: {
            name: day
            for name, day in (("from_day", min(two)), ("to_day", max(two)))
            if keep in ("both", name)
        },
        st.tuples(EDGES, EDGES), st.sampled_from(["both", "from_day", "to_day"]),
    ),
)  # fmt: skip
WINDOWS = st.one_of(
    PLAIN_WINDOWS,
    st.sampled_from([1, 12, 24, 30, 120]).map(lambda hours: {"last_hours": hours}),
    st.builds(
        lambda name, days: {"event": name, **days},
        st.sampled_from(["FIRST_PURCHASE", "SECOND_PURCHASE", "LAST_PURCHASE", "FIRST_SEEN"]),
        pair("days_after_at_least", "days_after_at_most", st.sampled_from([0, 1, 2, 30, 60])),
    ),
)
MONEY = st.builds(
    lambda bounds, code: {"currency": code, **bounds},
    st.one_of(
        bounded(0, 400, as_text=True),
        st.sampled_from([{"at_least": "0"}, {"at_most": "99.00"}, {"at_least": "49.50"}]),
    ),
    st.sampled_from(["CNY", "CNY", "USD"]),
)  # fmt: skip
LINES = {
    "product_ids": some_of(PRODUCTS), "skus": some_of(SKUS), "categories": some_of(CATEGORIES),
    "title_contains": st.sampled_from(["red", "T恤", "%_", "HAT"]),
}  # fmt: skip
SHOP_FILTER = {
    "shop_ids": st.lists(st.integers(0, 1).map(lambda n: SHOPS[n]), max_size=2),
    "platforms": some_of(["taobao", "AliExpress"]),
}
PARTS = {
    **LINES, **SHOP_FILTER,
    "within": WINDOWS,
    "provinces": some_of(["广东", "浙江省", "California"]),
    "states": st.lists(st.sampled_from([state.value for state in AskedOrderState]),
                       max_size=4, unique=True),
    "amount": MONEY,
    "in_dispute": st.booleans(),
}  # fmt: skip
FILTERS = st.one_of(
    st.just({}),
    st.fixed_dictionaries({}, optional=SHOP_FILTER),
    st.sampled_from([*PARTS, "within"]).flatmap(
        lambda name: st.fixed_dictionaries({name: PARTS[name]})
    ),
    st.lists(st.sampled_from([*PARTS]), min_size=2, max_size=2, unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: PARTS[name] for name in names})
    ),
)  # fmt: skip


def asked(name: str, *parts: st.SearchStrategy[dict], **more: st.SearchStrategy):
    """A question of these parameters taken together; `orders` may be left out."""
    more = st.fixed_dictionaries(more, optional={"orders": FILTERS})
    made = st.builds(
        lambda *given: {key: value for one in given for key, value in one.items()}, *parts, more
    )
    return made.map(lambda params: {name: params})


LEAVES = st.one_of(
    asked("order_count", bounded(0, 4)),
    asked("order_sum", MONEY),
    asked("order_average", MONEY),
    asked("order_largest", MONEY),
    asked("bought"),
    asked("ordered", st.one_of(st.just({}), bounded(0, 3))),
    st.builds(
        lambda first, then, days: {"bought_then": {"first": first, "then": then, **days}},
        FILTERS, FILTERS,
        st.one_of(
            st.just({}),
            pair("days_at_least", "days_at_most", st.sampled_from([0, 1, 2, 28, 30, 90, 400])),
        ),
    ),
)  # fmt: skip
EVALUATE = {
    "order_count": lambda params, one: within(params, len(chosen(params, one))),
    "order_sum": lambda params, one: within(params, sum(nets(params, one))),
    "order_average": order_average,
    "order_largest": order_largest,
    "bought": lambda params, one: bool(chosen(params, one)),
    "bought_then": bought_then,
    "ordered": lambda params, one: some(params, len(placed(params, one))),
}
