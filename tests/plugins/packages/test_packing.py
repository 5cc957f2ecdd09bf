"""From the orders that wait to parcels that are packed, by the API."""

import pytest

from core.domain.shops.plugins import plugin_context
from core.sdk import InvalidInput, NotFound, Occurrence
from core.sdk.orders import OrderState
from plugins.packages.changes import follow
from plugins.packages.inserts import InsertKind
from plugins.packages.outcomes import Outcome
from plugins.packages.packing import code_of, read_code
from tests.plugins.packages import kit
from tests.plugins.packages.kit import order

INSERT = """mutation ($input: PackagesInsertCreateInput!) { packagesInsertCreate(input: $input) {
    insert { id unitCost { amount } } errors { code path message } } }"""
STOCK = """mutation ($input: PackagesStockSetInput!) { packagesStockSet(input: $input) {
    insert { stock { warehouse onHand reserved } } errors { path } } }"""
RULE = """mutation ($input: PackagesRuleCreateInput!) { packagesRuleCreate(input: $input) {
    rule { id isOn sentence zh: sentence(language: ZH) holdout } errors { path message } } }"""
START = "mutation ($id: ID!) { packagesRuleStart(id: $id) { rule { isOn } errors { path } } }"
TRY = """{ packagesDryRun(warehouse: "main", day: "2026-06-14") { parcels cost { amount }
    counts { rule insert outcome parcels } stockLeft { insert left }
    choices { insert reason zh: reason(language: ZH) } } }"""
WAVE = """mutation ($input: PackagesWaveCreateInput!) { packagesWaveCreate(input: $input) {
    wave { id parcels packed } errors { path message } } }"""
PARCELS = """query ($id: ID!) { packagesParcels(waveId: $id) {
    nodes { code orderNumber late items { name } } } }"""
FILE = """mutation ($input: PackagesWaveFileCreateInput!) { packagesWaveFileCreate(input: $input) {
    file { name size url } errors { path message } } }"""
CONFIRM = """mutation ($input: PackagesParcelConfirmInput!) { packagesParcelConfirm(input: $input) {
    parcel { packedAt items { name } } errors { code path message } } }"""


async def test_the_whole_way(merchant, ask):
    now = merchant.clock()
    await kit.add_orders(
        merchant, order(1, "a", now=now), order(2, "b", name="李<芳>&", now=now),
        order(3, "c", state=OrderState.SHIPPED, now=now),
    )  # fmt: skip
    wrong = await ask(INSERT, input={"name": "card", "kind": "CARD", "text": "{{ x }}"})
    assert wrong["packagesInsertCreate"]["errors"][0]["path"] == ["input", "text"]
    card = await ask(INSERT, input={
        "name": "感谢卡", "kind": "CARD", "text": "亲爱的{{ customer.name }}，谢谢！",
        "unitCost": "0.50", "tracksStock": True, "lowStock": 8})  # fmt: skip
    card_id = card["packagesInsertCreate"]["insert"]["id"]
    assert card["packagesInsertCreate"]["insert"]["unitCost"] == {"amount": "0.50"}
    await ask(STOCK, input={"insertId": card_id, "warehouse": "main", "onHand": 10})
    wrong = await ask(RULE, input={
        "name": "wrong", "variants": [{"insertId": card_id}],
        "customers": {"purchaseCount": {}}})  # fmt: skip
    assert wrong["packagesRuleCreate"]["errors"][0]["path"] == [
        "input", "customers", "purchaseCount"
    ]  # fmt: skip
    rule = await ask(RULE, input={
        "name": "thanks", "variants": [{"insertId": card_id}], "perCustomer": 1,
        "customers": {"purchaseCount": {"atLeast": 1}}, "orders": {"purchaseTo": 1}})  # fmt: skip
    made = rule["packagesRuleCreate"]["rule"]
    assert made["isOn"] is False
    assert made["sentence"].endswith("and it is the first purchase")
    assert made["zh"].endswith("且是首次购买")
    await ask(START, id=made["id"])
    tried = (await ask(TRY))["packagesDryRun"]
    assert tried["parcels"] == 3
    assert tried["counts"] == [
        {"rule": "thanks", "insert": "感谢卡", "outcome": "GIVEN", "parcels": 3}
    ]
    assert (tried["cost"], tried["stockLeft"]) == (
        {"amount": "1.50"}, [{"insert": "感谢卡", "left": 7}]
    )  # fmt: skip
    assert tried["choices"][0]["reason"].startswith("感谢卡, because the customer")
    given = (await ask(WAVE, input={"warehouse": "main"}))["packagesWaveCreate"]["wave"]
    assert (given["parcels"], given["packed"]) == (2, 0)
    again = await ask(WAVE, input={"warehouse": "main"})
    assert again["packagesWaveCreate"] == {"wave": None, "errors": []}
    parcels = (await ask(PARCELS, id=given["id"]))["packagesParcels"]["nodes"]
    assert [(one["orderNumber"], one["items"]) for one in parcels] == [
        ("N1", [{"name": "感谢卡"}]), ("N2", [{"name": "感谢卡"}])
    ]  # fmt: skip
    files = {}
    for kind in ("CSV", "PDF"):
        told = await ask(FILE, input={"waveId": given["id"], "format": kind})
        file = told["packagesWaveFileCreate"]["file"]
        got = await ask.client.get(file["url"].removeprefix("http://127.0.0.1:8000"))
        assert got.status_code == 200
        assert len(got.content) == file["size"]
        files[kind] = got.content
    text = files["CSV"].decode("utf-8-sig")
    assert "亲爱的李<芳>&，谢谢！" in text
    assert parcels[0]["code"] in text
    assert files["PDF"].startswith(b"%PDF-")
    code = parcels[0]["code"]
    for _ in range(2):
        packed = (await ask(CONFIRM, input={"code": code.lower()}))["packagesParcelConfirm"]
        assert packed["errors"] == []
        assert packed["parcel"]["items"] == [{"name": "感谢卡"}]
    misread = await ask(CONFIRM, input={"code": code[:-1] + str((int(code[-1]) + 1) % 10)})
    assert misread["packagesParcelConfirm"]["errors"][0]["code"] == "INVALID_INPUT"
    async with merchant.read() as session:
        stock = await session.sql.fetchrow(
            "SELECT on_hand, reserved FROM packages_stock WHERE merchant_id = $1", merchant.id
        )
        told = await session.sql.fetch(
            """SELECT type FROM outbox_events WHERE merchant_id = $1 AND type LIKE 'packages.%'
               ORDER BY id""",
            merchant.id,
        )
    assert tuple(stock) == (9, 1)
    assert [row["type"] for row in told] == ["packages.stock_low", "packages.parcel_packed"]


