"""A platform's coupons are given there once, and who cannot have one is without it."""

import json
from dataclasses import replace
from datetime import timedelta

from core.sdk import Done, Occurrence, PluginContext, Unknown
from plugins.coupons import platform
from plugins.coupons.issuing import Recipient, issue
from plugins.coupons.settings import CouponSettings
from tests.plugins.coupons.kit import entries, people, stored, template


async def test_who_bought_there_gets_it_and_others_do_not(merchant, monkeypatch):
    ids, occurrence, context = await granted(merchant)
    asked = []

    async def act(db, registry, merchant_id, shop_id, action):
        asked.append((shop_id, action.coupon, list(action.buyers), action.key))
        return [Done("buyer0", True), Done("buyer1", False, reason="blacklisted")]

    monkeypatch.setattr(platform, "act", act)
    await platform.give(context, occurrence)
    ((shop_id, coupon, buyers, key),) = asked
    assert (shop_id, coupon, buyers) == (merchant.shop_id, "C9", ["buyer0", "buyer1"])
    assert key == f"coupons:{occurrence.payload['coupon_ids'][0]}"
    assert await entries(merchant) == {"granted": 3, "revoked": 2}
    assert (await stored(merchant))["issued"] == 1
    assert len(ids) == 3


async def test_an_unknown_end_is_kept_and_not_tried_again(merchant, monkeypatch):
    _, occurrence, context = await granted(merchant)

    async def act(db, registry, merchant_id, shop_id, action):
        raise Unknown("no answer")

    monkeypatch.setattr(platform, "act", act)
    await platform.give(context, occurrence)
    assert await entries(merchant) == {"granted": 3, "revoked": 1, "unknown": 2}


async def test_what_was_not_given_after_all_is_given_again(merchant, monkeypatch):
    _, occurrence, context = await granted(merchant)
    asked = []

    async def act(db, registry, merchant_id, shop_id, action):
        asked.append(action)
        if len(asked) == 1:
            raise Unknown("no answer")
        return [Done(buyer, True) for buyer in action.buyers]

    monkeypatch.setattr(platform, "act", act)
    await platform.give(context, occurrence)
    for done, key in ((True, asked[0].key), (False, "another:1"), (False, asked[0].key)):
        told = {"deed_id": 1, "shop_id": 1, "key": key, "about": list(asked[0].about), "done": done}
        settled = Occurrence(2, merchant.id, "platform_deed.settled", merchant.clock(), told)
        await platform.give_again(context, settled)
    async with merchant.read() as session:
        rows = await session.sql.fetch(
            """SELECT payload FROM outbox_events
               WHERE merchant_id = $1 AND type = 'coupons.platform_due' ORDER BY id""",
            session.merchant_id,
        )
    first, again = (json.loads(row["payload"]) for row in rows)
    assert again == first
    await platform.give(context, replace(occurrence, id=3, payload=again))
    assert asked[1] == replace(asked[0])
    assert await entries(merchant) == {"granted": 3, "revoked": 1, "unknown": 2}


async def granted(merchant):
    """Three customers with coupons, of whom two have bought in the shop."""
    made = await template(
        merchant, source="platform", platform_shop_id=merchant.shop_id, platform_coupon="C9"
    )
    ids = await people(merchant, 3)
    async with merchant.work() as w:
        for number, one in enumerate(ids[:2]):
            await w.sql.execute(
                """INSERT INTO orders (merchant_id, shop_id, external_id, customer_id, buyer_id,
                       state, currency, total, paid, refunded, ordered_at, content_hash, taken_at)
                   VALUES ($1, $2, $3, $4, $5, 'to_ship', 'CNY', 1, 1, 0, $6, '', $6)""",
                merchant.id, merchant.shop_id, f"E{number}", one, f"buyer{number}",
                w.now - timedelta(days=1),
            )  # fmt: skip
        given = await issue(w, made.id, [Recipient(one) for one in ids], "test")
    payload = {"template_id": made.id, "coupon_ids": [one.coupon_id for one in given]}
    occurrence = Occurrence(1, merchant.id, "coupons.platform_due", merchant.clock(), payload)
    installation = merchant.installation
    context = PluginContext(merchant.id, CouponSettings(), installation.db, installation.registry)
    return ids, occurrence, context
