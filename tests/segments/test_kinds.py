"""Lists, snapshots, copies, files, and what merges and erasures do to membership."""

import asyncio
import io

import openpyxl
import pytest

from core.domain.customers.merge import merge_customers, unmerge
from core.domain.privacy.erasure import start_erasure
from core.domain.segments.list_import import Options, start_list_import
from core.domain.segments.lists import add_to_list, remove_from_list
from core.domain.segments.preview import preview_segment
from core.domain.segments.refresh import refresh_soon
from core.domain.segments.segments import (
    copy_segment,
    create_kept_segment,
    create_segment,
    delete_segment,
    get_segment,
    update_segment,
)
from core.domain.segments.snapshot import start_snapshot
from core.sdk import NotFound, Several, WrongState
from tests.merge_kit import add_identity, furnish
from tests.privacy.kit import run_job
from tests.segments.members_kit import (
    add_customers,
    events,
    follow,
    intervals,
    make,
    members,
    refresh,
    segment_row,
    stored,
    tag,
)

VIP = {"tag": {"any_of": ["vip"]}}


async def make_list(merchant, name="list", ids=()):
    async with merchant.work() as w:
        made = await create_kept_segment(w, name, "list")
        if ids:
            await add_to_list(w, made, ids)
        return made


async def test_a_list_has_whom_it_was_given(merchant):
    async with merchant.work() as w:
        one, two, three = await add_customers(w, 3)
    segment = await make_list(merchant)
    async with merchant.work() as w:
        assert await add_to_list(w, segment, [one, two, one]) == 2
        assert await add_to_list(w, segment, [two, three]) == 1
        assert await remove_from_list(w, segment, [one, one]) == 1
        assert await remove_from_list(w, segment, [one]) == 0
        assert await add_to_list(w, segment, [10**9]) == 0
    assert await members(merchant, segment) == [two, three]
    assert await events(merchant, segment) == [
        ("entered", "list", [one, two]), ("entered", "list", [three]), ("left", "list", [one]),
    ]  # fmt: skip
    async with merchant.work() as w:
        rule = (await get_segment(w, segment))["rule"]
        found = await preview_segment(w, merchant.installation.registry, rule)
        assert sorted(found.sample) == [two, three]
        with pytest.raises(WrongState, match="no rule"):
            await update_segment(
                w,
                merchant.installation.registry,
                segment,
                {"rule": stored(merchant.installation, VIP)},
            )
        dynamic = await make_dynamic(w, merchant)
        with pytest.raises(WrongState, match="dynamic"):
            await add_to_list(w, dynamic, [one])
        with pytest.raises(NotFound):
            await add_to_list(w, 10**9, [one])


async def make_dynamic(w, merchant, name="dynamic", node=VIP):
    return await create_segment(
        w, merchant.installation.registry, name, stored(merchant.installation, node)
    )


async def test_segments_that_ask_for_a_list_follow_it(merchant):
    async with merchant.work() as w:
        one, two = await add_customers(w, 2)
    first, second = await make_list(merchant, "a", [one]), await make_list(merchant, "b")
    difference = await make(
        merchant,
        "a without b",
        {"all": [
            {"in_segment": {"segment_id": first}},
            {"not": {"in_segment": {"segment_id": second}}},
        ]},
    )  # fmt: skip
    assert await members(merchant, difference) == [one]
    async with merchant.work() as w:
        await add_to_list(w, first, [two])
        await add_to_list(w, second, [one])
    await follow(merchant)
    assert await members(merchant, difference) == [two]
    async with merchant.work() as w:
        with pytest.raises(WrongState, match="'a without b'"):
            await delete_segment(w, first)


