"""RFM by stored boundaries, the rank by net sales, products' cycles, and when they are measured."""

import random
from collections import Counter
from datetime import timedelta
from math import ceil

import pytest

from core.domain.lifecycle.calendar import calendar_of
from core.domain.lifecycle.cycles import MIN_SAMPLE
from core.domain.lifecycle.refresh import LifecycleRefresh, start_due_refreshes, start_refresh
from core.domain.lifecycle.rfm import (
    GROUPS,
    Bounds,
    distribution,
    fix_bounds,
    measure,
    rfm_model,
    value_of,
)
from core.domain.segments.rules import FORMS, read_rule, stored_rule
from core.sdk import InvalidInput
from core.storage import jobs
from tests.lifecycle.kit import TODAY, Bought, Person, crowd, days_ago, second_shop, store


def quantiles(values, parts):
    ordered = sorted(values)
    return [ordered[ceil(n * len(ordered) / parts) - 1] for n in range(1, parts)]


def naive_figures(people, shop_id):
    """(r, f, m) in CNY by person, of those who bought within the last 365 days."""
    found = {}
    for person in people:
        orders = [
            o for o in person.in_shop(shop_id) if o.currency == "CNY" and o.day >= days_ago(365)
        ]
        if orders:
            found[person.id] = (
                (TODAY - max(o.day for o in orders)).days,
                len({(o.shop_id, o.day) for o in orders}),
                sum(o.paid - o.refunded for o in orders),
            )
    return found


def naive_scores(figures, bounds):
    r, f, m = (
        1 + sum(bound < value for bound in bounds[name])
        for name, value in zip("rfm", figures, strict=True)
    )
    return 6 - r, f, m


def lifetime(person, shop_id):
    orders = [o for o in person.in_shop(shop_id) if o.currency == "CNY"]
    return sum(o.paid - o.refunded for o in orders) if orders else None


async def asked(session, registry, rule, form):
    stored = await stored_rule(session, registry, rule)
    found = (await read_rule(session, registry, stored)).ask(form)
    rows = await session.sql.fetch(f"SELECT c.id {found.matching}", *found.q.args)
    return {row["id"] for row in rows}


@pytest.mark.parametrize("everywhere", [True, False])
async def test_rfm_agrees_with_brute_force(merchant, everywhere):
    registry = merchant.installation.registry
    shop_id = 0 if everywhere else merchant.shop_id
    async with merchant.work() as w:
        people = crowd(random.Random(11), [merchant.shop_id, await second_shop(w)], 200)
        await store(w, people)
        calendar = await calendar_of(w, shop_id)
        await measure(w, calendar, "CNY")
        model = await rfm_model(w, shop_id, "CNY")
        figures = naive_figures(people, shop_id)
        bounds = {
            name: quantiles([one[place] for one in figures.values()], 5)
            for place, name in enumerate("rfm")
        }
        assert {name: model[f"{name}_bounds"] for name in "rfm"} == bounds
        means = [sum(one[place] for one in figures.values()) / len(figures) for place in range(3)]
        assert [float(model[f"{name}_mean"]) for name in "rfm"] == pytest.approx(means)
        nets = {p.id: net for p in people if (net := lifetime(p, shop_id)) is not None}
        assert model["percentiles"] == quantiles(nets.values(), 100)
        assert (model["customers"], model["buyers"]) == (len(figures), len(nets))

        scores = {one: naive_scores(three, bounds) for one, three in figures.items()}
        groups = {
            one: GROUPS[three[0] <= means[0], three[1] >= means[1], three[2] >= means[2]]
            for one, three in figures.items()
        }
        values = await value_of(w, calendar, "CNY", [person.id for person in people])
        assert {one: v.scores for one, v in values.items()} == scores
        assert {one: v.group for one, v in values.items()} == groups
        assert {one: (v.days_since_last, v.purchases, v.net) for one, v in values.items()} == (
            figures
        )
        cells = await distribution(w, calendar, "CNY")
        expected = Counter((scores[one], groups[one]) for one in figures)
        assert {(c.scores, c.group): c.customers for c in cells} == expected
        assert sum(c.net for c in cells) == sum(three[2] for three in figures.values())

        shop = {} if everywhere else {"shop_id": shop_id}
        for form in FORMS:
            rule = {"rfm_score": {"r_at_least": 4, "f_at_most": 3, "m_at_least": 2, **shop}}
            assert await asked(w, registry, rule, form) == {
                one for one, (r, f, m) in scores.items() if r >= 4 and f <= 3 and m >= 2
            }
            rule = {"rfm_group": {"any_of": ["IMPORTANT_VALUE", "GENERAL_WIN_BACK"], **shop}}
            wanted = {"IMPORTANT_VALUE", "GENERAL_WIN_BACK"}
            assert await asked(w, registry, rule, form) == {
                one for one, group in groups.items() if group.value in wanted
            }
            rule = {"value_percentile": {"top": 20, **shop}}
            best = await asked(w, registry, rule, form)
            assert best == {
                one for one, net in nets.items() if net > quantiles(nets.values(), 100)[79]
            }
            assert {one for one, v in values.items() if v.top_percent <= 20} <= best
            assert 0 < len(best) <= len(nets) * 20 / 100


