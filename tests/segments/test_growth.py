"""Sizes day by day, against counting each day by itself."""

import random
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from core.domain.segments.growth import segment_growth
from core.domain.segments.segments import create_segment
from core.sdk import InvalidInput
from core.sdk.facets import midnight
from core.testing.fixtures import START

EVERYBODY = {"version": 1, "rule": {"all": []}}


async def segment(merchant, stays, filled_at, zone="Asia/Shanghai"):
    """A segment of customers with these times in it: (customer, entered_at, left_at)."""
    async with merchant.work() as w:
        pk = await create_segment(w, merchant.installation.registry, "all", EVERYBODY)
        await w.sql.execute(
            "UPDATE segments SET filled_at = $3 WHERE merchant_id = $1 AND id = $2",
            w.merchant_id, pk, filled_at,
        )  # fmt: skip
        await w.sql.execute("UPDATE merchants SET time_zone = $2 WHERE id = $1", merchant.id, zone)
        await w.sql.executemany(
            """INSERT INTO segment_members (merchant_id, segment_id, customer_id, entered_at,
                   left_at) VALUES ($1, $2, $3, $4, $5)""",
            [(w.merchant_id, pk, *stay) for stay in stays],
        )
    return pk


async def growth(merchant, pk, first, last):
    async with merchant.read() as session:
        return [
            (str(one.day), one.size, one.entered, one.left)
            for one in await segment_growth(
                session, pk, date.fromisoformat(first), date.fromisoformat(last)
            )
        ]


async def test_worked_example(merchant):
    filled = datetime(2026, 6, 10, 3, tzinfo=UTC)
    # the first instant of the twelfth in Shanghai, and the last of the eleventh
    edge = datetime(2026, 6, 11, 16, tzinfo=UTC)
    pk = await segment(
        merchant,
        [
            (1, filled, None),
            (2, filled, edge),
            (3, filled, edge - timedelta(microseconds=1)),
            (4, edge, None),
            (5, edge - timedelta(microseconds=1), edge + timedelta(hours=1)),
            (5, edge + timedelta(hours=2), None),
        ],
        filled,
    )
    other = merchant.installation.registry
    async with merchant.work() as w:
        another = await create_segment(w, other, "another", EVERYBODY)
        await w.sql.execute(
            """INSERT INTO segment_members (merchant_id, segment_id, customer_id, entered_at)
               VALUES ($1, $2, 9, $3)""",
            w.merchant_id, another, filled,
        )  # fmt: skip
    assert await growth(merchant, pk, "2026-06-01", "2026-06-30") == [
        ("2026-06-10", 3, 0, 0),
        ("2026-06-11", 3, 1, 1),
        ("2026-06-12", 3, 2, 2),
        ("2026-06-13", 3, 0, 0),
        ("2026-06-14", 3, 0, 0),
        ("2026-06-15", 3, 0, 0),
    ]
    assert await growth(merchant, pk, "2026-06-12", "2026-06-12") == [("2026-06-12", 3, 2, 2)]
    assert await growth(merchant, pk, "2026-06-01", "2026-06-09") == []
    assert await growth(merchant, pk, "2026-06-16", "2026-06-20") == []
    assert await growth(merchant, another, "2026-06-12", "2026-06-12") == []


@pytest.mark.parametrize(
    ("zone", "first"),
    [
        ("Asia/Shanghai", date(2026, 3, 1)),
        ("America/New_York", date(2026, 3, 1)),  # a day of 23 hours
        ("America/Havana", date(2025, 10, 25)),  # midnight comes twice
        ("Africa/Cairo", date(2026, 4, 15)),  # midnight never comes
        ("Australia/Lord_Howe", date(2026, 4, 1)),  # half an hour
    ],
)
async def test_agrees_with_counting_each_day(merchant, zone, first):
    r = random.Random(zone)
    there = ZoneInfo(zone)
    days = [first + timedelta(days=n) for n in range(12)]
    filled = midnight(first, there)
    edges = [midnight(day, there) for day in days]
    stays = []
    for number in range(300):
        entered = r.choice([filled, *edges]) + timedelta(seconds=r.choice([0, 0, -1, 1, 4000]))
        entered = max(filled, entered)
        left = entered + timedelta(seconds=r.choice([0, 1, 3600, 86_400, 300_000]))
        later = r.choice([edge for edge in [*edges, left] if edge >= entered])
        stays.append((number, entered, r.choice([None, left, later])))
    pk = await segment(merchant, stays, filled, zone)
    expected = []
    for day in days:
        start, end = midnight(day, there), midnight(day + timedelta(days=1), there)
        expected.append(
            (
                str(day),
                sum(e < end and (gone is None or gone >= end) for _, e, gone in stays),
                sum(start <= e < end and e > filled for _, e, gone in stays),
                sum(gone is not None and start <= gone < end for _, e, gone in stays),
            )
        )
    assert await growth(merchant, pk, str(days[0]), str(days[-1])) == expected
    assert await growth(merchant, pk, str(days[4]), str(days[9])) == expected[4:10]


async def test_refuses_too_much(merchant):
    pk = await segment(merchant, [], START)
    with pytest.raises(InvalidInput, match="366"):
        await growth(merchant, pk, "2025-01-01", "2026-01-02")
    assert await growth(merchant, pk, "2025-06-15", "2026-06-15") == [("2026-06-15", 0, 0, 0)]
    with pytest.raises(InvalidInput, match="after"):
        await growth(merchant, pk, "2026-01-02", "2026-01-01")
