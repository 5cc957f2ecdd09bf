"""Coupons are used once, within their limits and budgets, whoever asks at the same time."""

import asyncio
from datetime import timedelta

import pytest

from core.sdk import InvalidInput
from plugins.coupons import ending
from plugins.coupons.checkout import Asked, redeem_asked
from plugins.coupons.errors import CouponsExhausted, CouponUnusable
from plugins.coupons.issuing import Recipient, issue
from plugins.coupons.redeeming import Purchase
from plugins.coupons.stock import fill, take_in
from tests.plugins.coupons.kit import basket, buy, entries, people, stored, template

HOUR = timedelta(hours=1)


async def grant(merchant, made, *customers, key=None):
    async with merchant.work() as w:
        return await issue(w, made.id, [Recipient(one, key) for one in customers], "test")


async def test_64_clients_redeem_the_last_of_10(merchant):
    made = await template(merchant, source="public", public_code="SAVE-10", total=10)
    ids = await people(merchant, 64)
    outcomes = await asyncio.gather(*(
        buy(merchant, "save10", f"o{one}", customer_id=one) for one in ids
    ))  # fmt: skip
    assert sum(one.done for one in outcomes) == 10
    assert {one.codes[0].reason for one in outcomes if not one.done} == {
        "there are no coupons left"
    }
    assert (await stored(merchant))["issued"] == 10
    assert await entries(merchant) == {"claimed": 10, "redeemed": 10}
    assert made.total == 10


async def test_one_coupon_is_used_once_by_64_orders(merchant):
    made = await template(merchant, budget=5000)
    (person,) = await people(merchant, 1)
    (given,) = await grant(merchant, made, person)
    outcomes = await asyncio.gather(*(buy(merchant, given.code, f"o{n}") for n in range(64)))
    assert sum(one.done for one in outcomes) == 1
    assert (await stored(merchant))["spent"] == 1000


async def test_the_budget_holds_for_many_at_once(merchant):
    made = await template(merchant, budget=5500)
    given = await grant(merchant, made, *await people(merchant, 12))
    outcomes = await asyncio.gather(*(
        buy(merchant, one.code, f"o{one.coupon_id}") for one in given
    ))  # fmt: skip
    assert sum(one.done for one in outcomes) == 5
    assert (await stored(merchant))["spent"] == 5000


async def test_tills_that_ask_at_the_same_time(merchant):
    made = await template(merchant, budget=5500)
    given = await grant(merchant, made, *await people(merchant, 12))
    together = merchant.installation.db.together

    def ask(code, order, amount=20_000):
        asked = Asked(Purchase(basket(amount, order=order), [code]), "till")
        return together(merchant.id, "till", redeem_asked, asked)

    outcomes = await asyncio.gather(
        *(ask(one.code, f"o{one.coupon_id}") for one in given for _ in range(2)),
        ask(given[0].code, "wrong", -1), ask("ABC", "unknown"), return_exceptions=True,
    )  # fmt: skip
    # the same order twice has the same answer; who asks wrongly spoils nothing for the others
    assert all(a.done == b.done for a, b in zip(outcomes[0:24:2], outcomes[1:24:2], strict=True))
    assert sum(one.done for one in outcomes[0:24:2]) == 5
    assert isinstance(outcomes[24], InvalidInput)
    assert not outcomes[25].done
    assert (await stored(merchant))["spent"] == 5000


async def test_guesses_that_come_together_count_one_after_the_other(merchant):
    made = await template(merchant, budget=100_000)
    given = await grant(merchant, made, *await people(merchant, 15))
    together = merchant.installation.db.together

    def ask(code, order, client):
        return together(
            merchant.id, "till", redeem_asked,
            Asked(Purchase(basket(20_000, order=order), [code]), client),
        )  # fmt: skip

    outcomes = await asyncio.gather(
        *(ask(f"GUESS{n}", f"g{n}", "guesser") for n in range(40)),
        ask(given[0].code, "late", "guesser"),
        *(ask(one.code, f"o{one.coupon_id}", "honest") for one in given[1:]),
    )
    guesses, late, honest = outcomes[:40], outcomes[40], outcomes[41:]
    assert sum(one.refusal is None for one in guesses) == 10
    assert late.refusal is not None
    assert not late.done
    assert all(one.done for one in honest)
    # as do the baskets of one call
    async with merchant.work() as w:
        answers = await redeem_asked(w, [
            Asked(Purchase(basket(20_000, order=f"b{n}"), [f"A{n}", f"B{n}", f"C{n}"]), "other")
            for n in range(20)
        ])  # fmt: skip
    assert [one.refusal is None for one in answers] == [True] * 4 + [False] * 16
    assert "try again after" in answers[-1].codes[0].reason


