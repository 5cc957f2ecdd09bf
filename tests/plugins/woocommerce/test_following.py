"""The driver follows a store: its past, its changes, and what it pushes."""

from dataclasses import replace
from datetime import timedelta

import pytest
import pytest_asyncio

from core.domain.connections.connecting import ConnectionRefused, connect_with_token
from core.sdk import Token
from tests.plugins.woocommerce.kit import followed

LIST = "wc/v3/orders"


@pytest_asyncio.fixture(loop_scope="session")
async def shop(merchant):
    async with followed(merchant) as shop:
        yield shop


async def test_a_life(shop):
    """The past comes in without events, the present with them; refunds come with their orders."""
    store, now = shop.world, shop.world.now()
    old = store.order("processing", now - timedelta(hours=30), date_paid=now - timedelta(hours=30))
    store.change(old, now - timedelta(hours=20), status="completed")
    await shop.connect()
    await shop.work()
    assert await shop.problems() == []
    assert await shop.orders() == {str(old): "completed"}
    assert await shop.events() == []
    (row,) = await shop.ask("SELECT * FROM shops WHERE merchant_id = $1 AND platform LIKE 'woo%'")
    assert (row["name"], row["external_id"], row["currency"], row["time_zone"]) == (
        "Teahouse", "shop.example", "EUR", "Asia/Shanghai",
    )  # fmt: skip

    shop.later(minutes=2)
    good, bad, bank = store.order(), store.order(), store.order("on-hold")
    store.order("checkout-draft")
    await shop.pass_time(1)
    for number in (good, bad):
        store.change(number, status="processing")
    store.change(bank, status="cancelled")
    await shop.pass_time(1)
    store.change(good, status="completed")
    first = store.refund(bad, "9.50", "one was torn", whole=False)
    await shop.pass_time(1)
    second = store.refund(bad, "50.00")
    store.change(bad, status="refunded")
    await shop.pass_time(1)
    assert await shop.problems() == []
    assert await shop.orders() == shop.truth()
    events = await shop.events()
    assert len(events) == len(set(events)) + 1  # the two refunds of one order
    assert set(events) == {
        ("order.created", str(good), "created_unpaid"),
        ("order.created", str(bad), "created_unpaid"),
        ("order.created", str(bank), "created_unpaid"),
        ("order.state_changed", str(good), "to_ship"),
        ("order.state_changed", str(bad), "to_ship"),
        ("order.state_changed", str(bank), "closed_unpaid"),
        ("order.state_changed", str(good), "completed"),
        ("refund.state_changed", str(bad), "refunded"),
        ("order.state_changed", str(bad), "closed_refunded"),
    }
    refunds = await shop.ask(
        """SELECT r.external_id, r.amount, r.reason, l.external_id AS line FROM refunds r
           LEFT JOIN order_lines l ON l.merchant_id = r.merchant_id AND l.id = r.line_id
           WHERE r.merchant_id = $1 ORDER BY r.id"""
    )
    line = str(store.orders[bad]["line_items"][0]["id"])
    assert [tuple(row) for row in refunds] == [
        (f"{bad}:{first}", 950, "one was torn", line), (f"{bad}:{second}", 5000, None, None),
    ]  # fmt: skip


async def test_a_list_that_shifts_while_it_is_read_loses_nothing(shop):
    store = shop.world
    await shop.connect()
    await shop.work()
    shop.later(minutes=2)
    numbers = [store.order() for _ in range(230)]
    shop.later(minutes=2)
    turns = []

    def shift(query):
        if "modified_after" in query and len(turns) < 20:
            store.change(numbers[len(turns)], status="failed")
            turns.append(1)

    store.after[LIST].append(shift)
    await shop.pass_time(1)
    store.after[LIST].clear()
    await shop.pass_time(2)
    assert turns
    assert await shop.orders() == shop.truth()


async def test_a_push_is_quicker_than_the_windows_and_counts_once(shop):
    store = shop.world
    await shop.connect()
    await shop.work()
    hook = await shop.hook()
    one, other = store.order(), store.order("processing")
    calls = len(store.calls)
    # of one second: their deliveries have the same number
    for number in (one, other, one):
        await shop.send(hook, "order.created", number)
    await shop.work("shops.fetch")
    assert await shop.orders() == shop.truth()
    assert len(store.calls) == calls + 2
    await shop.pass_time(5)
    created = [event for event in await shop.events() if event[0] == "order.created"]
    assert sorted(created) == sorted({*created})
    assert len(created) == 2

    store.change(one, status="cancelled")
    await shop.send(hook, "order.updated", one)
    del store.orders[other]
    await shop.send(hook, "order.deleted", other)
    await shop.pass_time(5)
    assert await shop.orders() == {str(one): "cancelled", str(other): "processing"}
    assert await shop.ask("SELECT 1 FROM dead_letters WHERE merchant_id = $1") == []
    assert hook.active


