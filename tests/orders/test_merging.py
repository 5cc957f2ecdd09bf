import json

import pytest

from core.domain.customers.consent import set_consent
from core.domain.customers.customers import (
    CustomerMerged,
    add_tags,
    get_customer,
    remove_tags,
    update_customer,
)
from core.domain.customers.merge_consent import fold
from core.domain.orders.merging import merge_customers, unmerge_customers
from core.sdk import InvalidInput, NotFound, Several, WrongState
from tests.merge_kit import (
    add_delivery,
    add_note,
    add_value,
    consents,
    furnish,
    record,
    state,
    take,
)


async def merge(merchant, into, from_, reason="test", evidence=None):
    async with merchant.work() as w:
        registry = merchant.installation.registry
        return await merge_customers(w, registry, into, from_, reason, evidence)


async def unmerge(merchant, merge_id):
    async with merchant.work() as w:
        return await unmerge_customers(w, merchant.installation.registry, merge_id)


async def states(merchant, *ids):
    async with merchant.read() as session:
        return [await state(session, customer_id) for customer_id in ids]


async def words(merchant, customer_id):
    async with merchant.read() as session:
        return {key[1]: word for key, word in (await consents(session, customer_id)).items()}


async def pair(merchant):
    """Two customers with something in every table, some of it the same."""
    async with merchant.work() as w:
        one = await furnish(
            w, merchant, "a", phone="13800138000", tags=("vip", "a"),
            consents=(("email", "granted"), ("sms", "granted")), province="浙江省",
        )  # fmt: skip
        other = await furnish(
            w, merchant, "b", email="b@b.cn", tags=("vip", "b"),
            consents=(("email", "denied"), ("sms", "granted")), province="江苏省", city="南京市",
        )  # fmt: skip
        for customer_id in (one, other):
            await add_note(w, customer_id, f"note {customer_id}")
            await add_value(w, customer_id, 1, f"value {customer_id}")
            await add_delivery(w, customer_id, 1)
        await add_value(w, other, 2, "only b")
        await add_delivery(w, other, 2)
    return one, other


async def test_everything_goes_to_the_kept_customer(merchant):
    one, other = await pair(merchant)
    await merge(merchant, one, other, "same person", {"call": 7})
    kept, gone = await states(merchant, one, other)
    assert all(rows == [] for rows in gone.values())
    assert {o["external_id"] for o in kept["orders"]} == {"order-a", "order-b"}
    assert {t["tag"] for t in kept["customer_tags"]} == {"vip", "a", "b"}
    assert {v["text"] for v in kept["custom_field_values"]} == {f"value {one}", "only b"}
    assert len(kept["customer_notes"]) == 2
    assert [d["run_id"] for d in kept["deliveries"]] == [1, 2]
    assert {f["shop_id"]: f["orders"] for f in kept["customer_facts"]} == {
        0: 2,
        merchant.shop_id: 2,
    }
    async with merchant.read() as session:
        row = await get_customer(session, one)
        email = session.keyring.open(row["email_sealed"], f"customers.email|{merchant.id}|{one}")
        found = await session.sql.fetchrow(
            "SELECT * FROM customer_merges WHERE merchant_id = $1", merchant.id
        )
    assert email == "b@b.cn"
    assert (row["province"], row["city"]) == ("浙江省", None)
    assert (found["reason"], found["actor"]) == ("same person", "system")


async def test_undoing_brings_both_back(merchant):
    one, other = await pair(merchant)
    before = await states(merchant, one, other)
    merge_id = await merge(merchant, one, other)
    assert await unmerge(merchant, merge_id) == (other, one)
    assert await states(merchant, one, other) == before
    with pytest.raises(WrongState):
        await unmerge(merchant, merge_id)


