"""Channels that write to buyers by an id of their platform."""

from dataclasses import replace
from datetime import timedelta
from itertools import count

import pytest

from core.domain.campaigns.audience import plan_run
from core.domain.campaigns.campaigns import create_campaign
from core.domain.campaigns.content.trial import prepare_trial
from core.domain.campaigns.control import start_campaign
from core.domain.campaigns.preview import About, preview_campaign
from core.domain.campaigns.receipts import take_receipts
from core.domain.campaigns.reconciling import reconcile
from core.domain.campaigns.replies import take_replies
from core.domain.campaigns.sending import send_run
from core.domain.campaigns.simulation import simulate_campaign
from core.domain.campaigns.why_not_sent import why_not_sent
from core.domain.customers.consent import set_consent, unsubscribe
from core.domain.customers.suppressions import identity_index, identity_index_sql
from core.domain.orders.ingest import ingest_orders
from core.domain.orders.parcels import ingest_traces
from core.domain.segments.segments import create_segment
from core.domain.shops.shops import create_shop, find_shop
from core.sdk import (
    ContentField,
    DeliveryReceipt,
    InvalidInput,
    OrderState,
    ParcelRecord,
    ParcelState,
    ParcelTrace,
    Reply,
    Several,
    TraceEvent,
    Unknown,
)
from core.sdk.errors import HuikeError
from core.testing.fixtures import START
from tests.journey_kit import hear, order, start_journey
from tests.provider_kit import Provider, ProviderChannel, consent_to, with_channels
from tests.sending_kit import ALL

KIND = "ouid"
PAID = OrderState.TO_SHIP
NUMBERS = count()


class Chat(ProviderChannel):
    """Writes to Taobao's buyers; `note` can only do so about an order."""

    contact = "identity"
    platform, identity_kind = "taobao", KIND
    fields = (ContentField("text", "Text", max_length=500),)


class OrderNote(Chat):
    scope = "order"


@pytest.fixture
async def chat(merchant):
    """A merchant with the channels chat and note, two Taobao shops and one elsewhere."""
    chat, note = Provider(), Provider()
    made = await with_channels(merchant, chat=Chat("chat", chat), note=OrderNote("note", note))
    async with made.work() as w:
        second = await create_shop(w, "second", "taobao")
        other = await create_shop(w, "other", "aliexpress")
    return Stage(made, chat, note, {"first": made.shop_id, "second": second, "other": other})


class Stage:
    def __init__(self, merchant, chat, note, shops):
        self.merchant, self.chat, self.note, self.shops = merchant, chat, note, shops
        self.registry, self.db = merchant.installation.registry, merchant.installation.db

    def channel(self, name):
        return self.registry.channels[name].value

    async def bought(self, number, buyer, shop="first", at=START, state=PAID, **more):
        """An order of a buyer who is known by an email address over all shops; its id."""
        record = order(number, state, at=at, buyer_id=buyer, **more)
        async with self.merchant.work() as w:
            found = await find_shop(w, str(self.shops[shop]))
            await ingest_orders(w, found, [record], KIND, True)
            return await w.sql.fetchrow(
                "SELECT id, customer_id FROM orders WHERE merchant_id = $1 AND external_id = $2",
                w.merchant_id, number,
            )  # fmt: skip

    async def blast(self, channel="chat", shop=None, message_class="marketing"):
        """A message to everybody, sent; returns the campaign and the reasons of the skipped."""
        async with self.merchant.work() as w:
            name = f"blast {next(NUMBERS)}"
            segment = await create_segment(w, self.registry, name, ALL)
            campaign_id = await create_campaign(
                w, self.registry, name=name, channel=channel,
                segment_id=segment, content={"text": "hi"}, message_class=message_class,
                shop_id=self.shops.get(shop),
            )  # fmt: skip
            run_id = await start_campaign(w, self.registry, campaign_id)
        await plan_run(self.db, self.registry, self.merchant.id, run_id)
        await self.send(run_id)
        return campaign_id, run_id

    async def send(self, run_id):
        await send_run(self.db, self.registry, self.merchant.id, run_id, "http://s.example")

    async def ledger(self, run_id):
        async with self.merchant.read() as session:
            rows = await session.sql.fetch(
                """SELECT state, reason FROM deliveries WHERE merchant_id = $1 AND run_id = $2
                   ORDER BY customer_id, id""",
                self.merchant.id, run_id,
            )  # fmt: skip
        return [row["reason"] or row["state"] for row in rows]

    def sent(self, provider=None):
        return [(one.to, one.shop_id) for one in (provider or self.chat).taken]


