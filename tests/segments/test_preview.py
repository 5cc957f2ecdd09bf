"""Previews: the funnel's figures, the job that counts in ranges, and what it survives."""

import asyncio
import random
from itertools import pairwise

import orjson
import pytest
import pytest_asyncio

from core.domain.campaigns.reach import count_reach
from core.domain.customers.consent import set_consent
from core.domain.customers.customers import add_tags
from core.domain.customers.fields import create_field
from core.domain.segments import counting
from core.domain.segments.counting import (
    counted_preview,
    counting_job,
    latest_counting,
    ranges,
    start_counting,
)
from core.domain.segments.funnel import clauses_of, count_clauses
from core.domain.segments.measures import count_customers, count_matching
from core.domain.segments.preview import preview_rule, preview_segment
from core.domain.segments.rules import ESTIMATE, FORMS, cheapest, read_rule, stored_rule
from core.domain.segments.segments import create_segment
from core.domain.shops.plugins import _store
from core.installation import job_kinds
from core.sdk import InvalidInput, NotFound, Several
from core.sdk.errors import HuikeError
from core.storage import jobs
from core.storage.database import TookTooLong
from tests.segments.test_segments import add_customer, add_order

EVERYTHING = [count_clauses, count_reach]
BOUGHT = {"order_count": {"at_least": 1}}
SOUTH = {"province": {"any_of": ["广东省", "海南省"]}}
VIP = {"tag": {"any_of": ["vip"]}}
EMAIL = {"has_email": {}}
RULES = [
    {"all": [SOUTH, BOUGHT, VIP]},
    {"all": [{"not": SOUTH}, {"any": [BOUGHT, VIP]}, EMAIL, {"any": [SOUTH, EMAIL]}]},
    {"all": [SOUTH, SOUTH]},
    {"all": [BOUGHT]},
    {"any": [VIP, EMAIL]},
    {"not": BOUGHT},
    BOUGHT,
    {"all": []},
    {"any": []},
]


@pytest_asyncio.fixture(loop_scope="session")
async def people(merchant):
    """Customers' ids; some live in the south, bought, are tagged or have an address."""
    r = random.Random(5)
    settings = {"host": "localhost", "port": 25, "tls": "none", "from_address": "a@example.com"}
    async with merchant.work() as w:
        await _store(w, "email", True, settings)
        ids = [
            await add_customer(
                w, r.choice(["广东省", "浙江省", None]), f"e{n}".encode() if n % 3 else None
            )
            for n in range(90)
        ]  # fmt: skip
        for n, one in enumerate(ids):
            if r.random() < 0.5:
                await add_order(w, one, f"o{n}", r.randrange(300))
            if r.random() < 0.4:
                await add_tags(w, one, ["vip"], "staff")
        for n, one in enumerate(ids):
            if n % 3:
                status = "granted" if n % 2 else "denied"
                await set_consent(w, one, "email", "marketing", status, "test")
    return ids


async def read(session, merchant, node):
    registry = merchant.installation.registry
    return await read_rule(session, registry, await stored_rule(session, registry, node))


async def hits(session, merchant, node):
    """Ids that a rule of its own matches."""
    asked = (await read(session, merchant, node)).ask()
    rows = await session.sql.fetch(f"SELECT c.id {asked.matching}", *asked.q.args)
    return {row["id"] for row in rows}


@pytest.mark.parametrize("node", RULES, ids=range(len(RULES)))
async def test_the_funnel_agrees_with_sets(merchant, people, node):
    registry = merchant.installation.registry
    async with merchant.read() as session:
        rule = await read(session, merchant, node)
        found = await preview_rule(session, registry, rule, 0, [count_clauses])
        clauses = node.get("all", [node])
        sets = [await hits(session, merchant, one) for one in clauses]
        assert found.customers == len(people)
        assert found.count == len(await hits(session, merchant, node))
    assert len(found.funnel) == len(clauses) == len(clauses_of(rule.root))
    left = set(people)
    for place, one in enumerate(found.funnel):
        left &= sets[place]
        others = set(people).intersection(*(s for n, s in enumerate(sets) if n != place))
        assert one.alone == len(sets[place])
        assert one.remaining == len(left)
        assert one.excluded == len(others - sets[place])
    most = max((one.excluded for one in found.funnel), default=0)
    costliest = [one.excluded for one in found.funnel if one.costliest]
    assert costliest == ([most] if most else [])