async def test_what_happened_since_stays_and_what_was_changed_stays(merchant):
    one, other = await pair(merchant)
    merge_id = await merge(merchant, one, other)
    async with merchant.work() as w:
        await add_tags(w, one, ["since"], "test")
        await remove_tags(w, one, ["b", "vip"])
        await update_customer(w, one, {"email": "new@b.cn"})
    await take(merchant, record("o-b", buyer_id="nick-b"), record("o-a", buyer_id="nick-a"))
    async with merchant.work() as w:
        # the buyer id is what an order is traced by
        await w.sql.execute(
            """UPDATE orders SET buyer_id = 'nick-' || right(external_id, 1)
               WHERE merchant_id = $1""",
            merchant.id,
        )
    await unmerge(merchant, merge_id)
    kept, back = await states(merchant, one, other)
    assert {t["tag"] for t in kept["customer_tags"]} == {"a", "since"}
    assert {t["tag"] for t in back["customer_tags"]} == {"vip"}
    assert {o["external_id"] for o in back["orders"]} == {"order-b", "o-b"}
    assert {o["external_id"] for o in kept["orders"]} == {"order-a", "o-a"}
    assert kept["customers"][0]["email_index"] is not None
    assert {f["orders"] for f in back["customer_facts"]} == {2}


async def three(merchant):
    async with merchant.work() as w:
        return [
            await furnish(
                w, merchant, name, tags=("vip", name, *extra), phone=phone, email=email,
                consents=words,
            )
            for name, extra, phone, email, words in (
                ("a", ("x",), "13800138001", "a@b.cn", (("email", "denied"),)),
                ("b", ("x", "y"), None, None, (("email", "granted"), ("sms", "granted"))),
                ("c", ("y",), None, None, (("email", "granted"),)),
            )
        ]  # fmt: skip


@pytest.mark.parametrize("first_undone", [0, 1])
async def test_a_chain_is_undone_in_any_order(merchant, first_undone):
    a, b, c = await three(merchant)
    before = await states(merchant, a, b, c)
    merges = [await merge(merchant, b, a), await merge(merchant, c, b)]
    (held,) = await states(merchant, c)
    assert {t["tag"] for t in held["customer_tags"]} == {"vip", "a", "b", "c", "x", "y"}
    assert await words(merchant, c) == {"email": "denied"}
    await unmerge(merchant, merges.pop(first_undone))
    if first_undone == 0:
        back, kept = await states(merchant, a, c)
        assert back == before[0]
        # as if only b had been merged into c
        assert {t["tag"] for t in kept["customer_tags"]} == {"vip", "b", "c", "x", "y"}
        assert kept["customers"][0]["phone_index"] is None
        assert (await words(merchant, c))["email"] == "granted"
    else:
        kept, back = await states(merchant, b, c)
        assert back == before[2]
        assert {t["tag"] for t in kept["customer_tags"]} == {"vip", "a", "b", "x", "y"}
        assert kept["customers"][0]["phone_index"] is not None
        assert (await words(merchant, b))["email"] == "denied"
    await unmerge(merchant, merges.pop())
    assert await states(merchant, a, b, c) == before


async def test_a_row_taken_out_for_another_comes_back_when_that_one_leaves(merchant):
    async with merchant.work() as w:
        kept = await furnish(w, merchant, "k")
        one = await furnish(w, merchant, "a", tags=("x",), phone="13800138001")
        two = await furnish(w, merchant, "b", tags=("x",), phone="13800138002")
    before = await states(merchant, kept, one, two)
    first, second = await merge(merchant, kept, one), await merge(merchant, kept, two)
    await unmerge(merchant, first)
    (held,) = await states(merchant, kept)
    assert [t["tag"] for t in held["customer_tags"]] == ["x"]
    assert held["customers"][0]["phone_index"] == before[2]["customers"][0]["phone_index"]
    await unmerge(merchant, second)
    assert await states(merchant, kept, one, two) == before


async def test_merging_again_after_undoing_inside_a_chain(merchant):
    a, b, c = await three(merchant)
    before = await states(merchant, a, b, c)
    first, second = await merge(merchant, b, a), await merge(merchant, c, b)
    await unmerge(merchant, first)
    third = await merge(merchant, c, a)
    await unmerge(merchant, second)
    assert await states(merchant, b) == before[1:2]
    await unmerge(merchant, third)
    assert await states(merchant, a, b, c) == before


async def test_a_refusal_since_counts_for_both(merchant):
    one, other = await pair(merchant)
    merge_id = await merge(merchant, one, other)
    async with merchant.work() as w:
        await set_consent(w, one, "sms", "marketing", "denied", "reply")
    await unmerge(merchant, merge_id)
    assert (await words(merchant, one))["sms"] == "denied"
    assert (await words(merchant, other))["sms"] == "denied"


