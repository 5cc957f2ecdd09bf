"""Each parcel's own coupon: set aside when it is decided, given at packing, or put back."""

from datetime import timedelta

import pytest

from core.domain.shops.plugins import disable_plugin, plugin_context
from core.sdk import CodeSource, HuikeError, Occurrence, PluginDisabled, Several
from plugins.coupons.printing import CouponCodes
from plugins.coupons.stock import take_in
from plugins.packages.changes import follow
from plugins.packages.inserts import Codes, InsertKind
from plugins.packages.outcomes import Outcome
from plugins.packages.packing import confirm_parcel, parcels_of
from plugins.packages.preview import dry_run, explain_order
from plugins.packages.settings import PackagesSettings
from plugins.packages.sheets import cards_of
from tests.plugins.coupons import kit as coupons
from tests.plugins.packages import kit
from tests.plugins.packages.kit import order

TEN = Codes("coupons", {"template": "ten"})


async def coupon_rule(merchant, *codes, **more):
    """A rule that gives every parcel a coupon of a pool with these codes."""
    made = await coupons.template(merchant, source="pool", valid_days=30, **more)
    async with merchant.work() as w:
        await take_in(w, made.id, codes)
    card = await kit.insert(
        merchant,
        "card",
        InsertKind.COUPON,
        codes=TEN,
        text="{{ customer.name }}: {{ coupon.code }}",
    )
    return await kit.rule(merchant, "rule", card)


async def parcels(merchant):
    async with merchant.read() as session:
        return await parcels_of(session)


async def pack(merchant, code):
    async with merchant.work() as w:
        return await confirm_parcel(w, merchant.installation.registry, code)


async def close(merchant, order_id):
    installation = merchant.installation
    context = await plugin_context(installation.db, installation.registry, "packages", merchant.id)
    payload = {"order_id": order_id, "state": "closed_refunded"}
    await follow(context, Occurrence(1, merchant.id, "order.state_changed", merchant.clock(),
                                     payload))  # fmt: skip


async def test_a_code_is_set_aside_given_at_packing_and_put_back(merchant):
    now = merchant.clock()
    one, two = await kit.add_orders(merchant, order(1, "a", now=now), order(2, "b", now=now))
    await coupon_rule(merchant, "AAA1", "BBB2", "CCC3")
    await kit.wave(merchant)
    first, second = await parcels(merchant)
    async with merchant.read() as session:
        cards = await cards_of(session, [first, second])
    assert [card.items[0][1] for card in cards] == ["买家a: AAA1", "买家b: BBB2"]
    assert (await coupons.stored(merchant))["issued"] == 2
    early = await coupons.buy(merchant, "AAA1", "o1", customer_id=first.customer_id)
    assert early.codes[0].reason == "it has not been given to a customer yet"

    merchant.clock.move(timedelta(days=3))
    for _ in range(2):
        assert (await pack(merchant, first.code)).items[0].coupon_code == "AAA1"
    await close(merchant, one)
    for _ in range(2):
        await close(merchant, two)
    assert (await coupons.stored(merchant))["issued"] == 1
    assert await coupons.entries(merchant) == {"held": 2, "granted": 1, "returned": 1}
    async with merchant.read() as session:
        rows = await session.sql.fetch(
            """SELECT code, state, expires_at FROM coupons_coupons WHERE merchant_id = $1
               ORDER BY id""",
            merchant.id,
        )  # fmt: skip
    assert [tuple(row) for row in rows] == [
        ("AAA1", "granted", now + timedelta(days=33)), ("BBB2", "stock", None),
        ("CCC3", "stock", None),
    ]  # fmt: skip
    assert (await coupons.buy(merchant, "AAA1", "o1", customer_id=first.customer_id)).done
    assert (await coupons.buy(merchant, "AAA1", "o2")).codes[0].reason == "it was used already"


async def test_what_runs_out_and_who_cannot_have_one_is_said(merchant):
    now = merchant.clock()
    ids = await kit.add_orders(
        merchant, *(order(n, buyer, now=now) for n, buyer in enumerate("aabc", 1))
    )
    await coupon_rule(merchant, "AAA1", "BBB2", "CCC3", per_customer=1)
    registry, settings = merchant.installation.registry, PackagesSettings()
    async with merchant.read() as session:
        tried = await dry_run(session, registry, settings, "main", dict.fromkeys(ids, 1))
    assert list(tried.left().values()) == [1]
    would = {(one.order_id, one.outcome, one.refused) for one in tried.choices}
    await kit.wave(merchant)
    found = await kit.outcomes(merchant)
    assert [found[f"N{n}", 1, "rule"] for n in range(1, 5)] == [
        Outcome.GIVEN, Outcome.REFUSED, Outcome.GIVEN, Outcome.STOCK
    ]  # fmt: skip
    async with merchant.read() as session:
        why = await explain_order(session, registry, settings, "main", ids[1])
    assert [one.refused for one in why.choices] == ["each customer can have 1"]
    decided = zip(ids, (found[f"N{n}", 1, "rule"] for n in range(1, 5)), strict=True)
    assert would == {
        (pk, outcome, "each customer can have 1" if pk == ids[1] else None)
        for pk, outcome in decided
    }


async def test_parcels_go_on_without_coupons_that_are_switched_off(merchant):
    now = merchant.clock()
    await kit.add_orders(merchant, order(1, "a", now=now))
    await coupon_rule(merchant, "AAA1")
    await kit.wave(merchant)
    async with merchant.work() as w:
        await disable_plugin(w, merchant.installation.registry, "coupons")
    await kit.add_orders(merchant, order(2, "b", now=now))
    await kit.wave(merchant)
    assert (await kit.outcomes(merchant))["N2", 1, "rule"] is Outcome.STOCK
    (printed, _) = await parcels(merchant)
    await pack(merchant, printed.code)
    assert (await coupons.entries(merchant))["granted"] == 1
    with pytest.raises(PluginDisabled):
        await kit.insert(merchant, "other", InsertKind.COUPON, codes=TEN)


async def test_inserts_name_only_codes_that_there_are(merchant):
    await coupons.template(merchant, handle="all", source="public", public_code="ALL1")
    for codes, *path in (
        (Codes("lucky", {}), "source"), (Codes("coupons", {}), "settings", "template"),
        (TEN, "settings", "template"),
        (Codes("coupons", {"template": "all"}), "settings", "template"),
    ):  # fmt: skip
        with pytest.raises((HuikeError, Several)) as told:
            await kit.insert(merchant, "coupon", InsertKind.COUPON, codes=codes)
        (error,) = getattr(told.value, "errors", [told.value])
        assert error.path == ("input", "codes", *path)


def test_coupons_are_a_source_of_codes():
    source: CodeSource = CouponCodes()
    assert source.name == "coupons"
