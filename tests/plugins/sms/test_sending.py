import json
from datetime import timedelta

import pytest

from core.domain.campaigns import reconciling
from core.domain.campaigns.receipts import match_waiting
from core.sdk import InvalidInput, Refused, RetryLater
from plugins.sms import http, jobs
from tests.plugins.sms import kit
from tests.plugins.sms.kit import rows, send
from tests.stand_ins.aliyun import AliyunStandIn

SANDBOX = {"kind": "sandbox"}


@pytest.fixture
async def vendor(merchant):
    stand_in = AliyunStandIn(merchant.clock)
    stand_in.add_template("SMS_1", kit.TEMPLATE)
    stand_in.add_template("SMS_2", "您的订单${order}已发货", kind="1")
    async with stand_in.open() as url:
        stand_in.url = url
        yield stand_in


@pytest.fixture
async def shop(merchant, vendor):
    await enable(merchant, vendor)
    await kit.tick(merchant, "sms.sync")
    return merchant


async def enable(merchant, vendor, *others, **more):
    aliyun = {**kit.ALIYUN, "endpoint": vendor.url, "prices": {"CN": "0.045"}}
    # the check of the settings goes by the machine's clock, the vendor's by the test's
    await kit.enable_sms(merchant, aliyun, *others, checked=False, **more)


async def sent(shop, count=3, start=13800138000, **options):
    await kit.add_people(shop, kit.phones(count, start))
    run_id = await kit.texting(shop, **options)
    await send(shop, run_id)
    return run_id


async def states(shop, run_id):
    return [row["state"] for row in await rows(shop, run_id)]


async def test_marketing_goes_in_batches_with_everybodys_own_values(shop, vendor):
    run_id = await sent(shop)
    assert [(m.phone, m.text) for m in vendor.messages] == [
        (f"1380013800{n}", f"亲爱的客户{n + 1}，好久不见，拒收请回复R") for n in range(3)
    ]
    assert [action for action, _ in vendor.calls if action.startswith("Send")] == ["SendBatchSms"]
    found = await rows(shop, run_id)
    assert {(r["state"], r["provider"], r["parts"], r["cost"]) for r in found} == {
        ("sent", "aliyun", 1, 45_000)
    }


async def test_service_messages_go_one_by_one(shop, vendor):
    run_id = await sent(shop, text="您的订单{{ customer.name }}已发货", message_class="service")
    actions = [action for action, _ in vendor.calls if action.startswith("Send")]
    assert actions == ["SendSms"] * 3
    found = await rows(shop, run_id)
    assert {r["provider_id"] for r in found} == {m.biz_id for m in vendor.messages}
    assert {m.out_id for m in vendor.messages} == {kit.key_of(shop, r) for r in found}


async def test_a_text_of_no_approved_template_stops_the_campaign(shop, vendor):
    run_id = await sent(shop, text="{{ customer.name }}快来，拒收请回复R")
    assert await states(shop, run_id) == ["pending"] * 3
    assert "has approved no marketing template" in await kit.pause_reason(shop, run_id)
    assert vendor.messages == []


async def test_a_template_that_is_not_approved_any_more_is_not_used(shop, vendor):
    vendor.templates["SMS_1"]["AuditStatus"] = "AUDIT_STATE_NOT_PASS"
    vendor.templates["SMS_1"]["Reason"] = {"RejectInfo": "缺少签名"}
    shop.clock.move(timedelta(minutes=30))
    await kit.tick(shop, "sms.sync")
    assert await states(shop, await sent(shop)) == ["pending"] * 3
    async with shop.read() as session:
        row = await session.sql.fetchrow(
            "SELECT state, reason FROM sms_templates WHERE merchant_id = $1 AND code = 'SMS_1'",
            shop.id,
        )
    assert tuple(row) == ("rejected", "缺少签名")


async def test_a_marketing_text_without_a_way_out_is_refused(shop, vendor):
    run_id = await sent(shop, text="好久不见")
    assert await states(shop, run_id) == ["failed"] * 3
    assert vendor.messages == []


async def test_receipts_come_early_twice_and_in_any_order(shop, vendor):
    run_id = await sent(shop, text="您的订单{{ customer.name }}已发货", message_class="service")
    shop.clock.move(timedelta(seconds=5))
    reports = [
        vendor.end(vendor.messages[0]), vendor.end(vendor.messages[1], "MK:0001"),
        vendor.end(vendor.messages[2], "IB:0008"),
    ]  # fmt: skip
    for body in ([reports[2], reports[0]], reports, reports[:1]):
        answered = await kit.push(shop, "sms.aliyun", json.dumps(body).encode())
        assert json.loads(answered.body)["code"] == 0
    by_phone = {m.out_id: m for m in vendor.messages}
    told = {
        by_phone[kit.key_of(shop, row)].error: row["receipt"] for row in await rows(shop, run_id)
    }
    assert told == {"DELIVERED": "delivered", "MK:0001": "bounced", "IB:0008": "undelivered"}
    async with shop.read() as session:
        counted = await session.sql.fetchrow(
            """SELECT (SELECT count(*) FROM delivery_receipts WHERE merchant_id = $1) AS receipts,
                      (SELECT count(*) FROM suppressions WHERE merchant_id = $1) AS suppressed""",
            shop.id,
        )
    assert tuple(counted) == (3, 1)