@pytest.mark.parametrize("number", ["13800138000", "13800138001"])
async def test_an_address_that_goes_with_an_undone_merge_was_nobody_elses_word(merchant, number):
    """The kept customer never had the address that its own word was counted by."""
    async with merchant.work() as w:
        kept = await furnish(w, merchant, "kept", consents=(("sms", "unproven"),))
        first = await furnish(w, merchant, "first", phone="13800138000")
        second = await furnish(w, merchant, "second", phone=number)
    undone = await merge(merchant, kept, first)
    await merge(merchant, kept, second)
    await unmerge(merchant, undone)
    assert "sms" not in await words(merchant, kept)
    async with merchant.read() as session:
        customer = await get_customer(session, kept)
        index = session.keyring.blind_index("phone", merchant.id, f"+86{number}")
    assert customer["phone_index"] == index


async def test_changes_to_a_merged_customer_say_into_whom(merchant):
    one, other = await pair(merchant)
    await merge(merchant, one, other)
    async with merchant.work() as w:
        with pytest.raises(CustomerMerged, match=str(one)) as error:
            await add_tags(w, other, ["x"], "staff")
        assert error.value.customer_id == one
    for ids in ((one, other), (other, one)):
        with pytest.raises(CustomerMerged):
            await merge(merchant, *ids)
    with pytest.raises(InvalidInput):
        await merge(merchant, one, one)
    with pytest.raises(NotFound):
        await merge(merchant, one, 10**9)
    with pytest.raises(Several, match=r"a reason has.*was merged into"):
        await merge(merchant, one, other, " ")
    with pytest.raises(NotFound):
        await unmerge(merchant, 10**9)


async def test_what_is_logged_and_told(merchant):
    one, other = await pair(merchant)
    merge_id = await merge(merchant, one, other)
    await unmerge(merchant, merge_id)
    async with merchant.read() as session:
        logged = await session.sql.fetch(
            """SELECT customer_id, kind FROM customer_log
               WHERE merchant_id = $1 AND kind IN ('merged', 'unmerged') ORDER BY id""",
            merchant.id,
        )
        told = await session.sql.fetch(
            """SELECT type, payload FROM outbox_events
               WHERE merchant_id = $1 AND type LIKE 'customers.%' ORDER BY id""",
            merchant.id,
        )
    assert [tuple(row) for row in logged] == [
        (one, "merged"), (other, "merged"), (one, "unmerged"), (other, "unmerged"),
    ]  # fmt: skip
    payload = {"merge_id": merge_id, "customer_id": one, "merged_id": other}
    assert [(row["type"], json.loads(row["payload"])) for row in told] == [
        ("customers.merged", payload), ("customers.unmerged", payload),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("into", "from_", "kept", "folded"),
    [
        ({}, {}, "into", {}),
        ({0: "denied"}, {}, "from", {0: "denied"}),
        ({}, {0: "denied"}, "into", {0: "denied"}),
        ({0: "granted"}, {0: "granted"}, "none", {0: "granted"}),
        ({0: "granted"}, {0: "unproven"}, "both", {0: "unproven"}),
        ({0: "granted"}, {}, "into", {0: "granted"}),
        ({0: "granted"}, {}, "from", {}),
        ({}, {0: "granted"}, "from", {0: "granted"}),
        ({}, {0: "granted"}, "both", {0: "granted"}),
        ({}, {0: "granted"}, "into", {}),
        ({}, {0: "unproven"}, "none", {}),
        # a shop's word against one for all shops
        ({0: "denied"}, {5: "granted"}, "from", {0: "denied", 5: "denied"}),
        ({0: "granted"}, {5: "denied"}, "into", {0: "granted", 5: "denied"}),
        ({0: "granted", 5: "unproven"}, {0: "granted"}, "into", {0: "granted", 5: "unproven"}),
    ],
)
def test_how_consents_are_folded(into, from_, kept, folded):
    def words(given):
        return {(shop, "email", "marketing"): word for shop, word in given.items()}

    assert fold(words(into), words(from_), lambda channel: kept) == words(folded)
