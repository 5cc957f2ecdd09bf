"""What the rules decide, each limit for itself, and dry runs that say the same."""

import random
from collections import Counter
from datetime import timedelta

import pytest

from core.domain.campaigns.chance import choice, share
from core.sdk import InvalidInput, Say
from core.sdk.orders import OrderState
from plugins.packages.inserts import InsertKind, check_text
from plugins.packages.outcomes import Outcome, reason
from plugins.packages.preview import dry_run, explain_order
from plugins.packages.rules import read_rules
from plugins.packages.settings import PackagesSettings
from tests.plugins.packages import kit
from tests.plugins.packages.kit import order

G = Outcome.GIVEN


async def test_conditions_on_order_customer_and_parcel(merchant):
    now = merchant.clock()
    first, second, other, big = await kit.add_orders(
        merchant,
        order(1, "a", state=OrderState.COMPLETED, now=now - timedelta(days=9)),
        order(2, "a", province="浙江省", now=now),
        order(3, "b", now=now),
        order(4, "c", paid=50000, now=now),
    )
    sample = await kit.insert(merchant, "sample")
    again = {"version": 1, "rule": {"purchase_count": {"at_least": 2}}}
    await kit.rule(merchant, "loyal", sample, customers=again)
    for name, asked in {
        "first": {"purchase_to": 1}, "second": {"purchase_from": 2},
        "big": {"paid_at_least": "200"}, "exactly": {"paid_at_least": 100, "paid_at_most": 100},
        "zhejiang": {"provinces": ["浙江省"]}, "tea": {"items": ["TEA"]}, "none": {"items": ["X"]},
        "shop": {"shop_ids": [merchant.shop_id]}, "later": {"parcel_from": 2},
    }.items():  # fmt: skip
        await kit.rule(merchant, name, sample, orders=asked)
    await kit.wave(merchant, {second: 2, other: 1, big: 1}, max_per_parcel=20)
    found = {}
    for (number, parcel, name), outcome in (await kit.outcomes(merchant)).items():
        assert outcome is G
        found.setdefault((number, parcel), set()).add(name)
    assert found == {
        ("N2", 1): {"loyal", "second", "exactly", "zhejiang", "tea", "shop"},
        ("N2", 2): {"loyal", "second", "exactly", "zhejiang", "tea", "shop", "later"},
        ("N3", 1): {"first", "exactly", "tea", "shop"},
        ("N4", 1): {"first", "big", "tea", "shop"},
    }
    assert first


async def test_groups_parcels_customers_stock_and_budget_have_their_limits(merchant):
    now = merchant.clock()
    ids = await kit.add_orders(
        merchant, *(order(n, buyer, now=now) for n, buyer in enumerate("aabcd", 1))
    )
    scarce = await kit.insert(merchant, "scarce", stock=2)
    dear = await kit.insert(merchant, "dear", unit_cost=300)
    plain = await kit.insert(merchant, "plain")
    await kit.rule(merchant, "scarce", scarce, priority=9, exclusive="x", per_customer=1)
    await kit.rule(merchant, "instead", plain, priority=8, exclusive="x")
    await kit.rule(merchant, "dear", dear, priority=7, budget=700)
    await kit.rule(merchant, "over", plain, priority=6)
    await kit.wave(merchant, dict.fromkeys(ids, 1), max_per_parcel=2)
    found = await kit.outcomes(merchant)
    got = {
        name: [found.get((f"N{n}", 1, name)) for n in range(1, 6)]
        for name in ("scarce", "instead", "dear", "over")
    }
    o = Outcome
    assert got == {
        "scarce": [G, o.LIMIT, G, o.STOCK, o.STOCK],
        "instead": [o.EXCLUDED, G, o.EXCLUDED, G, G],
        "dear": [G, G, o.BUDGET, o.BUDGET, o.BUDGET],
        "over": [o.FULL, o.FULL, G, G, G],
    }
    assert await kit.stock(merchant, scarce) == (2, 2)


