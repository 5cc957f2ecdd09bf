"""Store coupons: those that the seller made, and handing them to buyers.

The platform has no way to put a coupon into a buyer's account: he gets its card in a message, and
takes it himself.
"""

from collections.abc import Sequence

from core.sdk import Done, GiveCoupon, OutsideError, PlatformCoupon, Refused
from core.sdk.answers import Row, number, rows, text
from plugins.aliexpress import messages
from plugins.aliexpress.client import Client
from plugins.aliexpress.messages import BASE_SCENE, Template
from plugins.aliexpress.values import US_TIME, USD, moment

LIST = "aliexpress.marketing.redefining.getactlist"
SIZE = 20
OPEN = ("not_started", "releasing")


async def coupons(client: Client) -> Sequence[PlatformCoupon]:
    """The shop's coupons that buyers can take now or later."""
    found: list[PlatformCoupon] = []
    page = 1
    while True:
        answer = await client.read(LIST, current_page=page, page_size=SIZE)
        listed = rows(answer, "activity_list")
        found += [_coupon(row) for row in listed if row.get("status") in OPEN]
        if not listed or page * SIZE >= (number(answer.get("total_item")) or 0):
            return found
        page += 1


def _coupon(row: Row) -> PlatformCoupon:
    total, given = number(row.get("total_release_num")), number(row.get("released_num")) or 0
    return PlatformCoupon(
        external_id=str(row["id"]),
        name=text(row.get("activity_name")) or str(row["id"]),
        # both in US cents, whatever the shop's currency
        amount=number(row.get("denomination")),
        threshold=number(row.get("min_order_amount")),
        currency=USD,
        starts_at=moment(row.get("acquire_start_date"), US_TIME),
        ends_at=moment(row.get("consume_end_date") or row.get("acquire_end_date"), US_TIME),
        left=None if total is None else max(total - given, 0),
    )


async def give(client: Client, action: GiveCoupon) -> Sequence[Done]:
    """Send buyers the card of a coupon, one after the other.

    Raises what a call raises while nobody has got it; afterwards those who have not are told.
    """
    if not action.coupon.isdecimal():
        raise Refused(f"{action.coupon!r} names no coupon: write its number")
    done: list[Done] = []
    for place, login in enumerate(action.buyers):
        try:
            done.append(await _hand(client, login, int(action.coupon)))
        except OutsideError as error:
            if not any(one.done for one in done):
                raise
            done += [Done(one, False, reason=str(error)) for one in action.buyers[place:]]
            break
    return done


async def _hand(client: Client, login: str, coupon: int) -> Done:
    try:
        buyer = await messages.open_buyer(client, login)
        said = await messages.send(client, buyer, Template.COUPON, BASE_SCENE, promotion_id=coupon)
    except Refused as error:
        return Done(login, False, reason=str(error))
    return Done(login, True, said)
