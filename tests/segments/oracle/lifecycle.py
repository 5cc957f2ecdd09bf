"""Where people stand in their lifecycle, what they are worth, and what they use up."""

import random
from datetime import timedelta
from math import floor

from hypothesis import strategies as st

from core.testing.fixtures import START
from tests.segments.oracle.kit import days_ago, within
from tests.segments.oracle.orders import ZONES, bought, day_of, refunded

SHOP_WIDE = (30, 90, 364)
SECOND_SHOP = (2, 31, 89)
"""Active, silent and sleeping days, of all shops and of the second one."""
BOUNDS = {"r": [2, 30, 31, 90], "f": [1, 1, 2, 3], "m": [9_000, 20_000, 20_000, 40_000]}
MEANS = {"r": 60.5, "f": 2, "m": 25_000.25}
PERCENTILES = [n * 700 for n in range(1, 100)]
CYCLES = {"tea": 30, "oil": 365}
ALL = 0
GROUPS = {
    "IMPORTANT_VALUE": (True, True, True), "IMPORTANT_DEVELOP": (True, False, True),
    "IMPORTANT_KEEP": (False, True, True), "IMPORTANT_WIN_BACK": (False, False, True),
    "GENERAL_VALUE": (True, True, False), "GENERAL_DEVELOP": (True, False, False),
    "GENERAL_KEEP": (False, True, False), "GENERAL_WIN_BACK": (False, False, False),
}  # fmt: skip


def fill(r: random.Random, person: dict) -> None:
    for order in person["orders"]:
        order["used_up"] = r.choice([[], ["tea"], ["tea", "oil"], ["rice"]])


async def store(w, person: dict) -> None:
    for order in person["orders"]:
        for product in order["used_up"]:
            await w.sql.execute(
                """INSERT INTO order_lines (merchant_id, order_id, external_id, title, product_id,
                       quantity) VALUES ($1, $2, $3, $3, $3, 1)""",
                w.merchant_id, order["id"], product,
            )  # fmt: skip
    if not await w.sql.fetchval(
        "SELECT count(*) FROM lifecycle_models WHERE merchant_id = $1", w.merchant_id
    ):
        await _store_models(w)


async def _store_models(w) -> None:
    shops = await w.sql.fetch(
        "SELECT id FROM shops WHERE merchant_id = $1 ORDER BY id", w.merchant_id
    )
    for shop, days in ((ALL, SHOP_WIDE), (shops[1]["id"], SECOND_SHOP)):
        for wrong in (False, True):  # the latter ones hold from tomorrow on
            first = START.date() + timedelta(days=1 if wrong else -10)
            await w.sql.execute(
                """INSERT INTO lifecycle_models (merchant_id, shop_id, active, silent, sleeping,
                       source, reason, actor, at, valid_from, valid_to)
                   VALUES ($1, $2, $3, $4, $5, 'manual', 'x', 'x', $6, $7, $8)""",
                w.merchant_id, shop, *([1, 2, 3] if wrong else days), START, first,
                None if wrong else START.date() + timedelta(days=1),
            )  # fmt: skip
    for shop in (ALL, *(row["id"] for row in shops)):
        await w.sql.execute(
            """INSERT INTO rfm_models (merchant_id, shop_id, currency, fixed, customers, buyers,
                   r_bounds, f_bounds, m_bounds, r_mean, f_mean, m_mean, percentiles, actor, at,
                   valid_from)
               VALUES ($1, $2, 'CNY', FALSE, 9, 9, $3, $4, $5, $6, $7, $8, $9, 'x', $10, $11)""",
            w.merchant_id, shop, *BOUNDS.values(), *MEANS.values(), PERCENTILES, START,
            START.date(),
        )  # fmt: skip
    for shop in shops:
        for product, days in CYCLES.items():
            await w.sql.execute(
                """INSERT INTO product_cycles (merchant_id, shop_id, product_id, days, sample,
                       customers, at) VALUES ($1, $2, $3, $4, 20, 20, $5)""",
                w.merchant_id, shop["id"], product, days, START,
            )  # fmt: skip


def here(params: dict, one: dict, currency: str | None = None) -> list[dict]:
    """What was bought in the shop that is asked for, in any currency or in one."""
    wanted = params.get("shop_id")
    return [
        o for o in bought(one)
        if (wanted is None or o["shop_id"] == wanted) and (currency in (None, o["currency"]))
    ]  # fmt: skip


def purchases(orders: list[dict]) -> set[tuple]:
    return {(o["shop_id"], o["currency"], day_of(o["paid_at"], o["shop"])) for o in orders}


