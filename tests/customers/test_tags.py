import asyncio
from datetime import date, timedelta

import pytest

from core.domain.customers import tags as module
from core.domain.customers.customers import get_customer, update_customer
from core.domain.customers.tags import (
    Retagging,
    delete_tag,
    missing_customers,
    rename_tag,
    tag_customers,
    untag_customers,
)
from core.sdk import InvalidInput, NotFound
from core.storage import jobs
from tests.customers.kit import add_customer, add_customers, logged


async def tags_of(session):
    """(customer, tag, source) of the merchant."""
    rows = await session.sql.fetch(
        "SELECT customer_id, tag, source FROM customer_tags WHERE merchant_id = $1 ORDER BY 1, 2",
        session.merchant_id,
    )
    return [tuple(row) for row in rows]


async def test_a_set_is_tagged_and_only_what_is_new_is_logged(merchant):
    async with merchant.installation.db.work(merchant.id, "token:7") as w:
        first, second = await add_customers(w, 2)
        assert await tag_customers(w, [first], ["a"], "import") == 1
        assert await tag_customers(w, [first, second, 10**12], ["a", " b "], "staff") == 2
        assert await tag_customers(w, [first, second], ["a", "b"], "rule") == 0
        assert await tags_of(w) == [
            (first, "a", "import"), (first, "b", "staff"), (second, "a", "staff"),
            (second, "b", "staff"),
        ]  # fmt: skip
        assert await logged(w, first) == [
            ("tag_added", {"tags": ["a"], "source": "import"}, "token:7"),
            ("tag_added", {"tags": ["b"], "source": "staff"}, "token:7"),
        ]
        assert (await logged(w, second))[0][1] == {"tags": ["a", "b"], "source": "staff"}
        assert await untag_customers(w, [first, second], ["b", "none"]) == 2
        assert await untag_customers(w, [first], ["b"]) == 0
        assert (await logged(w, first))[-1] == ("tag_removed", {"tags": ["b"]}, "token:7")


async def test_renaming_keeps_one_of_two_and_where_it_came_from(merchant):
    async with merchant.work() as w:
        both, one = await add_customers(w, 2)
        await tag_customers(w, [both, one], ["old"], "import")
        await tag_customers(w, [both], ["new"], "staff")
        done = await rename_tag(w, "old", " new ")
        assert (done.count, done.job_id) == (2, None)
        assert await tags_of(w) == [(both, "new", "staff"), (one, "new", "import")]
        assert (await logged(w, one))[-1][:2] == ("tag_renamed", {"from": "old", "to": "new"})
        for name, to, error in (("new", "new", InvalidInput), ("gone", "x", NotFound),
                                ("new", " ", InvalidInput), ("a\x00", "x", NotFound)):  # fmt: skip
            with pytest.raises(error):
                await rename_tag(w, name, to)


async def test_deleting_counts_and_logs(merchant):
    async with merchant.work() as w:
        ids = await add_customers(w, 3)
        await tag_customers(w, ids, ["gone", "kept"], "staff")
        assert (await delete_tag(w, "gone")).count == 3
        assert {tag for _, tag, _ in await tags_of(w)} == {"kept"}
        assert (await logged(w, ids[0]))[-1][:2] == ("tag_removed", {"tags": ["gone"]})


async def run_job(merchant, job_id, kind):
    db = merchant.installation.db
    job = await jobs.claim(db, merchant.id, job_id)
    await jobs.perform(db, job, {kind.name: kind})
    async with merchant.read() as session:
        return await jobs.get(session, job_id)


@pytest.mark.parametrize("to", ["new", None])
async def test_very_many_are_changed_by_a_job(merchant, monkeypatch, to):
    monkeypatch.setattr(module, "AT_ONCE", 10)
    async with merchant.work() as w:
        ids = await add_customers(w, 25)
        await tag_customers(w, ids, ["old"], "staff")
        done = await (rename_tag(w, "old", to) if to else delete_tag(w, "old"))
        assert done.count == 25
        assert len(await tags_of(w)) == 25
    ended = await run_job(merchant, done.job_id, Retagging())
    assert (ended["state"], ended["done"], ended["total"]) == ("succeeded", 25, 25)
    async with merchant.read() as session:
        assert {tag for _, tag, _ in await tags_of(session)} == ({to} if to else set())
        assert (await logged(session, ids[-1]))[-1][2] == f"job:{done.job_id}"


async def test_sets_that_overlap_do_not_block_each_other_for_good(merchant):
    async with merchant.work() as w:
        ids = await add_customers(w, 60)

    async def change(number):
        async with merchant.work() as w:
            part = ids[number:] if number % 2 else ids[::-1]
            await tag_customers(w, part, ["x", "y"], "staff")
            await untag_customers(w, part, ["y"])

    await asyncio.gather(*(change(number) for number in range(12)))
    async with merchant.read() as session:
        assert await tags_of(session) == [(pk, "x", "staff") for pk in sorted(ids)]


async def test_ids_of_nobody_are_all_named(merchant):
    async with merchant.work() as w:
        pk = await add_customer(w)
        missing = await missing_customers(w, [10**12, pk, None])
        assert {place: error.path for place, error in missing.items()} == {
            0: ("input", "ids", "0"), 2: ("input", "ids", "2"),
        }  # fmt: skip
        for ids in ([], [pk] * 501):
            with pytest.raises(InvalidInput):
                await missing_customers(w, ids)


async def test_what_staff_changes_is_logged_without_its_content(merchant):
    async with merchant.work() as w:
        pk = await add_customer(w)
        given = {"name": "韩梅梅", "phone": "13800138000", "birthday": date(1990, 2, 28),
                 "country": "CN"}  # fmt: skip
        await update_customer(w, pk, given)
        await update_customer(w, pk, given)
        row = await get_customer(w, pk)
        assert (row["birthday"], row["country"]) == (date(1990, 2, 28), "CN")
        assert [entry[:2] for entry in await logged(w, pk)] == [
            ("changed", {"columns": ["birthday", "country", "name", "phone"]})
        ]


async def test_birthdays_and_countries_are_checked(merchant):
    async with merchant.work() as w:
        pk = await add_customer(w)
        today = (w.now + timedelta(hours=8)).date()  # in Shanghai
        oldest = today.replace(year=today.year - 130)
        for birthday in (today, oldest, date(2000, 2, 29), None):
            await update_customer(w, pk, {"birthday": birthday})
        wrong = [
            {"birthday": today + timedelta(days=1)}, {"birthday": oldest - timedelta(days=1)},
            {"birthday": date(1826, 1, 1)}, {"country": "cn"}, {"country": "XX"}, {"country": ""},
        ]  # fmt: skip
        for given in wrong:
            with pytest.raises(InvalidInput) as caught:
                await update_customer(w, pk, given)
            assert caught.value.path == ("input", next(iter(given)))
