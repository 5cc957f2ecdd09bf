"""Points for orders: what each order ought to have earned, against what it has.

An order's points follow from what was paid and not refunded, whatever events said so and in which
order: asking again changes nothing. Points of a rule for products are for their lines' share of
what was paid. What is too little is given as a lot; what is too much is taken back from the lots
that the order itself has earned, so that a refund reverses its own points only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from core.domain.members.benefits import NORMAL
from core.domain.members.points import Lot, balances, give, take_back
from core.domain.members.programme import Programme
from core.domain.members.rules import OrderEarning, PointsRules, Rules
from core.domain.orders.facts import COUNTED, REFUNDED
from core.storage.database import Work

SHARE = """CASE WHEN $7::text[] IS NULL AND $8::text[] IS NULL THEN 1 ELSE COALESCE((
    SELECT sum(GREATEST(l.amount, 0)) FILTER (
               WHERE ($7::text[] IS NULL OR l.product_id = ANY($7::text[]))
               AND ($8::text[] IS NULL OR l.category = ANY($8::text[])))
           / NULLIF(sum(GREATEST(l.amount, 0)), 0)
    FROM order_lines l WHERE l.merchant_id = $1 AND l.order_id = o.id), 0) END"""
"""The part of order `o` that its lines of products $7 and categories $8 are worth; a line below 0
is a discount on all of them."""

MEMBER_THEN = """EXISTS (SELECT 1 FROM memberships m WHERE m.merchant_id = $1
    AND m.customer_id = o.customer_id AND COALESCE(m.earns_from, m.joined_at) <= o.paid_at
    AND COALESCE(m.left_at > o.paid_at, TRUE))"""
"""Whether the customer of order `o` was a member when it was paid, and earned points here."""

TIER_THEN = """(SELECT i.tier_id FROM tier_intervals i
    JOIN tiers t ON t.merchant_id = $1 AND t.id = i.tier_id
    WHERE i.merchant_id = $1 AND i.customer_id = o.customer_id AND i.valid_from <= o.paid_at
      AND COALESCE(i.valid_to > o.paid_at, TRUE) ORDER BY t.rank DESC LIMIT 1)"""
"""The tier that the customer of order `o` had when it was paid."""

PERCENT_THEN = f"""COALESCE((
    SELECT (b.benefit ->> 'percent')::int
    FROM tiers t, jsonb_array_elements(t.benefits) b (benefit)
    WHERE t.merchant_id = $1 AND t.id = {TIER_THEN} AND b.benefit ->> 'kind' = 'points_multiplier'),
    {NORMAL})"""
"""The multiplier of that tier."""

CAMPAIGN_THEN = f"""COALESCE((
    SELECT max((x ->> 'percent')::int) FROM jsonb_array_elements($10::jsonb) x
    WHERE COALESCE((x ->> 'start')::timestamptz <= o.paid_at, TRUE)
      AND COALESCE((x ->> 'end')::timestamptz > o.paid_at, TRUE)
      AND (x ->> 'weekdays' IS NULL OR x -> 'weekdays'
           @> to_jsonb(extract(isodow FROM o.paid_at AT TIME ZONE $11::text)::int))
      AND (x ->> 'shop_ids' IS NULL OR x -> 'shop_ids' @> to_jsonb(o.shop_id))
      AND (x ->> 'tier_ids' IS NULL OR x -> 'tier_ids' @> to_jsonb({TIER_THEN}))), {NORMAL})"""
"""The multiplier of the campaigns $10 that order `o` was paid in, by days of the zone $11."""

POINTS = f"""CASE WHEN {COUNTED} AND o.currency = $3 AND {MEMBER_THEN}
         AND ($9::bigint[] IS NULL OR o.shop_id = ANY($9::bigint[]))
    THEN LEAST(floor(floor((o.paid - {REFUNDED}) * {SHARE} / $4::bigint) * $5::bigint
               * {PERCENT_THEN} * {CAMPAIGN_THEN} / {NORMAL * NORMAL}.0), $12::bigint)
    ELSE 0 END::bigint"""
"""What order `o` earns by a rule, before the most of a month."""


@dataclass(frozen=True)
class Period:
    """Rules, and from when until when they were in force."""

    rules: PointsRules
    start: datetime
    end: datetime | None


async def award_orders(w: Work, programme: Programme, order_ids: Sequence[int]) -> None:
    """Bring the points of these orders in line with what was paid for them.

    An order earns if its customer was a member when it was paid, by the rules of that moment, and
    is multiplied by the tier and the campaigns of that moment.
    """
    for period, ids in await _by_period(w, order_ids):
        for rule in period.rules.orders:
            for row in await _unequal(w, programme, period, rule, ids):
                if row["target"] > row["earned"]:
                    await _give_missing(w, programme, period.rules, rule, row)
                else:
                    await _take_surplus(w, programme, rule, row)


async def _by_period(w: Work, order_ids: Sequence[int]) -> list[tuple[Period, list[int]]]:
    """The paid orders by the rules that were in force; before there were any they earn nothing."""
    rows = await w.sql.fetch(
        """SELECT v.rules, v.valid_from, v.valid_to, array_agg(o.id) AS ids
           FROM (SELECT rules, valid_from,
                        lead(valid_from) OVER (ORDER BY version) AS valid_to
                 FROM programme_versions WHERE merchant_id = $1) v
           JOIN orders o ON o.merchant_id = $1 AND o.id = ANY($2::bigint[])
                AND o.paid_at >= v.valid_from AND COALESCE(o.paid_at < v.valid_to, TRUE)
           GROUP BY 1, 2, 3 ORDER BY 2""",
        w.merchant_id, list(order_ids),
    )  # fmt: skip
    return [
        (Period(Rules.model_validate_json(row["rules"]).points, row["valid_from"], row["valid_to"]),
         row["ids"])
        for row in rows
    ]  # fmt: skip


async def _unequal(
    w: Work, programme: Programme, period: Period, rule: OrderEarning, order_ids: Sequence[int]
) -> list[Mapping[str, Any]]:
    """The orders whose points are not what they should be.

    With a most of a month the customer's other orders of that month are looked at, too: which of
    them earn how much depends on those that were paid before.
    """
    campaigns = [one.model_dump(mode="json") for one in period.rules.multipliers]
    if rule.per_month is not None:
        order_ids = await _of_same_months(w, programme, period, order_ids)
    rows: list[Mapping[str, Any]] = await w.sql.fetch(
        f"""WITH raw AS (
                SELECT o.id, o.customer_id, o.paid_at, {POINTS} AS points,
                       date_trunc('month', o.paid_at AT TIME ZONE $11::text) AS month
                FROM orders o
                WHERE o.merchant_id = $1 AND o.id = ANY($2::bigint[]) AND o.paid_at IS NOT NULL
                  AND o.customer_id IS NOT NULL),
            capped AS (
                SELECT *, CASE WHEN $13::bigint IS NULL THEN points ELSE
                    GREATEST(LEAST(points, $13::bigint - (sum(points) OVER (
                        PARTITION BY customer_id, month ORDER BY paid_at, id) - points)), 0)
                    END::bigint AS target
                FROM raw)
            SELECT * FROM (
                SELECT o.*, COALESCE((SELECT sum(e.points) FROM points_entries e
                           LEFT JOIN points_entries l ON l.merchant_id = $1 AND l.id = e.reverses
                           WHERE e.merchant_id = $1 AND e.order_id = o.id
                             AND COALESCE(l.rule, e.rule) = $6), 0)::bigint AS earned
                FROM capped o) found
            WHERE target <> earned ORDER BY customer_id, id""",
        w.merchant_id, list(order_ids), programme.currency, rule.per_amount, rule.points, rule.key,
        rule.product_ids, rule.categories, rule.shop_ids, orjson.dumps(campaigns).decode(),
        programme.zone.key, rule.per_order, rule.per_month,
    )  # fmt: skip
    return rows


async def _of_same_months(
    w: Work, programme: Programme, period: Period, order_ids: Sequence[int]
) -> list[int]:
    """The orders that the customers of these paid in the same months, by the same rules."""
    rows = await w.sql.fetch(
        """SELECT DISTINCT n.id FROM orders o
           JOIN orders n ON n.merchant_id = $1 AND n.customer_id = o.customer_id
                AND date_trunc('month', n.paid_at AT TIME ZONE $3::text)
                    = date_trunc('month', o.paid_at AT TIME ZONE $3::text)
                AND n.paid_at >= $4 AND COALESCE(n.paid_at < $5::timestamptz, TRUE)
           WHERE o.merchant_id = $1 AND o.id = ANY($2::bigint[])""",
        w.merchant_id, list(order_ids), programme.zone.key, period.start, period.end,
    )  # fmt: skip
    return [row["id"] for row in rows]


async def _give_missing(
    w: Work, programme: Programme, points: PointsRules, rule: OrderEarning, row: Mapping[str, Any]
) -> None:
    usable_at = max(w.now, row["paid_at"] + timedelta(days=points.pending_days))
    await give(w, "earn", [
        Lot(row["customer_id"], row["target"] - row["earned"], usable_at,
            points.expiry.after(usable_at, programme.zone), row["id"], rule.key)
    ])  # fmt: skip


async def _take_surplus(
    w: Work, programme: Programme, rule: OrderEarning, row: Mapping[str, Any]
) -> None:
    customer_id, surplus = row["customer_id"], row["earned"] - row["target"]
    lots = await w.sql.fetch(
        """SELECT l.id, l.points + COALESCE((SELECT sum(r.points) FROM points_entries r
                  WHERE r.merchant_id = $1 AND r.reverses = l.id), 0)::bigint AS open
           FROM points_entries l
           WHERE l.merchant_id = $1 AND l.order_id = $2 AND l.rule = $3 AND l.lot
           ORDER BY l.id DESC""",
        w.merchant_id, row["id"], rule.key,
    )  # fmt: skip
    for lot in lots:
        points = min(surplus, lot["open"])
        if points > 0:
            await take_back(w, lot["id"], points, "refund")
            surplus -= points
    await forgive(w, programme, customer_id)


async def forgive(w: Work, programme: Programme, customer_id: int) -> None:
    """Where the programme allows no debts, a balance below 0 is brought back to it."""
    balance = (await balances(w, [customer_id]))[customer_id]
    if balance.available < 0 and not programme.rules.points.debts:
        await give(w, "adjust", [Lot(customer_id, -balance.available, w.now, reason="forgiven")])
