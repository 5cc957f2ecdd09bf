"""RFM and the 5221 model of all customers, each against one statement by hand."""

from datetime import timedelta
from zoneinfo import ZoneInfo

from bench.segment_counts import count_one
from bench.segment_questions import BOUGHT, Question
from bench.turns import compared, in_turns
from core.domain.lifecycle.calendar import calendar_of
from core.domain.lifecycle.proposal import propose
from core.domain.lifecycle.rfm import measure
from core.installation import Installation
from core.sdk.facets import midnight

CURRENCY = "CNY"

FIGURES = f"""
    SELECT customer_id, $2::date - max(day) AS r, count(*) AS f, sum(net) AS m
    FROM (SELECT o.customer_id, (o.paid_at AT TIME ZONE s.time_zone)::date AS day,
                 sum(o.paid - LEAST(o.refunded, o.paid)) AS net
          FROM orders o JOIN shops s ON s.merchant_id = o.merchant_id AND s.id = o.shop_id
          WHERE {BOUGHT} AND o.customer_id IS NOT NULL AND o.currency = '{CURRENCY}'
            AND o.paid_at >= $3
          GROUP BY o.customer_id, o.shop_id, day) purchases
    GROUP BY customer_id
"""
"""$1 is the merchant, $2 today, $3 where the year began."""

QUINTILES = """percentile_disc(ARRAY[0.2, 0.4, 0.6, 0.8]) WITHIN GROUP (ORDER BY {0})::bigint[]
    AS {0}"""
RFM = f"""
    WITH figures AS MATERIALIZED ({FIGURES})
    SELECT {", ".join(QUINTILES.format(name) for name in "rfm")},
           count(*) AS customers, round(avg(r), 12) AS r_mean,
           round(avg(f), 12) AS f_mean, round(avg(m), 12) AS m_mean,
           (SELECT percentile_disc((SELECT array_agg(n / 100.0 ORDER BY n)
                                    FROM generate_series(1, 99) n))
                       WITHIN GROUP (ORDER BY paid - refunded)
            FROM customer_facts
            WHERE merchant_id = $1 AND shop_id = 0 AND currency = '{CURRENCY}' AND purchases > 0)
               AS percentiles
    FROM figures
"""

DAY = "({} AT TIME ZONE m.time_zone)::date"
GAPS = f"""
    WITH buyers AS (
        SELECT f.customer_id, {DAY.format("f.first_purchase_at")} AS first,
               {DAY.format("f.second_purchase_at")} AS second
        FROM customer_facts f JOIN merchants m ON m.id = f.merchant_id
        WHERE f.merchant_id = $1 AND f.shop_id = 0 AND f.first_purchase_at IS NOT NULL),
    days AS (  -- the first two days on which something was bought, in whichever currency
        SELECT min(first) AS first,
               CASE WHEN count(*) = 1 THEN min(second) ELSE NULLIF(LEAST(min(second),
                   max(first)), min(first)) END AS second
        FROM buyers GROUP BY customer_id)
    SELECT percentile_disc(ARRAY[0.5, 0.7, 0.9]) WITHIN GROUP (ORDER BY second - first) AS days,
           count(*) AS customers
    FROM days WHERE second > first
"""


async def models(opened: Installation, merchant_id: int) -> None:
    """Boundaries of RFM, a group of RFM, and the thresholds of the 5221 model."""
    async with opened.db.read(merchant_id) as session:
        calendar = await calendar_of(session)
        since = midnight(calendar.today - timedelta(days=365), ZoneInfo(calendar.zone))

        async def measured() -> None:
            async with opened.db.work(merchant_id) as w:
                await measure(w, calendar, CURRENCY)

        async def by_hand() -> None:
            await session.sql.fetch(RFM, merchant_id, calendar.today, since)

        await measured()
        hand = await session.figures(RFM, merchant_id, calendar.today, since)
        ours = await session.figures(
            """SELECT r_bounds AS r, f_bounds AS f, m_bounds AS m, customers, r_mean, f_mean,
                      m_mean, percentiles
               FROM rfm_models WHERE merchant_id = $1 AND shop_id = 0 AND currency = $2
                 AND valid_to IS NULL""",
            merchant_id, CURRENCY,
        )  # fmt: skip
        if dict(hand) != dict(ours):
            raise AssertionError(f"RFM: {dict(ours)}, by hand {dict(hand)}")
        compared("segments_rfm_measure_ms", *await in_turns(measured, by_hand), "SQL by hand", 1.2,
                 customers=ours["customers"])  # fmt: skip

        group = Question(
            "rfm_group",
            {"rfm_group": {"any_of": ["IMPORTANT_VALUE"]}},
            lambda ago: (
                f"""SELECT count(*)
                FROM ({
                    FIGURES.replace("$2::date", f"DATE '{calendar.today}'").replace("$3", ago(365))
                }) x
                JOIN rfm_models m ON m.merchant_id = $1 AND m.shop_id = 0
                 AND m.currency = '{CURRENCY}' AND m.valid_to IS NULL
                WHERE x.r <= m.r_mean AND x.f >= m.f_mean AND x.m >= m.m_mean"""
            ),
        )
        await count_one(opened, session, group)

        async def proposed() -> None:
            await propose(session, calendar)

        async def gaps_by_hand() -> None:
            await session.sql.fetch(GAPS, merchant_id)

        proposal = await propose(session, calendar)
        hand = await session.figures(GAPS, merchant_id)
        days = proposal.thresholds
        if [days.active, days.silent, days.sleeping] != hand["days"]:
            raise AssertionError(f"5221: {days}, by hand {hand['days']}")
        compared("segments_5221_ms", *await in_turns(proposed, gaps_by_hand), "SQL by hand", 1.2,
                 came_back=proposal.sample, thresholds=hand["days"])  # fmt: skip
