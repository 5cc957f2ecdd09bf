"""Whatever happens to customers, following it leaves the members that asking everybody would."""

import random

import pytest

from core.domain.customers.consent import set_consent
from core.domain.customers.merge import merge_customers, unmerge
from core.domain.orders.facts import refresh_facts
from core.domain.segments.rules import read_rule
from core.domain.segments.segments import get_segment
from tests.segments.members_kit import add_customers, add_order, follow, make, members, tag

RULES = {
    "vip": {"tag": {"any_of": ["vip"]}},
    "twice": {"order_count": {"at_least": 2}},
    "never": {"not": {"order_count": {"at_least": 1}}},
    "spent": {"order_sum": {"currency": "CNY", "at_least": "150.00"}},
    "zj": {"province": {"any_of": ["浙江"]}},
    "mail": {"opted_in": {"channel": "email"}},
    "mixed": {"any": [
        {"all": [{"tag": {"any_of": ["vip"]}}, {"order_count": {"at_least": 1}}]},
        {"not": {"any": [{"province": {"any_of": ["浙江"]}}, {"opted_in": {"channel": "email"}}]}},
    ]},
}  # fmt: skip


class Life:
    """Things that happen to a merchant's customers."""

    def __init__(self, merchant, chance):
        self.merchant, self.chance = merchant, chance
        self.registry = merchant.installation.registry
        self.orders = 0
        self.merges = []

    async def somebody(self, w):
        return self.chance.choice([
            row["id"] for row in await w.sql.fetch(
                "SELECT id FROM customers WHERE merchant_id = $1 ORDER BY id", w.merchant_id
            )
        ])  # fmt: skip

    async def comes(self, w):
        await add_customers(w, 1, self.chance.choice(["浙江省", None]))

    async def is_tagged(self, w):
        who = await self.somebody(w)
        await w.sql.execute("DELETE FROM customer_tags WHERE customer_id = $1", who)
        if self.chance.random() < 0.6:
            await tag(w, who, self.chance.choice(["vip", "other"]))

    async def buys(self, w):
        self.orders += 1
        await add_order(w, await self.somebody(w), f"n{self.orders}")

    async def gives_back(self, w):
        who = await self.somebody(w)
        await w.sql.execute(
            """UPDATE orders SET state = 'closed_refunded', refunded = paid
               WHERE merchant_id = $1 AND customer_id = $2""",
            w.merchant_id, who,
        )  # fmt: skip
        await refresh_facts(w, [who])

    async def moves_house(self, w):
        await w.sql.execute(
            "UPDATE customers SET province = $3 WHERE merchant_id = $1 AND id = $2",
            w.merchant_id, await self.somebody(w), self.chance.choice(["浙江省", "北京市", None]),
        )  # fmt: skip

    async def says(self, w):
        word = self.chance.choice(["granted", "denied"])
        await set_consent(w, await self.somebody(w), "email", "marketing", word, "form")

    async def merges_or_not(self, w):
        if self.merges and self.chance.random() < 0.5:
            done = await unmerge(w, self.registry, self.merges.pop())
            await refresh_facts(w, [done.back, done.holder])
            return
        one, other = await self.somebody(w), await self.somebody(w)
        if one != other:
            self.merges.append(await merge_customers(w, self.registry, one, other, "test"))
            await refresh_facts(w, [one, other])


@pytest.mark.parametrize("seed", range(4))
async def test_following_and_asking_agree(merchant, seed):
    life = Life(merchant, random.Random(seed))
    async with merchant.work() as w:
        await add_customers(w, 4, "浙江省")
    segments = {name: await make(merchant, name, rule) for name, rule in RULES.items()}
    what = [life.comes, life.is_tagged, life.buys, life.gives_back, life.moves_house, life.says,
            life.merges_or_not]  # fmt: skip
    for _ in range(40):
        for _ in range(life.chance.randint(1, 3)):
            async with merchant.work() as w:
                await life.chance.choice(what)(w)
        await follow(merchant)
        for name, one in segments.items():
            async with merchant.read() as session:
                stored = (await get_segment(session, one))["rule"]
                asked = (await read_rule(session, life.registry, stored)).ask()
                rows = await session.sql.fetch(f"SELECT c.id {asked.matching}", *asked.q.args)
            assert set(await members(merchant, one)) == {row["id"] for row in rows}, name
