"""Suppressions: by address, whoever it belongs to, and however often it is taken in."""

import asyncio

import pytest

from core.domain.customers.consent import unsubscribe
from core.domain.customers.customers import update_customer
from core.domain.customers.suppressions import (
    IMPORT_LIMIT,
    address_index,
    suppress,
    suppression_add,
    suppression_remove,
    suppressions_import,
    welcome_back,
)
from core.sdk import InvalidInput, NotFound


async def listed(w):
    rows = await w.sql.fetch(
        """SELECT channel, shop_id, reason, address_index FROM suppressions
           WHERE merchant_id = $1 ORDER BY channel, shop_id, address_index""",
        w.merchant_id,
    )
    return [(row["channel"], row["shop_id"], row["reason"]) for row in rows]


async def log(w):
    rows = await w.sql.fetch(
        """SELECT action, reason, actor, shop_id FROM suppression_events
           WHERE merchant_id = $1 ORDER BY id""",
        w.merchant_id,
    )
    return [tuple(row) for row in rows]


async def make_customer(w, email="ann@example.com"):
    customer_id = await w.sql.fetchval(
        """INSERT INTO customers (merchant_id, name, version, created_at, updated_at)
           VALUES ($1, 'Ann', 1, $2, $2) RETURNING id""",
        w.merchant_id, w.now,
    )  # fmt: skip
    await update_customer(w, customer_id, {"email": email})
    return customer_id


def test_one_address_has_one_index_however_it_is_written(merchant):
    keyring = merchant.installation.db.keyring
    for same in (["138 0013 8000", "+86 13800138000", "１３８００１３８０００"],
                 ["Ann@Example.com", " ann＠example.com "]):  # fmt: skip
        assert len({address_index(keyring, merchant.id, one) for one in same}) == 1
    for none in ("", "138****8000", "a*@example.com", "hello", "@", "12"):
        assert address_index(keyring, merchant.id, none) is None
    assert address_index(keyring, 1, "a@b.cn") != address_index(keyring, 2, "a@b.cn")


async def test_adding_and_removing_is_logged_with_reason_and_actor(merchant):
    async with merchant.installation.db.work(merchant.id, "token:3") as w:
        pk = await suppression_add(w, "email", "a@b.cn", " complaint ", merchant.shop_id)
        assert pk == await suppression_add(w, "email", "A@B.cn", "again", merchant.shop_id)
        assert await listed(w) == [("email", merchant.shop_id, "complaint")]
        await suppression_remove(w, pk, "a mistake")
        assert await listed(w) == []
        with pytest.raises(NotFound):
            await suppression_remove(w, pk, "a mistake")
        assert await log(w) == [
            ("added", "complaint", "token:3", merchant.shop_id),
            ("removed", "a mistake", "token:3", merchant.shop_id),
        ]


@pytest.mark.parametrize(
    ("given", "path"),
    [(("email", "no address", "x"), "address"), (("email", "a@b.cn", " "), "reason"),
     (("", "a@b.cn", "x"), "channel"), (("email", "a@b.cn", "x" * 201), "reason"),
     (("email", "a@b.cn", "x", 10**9), "shopId")],
)  # fmt: skip
async def test_what_cannot_be_added(merchant, given, path):
    async with merchant.work() as w:
        with pytest.raises((InvalidInput, NotFound)) as caught:
            await suppression_add(w, *given)
        assert caught.value.path == ("input", path)


async def test_a_list_is_taken_in_with_counts(merchant):
    keyring = merchant.installation.db.keyring
    given = [f"c{n}@example.com" for n in range(9_000)] + ["c1@example.com", "nothing", "138****1"]
    indexes = [address_index(keyring, merchant.id, one) for one in given]
    async with merchant.work() as w:
        await suppress(w, "email", indexes[5], "complaint")
        done = await suppressions_import(w, "email", indexes, "old system")
        assert (done.added, done.present, done.invalid_at) == (8_999, 2, [9_001, 9_002])
        again = await suppressions_import(w, "email", indexes, "old system")
        assert (again.added, again.present) == (0, 9_001)
        assert len(await log(w)) == 9_000
        with pytest.raises(InvalidInput):
            await suppressions_import(w, "email", [b"x"] * (IMPORT_LIMIT + 1), "old system")


async def test_lists_taken_in_at_the_same_time(merchant):
    keyring = merchant.installation.db.keyring
    indexes = [address_index(keyring, merchant.id, f"c{n}@example.com") for n in range(2_000)]

    async def take(some):
        async with merchant.work() as w:
            return (await suppressions_import(w, "email", some, "x")).added

    added = await asyncio.gather(take(indexes), take(indexes[::-1]), take(indexes[500:]))
    assert sum(added) == 2_000


async def test_a_reason_that_stops_more_replaces_an_unsubscription(merchant):
    async with merchant.work() as w:
        customer = await make_customer(w)
        await unsubscribe(w, customer, "email", "link")
        await suppression_add(w, "email", "ann@example.com", "complaint")
        assert await listed(w) == [("email", 0, "complaint")]
        await unsubscribe(w, customer, "email", "link")
        assert await listed(w) == [("email", 0, "complaint")]
        await welcome_back(w, customer, "email", 0, "preference_page")
        assert await listed(w) == [("email", 0, "complaint")]


async def test_who_comes_back_is_welcome_in_the_shops_he_named(merchant):
    shop = merchant.shop_id
    async with merchant.work() as w:
        customer = await make_customer(w)
        await unsubscribe(w, customer, "email", "link")
        await unsubscribe(w, customer, "email", "link", shop_id=shop)
        await unsubscribe(w, customer, "email", "link", shop_id=shop + 1)
        await unsubscribe(w, customer, "sms", "link")
        await welcome_back(w, customer, "email", shop, "preference_page")
        kept = [("email", shop + 1, "unsubscribed"), ("sms", 0, "unsubscribed")]
        assert await listed(w) == kept
        await welcome_back(w, customer, "email", 0, "preference_page")
        assert await listed(w) == kept[1:]
        assert [row[:2] for row in await log(w)].count(("removed", "preference_page")) == 3
