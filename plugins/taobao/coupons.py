"""Coupons and benefits: those that the seller made, and giving them to buyers.

A coupon is named by its number, a benefit of an activity by "benefit:<relation>:<detail>:<type>",
and a right by "right:<ename>". Buyers are named by their ouid in the shop, for a right by their
open_uid in the app.
"""

from collections.abc import Sequence
from hashlib import blake2b

from core.sdk import Done, GiveCoupon, PlatformCoupon, Refused, RetryLater, Unknown
from core.sdk.answers import Row, flag, number, rows, text
from plugins.taobao.client import Client
from plugins.taobao.values import CURRENCY, moment

LIST = "taobao.promotion.coupons.get"
LIST_SIZE = 20
SEND = "taobao.promotion.coupon.send"
SEND_MOST = 100
BENEFIT = "taobao.promotion.benefit.activity.send"
RIGHT = "alibaba.benefit.send"


async def coupons(client: Client) -> Sequence[PlatformCoupon]:
    """The shop's coupons that have not ended."""
    found: list[PlatformCoupon] = []
    page = 1
    while True:
        answer = await client.read(LIST, page_no=page, page_size=LIST_SIZE)
        listed = rows(answer, "coupons")
        found += [_coupon(row) for row in listed]
        if not listed or page * LIST_SIZE >= (number(answer.get("total_results")) or 0):
            break
        page += 1
    now = client.now()
    return [one for one in found if one.ends_at is None or one.ends_at > now]


def _coupon(row: Row) -> PlatformCoupon:
    amount, threshold = number(row.get("denominations")), number(row.get("condition"))
    name = f"{(amount or 0) / 100:g}元"
    if threshold:
        name += f"，满{threshold / 100:g}元可用"
    return PlatformCoupon(
        external_id=str(row["coupon_id"]),
        name=name,
        amount=amount,
        threshold=threshold,
        currency=CURRENCY,
        # the platform's spelling
        starts_at=moment(row.get("creat_time")),
        ends_at=moment(row.get("end_time")),
    )


async def give(client: Client, action: GiveCoupon) -> Sequence[Done]:
    """Give buyers a coupon or benefit. Raises Refused, Unknown and what a call raises."""
    kind, *parts = action.coupon.split(":")
    if not action.buyers:
        return []
    if kind.isdecimal() and not parts:
        return await _send_coupon(client, kind, action.buyers)
    if kind == "benefit" and len(parts) == 3:
        return [await _send_benefit(client, action.key, parts, one) for one in action.buyers]
    if kind == "right" and len(parts) == 1:
        return [await _send_right(client, action.key, parts[0], one) for one in action.buyers]
    raise Refused(
        f"{action.coupon!r} names no coupon: write its number, benefit:<relation>:<detail>:<type>, "
        "or right:<ename>"
    )


async def _send_coupon(client: Client, coupon: str, buyers: Sequence[str]) -> Sequence[Done]:
    """The platform says success although nobody got it: only its two lists count."""
    if len(buyers) > SEND_MOST:
        raise Refused(f"a coupon is given to at most {SEND_MOST} buyers at once")
    answer = await client.write(
        SEND, coupon_id=coupon, ouid_data=[{"ouid": buyer} for buyer in buyers]
    )
    given = {
        text(row.get("ouid")): text(row.get("coupon_number"))
        for row in rows(answer, "coupon_results")
    }
    failed = {
        text(row.get("ouid")): text(row.get("reason")) for row in rows(answer, "failure_buyers")
    }
    return [
        Done(buyer, True, given[buyer])
        if buyer in given
        else Done(buyer, False, reason=failed.get(buyer) or "the platform does not name the buyer")
        for buyer in buyers
    ]


async def _send_benefit(client: Client, key: str, parts: Sequence[str], buyer: str) -> Done:
    relation, detail, kind = parts
    unique = _unique(key, buyer)
    request = {
        "relation_id": relation, "detail_id": detail, "benefit_type": kind, "send_count": 1,
        "unique_id": unique,
    }  # fmt: skip
    answer = await _repeatable(client, BENEFIT, send_request=request, ouid=buyer)
    results = rows(answer, "result_list")
    if flag(answer.get("is_success")) and any(number(r.get("success_count")) for r in results):
        return Done(buyer, True, unique)
    reasons = [str(code) for result in results for code in rows(result, "error_code_list")]
    return Done(buyer, False, reason=", ".join(reasons) or "the platform gives no reason")


async def _send_right(client: Client, key: str, ename: str, buyer: str) -> Done:
    answer = await _repeatable(
        client, RIGHT, right_ename=ename, receiver_id=buyer, user_type="taobao",
        unique_id=_unique(key, buyer), app_name="mtop",
    )  # fmt: skip
    if flag(answer.get("result_success")):
        return Done(buyer, True, text(answer.get("right_id")))
    reason = text(answer.get("result_msg")) or text(answer.get("result_code"))
    return Done(buyer, False, reason=reason)


async def _repeatable(client: Client, api: str, **params: object) -> Row:
    """A write that may be repeated: the platform knows it again by its unique_id."""
    try:
        return await client.write(api, **params)
    except Unknown as error:
        raise RetryLater(str(error)) from None


def _unique(key: str, buyer: str) -> str:
    """The same for the same action and buyer at each try."""
    return blake2b(f"{key}\0{buyer}".encode(), digest_size=16).hexdigest()
