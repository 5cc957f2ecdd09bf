"""Random merges, undoings and changes: in the end everybody is as if nobody had been merged.

A second merchant has the same customers, who are never merged: each change is made there as well,
to whom it belongs.
"""

from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.domain.customers.consent import set_consent
from core.domain.customers.customers import add_tags, remove_tags
from core.domain.orders.facts import refresh_facts
from core.domain.orders.merging import merge_customers, unmerge_customers
from core.domain.shops.setup import set_up_merchant
from core.testing import TestMerchant
from tests.merge_kit import OWN, add_order, add_value, consents, furnish, state

NAMES = "abcd"
CHANNELS = ("email", "sms")
STRICT = {"denied": 0, None: 1, "unproven": 2, "granted": 3}
WORDS = ("denied", "unproven", "granted")
IDS = ("id", "merchant_id", "customer_id", "shop_id", "scope_id", "phone_sealed", "phone_index",
       "email_sealed", "email_index", "evidence")  # fmt: skip

steps = st.lists(
    st.one_of(
        st.tuples(st.just("merge"), st.sampled_from(NAMES), st.sampled_from(NAMES)),
        st.tuples(st.just("unmerge"), st.integers(0, 9)),
        st.tuples(st.just("tag"), st.sampled_from(NAMES)),
        st.tuples(st.just("untag"), st.sampled_from(NAMES)),
        st.tuples(st.just("order"), st.sampled_from(NAMES)),
        st.tuples(
            st.just("consent"), st.sampled_from(NAMES), st.sampled_from(CHANNELS),
            st.sampled_from(WORDS),
        ),
    ),
    max_size=14,
)  # fmt: skip
people = st.fixed_dictionaries(
    {
        name: st.fixed_dictionaries(
            {
                "tags": st.lists(st.sampled_from("xyz"), unique=True),
                "phone": st.sampled_from((None, f"1380013800{number}", "13900139000")),
                "email": st.sampled_from((None, f"{name}@b.cn")),
                "consents": st.lists(
                    st.tuples(st.sampled_from(CHANNELS), st.sampled_from(WORDS)),
                    max_size=2, unique_by=lambda one: one[0],
                ),
                "fields": st.lists(st.integers(1, 3), unique=True),
                "province": st.sampled_from((None, "浙江省", "江苏省")),
            }
        )
        for number, name in enumerate(NAMES)
    }
)  # fmt: skip


def without(row, names):
    # phone and email have another index with each merchant
    names = (*names, "value") if row.get("kind") in ("phone", "email") else names
    return {name: value for name, value in row.items() if name not in names}


class World:
    """One merchant's customers by name."""

    def __init__(self, merchant):
        self.merchant = merchant
        self.registry = merchant.installation.registry
        self.ids = {}

    async def furnish(self, given):
        async with self.merchant.work() as w:
            for name, person in given.items():
                self.ids[name] = await furnish(
                    w, self.merchant, name, phone=person["phone"], email=person["email"],
                    tags=person["tags"], consents=person["consents"],
                    province=person["province"],
                )  # fmt: skip
                for field in person["fields"]:
                    await add_value(w, self.ids[name], field, name)

    async def state(self, name, *, but=("unmerge",)):
        """The customer's rows; entries of the log whose source is in `but` are left out."""
        async with self.merchant.read() as session:
            found = await state(session, self.ids[name])
        return {
            table: sorted(
                (without(row, IDS) for row in rows
                 if row.get("source") not in but),
                key=repr,
            )
            for table, rows in found.items()
            if table != "consents"
        }  # fmt: skip

    async def words(self, name):
        async with self.merchant.read() as session:
            found = await consents(session, self.ids[name])
        return {key[1]: word for key, word in found.items()}

    async def logged(self, name):
        """What the log alone says."""
        async with self.merchant.read() as session:
            rows = await session.sql.fetch(
                """SELECT DISTINCT ON (channel) channel, status FROM consent_events
                   WHERE merchant_id = $1 AND customer_id = $2 ORDER BY channel, id DESC""",
                session.merchant_id, self.ids[name],
            )  # fmt: skip
        return dict(map(tuple, rows))


class Merged(World):
    """The world in which customers are merged: who holds whom, and by which merges."""

    def __init__(self, merchant):
        super().__init__(merchant)
        self.parent = {}  # name -> (name it was merged into, merge)
        self.refused = {name: set() for name in NAMES}

    def holder(self, name):
        while name in self.parent:
            name = self.parent[name][0]
        return name

    def group(self, name):
        return [one for one in NAMES if self.holder(one) == name]

    async def merge(self, into, from_):
        before = [await self.words(into), await self.words(from_)]
        async with self.merchant.work() as w:
            merge_id = await merge_customers(
                w, self.registry, self.ids[into], self.ids[from_], "test"
            )
        self.parent[from_] = (into, merge_id)
        after = await self.words(into)
        for channel in CHANNELS:
            said = {words.get(channel) for words in before}
            least = min(said - {None}, key=STRICT.get, default=None)
            assert STRICT[after.get(channel)] <= max(STRICT[least], STRICT[None])
            assert "denied" not in said or after[channel] == "denied"

    async def unmerge(self, name):
        _, merge_id = self.parent.pop(name)
        async with self.merchant.work() as w:
            await unmerge_customers(w, self.registry, merge_id)