async def test_the_id_is_that_of_the_shop_of_the_latest_purchase(chat):
    same = {"email": "a@example.com"}
    old = await chat.bought("1", "one-first", at=START - timedelta(days=9), **same)
    new = await chat.bought("2", "one-second", "second", at=START - timedelta(days=2), **same)
    await chat.bought("3", "one-other", "other", **same)
    assert old["customer_id"] == new["customer_id"]
    await chat.bought("4", "elsewhere", "other", email="b@example.com")
    await consent_to(chat.merchant, "chat")
    campaign_id, run_id = await chat.blast()
    assert chat.sent() == [("one-second", chat.shops["second"])]
    assert await chat.ledger(run_id) == ["sent", "no_identity"]
    assert chat.chat.taken[0].order_external_id is None
    # in the name of a shop it is that shop's id, whatever was bought last
    _, run_id = await chat.blast(shop="first")
    assert chat.sent()[1:] == [("one-first", chat.shops["first"])]
    async with chat.merchant.read() as session:
        counted = await preview_campaign(session, chat.registry, campaign_id)
        assert (counted.would_send, counted.skipped) == (1, {"no_identity": 1})
        told = await simulate_campaign(session, chat.registry, campaign_id)
        assert (told.would_send, told.skipped) == (1, {"no_identity": 1})


async def test_a_message_about_an_order_goes_to_its_buyer_in_its_shop(chat):
    trigger = {"kind": "event", "type": "parcel.state_changed", "where": {"state": ["signed"]}}
    step = {"kind": "send", "key": "m", "channel": "note", "message_class": "service",
            "variants": [{"content": {"text": "{{ order.number }}"}}]}  # fmt: skip
    campaign_id, run_id = await start_journey(
        chat.merchant, trigger, [step], entry={"again": "order"}
    )
    same = {"email": "a@example.com", "state": OrderState.SHIPPED}
    await chat.bought("1", "one-first", at=START - timedelta(days=9), **same)
    await chat.bought("2", "twin-first", at=START - timedelta(days=8), **same)
    await chat.bought("3", "one-second", "second", **same)
    foreign = await chat.bought("4", "one-other", "other", **same)
    for shop, number in (("first", "1"), ("other", "4")):
        trace = ParcelTrace(
            number, ParcelRecord(f"SF{number}", "SF", [TraceEvent(ParcelState.SIGNED, START)])
        )
        async with chat.merchant.work() as w:
            await ingest_traces(w, await find_shop(w, str(chat.shops[shop])), [trace], True)
    await hear(chat.merchant)
    await chat.send(run_id)
    (message,) = chat.note.taken
    assert (message.to, message.shop_id) == ("one-first", chat.shops["first"])
    assert (message.order_external_id, message.tracking_number) == ("1", "SF1")
    assert sorted(await chat.ledger(run_id)) == ["no_identity", "sent"]
    async with chat.merchant.read() as session:
        why = await why_not_sent(session, chat.registry, campaign_id, foreign["customer_id"])
    assert [one.rule for one in why.now] == ["no_identity"]


async def test_a_channel_about_orders_needs_an_order(chat):
    await chat.bought("1", "one", email="a@example.com")
    with pytest.raises((HuikeError, Several), match="only write about an order"):
        await chat.blast("note")
    step = {"kind": "send", "key": "m", "channel": "note",
            "variants": [{"content": {"text": "hi"}}]}  # fmt: skip
    with pytest.raises((HuikeError, Several), match="only write about an order"):
        await start_journey(
            chat.merchant, {"kind": "date", "field": "birthday"}, [step], name="birthday"
        )