async def test_a_snapshot_stays_as_it_was(merchant):
    registry = merchant.installation.registry
    async with merchant.work() as w:
        one, two = await add_customers(w, 2)
        await tag(w, one)
        rule = stored(merchant.installation, VIP)
        snapshot, job_id = await start_snapshot(w, registry, "then", rule)
    assert await run_job(merchant, job_id) == {"customers": 1}
    async with merchant.work() as w:
        await tag(w, two)
        await w.sql.execute("DELETE FROM customer_tags WHERE customer_id = $1", one)
        copy = await copy_segment(w, registry, snapshot, "then too")
    await follow(merchant)
    await refresh(merchant)
    assert await members(merchant, snapshot) == await members(merchant, copy) == [one]
    assert await events(merchant, snapshot) == []
    async with merchant.work() as w:
        dynamic = await make_dynamic(w, merchant)
        again = await copy_segment(w, registry, dynamic, "dynamic too")
    await refresh(merchant)
    assert await members(merchant, again) == [two]
    assert (await segment_row(merchant, again))["kind"] == "dynamic"


async def test_membership_follows_a_merge_and_comes_back(merchant):
    registry = merchant.installation.registry
    async with merchant.work() as w:
        kept = await furnish(w, merchant, "a")
        lost = await furnish(w, merchant, "b", tags=("vip",))
    both = await make_list(merchant, "both", [kept, lost])
    his = await make_list(merchant, "his", [lost])
    async with merchant.work() as w:
        # a time that is over does not stand for a present one
        await add_to_list(w, his, [kept])
    async with merchant.work() as w:
        await remove_from_list(w, his, [kept])
    vip = await make(merchant, "vip", VIP)
    asking = await make(merchant, "asking", {"in_segment": {"segment_id": his}})
    before = {one: await intervals(merchant, one) for one in (both, his)}
    async with merchant.work() as w:
        merge_id = await merge_customers(w, registry, kept, lost, "staff")
    await follow(merchant)
    for one in (both, his, vip, asking):
        assert await members(merchant, one) == [kept]
    assert await events(merchant, vip) == []
    async with merchant.work() as w:
        await unmerge(w, registry, merge_id)
    await follow(merchant)
    assert {one: await intervals(merchant, one) for one in (both, his)} == before
    assert await members(merchant, both) == [kept, lost]
    for one in (his, vip, asking):
        assert await members(merchant, one) == [lost]


async def test_merges_and_refreshes_at_once_stay_sound(merchant):
    registry = merchant.installation.registry
    async with merchant.work() as w:
        pairs = []
        for n in range(8):
            pairs.append([await furnish(w, merchant, f"{n}{side}", tags=("vip",)) for side in "ab"])
    vip = await make(merchant, "vip", VIP)
    both = await make(merchant, "both", {"not": {"tag": {"any_of": ["none"]}}})

    async def merge(kept, lost):
        async with merchant.work() as w:
            await merge_customers(w, registry, kept, lost, "staff")

    async def anew():
        async with merchant.work() as w:
            await refresh_soon(w, vip)
            await refresh_soon(w, both)
        await refresh(merchant)

    work = [merge(*pair) for pair in pairs]
    for _ in range(4):
        work += [follow(merchant), anew()]
    await asyncio.gather(*work)
    await follow(merchant)
    for one in (vip, both):
        assert await members(merchant, one) == sorted(kept for kept, _ in pairs)


async def test_erasure_takes_membership_along(merchant):
    async with merchant.work() as w:
        one, two = await add_customers(w, 2)
        await tag(w, one)
    kept = await make_list(merchant, "list", [one, two])
    vip = await make(merchant, "vip", VIP)
    async with merchant.work() as w:
        job_id = await start_erasure(w, one, "on_request")
    await run_job(merchant, job_id)
    await follow(merchant)
    assert await members(merchant, kept) == [two]
    assert await members(merchant, vip) == []
    assert await intervals(merchant, vip) == []


async def pieces(data):
    yield data