async def both(merged, alone, name, change):
    for world in (merged, alone):
        async with world.merchant.work() as w:
            await change(w, world, world.ids[name])


async def play(merged, alone, step, number):
    action, name, *rest = step
    if action == "unmerge":
        names = sorted(merged.parent)
        if names:
            await merged.unmerge(names[name % len(names)])
        return
    holder = merged.holder(name)
    if action == "merge":
        other = merged.holder(rest[0])
        if holder != other:
            await merged.merge(holder, other)
    elif action == "tag":

        async def change(w, world, pk):
            await add_tags(w, pk, [f"own-{holder}-{number}"], "test")

        await both(merged, alone, holder, change)
    elif action == "untag":

        async def change(w, world, pk):
            await remove_tags(w, pk, [f"own-{holder}-{n}" for n in range(number)])

        await both(merged, alone, holder, change)
    elif action == "order":
        for world, owner in ((merged, holder), (alone, name)):
            async with world.merchant.work() as w:
                pk = world.ids[owner]
                shop = world.merchant.shop_id
                await add_order(w, pk, f"{name}-{number}", shop, buyer_id=f"nick-{name}")
                await refresh_facts(w, [pk])
    else:
        channel, status = rest

        async def change(w, world, pk):
            await set_consent(w, pk, channel, "marketing", status, "form")

        await both(merged, alone, holder, change)
        if status == "denied":
            for one in merged.group(holder):
                if one != holder:
                    merged.refused[one].add(channel)


async def two_worlds(merchant, given_people, *kinds):
    installation, clock = merchant.installation, merchant.clock
    worlds = []
    for kind in kinds:
        made = await set_up_merchant(installation.db, installation.registry, "P", shop="shop")
        worlds.append(
            kind(TestMerchant(made.merchant_id, made.shop_id, made.token, installation, clock))
        )
        await worlds[-1].furnish(given_people)
    return worlds


@settings(max_examples=12, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(given_people=people, todo=steps)
async def test_after_undoing_all_everybody_is_as_without(merchant, given_people, todo):
    merged, alone = await two_worlds(merchant, given_people, Merged, World)
    for number, step in enumerate(todo):
        merchant.clock.move(timedelta(seconds=1))
        await play(merged, alone, step, number)
        for name in NAMES:
            if name not in merged.parent:
                words = await merged.words(name)
                for channel, word in (await merged.logged(name)).items():
                    assert words.get(channel, "unproven") == word, (name, channel)
    while merged.parent:
        await merged.unmerge(min(merged.parent))
    assert OWN
    for name in NAMES:
        assert await merged.state(name) == await alone.state(name), name
        words, wanted = await merged.words(name), await alone.words(name)
        for channel in CHANNELS:
            if channel in merged.refused[name]:
                assert STRICT[words.get(channel)] <= STRICT[wanted.get(channel)]
            else:
                assert words.get(channel) == wanted.get(channel), (name, channel)
    async with merged.merchant.read() as session:
        left = await session.sql.fetchval(
            "SELECT count(*) FROM customer_merge_moves WHERE merchant_id = $1",
            merged.merchant.id,
        )
    assert left == 0


moves = st.lists(
    st.one_of(
        st.tuples(st.just("merge"), st.sampled_from(NAMES), st.sampled_from(NAMES)),
        st.tuples(st.just("unmerge"), st.integers(0, 9)),
    ),
    min_size=2, max_size=8,
)  # fmt: skip


@settings(max_examples=12, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(given_people=people, todo=moves)
async def test_undone_merges_leave_what_the_others_alone_would(merchant, given_people, todo):
    merged, alone = await two_worlds(merchant, given_people, Merged, Merged)
    order = []
    for number, step in enumerate(todo):
        before = dict(merged.parent)
        await play(merged, alone, step, number)
        order += [(*made, name) for name, made in merged.parent.items() if before.get(name) != made]
    for into, merge_id, from_ in order:
        if merged.parent.get(from_) == (into, merge_id):
            await alone.merge(into, from_)
    for name in NAMES:
        # what merges write into the log depends on what was merged when they were made
        but = ("merge", "unmerge")
        assert await merged.state(name, but=but) == await alone.state(name, but=but), name
        assert await merged.words(name) == await alone.words(name), name