async def test_ties_score_alike(merchant):
    people = [Person([Bought(days_ago(10), merchant.shop_id)]) for _ in range(10)]
    async with merchant.work() as w:
        await store(w, people)
        calendar = await calendar_of(w)
        await measure(w, calendar, "CNY")
        values = await value_of(w, calendar, "CNY", [person.id for person in people])
    assert {v.scores for v in values.values()} == {(5, 1, 1)}
    assert {v.group.value for v in values.values()} == {"IMPORTANT_VALUE"}


async def test_fixed_boundaries_stay_until_they_are_taken_back(merchant):
    people = crowd(random.Random(2), [merchant.shop_id], 40)
    fixed = Bounds([7, 30, 90, 180], [1, 2, 3, 4], [100, 1_000, 10_000, 100_000])
    async with merchant.work() as w:
        await store(w, people)
        calendar = await calendar_of(w)
        await measure(w, calendar, "CNY")
        quintiles = (await rfm_model(w, 0, "CNY"))["r_bounds"]
        await fix_bounds(w, calendar, "CNY", fixed)
        await measure(w, calendar, "CNY")
        model = await rfm_model(w, 0, "CNY")
        assert (model["fixed"], model["r_bounds"], model["m_bounds"]) == (True, fixed.r, fixed.m)
        await fix_bounds(w, calendar, "CNY", None)
        model = await rfm_model(w, 0, "CNY")
        assert (model["fixed"], model["r_bounds"]) == (False, quintiles)
        for wrong in (Bounds([1, 2, 3], fixed.f, fixed.m), Bounds([4, 3, 2, 1], fixed.f, fixed.m),
                      Bounds([-1, 3, 4, 5], fixed.f, fixed.m)):  # fmt: skip
            with pytest.raises(InvalidInput) as caught:
                await fix_bounds(w, calendar, "CNY", wrong)
            assert caught.value.path == ("input", "r")


async def test_before_the_first_measuring_nobody_has_a_value(merchant):
    registry = merchant.installation.registry
    async with merchant.work() as w:
        person = Person([Bought(days_ago(1), merchant.shop_id)])
        await store(w, [person])
        calendar = await calendar_of(w)
        assert await value_of(w, calendar, "CNY", [person.id]) == {}
        assert await distribution(w, calendar, "CNY") == []
        for rule in ({"rfm_score": {"f_at_most": 4}}, {"value_percentile": {"top": 99}},
                     {"rfm_group": {"any_of": ["GENERAL_KEEP"]}}):  # fmt: skip
            for form in FORMS:
                assert await asked(w, registry, rule, form) == set()
        await measure(w, await calendar_of(w, merchant.shop_id), "USD")
        assert (await rfm_model(w, merchant.shop_id, "USD"))["customers"] == 0


