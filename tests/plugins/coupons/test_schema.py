"""The plugin's GraphQL fields, from a template to a redeemed code, and guessers."""

from datetime import timedelta

from core.schema.scalars import global_id
from tests.plugins.coupons.kit import people

ERRORS = "errors { code path message }"
CREATE = f"""mutation ($input: CouponsTemplateCreateInput!) {{
    couponsTemplateCreate(input: $input) {{
    template {{ id percent spent {{ amount }} }} {ERRORS} }} }}"""
GRANT = f"""mutation ($input: CouponsGrantInput!) {{ couponsGrant(input: $input) {{
    grants {{ code couponId reason }} {ERRORS} }} }}"""
QUOTE = """query ($basket: CouponBasketInput!) { couponsQuote(basket: $basket) {
    done amount { amount currency } codes { applicable reason amount { amount } } } }"""
REDEEM = f"""mutation ($input: CouponsRedeemInput!) {{ couponsRedeem(input: $input) {{
    outcomes {{ done amount {{ amount }} }} {ERRORS} }} }}"""
COUPONS = (
    """query ($id: ID!) { customer(id: $id) { coupons { name code state amount { amount } } } }"""
)
FIGURES = """{ couponsFigures(from: "2026-06-15", to: "2026-06-15") {
    name granted claimed redeemed sales { amount } off { amount } } }"""
TEN = {"name": "Ten percent", "handle": "ten", "kind": "PERCENT_OFF", "currency": "CNY",
       "percent": "10", "budget": "50.00", "threshold": "100"}  # fmt: skip


def basket(*codes, order="E1", **more):
    lines = [{"productId": "tea", "amount": "99.99"}, {"productId": "cup", "amount": "20.01"}]
    return {"codes": list(codes), "currency": "CNY", "lines": lines, "order": order, **more}


async def test_from_template_to_redemption(merchant, ask):
    (person,) = await people(merchant, 1)
    customer = str(global_id("Customer", person))
    made = await ask(CREATE, input=TEN)
    assert made["template"]["percent"] == "10"
    again = await ask(CREATE, input=TEN)
    assert [one["path"] for one in again["errors"]] == [["input", "handle"]]
    given = {"templateId": made["template"]["id"], "customerIds": [customer],
             "idempotencyKey": "spring"}  # fmt: skip
    (grant,) = (await ask(GRANT, input=given))["grants"]
    assert (await ask(GRANT, input=given))["grants"] == [grant]
    quoted = await ask(QUOTE, basket=basket(grant["code"].lower(), customerId=customer))
    assert quoted == {
        "done": True, "amount": {"amount": "12.00", "currency": "CNY"},
        "codes": [{"applicable": True, "reason": None, "amount": {"amount": "12.00"}}],
    }  # fmt: skip
    for _ in range(2):
        done = await ask(REDEEM, input={"baskets": [basket(grant["code"])]})
        assert done == {"outcomes": [{"done": True, "amount": {"amount": "12.00"}}], "errors": []}
    (figure,) = await ask(FIGURES)
    assert figure == {
        "name": "Ten percent", "granted": 1, "claimed": 0, "redeemed": 1,
        "sales": {"amount": "108.00"}, "off": {"amount": "12.00"},
    }  # fmt: skip
    found = await ask(COUPONS, id=customer)
    assert found["coupons"] == [{
        "name": "Ten percent", "code": grant["code"], "state": "REDEEMED",
        "amount": {"amount": "12.00"},
    }]  # fmt: skip


async def test_wrong_templates_say_what_is_wrong(ask):
    for change, path in (
        ({"percent": "100.01"}, "percent"), ({"percent": "0.001"}, "percent"),
        ({"amount": "1"}, "percent"), ({"handle": "A b"}, "handle"),
        ({"kind": "GIFT", "percent": None}, "gift"), ({"threshold": "1.001"}, "threshold"),
        ({"source": "PUBLIC"}, "publicCode"), ({"shopIds": ["x"]}, "shopIds"),
    ):  # fmt: skip
        made = await ask(CREATE, input=TEN | change)
        assert [one["path"] for one in made["errors"]] == [["input", path]], change


async def test_guessers_have_to_wait_and_who_mistypes_has_not(merchant, ask):
    mistyped = basket("22222222223A", client="10.0.0.1")
    for n in range(12):
        found = await ask(QUOTE, basket=mistyped)
        assert found["codes"][0]["reason"] == "the code is mistyped"
        await ask(REDEEM, input={"baskets": [basket(f"GUESS{n}", client="10.0.0.9")]})
    (error,) = (
        await ask(REDEEM, input={"baskets": [basket("GUESS", client="10.0.0.9")]})
    )["errors"]  # fmt: skip
    assert error["code"] == "COUPONS_GUESSING"
    merchant.clock.move(timedelta(hours=1))
    again = await ask(REDEEM, input={"baskets": [basket("GUESS", client="10.0.0.9")]})
    assert again["errors"] == []
