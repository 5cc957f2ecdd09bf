"""Importing an existing programme: reconciled, repeatable, and taken back by a rehearsal."""

import random
from datetime import UTC, date, datetime, timedelta

import openpyxl
import orjson
import pytest

from core.domain.members.importing import Options, import_local, rehearse, start_import
from core.domain.members.membership import counts_by_day, join, leave
from core.domain.members.points import balances, take
from core.domain.members.programme import get_programme
from core.domain.members.standing import members_of
from core.domain.orders.merging import merge_customers
from core.installation import job_kinds
from core.sdk import InvalidInput, WrongState
from core.storage import jobs
from core.tabular.bulk import rejects_of
from core.tabular.reading import examine
from tests.members.test_membership import customer, set_up

HEADERS = "会员卡号,手机号,入会时间,入会来源,会员等级,等级有效期,积分,积分有效期\n"
FILE = HEADERS + (
    "C1,13800138001,2024-03-01,page,Gold,2026-12-31,100,2026-12-31\n"
    "C1,13800138001,2024-03-01,page,Gold,2026-12-31,50,2027-12-31\n"
    "C2,13800138002,2025-01-15,,Silver,,70,\n"
    "C3,13800138003,,,,,5,2020-01-01\n"
)


async def take_in(merchant, tmp_path, text, **options):
    path = tmp_path / "members.csv"
    path.write_text(text, encoding="utf-8")
    ended = await import_local(
        merchant.installation.db, merchant.id, examine(path), Options(**options)
    )
    assert ended.error is None
    return ended


async def rejected(merchant, ended):
    found = rejects_of(merchant.installation.db, merchant.id, ended.job_id)
    return [(one.row, one.code) async for one in found]


async def people(merchant):
    """By card: the customer, the standing, the balance."""
    async with merchant.read() as session:
        rows = await session.sql.fetch(
            "SELECT customer_id, card_number FROM memberships WHERE merchant_id = $1", merchant.id
        )
        pks = [row["customer_id"] for row in rows]
        standing = await members_of(session, await get_programme(session), pks)
        found = await balances(session, pks)
    return {
        row["card_number"]: (pk, standing.get(pk), found[pk].available)
        for row in rows if (pk := row["customer_id"])
    }  # fmt: skip


async def test_members_tiers_and_lots_are_there_as_the_file_says(merchant, tmp_path):
    async with merchant.work() as w:
        silver, gold = await set_up(w)
    ended = await take_in(merchant, tmp_path, FILE)
    result = ended.account
    assert (result["read"], result["joined"], result["known"], result["rejected"]) == (4, 3, 1, 0)
    assert (result["points"], result["lots"], result["expired"]) == (220, 3, 5)
    assert result["reconciliation"] == [
        {"tier": "Gold", "file_members": 1, "stored_members": 1, "file_points": 150,
         "stored_points": 150},
        {"tier": "Silver", "file_members": 1, "stored_members": 1, "file_points": 70,
         "stored_points": 70},
        {"tier": None, "file_members": 1, "stored_members": 1, "file_points": 0,
         "stored_points": 0},
        {"total": True, "file_members": 3, "stored_members": 3, "file_points": 220,
         "stored_points": 220},
    ]  # fmt: skip
    found = await people(merchant)
    one, standing, _ = found["C1"]
    assert (standing.tier_id, standing.join_source) == (gold, "page")
    # both hold until the end of the day that the file names, in the merchant's calendar
    assert standing.tier_until == datetime(2026, 12, 31, 16, tzinfo=UTC)
    async with merchant.read() as session:
        at = datetime(2026, 12, 31, 15, 59, tzinfo=UTC)
        assert (await balances(session, [one], at))[one].available == 150
        at += timedelta(minutes=1)
        assert (await balances(session, [one], at))[one].available == 50
        day = date(2024, 3, 1)
        assert await counts_by_day(session, day, day) == [(day, "page", 1, 0)]
    assert found["C2"][1].tier_id == silver
    # neither was the tier reached by anything, nor is it kept longer than a period
    assert found["C2"][1].tier_until == merchant.clock() + timedelta(days=100)


async def test_repeated_it_gives_nothing_again_whatever_happened_since(merchant, tmp_path):
    async with merchant.work() as w:
        await set_up(w)
    await take_in(merchant, tmp_path, FILE)
    found = await people(merchant)
    async with merchant.work() as w:
        await take(w, found["C1"][0], 120, "spend")
        await leave(w, found["C2"][0], "page")
    merchant.clock.move(timedelta(days=1))
    more = FILE + "C4,13800138004,,,,,9,\n"
    again = await take_in(merchant, tmp_path, more)
    result = again.account
    assert (result["joined"], result["known"], result["rejected"]) == (1, 4, 0)
    assert (result["points"], result["lots_known"]) == (9, 3)
    assert result["reconciliation"][-1] == {
        "total": True, "file_members": 4, "stored_members": 3, "file_points": 229,
        "stored_points": 109,
    }  # fmt: skip
    after = await people(merchant)
    assert (after["C1"][2], after["C4"][2], after["C2"][1]) == (30, 9, None)
    # two members who became one keep the lots of both
    async with merchant.work() as w:
        registry = merchant.installation.registry
        await merge_customers(w, registry, found["C1"][0], after["C4"][0], "test")
    third = await take_in(merchant, tmp_path, more + "\n")
    assert (third.account["points"], third.account["rejected"]) == (0, 0)


