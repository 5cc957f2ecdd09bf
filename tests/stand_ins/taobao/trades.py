"""Orders, in both editions: the simple one of CRM apps, and the classic one."""

from collections import Counter
from datetime import timedelta

from tests.stand_ins.taobao.errors import forbidden, invalid, no_such
from tests.stand_ins.taobao.gateway import api
from tests.stand_ins.taobao.lists import paged, three_months, window, within
from tests.stand_ins.taobao.shapes import Items, at, only

CLASSIC_ONLY = {
    "buyer_nick", "receiver_name", "receiver_mobile", "receiver_address", "receiver_district",
    "oaid",
}  # fmt: skip
DETAIL_ONLY = {"buyer_message", "seller_memo"}
USUAL = {"guarantee_trade", "auto_delivery", "ec", "cod"}


def listed(call):
    """The trades as lists show them now."""
    now = call.world.now()
    found = []
    for versions in call.shop.trades.values():
        visible = [row for since, row in versions if since <= now]
        if visible:
            found.append(visible[-1])
    return found


def shown(call, row, simple, detail):
    hidden = set() if detail else DETAIL_ONLY
    hidden = hidden | (CLASSIC_ONLY if simple else {"ouid"})
    asked = only(row, call.fields() - hidden)
    if "orders" in asked:
        asked["orders"] = Items("order", asked["orders"])
    return asked


def trades(call, simple, by, usual):
    if not simple and call.app.crm:
        raise forbidden()
    call.fields()
    if by == "created":
        first, last = window(call, "start_created", "end_created")
    else:
        first, last = window(call, "start_modified", "end_modified", timedelta(days=1), True)
    types = set((call.params.get("type") or "").split(",")) - {""} or usual
    oldest = three_months(call.world.now())
    rows = [
        row for row in listed(call)
        if row["type"] in types and within(row, by, first, last)
        and within(row, "created", oldest, call.world.now())
    ]  # fmt: skip
    rows.sort(key=lambda row: (row[by], row["tid"]), reverse=True)
    answer = paged(call, rows, "trades", "trade")
    answer["trades"] = Items("trade", [shown(call, r, simple, False) for r in answer["trades"]])
    return answer


@api("taobao.trades.simple.sold.get", "r2")
def simple_created(call):
    return trades(call, True, "created", USUAL)


@api("taobao.trades.simple.sold.increment.get", "r2")
def simple_changed(call):
    return trades(call, True, "modified", USUAL | {"step"})


@api("taobao.trades.sold.get", "r2")
def classic_created(call):
    return trades(call, False, "created", USUAL)


@api("taobao.trades.sold.increment.get", "r2")
def classic_changed(call):
    return trades(call, False, "modified", USUAL | {"step"})


def find(call):
    tid = call.need("tid")
    if not tid.isdecimal():
        raise invalid("tid")
    versions = call.shop.trades.get(int(tid))
    if versions is None:
        raise no_such("trade")
    return versions[-1][1]


@api("taobao.trade.simple.get", "r2")
def simple_one(call):
    row = shown(call, find(call), True, True)
    # numbers in the lists, text here
    return {"trade": row | ({"tid": str(row["tid"])} if "tid" in row else {})}


@api("taobao.trade.fullinfo.get", "r2")
def classic_one(call):
    if call.app.crm:
        raise forbidden()
    return {"trade": shown(call, find(call), False, True)}


@api("taobao.trade.memo.update", "w2")
def remark(call):
    row = find(call)
    memo = call.params.get("memo", "")
    flag = call.params.get("flag")
    if len(memo.encode()) > 1000:
        raise invalid("memo")
    if flag is not None and flag not in set("012345"):
        raise invalid("flag")
    now = at(call.world.now())
    row["seller_memo"], row["modified"] = memo, now
    if flag is not None:
        row["seller_flag"] = int(flag)
    return {"trade": {"tid": row["tid"], "modified": now}}


@api("taobao.jds.trades.statistics.get", "r1")
def statistics(call):
    date = call.need("date")
    if len(date) != 8:
        raise invalid("date")
    count = Counter(
        row["status"] for row in listed(call) if row["created"][:10].replace("-", "") == date
    )
    infos = [{"status": status, "count": number} for status, number in count.items()]
    return {"status_infos": Items("trade_stat", infos)}
