import pytest

from core.domain.campaigns.replies import folded, opt_out_words, set_opt_out_words, take_replies
from core.domain.customers.consent import effective_status
from core.domain.customers.suppressions import address_index
from core.sdk import InvalidInput, Reply
from tests.provider_kit import (
    Provider,
    consent_to,
    rows,
    send,
    send_step,
    started,
    with_channels,
)
from tests.sending_kit import add_customers

ADDRESS = "a@example.com"


@pytest.fixture
async def shop(merchant):
    return await with_channels(merchant, fake=Provider())


@pytest.fixture
async def customer(shop):
    (customer_id,) = await add_customers(shop, [ADDRESS], consent=None)
    await consent_to(shop, "fake")
    return customer_id


async def take(shop, *replies):
    async with shop.work() as w:
        return await take_replies(w, shop.installation.registry.channels["fake"].value, replies)


def reply(shop, text, number=0, sender=ADDRESS, **more):
    return Reply(f"r{number}", sender, text, shop.clock(), **more)


async def status(shop, customer_id, shop_id=0):
    async with shop.read() as session:
        return await effective_status(session, customer_id, shop_id, "fake", "marketing")


async def stored(shop):
    async with shop.read() as session:
        found = await session.sql.fetch(
            "SELECT * FROM inbound_messages WHERE merchant_id = $1 ORDER BY id", shop.id
        )
    return [dict(row) for row in found]


async def events(shop):
    async with shop.read() as session:
        found = await session.sql.fetch(
            "SELECT type FROM outbox_events WHERE merchant_id = $1 ORDER BY id", shop.id
        )
    return [row["type"] for row in found]


@pytest.mark.parametrize(
    "text",
    ["R", " r ", "Ｒ", "td", "TD。", "退订", "【退订】", "stop", "Stop!", "opt  out", "拒收"],
)
async def test_a_word_of_refusal_ends_marketing_at_once(shop, customer, text):
    assert await take(shop, reply(shop, text)) == 1
    assert await status(shop, customer) == "denied"
    (row,) = await stored(shop)
    assert (row["opt_out"], row["customer_id"]) == (True, customer)
    assert {"message.replied", "customer.unsubscribed"} <= set(await events(shop))


@pytest.mark.parametrize(
    "text", ["", "R u there?", "不退订", "please don't stop", "NN", "退订了吗"]
)
async def test_other_words_end_nothing(shop, customer, text):
    await take(shop, reply(shop, text))
    assert await status(shop, customer) == "granted"


async def test_the_same_reply_counts_once(shop, customer):
    assert await take(shop, reply(shop, "hello")) == 1
    assert await take(shop, reply(shop, "hello")) == 0
    assert (await events(shop)).count("message.replied") == 1


async def test_a_refusal_counts_for_the_shop_that_wrote(shop, customer):
    run_id = await started(shop, send_step("fake"), shop_id=shop.shop_id)
    await send(shop, run_id)
    (row,) = await rows(shop, run_id)
    await take(shop, reply(shop, "TD"))
    assert await status(shop, customer, shop.shop_id) == "denied"
    assert await status(shop, customer) == "granted"
    (message,) = await stored(shop)
    assert (message["delivery_id"], message["shop_id"]) == (row["id"], shop.shop_id)


async def test_a_refused_address_is_not_written_to_whoever_has_it(shop):
    await take(shop, reply(shop, "STOP"))
    await add_customers(shop, [ADDRESS], consent=None)
    await consent_to(shop, "fake")
    run_id = await started(shop, send_step("fake"))
    await send(shop, run_id)
    (row,) = await rows(shop, run_id)
    assert (row["state"], row["reason"]) == ("skipped", "suppressed")


async def test_the_provider_may_say_that_it_was_a_refusal(shop, customer):
    await take(shop, reply(shop, "no more of this", opt_out=True))
    assert await status(shop, customer) == "denied"


async def test_merchants_have_words_of_their_own(shop, customer):
    async with shop.work() as w:
        await set_opt_out_words(w, ["滚", "别发了！"])
    async with shop.read() as session:
        assert await opt_out_words(session) == sorted(["滚", "别发了"])
    await take(shop, reply(shop, "别发了"))
    assert await status(shop, customer) == "denied"
    async with shop.work() as w:
        await set_opt_out_words(w, [])
    async with shop.read() as session:
        assert await opt_out_words(session) == []
    with pytest.raises(InvalidInput):
        async with shop.work() as w:
            await set_opt_out_words(w, ["ok", " 。"])


async def test_what_was_written_is_sealed(shop, customer):
    await take(shop, reply(shop, "call me under 13800000000"))
    (row,) = await stored(shop)
    assert b"13800000000" not in row["text_sealed"]
    place = f"inbound_messages.text|{shop.id}|{row['id']}"
    assert shop.installation.db.keyring.open(row["text_sealed"], place).endswith("13800000000")
    assert row["address_index"] == address_index(shop.installation.db.keyring, shop.id, ADDRESS)


def test_folding_keeps_what_is_inside():
    assert folded("  Ｏｐｔ　ｏｕｔ！ ") == "OPT OUT"
