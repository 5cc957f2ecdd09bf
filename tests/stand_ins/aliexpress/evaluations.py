"""Evaluations: by orders, or by when they became valid."""

from tests.stand_ins.aliexpress.errors import wrong
from tests.stand_ins.aliexpress.gateway import api
from tests.stand_ins.aliexpress.shapes import Items, read


@api("aliexpress.evaluation.listorderevaluation.get", inside=None)
def evaluations(call):
    request = call.object("trade_evaluation_request")
    orders = request.get("parent_order_ids")
    if orders is not None and not 1 <= len(orders) <= 50:
        raise wrong("50 orders at most")
    first, last = (
        read(request[name], call.world.fold) if request.get(name) else None
        for name in ("start_valid_date", "end_valid_date")
    )
    if orders is None and not (first and last):
        raise wrong("orders or dates")
    rows = [
        one for one in call.shop.evaluations
        if (orders is None or one["parent_order_id"] in orders)
        and (first is None or first <= one["valid_date"] <= last)
    ]  # fmt: skip
    return {
        "target_list": Items("trade_evaluation_open_dto", rows), "time_stamp": call.world.now(),
    }  # fmt: skip
