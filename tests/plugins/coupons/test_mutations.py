"""Every mutation through the API, with a call that is done and one that is refused."""

from datetime import timedelta

import pytest

from core.schema.scalars import global_id
from plugins.coupons.granting import by_handle
from plugins.coupons.issuing import Recipient, issue
from tests.plugins.coupons.kit import people, template
from tests.plugins.coupons.test_schema import basket

FIELDS = {
    "couponsTemplateUpdate": "template { name state valid: validUntil budget { amount } }",
    "couponsCodesMake": "template { stock }", "couponsCodesImport": "added known",
    "couponsCodesFileCreate": "file { name url }",
    "couponsGrant": "grants { customerId couponId code reason }",
    "couponsClaim": "grant { code couponId }",
    "couponsReserve": "outcome { done codes { reason } }",
    "couponsRedeem": "outcomes { done codes { reason gift } }", "couponsRelease": "released",
    "couponsRevoke": "revoked", "couponsTransfer": "transferred",
}  # fmt: skip
COUPON = """query ($code: String!) { couponsCoupon(code: $code) {
    state customerId order amount { amount } entries { kind order amount { amount } reason } } }"""
TEMPLATES = """query ($first: Int!, $after: String, $where: CouponTemplateWhere) {
    couponsTemplates(first: $first, after: $after, where: $where) {
        nodes { handle stock } pageInfo { endCursor } count { value } } }"""


@pytest.fixture
async def world(merchant, ask):
    """A merchant with one template of each source and two customers, and how its API is asked."""
    own = await template(merchant, transfers=1, claimable=True, per_customer=3)
    pool = await template(merchant, handle="pool", source="pool", kind="gift", value=0, gift="cup")
    await template(merchant, handle="all", source="public", public_code="ALL1")
    ids = {"own": global_id("CouponTemplate", own.id), "pool": global_id("CouponTemplate", pool.id)}
    ids |= {
        name: global_id("Customer", one)
        for name, one in zip(("a", "b"), await people(merchant, 2), strict=True)
    }

    async def call(name, given, **more):
        kind = f"{name[0].upper()}{name[1:]}Input"
        variables = ", ".join([f"$input: {kind}!", *(f"${one}: ID!" for one in more)])
        arguments = ", ".join(f"{one}: ${one}" for one in ["input", *more])
        told = await ask(
            f"""mutation ({variables}) {{ {name}({arguments}) {{
                {FIELDS[name]} errors {{ code path message }} }} }}""",
            input=given, **more,
        )  # fmt: skip
        return told, [(one["code"], one["path"]) for one in told["errors"]]

    return ids, call, ask


async def test_templates_and_codes(merchant, world):
    ids, call, ask = world
    changed, none = await call(
        "couponsTemplateUpdate", {"name": "new", "state": "PAUSED", "budget": "9.50"}, id=ids["own"]
    )
    assert none == []
    assert changed["template"] == {
        "name": "new", "state": "PAUSED", "valid": None, "budget": {"amount": "9.50"}
    }  # fmt: skip
    _, errors = await call("couponsTemplateUpdate", {"perCustomer": 0}, id=ids["own"])
    assert errors == [("INVALID_INPUT", ["input", "perCustomer"])]
    _, errors = await call("couponsTemplateUpdate", {}, id=global_id("CouponTemplate", 10**9))
    assert errors == [("NOT_FOUND", ["id"])]

    nothing, _ = await call("couponsCodesFileCreate", {"templateId": ids["own"]})
    assert nothing["file"] is None
    wanted = {"templateId": ids["own"], "count": 3, "idempotencyKey": "print"}
    for _ in range(2):
        made, _ = await call("couponsCodesMake", wanted)
        assert made["template"] == {"stock": 3}
    for wrong, path in (({"count": 0}, "count"), ({"templateId": ids["pool"]}, "templateId")):
        _, errors = await call(
            "couponsCodesMake", {**wanted, "idempotencyKey": path, **wrong}
        )  # fmt: skip
        assert errors == [("INVALID_INPUT", ["input", path])]
    given = {"templateId": ids["pool"], "codes": ["AAA-1", "aaa1", "BBB2"]}
    taken, _ = await call("couponsCodesImport", given)
    assert (taken["added"], taken["known"]) == (2, 1)
    _, errors = await call("couponsCodesImport", {**given, "codes": ["OK12", "x"]})
    assert errors == [("INVALID_INPUT", ["input", "codes", "1"])]
    given = {**given, "codes": ["x", "CCC3", "bbb2"], "onError": "CONTINUE"}
    taken, errors = await call("couponsCodesImport", given)
    assert (taken["added"], taken["known"]) == (1, 1)
    assert errors == [("INVALID_INPUT", ["input", "codes", "0"])]
    filed, none = await call("couponsCodesFileCreate", {"templateId": ids["pool"]})
    assert none == []
    assert filed["file"]["name"].endswith(".csv")
    _, errors = await call("couponsCodesFileCreate", {"templateId": ids["a"]})
    assert errors == [("NOT_FOUND", ["input", "templateId"])]

    active = {"state": {"eq": "ACTIVE"}}
    page = await ask(TEMPLATES, first=1, where=active)
    assert page["count"] == {"value": 2}
    rest = await ask(TEMPLATES, first=1, where=active, after=page["pageInfo"]["endCursor"])
    assert rest["nodes"] == [{"handle": "pool", "stock": 3}]