async def test_a_repeated_order_changes_nothing_more(merchant):
    made = await template(merchant, budget=100_000)
    (given,) = await grant(merchant, made, *await people(merchant, 1))
    until = merchant.clock() + HOUR
    for deed in ("reserve", "reserve", "redeem", "redeem"):
        outcome = await buy(merchant, given.code, "o1", deed=deed, until=until)
        assert outcome.done
        assert outcome.amount == 1000
        assert (await stored(merchant))["spent"] == 1000
    assert (await entries(merchant))["redeemed"] == 1
    other = await buy(merchant, given.code, "o2")
    assert other.codes[0].reason == "it was used already"


async def test_a_reservation_is_released_and_lapses(merchant):
    made = await template(merchant, budget=100_000)
    (given,) = await grant(merchant, made, *await people(merchant, 1))
    until = merchant.clock() + HOUR
    assert (await buy(merchant, given.code, "o1", deed="reserve", until=until)).done
    assert "reserved" in (await buy(merchant, given.code, "o2")).codes[0].reason
    async with merchant.work() as w:
        assert await ending.release(w, "0:o1") == 1
        assert await ending.release(w, "0:o1") == 0
    assert (await stored(merchant))["spent"] == 0
    assert (await buy(merchant, given.code, "o3", deed="reserve", until=until)).done
    merchant.clock.move(2 * HOUR)
    async with merchant.work() as w:
        assert await ending.release_lapsed(w) == 1
    assert (await buy(merchant, given.code, "o4")).done
    assert (await stored(merchant))["spent"] == 1000
    async with merchant.work() as w:
        assert await ending.release(w, "0:o4", redeemed=True) == 1
    assert (await stored(merchant))["spent"] == 0


async def test_a_reservation_keeps_its_coupon_until_it_lapses_and_no_longer(merchant):
    made = await template(merchant, valid_days=1)
    kept, late = await grant(merchant, made, *await people(merchant, 2))
    now = merchant.clock()
    for given, order, hours in ((kept, "o1", 48), (late, "o2", 12)):
        until = now + hours * HOUR
        assert (await buy(merchant, given.code, order, deed="reserve", until=until)).done
    merchant.clock.move(36 * HOUR)  # both coupons are over, and nobody has tidied up
    assert (await buy(merchant, kept.code, "o1")).done
    refused = await buy(merchant, late.code, "o2")
    assert refused.codes[0].reason == "it has expired"


async def test_a_released_public_coupon_is_for_others_again(merchant):
    await template(merchant, source="public", public_code="ONE", total=1)
    ids = await people(merchant, 2)
    assert (await buy(merchant, "ONE", "o1", customer_id=ids[0])).done
    assert not (await buy(merchant, "ONE", "o2", customer_id=ids[1])).done
    async with merchant.work() as w:
        assert await ending.release(w, "0:o1", redeemed=True) == 1
    assert (await buy(merchant, "ONE", "o2", customer_id=ids[1])).done


async def test_a_pool_that_runs_out_gives_nobody_one(merchant):
    made = await template(merchant, source="pool", low_stock=1)
    ids = await people(merchant, 3)
    async with merchant.work() as w:
        assert (await take_in(w, made.id, ["Aa-1", "aa 1", "BB2"])).added == 2
    with pytest.raises(CouponsExhausted, match="3 codes are needed, 2 are in stock"):
        await grant(merchant, made, *ids)
    assert await entries(merchant) == {}
    assert [one.code for one in await grant(merchant, made, *ids[:2])] == ["Aa-1", "BB2"]
    async with merchant.read() as session:
        told = await session.sql.fetchval(
            """SELECT payload->>'left' FROM outbox_events
               WHERE merchant_id = $1 AND type = 'coupons.stock_low'""",
            merchant.id,
        )  # fmt: skip
    assert told == "0"


