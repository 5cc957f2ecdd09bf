"""Members of shops and the grades that the shop gave names."""

from tests.stand_ins.taobao.gateway import api
from tests.stand_ins.taobao.lists import paged, window, within
from tests.stand_ins.taobao.shapes import Items

PAGES = 80
HIDDEN = {"modified"}
GRADES = ("店铺客户", "普通会员", "高级会员", "VIP会员", "至尊VIP")


def answered(call, rows):
    answer = paged(
        call, rows, "members", "basic_member", "current_page", "total_result", pages=PAGES
    )
    answer["members"] = Items(
        "basic_member",
        [{k: v for k, v in row.items() if k not in HIDDEN} for row in answer["members"]],
    )
    return answer


@api("taobao.crm.members.get.privy", "r2")
def by_trade(call):
    first, last = window(call, "min_last_trade_time", "max_last_trade_time")
    ouid = call.params.get("ouid")
    rows = [
        row for row in call.shop.members.values()
        if ouid in (None, row["ouid"])
        and (first is None or within(row, "last_trade_time", first, last))
    ]  # fmt: skip
    rows.sort(key=lambda row: row["ouid"])
    return answered(call, rows)


@api("taobao.crm.members.increment.get.privy", "r2")
def changed(call):
    first, last = window(call, "start_modify", "end_modify")
    rows = [row for row in call.shop.members.values() if within(row, "modified", first, last)]
    rows.sort(key=lambda row: (row["modified"], row["ouid"]), reverse=True)
    return answered(call, rows)


@api("taobao.crm.grade.get", "r1")
def grades(call):
    rows = [{"cur_grade": str(grade), "cur_grade_name": name} for grade, name in enumerate(GRADES)]
    return {"grade_promotions": Items("grade_promotion", rows)}
