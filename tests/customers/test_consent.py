"""Consent: the log and its fold, words at the same time, what the database refuses."""

import asyncio
from datetime import timedelta

import asyncpg
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.domain.customers.consent import (
    Word,
    effective_status,
    grant_where_unknown,
    refold,
    set_consent,
    set_consents,
    unsubscribe,
)
from core.domain.shops.shops import create_shop
from core.sdk import InvalidInput, NotFound, Several
from core.sdk.errors import HuikeError

STRICT = {"granted": 0, "unproven": 1, "denied": 2}


async def make_customers(merchant, count):
    async with merchant.work() as w:
        rows = await w.sql.fetch(
            """INSERT INTO customers (merchant_id, name, version, created_at, updated_at)
               SELECT $1, 'x', 1, $3, $3 FROM generate_series(1, $2) RETURNING id""",
            merchant.id, count, w.now,
        )  # fmt: skip
    return [row["id"] for row in rows]


async def second_shop(merchant, name="second"):
    async with merchant.work() as w:
        return await create_shop(w, name, "jd")


@pytest.fixture
async def shops(merchant):
    return [0, merchant.shop_id, await second_shop(merchant)]


async def say(merchant, customer_id, status, shop_id=0, source="form", **more):
    async with merchant.work() as w:
        return await set_consent(
            w, customer_id, "email", "marketing", status, source, shop_id=shop_id, **more
        )


async def effect(merchant, customer_id, shop_id=0):
    async with merchant.read() as session:
        return await effective_status(session, customer_id, shop_id, "email", "marketing")


async def table(merchant, name, order="id"):
    async with merchant.read() as session:
        rows = await session.sql.fetch(
            f"SELECT * FROM {name} WHERE merchant_id = $1 ORDER BY {order}", merchant.id
        )
    return [dict(row) for row in rows]


def fold(log):
    """The rule once more, in Python: (customer, shop, channel, purpose) -> (status, at)."""
    state = {}
    for row in log:
        key = (row["customer_id"], row["shop_id"], row["channel"], row["purpose"])
        word = (row["at"], STRICT[row["status"]], row["status"])
        state[key] = max(state.get(key, word), word)
    return {key: (word[2], word[0]) for key, word in state.items()}


async def state(merchant):
    return {
        (r["customer_id"], r["shop_id"], r["channel"], r["purpose"]): (r["status"], r["at"])
        for r in await table(merchant, "consents")
    }


async def outbox(merchant, prefix="consent."):
    return [
        (row["type"], orjson.loads(row["payload"]))
        for row in await table(merchant, "outbox_events")
        if row["type"].startswith(prefix)
    ]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["granted", "denied", "unproven", "unsubscribe", "import", "many"]),
        st.integers(0, 2),  # which customer
        st.integers(0, 2),  # all shops, or one of two
        st.sampled_from([-2, 0, 0, 1, 5]),  # seconds that pass before it: clocks differ
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
async def test_the_state_is_the_fold_of_the_log_after_any_sequence(merchant, shops, steps):
    customers = await make_customers(merchant, 3)
    start = merchant.clock()
    for what, customer, shop, seconds in steps:
        merchant.clock.move(timedelta(seconds=seconds))
        customer_id, shop_id = customers[customer], shops[shop]
        async with merchant.work() as w:
            if what == "unsubscribe":
                await unsubscribe(w, customer_id, "email", "link", shop_id=shop_id)
            elif what == "import":
                await grant_where_unknown(w, customers, "email", "import", {"text": "box"})
            elif what == "many":
                word = Word("email", "marketing", "granted", "form", shop_id)
                await set_consents(w, customers, word)
            else:
                await set_consent(
                    w, customer_id, "email", "marketing", what, "form", shop_id=shop_id
                )
        if what in ("denied", "unsubscribe"):
            assert await effect(merchant, customer_id, shop_id) == "denied"
            if shop_id == 0:
                assert {await effect(merchant, customer_id, s) for s in shops} == {"denied"}
    before = await state(merchant)
    assert before == fold(await table(merchant, "consent_events"))
    async with merchant.work() as w:
        await w.sql.execute("DELETE FROM consents WHERE merchant_id = $1", merchant.id)
        await w.sql.execute(
            """INSERT INTO consents (merchant_id, customer_id, channel, purpose, status, at)
               VALUES ($1, $2, 'fax', 'marketing', 'granted', $3)""",
            merchant.id, customers[0], w.now,
        )  # fmt: skip
        everybody = await w.sql.fetch(
            "SELECT id FROM customers WHERE merchant_id = $1", w.merchant_id
        )
        await refold(w, [row["id"] for row in everybody])
    assert await state(merchant) == before
    merchant.clock.move(start - merchant.clock())


