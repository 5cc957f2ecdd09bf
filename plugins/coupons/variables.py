"""Coupons in messages: each recipient gets one of his own when his message is made."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from core.sdk import Addressee
from core.sdk.money import from_minor
from plugins.coupons import ending
from plugins.coupons.issuing import Recipient, issue, written
from plugins.coupons.templates import GRANTED, Template, find_templates, read_template

PARTS = ("code", "name", "expires", "amount", "threshold")
SAMPLE = "XXXXXXXXXXXX"
SOURCE = "message"
LOOKED_AT = timedelta(days=30)
"""So long after it was taken a coupon is put back, if its message was not sent."""


class CouponVariables:
    """{{ coupons.<handle>.code }}: the code of the recipient's coupon, and what it is worth.

    A message that is tried again has the same coupon. The parts other than `code` and `expires`
    give nobody a coupon. {{ coupons.granted.code }} is of the coupon that a step of the same
    campaign has granted, the last one.
    """

    name = "coupons"

    async def names(self, session: Any) -> Collection[str]:
        found = await find_templates(session)
        return [f"{head}.{part}" for head in (GRANTED, *(one.handle for one in found))
                for part in PARTS]  # fmt: skip

    async def samples(self, session: Any, names: Collection[str]) -> Mapping[str, Any]:
        found: dict[str, Any] = {f"{GRANTED}.code": SAMPLE, f"{GRANTED}.name": SAMPLE}
        for template, parts in await _named(session, names):
            ends = template.valid_until or session.now
            own = {"code": template.public_code or SAMPLE, "expires": day_of(ends, "UTC")}
            found |= _full(template, {**_fixed(template), **own}, parts)
        return found

    async def values(
        self, w: Any, names: Collection[str], addressees: Sequence[Addressee]
    ) -> Mapping[int, Mapping[str, Any]]:
        found: dict[int, dict[str, Any]] = {one.delivery_id: {} for one in addressees}
        zone = await w.sql.fetchval("SELECT time_zone FROM merchants WHERE id = $1", w.merchant_id)
        for template, parts in await _named(w, names):
            fixed = _full(template, _fixed(template), parts)
            for values in found.values():
                values |= fixed
            if not parts & {"code", "expires"}:
                continue
            recipients = [
                Recipient(one.customer_id, f"delivery:{one.delivery_id}", one.campaign_id)
                for one in addressees
            ]
            issued = await issue(w, template.id, recipients, SOURCE)
            for to, coupon in zip(addressees, issued, strict=True):
                ends = coupon.expires_at and day_of(coupon.expires_at, zone)
                own = {"code": coupon.code, "expires": ends}
                found[to.delivery_id] |= _full(template, own, parts)
        if any(name.startswith(f"{GRANTED}.") for name in names):
            granted = await _granted(w, addressees, zone)
            for to in addressees:
                found[to.delivery_id] |= granted.get(to.customer_id, {})
        return found


async def _granted(w: Any, addressees: Sequence[Addressee], zone: str) -> dict[int, dict[str, Any]]:
    """What the campaign has granted its customers last, by customer."""
    rows = await w.sql.fetch(
        """SELECT DISTINCT ON (c.customer_id) c.customer_id, c.code AS own, c.shown,
                  c.expires_at, t.*
           FROM coupons_coupons c
           JOIN coupons_templates t ON t.merchant_id = $1 AND t.id = c.template_id
           WHERE c.merchant_id = $1 AND c.customer_id = ANY($2::bigint[])
             AND c.campaign_id = ANY($3::bigint[]) AND c.source = 'journey'
             AND c.state = 'granted'
           ORDER BY c.customer_id, c.id DESC""",
        w.merchant_id, [one.customer_id for one in addressees],
        sorted({one.campaign_id for one in addressees}),
    )  # fmt: skip
    found = {}
    for row in rows:
        template = read_template(row)
        ends = row["expires_at"] and day_of(row["expires_at"], zone)
        values = {**_fixed(template), "expires": ends,
                  "code": written(template, row["own"], row["shown"])}  # fmt: skip
        found[row["customer_id"]] = {f"{GRANTED}.{name}": one for name, one in values.items()}
    return found


async def take_back_unsent(w: Any) -> int:
    """Put back what was taken for messages that were never sent; returns how many there were."""
    rows = await w.sql.fetch(
        """SELECT c.id, c.template_id FROM coupons_coupons c
           JOIN deliveries d ON d.merchant_id = $1 AND d.id = split_part(c.key, ':', 2)::bigint
           WHERE c.merchant_id = $1 AND c.source = 'message' AND c.state = 'granted'
             AND c.granted_at > $2 AND d.state IN ('skipped', 'failed')
           ORDER BY c.id LIMIT $3""",
        w.merchant_id, w.now - LOOKED_AT, ending.AT_ONCE,
    )  # fmt: skip
    await ending.hold_templates(w, sorted({row["template_id"] for row in rows}))
    return await ending.put_back(w, [row["id"] for row in rows], "granted")


def day_of(at: datetime, zone: str) -> str:
    """The day of an instant in a zone, as 2026-06-15."""
    return at.astimezone(ZoneInfo(zone)).date().isoformat()


async def _named(session: Any, names: Collection[str]) -> list[tuple[Template, set[str]]]:
    """The templates that are named, by their ids, each with the parts that are."""
    parts: dict[str, set[str]] = {}
    for name in names:
        handle, _, part = name.partition(".")
        parts.setdefault(handle, set()).add(part)
    found = await find_templates(session, sorted(parts))
    return [(one, parts[one.handle]) for one in reversed(found)]


def _fixed(template: Template) -> dict[str, Any]:
    """What is the same for everybody."""
    worth = None
    if template.kind == "percent_off":
        worth = f"{template.value / 100:g}%"
    elif template.kind == "amount_off":
        worth = str(from_minor(template.value, template.currency))
    threshold = template.threshold and str(from_minor(template.threshold, template.currency))
    return {"name": template.name, "amount": worth, "threshold": threshold}


def _full(template: Template, values: Mapping[str, Any], parts: set[str]) -> dict[str, Any]:
    return {f"{template.handle}.{name}": one for name, one in values.items() if name in parts}