def occurrence(merchant, type, **payload):
    return Occurrence(1, merchant.id, type, merchant.clock(), payload)


async def test_late_changes(merchant):
    now = merchant.clock()
    closed, refunded = await kit.add_orders(
        merchant, order(1, "a", now=now), order(2, "b", now=now)
    )
    gift = await kit.insert(merchant, "gift", InsertKind.GIFT, stock=5, unit_cost=100)
    await kit.rule(merchant, "gift", gift, budget=1000)
    await kit.wave(merchant)
    assert await kit.stock(merchant, gift) == (5, 2)
    context = await plugin_context(
        merchant.installation.db, merchant.installation.registry, "packages", merchant.id
    )
    for _ in range(2):
        await follow(context, occurrence(
            merchant, "order.state_changed", order_id=closed, state="closed_refunded"))  # fmt: skip
        await follow(context, occurrence(
            merchant, "refund.state_changed", order_id=refunded, old_state=None))  # fmt: skip
    assert await kit.stock(merchant, gift) == (5, 1)
    found = await kit.outcomes(merchant)
    assert (found["N1", 1, "gift"], found["N2", 1, "gift"]) == (Outcome.RELEASED, Outcome.GIVEN)
    async with merchant.read() as session:
        late = await session.sql.fetch(
            "SELECT late FROM packages_parcels WHERE merchant_id = $1 ORDER BY id", merchant.id
        )
        spent = await session.sql.fetchval(
            "SELECT spent FROM packages_rules WHERE merchant_id = $1", merchant.id
        )
    assert ([row["late"] for row in late], spent) == (["closed", "refund"], 100)


async def test_only_orders_that_are_ready_are_packed(merchant):
    now = merchant.clock()
    ready, gone = await kit.add_orders(
        merchant, order(1, "a", now=now), order(2, "b", state=OrderState.DELIVERED, now=now)
    )
    for wanted in ({ready: 1, gone: 1}, {ready: 1, 2**62: 1}, {ready: 0}, {}):
        with pytest.raises((InvalidInput, NotFound)):
            await kit.wave(merchant, wanted)
    assert await kit.wave(merchant, {ready: 2}) is not None
    assert await kit.wave(merchant, {ready: 2}) is None


async def test_notes_become_tasks(merchant):
    (one,) = await kit.add_orders(merchant, order(1, "a", name="王芳", now=merchant.clock()))
    note = await kit.insert(merchant, "手写卡", InsertKind.NOTE, text="{{ customer.name }}，祝好")
    await kit.rule(merchant, "note", note)
    await kit.wave(merchant, {one: 1})
    async with merchant.read() as session:
        rows = await session.sql.fetch(
            "SELECT title, text, kind, order_id FROM tasks WHERE merchant_id = $1", merchant.id
        )
    assert [tuple(row) for row in rows] == [("手写卡", "王芳，祝好", "parcel", one)]


@pytest.mark.parametrize("number", [1, 9, 10, 4711, 2**40])
def test_a_barcode_with_one_wrong_digit_is_not_taken(number):
    code = code_of(number)
    assert read_code(f" {code}\n") == number
    for place in range(2, len(code)):
        for digit in "0123456789":
            wrong = code[:place] + digit + code[place + 1 :]
            if wrong != code:
                with pytest.raises(InvalidInput):
                    read_code(wrong)


def test_the_check_digit_is_that_of_luhn():
    """The example of ISO/IEC 7812: 7992739871 has the check digit 3."""
    assert code_of(7992739871) == "HP79927398713"