async def test_one_stock_is_shared_by_the_rules_that_give_of_it(merchant):
    now = merchant.clock()
    ids = await kit.add_orders(merchant, *(order(n, f"b{n}", now=now) for n in range(1, 5)))
    shared = await kit.insert(merchant, "shared", stock=5)
    other = await kit.insert(merchant, "other", stock=9)
    await kit.rule(merchant, "one", shared, priority=2)
    await kit.rule(merchant, "two", (shared, 1), (other, 1))
    await kit.wave(merchant, dict.fromkeys(ids, 1))
    found = await kit.outcomes(merchant)
    assert [found[f"N{n}", 1, "one"] for n in range(1, 5)] == [G] * 4
    given = sum(1 for (_, _, name), out in found.items() if name == "two" and out is G)
    in_stock, of_other = await kit.stock(merchant, shared), await kit.stock(merchant, other)
    assert in_stock[1] <= 5
    assert in_stock[1] + of_other[1] == 4 + given


async def test_periods_count_what_other_waves_gave(merchant):
    now = merchant.clock()
    one, two, three = await kit.add_orders(merchant, *(order(n, "a", now=now) for n in range(1, 4)))
    card = await kit.insert(merchant, "card", InsertKind.CARD, text="谢谢{{ customer.name }}")
    await kit.rule(merchant, "monthly", card, per_customer=1, per_days=30)
    await kit.wave(merchant, {one: 1})
    await kit.wave(merchant, {two: 1})

    merchant.clock.move(timedelta(days=31))
    await kit.wave(merchant, {three: 1})
    found = await kit.outcomes(merchant)
    assert [found[f"N{n}", 1, "monthly"] for n in (1, 2, 3)] == [G, Outcome.LIMIT, G]


async def test_holdout_and_variants_stay_with_the_customer(merchant):
    now = merchant.clock()
    ids = await kit.add_orders(merchant, *(order(n, f"b{n // 2}", now=now) for n in range(2, 62)))
    a, b = await kit.insert(merchant, "A"), await kit.insert(merchant, "B")
    made = await kit.rule(merchant, "test", (a, 1), (b, 3), holdout=3000)
    await kit.wave(merchant, dict.fromkeys(ids, 1))
    async with merchant.read() as session:
        rows = await session.sql.fetch(
            "SELECT customer_id, outcome, insert_id FROM packages_choices WHERE merchant_id = $1",
            merchant.id,
        )
    assert len(rows) == 60
    for row in rows:
        held = share(row["customer_id"], f"packages:{made}:holdout") < 3000
        which = choice(row["customer_id"], f"packages:{made}:variant", [1, 3])
        assert (row["outcome"], row["insert_id"]) == (
            Outcome.HOLDOUT if held else G, (a, b)[which]
        )  # fmt: skip
    assert {row["outcome"] for row in rows} == {G, Outcome.HOLDOUT}


async def test_a_plain_reckoning_comes_to_the_same(merchant):
    """Random rules, against a loop that goes through parcels one by one for each rule."""
    chance = random.Random(7)
    now = merchant.clock()
    ids = await kit.add_orders(
        merchant,
        *(order(n, f"b{chance.randrange(25)}", paid=chance.randrange(1, 9) * 1000, now=now)
          for n in range(1, 61)),
    )  # fmt: skip
    inserts = [
        await kit.insert(
            merchant, f"i{n}", unit_cost=10 + n * 10, stock=chance.choice([None, 8, 25])
        )
        for n in range(4)
    ]
    for n in range(8):
        await kit.rule(
            merchant, f"r{n}", *chance.sample(inserts, chance.choice([1, 2])),
            orders={"paid_at_least": chance.randrange(10, 70)}, priority=-n,
            exclusive=chance.choice([None, "x", "y"]), per_customer=chance.choice([None, 1, 2]),
            holdout=chance.choice([0, 2500]), budget=chance.choice([None, 60]) if n else 60,
        )  # fmt: skip
    async with merchant.read() as session:
        rules = await read_rules(
            session, merchant.installation.registry, live=True, warehouse="main"
        )
        rows = await session.sql.fetch(
            """SELECT id, external_id, customer_id, paid FROM orders WHERE merchant_id = $1
               ORDER BY paid_at, id""",
            merchant.id,
        )
        tried = await dry_run(
            session, merchant.installation.registry, PackagesSettings(max_per_parcel=2), "main",
            dict.fromkeys(ids, 1),
        )  # fmt: skip
    expected = _reckoned(rules, rows)
    assert set(expected.values()) == set(Outcome) - {Outcome.RELEASED, Outcome.REFUSED}
    await kit.wave(merchant, dict.fromkeys(ids, 1), max_per_parcel=2)
    found = await kit.outcomes(merchant)
    assert found == expected
    numbers = {row["id"]: row["external_id"] for row in rows}
    assert found == {
        (numbers[one.order_id], one.number, one.rule.name): one.outcome for one in tried.choices
    }
    for insert_id, left in tried.left().items():
        on_hand, reserved = await kit.stock(merchant, insert_id)
        assert on_hand - reserved == left


