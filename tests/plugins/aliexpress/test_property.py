"""Whatever happens in whichever order: in the end we know what the platform knows."""

from typing import ClassVar

from hypothesis import given

from tests.plugins.aliexpress.followed import followed
from tests.plugins.walking_kit import Walk, some, steps, walking
from tests.stand_ins.aliexpress import webhooks

FAULTS = (
    "timeout", "away", "http502", "broken_json", "dropped", "limited:5", "app_limited:5",
    "after_write",
)  # fmt: skip
PAID = {"fund_status": "PAY_SUCCESS"}


class AliExpressWalk(Walk):
    """What is told is sent to us: late, twice, in disorder, or never."""

    lists = "aliexpress.trade.seller.orderlist.get"
    next: ClassVar = {
        "PLACE_ORDER_SUCCESS": ("WAIT_SELLER_SEND_GOODS", "FINISH"),
        "WAIT_SELLER_SEND_GOODS": ("WAIT_BUYER_ACCEPT_GOODS", "IN_FROZEN"),
        "IN_FROZEN": ("FINISH",),
        "WAIT_BUYER_ACCEPT_GOODS": ("FINISH",),
    }

    def begin(self, late, told):
        number = self.shop.order(late=late)
        self._tell(number, told)
        return number

    def go(self, number, state, late, told):
        now = self.shop.world.now()
        paid = PAID | {"gmt_pay_time": now} if state == "WAIT_SELLER_SEND_GOODS" else {}
        self.shop.order(number, late=late, order_status=state, **paid)
        self._tell(number, told)

    def _tell(self, number, told):
        if told:
            platform = self.shop.platform
            self.sent.append(webhooks.request(
                self.shop.world, platform.app, platform.shop, 53, {"orderId": number}
            ))  # fmt: skip


@some
@given(steps(FAULTS))
async def test_any_interleaving_ends_as_the_platform_is(merchant, walk):
    async with walking(merchant, followed, AliExpressWalk) as walking_there:
        await walking_there.take(walk)
        await walking_there.check()
