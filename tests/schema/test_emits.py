"""A mutation declares the events that it causes: all of them, and none that never come.

That no published operation causes an event which its mutation does not declare is seen where they
are all tried, in test_operations.py.
"""

import copy

import pytest

from core.builtin import CorePlugin
from core.domain.orders.reviews import ingest_reviews
from core.registry import load
from core.schema.build import build_schema
from core.schema.scalars import global_id
from core.sdk import Identity, ReviewRecord
from plugins.coupons.templates import create_template
from plugins.packages.inserts import InsertKind, NewInsert, create_insert, set_stock
from plugins.packages.rules import NewRule, create_rule, switch_rule
from tests.schema import operations
from tests.schema.conftest import LOVED
from tests.schema.emitting import declared, emitted_since, last_event
from tests.schema.test_operations import root_fields, send

DECLARED = {name: events for name, events in declared(load(CorePlugin())).items() if events}
PUBLISHED = {root_fields(name)[0]: name for name in operations.NAMES}


class Tried:
    """A world in which mutations are tried, with their published variables as a beginning."""

    def __init__(self, api, world):
        self.api = api
        self.world = world
        self.ids = world.ids

    def given(self, name, **changed):
        """An operation's variables, with other values in its input."""
        values = copy.deepcopy(operations.variables(name, self.ids))
        values["input"] |= changed
        return values

    async def call(self, name, values):
        answer = await send(self.api, self.world.token, name, values)
        assert "errors" not in answer, answer
        (payload,) = answer["data"].values()
        assert payload["errors"] == [], payload

    def order(self, number, state="TO_SHIP", **more):
        values = self.given("orders-upsert")
        values["input"]["orders"][0] |= {"externalId": number, "state": state, **more}
        return values

    def review(self, number, **more):
        values = self.given("reviews-upsert")
        values["input"]["reviews"][0] |= {"orderExternalId": number, **more}
        return values


async def customer_consent_set(tried):
    yield tried.given("customer-consent-set", status="DENIED")


async def customers_consent_set(tried):
    yield tried.given("customers-consent-set", status="DENIED")


async def orders_upsert(tried):
    yield tried.order("E5")
    yield tried.order("E5", "SHIPPED")
    # what came before its order
    for name, one in (("parcels-upsert", "parcels"), ("refunds-upsert", "refunds")):
        early = tried.given(name)
        early["input"][one][0]["orderExternalId"] = "E6"
        await tried.call(name, early)
    await tried.call("reviews-upsert", tried.review("E6"))
    yield tried.order("E6")
    # a review of a buyer, which changed before anybody knew its order
    merchant = tried.world.merchant
    async with merchant.work() as w:
        for stars, ids in ((5, [Identity("shop", merchant.shop_id, "nick", "n1")]), (1, [])):
            record = ReviewRecord("V7", "E7", w.now, stars=stars, identities=ids)
            await ingest_reviews(w, merchant.shop_id, [record])
    yield tried.order("E7")


async def parcels_upsert(tried):
    await tried.call("orders-upsert", tried.order("E5", "SHIPPED"))
    values = tried.given("parcels-upsert")
    (parcel,) = values["input"]["parcels"]
    parcel |= {"orderExternalId": "E5", "trackingNumber": "SF1"}
    parcel["events"][0]["kind"] = "SIGNED"
    yield values


async def reviews_upsert(tried):
    yield tried.review("E1", sign="GOOD")


async def member_join(tried):
    await tried.call("tier-update", tried.given("tier-update", threshold="50"))
    await tried.call("member-leave", tried.given("member-leave"))
    yield tried.given("member-join", customerId=tried.ids["Customer"])


async def member_leave(tried):
    await tried.call("member-join", tried.given("member-join"))
    second = {"customerId": tried.ids["Second"]}
    await tried.call("member-tier-set", tried.given("member-tier-set", **second))
    yield tried.given("member-leave", **second)


async def template(tried, **more):
    """The id of a new template of coupons."""
    async with tried.world.merchant.work() as w:
        made = await create_template(w, LOVED | {"handle": "more", "source": "own"} | more)
    return global_id("CouponTemplate", made.id)


async def coupons_codes_make(tried):
    yield tried.given("coupons-codes-make", templateId=await template(tried, low_stock=100),
                      idempotencyKey="few")  # fmt: skip