async def test_what_no_store_has_sent(shop):
    store = shop.world
    await shop.connect()
    await shop.work()
    hook, number = await shop.hook(), store.order()
    message = store.message(hook, "order.created", number)
    forged = store.message(replace(hook, secret="guessed"), "order.created", number)
    other = replace(message, headers=message.headers | {"x-wc-webhook-topic": "customer.created"})
    body = replace(message, body=message.body.replace(b"59.50", b"00.50"))
    nothing = replace(message, headers={})
    assert [(await shop.take(one)).status for one in (forged, body, nothing)] == [403] * 3
    assert (await shop.take(other)).status == 200
    for _ in range(8):
        await store.send(shop.take, replace(hook, secret="old"), "order.created", number)
    assert await shop.ask("SELECT 1 FROM push_inbox WHERE merchant_id = $1") == []
    assert (await shop.take(message)).status == 200
    assert len(await shop.ask("SELECT 1 FROM push_inbox WHERE merchant_id = $1")) == 1


async def test_what_only_headers_say_is_not_believed(shop):
    """A message that somebody has caught and sends again counts once, for the store it is of."""
    await shop.connect()
    await shop.work()
    hook, number = await shop.hook(), shop.world.order()
    message = shop.world.message(hook, "order.created", number)
    for name, said in (
        ("source", "https://other.example/"), ("topic", "order.deleted"), ("delivery-id", "1")
    ):  # fmt: skip
        again = replace(message, headers=message.headers | {f"x-wc-webhook-{name}": said})
        assert (await shop.take(again)).status == 200
    rows = await shop.ask("SELECT shop_id, external_id FROM push_inbox WHERE merchant_id = $1")
    assert [tuple(row) for row in rows] == [(shop.id, str(number))]
    body = message.body.replace(b"/orders/", b"/customers/")
    customer = shop.world.signed(hook, "order.updated", body)
    assert (await shop.take(customer)).status == 200
    assert len(await shop.ask("SELECT 1 FROM push_inbox WHERE merchant_id = $1")) == 1


async def test_without_a_secret_no_message_is_believed(merchant):
    async with followed(merchant, webhook_secret=None) as shop:
        await shop.connect()
        hook = await shop.hook()
        told = shop.world.message(hook, "order.created", shop.world.order())
        answer = await shop.take(told)
        assert (answer.status, "no secret yet" in answer.body) == (403, True)


@pytest.mark.parametrize(("key", "may", "said"), [
    ({"key": "ck_other"}, "read", "Consumer key is invalid"),
    ({"secret": "cs_other"}, "read", "Consumer secret is invalid"),
    ({}, "write", "does not have read permissions"),
    ({}, "nobody", "may not read orders"),
])  # fmt: skip
async def test_a_key_that_is_refused(shop, key, may, said):
    shop.world.keys["ck_good"] = ("cs_good", may)
    with pytest.raises(ConnectionRefused, match=said):
        await shop.connect(**key)
    assert await shop.ask("SELECT 1 FROM shop_connections WHERE merchant_id = $1") == []


@pytest.mark.parametrize(("written", "said"), [
    ("ck_good:cs_good", "no store's address"),
    ("http://ck_good:cs_good@shop.example", "https"),
    ("https://shop.example", "write the key into the address"),
    ("https://ck_good:@shop.example", "write the key into the address"),
    ("https://ck_good:cs_good@shop.example/?x=1", "without query"),
])  # fmt: skip
async def test_an_address_that_is_none(shop, written, said):
    with pytest.raises(ConnectionRefused, match=said):
        await connect_with_token(
            shop.db, shop.registry, shop.merchant.id, "woocommerce", Token(written)
        )


async def test_a_store_that_cannot_tell_changes_is_not_connected(shop):
    shop.world.old = True
    shop.world.order()
    with pytest.raises(ConnectionRefused, match=r"older than 5\.8"):
        await shop.connect()


