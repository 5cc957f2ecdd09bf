"""Whatever happens in whichever order: in the end we know what the platform knows."""

from typing import ClassVar

from hypothesis import given
from hypothesis import strategies as st

from tests.plugins.taobao.followed import followed
from tests.plugins.walking_kit import Walk, some, steps, walking

FAULTS = ("timeout", "busy", "http502", "broken_json", "dropped", "limited:5", "after_write")


class TaobaoWalk(Walk):
    """What is told waits at the platform until it is fetched."""

    lists = "taobao.trades.simple.sold.increment.get"
    next: ClassVar = {
        "WAIT_BUYER_PAY": ("WAIT_SELLER_SEND_GOODS", "TRADE_CLOSED_BY_TAOBAO"),
        "WAIT_SELLER_SEND_GOODS": ("WAIT_BUYER_CONFIRM_GOODS", "TRADE_CLOSED"),
        "WAIT_BUYER_CONFIRM_GOODS": ("TRADE_FINISHED", "TRADE_CLOSED"),
    }

    def begin(self, late, told):
        return self.shop.trade(late=late, topic=self._topic(told))

    def go(self, number, state, late, told):
        self.shop.trade(number, status=state, late=late, topic=self._topic(told))

    def _topic(self, told):
        return "taobao_trade_TradeChanged" if told else None


@some
@given(steps(FAULTS), st.booleans())
async def test_any_interleaving_ends_as_the_platform_is(merchant, walk, disorder):
    async with walking(merchant, followed, TaobaoWalk) as walking_there:
        walking_there.shop.world.disorder = disorder
        await walking_there.take(walk)
        await walking_there.check()
        # every message was kept or is gone by itself, and none waits for ever
        assert all(message.confirmed for message in walking_there.shop.world.messages)
