"""The payment reminder (催付) at work: of two orders the one is reminded of that nobody pays."""

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta

from core.domain.campaigns.campaigns import get_campaign
from core.domain.campaigns.flows import stored_flow
from core.domain.campaigns.links import message_key
from core.domain.campaigns.preview import About, preview_message
from core.domain.campaigns.recipes.switching import switch_on
from core.domain.orders.ingest import ingest_orders
from core.domain.shops.shops import find_shop
from core.installation import Installation
from core.sdk.orders import OrderRecord, OrderState
from demo.clock import DemoClock
from demo.story import DemoFailed

MINUTES = 10
WAIT_SECONDS = 30.0
WAITING = """(SELECT count(*) FROM enrolments e WHERE e.merchant_id = $1 AND e.run_id = r.id
    AND e.state = 'waiting' AND e.until IS NOT NULL)"""


@dataclass(frozen=True)
class Reminded:
    """The reminder that went out, and the key by which the mail server knows it."""

    order: str
    subject: str
    key: str


@dataclass(frozen=True)
class Reminder:
    """A shop at whose orders a worker is at work, with the plugin email on."""

    installation: Installation
    clock: DemoClock
    merchant_id: int
    shop_id: int

    async def show(self) -> Reminded:
        """Let two orders come in of which one is paid in time. Raises DemoFailed."""
        db, registry = self.installation.db, self.installation.registry
        async with db.work(self.merchant_id) as w:
            (campaign_id,) = await switch_on(
                w, registry, "payment_reminder", {"channel": "email", "minutes": MINUTES},
                shop_id=self.shop_id, start=True,
            )  # fmt: skip
        await self._until(campaign_id, "r.state = 'running'")
        at = self.clock()
        forgotten, paid_later = (
            OrderRecord(
                number, OrderState.CREATED_UNPAID, "CNY", 68_00, 0, at, buyer_id=f"buyer-{number}",
                name=name, email=f"{number}@example.com",
            )
            for number, name in (("demo-1", "林小满"), ("demo-2", "周一诺"))
        )  # fmt: skip
        await self._take(forgotten, paid_later)
        await self._until(campaign_id, f"{WAITING} = 2")
        self.clock.move_to(at + timedelta(minutes=MINUTES / 2))
        now = self.clock()
        await self._take(
            replace(paid_later, state=OrderState.TO_SHIP, paid=68_00, paid_at=now, modified_at=now)
        )
        await self._until(campaign_id, f"{WAITING} = 1")
        self.clock.move_to(at + timedelta(minutes=MINUTES, seconds=1))
        async with db.work(self.merchant_id) as w:
            w.ring("journeys.advance", self.merchant_id)
        await self._until(campaign_id, "d.state = 'sent'")
        return await self._sent(campaign_id, forgotten.external_id)

    async def _take(self, *orders: OrderRecord) -> None:
        async with self.installation.db.work(self.merchant_id) as w:
            shop = await find_shop(w, str(self.shop_id))
            await ingest_orders(w, shop, orders, "nick", True)

    async def _until(self, campaign_id: int, condition: str) -> None:
        """Wait for a condition on the run `r` and its message `d`, if it has one by then."""
        time = asyncio.get_running_loop().time
        end = time() + WAIT_SECONDS
        while time() < end:
            if await self._is(campaign_id, condition):
                return
            await asyncio.sleep(0.02)
        raise DemoFailed(f"the reminder did not come to this: {condition}")

    async def _is(self, campaign_id: int, condition: str) -> bool:
        async with self.installation.db.read(self.merchant_id) as session:
            found: bool = await session.sql.fetchval(
                f"""SELECT EXISTS (SELECT 1 FROM campaign_runs r
                    LEFT JOIN deliveries d ON d.merchant_id = $1 AND d.run_id = r.id
                    WHERE r.merchant_id = $1 AND r.campaign_id = $2 AND {condition})""",
                self.merchant_id, campaign_id,
            )  # fmt: skip
        return found

    async def _sent(self, campaign_id: int, order: str) -> Reminded:
        """The only message of the campaign. Raises DemoFailed if it is about another order."""
        async with self.installation.db.read(self.merchant_id) as session:
            rows = await session.sql.fetch(
                """SELECT d.id, d.customer_id, d.order_id, o.external_id FROM deliveries d
                   JOIN campaign_runs r ON r.merchant_id = $1 AND r.id = d.run_id
                   JOIN orders o ON o.merchant_id = $1 AND o.id = d.order_id
                   WHERE d.merchant_id = $1 AND r.campaign_id = $2""",
                self.merchant_id, campaign_id,
            )  # fmt: skip
            if [row["external_id"] for row in rows] != [order]:
                raise DemoFailed(f"reminded of {[row['external_id'] for row in rows]}")
            (row,) = rows
            flow = stored_flow((await get_campaign(session, campaign_id))["flow"])
            (send,) = flow.sends().values()
            about = About(row["customer_id"], row["order_id"])
            made = await preview_message(
                session, self.installation.registry, send, 0, self.shop_id, about
            )
            return Reminded(
                order, made.content["subject"],
                message_key(session.keyring, self.merchant_id, row["id"]),
            )  # fmt: skip
