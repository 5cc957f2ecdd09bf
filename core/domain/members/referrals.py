"""Referrals (老带新): a customer comes by a member's code, buys, keeps it, and both get something.

    entered -> waiting for the first purchase -> waiting until it can no longer be returned
            -> granted, or refused for a reason            -> undone, if it is refunded after all

What a referral waits for follows from the customer's orders, whatever events said so and in which
order. Whether anything speaks against it is asked when the code is entered and again before
anything is granted: by then it is known where the parcels went. Each referral is settled in a
transaction of its own, which holds the rewards first and both customers afterwards.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from core.domain.customers.customers import get_customer
from core.domain.members.earning import forgive
from core.domain.members.membership import find_membership
from core.domain.members.points import CUSTOMER, Lot, give, lock, take_back
from core.domain.members.programme import (
    Programme,
    find_programme,
    get_programme,
    rules_at,
)
from core.domain.members.redeeming import RewardUnavailable, cancel, grant_reward
from core.domain.members.referral_checks import RefusalReason, why_not
from core.domain.members.referral_codes import find_code
from core.domain.members.rewards import hold_reward
from core.domain.members.rules import ReferralRules
from core.domain.orders.facts import COUNTED
from core.sdk.errors import AlreadyExists, Faults, InvalidInput, NotFound, WrongState
from core.sdk.events import ReferralEntered, ReferralGranted, ReferralRefused, ReferralUndone
from core.sdk.facets import midnight
from core.storage.database import Database, Session, Work

logger = logging.getLogger(__name__)

SETTLED_AT_ONCE = 500

SIDES = ("referrer", "customer")

REFERRAL = """SELECT r.*, c.customer_id AS referrer_id FROM referrals r
    JOIN referral_codes c ON c.merchant_id = $1 AND c.id = r.code_id
    WHERE r.merchant_id = $1"""

STANDS = f"""EXISTS (SELECT 1 FROM orders f
    JOIN shops s ON s.merchant_id = $1 AND s.id = f.shop_id
    JOIN orders o ON o.merchant_id = $1 AND o.customer_id = f.customer_id AND o.shop_id = f.shop_id
         AND (o.paid_at AT TIME ZONE s.time_zone)::date = (f.paid_at AT TIME ZONE s.time_zone)::date
    WHERE f.merchant_id = $1 AND f.id = r.order_id AND {COUNTED})"""
"""Whether the purchase of `r`, all orders of that day, was not refunded altogether."""

DUE = """r.state = 'waiting' AND r.due_at <= $2
    AND NOT EXISTS (SELECT 1 FROM orders d
        WHERE d.merchant_id = r.merchant_id AND d.id = r.order_id AND d.in_dispute)"""
"""Whether the purchase of `r` is kept; as long as it is disputed nobody knows."""


@dataclass(frozen=True)
class ReferralCount:
    """So many referrals that were entered in some time, by what became of them."""

    state: str
    reason: str | None
    referrals: int


async def enter_code(w: Work, customer_id: int, text: str) -> int:
    """Note that a member came by somebody's code; returns the referral's id.

    One that cannot be is noted too, as refused. Raises NotFound for the code or the customer,
    WrongState for no member or a programme without referrals, AlreadyExists for who was referred.
    """
    programme = await get_programme(w)
    if programme.rules.referral is None:
        raise WrongState("the programme has no rules for referrals: give it some with programmeSet")
    faults = Faults()
    with faults:
        await get_customer(w, customer_id, path=CUSTOMER)
    with faults:
        code = await find_code(w, text)
    faults.tell()
    await lock(w, sorted({customer_id, code.customer_id}))
    if await find_membership(w, customer_id) is None:
        raise WrongState("the customer is not a member", CUSTOMER)
    if await w.sql.fetchval(
        """SELECT EXISTS (SELECT 1 FROM referrals WHERE merchant_id = $1 AND customer_id = $2
               AND state <> 'refused')""",
        w.merchant_id, customer_id,
    ):  # fmt: skip
        raise AlreadyExists("the customer was referred before", CUSTOMER)
    reason = await why_not(w, code.customer_id, customer_id, w.now)
    referral_id: int = await w.sql.fetchval(
        """INSERT INTO referrals (merchant_id, code_id, customer_id, actor, entered_at)
           VALUES ($1, $2, $3, $4, $5) RETURNING id""",
        w.merchant_id, code.id, customer_id, w.actor, w.now,
    )  # fmt: skip
    w.emit(ReferralEntered(referral_id, customer_id, code.customer_id))
    if reason is not None:
        await _refuse(w, await _get(w, referral_id), reason)
    return referral_id


async def refuse(w: Work, referral_id: int, note: str) -> None:
    """Refuse a referral that waits, by hand. Raises NotFound, WrongState."""
    row = await _hold(w, referral_id)
    if row["state"] != "waiting":
        raise WrongState(f"the referral is {row['state']} already", ("id",))
    await _refuse(w, row, RefusalReason.STAFF, note)
    w.audit("referral.refused", {"referral": referral_id})


async def follow_purchases(db: Database, merchant_id: int, customer_ids: Sequence[int]) -> None:
    """Bring the referrals of these customers in line with what they have bought."""
    async with db.work(merchant_id) as w:
        programme = await find_programme(w)
        if programme is None:
            return
        await _follow_waiting(w, programme, customer_ids)
        rows = await w.sql.fetch(
            f"""SELECT id FROM referrals r WHERE merchant_id = $1
                   AND customer_id = ANY($2::bigint[])
                   AND (state = 'granted' AND NOT {STANDS} OR state = 'undone' AND {STANDS})
                ORDER BY id""",
            merchant_id, list(customer_ids),
        )  # fmt: skip
    for row in rows:
        async with db.work(merchant_id) as w:
            await _follow_settled(w, programme, row["id"])


async def merchants_due(db: Database) -> list[int]:
    """Merchants with a referral whose purchase is kept."""
    return await db.merchants(
        f"""SELECT DISTINCT r.merchant_id FROM referrals r
            WHERE {DUE.replace("$2", "$1")} ORDER BY 1""",
        db.clock(),
    )  # fmt: skip


async def settle_due(db: Database, merchant_id: int) -> None:
    """Grant or refuse what has waited long enough; any worker may go on."""
    async with db.read(merchant_id) as session:
        programme = await get_programme(session)
        rows = await session.sql.fetch(
            f"""SELECT r.id FROM referrals r WHERE r.merchant_id = $1 AND {DUE}
                ORDER BY r.due_at, r.id LIMIT $3""",
            merchant_id, session.now, SETTLED_AT_ONCE,
        )  # fmt: skip
    for row in rows:
        try:
            async with db.work(merchant_id) as w:
                await _settle(w, programme, row["id"])
        except Exception:
            # whatever it is, the others that are due must not wait for it
            logger.exception("referral %s of merchant %s is not settled", row["id"], merchant_id)


async def counts(session: Session, first: date, last: date) -> list[ReferralCount]:
    """What became of the referrals that were entered on these days of the merchant's calendar."""
    if last < first:
        raise InvalidInput("the last day is before the first", ("last",))
    rows = await session.sql.fetch(
        """SELECT r.state, r.reason, count(*)::int AS referrals
           FROM referrals r JOIN merchants m ON m.id = $1
           WHERE r.merchant_id = $1
             AND (r.entered_at AT TIME ZONE m.time_zone)::date BETWEEN $2 AND $3
           GROUP BY 1, 2 ORDER BY 1, 2""",
        session.merchant_id, first, last,
    )  # fmt: skip
    return [ReferralCount(**row) for row in rows]


