"""The 5221 model, thresholds that hold from a day on, and stages by them."""

import random
from collections import Counter
from datetime import timedelta
from fractions import Fraction
from math import ceil

import pytest

from core.domain.lifecycle.calendar import calendar_of
from core.domain.lifecycle.proposal import apply_proposal, concluded, nearest_rank, propose
from core.domain.lifecycle.report import Step, report_days, stage_moves, stage_report
from core.domain.lifecycle.stages import LifecycleStage as S
from core.domain.lifecycle.stages import effect_of, standing_of
from core.domain.lifecycle.thresholds import (
    DEFAULT,
    Thresholds,
    set_thresholds,
    threshold_history,
    thresholds_in_force,
)
from core.sdk import InvalidInput, NotFound, WrongState
from tests.lifecycle.kit import TODAY, Bought, Person, crowd, days_ago, second_shop, store

EXAMPLE = [3, 5, 8, 12, 15, 20, 28, 40, 65, 120]


def test_nearest_rank_of_the_worked_example():
    counts = Counter(EXAMPLE)
    ranks = [nearest_rank(counts, Fraction(share, 10)) for share in (5, 7, 9)]
    assert ranks == [15, 28, 65]


def test_nearest_rank_is_the_element_of_the_sorted_list():
    r = random.Random(5)
    for size in range(1, 200):
        values = sorted(r.randrange(50) for _ in range(size))
        for share in (Fraction(7, 100), Fraction(1, 2), Fraction(7, 10), Fraction(9, 10)):
            assert nearest_rank(Counter(values), share) == values[ceil(share * size) - 1]


async def test_the_worked_example_thrice_over(merchant):
    """Thirty who came back are enough, and quantiles of thrice the list are those of the list."""
    people = [
        Person([Bought(days_ago(gap + 200), merchant.shop_id),
                Bought(days_ago(200), merchant.shop_id)])
        for gap in EXAMPLE * 3
    ]  # fmt: skip
    people += [Person([Bought(days_ago(10), merchant.shop_id)]) for _ in range(20)]
    async with merchant.work() as w:
        await store(w, people)
        calendar = await calendar_of(w, merchant.shop_id)
        found = await propose(w, calendar)
    assert found.thresholds == Thresholds(15, 28, 65)
    assert (found.source, found.sample, found.mean) == ("model", 30, Fraction(sum(EXAMPLE), 10))
    assert (found.first_buyers, found.unripe) == (50, 20)
    assert sum(bar.customers for bar in found.bars) == 30
    assert (found.bars[0].from_days, found.bars[0].to_days, found.bars[0].customers) == (1, 7, 6)
    assert (found.bars[-1].to_days, found.bars[-1].customers) == (None, 3)


async def test_few_who_came_back_conclude_nothing(merchant):
    people = [
        Person([Bought(days_ago(300), merchant.shop_id), Bought(days_ago(299), merchant.shop_id)])
        for _ in range(29)
    ]
    async with merchant.work() as w:
        await store(w, people)
        everywhere, shop = await calendar_of(w), await calendar_of(w, merchant.shop_id)
        assert (await propose(w, everywhere)).source == "default"
        assert (await propose(w, everywhere)).thresholds == DEFAULT
        await set_thresholds(w, everywhere, Thresholds(5, 6, 7), "ours")
        found = await propose(w, shop)
        assert (found.source, found.sample) == ("default", 29)
        assert found.thresholds == Thresholds(5, 6, 7)


def naive_gap(person: Person, shop_id: int, latest) -> int | None:
    days = sorted({o.day for o in person.in_shop(shop_id)})
    return (days[1] - days[0]).days if len(days) > 1 and days[0] <= latest else None


async def test_gaps_agree_with_brute_force_over_currencies(merchant):
    async with merchant.work() as w:
        other = await second_shop(w)
        people = crowd(random.Random(3), [other], 300)
        await store(w, people)
        for age in (0, 61, 365):
            found = await propose(w, await calendar_of(w, other), age)
            gaps = [naive_gap(person, other, days_ago(age)) for person in people]
            gaps = sorted(gap for gap in gaps if gap is not None)
            assert found.sample == len(gaps) >= 30
            expected = [gaps[ceil(Fraction(p, 10) * len(gaps)) - 1] for p in (5, 7, 9)]
            assert [*vars(found.thresholds).values()] == expected
            assert found.mean == Fraction(sum(gaps), len(gaps))
            firsts = [min(o.day for o in p.in_shop(other)) for p in people if p.in_shop(other)]
            assert found.first_buyers == sum(day <= days_ago(age) for day in firsts)
            once = [
                next(iter(days)) for p in people
                if len(days := {o.day for o in p.in_shop(other)}) == 1
            ]  # fmt: skip
            young = sum(age <= (TODAY - day).days < expected[2] for day in once)
            assert found.unripe == young


