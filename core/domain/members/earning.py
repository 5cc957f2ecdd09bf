"""Points for orders: what each order ought to have earned, against what it has.

An order's points follow from what was paid and not refunded, whatever events said so and in which
order: asking again changes nothing. Points of a rule for products are for their lines' share of
what was paid. What is too little is given as a lot; what is too much is taken back from the lots
that the order itself has earned, so that a refund reverses its own points only.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from core.domain.members.benefits import NORMAL
from core.domain.members.points import Lot, balances, give, take_back
from core.domain.members.programme import Programme
from core.domain.members.rules import OrderEarning
from core.domain.orders.facts import COUNTED, REFUNDED
from core.storage.database import Work

SHARE = """CASE WHEN $7::text[] IS NULL AND $8::text[] IS NULL THEN 1 ELSE COALESCE((
    SELECT sum(l.amount) FILTER (WHERE ($7::text[] IS NULL OR l.product_id = ANY($7::text[]))
               AND ($8::text[] IS NULL OR l.category = ANY($8::text[])))
           / NULLIF(sum(l.amount), 0)
    FROM order_lines l WHERE l.merchant_id = $1 AND l.order_id = o.id), 0) END"""
"""The part of order `o` that its lines of products $7 and categories $8 are worth."""

MEMBER_THEN = """EXISTS (SELECT 1 FROM memberships m WHERE m.merchant_id = $1
    AND m.customer_id = o.customer_id AND m.joined_at <= o.paid_at
    AND COALESCE(m.left_at > o.paid_at, TRUE))"""
"""Whether the customer of order `o` was a member when it was paid."""

PERCENT_THEN = f"""COALESCE((
    SELECT (b.benefit ->> 'percent')::int
    FROM tier_intervals i JOIN tiers t ON t.merchant_id = $1 AND t.id = i.tier_id,
         jsonb_array_elements(t.benefits) b (benefit)
    WHERE i.merchant_id = $1 AND i.customer_id = o.customer_id AND i.valid_from <= o.paid_at
      AND COALESCE(i.valid_to > o.paid_at, TRUE) AND b.benefit ->> 'kind' = 'points_multiplier'
    LIMIT 1), {NORMAL})"""
"""The multiplier of the tier that the customer of order `o` had when it was paid."""


async def award_orders(w: Work, programme: Programme, order_ids: Sequence[int]) -> None:
    """Bring the points of these orders in line with what was paid for them.

    An order earns if its customer was a member when it was paid; it is multiplied by the tier of
    that moment.
    """
    for rule in programme.rules.points.orders:
        for row in await _unequal(w, programme, rule, order_ids):
            if row["target"] > row["earned"]:
                await _give_missing(w, programme, rule, row)
            else:
                await _take_surplus(w, programme, rule, row)


async def _unequal(
    w: Work, programme: Programme, rule: OrderEarning, order_ids: Sequence[int]
) -> list[Mapping[str, Any]]:
    """The orders whose points are not what they should be."""
    rows: list[Mapping[str, Any]] = await w.sql.fetch(
        f"""SELECT * FROM (
                SELECT o.id, o.customer_id, o.paid_at,
                       CASE WHEN {COUNTED} AND o.currency = $3 AND {MEMBER_THEN}
                                 AND ($9::bigint[] IS NULL OR o.shop_id = ANY($9::bigint[]))
                            THEN floor(floor((o.paid - {REFUNDED}) * {SHARE} / $4::bigint)
                                * $5::bigint * {PERCENT_THEN} / {NORMAL}.0)
                            ELSE 0 END::bigint AS target,
                       COALESCE((SELECT sum(e.points) FROM points_entries e
                           LEFT JOIN points_entries l ON l.merchant_id = $1 AND l.id = e.reverses
                           WHERE e.merchant_id = $1 AND e.order_id = o.id
                             AND COALESCE(l.rule, e.rule) = $6), 0)::bigint AS earned
                FROM orders o
                WHERE o.merchant_id = $1 AND o.id = ANY($2::bigint[]) AND o.paid_at IS NOT NULL
                  AND o.customer_id IS NOT NULL) found
            WHERE target <> earned ORDER BY customer_id, id""",
        w.merchant_id, list(order_ids), programme.currency, rule.per_amount, rule.points, rule.key,
        rule.product_ids, rule.categories, rule.shop_ids,
    )  # fmt: skip
    return rows


async def _give_missing(
    w: Work, programme: Programme, rule: OrderEarning, row: Mapping[str, Any]
) -> None:
    points = programme.rules.points
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