async def test_for_a_shop_the_later_of_two_words_counts(merchant):
    (customer,) = await make_customers(merchant, 1)
    shop, other = merchant.shop_id, await second_shop(merchant)
    assert await say(merchant, customer, "granted")
    merchant.clock.move(timedelta(seconds=1))
    assert await say(merchant, customer, "denied", shop)
    assert [await effect(merchant, customer, s) for s in (0, shop, other)] == [
        "granted", "denied", "granted",
    ]  # fmt: skip
    merchant.clock.move(timedelta(seconds=1))
    assert await say(merchant, customer, "granted")
    assert [await effect(merchant, customer, s) for s in (0, shop, other)] == ["granted"] * 3
    assert not await say(merchant, customer, "granted")
    assert len(await table(merchant, "consent_events")) == 4


async def test_a_refusal_counts_from_its_arrival_whatever_the_clocks_say(merchant):
    (customer,) = await make_customers(merchant, 1)
    await say(merchant, customer, "granted", merchant.shop_id)
    merchant.clock.move(timedelta(seconds=-30))
    await say(merchant, customer, "denied")
    assert await effect(merchant, customer, merchant.shop_id) == "denied"
    # an older yes that arrives late does not undo it
    await say(merchant, customer, "granted", merchant.shop_id)
    assert await effect(merchant, customer, merchant.shop_id) == "denied"
    assert len(await outbox(merchant)) == 2
    merchant.clock.move(timedelta(seconds=31))
    await say(merchant, customer, "granted", merchant.shop_id)
    assert await effect(merchant, customer, merchant.shop_id) == "granted"


async def test_words_at_the_same_instant_end_with_the_refusal(merchant):
    customers = await make_customers(merchant, 10)
    for customer in customers:
        await asyncio.gather(
            say(merchant, customer, "granted"),
            say(merchant, customer, "denied"),
            say(merchant, customer, "granted"),
            say(merchant, customer, "unproven"),
        )
        assert await effect(merchant, customer) == "denied"
    assert await state(merchant) == fold(await table(merchant, "consent_events"))
    withdrawn = [data["customer_id"] for kind, data in await outbox(merchant)
                 if kind == "consent.withdrawn"]  # fmt: skip
    assert sorted(withdrawn) == customers


async def test_many_at_once_with_many_at_once(merchant):
    customers = await make_customers(merchant, 100)

    async def all_of_them(status):
        async with merchant.work() as w:
            word = Word("email", "marketing", status, "form", evidence={"form": status})
            return await set_consents(w, customers, word)

    changed = await asyncio.gather(*(all_of_them(s) for s in ("granted", "denied") * 3))
    assert sum(changed) in (100, 200)
    assert {status for status, _ in (await state(merchant)).values()} == {"denied"}
    assert len(await table(merchant, "consent_events")) == 600


async def test_events_tell_of_changes_only(merchant):
    (customer,) = await make_customers(merchant, 1)
    for status in ("granted", "granted", "denied", "denied", "unproven"):
        merchant.clock.move(timedelta(seconds=1))
        await say(merchant, customer, status)
    assert [kind for kind, _ in await outbox(merchant)] == ["consent.granted", "consent.withdrawn"]
    assert (await outbox(merchant))[0][1] == {
        "customer_id": customer, "shop_id": 0, "channel": "email", "purpose": "marketing",
        "source": "form",
    }  # fmt: skip


async def test_unsubscribing_reaches_every_shop_and_twice_is_once(merchant):
    (customer,) = await make_customers(merchant, 1)
    await say(merchant, customer, "denied")
    merchant.clock.move(timedelta(seconds=1))
    await say(merchant, customer, "granted", merchant.shop_id)
    for _ in range(2):
        async with merchant.work() as w:
            await unsubscribe(w, customer, "email", "link", evidence={"ip": "192.0.2.1"})
        assert await effect(merchant, customer, merchant.shop_id) == "denied"
    assert len(await outbox(merchant, "customer.unsub")) == 1
    log = await table(merchant, "consent_events")
    assert [row["status"] for row in log] == ["denied", "granted", "denied"]
    assert orjson.loads(log[-1]["evidence"]) == {"ip": "192.0.2.1"}


async def test_the_log_says_who_and_what(merchant):
    (customer,) = await make_customers(merchant, 1)
    async with merchant.installation.db.work(merchant.id, "token:7") as w:
        await set_consent(
            w, customer, "email", "marketing", "granted", "form", {"order": "E1"},
            shop_id=merchant.shop_id, text="我同意", text_version="2",
        )  # fmt: skip
    (row,) = await table(merchant, "consent_events")
    assert (row["actor"], row["shop_id"], row["text"], row["text_version"]) == (
        "token:7", merchant.shop_id, "我同意", "2",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"status": "perhaps"}, "status"),
        ({"purpose": "fun"}, "purpose"),
        ({"channel": " "}, "channel"),
        ({"channel": "*"}, "channel"),
        ({"purpose": "personalisation"}, "channel"),
        ({"source": "x" * 65}, "source"),
        ({"text": ""}, "text"),
        ({"text": "a\x00"}, "text"),
        ({"evidence": {"a": "x" * 20_000}}, "evidence"),
        ({"shop_id": 10**9}, "shopId"),
    ],
)
async def test_what_cannot_be_recorded(merchant, change, path):
    (customer,) = await make_customers(merchant, 1)
    word = {"channel": "email", "purpose": "marketing", "status": "granted", "source": "form"}
    async with merchant.work() as w:
        with pytest.raises((InvalidInput, NotFound)) as caught:
            await set_consent(w, customer, **(word | change))
        assert caught.value.path == ("input", path)