def test_a_proposal_of_equal_gaps_does_not_rise():
    found = concluded({7: 40}, {}, DEFAULT, 0)
    assert found.thresholds == Thresholds(7, 7, 7)


async def test_a_proposal_that_does_not_rise_is_not_applied(merchant):
    people = [
        Person([Bought(days_ago(20), merchant.shop_id), Bought(days_ago(13), merchant.shop_id)])
        for _ in range(30)
    ]
    async with merchant.work() as w:
        await store(w, people)
        with pytest.raises(WrongState, match="7, 7, 7"):
            await apply_proposal(w, await calendar_of(w), "try")


@pytest.mark.parametrize(
    ("days", "path"),
    [((0, 5, 6), "active"), ((5, 5, 6), "silent"), ((5, 6, 6), "sleeping"),
     ((5, 6, 9_999), "sleeping")],
)  # fmt: skip
async def test_thresholds_must_rise(merchant, days, path):
    async with merchant.work() as w:
        with pytest.raises(InvalidInput) as caught:
            await set_thresholds(w, await calendar_of(w), Thresholds(*days), "why")
        assert caught.value.path == ("input", path)


async def test_thresholds_hold_from_a_day_on_and_past_days_keep_theirs(merchant):
    async with merchant.work() as w:
        everywhere, shop = await calendar_of(w), await calendar_of(w, merchant.shop_id)
        with pytest.raises(NotFound):
            await calendar_of(w, 10**12)
        for wrong in (days_ago(1), TODAY + timedelta(days=400)):
            with pytest.raises(InvalidInput):
                await set_thresholds(w, shop, Thresholds(1, 2, 3), "why", from_day=wrong)
        await set_thresholds(w, everywhere, Thresholds(10, 20, 30), "all")
        later = TODAY + timedelta(days=5)
        await set_thresholds(w, shop, Thresholds(50, 60, 70), "soon", from_day=later)

        async def held(shop_id, day):
            return (await thresholds_in_force(w, shop_id, day)).thresholds.active

        assert await held(merchant.shop_id, days_ago(1)) == DEFAULT.active
        assert await held(merchant.shop_id, TODAY) == 10
        assert await held(merchant.shop_id, later - timedelta(days=1)) == 10
        assert await held(merchant.shop_id, later) == 50
        assert await held(0, later) == 10
        # what was planned for later gives way to what is set for earlier
        await set_thresholds(w, shop, Thresholds(40, 60, 70), "now")
        assert await held(merchant.shop_id, TODAY) == await held(merchant.shop_id, later) == 40
        history = await threshold_history(w, merchant.shop_id)
        assert [(row["active"], row["valid_to"]) for row in history] == [(40, None), (50, later)]


async def test_stages_by_the_definition(merchant):
    """T50 15, T70 28, T90 65: 16 days is silent, 65 sleeping, 66 churned."""
    ages = [0, 15, 16, 28, 29, 65, 66]
    people = [Person([Bought(days_ago(age), merchant.shop_id)]) for age in ages] + [Person()]
    async with merchant.work() as w:
        await store(w, people)
        calendar = await calendar_of(w)
        await set_thresholds(w, calendar, Thresholds(15, 28, 65), "example")
        found = await standing_of(w, calendar, [person.id for person in people])
    stages = [found[person.id].stage for person in people]
    assert stages == [S.ACTIVE, S.ACTIVE, S.SILENT, S.SILENT, S.SLEEPING, S.SLEEPING, S.CHURNED,
                      S.POTENTIAL]  # fmt: skip
    assert [found[person.id].days_since_last for person in people] == [*ages, None]
    assert found[people[1].id].next_purchase == TODAY


