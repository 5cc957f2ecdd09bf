"""Coupons, benefits and rights: success of the call says nothing of success for a buyer."""

import orjson

from tests.stand_ins.taobao.errors import invalid, no_such
from tests.stand_ins.taobao.gateway import api
from tests.stand_ins.taobao.lists import paged
from tests.stand_ins.taobao.shapes import Items


@api("taobao.promotion.coupons.get", "r1")
def listed(call):
    rows = [
        {key: value for key, value in coupon.items() if key not in ("stock", "given")}
        for coupon in call.shop.coupons.values()
    ]
    return paged(call, rows, "coupons", "coupon", largest=20)


@api("taobao.promotion.coupon.send", "w1")
def send(call):
    coupon = call.shop.coupons.get(int(call.need("coupon_id")))
    if coupon is None:
        raise no_such("coupon")
    buyers = [one["ouid"] for one in orjson.loads(call.need("ouid_data"))]
    if not 1 <= len(buyers) <= 100:
        raise invalid("ouid_data")
    failed, given = [], []
    for ouid in buyers:
        member = call.shop.members.get(ouid)
        if member is None or not member["grade"]:
            failed.append({"ouid": ouid, "reason": "NOT_SHOP_MEMBER"})
        elif coupon["stock"] <= 0:
            failed.append({"ouid": ouid, "reason": "NO_STOCK"})
        else:
            coupon["stock"] -= 1
            coupon["given"].append(ouid)
            given.append({"ouid": ouid, "coupon_number": call.world.new_id()})
    return {
        "is_success": True, "failure_buyers": Items("error_message", failed),
        "coupon_results": Items("coupon_result", given),
    }  # fmt: skip


@api("taobao.promotion.benefit.activity.send", "w1")
def benefit(call):
    request = orjson.loads(call.need("send_request"))
    known, relation = call.world.benefits, request["relation_id"]
    unique = request["unique_id"]
    if unique not in known:
        stock = call.world.benefit_stock
        known[unique] = (relation, call.need("ouid"), stock[relation] > 0)
        stock[relation] -= 1
    done = known[unique][2]
    result = {
        "index_id": 1, "success_count": int(done), "failure_count": int(not done),
        "error_code_list": Items("string", [] if done else ["SYN_NO_STOCK"]),
    }  # fmt: skip
    return {
        "is_success": True, "unique_id": unique,
        "result_list": Items("benefit_send_result_ext", [result]),
    }  # fmt: skip


@api("alibaba.benefit.send", "w1")
def right(call):
    known, unique = call.world.benefits, call.need("unique_id")
    known.setdefault(unique, (call.need("right_ename"), call.need("receiver_id"), True))
    return {
        "result_success": True, "result_code": "SYN_OK", "result_msg": "", "right_id": 3000001,
        "prize_name": "5元券",
    }  # fmt: skip
