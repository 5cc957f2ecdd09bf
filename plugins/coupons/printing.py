"""Codes that others print: set aside when they are planned, given when they go out."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from core.sdk import Held, Holder, Text
from plugins.coupons.allowance import allowances, cap_by_stock
from plugins.coupons.ending import hold_templates, put_back
from plugins.coupons.entries import Entry, enter
from plugins.coupons.errors import CouponUnusable
from plugins.coupons.events import CouponGranted
from plugins.coupons.granting import GrantSettings, by_handle
from plugins.coupons.issuing import HELD, Recipient, closed, expiry, issue_of
from plugins.coupons.templates import Template, hold_template, read_template

SOURCE = "printed"
MOST = 1_000_000


class CouponCodes:
    """Codes of a template, one for each holder; relative validity begins when they are given."""

    name = "coupons"
    title = Text("Coupon", "优惠券")
    settings: type[BaseModel] = GrantSettings

    async def free(self, session: Any, settings: Any) -> int | None:
        template = await by_handle(session, settings.template, ("template",))
        if (why := _why_not(session, template)) is not None:
            raise CouponUnusable(why, ("template",))
        allowed = (await allowances(session, [template], []))[template.id]
        await cap_by_stock(session, allowed, MOST)
        left = [one for one in (allowed.left, allowed.today) if one is not None]
        return max(0, min(left)) if left else None

    async def why_not(
        self, session: Any, settings: Any, customer_ids: Sequence[int | None]
    ) -> Sequence[str | None]:
        template = await by_handle(session, settings.template, ("template",))
        if (why := _why_not(session, template)) is not None:
            return [why] * len(customer_ids)
        people = [one for one in customer_ids if one is not None]
        allowed = (await allowances(session, [template], people))[template.id]
        await cap_by_stock(session, allowed, len(customer_ids))
        return [allowed.try_for(one) for one in customer_ids]

    async def hold(self, w: Any, settings: Any, holders: Sequence[Holder]) -> Sequence[Held]:
        found = await by_handle(w, settings.template, ("template",))
        template = await hold_template(w, found.id, ("template",))
        if (why := _why_not(w, template)) is not None:
            return [Held(reason=why)] * len(holders)
        recipients = [Recipient(one.customer_id, one.key) for one in holders]
        issued = await issue_of(w, template, recipients, SOURCE, kind=HELD)
        return [Held(one.code, one.reason) for one in issued]

    async def give(self, w: Any, keys: Sequence[str]) -> None:
        rows = await w.sql.fetch(
            """SELECT c.id AS coupon_id, c.customer_id, t.* FROM coupons_coupons c
               JOIN coupons_templates t ON t.merchant_id = $1 AND t.id = c.template_id
               WHERE c.merchant_id = $1 AND c.key = ANY($2::text[]) AND c.state = 'held'
               ORDER BY c.id FOR UPDATE OF c""",
            w.merchant_id, list(keys),
        )  # fmt: skip
        await w.sql.execute(
            """UPDATE coupons_coupons c SET state = 'granted', granted_at = $2, expires_at = u.ends
               FROM unnest($3::bigint[], $4::timestamptz[]) AS u (id, ends)
               WHERE c.merchant_id = $1 AND c.id = u.id""",
            w.merchant_id, w.now, [row["coupon_id"] for row in rows],
            [expiry(read_template(row), w.now) for row in rows],
        )  # fmt: skip
        await enter(w, [
            Entry(row["coupon_id"], row["id"], row["customer_id"], "granted", reason=SOURCE)
            for row in rows
        ])  # fmt: skip
        for row in rows:
            if row["customer_id"] is not None:
                w.emit(CouponGranted(row["coupon_id"], row["id"], row["customer_id"], SOURCE))

    async def take_back(self, w: Any, keys: Sequence[str]) -> None:
        rows = await w.sql.fetch(
            """UPDATE coupons_coupons SET state = 'held', expires_at = NULL
               WHERE merchant_id = $1 AND id IN (
                   SELECT id FROM coupons_coupons WHERE merchant_id = $1 AND key = ANY($2::text[])
                     AND source = $3 AND state = 'granted' AND transferred = 0
                   ORDER BY id FOR UPDATE)
               RETURNING id, template_id, customer_id""",
            w.merchant_id, list(keys), SOURCE,
        )  # fmt: skip
        await enter(w, [
            Entry(row["id"], row["template_id"], row["customer_id"], "held", reason=SOURCE)
            for row in rows
        ])  # fmt: skip

    async def give_back(self, w: Any, keys: Sequence[str]) -> None:
        rows = await w.sql.fetch(
            """SELECT id, template_id FROM coupons_coupons
               WHERE merchant_id = $1 AND key = ANY($2::text[]) AND state = 'held'""",
            w.merchant_id, list(keys),
        )  # fmt: skip
        await hold_templates(w, sorted({row["template_id"] for row in rows}))
        await put_back(w, [row["id"] for row in rows], HELD)


def _why_not(session: Any, template: Template) -> str | None:
    if template.source not in ("own", "pool"):
        return f"{template.name} has no code for each coupon: its codes are {template.source}"
    return closed(template, session.now)
