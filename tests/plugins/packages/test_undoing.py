"""What is done by mistake can be taken back, and what a warehouse looks at before it packs."""

from core.schema.scalars import global_id
from core.sdk import OrderState
from plugins.coupons.stock import take_in
from plugins.packages.inserts import Codes, InsertKind
from tests.plugins.coupons import kit as coupons
from tests.plugins.packages import kit
from tests.plugins.packages.kit import order

CANCEL = """mutation ($id: ID!) { packagesWaveCancel(id: $id) {
    cancelled errors { code path } } }"""
UPDATE = """mutation ($id: ID!, $input: PackagesRuleUpdateInput!) {
    packagesRuleUpdate(id: $id, input: $input) {
        rule { name budget { amount } perCustomer endsAt } errors { code path } } }"""
WAVES = """query ($where: PackagesWaveWhere, $after: String) {
    packagesWaves(first: 1, where: $where, after: $after) {
        nodes { id parcels packed } pageInfo { endCursor } count { value } } }"""
PARCELS = """query ($id: ID!, $where: PackagesParcelWhere) {
    packagesParcels(waveId: $id, where: $where) { nodes { code orderNumber } } }"""
PARCEL = """query ($code: String!) { packagesParcel(code: $code) {
    orderNumber packedAt items { name couponCode } } }"""
CONFIRM = """mutation ($input: PackagesParcelConfirmInput!) { packagesParcelConfirm(input: $input) {
    parcel { packedAt } errors { code path } } }"""


async def parcels(ask, wave, where=None):
    given = {} if where is None else {"where": where}
    return (await ask(PARCELS, id=wave, **given))["packagesParcels"]["nodes"]


async def test_a_wave_is_taken_back_but_for_what_is_packed(merchant, ask):
    now = merchant.clock()
    ids = await kit.add_orders(merchant, *(order(n, f"b{n}", now=now) for n in (1, 2)))
    made = await coupons.template(merchant, source="pool")
    async with merchant.work() as w:
        await take_in(w, made.id, ["AAA1", "BBB2"])
    card = await kit.insert(
        merchant, "card", InsertKind.COUPON, stock=5, codes=Codes("coupons", {"template": "ten"})
    )
    note = await kit.insert(merchant, "note", InsertKind.NOTE, text="谢谢", unit_cost=100)
    await kit.rule(merchant, "card", card, per_customer=1)
    await kit.rule(merchant, "note", note, budget=200)
    wave = global_id("PackagesWave", await kit.wave(merchant, dict.fromkeys(ids, 1)))
    first, second = await parcels(ask, wave)
    seen = (await ask(PARCEL, code=second["code"]))["packagesParcel"]
    assert seen == {
        "orderNumber": "N2", "packedAt": None,
        "items": [{"name": "card", "couponCode": "BBB2"}, {"name": "note", "couponCode": None}],
    }  # fmt: skip
    await ask(CONFIRM, input={"code": first["code"]})
    assert await parcels(ask, wave, {"packed": {"eq": False}}) == [second]
    assert await parcels(ask, wave, {"packed": {"eq": True}}) == [first]
    assert await parcels(ask, wave, {"late": {"eq": True}}) == []

    for count in (1, 0):
        told = (await ask(CANCEL, id=wave))["packagesWaveCancel"]
        assert told == {"cancelled": count, "errors": []}
    assert await kit.stock(merchant, card) == (4, 0)
    assert await coupons.entries(merchant) == {"held": 2, "granted": 1, "returned": 1}
    async with merchant.read() as session:
        tasks = await session.sql.fetch(
            "SELECT state FROM tasks WHERE merchant_id = $1 ORDER BY id", merchant.id
        )
        spent = await session.sql.fetchval(
            "SELECT spent FROM packages_rules WHERE merchant_id = $1 AND name = 'note'", merchant.id
        )
    assert ([row["state"] for row in tasks], spent) == (["open", "cancelled"], 100)
    gone = (await ask(CONFIRM, input={"code": second["code"]}))["packagesParcelConfirm"]
    assert gone["errors"] == [{"code": "NOT_FOUND", "path": ["input", "code"]}]

    again = global_id("PackagesWave", await kit.wave(merchant))
    main, other = ({"warehouse": {"eq": name}} for name in ("main", "other"))
    waves = (await ask(WAVES, where=main))["packagesWaves"]
    assert waves["nodes"] == [{"id": again, "parcels": 1, "packed": 0}]
    assert waves["count"] == {"value": 2}
    after = waves["pageInfo"]["endCursor"]
    older = (await ask(WAVES, where=main, after=after))["packagesWaves"]
    assert older["nodes"] == [{"id": wave, "parcels": 1, "packed": 1}]
    assert (await ask(CANCEL, id=again))["packagesWaveCancel"]["cancelled"] == 1
    left = (await ask(WAVES))["packagesWaves"]
    assert left["nodes"] == [{"id": wave, "parcels": 1, "packed": 1}]
    assert (await ask(WAVES, where=other))["packagesWaves"]["nodes"] == []
    missing = (await ask(CANCEL, id=again))["packagesWaveCancel"]
    assert missing["errors"] == [{"code": "NOT_FOUND", "path": ["id"]}]


