"""The facet of what is missing to the next tier agrees with what members are shown."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from core.domain.members.figures import month_figures
from core.domain.members.membership import join
from core.domain.members.points import Lot, give
from core.domain.members.programme import create_tier, delete_tier, get_programme
from core.domain.members.standing import members_of
from core.domain.members.tiers import set_tier
from core.domain.segments.rules import FORMS
from core.domain.segments.tree import read_tree
from core.schema.member_figures import figures_of
from core.schema.members import tiers_by_id
from core.sdk import Several
from core.sdk.errors import HuikeError
from core.testing.fixtures import START
from tests.members.test_membership import buy, customer, review, set_up
from tests.segments.test_customer_facets import BY_NAME, stored
from tests.segments.test_property import asked_of_all

RULES = [
    ("net_spend", "rolling", {"currency": "CNY"}),
    ("net_spend", "calendar_year", {"currency": "CNY"}),
    ("purchases", "rolling", {}), ("points", "calendar_year", {}),
]  # fmt: skip


@pytest.mark.parametrize(("measure", "window", "unit"), RULES)
async def test_it_is_what_the_programme_shows(merchant, measure, window, unit):
    async with merchant.work() as w:
        silver, gold = await set_up(w, {"tiers": {"measure": measure, "window": window}})
        people = [await customer(w) for _ in range(6)]
        for number, pk in enumerate(people[:-1]):
            if number:
                await join(w, pk, "page")
            # some of it fell out of the window
            await buy(merchant, w, pk, 300 * number, START.replace(month=1, day=1, hour=12))
            await buy(merchant, w, pk, 200 * number, START.replace(year=2025, month=12, day=31))
            await give(w, "earn", [Lot(pk, 700 * number + 1, w.now)])
        await set_tier(w, people[3], silver, None)
        await set_tier(w, people[4], gold, None)
    async with merchant.read() as session:
        shown = await members_of(session, await get_programme(session), people)
    gaps = {pk: one.missing for pk, one in shown.items() if one.next_id is not None}
    assert len(gaps) == 3
    scale = 100 if unit else 1
    asked = sorted(gaps.values())[1]
    bound = f"{Decimal(asked) / scale:.2f}" if unit else str(asked)
    rules = [{"next_tier_missing": {**unit, "at_most": bound}},
             {"next_tier_missing": {**unit, "at_least": bound}},
             {"next_tier_missing": {**unit, "at_least": "0"}},
             {"next_tier_missing": {**({} if unit else {"currency": "CNY"}), "at_least": "0"}},
             {"next_tier_missing": {"currency": "USD", "at_least": "0"}}]  # fmt: skip
    expected = [
        {pk for pk, gap in gaps.items() if gap <= asked},
        {pk for pk, gap in gaps.items() if gap >= asked}, set(gaps), set(), set(),
    ]  # fmt: skip
    registry = merchant.installation.registry
    for form in FORMS:
        async with merchant.read() as session:
            found = await asked_of_all(session, registry, rules, form)
        assert [{pk for pk, hit in one.items() if hit} for one in found] == expected


@pytest.mark.parametrize(("given", "word"), [
    ({"at_most": "1.5"}, "whole"), ({"at_most": "1", "currency": "yuan"}, "currency"),
    ({"at_least": "3", "at_most": "2"}, "nobody"), ({}, "atLeast"),
])  # fmt: skip
def test_what_cannot_be_asked_is_refused(given, word):
    with pytest.raises((HuikeError, Several), match=word):
        read_tree(stored({"next_tier_missing": given}), BY_NAME)


async def test_deleted_tiers_are_no_next_ones_and_keep_their_rank_in_the_past(merchant):

    async with merchant.work() as w:
        silver, gold = await set_up(w)
        pk, other = await customer(w), await customer(w)
        await join(w, pk, "page")
        await join(w, other, "page")
        await set_tier(w, other, silver, None)
        await set_tier(w, pk, silver, None)
    merchant.clock.move(timedelta(days=31))
    async with merchant.work() as w:
        await set_tier(w, pk, gold, None)
    merchant.clock.move(timedelta(days=31))

    async def past():
        async with merchant.read() as session:
            programme = await get_programme(session)
            found = await month_figures(session, programme, date(2026, 7, 1))
            return figures_of(found, await tiers_by_id(session, None, programme, True))

    before = await past()
    assert before.upgraded == 1
    async with merchant.work() as w:
        await delete_tier(w, gold)
    await review(merchant)
    after = await past()
    assert (after.upgraded, after.downgraded) == (1, 0)
    assert [one.standing.tier.name for one in after.shares] == [
        one.standing.tier.name for one in before.shares
    ]  # fmt: skip
    async with merchant.work() as w:
        assert await create_tier(w, "Gold", 2, 600_000) != gold
    assert (await past()).upgraded == 1
