"""Parcels and refunds of people's orders."""

import random
from decimal import Decimal

from hypothesis import strategies as st

from core.domain.segments.facets.states import (
    AskedParcelState,
    AskedRefundKind,
    AskedRefundState,
)
from tests.segments.oracle.kit import bounded, within
from tests.segments.oracle.orders import (
    LINE_KEYS,
    LINES,
    WINDOWS,
    asked,
    fits,
    in_window,
    line_fits,
    moment,
    placed,
    refunded,
    some,
    some_of,
)

CARRIERS, REASONS = ["sf", "yto"], ["too small", "质量问题"]
PARCEL_STATES = [state.value for state in AskedParcelState]
KINDS = [kind.value for kind in AskedRefundKind]
REFUND_STATES = [state.value for state in AskedRefundState]


def fill(r: random.Random, person: dict) -> None:
    for o in person["orders"]:
        o["parcels"] = [
            {
                "state": r.choice([*PARCEL_STATES, None]),
                "carrier": r.choice([*CARRIERS, None]),
                "at": r.choice([moment(r, o["shop"]), None]),
            }
            for _ in range(r.choice([0, 0, 1, 2]))
        ]
        o["refunds"] = [
            {
                "kind": r.choice(KINDS),
                "state": r.choice(REFUND_STATES),
                "reason": r.choice([*REASONS, None]),
                "line": r.choice([*range(len(o["lines"])), None]),
                "at": moment(r, o["shop"]),
            }
            for _ in range(r.choice([0, 0, 0, 1, 2]))
        ]


async def store(w, person: dict) -> None:
    for o in person["orders"]:
        for i, p in enumerate(o["parcels"]):
            await w.sql.execute(
                """INSERT INTO parcels (merchant_id, order_id, tracking_number, carrier, state,
                       last_event_at) VALUES ($1, $2, $3, $4, $5, $6)""",
                w.merchant_id, o["id"], str(i), p["carrier"], p["state"] and p["state"].lower(),
                p["at"],
            )  # fmt: skip
        for i, one in enumerate(o["refunds"]):
            line = None if one["line"] is None else o["lines"][one["line"]]["id"]
            await w.sql.execute(
                """INSERT INTO refunds (merchant_id, shop_id, external_id, order_id, line_id, kind,
                       state, reason, amount, requested_at, content_hash, taken_at)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, $9, '', $9)""",
                w.merchant_id, o["shop_id"], f"{o['id']}-{i}", o["id"], line, one["kind"].lower(),
                one["state"].lower(), one["reason"], one["at"],
            )  # fmt: skip


def parcel(params: dict, one: dict) -> bool:
    return any(
        ("states" not in params or p["state"] in params["states"])
        and ("carriers" not in params or p["carrier"] in params["carriers"])
        and in_window(params.get("within"), p["at"], o["shop"], one)
        for o in placed(params, one)
        for p in o["parcels"]
    )


def refund_count(params: dict, one: dict) -> bool:
    def about(refund: dict, o: dict) -> bool:
        lines = o["lines"] if refund["line"] is None else [o["lines"][refund["line"]]]
        return (
            refund["kind"] in params.get("kinds", KINDS)
            and refund["state"] in params.get("states", REFUND_STATES)
            and ("reasons" not in params or refund["reason"] in params["reasons"])
            and in_window(params.get("within"), refund["at"], o["shop"], one)
            and (not LINE_KEYS & set(params) or any(line_fits(params, line) for line in lines))
        )

    return some(params, sum(about(x, o) for o in placed(params, one) for x in o["refunds"]))


def refund_rate(params: dict, one: dict) -> bool:
    paid = [
        o for o in one["orders"]
        if o["paid_at"] is not None and o["state"] != "closed_unpaid"
        and o["currency"] == params["currency"] and fits(params.get("orders"), o, one)
    ]  # fmt: skip
    total = sum(o["paid"] for o in paid)
    back = sum(refunded(o) for o in paid)
    return total > 0 and within(params, Decimal(100) * back / total)


PERCENT = st.sampled_from(["0", "0.01", "12.5", "25", "50", "99.9999", "100"])
LEAVES = st.one_of(
    asked("parcel", st.fixed_dictionaries({}, optional={
        "states": st.lists(st.sampled_from(PARCEL_STATES), max_size=3, unique=True),
        "carriers": some_of(CARRIERS), "within": WINDOWS,
    })),
    asked("refund_count", st.one_of(st.just({}), bounded(0, 3)), st.sampled_from([
        "kinds", "states", "reasons", "within", *LINES,
    ]).flatmap(lambda name: st.fixed_dictionaries({}, optional={name: {
        "kinds": some_of(KINDS), "reasons": some_of(REASONS), "within": WINDOWS,
        "states": st.lists(st.sampled_from(REFUND_STATES), max_size=4, unique=True), **LINES,
    }[name]}))),
    asked("refund_rate", st.builds(
        lambda two, keep: {
            name: value
            for name, value in zip(("at_least", "at_most"), sorted(two, key=Decimal), strict=True)
            if keep in ("both", name)
        },
        st.tuples(PERCENT, PERCENT), st.sampled_from(["both", "at_least", "at_most"]),
    ), currency=st.sampled_from(["CNY", "CNY", "USD"])),
)  # fmt: skip
EVALUATE = {"parcel": parcel, "refund_count": refund_count, "refund_rate": refund_rate}