async def test_receipts_of_a_batch_are_told_apart_by_number(shop, vendor):
    run_id = await sent(shop)
    reports = [vendor.end(vendor.messages[n], error) for n, error in
               enumerate(["DELIVERED", "EXPIRED", "DELIVERED"])]  # fmt: skip
    await kit.push(shop, "sms.aliyun", json.dumps(reports).encode())
    found = await rows(shop, run_id)
    assert [row["receipt"] for row in found] == ["delivered", "undelivered", "delivered"]


async def test_a_receipt_for_another_merchant_changes_nothing(shop, vendor, installation):
    from core.domain.shops.setup import set_up_merchant
    from core.testing import TestMerchant

    run_id = await sent(shop, text="您的订单{{ customer.name }}已发货", message_class="service")
    made = await set_up_merchant(installation.db, installation.registry, "Other", shop="shop")
    other = TestMerchant(made.merchant_id, made.shop_id, made.token, installation, shop.clock)
    await enable(other, vendor)
    body = json.dumps([vendor.end(message) for message in vendor.messages]).encode()
    await kit.push(other, "sms.aliyun", body)
    assert {row["receipt"] for row in await rows(shop, run_id)} == {None}


@pytest.mark.parametrize("body", [b"", b"[1]", b'[{"phone_number": "138"}]', b"{", b"\xff",
                                  b"[" * 100_000])  # fmt: skip
async def test_a_malformed_push_is_refused(shop, body):
    with pytest.raises(InvalidInput):
        await kit.push(shop, "sms.aliyun", body)


async def test_odd_characters_in_a_push_lose_nothing(shop, vendor):
    run_id = await sent(shop, 2)
    reports = [vendor.end(message) for message in vendor.messages]
    reports[0] |= {"success": False, "err_code": "UNDELIV", "err_msg": "half \ud83d, \x00"}
    await kit.push(shop, "sms.aliyun", json.dumps(reports).encode())
    assert [row["receipt"] for row in await rows(shop, run_id)] == ["undelivered", "delivered"]
    reply = {"phone_number": "13800138000", "content": "退订\ud83d", "sequence_id": 7,
             "send_time": "2026-06-15 12:01:00", "dest_code": "\x00"}  # fmt: skip
    await kit.push(shop, "sms.aliyun", json.dumps([reply]).encode())
    async with shop.read() as session:
        assert await session.sql.fetchval(
            "SELECT count(*) FROM inbound_messages WHERE merchant_id = $1", shop.id
        ) == 1  # fmt: skip


async def test_a_push_of_a_vendor_that_the_merchant_does_not_have_is_refused(shop):
    with pytest.raises(Refused):
        await kit.push(shop, "sms.tencent", b"[]")


@pytest.mark.parametrize("word", ["R", "ｒ", " td ", "退订", "STOP", "T。", "别发了"])
async def test_a_refusal_ends_marketing_at_once_and_other_words_do_not(shop, vendor, word):
    from core.domain.campaigns.replies import set_opt_out_words

    async with shop.work() as w:
        await set_opt_out_words(w, ["别发了"])
    await sent(shop, 2)
    replies = [
        {"phone_number": "13800138000", "content": word, "send_time": "2026-06-15 12:01:00",
         "dest_code": "1", "sequence_id": 7},
        {"phone_number": "8613800138001", "content": "谢谢！", "send_time": "2026-06-15 12:01:00",
         "dest_code": "1", "sequence_id": "8"},
    ]  # fmt: skip
    for _ in range(2):
        await kit.push(shop, "sms.aliyun", json.dumps(replies).encode())
    again = await kit.texting(shop, name="again")
    await send(shop, again)
    assert await states(shop, again) == ["skipped", "sent"]
    async with shop.read() as session:
        events = await session.sql.fetch(
            """SELECT payload ->> 'opt_out' AS opt_out FROM outbox_events
               WHERE merchant_id = $1 AND type = 'message.replied' ORDER BY id""",
            shop.id,
        )
    assert [row["opt_out"] for row in events] == ["true", "false"]


# -- when the vendor is away --------------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(http, "ANSWER_SECONDS", 0.3)


async def reconcile(shop, after):
    shop.clock.move(after)
    installation = shop.installation
    await reconciling.reconcile(installation.db, installation.registry, shop.id)


