import asyncio
import itertools
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from core.domain.campaigns import ledger, news, receipts
from core.domain.campaigns.audit import audit_run
from core.domain.campaigns.content.trial import plain_trial, send_trial
from core.domain.campaigns.costs import run_costs
from core.domain.campaigns.links import message_key
from core.domain.customers.suppressions import address_index
from core.sdk import DeliveryReceipt, News, Receipt, Refused, Reply, RetryLater, Unknown
from tests.provider_kit import (
    Provider,
    ProviderChannel,
    consent_to,
    rows,
    send,
    send_step,
    started,
    with_channels,
)
from tests.sending_kit import add_customers, until


@pytest.fixture
def provider():
    return Provider()


@pytest.fixture
async def shop(merchant, provider):
    return await with_channels(merchant, fake=provider)


async def one_message(shop, addresses=("a@example.com",)):
    await add_customers(shop, list(addresses), consent=None)
    await consent_to(shop, "fake")
    run_id = await started(shop, send_step("fake"))
    await send(shop, run_id)
    return run_id


async def take(shop, *told):
    channel = shop.installation.registry.channels["fake"].value
    async with shop.work() as w:
        return await receipts.take_receipts(w, channel, told)


def receipt(shop, row, status, number=0, **more):
    now = shop.clock() + timedelta(seconds=number)
    key = message_key(shop.installation.db.keyring, shop.id, row["id"])
    return DeliveryReceipt(f"{row['id']}-{status}-{number}", status, now, key, **more)


async def suppressed(shop, address):
    index = address_index(shop.installation.db.keyring, shop.id, address)
    async with shop.read() as session:
        return await session.sql.fetchval(
            """SELECT reason FROM suppressions
               WHERE merchant_id = $1 AND channel = 'fake' AND address_index = $2""",
            shop.id, index,
        )  # fmt: skip


async def test_a_receipt_tells_what_became_of_a_message_and_what_it_cost(shop):
    run_id = await one_message(shop)
    (row,) = await rows(shop, run_id)
    assert (row["provider"], row["parts"], row["cost"]) == ("one", 2, 45_000)
    told = receipt(shop, row, "delivered", 5, parts=3, cost=Decimal("0.0675"), currency="CNY")
    assert await take(shop, told) == 1
    assert await take(shop, told) == 0
    (row,) = await rows(shop, run_id)
    assert (row["state"], row["receipt"], row["parts"], row["cost"]) == (
        "sent", "delivered", 3, 67_500,
    )  # fmt: skip
    assert row["delivered_at"] == shop.clock() + timedelta(seconds=5)
    async with shop.read() as session:
        found = await audit_run(session, run_id)
        (costs,) = await run_costs(session, run_id)
    assert (found.sent, dict(found.receipts), found.silent) == (1, {"delivered": 1}, 0)
    assert (costs.messages, costs.parts, costs.amount) == (1, 3, Decimal("0.0675"))


@pytest.mark.parametrize(
    "order", list(itertools.permutations(["accepted", "delivered", "bounced"]))
)
async def test_receipts_mean_the_same_in_any_order(shop, order):
    run_id = await one_message(shop)
    (row,) = await rows(shop, run_id)
    for status in order:
        await take(shop, receipt(shop, row, status))
    (row,) = await rows(shop, run_id)
    assert (row["receipt"], row["state"]) == ("delivered", "sent")


async def test_a_receipt_is_found_by_the_providers_id_and_the_address(shop, provider):
    provider.answer = lambda message: Receipt("batch-1", "one")
    run_id = await one_message(shop, ["a@example.com", "b@example.com"])
    at = shop.clock()
    await take(
        shop,
        DeliveryReceipt("e1", "delivered", at, provider_id="batch-1", to="b@example.com"),
        DeliveryReceipt("e2", "bounced", at, provider_id="batch-1"),
        DeliveryReceipt("e3", "delivered", at, provider_id="batch-1", provider="two"),
    )
    assert [row["receipt"] for row in await rows(shop, run_id)] == [None, "delivered"]