async def _get(session: Session, referral_id: int) -> Mapping[str, Any]:
    row: Mapping[str, Any] | None = await session.sql.fetchrow(
        f"{REFERRAL} AND r.id = $2", session.merchant_id, referral_id
    )
    if row is None:
        raise NotFound(f"there is no referral {referral_id}", ("id",))
    return row


async def _hold(w: Work, referral_id: int) -> Mapping[str, Any]:
    """A referral whose both sides nobody else changes. Raises NotFound."""
    row = await _get(w, referral_id)
    sides = sorted({row["referrer_id"], row["customer_id"]})
    # one who was erased has no row; whoever is left is held
    await w.sql.execute(
        """SELECT 1 FROM customers WHERE merchant_id = $1 AND id = ANY($2::bigint[])
           ORDER BY id FOR NO KEY UPDATE""",
        w.merchant_id, sides,
    )  # fmt: skip
    return await _get(w, referral_id)


async def _follow_waiting(w: Work, programme: Programme, customer_ids: Sequence[int]) -> None:
    """A referral waits for the first purchase after the code was entered that stands."""
    await w.sql.execute(
        f"""UPDATE referrals r SET order_id = f.id, due_at = f.paid_at + $3::interval
            FROM referrals w
            LEFT JOIN LATERAL (
                SELECT o.id, o.paid_at FROM orders o
                WHERE o.merchant_id = $1 AND o.customer_id = w.customer_id
                  AND o.paid_at > w.entered_at AND {COUNTED}
                ORDER BY o.paid_at, o.id LIMIT 1) f ON TRUE
            WHERE w.merchant_id = $1 AND w.customer_id = ANY($2::bigint[]) AND w.state = 'waiting'
              AND r.merchant_id = $1 AND r.id = w.id AND r.order_id IS DISTINCT FROM f.id""",
        w.merchant_id, list(customer_ids), timedelta(days=programme.rules.points.pending_days),
    )  # fmt: skip