async def test_the_data_tells_clauses_apart(merchant, people):
    async with merchant.read() as session:
        rule = await read(session, merchant, RULES[0])
        found = await preview_rule(
            session, merchant.installation.registry, rule, 0, [count_clauses]
        )
    assert len({one.excluded for one in found.funnel}) == 3
    assert 0 < found.count < found.funnel[1].remaining < found.funnel[0].remaining < len(people)


async def run_job(merchant, job_id):
    opened = merchant.installation
    job = await jobs.claim(opened.db, merchant.id, job_id)
    await jobs.perform(opened.db, job, job_kinds(opened.registry))


async def start(merchant, node):
    registry = merchant.installation.registry
    async with merchant.work() as w:
        return await start_counting(w, registry, await stored_rule(w, registry, node))


async def result(merchant, job_id, sample=100):
    async with merchant.read() as session:
        row = await counting_job(session, job_id)
        return row, await counted_preview(session, merchant.installation.registry, row, sample)


@pytest.mark.parametrize("node", RULES, ids=range(len(RULES)))
async def test_a_job_comes_to_the_same_figures(merchant, people, node):
    registry = merchant.installation.registry
    async with merchant.read() as session:
        rule = await read(session, merchant, node)
        direct = await preview_rule(session, registry, rule, 100, EVERYTHING)
        plain = await preview_rule(session, registry, rule, 0, [count_customers, count_matching])
    assert (plain.customers, plain.count) == (direct.customers, direct.count)
    job_id = await start(merchant, node)
    await run_job(merchant, job_id)
    row, counted = await result(merchant, job_id)
    assert row["done"] == row["total"] > 1
    assert counted.counts == direct.counts
    assert set(counted.counts) == set(direct.counts)
    assert counted.sample == direct.sample
    assert counted.funnel == direct.funnel
    assert (await result(merchant, job_id, 3))[1].sample == direct.sample[:3]


async def test_without_customers_there_is_a_result_all_the_same(merchant):
    job_id = await start(merchant, RULES[0])
    await run_job(merchant, job_id)
    row, found = await result(merchant, job_id)
    assert (row["done"], row["total"]) == (1, 1)
    assert (found.customers, found.count, found.sample) == (0, 0, [])


@pytest.mark.parametrize(
    ("low", "high"), [(0, 0), (5, 5), (1, 39), (1, 40), (1, 41), (7, 1_000_003), (2**62, 2**62 + 9)]
)
def test_ranges_cover_all_ids_once(low, high):
    found = ranges(low, high)
    assert 1 <= len(found) <= counting.RANGES
    assert found[0][1] == high
    assert found[-1][0] == low
    for newer, older in pairwise(found):
        assert older[1] + 1 == newer[0]
    assert all(first <= last for first, last in found)


async def test_a_killed_job_goes_on_where_it_stood(merchant, people):
    opened = merchant.installation
    job_id = await start(merchant, RULES[1])
    steps = 0

    async def count_and_die(session, registry, rule, within):
        nonlocal steps
        steps += 1
        if steps == 10:
            raise ConnectionError("killed")
        return await count_clauses(session, registry, rule, within)

    kind = counting.SegmentCounting(opened.registry, [count_and_die, count_reach])
    job = await jobs.claim(opened.db, merchant.id, job_id)
    await jobs.perform(opened.db, job, {kind.name: kind})
    row, nothing = await result(merchant, job_id)
    assert (row["state"], row["done"], nothing) == ("queued", 9, None)
    async with merchant.work() as w:
        await add_customer(w, "广东省")  # came after the job began: beyond its ranges
        await jobs.reopen(w, job_id)
        await jobs.release(w, job_id)
    job = await jobs.claim(opened.db, merchant.id, job_id)
    await jobs.perform(opened.db, job, {kind.name: kind})
    row, found = await result(merchant, job_id)
    assert row["state"] == "succeeded"
    assert steps == row["total"] + 1
    assert found.customers == len(people)