async def test_the_expected_next_purchase(merchant):
    often = Person([Bought(days_ago(n), merchant.shop_id) for n in (40, 31, 10)])
    twice = Person([Bought(days_ago(n), merchant.shop_id) for n in (40, 10)])
    currencies = Person(
        [Bought(days_ago(40), merchant.shop_id), Bought(days_ago(20), merchant.shop_id, "USD"),
         Bought(days_ago(10), merchant.shop_id)]
    )  # fmt: skip
    async with merchant.work() as w:
        await store(w, [often, twice, currencies])
        found = await standing_of(w, await calendar_of(w), [often.id, twice.id, currencies.id])
    assert found[often.id].next_purchase == TODAY + timedelta(days=5)
    assert found[twice.id].next_purchase == TODAY + timedelta(days=DEFAULT.active - 10)
    assert found[currencies.id].next_purchase == TODAY + timedelta(days=5)


def stage_on(person: Person, shop_id: int, day, thresholds: Thresholds):
    before = [o.day for o in person.in_shop(shop_id) if o.day <= day]
    if not before:
        return S.POTENTIAL if person.known <= day else None
    age = (day - max(before)).days
    for stage, limit in zip(
        (S.ACTIVE, S.SILENT, S.SLEEPING), vars(thresholds).values(), strict=True
    ):
        if age <= limit:
            return stage
    return S.CHURNED


async def test_the_effect_of_other_thresholds(merchant):
    wanted = Thresholds(50, 70, 200)
    async with merchant.work() as w:
        people = crowd(random.Random(4), [merchant.shop_id, await second_shop(w)], 150)
        await store(w, people)
        moves = await effect_of(w, await calendar_of(w, merchant.shop_id), wanted)
    expected = Counter(
        tuple(stage_on(p, merchant.shop_id, TODAY, by) for by in (DEFAULT, wanted))
        for p in people
        if p.in_shop(merchant.shop_id)
    )
    assert {(m.from_stage, m.to_stage): m.customers for m in moves} == expected
    assert expected[S.SILENT, S.ACTIVE] > 0


@pytest.mark.parametrize("everywhere", [True, False])
async def test_reports_of_the_past_agree_with_brute_force(merchant, everywhere):
    """Thresholds change in the middle of the reported time; earlier days keep theirs."""
    new, changed = Thresholds(10, 40, 300), days_ago(100)
    shop_id = 0 if everywhere else merchant.shop_id
    async with merchant.work() as w:
        people = crowd(random.Random(9), [merchant.shop_id, await second_shop(w)], 120)
        await store(w, people)
        calendar = await calendar_of(w, shop_id)
        made = await set_thresholds(w, calendar, new, "since long ago")
        await w.sql.execute(
            "UPDATE lifecycle_models SET valid_from = $3 WHERE merchant_id = $1 AND id = $2",
            w.merchant_id, made, changed,
        )  # fmt: skip
        days = report_days(days_ago(400), TODAY, Step.MONTH)
        report = await stage_report(w, calendar, days)
        first, last = days_ago(200), days_ago(30)
        moves = await stage_moves(w, calendar, first, last)

    def thresholds(day):
        return DEFAULT if day < changed else new

    def stage(person, day):
        return stage_on(person, shop_id, day, thresholds(day))

    assert [one.day for one in report] == days
    for one in report:
        expected = Counter(stage(person, one.day) for person in people)
        assert one.thresholds == thresholds(one.day)
        assert one.customers == {s: expected[s] for s in S}
    assert sum(report[-1].customers.values()) == len(people)
    expected = Counter((stage(p, first), stage(p, last)) for p in people)
    del expected[None, None]
    assert {(m.from_stage, m.to_stage): m.customers for m in moves} == expected
    assert expected[None, S.POTENTIAL] > 0


def test_the_days_of_a_report():
    assert report_days(TODAY, TODAY, Step.MONTH) == [TODAY]
    months = report_days(days_ago(45), TODAY, Step.MONTH)
    assert [str(day) for day in months] == ["2026-05-31", "2026-06-15"]
    weeks = report_days(days_ago(15), TODAY, Step.WEEK)
    assert weeks == [days_ago(14), days_ago(7), TODAY]
    assert len(report_days(days_ago(9), TODAY, Step.DAY)) == 10
    for first, step in ((days_ago(120), Step.DAY), (days_ago(36_000), Step.MONTH)):
        with pytest.raises(InvalidInput, match="at most"):
            report_days(first, TODAY, step)
    with pytest.raises(InvalidInput):
        report_days(TODAY, days_ago(1), Step.DAY)


async def test_a_report_is_not_about_days_to_come(merchant):
    async with merchant.read() as session:
        calendar = await calendar_of(session)
        with pytest.raises(InvalidInput):
            await stage_report(session, calendar, [TODAY + timedelta(days=1)])
