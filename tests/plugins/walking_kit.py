"""Lists, messages, faults and deaths in any order, on a shop that is followed.

A platform's own walk says how an order begins there, where it can go, and how that is told.
"""

import os
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import pairwise

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from core.domain.shops.setup import set_up_merchant
from core.testing import TestMerchant

EXAMPLES = int(os.environ.get("PROPERTY_EXAMPLES", "2"))
"""How many walks are taken; a few hundred find what hides well."""

some = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def steps(faults):
    """What happens: `late` minutes until lists show it, and whether it is told."""
    one, late, told = st.integers(0, 9), st.sampled_from((0, 8)), st.booleans()
    step = st.one_of(
        st.tuples(st.just("order"), st.integers(1, 60), late, told),
        st.tuples(st.just("move"), one, one, late, told),
        st.tuples(st.just("shift"), one, one),
        st.tuples(st.just("tell"), one, st.booleans()),
        st.tuples(st.just("fault"), st.sampled_from(faults)),
        st.tuples(st.just("die"), st.integers(1, 4)),
        st.tuples(st.just("pass"), st.integers(1, 12)),
    )
    return st.lists(step, min_size=6, max_size=14)


class Walk:
    """`lists` is the API by which windows are read, `next` where each state leads to."""

    lists: str
    next: dict

    def __init__(self, shop):
        self.shop = shop
        self.numbers = []
        self.sent = []
        """Requests to us that are on their way."""

    # -- the platform's own --------------------------------------------------------------------

    def begin(self, late, told):
        """An order; returns its number."""
        raise NotImplementedError

    def go(self, number, state, late, told):
        raise NotImplementedError

    # -- steps ---------------------------------------------------------------------------------

    async def order(self, count, late, told):
        self.numbers += [self.begin(timedelta(minutes=late), told) for _ in range(count)]

    async def move(self, which, where, late=0, told=False):
        if not self.numbers:
            return
        number = self.numbers[which * len(self.numbers) // 10]
        leads = self.next.get(self.shop.truth()[str(number)], ())
        if leads:
            self.go(number, leads[where % len(leads)], timedelta(minutes=late), told)

    async def shift(self, which, where):
        """An order changes after the next page of a list was given."""
        actions = self.shop.world.after[self.lists]

        def change(_):
            actions.clear()
            if self.numbers:
                number = self.numbers[which * len(self.numbers) // 10]
                for state in self.next.get(self.shop.truth()[str(number)], ())[where % 2 :][:1]:
                    self.go(number, state, timedelta(0), False)

        actions.append(change)

    async def tell(self, which, again):
        """Some of what was sent arrives, the last of it first, and perhaps again later."""
        place = which * len(self.sent) // 10
        for request in reversed(self.sent[place:]):
            assert (await self.shop.take(request)).status == 200
        if not again:
            del self.sent[place:]

    async def fault(self, kind):
        self.shop.world.fault("*", kind)

    async def die(self, calls):
        left = [calls]

        def dies(_):
            left[0] -= 1
            return left[0] == 0

        self.shop.later(minutes=1)
        await self.shop.dying_at(self.shop.work(), dies)

    async def take(self, walk):
        for name, *values in walk:
            if name == "pass":
                await self.shop.pass_time(values[0], step=2)
            else:
                self.shop.later(seconds=1)
                await getattr(self, name)(*values)
        self.shop.world.faults.clear()
        self.shop.world.after[self.lists].clear()
        await self.shop.pass_time(35, step=5)

    async def check(self):
        """We know what the platform knows, and each change was told once."""
        shop, history = self.shop, {}
        assert await shop.orders() == shop.truth()
        for kind, number, state in await shop.events():
            assert (kind == "order.created") == (number not in history)
            history.setdefault(number, []).append(state)
        assert history.keys() == shop.truth().keys()
        for states in history.values():
            assert all(before != after for before, after in pairwise(states))
        stored = await shop.ask("SELECT external_id, state FROM orders WHERE merchant_id = $1")
        assert {number: states[-1] for number, states in history.items()} == {
            row["external_id"]: row["state"] for row in stored
        }
        waiting = await shop.ask(
            "SELECT 1 FROM push_inbox WHERE merchant_id = $1 AND done_at IS NULL"
        )
        assert waiting == []


@asynccontextmanager
async def walking(merchant, followed, kind):
    """A walk on a shop of a merchant of its own."""
    opened = merchant.installation
    made = await set_up_merchant(opened.db, opened.registry, "Test")
    own = TestMerchant(made.merchant_id, 0, made.token, opened, merchant.clock)
    async with followed(own) as shop:
        await shop.connect()
        await shop.work()
        yield kind(shop)