async def test_stages_in_a_shop_go_by_its_purchases_thresholds_and_days(merchant):
    registry = merchant.installation.registry
    async with merchant.work() as w:
        other = await second_shop(w)
        await w.sql.execute(
            "UPDATE shops SET time_zone = 'America/Los_Angeles' WHERE merchant_id = $1 AND id = $2",
            w.merchant_id, other,
        )  # fmt: skip
        # noon in Shanghai is the evening before in Los Angeles
        edge = Person([Bought(days_ago(30), other, hour=12)])
        late = Person([Bought(days_ago(31), other, hour=12), Bought(days_ago(5), merchant.shop_id)])
        await store(w, [edge, late])

        async def who(**rule):
            found = [await asked(w, registry, {"lifecycle_stage": rule}, f) for f in FORMS]
            assert found[0] == found[1] == found[2]
            return found[0]

        assert await who(any_of=["ACTIVE"], shop_id=other) == {edge.id}
        assert await who(any_of=["SILENT"], shop_id=other) == {late.id}
        assert await who(any_of=["ACTIVE"]) == {edge.id, late.id}
        assert await who(any_of=["POTENTIAL"], shop_id=merchant.shop_id) == {edge.id}


async def run(merchant, job_id):
    installation = merchant.installation
    job = await jobs.claim(installation.db, merchant.id, job_id)
    kind = LifecycleRefresh()
    await jobs.perform(installation.db, job, {kind.name: kind})
    async with merchant.read() as session:
        return await jobs.get(session, job_id)


async def test_the_job_measures_every_shop_and_the_products(merchant):
    """Tea is bought again after 10, 20 or 30 days; of rice too few gaps are known."""
    people, products = [], {}
    for number in range(MIN_SAMPLE + 1):
        gap, shop = (10, 20, 30)[number % 3], merchant.shop_id
        orders = [Bought(days_ago(60 + gap), shop), Bought(days_ago(60), shop),
                  Bought(days_ago(60), shop, hour=20)]  # fmt: skip
        people.append(Person(orders))
        products |= {id(o): ["tea", "rice"] if number else ["tea"] for o in orders}
    for order in people[1].orders + people[2].orders:
        products[id(order)] = ["tea"]
    async with merchant.work() as w:
        await store(w, people, products)
        job_id = await start_refresh(w)
        assert await start_refresh(w) == job_id
    ended = await run(merchant, job_id)
    assert (ended["state"], ended["done"], ended["total"]) == ("succeeded", 3, 3)
    assert ended["result"] == '{"scopes": 2, "products": 1}'
    async with merchant.work() as w:
        (row,) = await w.sql.fetch(
            "SELECT * FROM product_cycles WHERE merchant_id = $1", w.merchant_id
        )
        assert (row["product_id"], row["days"], row["sample"]) == ("tea", 20, MIN_SAMPLE + 1)
        assert row["customers"] == MIN_SAMPLE + 1
        assert (await rfm_model(w, merchant.shop_id, "CNY"))["customers"] == len(people)
        registry = merchant.installation.registry
        # bought 60 days ago and used up 20 days later
        for form in FORMS:
            rule = {"replenishment_due": {"at_least": -40, "at_most": -40, "product_ids": ["tea"]}}
            assert await asked(w, registry, rule, form) == {person.id for person in people}
            rule = {"replenishment_due": {"at_least": -39}}
            assert await asked(w, registry, rule, form) == set()
        # without its orders the product has no cycle any more
        await w.sql.execute("DELETE FROM order_lines WHERE merchant_id = $1", w.merchant_id)
        job_id = await start_refresh(w)
    await run(merchant, job_id)
    async with merchant.read() as session:
        left = "SELECT count(*) FROM product_cycles WHERE merchant_id = $1"
        assert await session.sql.fetchval(left, session.merchant_id) == 0


@pytest.mark.slow
async def test_it_is_due_once_in_a_merchants_day_from_the_night_on(merchant):
    db, clock = merchant.installation.db, merchant.clock

    async def due():
        return merchant.id in await start_due_refreshes(db)

    assert not await due()  # nothing was bought yet
    async with merchant.work() as w:
        await store(w, [Person([Bought(days_ago(1), merchant.shop_id)])])
    assert await due()
    assert not await due()
    clock.move(timedelta(hours=13))  # 01:00 of the next day in Shanghai
    assert not await due()
    clock.move(timedelta(hours=1))
    assert await due()
    async with merchant.work() as w:
        await w.sql.execute(
            "UPDATE jobs SET state = 'cancelled' WHERE merchant_id = $1", w.merchant_id
        )
