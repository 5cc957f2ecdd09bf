"""Whatever happens in whichever order, the platform's state is stored and each event told once.

Orders come and change while lists are read, lists and looks show them late, messages come twice,
in disorder or not at all, calls fail, and workers are killed in the midst of their work.
"""

import asyncio
import contextlib
import itertools
import json
import random

import pytest

NEXT = {"new": ["paid", "paid", "cancelled"], "paid": ["sent"], "sent": ["done"],
        "done": [], "cancelled": []}  # fmt: skip
FAULTS = (502, "broken", "lost")
DUTIES = ("shops.sync", "shops.sync", "shops.fetch", "shops.backfill", "shops.upkeep")


class Chaos:
    def __init__(self, shop, seed):
        self.shop, self.fair, self.dice = shop, shop.fair, random.Random(seed)
        self.told = []

    def happens(self):
        """Something happens at the platform, which tells of it or not."""
        dice, fair = self.dice, self.fair
        open_orders = [one.id for one in fair.orders.values() if NEXT[one.state]]
        if not open_orders or dice.random() < 0.3:
            number, state = f"o{len(fair.orders)}", "new"
        else:
            number = dice.choice(open_orders)
            state = dice.choice(NEXT[fair.orders[number].state])
        hidden = dice.choice([0, 0, 0, 30, 500])
        fair.order(number, state, hidden=hidden, unknown=dice.choice([0, 0, 0, 4, 20]))
        message = fair.message("order", number)
        if dice.random() < 0.5:
            self.told.append(message)
        elif dice.random() < 0.5:
            fair.enqueue("order", number, key=message["key"])

    async def push(self):
        """Some of what was told is delivered: twice, or not in its order."""
        from core.domain.connections.push_routes import _handler
        from core.domain.shops.plugins import plugin_context
        from core.sdk import WebRequest

        if not self.told:
            return
        chosen = self.dice.sample(self.told, min(3, len(self.told)))
        self.told = [one for one in self.told if one not in chosen or self.dice.random() < 0.3]
        body, headers = self.fair.pushed(*chosen)
        context = await plugin_context(
            self.shop.db, self.shop.registry, "fair", self.shop.merchant.id
        )
        handle = _handler(self.shop.registry.connectors["fair"].value)
        await handle(context, WebRequest("POST", "", (), headers, body))

    async def work(self):
        """One or two workers do something; one may be killed."""
        names = self.dice.sample(DUTIES, self.dice.choice([1, 2]))
        tasks = [asyncio.create_task(self.shop.do(name)) for name in dict.fromkeys(names)]
        if self.dice.random() < 0.4:
            self.kill(tasks[0])
        if self.dice.random() < 0.3:
            self.fair.while_listing = self.happens if self.dice.random() < 0.5 else None
        results = await asyncio.gather(*tasks, return_exceptions=True)
        self.fair.while_listing = self.fair.on_call = None
        for result in results:
            if isinstance(result, Exception):
                raise result

    def kill(self, task):
        """Kill a worker at one of its calls to the platform."""
        left = self.dice.choice([1, 2, 3, 5])

        def count():
            nonlocal left
            left -= 1
            if not left:
                task.cancel()

        self.fair.on_call = count


@pytest.mark.parametrize("seed", range(3))
async def test_any_order_of_happenings_ends_in_the_platforms_state(shop, seed):
    chaos, fair, dice = Chaos(shop, seed), shop.fair, random.Random(-seed)
    for n in range(30):
        fair.order(f"o{n}", dice.choice(list(NEXT)), at=fair.now() - n * 5000 - 1)
    before = set(fair.orders)
    await shop.connect()
    fair.ahead = dice.choice([0, 0, 40])
    for _ in range(35):
        for _ in range(dice.choice([0, 1, 4])):
            chaos.happens()
        if dice.random() < 0.2:
            fair.faults.extend([None] * dice.choice([0, 1, 2]) + [dice.choice(FAULTS)])
        if dice.random() < 0.4:
            await chaos.push()
        with contextlib.suppress(asyncio.CancelledError):
            await chaos.work()
        shop.later(seconds=dice.choice([1, 5, 60, 130, 400]))
    fair.faults.clear()
    await shop.pass_time(40, step=5)

    assert await shop.orders() == {one.id: one.state for one in fair.orders.values()}
    await check_events(shop, before)


async def check_events(shop, before):
    """Each order's events are one chain, from its first state to its last."""
    rows = await shop.ask(
        """SELECT o.external_id, o.state, e.type, e.payload FROM orders o
           LEFT JOIN outbox_events e ON e.merchant_id = o.merchant_id
                AND e.type IN ('order.created', 'order.state_changed')
                AND (e.payload ->> 'order_id')::bigint = o.id
           WHERE o.merchant_id = $1 ORDER BY o.id, e.id"""
    )
    chains = {}
    for row in rows:
        state, chain = chains.setdefault(row["external_id"], (row["state"], []))
        if row["type"] is not None:
            told = json.loads(row["payload"])
            chain.append((row["type"], told.get("old_state"), told["state"]))
    for number, (state, chain) in chains.items():
        kinds = [kind for kind, _, _ in chain]
        assert kinds.count("order.created") == (number not in before), (number, chain)
        assert kinds[1:].count("order.created") == 0
        for (_, _, reached), (_, left, _) in itertools.pairwise(chain):
            assert left == reached, (number, chain)
        if chain:
            assert chain[-1][2] == state, (number, chain)
        states = [reached for _, _, reached in chain]
        assert len(states) == len(set(states)), (number, chain)