@pytest.mark.parametrize("mood", ["hang after", "cut after"])
async def test_what_was_accepted_without_an_answer_is_found_again(shop, vendor, impatient, mood):
    vendor.mood = mood
    run_id = await sent(shop)
    assert await states(shop, run_id) == ["unknown"] * 3
    vendor.mood = None
    await reconcile(shop, timedelta(minutes=1))
    assert await states(shop, run_id) == ["sent"] * 3
    await kit.push(
        shop, "sms.aliyun", json.dumps([vendor.end(m) for m in vendor.messages]).encode()
    )
    assert {row["receipt"] for row in await rows(shop, run_id)} == {"delivered"}
    assert len(vendor.messages) == 3


async def test_a_receipt_that_comes_before_the_fate_is_known_is_kept(shop, vendor, impatient):
    vendor.mood = "hang after"
    run_id = await sent(shop)
    await kit.push(
        shop, "sms.aliyun", json.dumps([vendor.end(m) for m in vendor.messages]).encode()
    )
    vendor.mood = None
    await reconcile(shop, timedelta(minutes=1))
    await match_waiting(shop.installation.db, shop.installation.registry)
    assert {(r["state"], r["receipt"]) for r in await rows(shop, run_id)} == {("sent", "delivered")}


async def test_what_was_never_accepted_goes_out_once_when_that_is_certain(shop, vendor, impatient):
    vendor.mood = "hang before"
    run_id = await sent(shop)
    vendor.mood = None
    assert vendor.messages == []
    await reconcile(shop, timedelta(minutes=1))
    assert await states(shop, run_id) == ["unknown"] * 3  # the list may be late
    await reconcile(shop, timedelta(hours=1))
    assert await states(shop, run_id) == ["pending"] * 3
    await send(shop, run_id)
    assert await states(shop, run_id) == ["sent"] * 3
    assert len(vendor.messages) == 3


async def test_another_provider_takes_over_and_the_next_messages_go_there_at_once(shop, vendor):
    await enable(shop, vendor, SANDBOX)
    vendor.mood = "isv.AMOUNT_NOT_ENOUGH"
    run_id = await sent(shop, 150)
    found = await rows(shop, run_id)
    assert {(row["state"], row["provider"]) for row in found} == {("sent", "sandbox")}
    assert len([1 for action, _ in vendor.calls if action == "SendBatchSms"]) <= 2


async def test_a_busy_vendor_alone_is_tried_again(shop, vendor):
    vendor.mood = "503 before"
    run_id = await sent(shop)
    assert await states(shop, run_id) == ["pending"] * 3
    vendor.mood = None
    shop.clock.move(timedelta(minutes=1))
    await send(shop, run_id)
    assert await states(shop, run_id) == ["sent"] * 3


async def spent(shop):
    """The money that counts, in millionths, of all scopes."""
    async with shop.read() as session:
        return await session.sql.fetchval(
            "SELECT sum(amount) FROM sms_spending WHERE merchant_id = $1", shop.id
        )


async def test_money_of_what_was_never_sent_comes_back_once(shop, vendor, impatient):
    await enable(shop, vendor, budget={"campaign": "0.14"})
    vendor.mood = "hang before"
    run_id = await sent(shop)
    vendor.mood = None
    assert await spent(shop) == 3 * 45_000  # perhaps they are under way
    await reconcile(shop, timedelta(minutes=1))
    assert await spent(shop) == 3 * 45_000
    await reconcile(shop, timedelta(hours=1))
    assert await spent(shop) == 0
    await send(shop, run_id)
    assert await states(shop, run_id) == ["sent"] * 3
    assert await spent(shop) == 3 * 45_000


async def test_one_bad_number_does_not_take_a_batch_with_it(shop, vendor):
    vendor.refuse |= {
        "13800138003": ("isv.MOBILE_NUMBER_ILLEGAL", "非法手机号"),
        "13800138007": ("isv.BUSINESS_LIMIT_CONTROL", "触发天级流控Permits:10"),
    }
    await enable(shop, vendor, budget={"campaign": "1"})
    run_id = await sent(shop, 10)
    expected = ["sent"] * 10
    expected[3], expected[7] = "failed", "pending"
    assert await states(shop, run_id) == expected
    assert sorted(message.phone for message in vendor.messages) == [
        f"1380013800{number}" for number in range(10) if number not in (3, 7)
    ]
    assert await spent(shop) == 8 * 45_000


async def test_a_text_that_nobody_takes_fails_for_all(shop, vendor):
    vendor.mood = "isv.SMS_CONTENT_ILLEGAL"
    run_id = await sent(shop, 5)
    assert await states(shop, run_id) == ["failed"] * 5
    assert not vendor.messages


