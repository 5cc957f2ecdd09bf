"""When people purchased: orders of one shop, day and currency are one purchase."""

from decimal import Decimal

from hypothesis import strategies as st

from tests.segments.oracle.kit import DAYS, bounded, days_ago, within
from tests.segments.oracle.orders import (
    FILTERS,
    WINDOWS,
    ZONES,
    asked,
    chosen,
    fits,
    in_window,
    pair,
    purchases,
)


def fill(r, person: dict) -> None:
    """Orders make purchases."""


async def store(w, person: dict) -> None:
    """Orders make purchases."""


def made(params: dict, one: dict) -> list[dict]:
    return purchases(chosen(params, one))


def purchase(params: dict, one: dict, place: int) -> bool:
    """Whether the purchase at a place is one that is asked for."""
    found = made(params, one)
    if len(found) < max(place + 1, 1):
        return False
    that = found[place]
    return in_window(params.get("within"), that["at"], that["shop"], one) and any(
        fits(params.get("having"), o, one) for o in that["orders"]
    )


def days_since(params: dict, one: dict) -> bool:
    days = [days_ago(p["at"], ZONES[p["shop"]]) for p in made(params, one)]
    return bool(days) and within(params, min(days))


def gap(params: dict, one: dict) -> bool:
    found = made(params, one)
    if len(found) < 2:
        return False
    days = [p["day"] for p in found]
    kind = params.get("gap", "AVERAGE")
    if kind == "AVERAGE":
        return within(params, Decimal((max(days) - min(days)).days) / (len(days) - 1))
    two = days[:2] if kind == "FIRST" else days[-2:]
    return within(params, abs((two[1] - two[0]).days))


WHICH = st.one_of(
    st.fixed_dictionaries({"within": WINDOWS}, optional={"having": FILTERS}),
    st.fixed_dictionaries({"having": FILTERS}),
)
LEAVES = st.one_of(
    asked("purchase_count", bounded(0, 4)),
    asked("first_purchase", WHICH),
    asked("last_purchase", WHICH),
    asked("nth_purchase", WHICH, n=st.integers(1, 4)),
    asked("days_since_last_purchase", pair("at_least", "at_most", DAYS)),
    asked(
        "purchase_gap",
        pair("at_least", "at_most", st.sampled_from([0, 1, 2, 15, 30, 60, 120])),
        st.fixed_dictionaries({}, optional={"gap": st.sampled_from(["AVERAGE", "FIRST", "LAST"])}),
    ),
)
EVALUATE = {
    "purchase_count": lambda params, one: within(params, len(made(params, one))),
    "first_purchase": lambda params, one: purchase(params, one, 0),
    "last_purchase": lambda params, one: purchase(params, one, -1),
    "nth_purchase": lambda params, one: purchase(params, one, params["n"] - 1),
    "days_since_last_purchase": days_since,
    "purchase_gap": gap,
}