async def test_all_faults_at_once_and_all_customers_or_none(merchant, stranger_shop):
    customers = await make_customers(merchant, 2)
    async with merchant.work() as w:
        with pytest.raises((HuikeError, Several)) as caught:
            await set_consent(w, customers[0], "", "fun", "granted", "form", shop_id=stranger_shop)
        assert {error.path[-1] for error in caught.value.errors} == {"channel", "purpose", "shopId"}
        word = Word("email", "marketing", "granted", "form")
        with pytest.raises((HuikeError, Several)) as caught:
            await set_consents(w, [customers[0], 10**9, customers[1], 10**9 + 1], word)
        assert [error.path for error in caught.value.errors] == [
            ("input", "ids", "1"), ("input", "ids", "3"),
        ]  # fmt: skip
    assert await table(merchant, "consent_events") == []


@pytest.fixture
async def stranger_shop(installation):
    from core.domain.shops.setup import set_up_merchant

    return (await set_up_merchant(installation.db, installation.registry, "O", shop="s")).shop_id


async def test_an_import_without_evidence_is_unproven_and_overrules_nobody(merchant):
    silent, refused = await make_customers(merchant, 2)
    await say(merchant, refused, "denied", merchant.shop_id)
    merchant.clock.move(timedelta(seconds=1))
    async with merchant.work() as w:
        ids = [silent, refused]
        assert await grant_where_unknown(w, ids, "email", "import") == 1
        assert await grant_where_unknown(w, ids, "email", "import", {"text": "box"}) == 0
    assert await effect(merchant, silent) == "unproven"
    assert await effect(merchant, refused, merchant.shop_id) == "denied"
    assert await effect(merchant, refused) is None


CHANGES = [
    "UPDATE consent_events SET status = 'granted' WHERE merchant_id = $1",
    "UPDATE consent_events SET evidence = '{}' WHERE merchant_id = $1",
    "UPDATE consent_events SET at = at + interval '1 day', customer_id = 7 WHERE merchant_id = $1",
    "DELETE FROM consent_events WHERE merchant_id = $1",
    "UPDATE suppression_events SET reason = '' WHERE merchant_id = $1",
    "DELETE FROM suppression_events WHERE merchant_id = $1",
]


@pytest.mark.parametrize("change", CHANGES)
async def test_the_database_refuses_to_change_the_logs(merchant, change):
    (customer,) = await make_customers(merchant, 1)
    async with merchant.work() as w:
        await w.sql.execute(
            "UPDATE customers SET email_index = 'x' WHERE merchant_id = $1", merchant.id
        )
        await unsubscribe(w, customer, "email", "link")
    with pytest.raises(asyncpg.RaiseError, match="only ever appended to"):
        async with merchant.work() as w:
            await w.sql.execute(change, merchant.id)
    for name in ("consent_events", "suppression_events"):
        with pytest.raises(asyncpg.RaiseError):
            async with merchant.work() as w:
                await w.sql.execute(f"TRUNCATE {name}")
        assert len(await table(merchant, name)) == 1


async def test_a_merge_moves_words_and_an_erasure_deletes_them(merchant):
    kept, merged = await make_customers(merchant, 2)
    await say(merchant, kept, "granted")
    merchant.clock.move(timedelta(seconds=1))
    await say(merchant, merged, "denied")
    async with merchant.work() as w:
        await w.sql.execute(
            """UPDATE consent_events SET customer_id = $2
               WHERE merchant_id = $1 AND customer_id = $3""",
            merchant.id, kept, merged,
        )  # fmt: skip
        await refold(w, [kept, merged])
    assert {key[0]: status for key, (status, _) in (await state(merchant)).items()} == {
        kept: "denied"
    }
    async with merchant.work() as w:
        await w.sql.execute("SET LOCAL huike.erasing = 'on'")
        await w.sql.execute(
            "DELETE FROM consent_events WHERE merchant_id = $1 AND customer_id = $2",
            merchant.id, kept,
        )  # fmt: skip
        await refold(w, [kept])
    assert await state(merchant) == {}
    # the setting ends with its transaction, on the same connection too
    await say(merchant, kept, "granted")
    with pytest.raises(asyncpg.RaiseError):
        async with merchant.work() as w:
            await w.sql.execute("DELETE FROM consent_events WHERE merchant_id = $1", merchant.id)
