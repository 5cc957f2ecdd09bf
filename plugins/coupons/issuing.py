"""Giving customers coupons: within the limits, once for each key, from a pool or newly made.

Whoever gives or takes coupons holds their templates first, by their ids, and the coupons
afterwards, so that limits hold and nobody waits in a circle.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from core.sdk import InvalidInput, NotFound
from plugins.coupons.allowance import FULL, allowances, cap_by_stock, count_stock
from plugins.coupons.codes import make_codes
from plugins.coupons.entries import Entry, enter
from plugins.coupons.errors import CouponsExhausted, CouponUnusable
from plugins.coupons.events import CouponGranted, CouponStockLow, PlatformCouponsDue
from plugins.coupons.templates import Template, hold_template

TEMPLATE_ID = ("input", "templateId")
PLATFORM_AT_ONCE = 100
HELD = "held"
"""The state of codes that are set aside for print, and what the ledger says of it."""


@dataclass(frozen=True)
class Recipient:
    """Who gets a coupon; with the same `key` (of the template) he gets the same one again.

    Only codes that are set aside may be for somebody who is not known.
    """

    customer_id: int | None
    key: str | None = None
    campaign_id: int | None = None


@dataclass(frozen=True)
class Issued:
    """A coupon, or `reason` why there is none. `code` is as it is written."""

    coupon_id: int | None = None
    code: str | None = None
    expires_at: datetime | None = None
    reason: str | None = None


async def issue(
    w: Any,
    template_id: int,
    recipients: Sequence[Recipient],
    source: str,
    *,
    kind: str = "granted",
    path: tuple[str, ...] = TEMPLATE_ID,
) -> list[Issued]:
    """Give each recipient a coupon; the answers are in their order.

    Who cannot have one (he has had his, he is not in the segment) is told so. Where there are not
    enough for all others, nobody gets one: raises CouponsExhausted. Raises NotFound, and
    CouponUnusable for a template that is not in use; `path` leads to the template.
    """
    template = await need_open(w, template_id, path)
    return await issue_of(w, template, recipients, source, kind=kind, path=path)


async def need_open(w: Any, template_id: int, path: tuple[str, ...] = TEMPLATE_ID) -> Template:
    """A template that is in use, held. Raises NotFound, CouponUnusable."""
    template = await hold_template(w, template_id, path)
    if (why := closed(template, w.now)) is not None:
        raise CouponUnusable(why, path)
    return template


async def issue_of(
    w: Any,
    template: Template,
    recipients: Sequence[Recipient],
    source: str,
    *,
    kind: str,
    path: tuple[str, ...] = TEMPLATE_ID,
) -> list[Issued]:
    """As `issue`, of a template that is held and in use.

    Of kind "held" the codes are only set aside, and as far as they go: the others are told why.
    """
    await _check_customers(w, recipients)
    before = await _given_before(w, template.id, recipients)
    people = [one.customer_id for one in recipients if one.customer_id is not None]
    allowed = (await allowances(w, [template], people))[template.id]
    if kind == HELD:
        await cap_by_stock(w, allowed, len(recipients))
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
            answers[place] = Issued(reason=why)
        elif (why := allowed.exhausted()) is not None:
            if kind != HELD:
                raise CouponsExhausted(f"{template.name}: {why}", path)
            answers[place] = Issued(reason=why)
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
        answer or answers[keys[one.key or ""]] or Issued(reason=FULL)
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


def closed(template: Template, now: datetime) -> str | None:
    """Why none of its coupons can be given now, or None."""
    if template.state != "active":
        return f"{template.name} is {template.state}"
    if template.valid_until is not None and now >= template.valid_until:
        return f"{template.name} has ended"
    return None


async def _check_customers(w: Any, recipients: Sequence[Recipient]) -> None:
    wanted = sorted({one.customer_id for one in recipients if one.customer_id is not None})
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
        """SELECT c.key, c.id, c.expires_at,
                  COALESCE(c.shown, c.code, t.public_code) AS code
           FROM coupons_coupons c
           JOIN coupons_templates t ON t.merchant_id = $1 AND t.id = c.template_id
           WHERE c.merchant_id = $1 AND c.template_id = $2 AND c.key = ANY($3::text[])""",
        w.merchant_id, template_id, keys,
    )  # fmt: skip
    return {row["key"]: Issued(row["id"], row["code"], row["expires_at"]) for row in rows}


async def _give(
    w: Any, template: Template, recipients: Sequence[Recipient], source: str, kind: str
) -> list[Issued]:
    """Write the coupons; the template is held, and its limits allow them."""
    count = len(recipients)
    state, ends = (HELD, None) if kind == HELD else ("granted", expiry(template, w.now))
    stock = await _from_stock(w, template, count)
    if template.source == "pool" and len(stock) < count:
        raise CouponsExhausted(
            f"{template.name}: {count} codes are needed, {len(stock)} are in stock",
            ("input", "templateId"),
        )
    await w.sql.execute(
        """UPDATE coupons_coupons c SET state = $5, customer_id = u.customer, key = u.key,
               campaign_id = u.campaign, source = $2, granted_at = $3, expires_at = $4
           FROM unnest($6::bigint[], $7::bigint[], $8::text[], $9::bigint[])
                AS u (id, customer, key, campaign)
           WHERE c.merchant_id = $1 AND c.id = u.id""",
        w.merchant_id, source, w.now, ends, state, [row["id"] for row in stock],
        *_columns(recipients[: len(stock)]),
    )  # fmt: skip
    made = [(row["id"], written(template, row["code"], row["shown"])) for row in stock]
    rest = recipients[len(stock) :]
    if rest:
        made += await _make(w, template, rest, source, state, ends)
    await w.sql.execute(
        "UPDATE coupons_templates SET issued = issued + $3 WHERE merchant_id = $1 AND id = $2",
        w.merchant_id, template.id, count,
    )  # fmt: skip
    await enter(w, [
        Entry(coupon_id, template.id, one.customer_id, kind, reason=source)
        for one, (coupon_id, _) in zip(recipients, made, strict=True)
    ])  # fmt: skip
    for one, (coupon_id, _) in zip(recipients, made, strict=True):
        if kind != HELD and one.customer_id is not None:
            w.emit(CouponGranted(coupon_id, template.id, one.customer_id, source))
    if template.source == "platform":
        ids = [coupon_id for coupon_id, _ in made]
        for start in range(0, len(ids), PLATFORM_AT_ONCE):
            w.emit(PlatformCouponsDue(template.id, ids[start : start + PLATFORM_AT_ONCE]))
    if stock:
        await tell_low_stock(w, template)
    return [Issued(coupon_id, code, ends) for coupon_id, code in made]


async def _from_stock(w: Any, template: Template, count: int) -> list[Any]:
    """A pool's codes in stock, locked, the oldest first.

    Codes of our own that are in stock were made for print: they are for who finds them.
    """
    if template.source != "pool":
        return []
    found: list[Any] = await w.sql.fetch(
        """SELECT id, code, shown FROM coupons_coupons
           WHERE merchant_id = $1 AND template_id = $2 AND state = 'stock'
           ORDER BY id LIMIT $3 FOR UPDATE""",
        w.merchant_id, template.id, count,
    )  # fmt: skip
    return found


async def _make(
    w: Any, template: Template, recipients: Sequence[Recipient], source: str, state: str,
    ends: datetime | None,
) -> list[tuple[int, str | None]]:  # fmt: skip
    """New coupons, with codes of their own where the template's have any."""
    count = len(recipients)
    own = template.source == "own"
    codes: list[str | None] = [*make_codes(count)] if own else [None] * count
    ids = await w.new_ids("coupons_coupons", count)
    await w.sql.execute(
        """INSERT INTO coupons_coupons (merchant_id, template_id, state, source, granted_at,
               expires_at, transferred, unused_told, id, code, customer_id, key, campaign_id)
           SELECT $1, $2, $6, $3, $4, $5, 0, FALSE, u.*
           FROM unnest($7::bigint[], $8::text[], $9::bigint[], $10::text[], $11::bigint[]) u""",
        w.merchant_id, template.id, source, w.now, ends, state, ids, codes,
        *_columns(recipients),
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
    left = (await count_stock(w, [template.id], template.low_stock + 1))[template.id]
    told = await w.sql.fetchval(
        """UPDATE coupons_templates SET low_stock_at = CASE WHEN $3 THEN $4::timestamptz END
           WHERE merchant_id = $1 AND id = $2 AND (low_stock_at IS NULL) = $3 RETURNING id""",
        w.merchant_id, template.id, left <= template.low_stock, w.now,
    )  # fmt: skip
    if told is not None and left <= template.low_stock:
        w.emit(CouponStockLow(template.id, left))
