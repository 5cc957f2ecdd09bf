"""Store coupons that the seller made."""

from tests.stand_ins.aliexpress.errors import wrong
from tests.stand_ins.aliexpress.gateway import api
from tests.stand_ins.aliexpress.shapes import Items


@api("aliexpress.marketing.redefining.getactlist")
def activities(call):
    size = int(call.params.get("page_size") or 20)
    number = int(call.params.get("current_page") or 1)
    if not 1 <= size <= 20:
        raise wrong("page_size is 20 at most")
    found = call.shop.activities
    return {
        "current_page": number, "page_size": size, "total_item": len(found),
        "total_page": -(-len(found) // size),
        "activity_list": Items("activity", found[(number - 1) * size : number * size]),
    }  # fmt: skip
