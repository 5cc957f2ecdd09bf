"""Lists, messages, faults and deaths in any order: in the end we know what the platform knows."""

from datetime import timedelta
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.domain.shops.setup import set_up_merchant
from core.testing import TestMerchant
from tests.plugins.taobao.followed import followed

LIST = "taobao.trades.simple.sold.increment.get"
NEXT = {
    "WAIT_BUYER_PAY": ("WAIT_SELLER_SEND_GOODS", "TRADE_CLOSED_BY_TAOBAO"),
    "WAIT_SELLER_SEND_GOODS": ("WAIT_BUYER_CONFIRM_GOODS", "TRADE_CLOSED"),
    "WAIT_BUYER_CONFIRM_GOODS": ("TRADE_FINISHED", "TRADE_CLOSED"),
}
FAULTS = ("timeout", "busy", "http502", "broken_json", "dropped", "limited:5", "after_write")

one = st.integers(0, 9)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("order"), st.integers(1, 60), st.sampled_from((0, 8)), st.booleans()),
        st.tuples(st.just("move"), one, one, st.sampled_from((0, 8)), st.booleans()),
        st.tuples(st.just("shift"), one, one),
        st.tuples(st.just("fault"), st.sampled_from(FAULTS)),
        st.tuples(st.just("die"), st.integers(1, 4)),
        st.tuples(st.just("pass"), st.integers(1, 12)),
    ),
    min_size=6, max_size=14,
)  # fmt: skip


class Walk:
    """The steps, on a shop that is followed."""

    def __init__(self, shop):
        self.shop = shop
        self.tids = []

    def _tell(self, told, late):
        return {
            "late": timedelta(minutes=late),
            "topic": "taobao_trade_TradeChanged" if told else None,
        }

    async def order(self, count, late, told):
        self.tids += [self.shop.trade(**self._tell(told, late)) for _ in range(count)]

    async def move(self, which, where, late=0, told=False):
        if not self.tids:
            return
        tid = self.tids[which * len(self.tids) // 10]
        status = self.shop.truth()[str(tid)]
        for new in NEXT.get(status, ())[where % 2 :][:1]:
            self.shop.trade(tid, status=new, **self._tell(told, late))

    async def shift(self, which, where):
        """An order changes after the next page of a list was given."""
        actions = self.shop.world.after[LIST]

        def change(_):
            actions.clear()
            if self.tids:
                tid = self.tids[which * len(self.tids) // 10]
                for new in NEXT.get(self.shop.truth()[str(tid)], ())[where % 2 :][:1]:
                    self.shop.trade(tid, status=new)

        actions.append(change)

    async def fault(self, kind):
        self.shop.world.fault("*", kind)

    async def die(self, calls):
        left = [calls]

        def dies(_):
            left[0] -= 1
            return left[0] == 0

        self.shop.later(minutes=1)
        await self.shop.dying_at(self.shop.work(), dies)

    async def take(self, step):
        name, *values = step
        if name == "pass":
            await self.shop.pass_time(values[0], step=2)
        else:
            self.shop.later(seconds=1)
            await getattr(self, name)(*values)


@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps, st.booleans())
async def test_any_interleaving_ends_as_the_platform_is(merchant, walk, disorder):
    opened = merchant.installation
    made = await set_up_merchant(opened.db, opened.registry, "Test")
    own = TestMerchant(made.merchant_id, 0, made.token, opened, merchant.clock)
    async with followed(own) as shop:
        shop.world.disorder = disorder
        await shop.connect()
        await shop.work()
        steps_of = Walk(shop)
        for step in walk:
            await steps_of.take(step)
        shop.world.faults.clear()
        shop.world.after[LIST].clear()
        await shop.pass_time(35, step=5)
        assert await shop.orders() == shop.truth()
        history = {}
        for kind, tid, state in await shop.events():
            assert (kind == "order.created") == (tid not in history)
            history.setdefault(tid, []).append(state)
        assert history.keys() == shop.truth().keys()
        for states in history.values():
            assert all(before != after for before, after in pairwise(states))
        stored = await shop.ask("SELECT external_id, state FROM orders WHERE merchant_id = $1")
        assert {tid: states[-1] for tid, states in history.items()} == {
            row["external_id"]: row["state"] for row in stored
        }
        # every message was kept or is gone by itself, and none waits for ever
        assert all(message.confirmed for message in shop.world.messages)
