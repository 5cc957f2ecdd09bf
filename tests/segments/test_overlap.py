"""Overlaps against sets in Python."""

from decimal import Decimal
from itertools import combinations

import pytest

from core.domain.customers.tags import tag_customers
from core.domain.segments.overlap import segment_overlap
from core.domain.segments.rules import stored_rule
from core.domain.segments.segments import create_segment
from core.sdk import InvalidInput, NotFound
from tests.segments.test_segments import add_customer

TAGS = ["two", "three", "five", "seven", "none"]


@pytest.fixture
def divisors():
    return {"two": 2, "three": 3, "five": 5, "seven": 7, "none": 1000}


async def make(merchant, divisors, count=40):
    """Customers numbered from 1, tagged with their divisors; a segment for each tag."""
    registry = merchant.installation.registry
    async with merchant.work() as w:
        pks = [await add_customer(w, province="浙江省") for _ in range(count)]
        for tag, divisor in divisors.items():
            hit = [pk for number, pk in enumerate(pks, 1) if number % divisor == 0]
            if hit:
                await tag_customers(w, hit, [tag], "test")
        return {
            tag: await create_segment(
                w, registry, tag,
                await stored_rule(w, registry, {"all": [
                    {"tag": {"any_of": [tag]}}, {"province": {"any_of": ["浙江"]}},
                ]}),
            )
            for tag in divisors
        }  # fmt: skip


async def test_agrees_with_sets(merchant, divisors):
    segments = await make(merchant, divisors)
    members = {
        segments[tag]: {n for n in range(1, 41) if n % divisor == 0}
        for tag, divisor in divisors.items()
    }
    ids = list(segments.values())
    async with merchant.read() as session:
        found = await segment_overlap(session, merchant.installation.registry, ids)
    everybody = set().union(*members.values())
    assert found.union == len(everybody) == 31
    assert found.all == 0
    for one in found.segments:
        others = set().union(*(members[pk] for pk in ids if pk != one.segment_id))
        assert one.size == len(members[one.segment_id])
        assert one.alone == len(members[one.segment_id] - others)
    assert [(pair.first, pair.second) for pair in found.pairs] == list(combinations(ids, 2))
    for pair in found.pairs:
        a, b = members[pair.first], members[pair.second]
        assert (pair.both, pair.either) == (len(a & b), len(a | b))
    two_three = found.pairs[0]
    assert (two_three.both, two_three.either) == (6, 27)
    assert two_three.jaccard == Decimal("0.2222")


async def test_lists_are_asked_by_their_members(merchant, divisors):
    segments = await make(merchant, divisors)
    kept = segments["none"]
    async with merchant.work() as w:
        await w.sql.execute(
            """UPDATE segments SET kind = 'list', rule = jsonb_build_object('version', 1, 'rule',
                   jsonb_build_object('in_segment', jsonb_build_object('segment_id', id)))
               WHERE merchant_id = $1 AND id = $2""",
            w.merchant_id, kept,
        )  # fmt: skip
        await w.sql.execute(
            """INSERT INTO segment_members (merchant_id, segment_id, customer_id, entered_at,
                   left_at)
               SELECT $1, $2, t.customer_id, $3, CASE WHEN n = 1 THEN $3::timestamptz END
               FROM (SELECT customer_id, row_number() OVER (ORDER BY customer_id) AS n
                     FROM customer_tags WHERE merchant_id = $1 AND tag = 'seven') t""",
            w.merchant_id, kept, w.now,
        )  # fmt: skip
    async with merchant.read() as session:
        found = await segment_overlap(
            session, merchant.installation.registry, [segments["seven"], kept]
        )
    assert [(one.size, one.alone) for one in found.segments] == [(5, 1), (4, 0)]
    assert (found.union, found.all) == (5, 4)
    assert found.pairs[0].jaccard == Decimal("0.8")


async def test_of_nobody_there_is_no_share(merchant, divisors):
    segments = await make(merchant, {"none": 1000, "none too": 1000}, count=3)
    async with merchant.read() as session:
        found = await segment_overlap(
            session, merchant.installation.registry, list(segments.values())
        )
    assert found.pairs[0].jaccard is None
    assert found.union == 0


async def test_refuses(merchant, divisors):
    segments = list((await make(merchant, divisors, count=1)).values())
    registry = merchant.installation.registry
    async with merchant.read() as session:
        for wrong in (segments[:1], segments[:1] * 2, [*segments, 1]):
            with pytest.raises(InvalidInput, match="2 to 5"):
                await segment_overlap(session, registry, wrong)
        with pytest.raises(NotFound) as caught:
            await segment_overlap(session, registry, [segments[0], 2**60])
        assert caught.value.path == ("ids", "1")
