"""What people bought."""

import random
from datetime import timedelta
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from core.domain.orders.facts import refresh_facts
from core.sdk import from_minor
from core.testing.fixtures import START
from tests.segments.oracle.kit import DAYS, ZONE, bounded, days_ago, within

STATES = ["completed", "completed", "shipped", "created_unpaid", "closed_unpaid", "closed_refunded"]


def fill(r: random.Random, person: dict) -> None:
    person["orders"] = [make_order(r) for _ in range(r.choice([0, 0, 1, 1, 2, 3, 5]))]


def make_order(r: random.Random) -> dict:
    state = r.choice(STATES)
    # some stand exactly on the edges of shop-local days
    at = START - timedelta(days=r.choice([0, 1, 2, 29, 30, 31, 90, 365, r.randrange(500)]))
    at = at.astimezone(ZoneInfo(ZONE)).replace(hour=0, minute=0)
    at += r.choice([timedelta(0), timedelta(seconds=-1), timedelta(hours=r.randrange(24))])
    paid = r.randrange(0, 50_000)
    return {
        "state": state,
        "paid_at": None if "unpaid" in state else min(at, START),
        "paid": paid,
        "refunded": r.choice([0, 0, 0, paid // 2, paid]),
        "currency": r.choice(["CNY", "CNY", "CNY", "USD"]),
        "shop": r.choice([1, 2]),
    }


async def store(w, person: dict) -> None:
    shops = await w.sql.fetch("SELECT id FROM shops WHERE merchant_id = $1 ORDER BY id",
                              w.merchant_id)  # fmt: skip
    for i, o in enumerate(person["orders"]):
        o["shop_id"] = shops[o["shop"] - 1]["id"]
        o["id"] = await w.sql.fetchval(
            """INSERT INTO orders (merchant_id, shop_id, external_id, customer_id, state, currency,
                   total, paid, refunded, ordered_at, paid_at, content_hash, taken_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9, $10, '', $9) RETURNING id""",
            w.merchant_id, o["shop_id"], f"{person['id']}-{i}", person["id"], o["state"],
            o["currency"], o["paid"], o["refunded"], w.now, o["paid_at"],
        )  # fmt: skip
    await refresh_facts(w, [person["id"]])


def refunded(o: dict) -> int:
    return o["paid"] if o["state"] == "closed_refunded" else min(o["refunded"], o["paid"])


def bought(one: dict) -> list[dict]:
    """The orders that count: paid, neither closed nor fully refunded."""
    return [
        o for o in one["orders"]
        if o["paid_at"] is not None and o["state"] not in ("closed_unpaid", "closed_refunded")
        and (o["paid"] == 0 or refunded(o) < o["paid"])
    ]  # fmt: skip


def chosen(params: dict, one: dict) -> list[dict]:
    """Those that the filter `orders` leaves."""
    asked = params.get("orders") or {}
    window = (asked.get("within") or {}).get("last_days")
    shops = asked.get("shop_ids")
    return [
        o for o in bought(one)
        if (window is None or days_ago(o["paid_at"]) <= window)
        and (shops is None or o["shop_id"] in shops)
    ]  # fmt: skip


def order_sum(params: dict, one: dict) -> bool:
    code = params["currency"]
    minor = sum(o["paid"] - refunded(o) for o in chosen(params, one) if o["currency"] == code)
    return within(params, from_minor(minor, code))


FILTERS = st.fixed_dictionaries({}, optional={"within": DAYS.map(lambda days: {"last_days": days})})
LEAVES = st.one_of(
    st.builds(
        lambda bounds, orders: {"order_count": {**bounds, "orders": orders}}, bounded(0, 4), FILTERS
    ),
    st.builds(
        lambda bounds, orders: {"order_sum": {"currency": "CNY", **bounds, "orders": orders}},
        bounded(0, 900, as_text=True), FILTERS,
    ),
    st.builds(
        lambda pair, keep: {
            "days_since_last_purchase": {
                k: v
                for k, v in (("at_least", min(pair)), ("at_most", max(pair)))
                if keep in ("both", k)
            }
        },
        st.tuples(DAYS, DAYS),
        st.sampled_from(["both", "at_least", "at_most"]),
    ),
)  # fmt: skip
EVALUATE = {
    "order_count": lambda params, one: within(params, len(chosen(params, one))),
    "order_sum": order_sum,
    "days_since_last_purchase": lambda params, one: (
        bool(bought(one)) and within(params, min(days_ago(o["paid_at"]) for o in bought(one)))
    ),
}