def stage(params: dict, one: dict) -> bool:
    ages = [days_ago(o["paid_at"]) for o in here(params, one)]
    if not ages:
        return "POTENTIAL" in params["any_of"]
    for name, days in zip(("ACTIVE", "SILENT", "SLEEPING"), SHOP_WIDE, strict=True):
        if min(ages) <= days:
            return name in params["any_of"]
    return "CHURNED" in params["any_of"]


def days_to_next(params: dict, one: dict) -> bool:
    orders = here(params, one)
    if not orders:
        return False
    ages, times = [days_ago(o["paid_at"]) for o in orders], len(purchases(orders))
    gap = SHOP_WIDE[0]
    if times >= 3:
        gap = floor((max(ages) - min(ages)) / (times - 1) + 0.5)
    return within(params, gap - min(ages))


def percentile(params: dict, one: dict) -> bool:
    orders = here(params, one, "CNY")
    net = sum(o["paid"] - refunded(o) for o in orders)
    return bool(orders) and net > PERCENTILES[99 - params["top"]]


def figures(params: dict, one: dict) -> dict[str, int] | None:
    orders = [o for o in here(params, one, "CNY") if days_ago(o["paid_at"]) <= 365]
    if not orders:
        return None
    return {
        "r": min(days_ago(o["paid_at"]) for o in orders),
        "f": len(purchases(orders)),
        "m": sum(o["paid"] - refunded(o) for o in orders),
    }


def scores(params: dict, one: dict) -> bool:
    found = figures(params, one)
    if found is None:
        return False
    for name, value in found.items():
        score = 1 + sum(bound < value for bound in BOUNDS[name])
        score = 6 - score if name == "r" else score
        bounds = {k: params.get(f"{name}_{k}") for k in ("at_least", "at_most")}
        if not within(bounds, score):
            return False
    return True


def group(params: dict, one: dict) -> bool:
    found = figures(params, one)
    if found is None:
        return False
    good = (found["r"] <= MEANS["r"], found["f"] >= MEANS["f"], found["m"] >= MEANS["m"])
    return any(GROUPS[name] == good for name in params["any_of"])


def due(params: dict, one: dict) -> bool:
    last: dict[tuple, list] = {}
    for order in here(params, one):
        for product in order["used_up"]:
            if product in CYCLES and product in params.get("product_ids", [product]):
                last.setdefault((order["shop"], product), []).append(order["paid_at"])
    return any(
        within(params, CYCLES[product] - days_ago(max(times), ZONES[shop]))
        for (shop, product), times in last.items()
    )


def signed(low: int, high: int) -> st.SearchStrategy[dict]:
    return st.builds(
        lambda pair, keep: {
            key: value
            for key, value in (("at_least", min(pair)), ("at_most", max(pair)))
            if keep in ("both", key)
        },
        st.tuples(st.integers(low, high), st.integers(low, high)),
        st.sampled_from(["both", "at_least", "at_most"]),
    )


def score_bounds(pairs: list) -> dict:
    made: dict[str, int] = {}
    for name, pair in zip("rfm", pairs, strict=True):
        if pair is not None:
            made[f"{name}_at_least"], made[f"{name}_at_most"] = min(pair), max(pair)
    return made or {"f_at_least": 2}


SCORE = st.none() | st.tuples(st.integers(1, 5), st.integers(1, 5))
LEAVES = st.one_of(
    st.builds(
        lambda some: {"lifecycle_stage": {"any_of": some}},
        st.lists(
            st.sampled_from(["POTENTIAL", "ACTIVE", "SILENT", "SLEEPING", "CHURNED"]), max_size=4
        ),
    ),
    st.builds(lambda some: {"days_to_next_purchase": some}, signed(-300, 60)),
    st.builds(lambda top: {"value_percentile": {"top": top}}, st.sampled_from([1, 20, 50, 99])),
    st.builds(lambda pairs: {"rfm_score": score_bounds(pairs)}, st.tuples(SCORE, SCORE, SCORE)),
    st.builds(
        lambda some: {"rfm_group": {"any_of": some}},
        st.lists(st.sampled_from([*GROUPS]), max_size=4),
    ),
    st.builds(
        lambda bounds, more: {"replenishment_due": {**bounds, **more}},
        signed(-400, 400),
        st.fixed_dictionaries(
            {}, optional={"product_ids": st.lists(st.sampled_from(["tea", "oil", "rice"]))}
        ),
    ),
)
EVALUATE = {
    "lifecycle_stage": stage,
    "days_to_next_purchase": days_to_next,
    "value_percentile": percentile,
    "rfm_score": scores,
    "rfm_group": group,
    "replenishment_due": due,
}