async def test_a_number_that_has_had_enough_waits_a_day(shop, vendor):
    vendor.limit_per_number = 0
    run_id = await sent(shop, 1)
    (row,) = await rows(shop, run_id)
    assert (row["state"], row["next_at"] - shop.clock()) == ("pending", timedelta(days=1))


async def test_receipts_that_never_came_are_asked_for(shop, vendor):
    run_id = await sent(shop)
    for message, error in zip(vendor.messages, ["DELIVERED", "MBBLACK"], strict=False):
        vendor.end(message, error)
    await kit.tick(shop, "sms.missing")
    assert {row["receipt"] for row in await rows(shop, run_id)} == {None}
    shop.clock.move(timedelta(hours=12, minutes=1))
    await kit.tick(shop, "sms.missing")
    assert [row["receipt"] for row in await rows(shop, run_id)] == ["delivered", "bounced", None]
    asked = len(vendor.calls)
    await kit.tick(shop, "sms.missing")
    assert len(vendor.calls) == asked  # each is asked for once
    # the third is under way for long, and at last the carrier gives it up
    vendor.end(vendor.messages[2], "EXPIRED")
    shop.clock.move(timedelta(days=2))
    await kit.tick(shop, "sms.missing")
    assert len(vendor.calls) == asked
    shop.clock.move(timedelta(hours=12))
    await kit.tick(shop, "sms.missing")
    assert [row["receipt"] for row in await rows(shop, run_id)][2] == "undelivered"


async def test_a_message_that_had_to_wait_is_asked_for_in_its_turn(shop, vendor):
    vendor.refuse["13800138000"] = ("isv.BUSINESS_LIMIT_CONTROL", "触发天级流控Permits:10")
    run_id = await sent(shop, 2)
    assert await states(shop, run_id) == ["pending", "sent"]
    vendor.refuse.clear()
    for message in vendor.messages:
        vendor.end(message, "DELIVERED")
    shop.clock.move(timedelta(days=1))
    await kit.tick(shop, "sms.missing")
    await send(shop, run_id)
    vendor.end(vendor.messages[-1], "DELIVERED")
    shop.clock.move(timedelta(days=1))
    await kit.tick(shop, "sms.missing")
    assert [row["receipt"] for row in await rows(shop, run_id)] == ["delivered"] * 2


async def test_while_a_vendor_is_away_its_messages_stay_to_be_asked_for(shop, vendor, monkeypatch):
    monkeypatch.setattr(jobs, "SOUGHT", 1)
    run_id = await sent(shop)
    vendor.end(vendor.messages[2], "DELIVERED")
    async with shop.work() as w:  # one is asked for no more: nobody knows his number
        await w.sql.execute(
            """UPDATE customers SET phone_sealed = NULL, phone_index = NULL
               WHERE merchant_id = $1 AND id = (
                   SELECT min(customer_id) FROM deliveries WHERE merchant_id = $1)""",
            shop.id,
        )  # fmt: skip
    shop.clock.move(timedelta(hours=13))
    vendor.mood = "503 before"
    with pytest.raises(RetryLater, match="aliyun answers 503"):
        await kit.tick(shop, "sms.missing")
    vendor.mood = None
    shop.clock.move(timedelta(hours=1))
    await kit.tick(shop, "sms.missing")
    assert [row["receipt"] for row in await rows(shop, run_id)] == [None, None, "delivered"]


# -- money --------------------------------------------------------------------------------------


async def test_a_campaign_stops_at_its_budget_and_says_so(shop, vendor):
    await enable(shop, vendor, budget={"campaign": "0.09"})
    run_id = await sent(shop, 5)
    assert sorted(await states(shop, run_id)) == ["pending"] * 3 + ["sent"] * 2
    reason = await kit.pause_reason(shop, run_id)
    assert reason.startswith("the budget of this campaign for SMS (0.09) is used up")
    assert len(vendor.messages) == 2


async def test_the_days_budget_begins_anew_at_the_merchants_midnight(shop, vendor):
    await enable(shop, vendor, budget={"day": "0.135"})
    first = await sent(shop, 2)
    second = await kit.texting(shop, name="second")
    await send(shop, second)
    assert await states(shop, first) == ["sent"] * 2
    assert sorted(await states(shop, second)) == ["pending", "sent"]
    assert "budget of 2026-06-15" in await kit.pause_reason(shop, second)
    shop.clock.move(timedelta(hours=21))  # 09:00 of the next day
    third = await kit.texting(shop, name="third")
    await send(shop, third)
    assert await states(shop, third) == ["sent"] * 2


async def test_what_was_not_sent_is_not_spent(shop, vendor):
    await enable(shop, vendor, budget={"campaign": "0.09"})
    vendor.mood = "503 before"
    run_id = await sent(shop, 2)
    vendor.mood = None
    shop.clock.move(timedelta(minutes=1))
    await send(shop, run_id)
    assert await states(shop, run_id) == ["sent"] * 2
