from collections import Counter

import pytest

from core.domain.campaigns.chance import PARTS, bounds, choice, choice_sql, salt, share, share_sql


async def test_database_and_process_agree(merchant):
    mixed = salt(7, "message")
    async with merchant.read() as session:
        rows = await session.sql.fetch(
            f"""SELECT n, {share_sql("n", "$1::text")} AS share,
                       {choice_sql("n", "$1::text", [1, 2, 7])} AS choice
                FROM generate_series(1, 2000) n
                UNION ALL SELECT 9223372036854775807, {share_sql(str(2**63 - 1), "$1::text")},
                       {choice_sql(str(2**63 - 1), "$1::text", [1, 2, 7])}""",
            mixed,
        )
    assert len(rows) == 2001
    for row in rows:
        assert row["share"] == share(row["n"], mixed)
        assert row["choice"] == choice(row["n"], mixed, [1, 2, 7])


def test_stays_where_it_was():
    assert [share(number, salt(1, "holdout")) for number in (1, 2, 3)] == [2308, 5348, 1797]


def test_spreads_evenly_and_independently():
    places = [(share(n, "1:a"), share(n, "1:b")) for n in range(20_000)]
    assert all(0 <= place < PARTS for pair in places for place in pair)
    quarters = Counter((a * 2 // PARTS, b * 2 // PARTS) for a, b in places)
    assert all(4_700 < quarters[pair] < 5_300 for pair in ((0, 0), (0, 1), (1, 0), (1, 1)))


@pytest.mark.parametrize("weights", [[1], [1, 1, 1], [1000, 1], [3, 1, 4, 1, 5, 9, 2, 6]])
def test_weights_fill_all_places(weights):
    ends = bounds(weights)
    assert ends[-1] == PARTS
    assert ends == sorted(set(ends))