async def test_a_list_from_a_file(merchant):
    async with merchant.work() as w:
        phone = await furnish(w, merchant, "a", phone="13800138001")
        email = await furnish(w, merchant, "b", email="b@example.com")
        nick = await furnish(w, merchant, "c")
        own = await furnish(w, merchant, "d")
        await add_identity(w, nick, "buyer-7", merchant.shop_id, kind="buyer")
        opaque = await w.sql.fetchval(
            "SELECT encode(convert_to('Customer:' || $1::bigint, 'UTF8'), 'base64')", own
        )
    rows = [
        "手机号,email,id.buyer,id.huike,生日",
        "138 0013 8001,,,,not a day",
        ",B@Example.com,,,",
        ",,buyer-7,,",
        f",,,{opaque},",
        "13800138001,,,,",  # again
        "13900139000,,,,",  # nobody's
        "13800138001,b@example.com,,,",  # two people's
        "12,,,,",  # no number
        ",,,,",
        ",,,x,",
    ]
    segment = await make_list(merchant, "list", [nick])
    options = Options(shop_id=merchant.shop_id, dry_run=True)
    data = "\n".join(rows).encode("gb18030")
    account = {"read": 9, "added": 3, "already": 2, "rejected": 4}

    async def take(options, data, name="people.csv"):
        async with merchant.work() as w:
            job_id = await start_list_import(w, segment, options, pieces(data), name)
        result = await run_job(merchant, job_id)
        async with merchant.read() as session:
            rejects = await session.sql.fetch(
                "SELECT row, code, message FROM job_rejects WHERE merchant_id = $1 AND job_id = $2",
                merchant.id, job_id,
            )  # fmt: skip
        return result, [tuple(row)[:2] for row in rejects]

    refused = [(7, "NOT_FOUND"), (8, "AMBIGUOUS"), (9, "BAD_PHONE"), (11, "NOT_FOUND")]
    assert await take(options, data) == (account, refused)
    assert await members(merchant, segment) == [nick]
    real = Options(shop_id=merchant.shop_id)
    assert await take(real, data) == (account, refused)
    assert await members(merchant, segment) == sorted([phone, email, nick, own])
    assert (await take(real, data))[0] == {"read": 9, "added": 0, "already": 5, "rejected": 4}
    # an Excel file, with a header of the merchant's own
    book = openpyxl.Workbook()
    for row in (["谁"], ["buyer-7"], ["buyer-8"]):
        book.active.append(row)
    out = io.BytesIO()
    book.save(out)
    mapped = Options({"id.buyer": "谁"}, merchant.shop_id)
    result = await take(mapped, out.getvalue(), "people.xlsx")
    assert result == ({"read": 2, "added": 0, "already": 1, "rejected": 1}, [(3, "NOT_FOUND")])


async def test_a_file_names_customers_by_what_its_author_may_see(merchant):
    async with merchant.work() as w:
        await furnish(w, merchant, "a", phone="13800138001")
        nick = await furnish(w, merchant, "b")
        await add_identity(w, nick, "buyer-7", merchant.shop_id, kind="buyer")
    segment = await make_list(merchant)

    async def take(data, contacts):
        options = Options(shop_id=merchant.shop_id, contacts=contacts)
        async with merchant.work() as w:
            job_id = await start_list_import(w, segment, options, pieces(data), "x.csv")
        return await run_job(merchant, job_id)

    both = b"phone,id.buyer\n13800138001,\n,buyer-7\n"
    assert (await take(both, ["email"]))["added"] == 1
    assert await members(merchant, segment) == [nick]
    with pytest.raises(AssertionError, match=r"IMPORT_NO_IDENTITY.*PII_PHONE"):
        await take(b"phone\n13800138001\n", ["email"])
    assert (await take(both, ["phone"]))["added"] == 1


async def test_files_are_for_lists_alone(merchant):
    segment = await make(merchant, "vip", VIP)
    async with merchant.work() as w:
        with pytest.raises(WrongState):
            await start_list_import(w, segment, Options(), pieces(b"x"), "x.csv")
        with pytest.raises(Several, match=r"shoe size.*dynamic"):
            await start_list_import(w, segment, Options({"shoe size": "x"}), pieces(b"x"), "x.csv")
