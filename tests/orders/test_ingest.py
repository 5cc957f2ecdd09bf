import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.domain.orders.ingest import PROGRESS, fold, ingest_orders, is_older
from core.domain.shops.setup import set_up_merchant
from core.domain.shops.shops import create_shop, find_shop
from core.sdk import Identity, LineRecord, OrderRecord, OrderState, ParcelRecord

T = datetime(2026, 1, 2, tzinfo=UTC)
S = OrderState


def order(number="1", state=S.TO_SHIP, **more):
    values = {"currency": "CNY", "total": 1000, "paid": 1000, "ordered_at": T, "paid_at": T} | more
    return OrderRecord(number, state, **values)


async def take(merchant, *records, kind="nick", events=False, shop=None):
    async with merchant.work() as w:
        shop = await find_shop(w, str(shop or merchant.shop_id))
        return await ingest_orders(w, shop, records, kind, events)


async def rows(merchant, table, order_by="id"):
    async with merchant.read() as session:
        found = await session.sql.fetch(
            f"SELECT * FROM {table} WHERE merchant_id = $1 ORDER BY {order_by}", merchant.id
        )
    return [dict(row) for row in found]


async def test_an_order_with_everything(merchant):
    record = order(
        buyer_id="nick", name="李雷", phone="+8613800138000", email="a@b.cn", province="浙江省",
        city="杭州市", address="文三路 1 号", lines=[LineRecord("1", "茶", 2, "sku", 500)],
        parcels=[ParcelRecord("SF1", "顺丰"), ParcelRecord("SF2", "顺丰")],
    )  # fmt: skip
    assert await take(merchant, record) == ["created"]
    (stored,), (customer,) = await rows(merchant, "orders"), await rows(merchant, "customers")
    keyring = merchant.installation.db.keyring
    receiver = keyring.open(
        stored["receiver_sealed"], f"orders.receiver|{merchant.id}|{stored['id']}"
    )
    assert orjson.loads(receiver) == {
        "name": "李雷",
        "phone": "+8613800138000",
        "address": "文三路 1 号",
    }
    assert stored["customer_id"] == customer["id"]
    assert (stored["state"], stored["paid"], stored["ordered_at"]) == ("to_ship", 1000, T)
    phone = keyring.open(
        customer["phone_sealed"], f"customers.phone|{merchant.id}|{customer['id']}"
    )
    assert phone == "+8613800138000"
    assert (customer["name"], customer["province"], customer["city"]) == (
        "李雷",
        "浙江省",
        "杭州市",
    )
    assert [line["title"] for line in await rows(merchant, "order_lines")] == ["茶"]
    assert [p["tracking_number"] for p in await rows(merchant, "parcels")] == ["SF1", "SF2"]
    kinds = [i["kind"] for i in await rows(merchant, "customer_identities")]
    assert sorted(kinds) == ["email", "nick", "phone"]
    assert await take(merchant, record) == ["unchanged"]
    assert len(await rows(merchant, "orders")) == 1


async def test_no_plain_contact_data_is_stored(merchant):
    await take(
        merchant, order(phone="+8613800138000", email="secret@b.cn", address="文三路", buyer_id="n")
    )
    for table in ("orders", "customers", "customer_identities"):
        text = str(await rows(merchant, table))
        assert "13800138000" not in text
        assert "secret" not in text
        assert "文三路" not in text


async def test_identities_from_the_strongest(merchant):
    await take(
        merchant,
        order("1", buyer_id="a", phone="+8613800138000"),
        order("2", buyer_id="a", phone="+8613900139000"),
        order("3", phone="+8613900139000"),
        order("4", email="x@y.cn"),
        order("5", phone="+8613700137000", email="x@y.cn"),
        order("6"),
        order("7", buyer_id="b", phone="+8613800138000"),  # another buyer in the same household
        order("8", buyer_id="c", email="x@y.cn"),  # known by address so far
        order("9", buyer_id="***"),
    )
    of = {o["external_id"]: o["customer_id"] for o in await rows(merchant, "orders")}
    assert of["1"] == of["2"] == of["3"]
    assert of["4"] == of["5"] == of["8"]
    assert of["6"] is of["9"] is None
    assert len({of["1"], of["4"], of["7"]}) == 3
    assert len(await rows(merchant, "customers")) == 3


