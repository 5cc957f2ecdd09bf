from collections import Counter
from datetime import timedelta

import pytest

from core.domain.campaigns.audit import audit_run
from core.domain.campaigns.chance import choice, salt
from core.domain.campaigns.due import due_runs
from core.domain.campaigns.results.windows import set_window
from core.domain.campaigns.variants import Tried, best
from tests.provider_kit import (
    Provider,
    consent_to,
    rows,
    send,
    send_step,
    started,
    with_channels,
)
from tests.results_kit import add_orders
from tests.sending_kit import add_customers

PEOPLE = 400
WINNER = {"goal": "clicked", "after": {"hours": 4}, "test_percent": 40}


@pytest.fixture
def provider():
    return Provider()


@pytest.fixture
async def shop(merchant, provider):
    shop = await with_channels(merchant, fake=provider)
    await add_customers(shop, [f"c{n}@example.com" for n in range(PEOPLE)], consent=None)
    await consent_to(shop, "fake")
    return shop


def texts(provider):
    return Counter(message.content["text"] for message in provider.taken)


async def click(shop, run_id, variant, count):
    async with shop.work() as w:
        await w.sql.execute(
            """UPDATE deliveries SET clicked_at = $4 WHERE merchant_id = $1 AND id IN (
                   SELECT id FROM deliveries WHERE merchant_id = $1 AND run_id = $2
                      AND variant = $3 AND state = 'sent' ORDER BY id LIMIT $5)""",
            shop.id, run_id, variant, w.now, count,
        )  # fmt: skip


async def decision(shop, run_id):
    async with shop.read() as session:
        row = await session.sql.fetchrow(
            """SELECT variant, reason FROM variant_winners
               WHERE merchant_id = $1 AND run_id = $2""",
            shop.id, run_id,
        )  # fmt: skip
    return row and tuple(row)


async def test_variants_are_shared_out_by_a_chance_that_stays(shop, provider):
    run_id = await started(shop, send_step("fake", variants=("one", "two", "three")))
    await send(shop, run_id)
    found = await rows(shop, run_id)
    async with shop.read() as session:
        campaign_id = await session.sql.fetchval(
            "SELECT campaign_id FROM campaign_runs WHERE merchant_id = $1 AND id = $2",
            shop.id, run_id,
        )  # fmt: skip
    for row in found:
        wanted = choice(row["customer_id"], salt(campaign_id, "message"), [1, 1, 1])
        assert row["variant"] == wanted
    counts = texts(provider)
    assert counts.keys() == {"one", "two", "three"}
    assert min(counts.values()) > PEOPLE / 3 * 0.7


async def test_the_rest_waits_for_the_winner_and_gets_it(shop, provider):
    run_id = await started(shop, send_step("fake", variants=("one", "two"), winner=WINNER))
    await send(shop, run_id)
    tested = len(provider.taken)
    assert PEOPLE * 0.3 < tested < PEOPLE * 0.5
    async with shop.read() as session:
        found = await audit_run(session, run_id)
    assert (found.sent, found.pending, found.target) == (tested, PEOPLE - tested, PEOPLE)
    before = texts(provider)
    await click(shop, run_id, 0, 3)
    await click(shop, run_id, 1, 12)
    shop.clock.move(timedelta(hours=3, minutes=59))
    assert run_id not in {run.run_id for run in await due_runs(shop.installation.db)}
    await send(shop, run_id)
    assert len(provider.taken) == tested
    shop.clock.move(timedelta(minutes=1))
    assert run_id in {run.run_id for run in await due_runs(shop.installation.db)}
    await send(shop, run_id)
    assert await decision(shop, run_id) == (1, "best")
    assert texts(provider) == {"one": before["one"], "two": PEOPLE - before["one"]}
    assert provider.twice() == []


async def test_too_few_results_give_the_first_variant(shop, provider):
    run_id = await started(shop, send_step("fake", variants=("one", "two"), winner=WINNER))
    await send(shop, run_id)
    await click(shop, run_id, 1, 2)
    shop.clock.move(timedelta(hours=4))
    await send(shop, run_id)
    assert await decision(shop, run_id) == (0, "too_few")
    assert len(provider.taken) == PEOPLE


async def test_bought_counts_the_orders_that_are_credited_to_the_messages(shop, provider):
    winner = WINNER | {"goal": "bought"}
    run_id = await started(shop, send_step("fake", variants=("one", "two"), winner=winner))
    at = shop.clock()
    await send(shop, run_id)
    sent = [row for row in await rows(shop, run_id) if row["state"] == "sent"]
    buyers = {n: [r["customer_id"] for r in sent if r["variant"] == n] for n in (0, 1)}
    async with shop.work() as w:
        # more of the first text bought, but not within the channel's hour after it
        await set_window(w, "fake", "delivery", 1)
        late, early = at + timedelta(hours=2), at + timedelta(minutes=30)
        paid = {late: buyers[0][:20], early: buyers[1][:6]}
        await add_orders(w, shop.shop_id, [
            {"customer_id": one, "paid_at": moment} for moment, some in paid.items() for one in some
        ])  # fmt: skip
    shop.clock.move(timedelta(hours=4))
    await send(shop, run_id)
    assert await decision(shop, run_id) == (1, "best")


@pytest.mark.parametrize(
    ("tried", "expected"),
    [
        ([(100, 10), (100, 11)], (1, "best")),
        ([(100, 10), (200, 20)], (0, "tie")),
        ([(100, 4), (100, 3)], (0, "too_few")),
        ([(100, 90), (29, 29)], (0, "too_few")),
        ([(0, 0), (0, 0)], (0, "too_few")),
        ([(100, 2), (100, 9), (100, 9)], (0, "tie")),
    ],
)
def test_the_best_is_chosen_by_rate(tried, expected):
    assert best([Tried(n, *counts) for n, counts in enumerate(tried)]) == expected
