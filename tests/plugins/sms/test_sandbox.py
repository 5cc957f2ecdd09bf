from datetime import timedelta

from core.domain.campaigns import reconciling
from tests.plugins.sms import kit
from tests.plugins.sms.kit import rows, send

SANDBOX = {"kind": "sandbox", "prices": {"CN": "0.04"}}


async def test_the_pretended_carrier_does_all_that_a_carrier_does(merchant):
    await kit.enable_sms(merchant, SANDBOX)
    numbers = [f"+861380013{n:04d}" for n in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9)]
    await kit.add_people(merchant, numbers)
    run_id = await kit.texting(merchant)
    await send(merchant, run_id)
    merchant.clock.move(timedelta(minutes=1))
    await kit.tick(merchant, "sms.sandbox")
    await reconciling.reconcile(
        merchant.installation.db, merchant.installation.registry, merchant.id
    )
    await send(merchant, run_id)  # the one that was too busy
    merchant.clock.move(timedelta(minutes=1))
    await kit.tick(merchant, "sms.sandbox")
    found = await rows(merchant, run_id)
    assert [(row["state"], row["receipt"]) for row in found] == [
        ("sent", "delivered"), ("sent", "bounced"), ("failed", None), ("sent", "undelivered"),
        ("sent", "delivered"), ("sent", None), ("sent", "delivered"), ("sent", "delivered"),
        ("failed", "bounced"), ("sent", "delivered"),
    ]  # fmt: skip
    async with merchant.read() as session:
        replies = await session.sql.fetch(
            "SELECT opt_out FROM inbound_messages WHERE merchant_id = $1 ORDER BY id", merchant.id
        )
        suppressed = await session.sql.fetch(
            "SELECT reason FROM suppressions WHERE merchant_id = $1 ORDER BY reason", merchant.id
        )
    assert [row["opt_out"] for row in replies] == [True, False]
    assert [row["reason"] for row in suppressed] == ["bounced", "bounced", "unsubscribed"]


async def test_an_account_without_money_pauses_the_campaign(merchant):
    await kit.enable_sms(merchant, SANDBOX)
    await kit.add_people(merchant, ["+8613800130010"])
    run_id = await kit.texting(merchant)
    await send(merchant, run_id)
    assert "no money" in await kit.pause_reason(merchant, run_id)
