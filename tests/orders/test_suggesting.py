import orjson

from core.domain.customers.customers import update_customer
from core.domain.customers.suggestions import REASONS, reject_suggestion
from core.domain.orders.merging import accept_suggestion, merge_customers
from core.domain.orders.suggesting import GROUP_LIMIT, RULES, SuggestMerges
from core.storage import jobs
from tests.merge_kit import add_order, make_customer


async def refresh(merchant):
    """Run the job; returns the open pairs with their reasons."""
    db = merchant.installation.db
    async with merchant.work() as w:
        job_id = await jobs.enqueue(w, SuggestMerges.name, {})
    job = await jobs.claim(db, merchant.id, job_id)
    await jobs.perform(db, job, {SuggestMerges.name: SuggestMerges()})
    async with merchant.read() as session:
        state = await session.sql.fetchval("SELECT state FROM jobs WHERE id = $1", job_id)
        rows = await session.sql.fetch(
            "SELECT * FROM merge_suggestions WHERE merchant_id = $1 AND state = 'open' ORDER BY id",
            merchant.id,
        )
    assert state == "succeeded"
    return {(r["first_id"], r["second_id"]): orjson.loads(r["reasons"]) for r in rows}


async def customers(merchant, *given):
    """Customers as (name, columns); phone and email among the columns are their contacts."""
    ids = []
    async with merchant.work() as w:
        for name, columns in given:
            contacts = {k: columns.pop(k) for k in ("phone", "email") if k in columns}
            ids.append(await make_customer(w, name, **columns))
            if contacts:
                await update_customer(w, ids[-1], contacts)
    return ids


async def parcel(w, order_id, number):
    await w.sql.execute(
        "INSERT INTO parcels (merchant_id, order_id, tracking_number) VALUES ($1, $2, $3)",
        w.merchant_id, order_id, number,
    )  # fmt: skip


async def test_pairs_and_their_reasons(merchant):
    phone = {"phone": "13800138000"}
    a, b, c, d = await customers(
        merchant, ("a", {**phone, "email": "x@b.cn"}), ("b", phone), ("c", {"email": "x@b.cn"}),
        ("d", {}),
    )  # fmt: skip
    assert await refresh(merchant) == {(a, b): ["same_phone"], (a, c): ["same_email"]}
    async with merchant.work() as w:
        await update_customer(w, b, {"email": "x@b.cn"})
    found = await refresh(merchant)
    assert found[a, b] == ["same_email", "same_phone"]
    assert d not in {customer_id for pair in found for customer_id in pair}
    assert set(RULES) <= set(REASONS)


async def test_one_name_and_place_and_a_shared_parcel(merchant):
    place = {"province": "浙江省", "city": "杭州市"}
    ids = await customers(
        merchant, ("张三", dict(place)), ("张三", dict(place)), ("李四", dict(place)),
        ("张三", {"province": "江苏省"}), ("张三", dict(place)),
    )  # fmt: skip
    async with merchant.work() as w:
        for number, customer_id in enumerate(ids):
            order_id = await add_order(w, customer_id, str(number), merchant.shop_id)
            await parcel(w, order_id, "SF1" if number < 4 else "SF2")
    assert await refresh(merchant) == {(ids[0], ids[1]): ["same_name_place_parcel"]}


async def test_a_number_of_very_many_makes_no_pairs(merchant):
    given = [(str(n), {"phone": "13800138000"}) for n in range(GROUP_LIMIT + 1)]
    await customers(merchant, *given)
    assert await refresh(merchant) == {}


async def test_rejected_pairs_never_come_back_even_after_merges(merchant):
    phone = {"phone": "13800138000"}
    a, b, c = await customers(merchant, ("a", dict(phone)), ("b", dict(phone)), ("c", {}))
    assert list(await refresh(merchant)) == [(a, b)]
    async with merchant.work() as w:
        found = await w.sql.fetchval(
            "SELECT id FROM merge_suggestions WHERE merchant_id = $1", merchant.id
        )
        await reject_suggestion(w, found)
    assert await refresh(merchant) == {}
    async with merchant.work() as w:
        # c stands for b now, with its phone
        await merge_customers(w, merchant.installation.registry, c, b, "test")
    assert await refresh(merchant) == {}


async def test_accepting_merges(merchant):
    phone = {"phone": "13800138000"}
    a, b = await customers(merchant, ("a", dict(phone)), ("b", dict(phone)))
    await refresh(merchant)
    async with merchant.work() as w:
        found = await w.sql.fetchval(
            "SELECT id FROM merge_suggestions WHERE merchant_id = $1", merchant.id
        )
        merge_id = await accept_suggestion(w, merchant.installation.registry, found, keep=b)
        row = await w.sql.fetchrow("SELECT * FROM customer_merges WHERE id = $1", merge_id)
        state = await w.sql.fetchval("SELECT state FROM merge_suggestions WHERE id = $1", found)
    assert (row["from_id"], row["into_id"], state) == (a, b, "accepted")
    assert await refresh(merchant) == {}


async def test_an_outdated_suggestion_goes(merchant):
    phone = {"phone": "13800138000"}
    a, b = await customers(merchant, ("a", dict(phone)), ("b", dict(phone)))
    assert list(await refresh(merchant)) == [(a, b)]
    async with merchant.work() as w:
        await update_customer(w, b, {"phone": "13900139000"})
    assert await refresh(merchant) == {}


async def test_other_merchants_customers_are_no_pairs(merchant, installation):
    from core.domain.shops.setup import set_up_merchant
    from core.testing import TestMerchant

    made = await set_up_merchant(installation.db, installation.registry, "O", shop="shop")
    other = TestMerchant(made.merchant_id, made.shop_id, made.token, installation, merchant.clock)
    for one in (merchant, other):
        await customers(one, ("a", {"phone": "13800138000"}))
    assert await refresh(merchant) == {}
