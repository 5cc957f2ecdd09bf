"""Ratings, and what is written in Tmall."""

from datetime import timedelta

from tests.stand_ins.taobao.errors import invalid, no_such
from tests.stand_ins.taobao.gateway import api
from tests.stand_ins.taobao.lists import paged, window, within
from tests.stand_ins.taobao.shapes import Items, only

MOST = 1500
KEPT = timedelta(days=180)


@api("taobao.traderates.get", "r1")
def rates(call):
    fields = call.fields()
    if call.need("rate_type") != "get" or call.need("role") != "buyer":
        return {"total_results": 0}
    first, last = window(call, "start_date", "end_date")
    oldest = call.world.now() - KEPT
    tid = call.params.get("tid")
    rows = [
        row for row in call.shop.ratings
        if within(row, "created", max(first or oldest, oldest), last)
        and tid in (None, str(row["tid"]))
    ]  # fmt: skip
    rows.sort(key=lambda row: (row["created"], row["oid"]), reverse=True)
    answer = paged(call, rows[:MOST], "trade_rates", "trade_rate", largest=150, pages=200)
    answer["trade_rates"] = Items(
        "trade_rate", [only(row, fields) for row in answer["trade_rates"]]
    )
    return answer


@api("tmall.traderate.feeds.get", "r1")
def feed(call):
    if call.shop.kind != "B":
        raise invalid("child_trade_id")
    told = call.shop.feeds.get(call.need("child_trade_id"))
    if told is None:
        raise no_such("feed")
    return {"tmall_rate_info": told | {"tags": Items("tags", told["tags"])}}