async def test_identities_hold_across_sets(merchant):
    await take(merchant, order("1", phone="+8613800138000"))
    await take(merchant, order("2", buyer_id="a", phone="+8613800138000"))
    await take(merchant, order("3", buyer_id="a"))
    await take(merchant, order("4", buyer_id="b", phone="+8613800138000"))
    of = {o["external_id"]: o["customer_id"] for o in await rows(merchant, "orders")}
    assert of["1"] == of["2"] == of["3"] != of["4"]


async def test_the_latest_order_says_who_the_customer_is(merchant):
    def at(days, **more):
        return order(str(days), buyer_id="a", ordered_at=T + timedelta(days=days), **more)

    await take(merchant, at(5, name="New", city="杭州市", phone="+8613900139000"))
    await take(merchant, at(1, name="Old", city="上海市", phone="+8613800138000", email="a@b.cn"))
    (customer,) = await rows(merchant, "customers")
    keyring = merchant.installation.db.keyring
    assert (customer["name"], customer["city"]) == ("New", "杭州市")
    assert customer["phone_index"] == keyring.blind_index("phone", merchant.id, "+8613900139000")
    assert customer["email_index"] is not None  # a gap is filled even by an older order
    await take(merchant, at(9, name="张**"), at(8, name="Newest", phone="+8613700137000"))
    (customer,) = await rows(merchant, "customers")
    assert customer["name"] == "Newest"  # a masked name is none
    sealed = customer["phone_sealed"]
    assert (
        keyring.open(sealed, f"customers.phone|{merchant.id}|{customer['id']}") == "+8613700137000"
    )


async def test_an_older_snapshot_changes_nothing(merchant):
    shipped = order(state=S.SHIPPED, modified_at=T + timedelta(hours=2), shipped_at=T)
    await take(merchant, shipped)
    older = order(state=S.COMPLETED, modified_at=T + timedelta(hours=1))
    assert await take(merchant, older) == ["unchanged"]
    assert await take(merchant, order(state=S.TO_SHIP)) == [
        "unchanged"
    ]  # goes back, without a time
    newer = order(state=S.COMPLETED, modified_at=T + timedelta(hours=3))
    assert await take(merchant, newer) == ["updated"]
    (stored,) = await rows(merchant, "orders")
    assert stored["state"] == "completed"
    assert stored["shipped_at"] == T  # what the newer one does not say is kept


async def test_closed_orders_never_reopen(merchant):
    await take(merchant, order(state=S.CLOSED_REFUNDED, modified_at=T, refunded=1000))
    late = order(state=S.COMPLETED, modified_at=T + timedelta(days=1))
    assert await take(merchant, late) == ["unchanged"]
    assert (await rows(merchant, "orders"))[0]["state"] == "closed_refunded"
    await take(merchant, order("2", state=S.COMPLETED))
    refund = order("2", state=S.CLOSED_REFUNDED, refunded=1000)
    assert await take(merchant, refund) == ["updated"]


async def test_lines_and_parcels_are_added_to(merchant):
    await take(merchant, order(lines=[LineRecord("a", "A")], parcels=[ParcelRecord("1")]))
    later = order(
        state=S.SHIPPED, lines=[LineRecord("a", "A2", 3), LineRecord("b", "B")],
        parcels=[ParcelRecord("1", "SF"), ParcelRecord("2")],
    )  # fmt: skip
    assert await take(merchant, later) == ["updated"]
    lines = await rows(merchant, "order_lines")
    assert [(line["external_id"], line["title"], line["quantity"]) for line in lines] == [
        ("a", "A2", 3), ("b", "B", 1),
    ]  # fmt: skip
    parcels = await rows(merchant, "parcels")
    assert [(p["tracking_number"], p["carrier"]) for p in parcels] == [("1", "SF"), ("2", None)]


async def test_one_order_several_times_in_a_set(merchant):
    first = order(lines=[LineRecord("a", "A")])
    second = order(lines=[LineRecord("b", "B")])
    other = order("2")
    assert await take(merchant, first, other, second) == ["created", "created", "updated"]
    assert len(await rows(merchant, "order_lines")) == 2
    assert await take(merchant, first, other, second) == ["unchanged"] * 3