async def test_giving_and_taking_back(merchant, world):
    ids, call, ask = world
    given = {"templateId": ids["own"], "customerIds": [ids["a"], ids["b"]],
             "idempotencyKey": "spring"}  # fmt: skip
    granted, none = await call("couponsGrant", given)
    assert none == []
    assert [one["customerId"] for one in granted["grants"]] == given["customerIds"]
    assert await call("couponsGrant", given) == (granted, [])
    reused = [("IDEMPOTENCY_KEY_REUSED", ["input", "idempotencyKey"])]
    _, errors = await call("couponsGrant", {**given, "customerIds": [ids["a"]]})
    assert errors == reused
    _, errors = await call("couponsGrant", {**given, "customerIds": [], "idempotencyKey": "0"})
    assert errors == [("INVALID_INPUT", ["input", "customerIds"])]
    known = {**given, "customerIds": [ids["a"], global_id("Customer", 10**9)]}
    missing = [("NOT_FOUND", ["input", "customerIds", "1"])]
    known["idempotencyKey"] = "mixed"
    assert (await call("couponsGrant", known))[1] == missing
    for _ in range(2):
        some, errors = await call("couponsGrant", {**known, "onError": "CONTINUE"})
        assert errors == missing
        assert [one and one["customerId"] for one in some["grants"]] == [ids["a"], None]
    other = {"templateId": ids["pool"], "idempotencyKey": "x"}
    _, errors = await call("couponsGrant", {**given, **other})
    assert errors == [("COUPONS_EXHAUSTED", ["input", "templateId"])]

    wanted = {"handle": "ten", "customerId": ids["a"], "idempotencyKey": "1"}
    claimed, _ = await call("couponsClaim", wanted)
    assert claimed == (await call("couponsClaim", wanted))[0]
    assert (await call("couponsClaim", {**wanted, "handle": "all"}))[1] == reused
    for wrong, path in (({}, "customerId"), ({"handle": "pool"}, "handle")):
        _, errors = await call("couponsClaim", {**wanted, "idempotencyKey": "2", **wrong})
        assert errors == [("COUPONS_UNUSABLE", ["input", path])]

    coupon = claimed["grant"]["couponId"]
    move = {"id": coupon, "customerId": ids["b"], "idempotencyKey": "m"}
    for _ in range(2):
        moved, none = await call("couponsTransfer", move)
        assert (moved["transferred"], none) == (True, [])
    back = {"customerId": ids["a"], "idempotencyKey": "n"}
    _, errors = await call("couponsTransfer", {**move, **back})
    assert errors == [("COUPONS_UNUSABLE", ["input", "id"])]
    for count in (1, 0):
        gone, _ = await call("couponsRevoke", {"ids": [coupon], "reason": "mistake"})
        assert gone["revoked"] == count
    other = granted["grants"][0]["couponId"]
    mixed = {"ids": [global_id("Coupon", 10**9), other, "?"], "reason": "x"}
    nobodys = [("NOT_FOUND", ["input", "ids", place]) for place in ("0", "2")]
    for policy, count in (("ABORT", None), ("CONTINUE", 1)):
        gone, errors = await call("couponsRevoke", {**mixed, "onError": policy})
        assert (gone["revoked"], errors) == (count, nobodys)
    seen = await ask(COUPON, code=claimed["grant"]["code"].lower())
    assert (seen["state"], seen["customerId"]) == ("REVOKED", ids["b"])
    assert [(one["kind"], one["reason"]) for one in seen["entries"]] == [
        ("CLAIMED", "claim"), ("TRANSFERRED", None), ("REVOKED", "mistake")
    ]  # fmt: skip


async def test_using(merchant, world):
    ids, call, ask = world
    async with merchant.work() as w:
        own = await by_handle(w, "ten")
        person = await w.sql.fetchval(
            "SELECT min(id) FROM customers WHERE merchant_id = $1", w.merchant_id
        )
        (coupon,) = await issue(w, own.id, [Recipient(person)], "test")
    one = basket(coupon.code, order="E1")
    held, none = await call("couponsReserve", {"basket": one})
    assert (held["outcome"]["done"], none) == (True, [])
    until = (merchant.clock() - timedelta(hours=1)).isoformat()
    _, errors = await call("couponsReserve", {"basket": one, "until": until})
    assert errors == [("INVALID_INPUT", ["input", "until"])]
    both, _ = await call("couponsRedeem", {"baskets": [basket(coupon.code, order="E2"), one]})
    assert [outcome["done"] for outcome in both["outcomes"]] == [False, True]
    assert both["outcomes"][0]["codes"][0]["reason"] == "it is reserved for another order"
    _, errors = await call("couponsRedeem", {"baskets": [one, one]})
    assert errors == [("INVALID_INPUT", ["input", "baskets"])]
    for count in (1, 0):
        back, _ = await call("couponsRelease", {"order": "E1", "redeemed": True})
        assert back["released"] == count
    _, errors = await call("couponsRelease", {"order": "E1", "shopId": ids["a"]})
    assert errors == [("NOT_FOUND", ["input", "shopId"])]
    seen = await ask(COUPON, code=coupon.code)
    assert (seen["state"], seen["order"], seen["amount"]) == ("GRANTED", None, None)
    assert [(e["kind"], e["order"], e["amount"] and e["amount"]["amount"])
            for e in seen["entries"]] == [
        ("GRANTED", None, None), ("RESERVED", "E1", "10.00"), ("REDEEMED", "E1", "10.00"),
        ("RELEASED", "E1", "10.00"),
    ]  # fmt: skip
    assert await ask(COUPON, code="NONE") is None
