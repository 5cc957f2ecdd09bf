"""What platforms push: kept once, fetched, and never taken for the data itself."""

import httpx2
import pytest

from core.app import create_app
from core.domain.connections.due import shops_due
from core.domain.shops.web_routes import route_url

BASE = "http://crm.example"


@pytest.fixture
async def push(shop):
    """Pushes messages to the merchant's address, as the platform does."""
    await shop.connect()
    await shop.work()
    transport = httpx2.ASGITransport(create_app(shop.installation))
    async with httpx2.AsyncClient(transport=transport) as client:

        async def send(*messages, sign=True):
            body, headers = shop.fair.pushed(*messages)
            url = route_url(shop.db.keyring, BASE, shop.merchant.id, "fair")
            return await client.post(url, content=body, headers=headers if sign else {})

        yield send


async def test_a_message_is_fetched_at_once_and_a_repetition_is_nothing(shop, push):
    fair = shop.fair
    fair.order("o1", "new")
    message = fair.message("order", "o1")
    for _ in range(3):
        assert (await push(message)).text == "ok"
    await shop.work("shops.fetch")
    await push(message)
    await shop.work("shops.fetch")
    assert await shop.orders() == {"o1": "new"}
    assert len(fair.called("orders.get")) == 1
    await shop.pass_time(5)
    assert await shop.events() == [("order.created", "o1", "created_unpaid")]


async def test_many_messages_about_one_order_are_one_look(shop, push):
    fair = shop.fair
    for state in ("new", "paid", "sent"):
        fair.order("o1", state)
        await push(fair.message("order", "o1"))
    await shop.work("shops.fetch")
    assert await shop.orders() == {"o1": "sent"}
    assert len(fair.called("orders.get")) == 1


async def test_a_change_that_is_not_to_be_seen_yet_is_looked_for_again(shop, push):
    fair = shop.fair
    fair.order("o1", "new")
    await push(fair.message("order", "o1"))
    await shop.work("shops.fetch")
    shop.later(seconds=20)
    fair.order("o1", "paid", unknown=10, hidden=10)
    await push(fair.message("order", "o1"))
    await shop.work("shops.fetch")
    assert await shop.orders() == {"o1": "new"}
    shop.later(seconds=6)
    await shop.work("shops.fetch")
    assert await shop.orders() == {"o1": "new"}
    shop.later(seconds=31)
    await shop.work("shops.fetch")
    assert await shop.orders() == {"o1": "paid"}
    assert [state for _, _, state in await shop.events()] == ["created_unpaid", "to_ship"]


async def test_what_is_never_shown_is_left_to_the_windows(shop, push):
    await push(shop.fair.message("order", "nobody"))
    for _ in range(5):
        await shop.work("shops.fetch")
        shop.later(seconds=125)
    assert len(shop.fair.called("orders.get")) == 4
    (row,) = await shop.ask("SELECT done_at FROM push_inbox WHERE merchant_id = $1")
    assert row["done_at"] is not None


async def test_what_comes_faster_than_it_is_fetched_is_read_by_lists(shop, push):
    """The newest are fetched; the windows, read at once and nearly up to now, answer the others."""
    fair, numbers = shop.fair, [f"o{n}" for n in range(160)]
    for number in numbers:
        fair.order(number, "new")
    await push(*(fair.message("order", number) for number in numbers))
    shop.later(seconds=11)
    await shop.do("shops.fetch")
    assert ("shops.sync", shop.merchant.id, shop.id) in await shops_due(shop.db, shop.registry)
    await shop.do("shops.sync")
    assert sorted(await shop.orders()) == sorted(numbers)
    assert (
        await shop.ask("SELECT 1 FROM push_inbox WHERE merchant_id = $1 AND done_at IS NULL") == []
    )
    assert len(fair.called("orders.get")) == 100
    events = await shop.events()
    assert len(events) == len({order for _, order, _ in events}) == 160


async def test_a_list_answers_only_messages_of_what_it_shows(shop, push):
    fair = shop.fair
    fair.order("o1", "new")
    await push(fair.message("order", "o1"))
    shop.later(seconds=70)
    await shop.do("shops.sync")
    fair.order("o1", "paid", hidden=500)
    await push(fair.message("order", "o1"))
    shop.later(seconds=70)
    await shop.do("shops.sync")
    assert await shop.orders() == {"o1": "new"}
    assert fair.called("orders.get") == []
    rows = await shop.ask(
        "SELECT done_at IS NOT NULL FROM push_inbox WHERE merchant_id = $1 ORDER BY id"
    )
    assert [row[0] for row in rows] == [True, False]
    await shop.work("shops.fetch")
    assert await shop.orders() == {"o1": "paid"}


async def test_a_forged_message_is_refused_and_one_of_another_shop_is_dropped(shop, push):
    fair = shop.fair
    fair.order("o1", "new")
    message = fair.message("order", "o1")
    assert (await push(message, sign=False)).status_code == 403
    assert (await push(message | {"shop": "somebody"})).text == "ok"
    assert (await push(message | {"key": "a\x00b"})).status_code == 403
    assert await shop.ask("SELECT id FROM push_inbox WHERE merchant_id = $1") == []


async def test_a_withdrawn_authorisation_ends_the_calls(shop, push):
    fair = shop.fair
    early = fair.message("shop", "-", at=fair.now() - 60)
    await push(early)
    assert (await shop.connection())["state"] == "connected"  # it was given again since
    await push(fair.message("shop", "-"))
    row = await shop.connection()
    assert (row["state"], row["token_sealed"]) == ("revoked", None)
    calls = len(fair.calls)
    await shop.pass_time(70, step=35)
    assert len(fair.calls) == calls
    await shop.connect()
    assert (await shop.connection())["state"] == "connected"


async def test_a_queue_is_emptied_and_confirmed_only_when_it_is_kept(shop):
    fair = shop.fair
    await shop.connect()
    await shop.work()
    for n in range(45):
        fair.order(f"o{n}", "new")
        fair.enqueue("order", f"o{n}")
    shop.later(seconds=3)
    await shop.work("shops.upkeep", "shops.fetch")
    assert len(await shop.orders()) == 45
    assert fair.queue == []
    # the confirmation is lost: the platform gives the same messages again
    fair.order("o0", "paid")
    fair.enqueue("order", "o0", key="again")
    fair.faults.extend([None, 502])
    shop.later(seconds=3)
    await shop.work("shops.upkeep", "shops.fetch")
    assert [one.told["key"] for one in fair.queue] == ["again"]
    shop.later(minutes=10)
    await shop.work()
    assert fair.queue == []
    rows = await shop.ask("SELECT id FROM push_inbox WHERE merchant_id = $1 AND key = 'again'")
    assert len(rows) == 1