async def _follow_settled(w: Work, programme: Programme, referral_id: int) -> None:
    """Undo what was granted for a purchase that was refunded; let one that stands again wait."""
    await _hold_rewards(w, (await _rules(w, await _get(w, referral_id))).reward_ids)
    row = await _hold(w, referral_id)
    stands = await w.sql.fetchval(
        f"SELECT {STANDS} FROM referrals r WHERE merchant_id = $1 AND id = $2",
        w.merchant_id, referral_id,
    )  # fmt: skip
    if row["state"] == "undone" and stands:
        await _change(w, referral_id, "waiting")
        return
    if row["state"] != "granted" or stands:
        return
    for side in SIDES:
        if (lot_id := row[f"{side}_entry_id"]) is not None:
            await _take_points(w, programme, lot_id, row[f"{side}_id"])
    kept = [side for side in SIDES if not await _withdraw(w, row[f"{side}_redemption_id"])]
    note = f"the reward of the {' and of the '.join(kept)} was handed out already" if kept else None
    await _change(w, referral_id, "undone", note=note)
    w.emit(ReferralUndone(referral_id, row["customer_id"], row["referrer_id"]))


async def _settle(w: Work, programme: Programme, referral_id: int) -> None:
    """Grant a referral that is due, or refuse it."""
    rules = await _rules(w, await _get(w, referral_id))
    await _hold_rewards(w, rules.reward_ids)
    row = await _hold(w, referral_id)
    if not await w.sql.fetchval(
        f"SELECT {DUE} FROM referrals r WHERE r.merchant_id = $1 AND r.id = $3",
        w.merchant_id, w.now, referral_id,
    ):  # fmt: skip
        return
    reason = await why_not(w, row["referrer_id"], row["customer_id"], row["entered_at"])
    reason = reason or await _why_no_more(w, programme, rules, row)
    if reason is not None:
        await _refuse(w, row, reason)
        return
    entries = await _give_points(w, programme, rules, row)
    redemptions: dict[str, int | None] = {}
    missed: list[str] = []
    for side in SIDES:
        redemptions[side] = None
        if (reward_id := getattr(rules, f"{side}_reward_id")) is None:
            continue
        try:
            redemptions[side] = await grant_reward(w, reward_id, row[f"{side}_id"])
        except RewardUnavailable as error:
            missed.append(f"the {side} did not get the reward: {error.message}")
    await w.sql.execute(
        """UPDATE referrals SET state = 'granted', note = $3, settled_at = $4,
               referrer_entry_id = $5, customer_entry_id = $6, referrer_redemption_id = $7,
               customer_redemption_id = $8
           WHERE merchant_id = $1 AND id = $2""",
        w.merchant_id, referral_id, "; ".join(missed) or None, w.now,
        *(entries.get(side) for side in SIDES), *(redemptions[side] for side in SIDES),
    )  # fmt: skip
    w.emit(ReferralGranted(referral_id, row["customer_id"], row["referrer_id"]))


async def _rules(session: Session, row: Mapping[str, Any]) -> ReferralRules:
    """What was promised when the code was entered."""
    rules = (await rules_at(session, row["entered_at"])).referral
    assert rules is not None  # or the code would not have been taken
    return rules