async def test_the_same_rule_starts_one_job(merchant, people):
    clock = merchant.clock
    first = await start(merchant, RULES[0])
    assert set(await asyncio.gather(*(start(merchant, RULES[0]) for _ in range(4)))) == {first}
    assert await start(merchant, RULES[1]) != first
    await run_job(merchant, first)
    assert await start(merchant, RULES[0]) == first
    clock.move(counting.FRESH)
    second = await start(merchant, RULES[0])
    assert second != first
    async with merchant.work() as w:
        await jobs.cancel(w, second)
    assert await start(merchant, RULES[0]) not in (first, second)


async def test_at_once_many_start_one_job(merchant, people):
    found = await asyncio.gather(*(start(merchant, {"not": VIP}) for _ in range(6)))
    assert len(set(found)) == 1


async def test_another_merchants_job_is_neither_used_nor_read(installation, merchant, people):
    from core.domain.shops.setup import set_up_merchant
    from core.testing import TestMerchant

    made = await set_up_merchant(installation.db, installation.registry, "Other", shop="shop")
    other = TestMerchant(made.merchant_id, made.shop_id, made.token, installation, merchant.clock)
    mine, theirs = await start(merchant, RULES[0]), await start(other, RULES[0])
    assert mine != theirs
    async with other.read() as session:
        with pytest.raises(NotFound):
            await counting_job(session, mine)
        stored = await stored_rule(session, installation.registry, RULES[0])
        assert (await latest_counting(session, stored))["id"] == theirs
    await run_job(other, theirs)
    assert (await result(other, theirs))[1].customers == 0


async def test_a_job_of_another_kind_is_not_found(merchant):
    async with merchant.work() as w:
        job_id = await jobs.enqueue(w, "customers.import", {}, queued=False)
    async with merchant.read() as session:
        with pytest.raises(NotFound):
            await counting_job(session, job_id)


async def test_a_job_whose_rule_broke_fails_with_the_reason(merchant, people):
    registry = merchant.installation.registry
    async with merchant.work() as w:
        inner = await create_segment(w, registry, "inner", {"version": 1, "rule": BOUGHT})
    job_id = await start(merchant, {"not": {"in_segment": {"segment_id": inner}}})
    async with merchant.work() as w:
        await w.sql.execute(
            "DELETE FROM segments WHERE merchant_id = $1 AND id = $2", w.merchant_id, inner
        )
    await run_job(merchant, job_id)
    row, found = await result(merchant, job_id)
    assert (row["state"], found) == ("failed", None)
    assert "no such segment" in orjson.loads(row["error"])["message"]


async def test_what_takes_too_long_is_ended(merchant, people):
    registry = merchant.installation.registry
    db = merchant.installation.db
    with pytest.raises(TookTooLong):
        async with db.hurried(merchant.id, 0) as session:
            pytest.fail("there was no time left")

    async def slow(session, _registry, _rule, _within):
        await session.sql.execute("SELECT pg_sleep(30)")

    async with merchant.read() as session:
        rule = await read(session, merchant, RULES[0])
    with pytest.raises(TookTooLong):
        async with db.hurried(merchant.id, 0.2) as session:
            await preview_rule(session, registry, rule, 0, [slow])
    # the connection is of use again, without the limit
    async with merchant.read() as session:
        assert await session.sql.fetchval("SHOW statement_timeout") == "0"
        await session.sql.execute("SELECT pg_sleep(0.3)")


async def test_statements_share_the_time(merchant, people):
    async def half(session, _registry, _rule, _within):
        await session.sql.execute("SELECT pg_sleep(0.2)")
        return {}

    async with merchant.read() as session:
        rule = await read(session, merchant, RULES[0])
    registry = merchant.installation.registry
    with pytest.raises(TookTooLong):
        async with merchant.installation.db.hurried(merchant.id, 0.5) as session:
            await preview_rule(session, registry, rule, 0, [half] * 4)


async def test_a_hurried_session_only_reads(merchant):
    with pytest.raises(Exception, match="read-only"):
        async with merchant.installation.db.hurried(merchant.id, 5) as session:
            await session.sql.execute("DELETE FROM customers WHERE merchant_id = $1", merchant.id)


