"""What the families share: the clock, days, bounds."""

from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from core.testing.fixtures import START

ZONE = "Asia/Shanghai"
DAYS = st.sampled_from([0, 1, 2, 29, 30, 31, 89, 90, 364, 365, 400])


def days_ago(at: datetime, zone: str = ZONE) -> int:
    there = ZoneInfo(zone)
    return (START.astimezone(there).date() - at.astimezone(there).date()).days


def within(params: dict, value) -> bool:
    low, high = params.get("at_least"), params.get("at_most")
    return (low is None or value >= Decimal(low)) and (high is None or value <= Decimal(high))


def bounded(low: int, high: int, as_text: bool = False) -> st.SearchStrategy[dict]:
    def shape(pair: tuple[int, int], keep: str) -> dict:
        made = {"at_least": min(pair), "at_most": max(pair)}
        made = {key: made[key] for key in made if keep in ("both", key)}
        return {k: f"{v}.50" if as_text else v for k, v in made.items()}

    number = st.integers(low, high)
    keep = st.sampled_from(["both", "at_least", "at_most"])
    return st.builds(shape, st.tuples(number, number), keep)


def with_some(base: st.SearchStrategy[dict], **more: st.SearchStrategy) -> st.SearchStrategy[dict]:
    return st.builds(lambda a, b: {**a, **b}, base, st.fixed_dictionaries({}, optional=more))
