"""Records with several ids: whose they are, who is merged and who is only suggested."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.customers.identify import Person, identify, lock_customers, save
from core.domain.orders.merging import AutomaticMerges, unmerge_customers
from core.sdk import Identity, InvalidInput, app_scope_id
from core.storage import jobs
from tests.merge_kit import T, record, take


async def tell(merchant, *people, kind="ouid"):
    """Take records in; returns the customer of each."""
    async with merchant.work() as w:
        await lock_customers(w)
        found = await identify(w, merchant.shop_id, kind, people)
        await save(w, found, people, {}, "test")
    return found.ids


def person(buyer_id=None, *identities, **more):
    return Person(T, buyer_id, identities=identities, **more)


def omid(value):
    return Identity("merchant", 0, "omid", value)


def own(phone):
    return Identity("merchant", 0, "phone", phone)


async def work_off(merchant):
    """Do the jobs that wait; returns their results."""
    installation = merchant.installation
    async with merchant.read() as session:
        waiting = await session.sql.fetch(
            "SELECT id FROM jobs WHERE merchant_id = $1 AND state = 'queued' ORDER BY id",
            merchant.id,
        )
    for row in waiting:
        job = await jobs.claim(installation.db, merchant.id, row["id"])
        kinds = {AutomaticMerges.name: AutomaticMerges(installation.registry)}
        await jobs.perform(installation.db, job, kinds)
    async with merchant.read() as session:
        rows = await session.sql.fetch(
            """SELECT state, params, result FROM jobs
               WHERE merchant_id = $1 AND kind = $2 ORDER BY id""",
            merchant.id, AutomaticMerges.name,
        )  # fmt: skip
    assert all(row["state"] == "succeeded" for row in rows)
    return [orjson.loads(row["result"])["merged"] for row in rows]


async def rows(merchant, table):
    async with merchant.read() as session:
        return await session.sql.fetch(
            f"SELECT * FROM {table} WHERE merchant_id = $1 ORDER BY id", merchant.id
        )


async def test_further_ids_lead_to_a_customer(merchant):
    app = Identity("app", app_scope_id("key"), "buyer_open_uid", "u")
    everywhere = Identity("global", 0, "login", "l")
    one, two = await tell(merchant, person("a", omid("m"), app, everywhere), person("b"))
    found = await tell(
        merchant, person(None, app), person(None, omid("m")), person(None, everywhere),
        person("new", omid("m")), person(None, omid("other")),
    )  # fmt: skip
    assert found[:4] == [one] * 4
    assert found[4] not in (one, two, None)
    kinds = {
        (r["scope"], r["kind"], r["source"]) for r in await rows(merchant, "customer_identities")
    }
    assert ("app", "buyer_open_uid", "test") in kinds
    assert await rows(merchant, "jobs") == []


async def test_two_ids_of_one_record_are_one_person(merchant):
    by_shop, by_member = await tell(merchant, person("a"), person(None, omid("m")))
    assert by_shop != by_member
    assert await tell(merchant, person("a", omid("m"))) == [by_shop]
    assert await work_off(merchant) == [1]
    (kept,) = await rows(merchant, "customers")
    (merge,) = await rows(merchant, "customer_merges")
    assert (kept["id"], merge["reason"], merge["actor"][:4]) == (by_shop, "same identity", "job:")
    evidence = orjson.loads(merge["evidence"])
    assert [(i["scope"], i["kind"]) for i in evidence["identities"]] == [
        ("shop", "ouid"), ("merchant", "omid"),
    ]  # fmt: skip
    assert await tell(merchant, person(None, omid("m"))) == [by_shop]


async def test_two_ids_that_come_together_in_one_set(merchant):
    one, _, again = await tell(
        merchant, person("a"), person(None, omid("m")), person("a", omid("m"))
    )
    assert one == again
    assert await work_off(merchant) == [1]
    assert len(await rows(merchant, "customers")) == 1


async def test_a_merge_that_was_taken_back_is_not_made_again(merchant):
    await tell(merchant, person("a"), person(None, omid("m")), person("a", omid("m")))
    await work_off(merchant)
    (merge,) = await rows(merchant, "customer_merges")
    async with merchant.work() as w:
        await unmerge_customers(w, merchant.installation.registry, merge["id"])
    await tell(merchant, person("a", omid("m")))
    assert await work_off(merchant) == [1, 0]
    assert len(await rows(merchant, "customers")) == 2


async def test_own_contacts_merge_only_when_both_are_the_customers_own(merchant):
    phone = "+8613800138000"
    one, other = await tell(merchant, person("a", own(phone)), person("b"))
    # the stored one and the record's are both the customer's own
    assert await tell(merchant, person("b", own(phone))) == [other]
    assert await work_off(merchant) == [1]
    assert [c["id"] for c in await rows(merchant, "customers")] == [other]
    assert one != other


async def test_a_receivers_contact_only_suggests(merchant):
    phone = "+8613800138000"
    known, buyer = await tell(merchant, person(None, phone=phone), person("a"))
    assert await tell(merchant, person("a", phone=phone)) == [buyer]
    assert await tell(merchant, person("a", own(phone))) == [buyer]  # stored one is a receiver's
    assert await rows(merchant, "jobs") == []
    (suggestion,) = await rows(merchant, "merge_suggestions")
    assert (suggestion["first_id"], suggestion["second_id"]) == (known, buyer)
    assert orjson.loads(suggestion["reasons"]) == ["order_contact"]
    assert "138" not in suggestion["reasons"]


async def test_two_buyers_of_a_shop_at_one_address_are_left_alone(merchant):
    phone = "+8613800138000"
    one, other = await tell(merchant, person("a", phone=phone), person("b", phone=phone))
    assert one != other
    await tell(merchant, person("b", phone=phone))
    assert await rows(merchant, "merge_suggestions") == []


async def test_masked_and_virtual_values_are_no_identities(merchant):
    found = await tell(
        merchant, person(None, omid("张**")), person(None, omid("张**")), person(None),
        person(None, own("138****8000")), person(None, own("13800138000-1234")),
    )  # fmt: skip
    assert found == [None] * 5


async def test_receiver_ids_are_refused(merchant):
    with pytest.raises(InvalidInput):
        Identity("merchant", 0, "oaid", "x")
    with pytest.raises(InvalidInput):
        await tell(merchant, person("a"), kind="oaid")
    for scope, scope_id, kind in (
        ("shop", 0, "x"), ("merchant", 3, "x"), ("app", 0, "x"), ("shop", 1, "phone"),
    ):  # fmt: skip
        with pytest.raises(InvalidInput):
            Identity(scope, scope_id, kind, "v")


async def test_names_and_places_never_merge(merchant):
    one, other = await tell(
        merchant,
        person("a", name="张三", province="浙江省", city="杭州市"),
        person("b", name="张三", province="浙江省", city="杭州市"),
    )
    assert one != other
    assert await rows(merchant, "merge_suggestions") == []


async def test_orders_go_on_to_the_merged_customer(merchant):
    await take(merchant, record("1", buyer_id="a"), record("2", buyer_id="b"))
    async with merchant.work() as w:
        a, b = [c["id"] for c in await rows(merchant, "customers")]
        from core.domain.orders.merging import merge_customers

        await merge_customers(w, merchant.installation.registry, b, a, "test")
    await take(merchant, record("3", buyer_id="a"))
    assert {o["customer_id"] for o in await rows(merchant, "orders")} == {b}


@given(st.text(min_size=1))
def test_an_apps_scope_is_a_positive_number_of_63_bits(key):
    assert 0 < app_scope_id(key) < 2**63
    assert app_scope_id(key) == app_scope_id(key)


def test_an_apps_scope_never_changes():
    assert app_scope_id("12345678") == 8471295934030191629
