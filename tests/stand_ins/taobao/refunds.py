"""Refunds."""

from tests.stand_ins.taobao.errors import no_such
from tests.stand_ins.taobao.gateway import api
from tests.stand_ins.taobao.lists import paged, window, within
from tests.stand_ins.taobao.shapes import Items, only

USUAL = {"guarantee_trade", "auto_delivery"}


@api("taobao.refunds.receive.get", "r2")
def received(call):
    fields = call.fields()
    first, last = window(call, "start_modified", "end_modified")
    types = set((call.params.get("type") or "").split(",")) - {""} or USUAL
    rows = [
        row for row in call.shop.refunds.values()
        if row.get("type", "fixed") in types and within(row, "modified", first, last)
    ]  # fmt: skip
    rows.sort(key=lambda row: (row["modified"], row["refund_id"]), reverse=True)
    answer = paged(call, rows, "refunds", "refund")
    answer["refunds"] = Items("refund", [only(row, fields) for row in answer["refunds"]])
    return answer


@api("taobao.refund.get", "r2")
def one(call):
    row = call.shop.refunds.get(call.need("refund_id"))
    if row is None:
        raise no_such("refund")
    return {"refund": only(row, call.fields())}
