"""Conversations: opened by a buyer's login or number, and what may be put into them."""

from tests.stand_ins.aliexpress.errors import BusinessError, wrong
from tests.stand_ins.aliexpress.gateway import api

NEEDS = {1: "txt", 10006: "item_id", 10007: "order_id", 21004: "promotion_id"}


def blocked():
    return BusinessError("SYN_BUYER_BLOCK", "synthetic: cannot message this buyer")


@api("aliexpress/message/session/open")
def open_session(call):
    login = call.params.get("buyer_login_id")
    number = call.shop.buyers.get(login) or int(call.params.get("buyer_id") or 0)
    if number not in call.shop.buyers.values():
        return {"success": True, "data": {"open_result": "FAIL"}}
    call.world.opened.add((call.shop.seller_id, number))
    return {"success": True, "data": {"open_result": "SUCCESS", "current_buyer_id": number}}


@api("aliexpress/message/send")
def send(call):
    told = call.object("im_send_message_dto")
    buyer, template = told.get("buyer_id"), told.get("template_id")
    if (call.shop.seller_id, buyer) not in call.world.opened:
        raise blocked()
    content = told.get("message_content_dto") or {}
    if template not in NEEDS or not content.get(NEEDS[template]):
        raise wrong("the template needs its content")
    if told.get("scene_id") not in range(1, 7):
        raise wrong("there is no such scene")
    if template == 10007:
        versions = call.shop.orders.get(content["order_id"])
        if versions is None or call.shop.buyers[versions[-1][1]["buyer_login_id"]] != buyer:
            raise wrong("this is not the buyer's order")
    if template == 21004:
        _hand_out(call, content["promotion_id"])
    call.shop.sent.append(told)
    return {"success": True, "data": {"message_id": f"m-{len(call.shop.sent)}"}}


def _hand_out(call, number):
    for activity in call.shop.activities:
        if activity["id"] == number and activity["status"] == "releasing":
            if activity["released_num"] >= activity["total_release_num"]:
                raise BusinessError("SYN_NO_STOCK", "synthetic: none is left")
            activity["released_num"] += 1
            return
    raise wrong("there is no such coupon")