async def test_a_receipt_that_is_early_waits_for_its_message(shop):
    await take(shop, DeliveryReceipt("early", "delivered", shop.clock(), provider_id="soon"))
    shop.installation.registry.channels["fake"].value.provider.answer = lambda message: Receipt(
        "soon"
    )
    run_id = await one_message(shop)
    await receipts.match_waiting(shop.installation.db, shop.installation.registry)
    (row,) = await rows(shop, run_id)
    assert row["receipt"] == "delivered"


async def test_a_receipt_while_the_message_is_under_way_outweighs_a_lost_answer(shop, provider):
    async def lose(message):
        await take(shop, DeliveryReceipt("early", "delivered", shop.clock(), message.key))
        raise Unknown("no answer")

    provider.answer = lose
    run_id = await one_message(shop)
    (row,) = await rows(shop, run_id)
    assert (row["state"], row["receipt"]) == ("sent", "delivered")
    assert row["sent_at"] is not None


async def test_a_receipt_of_any_kind_settles_an_unknown_message(shop, provider):
    def lose(message):
        raise Unknown("no answer")

    provider.answer = lose
    run_id = await one_message(shop)
    (row,) = await rows(shop, run_id)
    assert row["state"] == "unknown"
    await take(shop, receipt(shop, row, "undelivered"))
    (row,) = await rows(shop, run_id)
    assert (row["state"], row["receipt"]) == ("sent", "undelivered")


async def test_what_arrived_is_not_sent_again_though_the_provider_said_otherwise(shop, provider):
    def refuse(message):
        raise RetryLater("busy")

    provider.answer = refuse
    run_id = await one_message(shop)
    (row,) = await rows(shop, run_id)
    await take(shop, receipt(shop, row, "undelivered"))
    assert [one["state"] for one in await rows(shop, run_id)] == ["pending"]
    await take(shop, receipt(shop, row, "delivered"))
    provider.answer = None
    shop.clock.move(timedelta(hours=1))
    await send(shop, run_id)
    (row,) = await rows(shop, run_id)
    assert (row["state"], provider.taken) == ("sent", [])


async def test_a_bounce_suppresses_only_where_the_address_is_at_fault(shop):
    run_id = await one_message(shop, ["a@example.com", "b@example.com", "c@example.com"])
    first, second, third = await rows(shop, run_id)
    await take(
        shop,
        receipt(shop, first, "bounced", of_person=True),
        receipt(shop, second, "bounced"),
        receipt(shop, third, "complained"),
    )
    assert await suppressed(shop, "a@example.com") == "bounced"
    assert await suppressed(shop, "b@example.com") is None
    assert await suppressed(shop, "c@example.com") == "complained"


async def test_a_key_of_another_merchant_or_a_made_up_one_finds_nothing(shop, provider):
    run_id = await one_message(shop)
    (row,) = await rows(shop, run_id)
    good = receipt(shop, row, "delivered")
    other = message_key(shop.installation.db.keyring, shop.id + 1, row["id"])
    made_up = good.key[:-1] + ("y" if good.key.endswith("x") else "x")
    for number, key in enumerate([other, made_up, "nonsense", ""]):
        await take(shop, replace(good, event_key=f"bad-{number}", key=key))
    (row,) = await rows(shop, run_id)
    assert row["receipt"] is None


async def test_a_refused_message_is_not_made_sent_by_a_bounce(shop, provider):
    def refuse(message):
        raise Refused("no such mailbox")

    provider.answer = refuse
    run_id = await one_message(shop)
    (row,) = await rows(shop, run_id)
    await take(shop, receipt(shop, row, "bounced", of_person=True))
    (row,) = await rows(shop, run_id)
    assert (row["state"], row["receipt"]) == ("failed", "bounced")
    assert await suppressed(shop, "a@example.com") == "bounced"


async def test_news_is_fetched_page_by_page_and_not_again_before_its_time(shop, provider):
    run_id = await one_message(shop)
    (row,) = await rows(shop, run_id)
    reply = Reply("r1", "a@example.com", "hello", shop.clock())
    provider.pages = [
        News([receipt(shop, row, "accepted")], cursor="1", more=True),
        News([receipt(shop, row, "delivered")], [reply], cursor="2"),
        News([receipt(shop, row, "complained")], cursor="3"),
    ]
    installation = shop.installation
    await news.fetch_news(installation.db, installation.registry, shop.id)
    (row,) = await rows(shop, run_id)
    assert row["receipt"] == "delivered"
    assert shop.id not in await news.merchants_due(installation.db, installation.registry)
    shop.clock.move(ProviderChannel.news_every)
    assert shop.id in await news.merchants_due(installation.db, installation.registry)
    await news.fetch_news(installation.db, installation.registry, shop.id)
    (row,) = await rows(shop, run_id)
    assert row["receipt"] == "complained"


