"""What takes a coupon out of use, gives it back, or makes it another customer's."""

from collections.abc import Sequence
from typing import Any

from core.domain.customers.customers import get_customer
from core.sdk import Faults, HuikeError, NotFound, Several
from plugins.coupons.entries import Entry, enter
from plugins.coupons.errors import CouponUnusable
from plugins.coupons.redeeming import lock_orders
from plugins.coupons.templates import read_template

AT_ONCE = 1000


async def release(w: Any, ref: str, *, redeemed: bool = False) -> int:
    """Give back the coupons that an order reserves, with `redeemed` those it used as well.

    Returns how many there were; repeated, there are none. A redeemed coupon can be used again until
    it expires.
    """
    await lock_orders(w, [ref])
    states = ["reserved", "redeemed"] if redeemed else ["reserved"]
    rows = await w.sql.fetch(
        """SELECT id, template_id FROM coupons_coupons WHERE merchant_id = $1
              AND order_ref = $2 AND state = ANY($3::text[])""",
        w.merchant_id, ref, states,
    )  # fmt: skip
    return await _give_back(w, rows, states, None)


async def release_lapsed(w: Any) -> int:
    """Give back up to AT_ONCE coupons whose reservation is over; returns how many."""
    rows = await w.sql.fetch(
        """SELECT id, template_id FROM coupons_coupons WHERE merchant_id = $1
              AND state = 'reserved' AND reserved_until <= $2 LIMIT $3""",
        w.merchant_id, w.now, AT_ONCE,
    )  # fmt: skip
    return await _give_back(w, rows, ["reserved"], "lapsed")


async def _give_back(w: Any, rows: Sequence[Any], states: list[str], reason: str | None) -> int:
    if not rows:
        return 0
    await hold_templates(w, sorted({row["template_id"] for row in rows}))
    # one of a public template is nobody's until it is used: it is counted no more
    back = await w.sql.fetch(
        """WITH old AS (
               SELECT c.id, c.order_ref, c.amount, t.source = 'public' AS public
               FROM coupons_coupons c
               JOIN coupons_templates t ON t.merchant_id = $1 AND t.id = c.template_id
               WHERE c.merchant_id = $1 AND c.id = ANY($2::bigint[]) AND c.state = ANY($3::text[])
                 AND ($4::boolean IS FALSE OR c.reserved_until <= $5)
               ORDER BY c.id FOR UPDATE OF c)
           UPDATE coupons_coupons c SET order_ref = NULL, reserved_until = NULL, amount = NULL,
               sales = NULL, address = NULL, redeemed_at = NULL,
               state = CASE WHEN old.public THEN 'revoked' ELSE 'granted' END
           FROM old WHERE c.merchant_id = $1 AND c.id = old.id
           RETURNING c.id, c.template_id, c.customer_id, old.order_ref, old.amount, old.public""",
        w.merchant_id, [row["id"] for row in rows], states, reason is not None, w.now,
    )  # fmt: skip
    await w.sql.execute(
        """UPDATE coupons_templates t SET issued = t.issued - u.issued,
               spent = CASE WHEN t.budget IS NULL THEN t.spent ELSE t.spent - u.spent END
           FROM (SELECT template, sum(amount)::bigint AS spent, sum(public)::bigint AS issued
                 FROM unnest($2::bigint[], $3::bigint[], $4::int[]) AS b (template, amount, public)
                 GROUP BY 1) u
           WHERE t.merchant_id = $1 AND t.id = u.template""",
        w.merchant_id, [row["template_id"] for row in back], [row["amount"] or 0 for row in back],
        [int(row["public"]) for row in back],
    )  # fmt: skip
    await enter(w, [
        Entry(row["id"], row["template_id"], row["customer_id"], "released", row["amount"],
              row["order_ref"], reason)
        for row in back
    ])  # fmt: skip
    return len(back)


async def put_back(w: Any, coupon_ids: Sequence[int], state: str) -> int:
    """Make these coupons nobody's again, of those that are in this state; returns how many were.

    Their templates are held. A pool has its codes back; of others new ones are made at need.
    """
    back = await w.sql.fetch(
        """UPDATE coupons_coupons c SET customer_id = NULL, key = NULL, campaign_id = NULL,
               source = NULL, granted_at = NULL, expires_at = NULL,
               state = CASE t.source WHEN 'pool' THEN 'stock' ELSE 'revoked' END
           FROM coupons_templates t
           WHERE c.merchant_id = $1 AND c.id = ANY($2::bigint[]) AND c.state = $3
             AND t.merchant_id = $1 AND t.id = c.template_id
           RETURNING c.id, c.template_id""",
        w.merchant_id, list(coupon_ids), state,
    )  # fmt: skip
    await w.sql.execute(
        """UPDATE coupons_templates t SET issued = t.issued - u.number
           FROM (SELECT b AS id, count(*) AS number FROM unnest($2::bigint[]) b GROUP BY 1) u
           WHERE t.merchant_id = $1 AND t.id = u.id""",
        w.merchant_id, [row["template_id"] for row in back],
    )  # fmt: skip
    await enter(w, [Entry(row["id"], row["template_id"], None, "returned") for row in back])
    return len(back)