async def test_a_members_card_says_who_it_is(merchant, tmp_path):
    async with merchant.work() as w:
        await set_up(w)
        pk = await customer(w)
        await join(w, pk, "page", card_number="C9")
    ended = await take_in(merchant, tmp_path, HEADERS + "C9,,,,,,40,\n")
    assert (ended.account["known"], ended.account["points"]) == (1, 40)
    assert (await people(merchant))["C9"][0::2] == (pk, 40)


async def test_rows_that_cannot_be_are_refused_and_say_why(merchant, tmp_path):
    async with merchant.work() as w:
        await set_up(w)
    rows = [
        "C1,13800138001,2024-03-01,page,Gold,,100,2026-12-31",
        "C1,13800138001,,,,,40,2026-12-31",   # the same lot again
        "C2,,2024-03-01,page,Diamond,,,",
        "C3,,2999-01-01,page,,,,",
        "C4,,,newspaper,,,,",
        "C5,,,,,,-5,",
        "C6,,,,,,1.5,",
        "C7,,,,,,1,31.12.2026",
        ",,,,,,1,",
        "C8,13800138001,,,,,1,",              # another's phone: a household
        "C8,,,,,,1,,,too many",
    ]  # fmt: skip
    ended = await take_in(merchant, tmp_path, HEADERS + "\n".join(rows))
    assert await rejected(merchant, ended) == [
        (3, "SAME_LOT"), (4, "UNKNOWN_TIER"), (5, "BAD_DATE"), (6, "BAD_SOURCE"),
        (7, "BAD_POINTS"), (8, "BAD_POINTS"), (9, "BAD_DATE"), (10, "NO_IDENTITY"),
        (12, "COLUMN_COUNT"),
    ]  # fmt: skip
    changed = await take_in(merchant, tmp_path, HEADERS + rows[0].replace("100", "99"))
    assert await rejected(merchant, changed) == [(2, "OTHER_POINTS")]
    named = HEADERS.replace("\n", ",批次\n") + rows[0] + ",spring\n" + rows[1] + ",summer\n"
    assert (await take_in(merchant, tmp_path, named)).account["lots"] == 2


async def test_what_cannot_be_read_at_all_is_refused_before_there_is_a_job(merchant, tmp_path):
    with pytest.raises(WrongState, match="no membership programme"):
        await take_in(merchant, tmp_path, FILE)
    async with merchant.work() as w:
        await set_up(w)
    for text, options, message in (
        (FILE, {"mapping": {"points": "Punkte"}}, "no column 'Punkte'"),
        (FILE, {"mapping": {"colour": "积分"}}, "no field 'colour'.*joined_at"),
        (FILE, {"tiers": "guess"}, "keep, manual, compute"),
        ("积分\n5\n", {}, "who the customers are"),
    ):
        with pytest.raises(InvalidInput, match=message):
            await take_in(merchant, tmp_path, text, **options)


@pytest.mark.parametrize("tiers", ["manual", "compute"])
async def test_tiers_by_hand_and_computed_ones(merchant, tmp_path, tiers):
    async with merchant.work() as w:
        silver, _ = await set_up(w)
    ended = await take_in(merchant, tmp_path, FILE, tiers=tiers)
    standing = (await people(merchant))["C2"][1]
    assert (standing.tier_id, standing.tier_until) == (silver if tiers == "manual" else None, None)
    by_tier = {one.get("tier"): one["stored_members"] for one in ended.account["reconciliation"]}
    assert by_tier["Silver"] == (1 if tiers == "manual" else 0)


async def test_a_rehearsal_says_what_would_be_and_leaves_nothing(merchant, tmp_path):
    async with merchant.work() as w:
        await set_up(w)
    book = openpyxl.Workbook()
    for line in FILE.splitlines():
        book.active.append(line.split(","))
    path = tmp_path / "members.xlsx"
    book.save(path)
    db, facts = merchant.installation.db, examine(path)
    expected = await rehearse(db, merchant.id, facts, Options(dry_run=True), print)
    assert expected["reconciliation"][-1]["stored_points"] == 220
    assert await people(merchant) == {}

    async def pieces():
        yield path.read_bytes()

    for dry_run in (True, False):
        async with merchant.work() as w:
            job_id = await start_import(w, Options(dry_run=dry_run), pieces(), path.name)
        job = await jobs.claim(db, merchant.id, job_id)
        await jobs.perform(db, job, job_kinds(merchant.installation.registry))
        async with merchant.read() as session:
            row = await jobs.get(session, job_id)
        assert row["state"] == "succeeded", row["error"]
        assert orjson.loads(row["result"]) == expected
        assert len(await people(merchant)) == (0 if dry_run else 3)


async def test_random_programmes_reconcile(merchant, tmp_path):
    async with merchant.work() as w:
        await set_up(w)
    r = random.Random(3)
    lines, points, members = [], 0, 0
    for number in range(300):
        tier = r.choice(["", "Silver", "Gold"])
        members += 1
        for lot in range(r.randint(0, 3)):
            given = r.randint(0, 500)
            points += given
            until = r.choice(["", f"2027-0{lot + 1}-28"]) if lot else ""
            until = until or f"2028-0{lot + 1}-01"
            lines.append(f"R{number},,,,{tier},,{given},{until}")
        lines.append(f"R{number},,,,{tier},,,")
    r.shuffle(lines)
    for _ in range(2):
        ended = await take_in(
            merchant, tmp_path, HEADERS + "\n".join(lines) + "\n" * r.randint(1, 9)
        )
        assert ended.account["rejected"] == 0
        for part in ended.account["reconciliation"]:
            assert part["file_members"] == part["stored_members"]
            assert part["file_points"] == part["stored_points"]
        total = ended.account["reconciliation"][-1]
        assert (total["stored_members"], total["stored_points"]) == (members, points)