NONSENSE = [
    {"parts": 32_768}, {"parts": -1}, {"cost": Decimal("NaN")}, {"cost": Decimal("1e30")},
    {"cost": Decimal(-1)}, {"currency": "CN\x00Y"}, {"provider_id": "x" * 10_000},
]  # fmt: skip


@pytest.mark.parametrize("odd", NONSENSE, ids=lambda odd: next(iter(odd)))
async def test_nonsense_about_one_message_leaves_the_others_news_alone(shop, odd):
    run_id = await one_message(shop, ["a@example.com", "b@example.com"])
    first, second = await rows(shop, run_id)
    assert await take(
        shop, receipt(shop, first, "delivered", **odd), receipt(shop, second, "delivered", parts=3)
    ) == 2  # fmt: skip
    first, second = await rows(shop, run_id)
    assert (first["receipt"], first["parts"], first["cost"]) == ("delivered", 2, 45_000)
    assert (second["receipt"], second["parts"]) == ("delivered", 3)


@pytest.mark.parametrize("odd", NONSENSE, ids=lambda odd: next(iter(odd)))
async def test_nonsense_in_an_answer_does_not_unsend_a_message(shop, provider, odd):
    given = {"provider_id": "id", "provider": "one", "parts": 1, **odd}
    provider.answer = lambda message: Receipt(**given) if message.to[0] == "a" else None
    run_id = await one_message(shop, ["a@example.com", "b@example.com"])
    assert [row["state"] for row in await rows(shop, run_id)] == ["sent", "sent"]


async def test_outcomes_are_written_in_the_order_of_their_rows(shop, provider):
    """Whoever holds an earlier row and wants a later one would else wait for ever."""
    provider.answer = lambda message: Receipt("id")
    run_id = await one_message(shop, ["a@example.com", "b@example.com"])
    ids = sorted(row["id"] for row in await rows(shop, run_id))
    lock = "SELECT 1 FROM deliveries WHERE merchant_id = $1 AND id = $2 FOR UPDATE NOWAIT"
    waits = """SELECT count(*) FROM pg_locks
               WHERE NOT granted AND transactionid = pg_current_xact_id()::xid"""
    async with shop.work() as w:
        await w.sql.execute(
            """UPDATE deliveries SET state = 'sending', lease_owner = 'me', lease_until = $2
               WHERE merchant_id = $1""",
            shop.id, w.now,
        )  # fmt: skip

    held = asyncio.Event()

    async def record():
        await held.wait()
        async with shop.work() as w:
            await ledger.record(
                w, "me", "running", [ledger.Outcome(one, "sent") for one in reversed(ids)]
            )

    recording = asyncio.create_task(record())
    async with shop.work() as w:
        await w.sql.execute(lock, shop.id, ids[0])
        held.set()
        await until(lambda: w.sql.fetchval(waits))
        await w.sql.execute(lock, shop.id, ids[1])
    await recording
    assert [row["state"] for row in await rows(shop, run_id)] == ["sent", "sent"]


async def test_a_trial_that_went_out_is_told_though_the_channel_does_not_close(merchant):
    class Stuck(ProviderChannel):
        @asynccontextmanager
        async def open(self, settings):
            async with super().open(settings) as session:
                yield session
            raise RuntimeError("cannot say goodbye")

    provider = Provider()
    made = await with_channels(merchant, stuck=Stuck("stuck", provider))
    installation = made.installation
    async with made.work() as w:
        trial = await plain_trial(
            w, installation.registry, "stuck", "a@example.com", {"text": "hello"}, "service", None,
            "k", "http://shop.example",
        )  # fmt: skip
    assert await send_trial(installation.db, installation.registry, trial) == ("sent", None)
    assert len(provider.taken) == 1
