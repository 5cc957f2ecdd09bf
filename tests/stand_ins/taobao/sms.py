"""Text messages: approved templates only, an oaid of the very order, and reports later."""

import orjson

from tests.stand_ins.taobao.errors import TopError, missing
from tests.stand_ins.taobao.gateway import api
from tests.stand_ins.taobao.shapes import at


def refused(reason):
    return TopError(15, "Remote service error", f"isv.{reason}")


def accept(call, to, params):
    """Take a message; returns the id under which reports come."""
    world = call.world
    if params.get("sms_free_sign_name") not in world.sms_signs:
        raise refused("SMS_SIGNATURE_ILLEGAL")
    if params.get("template_code") not in world.sms_templates:
        raise refused("SMS_TEMPLATE_ILLEGAL")
    biz_id = f"biz-{len(world.sms):04d}"
    world.sms.append({"biz_id": biz_id, "to": to, "shop": call.shop, **params})
    return biz_id


@api("taobao.jst.sms.oaid.message.send", "w1")
def by_oaid(call):
    oaid, order = call.need("oaid"), call.need("order_id")
    versions = call.shop.trades.get(int(order))
    if versions is None or versions[-1][1]["oaid"] != oaid:
        raise refused("OAID_ILLEGAL")
    params = dict(call.params, params=orjson.loads(call.params.get("params", "{}")))
    return {"module": accept(call, oaid, params), "req_id": "syn"}


@api("taobao.opencrm.sms.single.post", "w1")
def by_ouid(call):
    content = orjson.loads(call.need("task_content"))
    if not content.get("ouid"):
        raise missing("ouid")
    return {"module": accept(call, content["ouid"], content)}


def report(world, sent, state="1", error=None, group="sms"):
    """What became of a message, told later."""
    content = {
        "biz_id": sent["biz_id"], "state": state, "extend": sent["extend"],
        "rept_time": at(world.now()),
    }  # fmt: skip
    if error:
        content["err_code"] = error
    return world.tell(sent["shop"], "alibaba_aliqin_TaFcSmsDR", content, group)


def answer(world, sent, text="T", group="sms"):
    """Somebody writes back."""
    content = {
        "sender": "138****0001", "content": text, "dest_code": "1069", "sms_seq": "1",
        "sender_time": at(world.now()),
    }  # fmt: skip
    return world.tell(sent["shop"], "alibaba_aliqin_FcSmsUp", content, group)
