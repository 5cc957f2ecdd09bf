"""Reviews: guarded snapshots, whose they are, and which of them needs care."""

import asyncio
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from core.domain.orders.review_words import review_words, set_review_words
from core.domain.orders.reviews import ingest_reviews
from core.domain.shops.setup import set_up_merchant
from core.sdk import Identity, InvalidInput, ReviewRecord
from tests.orders.test_refunds import order, table, take
from tests.privacy.test_erasure import erase

T = datetime(2026, 1, 2, tzinfo=UTC)


def review(number="V1", order="1", minutes=None, **more):
    modified = None if minutes is None else T + timedelta(minutes=minutes)
    return ReviewRecord(number, order, T, modified_at=modified, **more)


async def say(merchant, *records, events=True):
    async with merchant.work() as w:
        return await ingest_reviews(w, merchant.shop_id, records, events)


async def happened(merchant):
    """(type, sign, what else the event says) of each event about a review."""
    return [
        (row["type"].removeprefix("review."), told["sign"],
         told.get("cause") or told.get("old_sign"))
        for row in await table(merchant, "outbox_events") if row["type"].startswith("review.")
        for told in [orjson.loads(row["payload"])]
    ]  # fmt: skip


async def test_a_reviews_way(merchant):
    await take(merchant, order())
    first = review(sign=1, text="好", line_external_id="L1", tags=["快"], minutes=1)
    assert await say(merchant, first) == ["created"]
    assert await say(merchant, first) == ["unchanged"]
    worse = review(sign=-1, later_text="三天就坏了", minutes=3)
    assert await say(merchant, worse) == ["updated"]
    assert await say(merchant, review(sign=0, minutes=2)) == ["unchanged"]
    assert await say(merchant, review(reply="抱歉", minutes=4)) == ["updated"]
    (row,) = await table(merchant, "reviews")
    (owner,) = await table(merchant, "orders")
    assert (row["order_id"], row["customer_id"]) == (owner["id"], owner["customer_id"])
    assert (row["sign"], row["text"], row["later_text"], row["reply"]) == (
        -1, "好", "三天就坏了", "抱歉",
    )  # fmt: skip
    assert row["line_id"] is not None
    assert orjson.loads(row["tags"]) == ["快"]
    assert row["negative"] == "bad"
    assert await happened(merchant) == [
        ("given", 1, None), ("changed", -1, 1), ("negative", -1, "bad"),
    ]  # fmt: skip


async def test_the_newest_of_one_set_counts_and_history_makes_no_events(merchant):
    await take(merchant, order())
    outcomes = await say(
        merchant, review(sign=-1, minutes=5), review(sign=1, minutes=1), events=False
    )
    assert outcomes == ["created", "created"]
    (row,) = await table(merchant, "reviews")
    assert row["sign"] == -1
    assert await happened(merchant) == []


@pytest.mark.parametrize(
    ("stars", "sign", "negative"), [(5, 1, None), (4, 1, None), (3, 0, "neutral"), (1, -1, "bad")]
)
async def test_a_sign_follows_from_stars(merchant, stars, sign, negative):
    await take(merchant, order())
    await say(merchant, review(stars=stars))
    (row,) = await table(merchant, "reviews")
    assert (row["sign"], row["negative"]) == (sign, negative)


async def test_a_review_waits_for_its_order(merchant):
    assert await say(merchant, review(sign=1, minutes=1)) == ["waiting"]
    assert await say(merchant, review(sign=-1, minutes=2)) == ["waiting"]
    assert await say(merchant, review(sign=0, minutes=0)) == ["waiting"]
    assert await table(merchant, "reviews") == []
    assert await happened(merchant) == []
    await take(merchant, order())
    (row,) = await table(merchant, "reviews")
    assert row["sign"] == -1
    assert row["customer_id"] is not None
    assert await happened(merchant) == [("given", -1, None), ("negative", -1, "bad")]
    assert await table(merchant, "waiting_records") == []