async def coupons_codes_import(tried):
    pool = await template(tried, source="pool", low_stock=100)
    yield tried.given("coupons-codes-import", templateId=pool, codes=["LOW-1"])


async def stocked(tried):
    """The id of a template with two codes in stock, which is told of when one is left."""
    pool = await template(tried, source="pool", low_stock=1)
    await tried.call("coupons-codes-import", tried.given(
        "coupons-codes-import", templateId=pool, codes=["LOW-1", "LOW-2"]
    ))  # fmt: skip
    return pool


async def at_the_platform(tried):
    shop = tried.world.merchant.shop_id
    return await template(
        tried, handle="there", source="platform", platform_shop_id=shop, platform_coupon="C9"
    )


async def coupons_grant(tried):
    yield tried.given("coupons-grant", templateId=await stocked(tried), idempotencyKey="low")
    there = await at_the_platform(tried)
    yield tried.given("coupons-grant", templateId=there, idempotencyKey="there")


async def coupons_claim(tried):
    await stocked(tried)
    yield tried.given("coupons-claim", handle="more", idempotencyKey="low")
    await at_the_platform(tried)
    yield tried.given("coupons-claim", handle="there", idempotencyKey="there")


async def coupons_redeem(tried):
    await template(tried, source="public", public_code="HOME")
    values = tried.given("coupons-redeem")
    (basket,) = values["input"]["baskets"]
    values["input"]["baskets"] = [
        basket | {"codes": ["HOME"], "order": f"H{number}", "address": "one house"}
        for number in range(5)
    ]
    yield values


async def scarce(tried):
    """The id of an insert of which there are two, and which is told of when one is left."""
    merchant = tried.world.merchant
    async with merchant.work() as w:
        new = NewInsert("scarce", InsertKind.SAMPLE, tracks_stock=True, low_stock=1)
        made = await create_insert(w, merchant.installation.registry, new)
        await set_stock(w, made, "main", 2)
    return made


async def packages_stock_set(tried):
    insert = global_id("PackagesInsert", await scarce(tried))
    yield tried.given("packages-stock-set", insertId=insert, onHand=1)


async def packages_parcel_unpack(tried):
    await tried.call("packages-parcel-confirm", tried.given("packages-parcel-confirm"))
    yield tried.given("packages-parcel-unpack")


async def packages_wave_create(tried):
    merchant = tried.world.merchant
    insert = await scarce(tried)
    async with merchant.work() as w:
        registry = merchant.installation.registry
        rule = await create_rule(w, registry, NewRule("all", [(insert, 1)], None, {}))
        await switch_rule(w, rule, True)
    await tried.call("orders-upsert", tried.order("E5"))
    yield tried.given("packages-wave-create")


MORE = {
    "customerConsentSet": customer_consent_set, "customersConsentSet": customers_consent_set,
    "ordersUpsert": orders_upsert, "parcelsUpsert": parcels_upsert,
    "reviewsUpsert": reviews_upsert, "memberJoin": member_join, "memberLeave": member_leave,
    "couponsCodesMake": coupons_codes_make, "couponsCodesImport": coupons_codes_import,
    "couponsGrant": coupons_grant, "couponsClaim": coupons_claim, "couponsRedeem": coupons_redeem,
    "packagesStockSet": packages_stock_set, "packagesWaveCreate": packages_wave_create,
    "packagesParcelUnpack": packages_parcel_unpack,
}  # fmt: skip
"""Further calls, for events that the published operation does not cause in the world at hand."""


@pytest.mark.parametrize("field", DECLARED)
async def test_what_is_declared_happens_and_nothing_else(api, world, field):
    name, tried, found = PUBLISHED[field], Tried(api, world), set()

    async def call(values):
        last = await last_event(world)
        await tried.call(name, values)
        found.update(await emitted_since(world, last, field))

    await call(operations.variables(name, world.ids))
    if field in MORE:
        async for values in MORE[field](tried):
            await call(values)
    assert found == DECLARED[field]


def test_the_declarations_stand_in_the_schema(installation):
    printed = build_schema(installation.registry).as_str()
    assert '@emits(events: ["parcel.state_changed", "order.state_changed"])' in printed
    assert (
        '@plugin(name: "packages", since: "0.1") @emits(events: ["packages.stock_low"])' in printed
    )
    assert printed.count("@emits(") == len(DECLARED) + 1  # and the directive itself