@pytest.mark.parametrize("form", FORMS)
async def test_a_range_restricts_every_form(merchant, people, form):
    within = (people[20], people[40])
    async with merchant.read() as session:
        rule = await read(session, merchant, RULES[0])
        asked = rule.ask(form, within)
        rows = await session.sql.fetch(f"SELECT c.id {asked.matching}", *asked.q.args)
        everybody = await hits(session, merchant, RULES[0])
        best = await cheapest(session, rule, within)
        again = await session.sql.fetch(f"SELECT c.id {best.matching}", *best.q.args)
    expected = {one for one in everybody if within[0] <= one <= within[1]}
    assert {row["id"] for row in rows} == {row["id"] for row in again} == expected
    assert 0 < len(expected) < len(everybody)


@pytest.mark.parametrize("kind", ["read", "work"])
async def test_choosing_a_form_leaves_the_planner_as_it_was(merchant, people, kind):
    async def shown(session) -> list[str]:
        return [await session.sql.fetchval(f"SHOW {name}") for name in ESTIMATE]

    async with getattr(merchant, kind)() as session:
        before = await shown(session)
        rule = await read(session, merchant, {"tag": {"any_of": ["vip"]}})
        assert len({rule.ask(form).matching for form in FORMS}) > 1
        await cheapest(session, rule)
        assert await shown(session) == before
        assert await session.sql.fetchval("SHOW plan_cache_mode") == "force_custom_plan"
    for _ in range(5):  # whichever connection it is
        async with merchant.read() as session:
            assert await session.sql.fetchval("SHOW plan_cache_mode") == "auto"


LEAVES = {
    "has": lambda n: {"tag": {"any_of": ["vip", f"t{n}"]}},
    "between": lambda n: {"order_count": {"at_most": 1 + n}},
    "orders": lambda n: {
        "order_count": {"at_least": 1, "orders": {"within": {"last_days": n + 9}}}
    },
    "field": lambda n: {"custom_field": {"field": "custom.size", "any_of": [f"t{n}"]}},
}


@pytest.mark.parametrize("kind", LEAVES)
@pytest.mark.parametrize("form", FORMS)
async def test_a_rule_of_the_greatest_size_is_planned_in_time(merchant, people, form, kind):
    async with merchant.work() as w:
        await create_field(w, "custom", "custom", "size", "Size", "text", [])
        for join in ("all", "any"):
            rule = await read(w, merchant, {join: [LEAVES[kind](n) for n in range(499)]})
            asked = rule.ask(form)
            await w.sql.execute("SET LOCAL statement_timeout = '20s'")
            count = await w.sql.fetchval(f"SELECT count(*) {asked.matching}", *asked.q.args)
            few = await read(w, merchant, {join: [LEAVES[kind](n) for n in (0, 498)]})
            asked = few.ask("probe")
            wanted = await w.sql.fetchval(f"SELECT count(*) {asked.matching}", *asked.q.args)
            if kind != "orders":  # the windows in between hold more
                assert count == wanted
            assert kind == "field" or 0 < count <= len(people)


async def test_a_rule_of_hundreds_of_clauses_has_a_funnel(merchant, people):
    registry = merchant.installation.registry
    node = {"all": [LEAVES["between"](n) for n in range(499)]}
    async with merchant.read() as session:
        found = await preview_rule(
            session, registry, await read(session, merchant, node), 0, [count_clauses]
        )
    assert len(found.funnel) == 499
    assert {one.remaining for one in found.funnel} == {len(people)}


@pytest.mark.parametrize("sample", [-1, 101])
async def test_a_sample_is_bounded(merchant, sample):
    async with merchant.read() as session:
        with pytest.raises(InvalidInput):
            await preview_segment(
                session, merchant.installation.registry, {"version": 1, "rule": BOUGHT}, sample
            )


async def test_a_broken_rule_starts_no_job(merchant):
    with pytest.raises((HuikeError, Several)):
        await start(merchant, {"fly": {}})
    async with merchant.read() as session:
        assert await session.sql.fetchval(
            "SELECT count(*) FROM jobs WHERE merchant_id = $1", merchant.id
        ) == 0  # fmt: skip