async def test_a_buyer_known_by_an_id_has_the_review_before_its_order(merchant):
    ouid = Identity("shop", merchant.shop_id, "ouid", "AAG1")
    record = review(sign=1, text="ok", identities=[ouid])
    assert await say(merchant, record) == ["created"]
    assert await say(merchant, record) == ["unchanged"]
    (before,) = await table(merchant, "reviews")
    assert before["order_id"] is None
    assert before["customer_id"] is not None
    await take(merchant, order(identities=[ouid]))
    (row,) = await table(merchant, "reviews")
    (bought,) = await table(merchant, "orders")
    assert (row["order_id"], row["customer_id"]) == (bought["id"], before["customer_id"])
    assert row["customer_id"] == bought["customer_id"]
    assert await happened(merchant) == [("given", 1, None)]


async def test_a_review_follows_its_order_to_another_customer(merchant):
    nobodys = order()
    nobodys.buyer_id = None
    await take(merchant, nobodys)
    await say(merchant, review(sign=1))
    assert (await table(merchant, "reviews"))[0]["customer_id"] is None
    await take(merchant, order(modified_at=T))
    (row,) = await table(merchant, "reviews")
    assert row["customer_id"] == (await table(merchant, "orders"))[0]["customer_id"] is not None


async def test_the_merchants_words_make_a_good_review_negative(merchant):
    async with merchant.work() as w:
        await set_review_words(w, ["ＴＯＯ  Small", "掉色", "掉色"])
        assert await review_words(w) == ["too small", "掉色"]
    await take(merchant, order(), order("2"), order("3"))
    await say(
        merchant,
        review("V1", "1", sign=1, text="Lovely, but TOO\nsmall."),
        review("V2", "2", sign=1, text="not too  big, small"),
        review("V3", "3", sign=1),
    )
    negative = [row["negative"] for row in await table(merchant, "reviews")]
    assert negative == ["keyword", None, None]
    await say(merchant, review("V3", "3", sign=1, later_text="洗了就掉色"))
    assert await happened(merchant) == [
        ("given", 1, None), ("negative", 1, "keyword"), ("given", 1, None), ("given", 1, None),
        ("changed", 1, 1), ("negative", 1, "keyword"),
    ]  # fmt: skip
    async with merchant.work() as w:
        for words in ([" "], ["x" * 51], ["a\x00"], [str(n) for n in range(501)]):
            with pytest.raises(InvalidInput):
                await set_review_words(w, words)
        await set_review_words(w, [])
        assert await review_words(w) == []


async def test_an_erased_buyers_words_do_not_come_back(merchant):
    ouid = Identity("shop", merchant.shop_id, "ouid", "AAG1")
    await take(merchant, order(identities=[ouid]))
    await say(merchant, review(sign=-1, text="secret", reply="Dear Mr. Secret", identities=[ouid]))
    (row,) = await table(merchant, "reviews")
    await erase(merchant, row["customer_id"])
    await say(
        merchant,
        review(sign=1, text="secret", later_text="secret", tags=["secret"], reply="secret",
               identities=[ouid], minutes=9),
    )  # fmt: skip
    (row,) = await table(merchant, "reviews")
    assert (row["customer_id"], row["text"], row["later_text"], row["reply"], row["tags"]) == (
        None, None, None, None, None,
    )  # fmt: skip
    assert row["sign"] == 1


async def test_two_writers_at_once_and_another_merchants_shop(merchant):
    await take(merchant, order())
    records = [review(sign=1, minutes=1), review(sign=-1, minutes=2)]
    await asyncio.gather(*(say(merchant, one) for one in (*records, *reversed(records))))
    (row,) = await table(merchant, "reviews")
    assert row["sign"] == -1
    installation = merchant.installation
    other = await set_up_merchant(installation.db, installation.registry, "Other", shop="shop")
    async with installation.db.work(other.merchant_id) as w:
        assert await ingest_reviews(w, merchant.shop_id, [review(sign=0)]) == ["waiting"]
    assert [row["sign"] for row in await table(merchant, "reviews")] == [-1]