async def test_consent_suppression_and_unsubscribing_are_asked(chat):
    first = await chat.bought("1", "one", email="a@example.com")
    await chat.bought("2", "two", email="b@example.com")
    _, run_id = await chat.blast()
    assert await chat.ledger(run_id) == ["no_consent", "no_consent"]
    await consent_to(chat.merchant, "chat")
    async with chat.merchant.work() as w:
        await unsubscribe(w, first["customer_id"], "chat", "page")
        await set_consent(w, first["customer_id"], "chat", "marketing", "denied", "page")
    _, run_id = await chat.blast()
    assert await chat.ledger(run_id) == ["opted_out", "sent"]
    _, run_id = await chat.blast(message_class="service")
    assert await chat.ledger(run_id) == ["sent", "sent"]
    async with chat.merchant.work() as w:  # the list outlives the refusal, as after an erasure
        await w.sql.execute("UPDATE consents SET status = 'granted' WHERE merchant_id = $1",
                            w.merchant_id)  # fmt: skip
    _, run_id = await chat.blast()
    assert await chat.ledger(run_id) == ["suppressed", "sent"]


async def test_an_answer_that_refuses_ends_marketing(chat):
    first = await chat.bought("1", "one", email="a@example.com")
    await chat.bought("2", "one", "second", email="b@example.com")
    await consent_to(chat.merchant, "chat")
    reply = Reply("r1", "one", "退订", START, shop_id=chat.shops["first"])
    async with chat.merchant.work() as w:
        assert await take_replies(w, chat.channel("chat"), [reply, replace(reply, text="?")]) == 1
        (row,) = await w.sql.fetch("SELECT * FROM inbound_messages WHERE merchant_id = $1",
                                   w.merchant_id)  # fmt: skip
    assert row["customer_id"] == first["customer_id"]
    assert row["address_index"] == identity_index(
        chat.merchant.id, chat.shops["first"], KIND, "one"
    )
    _, run_id = await chat.blast()
    assert await chat.ledger(run_id) == ["opted_out", "sent"]


async def test_a_complaint_suppresses_the_id_and_unknown_messages_are_found(chat):
    await chat.bought("1", "one", email="a@example.com")
    await consent_to(chat.merchant, "chat")
    chat.chat.answer = lambda message: (_ for _ in ()).throw(Unknown("silence"))
    _, run_id = await chat.blast()
    assert await chat.ledger(run_id) == ["unknown"]
    chat.chat.answer = None
    chat.merchant.clock.move(timedelta(minutes=2))
    await reconcile(chat.db, chat.registry, chat.merchant.id)
    assert [one.to for one in chat.chat.asked] == ["one"]
    await chat.send(run_id)
    assert await chat.ledger(run_id) == ["sent"]
    (message,) = chat.chat.taken
    async with chat.merchant.work() as w:
        told = DeliveryReceipt("e1", "complained", START, key=message.key)
        assert await take_receipts(w, chat.channel("chat"), [told]) == 1
    chat.merchant.clock.move(timedelta(minutes=2))
    _, run_id = await chat.blast()
    assert await chat.ledger(run_id) == ["suppressed"]


async def test_a_trial_goes_to_a_buyer_who_is_known(chat):
    bought = await chat.bought("1", "mine", email="a@example.com")
    await consent_to(chat.merchant, "chat")
    campaign_id, _ = await chat.blast()

    async def trial(to):
        async with chat.merchant.work() as w:
            about = About(bought["customer_id"])
            return await prepare_trial(
                w, chat.registry, campaign_id, None, 0, to, about, "k", "http://s.example"
            )

    made = await trial("mine")
    assert (made.message.to, made.message.shop_id) == ("mine", chat.shops["first"])
    with pytest.raises(InvalidInput, match="no buyer is known"):
        await trial("a@example.com")


async def test_the_index_is_the_same_in_sql_and_here(merchant):
    async with merchant.read() as session:
        made = await session.sql.fetchval(
            f"SELECT {identity_index_sql('$2::text', '$3::text', '$4::text')}",
            merchant.id, "7", "ouid", "买家|1",
        )  # fmt: skip
    assert made == identity_index(merchant.id, 7, "ouid", "买家|1")
