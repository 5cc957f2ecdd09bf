"""Giving customers coupons: within the limits, once for each key, from the stock or newly made.

Whoever gives or takes coupons holds their templates first, by their ids, and the coupons
afterwards, so that limits hold and nobody waits in a circle.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from core.sdk import InvalidInput, NotFound
from plugins.coupons.allowance import FULL, allowances
from plugins.coupons.codes import make_codes
from plugins.coupons.entries import Entry, enter
from plugins.coupons.errors import CouponsExhausted, CouponUnusable
from plugins.coupons.events import CouponGranted, CouponStockLow, PlatformCouponsDue
from plugins.coupons.templates import Template, hold_template

PLATFORM_AT_ONCE = 100


@dataclass(frozen=True)
class Recipient:
    """Who gets a coupon; with the same `key` (of the template) he gets the same one again."""

    customer_id: int
    key: str | None = None
    campaign_id: int | None = None


@dataclass(frozen=True)
class Issued:
    """A customer's coupon, or `reason` why he has none. `code` is as it is written."""

    customer_id: int
    coupon_id: int | None = None
    code: str | None = None
    expires_at: datetime | None = None
    reason: str | None = None


async def issue(
    w: Any, template_id: int, recipients: Sequence[Recipient], source: str, *, kind: str = "granted"
) -> list[Issued]:
    """Give each recipient a coupon; the answers are in their order.

    Who cannot have one (he has had his, he is not in the segment) is told so. Where there are not
    enough for all others, nobody gets one: raises CouponsExhausted. Raises NotFound, and
    CouponUnusable for a template that is not in use.
    """
    template = await hold_template(w, template_id, ("input", "templateId"))
    if (why := _closed(template, w.now)) is not None:
        raise CouponUnusable(why, ("input", "templateId"))
    await _check_customers(w, recipients)
    before = await _given_before(w, template_id, recipients)
    people = [one.customer_id for one in recipients]
    allowed = (await allowances(w, [template], people))[template_id]
    answers: list[Issued | None] = []
    new: list[tuple[int, Recipient]] = []
    keys: dict[str, int] = {}
    for place, one in enumerate(recipients):
        answers.append(None)
        if one.key is not None and one.key in before:
            answers[place] = before[one.key]
        elif one.key is not None and one.key in keys:
            continue
        elif (why := allowed.not_for(one.customer_id)) is not None:
            answers[place] = Issued(one.customer_id, reason=why)
        elif (why := allowed.exhausted()) is not None:
            raise CouponsExhausted(f"{template.name}: {why}", ("input", "templateId"))
        else:
            allowed.take(one.customer_id)
            new.append((place, one))
            if one.key is not None:
                keys[one.key] = place
    if new:
        made = await _give(w, template, [one for _, one in new], source, kind)
        for (place, _), issued in zip(new, made, strict=True):
            answers[place] = issued
    return [
        answer or answers[keys[one.key or ""]] or Issued(one.customer_id, reason=FULL)
        for one, answer in zip(recipients, answers, strict=True)
    ]


def expiry(template: Template, now: datetime) -> datetime | None:
    """When a coupon given now ends."""
    if template.valid_days is None:
        return template.valid_until
    end = now + timedelta(days=template.valid_days)
    return end if template.valid_until is None else min(end, template.valid_until)


def written(template: Template, code: str | None, shown: str | None) -> str | None:
    """A coupon's code as it is written: its own, or that of all."""
    return shown or code or template.public_code


def _closed(template: Template, now: datetime) -> str | None:
    if template.state != "active":
        return f"{template.name} is {template.state}"
    if template.valid_until is not None and now >= template.valid_until:
        return f"{template.name} has ended"
    return None


async def _check_customers(w: Any, recipients: Sequence[Recipient]) -> None:
    wanted = sorted({one.customer_id for one in recipients})
    known = await w.sql.fetchval(
        "SELECT count(*) FROM customers WHERE merchant_id = $1 AND id = ANY($2::bigint[])",
        w.merchant_id, wanted,
    )  # fmt: skip
    if known < len(wanted):
        raise NotFound("there is no such customer", ("input", "customerIds"))


async def _given_before(
    w: Any, template_id: int, recipients: Sequence[Recipient]
) -> dict[str, Issued]:
    keys = [one.key for one in recipients if one.key is not None]
    if not keys:
        return {}
    if any(not 0 < len(key) <= 200 for key in keys):
        raise InvalidInput("a key has 1 to 200 characters", ("input", "key"))
    rows = await w.sql.fetch(
        """SELECT c.key, c.id, c.customer_id, c.expires_at,
                  COALESCE(c.shown, c.code, t.public_code) AS code
           FROM coupons_coupons c
           JOIN coupons_templates t ON t.merchant_id = $1 AND t.id = c.template_id
           WHERE c.merchant_id = $1 AND c.template_id = $2 AND c.key = ANY($3::text[])""",
        w.merchant_id, template_id, keys,
    )  # fmt: skip
    return {
        row["key"]: Issued(row["customer_id"], row["id"], row["code"], row["expires_at"])
        for row in rows
    }