async def test_a_store_at_another_address(shop):
    shop.world.fault("", (301, {"Location": "https://www.shop.example/wp-json/"}, ""))
    with pytest.raises(ConnectionRefused, match=r"another address: https://www\.shop\.example"):
        await shop.connect()


async def test_a_store_whose_lists_do_not_say_how_long_they_are(shop):
    shop.world.fault(LIST, (200, {}, "[]"))
    with pytest.raises(ConnectionRefused, match="X-WP-Total"):
        await shop.connect()


async def test_a_key_that_is_taken_back_rests_the_shop_until_there_is_another(shop):
    store = shop.world
    await shop.connect()
    await shop.work()
    store.keys.clear()
    missed = store.order()
    await shop.pass_time(2)
    assert (await shop.connection())["state"] == "needs_authorisation"
    calls = len(store.calls)
    await shop.pass_time(4, step=2)
    assert len(store.calls) == calls
    store.keys["ck_new"] = ("cs_new", "read")
    await shop.connect(key="ck_new", secret="cs_new")
    await shop.pass_time(1)
    assert await shop.orders() == {str(missed): "pending"}


@pytest.mark.parametrize("fault", [
    "dropped", (502, {}, "Bad Gateway"), (403, {}, "<html>a firewall</html>"),
    (200, {}, "<html>maintenance</html>"), (429, {"Retry-After": "90"}, ""), (503, {}, "busy"),
])  # fmt: skip
async def test_a_store_that_fails_a_while_loses_nothing(shop, fault):
    store = shop.world
    await shop.connect()
    await shop.work()
    shop.later(minutes=1)
    store.order()
    store.fault(LIST, fault)
    calls = len(store.calls)
    await shop.pass_time(1)
    if fault[0] == 429:
        shop.later(seconds=20)
        await shop.work()
        assert len(store.calls) == calls + 1  # left alone for as long as it says
    await shop.pass_time(4)
    assert (await shop.connection())["state"] == "connected"
    assert await shop.orders() == shop.truth()


async def test_a_guest_is_known_by_what_he_wrote(shop):
    store = shop.world
    billing = store.orders[store.order()]["billing"]
    store.order(customer_id=7, billing=billing | {"email": "mei.li@example.com "})
    store.order(customer_id=7, billing=billing | {"email": "other@example.com"})
    for phone in ("+49 89 901821", "089 901821", "0049-89-901821"):
        store.order(billing=billing | {"email": "", "phone": phone})
    store.order(billing={"first_name": "Nobody", "phone": "0000"})
    await shop.connect()
    await shop.work()
    rows = await shop.ask(
        """SELECT customer_id, array_agg(kind ORDER BY kind) AS kinds FROM customer_identities
           WHERE merchant_id = $1 GROUP BY customer_id ORDER BY count(*)"""
    )
    # the guest with the account that he made later, and the one who left a phone only
    assert [row["kinds"] for row in rows] == [
        ["phone"], ["email", "email", "phone", "woocommerce_customer"],
    ]  # fmt: skip
    counts = await shop.ask(
        """SELECT customer_id, count(*) AS orders FROM orders WHERE merchant_id = $1
           GROUP BY customer_id ORDER BY orders, customer_id"""
    )
    assert [(row["customer_id"] is None, row["orders"]) for row in counts] == [
        (True, 1), (False, 3), (False, 3),
    ]  # fmt: skip


async def test_amounts_times_and_states(shop):
    store = shop.world
    yen = store.order(currency="JPY", total="1000.00", line_items=[])
    fine = store.order(total="10.005", line_items=[])
    custom = store.order("pending")
    bad = store.order(total="a lot")
    await shop.connect()
    await shop.work()
    shop.later(minutes=1)
    store.orders[custom]["status"] = "wc-packed"
    store.change(custom)
    await shop.pass_time(2)
    rows = await shop.ask(
        "SELECT external_id, total, state, platform_state FROM orders WHERE merchant_id = $1"
    )
    assert {row["external_id"]: tuple(row)[1:] for row in rows} == {
        str(yen): (1000, "created_unpaid", "pending"),
        str(fine): (1001, "created_unpaid", "pending"),
        str(custom): (5950, "created_unpaid", "wc-packed"),
    }
    (letter,) = await shop.ask("SELECT * FROM dead_letters WHERE merchant_id = $1")
    assert letter["external_id"] == str(bad)
