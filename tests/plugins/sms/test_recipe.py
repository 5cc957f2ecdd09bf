"""A recipe by SMS, from the order to the receipt, done by a worker."""

from datetime import timedelta

import pytest

from core.domain.campaigns.recipes.switching import switch_on
from tests.journey_kit import order, take_orders
from tests.plugins.sms import kit
from tests.sending_kit import until
from worker.runner import Runner

pytestmark = pytest.mark.slow


async def test_a_payment_reminder_goes_out_and_arrives(merchant):
    await kit.enable_sms(merchant, {"kind": "sandbox", "receipt_seconds": 0})
    registry = merchant.installation.registry
    async with merchant.work() as w:
        await switch_on(
            w, registry, "payment_reminder", {"channel": "sms", "minutes": 30}, start=True,
            shop_id=merchant.shop_id,
        )  # fmt: skip
    runner = Runner(merchant.installation, sweep_seconds=0.1)
    await runner.start()
    try:

        async def count(statement):
            async with merchant.read() as session:
                return await session.sql.fetchval(statement, merchant.id)

        await until(lambda: count(
            """SELECT count(*) FROM campaign_runs WHERE merchant_id = $1
               AND state = 'running' AND planned_at IS NOT NULL"""
        ), 20)  # fmt: skip
        made = order("1", at=merchant.clock(), phone="+8613800130000")
        await take_orders(merchant, made, heard=False)
        await until(lambda: count("SELECT count(*) FROM enrolments WHERE merchant_id = $1"), 20)
        merchant.clock.move(timedelta(minutes=31))
        arrived = "SELECT count(*) FROM deliveries WHERE merchant_id = $1 AND receipt = 'delivered'"
        await until(lambda: count(
            "SELECT count(*) FROM deliveries WHERE merchant_id = $1 AND state = 'sent'"
        ), 20)  # fmt: skip
        merchant.clock.move(timedelta(seconds=20))  # the tick's turn
        await until(lambda: count(arrived), 20)
        assert await count(arrived) == 1
    finally:
        await runner.stop()