async def _hold_rewards(w: Work, reward_ids: Sequence[int]) -> None:
    for reward_id in reward_ids:
        await hold_reward(w, reward_id, ())


async def _why_no_more(
    w: Work, programme: Programme, rules: ReferralRules, row: Mapping[str, Any]
) -> RefusalReason | None:
    """Whether the customer, or the referrer, has had all that one can have."""
    if await w.sql.fetchval(
        """SELECT EXISTS (SELECT 1 FROM referrals WHERE merchant_id = $1 AND customer_id = $2
               AND id <> $3 AND (state = 'granted' OR state = 'waiting' AND id < $3))""",
        w.merchant_id, row["customer_id"], row["id"],
    ):  # fmt: skip
        return RefusalReason.SECOND
    today = w.now.astimezone(programme.zone).date()
    had = await w.sql.fetchrow(
        """SELECT count(*) AS in_all, count(*) FILTER (WHERE r.settled_at >= $3) AS month
           FROM referral_codes c
           JOIN referrals r ON r.merchant_id = $1 AND r.code_id = c.id AND r.state = 'granted'
           WHERE c.merchant_id = $1 AND c.customer_id = $2""",
        w.merchant_id, row["referrer_id"], midnight(today.replace(day=1), programme.zone),
    )  # fmt: skip
    if rules.in_all is not None and had["in_all"] >= rules.in_all:
        return RefusalReason.TOTAL_LIMIT
    if rules.per_month is not None and had["month"] >= rules.per_month:
        return RefusalReason.MONTH_LIMIT
    return None


async def _give_points(
    w: Work, programme: Programme, rules: ReferralRules, row: Mapping[str, Any]
) -> dict[str, int]:
    """Give both sides their points; returns the entries by side."""
    sides = [side for side in SIDES if getattr(rules, f"{side}_points")]
    expires_at = programme.rules.points.expiry.after(w.now, programme.zone)
    lots = [
        Lot(row[f"{side}_id"], getattr(rules, f"{side}_points"), w.now, expires_at,
            rule=f"referral.{side}")
        for side in sides
    ]  # fmt: skip
    return dict(zip(sides, await give(w, "earn", lots), strict=True))


async def _take_points(w: Work, programme: Programme, lot_id: int, customer_id: int) -> None:
    """Take a side's points back, whoever has them by now."""
    open_points = await w.sql.fetchval(
        """SELECT l.points + COALESCE((SELECT sum(r.points) FROM points_entries r
               WHERE r.merchant_id = $1 AND r.reverses = l.id), 0)::bigint
           FROM points_entries l JOIN customers c ON c.merchant_id = $1 AND c.id = l.customer_id
           WHERE l.merchant_id = $1 AND l.id = $2""",
        w.merchant_id, lot_id,
    )  # fmt: skip
    if open_points:
        await take_back(w, lot_id, open_points, "refund")
        await forgive(w, programme, customer_id)


async def _withdraw(w: Work, redemption_id: int | None) -> bool:
    """Cancel a reward that was not handed out yet; False if it was."""
    state: str | None = await w.sql.fetchval(
        "SELECT state FROM redemptions WHERE merchant_id = $1 AND id = $2",
        w.merchant_id, redemption_id,
    )  # fmt: skip
    if state == "requested":
        assert redemption_id is not None
        await cancel(w, redemption_id, "the purchase was refunded")
    return state != "fulfilled"


async def _refuse(
    w: Work, row: Mapping[str, Any], reason: RefusalReason, note: str | None = None
) -> None:
    await _change(w, row["id"], "refused", reason, note)
    w.emit(ReferralRefused(row["id"], row["customer_id"], row["referrer_id"], reason))


async def _change(
    w: Work,
    referral_id: int,
    state: str,
    reason: RefusalReason | None = None,
    note: str | None = None,
) -> None:
    await w.sql.execute(
        """UPDATE referrals SET state = $3, reason = $4, note = $5, settled_at = $6
           WHERE merchant_id = $1 AND id = $2""",
        w.merchant_id, referral_id, state, reason, note,
        None if state == "waiting" else w.now,
    )  # fmt: skip
