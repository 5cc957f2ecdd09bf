"""Orders: the list with its conditions, and the detail."""

from datetime import timedelta

from tests.stand_ins.aliexpress.errors import wrong
from tests.stand_ins.aliexpress.gateway import api
from tests.stand_ins.aliexpress.shapes import Items, read

STATUSES = {
    "PLACE_ORDER_SUCCESS", "IN_CANCEL", "RISK_CONTROL", "WAIT_SELLER_SEND_GOODS",
    "SELLER_PART_SEND_GOODS", "WAIT_BUYER_ACCEPT_GOODS", "FUND_PROCESSING", "IN_ISSUE",
    "IN_FROZEN", "WAIT_SELLER_EXAMINE_MONEY", "FINISH", "PAYMENT_PROCESSING",
    "RISK_CONTROL_HOLD", "WAIT_GROUP_SUCCESS", "IN_BOOK_SALE", "ARCHIVE",
}  # fmt: skip
LISTED = (
    "order_id", "order_status", "biz_type", "buyer_login_id", "buyer_signer_fullname",
    "pay_amount", "gmt_create", "gmt_update", "gmt_pay_time", "gmt_send_goods_time",
    "fund_status", "frozen_status", "issue_status", "logistics_status", "end_reason", "phone",
    "seller_login_id", "seller_operator_login_id",
)  # fmt: skip


@api("aliexpress.trade.seller.orderlist.get")
def orders(call):
    query = call.object("param_aeop_order_query")
    fold = call.world.fold

    def asked(name):
        return read(query[name], fold) if query.get(name) else None

    first, last = asked("create_date_start"), asked("create_date_end")
    changed = asked("modified_date_start"), asked("modified_date_end")
    if any(changed) and not (first and last):
        raise wrong("a range of change comes with a range of creation")
    if not (first and last):
        raise wrong("a range of creation is needed")
    status, statuses = query.get("order_status"), query.get("order_status_list")
    if status and statuses:
        raise wrong("order_status or order_status_list, not both")
    wanted = {status} if status else set(statuses or STATUSES - {"FINISH"})
    if not wanted <= STATUSES:
        raise wrong("there is no such status")
    if last - first > timedelta(days=30 if "FINISH" in wanted else 180):
        raise wrong("the range is too long")
    size, number = int(query.get("page_size") or 20), int(query.get("current_page") or 1)
    if not 1 <= size <= 50 or number < 1:
        raise wrong("page_size is 50 at most")
    found = [
        row for row in _visible(call)
        if row["order_status"] in wanted
        and query.get("buyer_login_id") in (None, row["buyer_login_id"])
        and first <= row["gmt_create"] <= last
        and (changed[0] is None or changed[0] <= row["gmt_update"])
        and (changed[1] is None or row["gmt_update"] <= changed[1])
    ]  # fmt: skip
    by = "gmt_update" if any(changed) else "gmt_create"
    found.sort(key=lambda row: (row[by], row["order_id"]), reverse=True)
    total = sum(not row.get("sc") for row in found)
    part = found[(number - 1) * size : number * size]
    return {
        "success": True, "current_page": number, "page_size": size, "total_count": total,
        "total_page": -(-total // size), "time_stamp": call.world.now(),
        "target_list": Items("aeop_order_item_dto", map(_listed, part)),
    }  # fmt: skip


def _visible(call):
    now = call.world.now()
    for versions in call.shop.orders.values():
        shown = [row for since, row in versions if since <= now]
        if shown:
            yield shown[-1]


def _listed(row):
    lines = [line | {"son_order_status": row["order_status"]} for line in row["lines"]]
    told = {name: row[name] for name in LISTED if name in row}
    return told | {"product_list": Items("aeop_order_product_dto", lines)}


@api("aliexpress.trade.new.redefining.findorderbyid", inside=None)
def one(call):
    asked = call.object("param1")
    versions = call.shop.orders.get(asked.get("order_id"))
    if versions is None:
        return {}
    row, bits = versions[-1][1], asked.get("ext_info_bit_flag") or 0
    target = {
        "id": row["order_id"], "order_status": row["order_status"], "oaid": "aeSynOaid1",
        "fund_status": row["fund_status"], "issue_status": row["issue_status"],
        "frozen_status": row["frozen_status"], "logistics_status": row["logistics_status"],
        "gmt_create": row["gmt_create"], "gmt_modified": row["gmt_update"],
        "order_amount": _cents(row["pay_amount"]),
        "child_order_list": Items("aeop_tp_child_order_dto", [
            {
                "id": line["child_id"], "product_id": line["product_id"],
                "product_name": line["product_name"], "sku_code": line["sku_code"],
                "product_count": line["product_count"],
                "total_product_amount": _cents(line["total_product_amount"]),
            }
            for line in row["lines"]
        ]),
        "receipt_address": {
            "contact_person": "A*** B***", "city": row["city"], "province": row["city"],
            "country": row["country"], "zip": "28001",
        },
    }  # fmt: skip
    for name, told in (
        ("gmt_pay_time", "gmt_pay_success"), ("end_reason", "order_end_reason"),
        ("gmt_trade_end", "gmt_trade_end"),
    ):  # fmt: skip
        if name in row:
            target[told] = row[name]
    if bits & 4:
        target["logistic_info_list"] = Items("aeop_tp_logistic_info_dto", row["parcels"])
    if bits & 8:
        target["buyer_info"] = {"login_id": row["buyer_login_id"], "country": row["country"]}
    return {"target": target}


def _cents(money):
    """An amount by its cents only, as some answers have it."""
    factor = {"JPY": 1, "KRW": 1}.get(money["currency_code"], 100)
    cents = round(float(money["amount"]) * factor)
    return {"cent": cents, "cent_factor": factor, "currency_code": money["currency_code"]}
