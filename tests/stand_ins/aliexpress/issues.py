"""Disputes: listed by how they stand, and by nothing else."""

from tests.stand_ins.aliexpress.errors import wrong
from tests.stand_ins.aliexpress.gateway import api
from tests.stand_ins.aliexpress.shapes import Items

LISTED = (
    "issue_id", "order_id", "parent_order_id", "buyer_login_id", "issue_status",
    "reason_chinese", "reason_english", "gmt_create", "gmt_modified",
)  # fmt: skip


@api("aliexpress.issue.issuelist.get", inside=None)
def issues(call):
    query = call.object("query_dto")
    size, number = int(query.get("page_size") or 20), int(query.get("current_page") or 1)
    if not 1 <= size <= 50:
        raise wrong("page_size is 50 at most")
    status = query.get("issue_status")
    if status not in ("processing", "canceled_issue", "finish"):
        raise wrong("there is no such status")
    found = [one for one in call.shop.issues if one["issue_status"] == status]
    found.sort(key=lambda one: one["gmt_create"], reverse=True)
    part = found[(number - 1) * size : number * size]
    rows = [{name: one[name] for name in LISTED} for one in part]
    return {
        "current_page": number, "page_size": size, "total_item": len(found),
        "data_list": Items("issue_api_issue_dto", rows),
    }  # fmt: skip


@api("aliexpress.issue.detail.get", inside="result_object")
def detail(call):
    number, login = int(call.need("issue_id")), call.need("buyer_login_id")
    for one in call.shop.issues:
        if one["issue_id"] == number and one["buyer_login_id"] == login:
            return {
                "reverse_detail_status": one["issue_status"],
                **{
                    f"{side}_solution_list": Items("solution_api_dto", one.get(side, []))
                    for side in ("buyer", "seller", "platform")
                },
            }
    raise wrong("there is no such issue")