async def test_events_come_from_stored_transitions(merchant):
    await take(merchant, order(buyer_id="a"), events=True)
    await take(merchant, order(buyer_id="a"), order(buyer_id="a"), events=True)
    await take(merchant, order(state=S.SHIPPED, buyer_id="a"), events=True)
    await take(merchant, order(state=S.TO_SHIP, buyer_id="a"), events=True)
    await take(merchant, order(state=S.SHIPPED, buyer_id="a", paid=999), events=True)
    found = await rows(merchant, "outbox_events")
    assert [e["type"] for e in found] == ["order.created", "order.state_changed"]
    payload = orjson.loads(found[1]["payload"])
    (stored,) = await rows(merchant, "orders")
    assert payload == {
        "order_id": stored["id"], "shop_id": merchant.shop_id,
        "customer_id": stored["customer_id"], "old_state": "to_ship", "state": "shipped",
    }  # fmt: skip


async def test_merchants_and_shops_are_apart(merchant):
    installation = merchant.installation
    made = await set_up_merchant(installation.db, installation.registry, "Other", shop="shop")
    record = order(buyer_id="a", phone="+8613800138000")
    await take(merchant, record)
    async with installation.db.work(made.merchant_id) as w:
        shop = await find_shop(w, "shop")
        assert await ingest_orders(w, shop, [record], "nick", False) == ["created"]
        mine = await w.sql.fetchrow(
            "SELECT phone_index FROM customers WHERE merchant_id = $1", made.merchant_id
        )
    (theirs,) = await rows(merchant, "customers")
    assert mine["phone_index"] != theirs["phone_index"]


async def test_two_writers_at_once(merchant):
    records = [
        order(str(n), buyer_id=f"b{n % 50}", phone=f"+86138001380{n % 40:02}") for n in range(400)
    ]
    outcomes = await asyncio.gather(
        take(merchant, *records), take(merchant, *reversed(records)), take(merchant, *records[100:])
    )
    counts = Counter(outcome for outcome_list in outcomes for outcome in outcome_list)
    assert counts == {"created": 400, "unchanged": 700}
    assert len(await rows(merchant, "customers")) == 50


def test_folding_keeps_the_newer_and_the_lines_of_both():
    newer = order(state=S.SHIPPED, modified_at=T + timedelta(hours=1), lines=[LineRecord("a", "A")])
    older = order(state=S.TO_SHIP, modified_at=T, lines=[LineRecord("b", "B")])
    for pair in ([newer, older], [older, newer]):
        (folded,), places = fold(pair)
        assert places == [0, 0]
        assert folded.state is S.SHIPPED
        assert {line.external_id for line in folded.lines} == {"a", "b"}


@pytest.mark.parametrize("closed", [S.CLOSED_UNPAID, S.CLOSED_REFUNDED])
def test_terminal_states_beat_time(closed):
    assert is_older(order(state=S.COMPLETED, modified_at=T), closed, None)
    assert not is_older(order(state=closed), closed, None)


@st.composite
def histories(draw):
    """Snapshots of some orders, each going forward in time, delivered in any order and any sets."""
    snapshots = []
    for number in range(draw(st.integers(1, 3))):
        states = draw(
            st.lists(st.sampled_from(list(S)), min_size=1, max_size=5, unique_by=PROGRESS.get)
        )
        for hour, state in enumerate(sorted(states, key=PROGRESS.get)):
            changed = T + timedelta(hours=hour)
            snapshots.append(order(str(number), state=state, modified_at=changed, paid=hour))
    shuffled = draw(st.permutations(snapshots))
    cut = draw(st.integers(0, len(shuffled)))
    return snapshots, [shuffled[:cut], shuffled[cut:], draw(st.permutations(shuffled))]


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(history=histories())
async def test_every_delivery_of_a_history_ends_with_its_last_snapshot(merchant, history):
    snapshots, sets = history
    async with merchant.installation.db.work(merchant.id) as w:
        await w.sql.execute("DELETE FROM orders WHERE merchant_id = $1", merchant.id)
    for part in sets:
        await take(merchant, *part)
    last = {record.external_id: record for record in snapshots}
    stored = {o["external_id"]: (o["state"], o["paid"]) for o in await rows(merchant, "orders")}
    assert stored == {key: (record.state, record.paid) for key, record in last.items()}