async def _give(
    w: Any, template: Template, recipients: Sequence[Recipient], source: str, kind: str
) -> list[Issued]:
    """Write the coupons; the template is held, and its limits allow them."""
    count, ends = len(recipients), expiry(template, w.now)
    stock = await _from_stock(w, template, count)
    if template.source == "pool" and len(stock) < count:
        raise CouponsExhausted(
            f"{template.name}: {count} codes are needed, {len(stock)} are in stock",
            ("input", "templateId"),
        )
    await w.sql.execute(
        """UPDATE coupons_coupons c SET state = 'granted', customer_id = u.customer, key = u.key,
               campaign_id = u.campaign, source = $2, granted_at = $3, expires_at = $4
           FROM unnest($5::bigint[], $6::bigint[], $7::text[], $8::bigint[])
                AS u (id, customer, key, campaign)
           WHERE c.merchant_id = $1 AND c.id = u.id""",
        w.merchant_id, source, w.now, ends, [row["id"] for row in stock],
        *_columns(recipients[: len(stock)]),
    )  # fmt: skip
    made = [(row["id"], written(template, row["code"], row["shown"])) for row in stock]
    rest = recipients[len(stock) :]
    if rest:
        made += await _make(w, template, rest, source, ends)
    await w.sql.execute(
        "UPDATE coupons_templates SET issued = issued + $3 WHERE merchant_id = $1 AND id = $2",
        w.merchant_id, template.id, count,
    )  # fmt: skip
    await enter(w, [
        Entry(coupon_id, template.id, one.customer_id, kind, reason=source)
        for one, (coupon_id, _) in zip(recipients, made, strict=True)
    ])  # fmt: skip
    for one, (coupon_id, _) in zip(recipients, made, strict=True):
        w.emit(CouponGranted(coupon_id, template.id, one.customer_id, source))
    if template.source == "platform":
        ids = [coupon_id for coupon_id, _ in made]
        for start in range(0, len(ids), PLATFORM_AT_ONCE):
            w.emit(PlatformCouponsDue(template.id, ids[start : start + PLATFORM_AT_ONCE]))
    if stock:
        await tell_low_stock(w, template)
    return [
        Issued(one.customer_id, coupon_id, code, ends)
        for one, (coupon_id, code) in zip(recipients, made, strict=True)
    ]


async def _from_stock(w: Any, template: Template, count: int) -> list[Any]:
    """Codes in stock, locked, the oldest first."""
    if template.source not in ("own", "pool"):
        return []
    found: list[Any] = await w.sql.fetch(
        """SELECT id, code, shown FROM coupons_coupons
           WHERE merchant_id = $1 AND template_id = $2 AND state = 'stock'
           ORDER BY id LIMIT $3 FOR UPDATE""",
        w.merchant_id, template.id, count,
    )  # fmt: skip
    return found


async def _make(
    w: Any, template: Template, recipients: Sequence[Recipient], source: str, ends: datetime | None
) -> list[tuple[int, str | None]]:
    """New coupons, with codes of their own where the template's have any."""
    count = len(recipients)
    own = template.source == "own"
    codes: list[str | None] = [*make_codes(count)] if own else [None] * count
    ids = await w.new_ids("coupons_coupons", count)
    await w.sql.execute(
        """INSERT INTO coupons_coupons (merchant_id, template_id, state, source, granted_at,
               expires_at, transferred, unused_told, id, code, customer_id, key, campaign_id)
           SELECT $1, $2, 'granted', $3, $4, $5, 0, FALSE, u.*
           FROM unnest($6::bigint[], $7::text[], $8::bigint[], $9::text[], $10::bigint[]) u""",
        w.merchant_id, template.id, source, w.now, ends, ids, codes, *_columns(recipients),
    )  # fmt: skip
    return [(pk, written(template, code, None)) for pk, code in zip(ids, codes, strict=True)]


def _columns(recipients: Sequence[Recipient]) -> tuple[list[Any], list[Any], list[Any]]:
    return (
        [one.customer_id for one in recipients],
        [one.key for one in recipients],
        [one.campaign_id for one in recipients],
    )


async def tell_low_stock(w: Any, template: Template) -> None:
    """Emit that few codes are left, once until there are more again."""
    if template.low_stock is None:
        return
    left = await w.sql.fetchval(
        """SELECT count(*) FROM (SELECT 1 FROM coupons_coupons
               WHERE merchant_id = $1 AND template_id = $2 AND state = 'stock' LIMIT $3) s""",
        w.merchant_id, template.id, template.low_stock + 1,
    )  # fmt: skip
    told = await w.sql.fetchval(
        """UPDATE coupons_templates SET low_stock_at = CASE WHEN $3 THEN $4::timestamptz END
           WHERE merchant_id = $1 AND id = $2 AND (low_stock_at IS NULL) = $3 RETURNING id""",
        w.merchant_id, template.id, left <= template.low_stock, w.now,
    )  # fmt: skip
    if told is not None and left <= template.low_stock:
        w.emit(CouponStockLow(template.id, left))