def _reckoned(rules, rows):
    free = {v.insert.id: v.available for r in rules for v in r.variants if v.insert.tracks_stock}
    used, groups, made = Counter(), set(), {}
    for rule in rules:
        had, spent = Counter(), 0
        for row in rows:
            key = (row["external_id"], 1, rule.name)
            if row["paid"] < int(rule.orders.paid_at_least * 100):
                continue
            person = row["customer_id"]
            variant = rule.variants[0]
            if len(rule.variants) > 1:
                weights = [one.weight for one in rule.variants]
                variant = rule.variants[choice(person, rule.salt("variant"), weights)]
            insert = variant.insert
            if rule.exclusive and (row["id"], rule.exclusive) in groups:
                made[key] = Outcome.EXCLUDED
                continue
            if used[row["id"]] >= 2:
                made[key] = Outcome.FULL
                continue
            had[person] += 1
            if rule.per_customer is not None and had[person] > rule.per_customer:
                made[key] = Outcome.LIMIT
            elif rule.holdout and share(person, rule.salt("holdout")) < rule.holdout:
                made[key] = Outcome.HOLDOUT
            elif insert.tracks_stock and free[insert.id] < 1:
                made[key] = Outcome.STOCK
            else:
                free[insert.id] = free.get(insert.id, 0) - 1
                spent += insert.unit_cost
                if rule.budget is not None and spent > rule.budget:
                    made[key] = Outcome.BUDGET
                    continue
                made[key] = G
                used[row["id"]] += 1
                if rule.exclusive:
                    groups.add((row["id"], rule.exclusive))
        # what the budget turned away is free for the next rule
        for row in rows:
            key = (row["external_id"], 1, rule.name)
            if made.get(key) is Outcome.BUDGET:
                weights = [one.weight for one in rule.variants]
                place = 0
                if len(weights) > 1:
                    place = choice(row["customer_id"], rule.salt("variant"), weights)
                free[rule.variants[place].insert.id] += 1
    return made


async def test_why_in_two_languages(merchant):
    now = merchant.clock()
    one, two = await kit.add_orders(merchant, order(1, "a", now=now), order(2, "a", now=now))
    sample = await kit.insert(merchant, "试用装")
    card = await kit.insert(merchant, "card", InsertKind.CARD, text="hi")
    await kit.rule(merchant, "s", sample, orders={"purchase_to": 1}, priority=1)
    await kit.rule(merchant, "c", card, per_customer=1)
    await kit.wave(merchant, {one: 1})
    async with merchant.read() as session:
        registry = merchant.installation.registry
        done = await explain_order(session, registry, PackagesSettings(), "main", one)
        would = await explain_order(session, registry, PackagesSettings(), "main", two)

    def words(why, language):
        return [
            reason(c.outcome, c.rule.variants[0].insert.name, c.rule.sentence(language),
                   Say(language))
            for c in why.choices
        ]  # fmt: skip

    assert done.decided_at == now
    assert would.decided_at is None
    assert words(done, "en") == [
        "试用装, because it is the first purchase", "card, because every parcel"
    ]  # fmt: skip
    assert words(would, "en") == [
        "no 试用装: the rule is for it is the first purchase",
        "no card: the customer has had as many in this period as the rule allows",
    ]
    assert words(would, "zh")[1] == "无card：该客户在周期内已达领取上限"


@pytest.mark.parametrize("text", ["{{ customer.phone }}", "{% if %}", "{{ a", "", "x" * 501])
def test_a_card_that_cannot_be_shown_is_refused(text):
    with pytest.raises(InvalidInput):
        check_text(text)