async def test_random_sets_keep_the_books(merchant):
    import random

    r = random.Random(7)
    created = 0
    for _ in range(15):
        records = [
            order(
                str(r.randrange(60)),
                state=r.choice(list(S)),
                modified_at=T + timedelta(minutes=r.randrange(99)),
                buyer_id=r.choice([None, "a", "b", "c"]),
                phone=r.choice([None, "+8613800138000", "+8613900139000"]),
            )
            for _ in range(30)
        ]  # fmt: skip
        outcomes = await take(merchant, *records)
        assert len(outcomes) == len(records)
        created += outcomes.count("created")
    orders, customers = await rows(merchant, "orders"), await rows(merchant, "customers")
    assert len(orders) == created == len({o["external_id"] for o in orders})
    ids = {c["id"] for c in customers}
    assert {o["customer_id"] for o in orders} - {None} <= ids
    identities = await rows(merchant, "customer_identities")
    assert {i["customer_id"] for i in identities} == ids


async def test_a_partial_snapshot_changes_what_it_tells(merchant):
    await take(merchant, order(buyer_id="a", province="浙江省", platform_state="OLD"))
    news = OrderRecord("1", in_dispute=True, modified_at=T + timedelta(days=1))
    assert await take(merchant, news, events=True) == ["updated"]
    assert await take(merchant, OrderRecord("1", S.SHIPPED, shipped_at=T), events=True) == [
        "updated"
    ]
    (stored,) = await rows(merchant, "orders")
    assert (stored["state"], stored["in_dispute"], stored["paid"]) == ("shipped", True, 1000)
    assert (stored["province"], stored["platform_state"]) == ("浙江省", "OLD")
    assert stored["ordered_at"] == T
    assert len(await rows(merchant, "outbox_events")) == 1


async def test_an_order_whose_state_is_hidden_begins_where_it_is_said_and_stays_where_it_was(
    merchant,
):
    hidden = {"first_state": S.SHIPPED, "in_dispute": True}
    await take(merchant, order("1", S.PAID_ON_HOLD))
    outcomes = await take(merchant, order("1", None, **hidden), order("2", None, **hidden))
    assert outcomes == ["updated", "created"]
    stored = await rows(merchant, "orders", "external_id")
    assert [(row["state"], row["in_dispute"]) for row in stored] == [
        ("paid_on_hold", True), ("shipped", True),
    ]  # fmt: skip


async def test_a_partial_snapshot_of_an_unknown_order_is_refused_whole(merchant):
    assert await take(merchant, OrderRecord("1", S.SHIPPED), order("2")) == [
        "incomplete", "created",
    ]  # fmt: skip
    assert [o["external_id"] for o in await rows(merchant, "orders")] == ["2"]


async def test_partial_snapshots_of_one_set_complete_each_other(merchant):
    parts = (OrderRecord("1", S.SHIPPED, modified_at=T), order(modified_at=T - timedelta(days=1)))
    assert await take(merchant, *parts) == ["created", "updated"]
    (stored,) = await rows(merchant, "orders")
    assert (stored["state"], stored["paid"]) == ("shipped", 1000)


async def test_an_erased_person_does_not_come_back_with_an_old_order(merchant):
    told = order(buyer_id="a", phone="+8613800138000", name="李雷", address="文三路", city="杭州市")
    await take(merchant, told)
    async with merchant.work() as w:
        await w.sql.execute(
            """UPDATE orders SET customer_id = NULL, buyer_id = NULL, receiver_sealed = NULL,
                      city = NULL, erased_at = $2 WHERE merchant_id = $1""",
            w.merchant_id, w.now,
        )  # fmt: skip
        for table in ("customers", "customer_identities"):
            await w.sql.execute(f"DELETE FROM {table} WHERE merchant_id = $1", w.merchant_id)
    again = order(
        buyer_id="a", phone="+8613800138000", name="李雷", state=S.COMPLETED, city="杭州市",
    )  # fmt: skip
    assert await take(merchant, again) == ["updated"]
    (stored,) = await rows(merchant, "orders")
    assert stored["state"] == "completed"
    assert stored["customer_id"] is stored["buyer_id"] is stored["receiver_sealed"] is None
    assert stored["city"] is None
    assert await rows(merchant, "customers") == []


async def test_an_order_may_bring_further_ids_of_its_buyer(merchant):
    omid = Identity("merchant", 0, "omid", "o1")
    await take(merchant, order("1", buyer_id="a", identities=[omid]))
    # the same person in another shop, under another buyer id
    async with merchant.work() as w:
        other = await create_shop(w, "second", "taobao")
    await take(merchant, order("2", buyer_id="b", identities=[omid]), shop=other)
    assert len({o["customer_id"] for o in await rows(merchant, "orders")}) == 1
    kinds = sorted(i["kind"] for i in await rows(merchant, "customer_identities"))
    assert kinds == ["nick", "nick", "omid"]
