"""Granting coupons by a journey's step, and as a reward for points."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from core.sdk import NotFound, PluginContext, Redeemed, Refused, Subject, Text
from plugins.coupons.errors import CouponsExhausted, CouponUnusable
from plugins.coupons.issuing import Recipient, issue
from plugins.coupons.templates import Template, find_templates


class GrantSettings(BaseModel, extra="forbid"):
    """Which template's coupon is given, by its handle."""

    template: str = Field(min_length=1, max_length=40)


class Grant:
    """Gives who comes to the step a coupon. Who has had as many as one can have gets none."""

    name = "coupons_grant"
    title = Text("Grant a coupon", "发放优惠券")
    settings: type[BaseModel] = GrantSettings

    async def check(self, session: Any, settings: GrantSettings) -> None:
        await by_handle(session, settings.template, ("template",))

    async def perform(self, w: Any, settings: Any, subjects: Sequence[Subject]) -> None:
        template = await by_handle(w, settings.template)
        campaigns = await _campaigns(w, [one.enrolment_id for one in subjects])
        recipients = [
            Recipient(one.customer_id, campaign_id=campaigns.get(one.enrolment_id))
            for one in subjects
        ]
        await issue(w, template.id, recipients, "journey")


class CouponReward:
    """Hands a coupon out for points."""

    name = "coupons_coupon"
    title = Text("Coupon", "优惠券")
    settings: type[BaseModel] = GrantSettings

    async def hand_out(
        self, context: PluginContext, settings: Any, redeemed: Redeemed
    ) -> str | None:
        recipient = Recipient(redeemed.customer_id, f"redemption:{redeemed.redemption_id}")
        try:
            async with context.database.work(context.merchant_id) as w:
                template = await by_handle(w, settings.template)
                (issued,) = await issue(w, template.id, [recipient], "reward")
        except (CouponsExhausted, CouponUnusable, NotFound) as error:
            raise Refused(error.message) from error
        if issued.coupon_id is None:
            raise Refused(issued.reason or "no coupon")
        return issued.code or template.name


async def by_handle(
    session: Any, handle: str, path: tuple[str, ...] = ("input", "template")
) -> Template:
    """The template of that handle. Raises NotFound."""
    found = await find_templates(session, [handle])
    if not found:
        raise NotFound(f"there is no coupon template {handle!r}", path)
    return found[0]


async def _campaigns(w: Any, enrolments: Sequence[int]) -> dict[int, int]:
    rows = await w.sql.fetch(
        """SELECT e.id, r.campaign_id FROM enrolments e
           JOIN campaign_runs r ON r.merchant_id = $1 AND r.id = e.run_id
           WHERE e.merchant_id = $1 AND e.id = ANY($2::bigint[])""",
        w.merchant_id, list(enrolments),
    )  # fmt: skip
    return {row["id"]: row["campaign_id"] for row in rows}