async def test_limits_of_a_rule_change(merchant, ask):
    sample = await kit.insert(merchant, "sample")
    made = global_id("PackagesRule", await kit.rule(merchant, "rule", sample, per_customer=1))
    await kit.rule(merchant, "other", sample)
    given = {
        "name": "new",
        "budget": "12.50",
        "perCustomer": None,
        "endsAt": "2026-07-01T00:00:00+00:00",
    }
    told = (await ask(UPDATE, id=made, input=given))["packagesRuleUpdate"]
    assert told == {"errors": [], "rule": {
        "name": "new", "budget": {"amount": "12.50"}, "perCustomer": None,
        "endsAt": "2026-07-01T00:00:00+00:00",
    }}  # fmt: skip
    for wrong, code, path in (
        ({"name": "other"}, "ALREADY_EXISTS", ["input", "name"]),
        ({"priority": 1001}, "INVALID_INPUT", ["input", "priority"]),
        ({"startsAt": "2026-08-01T00:00:00Z"}, "INVALID_INPUT", ["input", "endsAt"]),
    ):  # fmt: skip
        told = (await ask(UPDATE, id=made, input=wrong))["packagesRuleUpdate"]
        assert told["errors"] == [{"code": code, "path": path}]
    told = (await ask(UPDATE, id=global_id("PackagesRule", 10**9), input={}))["packagesRuleUpdate"]
    assert told["errors"] == [{"code": "NOT_FOUND", "path": ["id"]}]


UNPACK = """mutation ($input: PackagesParcelUnpackInput!) { packagesParcelUnpack(input: $input) {
    parcel { packedAt late } errors { code path } } }"""
OPEN = {"parcel": {"packedAt": None, "late": None}, "errors": []}


async def test_a_parcel_that_was_scanned_by_mistake_is_as_before(merchant, ask):
    (order_id,) = await kit.add_orders(merchant, order(1, "b", now=merchant.clock()))
    made = await coupons.template(merchant, source="pool", valid_days=30)
    async with merchant.work() as w:
        await take_in(w, made.id, ["AAA1"])
    card = await kit.insert(
        merchant, "card", InsertKind.COUPON, stock=5, codes=Codes("coupons", {"template": "ten"})
    )
    tea = await kit.insert(merchant, "tea", stock=5)
    await kit.rule(merchant, "card", card)
    # one insert of two rules counts twice
    await kit.rule(merchant, "tea", tea)
    await kit.rule(merchant, "more tea", tea)
    wave = global_id("PackagesWave", await kit.wave(merchant, {order_id: 1}))
    (parcel,) = await parcels(ask, wave)
    code = {"code": parcel["code"]}
    assert (await kit.stock(merchant, card), await kit.stock(merchant, tea)) == ((5, 1), (5, 2))
    await ask(CONFIRM, input=code)
    assert (await kit.stock(merchant, card), await kit.stock(merchant, tea)) == ((4, 0), (3, 0))
    for _ in range(2):
        assert (await ask(UNPACK, input=code))["packagesParcelUnpack"] == OPEN
    assert (await kit.stock(merchant, card), await kit.stock(merchant, tea)) == ((5, 1), (5, 2))
    assert (await coupons.buy(merchant, "AAA1", "o1")).codes[0].reason == (
        "it has not been given to a customer yet"
    )
    async with merchant.read() as session:
        audited = await session.sql.fetchval(
            """SELECT count(*) FROM audit_log
               WHERE merchant_id = $1 AND action = 'packages.parcel_unpacked'""",
            merchant.id,
        )  # fmt: skip
    assert audited == 1

    await ask(CONFIRM, input=code)
    assert (await kit.stock(merchant, card), await kit.stock(merchant, tea)) == ((4, 0), (3, 0))
    assert (await coupons.buy(merchant, "AAA1", "o1")).done
    await ask(UNPACK, input=code)  # a coupon that was used stays used
    assert (await coupons.buy(merchant, "AAA1", "o2")).codes[0].reason == "it was used already"
    assert await coupons.entries(merchant) == {"held": 2, "granted": 2, "redeemed": 1}


async def test_an_order_that_closed_meanwhile_gives_all_back(merchant, ask):
    now = merchant.clock()
    (order_id,) = await kit.add_orders(merchant, order(1, "b", now=now))
    tea = await kit.insert(merchant, "tea", stock=5, unit_cost=100)
    await kit.rule(merchant, "tea", tea, budget=200)
    wave = global_id("PackagesWave", await kit.wave(merchant, {order_id: 1}))
    (parcel,) = await parcels(ask, wave)
    await ask(CONFIRM, input={"code": parcel["code"]})
    await kit.add_orders(merchant, order(1, "b", OrderState.CLOSED_REFUNDED, now=now))
    told = (await ask(UNPACK, input={"code": parcel["code"]}))["packagesParcelUnpack"]
    assert told == {"parcel": {"packedAt": None, "late": "CLOSED"}, "errors": []}
    assert await kit.stock(merchant, tea) == (5, 0)
    refused = (await ask(CONFIRM, input={"code": parcel["code"]}))["packagesParcelConfirm"]
    assert refused["errors"][0]["code"] == "WRONG_STATE"
    wrong = (await ask(UNPACK, input={"code": "HP99999999997"}))["packagesParcelUnpack"]
    assert wrong["errors"][0]["path"] == ["input", "code"]