async def expire(w: Any) -> int:
    """End up to AT_ONCE granted coupons whose time is over; returns how many."""
    rows = await w.sql.fetch(
        """UPDATE coupons_coupons SET state = 'expired'
           WHERE merchant_id = $1 AND id IN (
               SELECT id FROM coupons_coupons WHERE merchant_id = $1 AND state = 'granted'
                 AND expires_at <= $2 ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED)
           RETURNING id, template_id, customer_id""",
        w.merchant_id, w.now, AT_ONCE,
    )  # fmt: skip
    await enter(w, [
        Entry(row["id"], row["template_id"], row["customer_id"], "expired") for row in rows
    ])  # fmt: skip
    return len(rows)


async def revoke(
    w: Any, coupon_ids: Sequence[int], reason: str, *, go_on: bool = False
) -> tuple[int, list[HuikeError]]:
    """Take coupons that were not used out of use; returns how many were not so before.

    With `go_on` also returns what is wrong with those that cannot be. Raises Several of NotFound,
    and of CouponUnusable where one was redeemed.
    """
    rows = {row["id"]: row for row in await _held(w, coupon_ids)}
    faults: list[HuikeError] = []
    for place, pk in enumerate(coupon_ids):
        path = ("input", "ids", str(place))
        if pk not in rows:
            faults.append(NotFound("there is no such coupon", path))
        elif rows[pk]["state"] == "redeemed":
            faults.append(CouponUnusable("it was redeemed: release its order first", path))
    if faults and not go_on:
        raise Several(faults)
    usable = ("stock", "held", "granted", "reserved")
    open_ = [row for row in rows.values() if row["state"] in usable]
    await w.sql.execute(
        """WITH gone AS (UPDATE coupons_coupons c SET state = 'revoked', order_ref = NULL,
               reserved_until = NULL, amount = NULL, sales = NULL FROM coupons_coupons old
               WHERE c.merchant_id = $1 AND c.id = ANY($2::bigint[])
                 AND old.merchant_id = $1 AND old.id = c.id
               RETURNING c.template_id, old.state, old.amount)
           UPDATE coupons_templates t SET issued = t.issued - u.issued,
               spent = CASE WHEN t.budget IS NULL THEN t.spent ELSE t.spent - u.spent END
           FROM (SELECT template_id, count(*) FILTER (WHERE state <> 'stock') AS issued,
                        COALESCE(sum(amount), 0)::bigint AS spent FROM gone GROUP BY 1) u
           WHERE t.merchant_id = $1 AND t.id = u.template_id""",
        w.merchant_id, [row["id"] for row in open_],
    )  # fmt: skip
    await enter(w, [
        Entry(row["id"], row["template_id"], row["customer_id"], "revoked", reason=reason)
        for row in open_
    ])  # fmt: skip
    w.audit("coupons.revoked", {"coupons": len(open_)})
    return len(open_), faults


async def transfer(w: Any, coupon_id: int, to: int) -> None:
    """Make a coupon another customer's, as often as its template allows.

    Repeated, nothing more happens. Raises NotFound, CouponUnusable, Several.
    """
    faults = Faults()
    with faults:
        row = await _hold(w, coupon_id)
        if row["customer_id"] == to:
            return
        await _check_transferable(w, row)
    with faults:
        await get_customer(w, to, path=("input", "customerId"))
    faults.tell()
    await w.sql.execute(
        """UPDATE coupons_coupons SET customer_id = $3, transferred = transferred + 1
           WHERE merchant_id = $1 AND id = $2""",
        w.merchant_id, coupon_id, to,
    )  # fmt: skip
    await enter(w, [Entry(coupon_id, row["template_id"], to, "transferred")])


async def _check_transferable(w: Any, row: Any) -> None:
    template = read_template(await w.sql.fetchrow(
        "SELECT * FROM coupons_templates WHERE merchant_id = $1 AND id = $2",
        w.merchant_id, row["template_id"],
    ))  # fmt: skip
    if row["state"] != "granted" or (row["expires_at"] and row["expires_at"] <= w.now):
        raise CouponUnusable("only an unused coupon can be given away", ("input", "id"))
    if row["transferred"] >= template.transfers:
        raise CouponUnusable(
            f"coupons of {template.name} can be given away {template.transfers} times",
            ("input", "id"),
        )


async def _hold(w: Any, coupon_id: int) -> Any:
    """The coupon, locked after its template. Raises NotFound."""
    rows = await _held(w, [coupon_id])
    if not rows:
        raise NotFound("there is no such coupon", ("input", "id"))
    return rows[0]


async def _held(w: Any, coupon_ids: Sequence[int]) -> list[Any]:
    """Those of the coupons that there are, locked after their templates."""
    ids = sorted(set(coupon_ids))
    templates = await w.sql.fetch(
        """SELECT DISTINCT template_id FROM coupons_coupons
           WHERE merchant_id = $1 AND id = ANY($2::bigint[])""",
        w.merchant_id, ids,
    )  # fmt: skip
    await hold_templates(w, [row["template_id"] for row in templates])
    rows: list[Any] = await w.sql.fetch(
        """SELECT * FROM coupons_coupons WHERE merchant_id = $1 AND id = ANY($2::bigint[])
           ORDER BY id FOR UPDATE""",
        w.merchant_id, ids,
    )  # fmt: skip
    return rows


async def hold_templates(w: Any, template_ids: Sequence[int]) -> None:
    """Lock templates until the end of the transaction, before any of their coupons."""
    await w.sql.execute(
        """SELECT 1 FROM coupons_templates WHERE merchant_id = $1 AND id = ANY($2::bigint[])
           ORDER BY id FOR NO KEY UPDATE""",
        w.merchant_id, list(template_ids),
    )  # fmt: skip