async def test_limits_by_customer_day_and_key(merchant):
    made = await template(merchant, per_customer=1, daily=2)
    ids = await people(merchant, 3)
    first, again = await grant(merchant, made, ids[0], ids[0])
    assert first.code
    assert again.reason == "each customer can have 1"
    same = await grant(merchant, made, ids[1], key="k")
    assert same == await grant(merchant, made, ids[1], key="k")
    with pytest.raises(CouponsExhausted, match="today's"):
        await grant(merchant, made, ids[2])
    merchant.clock.move(timedelta(days=1))
    assert (await grant(merchant, made, ids[2]))[0].code


async def test_revoking_giving_away_and_the_end(merchant):
    made = await template(merchant, transfers=1, valid_days=1)
    one, two = await people(merchant, 2)
    given, other = await grant(merchant, made, one, one)
    async with merchant.work() as w:
        await ending.transfer(w, given.coupon_id, two)
        await ending.transfer(w, given.coupon_id, two)
        with pytest.raises(CouponUnusable):
            await ending.transfer(w, given.coupon_id, one)
        assert await ending.revoke(w, [other.coupon_id], "mistake") == (1, [])
        assert await ending.revoke(w, [other.coupon_id], "mistake") == (0, [])
    assert (await buy(merchant, given.code, "o", customer_id=one)).codes[0].reason == (
        "it is another customer's"
    )
    merchant.clock.move(timedelta(days=1))
    assert (await buy(merchant, given.code, "o")).codes[0].reason == "it has expired"
    async with merchant.work() as w:
        assert await ending.expire(w) == 1
    found = await entries(merchant)
    assert found == {"granted": 2, "transferred": 1, "revoked": 1, "expired": 1}


async def test_printed_codes_and_those_that_do_not_go_together(merchant):
    made = await template(merchant, stack_group="a")
    half = await template(
        merchant, handle="half", kind="percent_off", value=5000, source="public",
        public_code="HALF", max_off=4000,
    )  # fmt: skip
    async with merchant.work() as w:
        await fill(w, made.id, 2)
        codes = [
            row["code"]
            for row in await w.sql.fetch(
                "SELECT code FROM coupons_coupons WHERE merchant_id = $1", merchant.id
            )
        ]
    both = await buy(merchant, codes, "o1")
    assert [one.reason for one in both.codes] == [
        None, "only one coupon of the group a can be used"
    ]  # fmt: skip
    assert not both.done
    assert await entries(merchant) == {}
    done = await buy(merchant, [codes[0], "half"], "o1", 6000)
    assert [one.amount for one in done.codes] == [1000, 2500]
    later = await buy(merchant, codes[1], "o1", 6000)
    assert later.codes[0].reason == "only one coupon of the group a can be used"
    assert half.max_off == 4000


async def test_the_codes_of_one_basket_share_budget_and_limits(merchant):
    (person,) = await people(merchant, 1)
    made = await template(merchant, budget=1500)
    given = [(await grant(merchant, made, person))[0].code for _ in range(2)]
    for deed in ("quote", "redeem"):
        both = await buy(merchant, given, "o1", deed=deed)
        assert [one.reason for one in both.codes] == [None, "its budget is used up"]
        assert not both.done
    assert (await stored(merchant))["spent"] == 0
    assert (await buy(merchant, given[0], "o2")).done  # what was refused is not counted
    printed = await template(merchant, name="Printed", handle="printed", per_customer=1)
    async with merchant.work() as w:
        await fill(w, printed.id, 2)
        rows = await w.sql.fetch(
            "SELECT code FROM coupons_coupons WHERE merchant_id = $1 AND template_id = $2",
            merchant.id, printed.id,
        )  # fmt: skip
    codes = [row["code"] for row in rows]
    both = await buy(merchant, codes, "o3", customer_id=person)
    assert [one.reason for one in both.codes] == [None, "each customer can have 1"]
    assert (await buy(merchant, codes[1], "o3", customer_id=person)).done


async def test_wrong_baskets_are_refused(merchant):
    for wrong in ({"order": None}, {"order": "x" * 201}):
        with pytest.raises(InvalidInput):
            await buy(merchant, "A", wrong["order"])
    with pytest.raises(InvalidInput):
        await buy(merchant, ["AB", "a-b"], "o")
    assert basket(1).ref is None
