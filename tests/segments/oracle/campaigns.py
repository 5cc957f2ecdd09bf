"""Messages of campaigns: who can be reached, what was sent, and who bought afterwards."""

import random
from datetime import timedelta

from hypothesis import strategies as st

from core.testing.fixtures import START
from tests.segments.oracle.customers import (
    SHOP,
    WINDOWS,
    consent,
    facet,
    in_window,
    moment,
    number,
    optional,
    some,
)
from tests.segments.oracle.kit import bounded, with_some, within
from tests.segments.oracle.orders import bought

STATES = ["sent", "sent", "sent", "failed", "skipped", "unknown", "pending"]
CAMPAIGNS: list[int] = []
"""The ids of the merchant's two campaigns, once people are stored."""


def fill(r: random.Random, person: dict) -> None:
    person["messages"] = [message(r, person) for _ in range(r.choice([0, 0, 1, 2, 4]))]
    person["suppressed"] = [shop for shop in (None, 0, 1) if r.random() < 0.15]


def message(r: random.Random, person: dict) -> dict:
    at = moment(r)
    paid = [o["paid_at"] for o in person["orders"] if o["paid_at"] is not None]
    if paid and r.random() < 0.6:
        # exactly so many times 24 hours before an order was paid, and a second around it
        edge = timedelta(days=r.choice([0, 1, 3]), seconds=r.choice([-1, 0, 0, 1]))
        at = min(r.choice(paid) - edge, START)
    own = random.Random(at.isoformat())
    told = {name: min(own.choice([at, moment(own)]), START) if own.random() < 0.4 else None
            for name in ("delivered_at", "opened_at", "clicked_at")}  # fmt: skip
    receipt = own.choice(["delivered", "complained"]) if told["delivered_at"] else None
    return {"campaign": r.choice([0, 1]), "channel": r.choice(["email", "sms"]), "at": at,
            "state": r.choice(STATES), "receipt": receipt, **told}  # fmt: skip


async def store(w, person: dict) -> None:
    runs = await w.sql.fetch(
        "SELECT id, campaign_id FROM campaign_runs WHERE merchant_id = $1 ORDER BY id",
        w.merchant_id,
    )
    if not runs:
        runs = [await make_run(w, name) for name in ("first", "second")]
    CAMPAIGNS[:] = [run["campaign_id"] for run in runs]
    await w.sql.executemany(
        """INSERT INTO deliveries (merchant_id, run_id, step, customer_id, channel, state, reason,
               attempts, next_at, sent_at, updated_at, receipt, delivered_at, opened_at, clicked_at)
           VALUES ($1, $2, $3, $4, $5, $6::text, CASE WHEN $6 = 'skipped' THEN 'no_consent' END, 1,
               $7, CASE WHEN $6 = 'sent' THEN $7::timestamptz END, $7, $8, $9, $10, $11)""",
        [(w.merchant_id, runs[one["campaign"]]["id"], step, person["id"], one["channel"],
          one["state"], one["at"], one["receipt"], one["delivered_at"], one["opened_at"],
          one["clicked_at"]) for step, one in enumerate(person["messages"])],
    )  # fmt: skip
    if person["email"]:
        await w.sql.executemany(
            """INSERT INTO suppressions (merchant_id, shop_id, channel, address_index, reason, at)
               VALUES ($1, $2, 'email', $3, 'test', $4)""",
            [(w.merchant_id, number(shop), f"email{person['id']}".encode(), w.now)
             for shop in person["suppressed"]],
        )  # fmt: skip


async def make_run(w, name: str) -> dict:
    campaign_id = await w.sql.fetchval(
        """INSERT INTO campaigns (merchant_id, name, channel, message_class, segment_id, flow,
               options, state, version, created_at, updated_at)
           VALUES ($1, $2, 'email', 'marketing', 0, '{}', '{}', 'finished', 1, $3, $3)
           RETURNING id""",
        w.merchant_id, name, w.now,
    )  # fmt: skip
    run_id = await w.sql.fetchval(
        """INSERT INTO campaign_runs (merchant_id, campaign_id, version, state, flow, options,
               created_at)
           VALUES ($1, $2, 1, 'finished', '{}', '{}', $3) RETURNING id""",
        w.merchant_id, campaign_id, w.now,
    )  # fmt: skip
    return {"id": run_id, "campaign_id": campaign_id}


def meant(params: dict, one: dict, state: str) -> list[dict]:
    """The messages of that state which the filter `messages` leaves."""
    return [m for m in filtered(params, one, "at") if m["state"] == state]


def filtered(params: dict, one: dict, time: str) -> list[dict]:
    """The messages with such a time which the filter `messages` leaves."""
    asked = params.get("messages") or {}
    return [
        m for m in one["messages"]
        if m[time] is not None and in_window(asked.get("within"), m[time])
        and CAMPAIGNS[m["campaign"]] in asked.get("campaign_ids", CAMPAIGNS)
        and m["channel"] in asked.get("channels", [m["channel"]])
    ]  # fmt: skip


def received(params: dict, one: dict) -> bool:
    bounds = {"at_least": 1} if not {"at_least", "at_most"} & set(params) else params
    return within(bounds, len(meant(params, one, "sent")))


def bought_after(params: dict, one: dict) -> bool:
    span = timedelta(days=params["days"])
    return any(
        m["at"] <= o["paid_at"] < m["at"] + span
        for m in meant(params, one, "sent") for o in bought(one)
    )  # fmt: skip


def reachable(params: dict, one: dict) -> bool:
    shop = params.get("shop_id")
    return (
        one["email"] is not None
        and consent(one, "email", shop) == "granted"
        and not any(number(where) in (0, shop) for where in one["suppressed"])
    )


MESSAGES = optional(
    campaign_ids=st.lists(st.sampled_from([0, 1]).map(lambda n: CAMPAIGNS[n]), max_size=2),
    channels=some(["email", "sms"]),
    within=WINDOWS,
)
LEAVES = st.one_of(
    facet("reachable", with_some(st.just({"channel": "email"}), shop_id=SHOP)),
    facet("received", with_some(st.one_of(st.just({}), bounded(0, 3)), messages=MESSAGES)),
    st.builds(
        lambda what, params: {f"message_{what}": params},
        st.sampled_from(["failed", "delivered", "opened", "clicked"]), optional(messages=MESSAGES),
    ),
    facet("bought_after_message",
          with_some(st.sampled_from([1, 3, 30]).map(lambda n: {"days": n}), messages=MESSAGES)),
)  # fmt: skip
EVALUATE = {
    "reachable": reachable,
    "received": received,
    "message_failed": lambda params, one: bool(meant(params, one, "failed")),
    "message_delivered": lambda params, one: bool(filtered(params, one, "delivered_at")),
    "message_opened": lambda params, one: bool(filtered(params, one, "opened_at")),
    "message_clicked": lambda params, one: bool(filtered(params, one, "clicked_at")),
    "bought_after_message": bought_after,
}
