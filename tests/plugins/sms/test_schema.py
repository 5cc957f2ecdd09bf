"""The plugin's GraphQL fields, and the command that tries a channel."""

import asyncio

import httpx2
import pytest

from core.app import create_app
from core.schema.scalars import global_id
from tests.plugins.sms import kit
from tests.plugins.sms.kit import send
from tests.schema.operations import text
from tests.stand_ins.aliyun import AliyunStandIn


@pytest.fixture
async def ask(merchant):
    transport = httpx2.ASGITransport(create_app(merchant.installation))
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:

        async def ask(query, **variables):
            answered = await client.post(
                "/graphql", json={"query": query, "variables": variables},
                headers={"authorization": f"Bearer {merchant.token}"},
            )  # fmt: skip
            return answered.json()

        yield ask


async def test_arrivals_by_provider_signature_and_carrier(merchant, ask):
    await kit.enable_sms(merchant, {"kind": "sandbox", "receipt_seconds": 0})
    await kit.add_people(merchant, ["+8613800130003", "+8613800131000", "+8618900130005"])
    await send(merchant, await kit.texting(merchant))
    await kit.tick(merchant, "sms.sandbox")
    found = await ask(
        """{ smsArrivals(from: "2026-06-15", to: "2026-06-15") {
               provider signature prefix sent delivered undelivered waiting rate } }"""
    )
    assert found["data"]["smsArrivals"] == [
        {"provider": "sandbox", "signature": "小店", "prefix": "138", "sent": 2, "delivered": 1,
         "undelivered": 1, "waiting": 0, "rate": "0.5000"},
        {"provider": "sandbox", "signature": "小店", "prefix": "189", "sent": 1, "delivered": 0,
         "undelivered": 0, "waiting": 1, "rate": None},
    ]  # fmt: skip


SUBMIT = text("sms-template-submit")


async def test_a_template_is_handed_in_reviewed_and_used(merchant, ask):
    vendor = AliyunStandIn(merchant.clock)
    async with vendor.open() as url:
        await kit.enable_sms(
            merchant, {**kit.ALIYUN, "endpoint": url, "prices": {"CN": "0.045"}}, checked=False
        )
        given = {"provider": "aliyun", "name": "唤醒", "text": kit.TEMPLATE,
                 "messageClass": "MARKETING", "remark": "会员关怀",
                 "idempotencyKey": "t1"}  # fmt: skip
        wrong = await ask(SUBMIT, input=given | {"text": "${a}${b}"})
        assert [e["path"] for e in wrong["data"]["smsTemplateSubmit"]["errors"]] == [
            ["input", "text"]
        ] * 3  # fmt: skip
        answers = await asyncio.gather(*(ask(SUBMIT, input=given) for _ in range(3)))
        assert len(vendor.templates) == 1
        made = await ask(SUBMIT, input=given)
        told = [answer["data"] for answer in answers]
        assert made["data"] in told
        for one in told:  # the first answer, or that it is being handed in
            codes = [e["code"] for e in one["smsTemplateSubmit"]["errors"]]
            assert one == made["data"] or codes == ["WRONG_STATE"]
        assert len(vendor.templates) == 1
        mixed = await ask(SUBMIT, input=given | {"name": "other"})
        assert mixed["data"]["smsTemplateSubmit"]["errors"][0]["code"] == "IDEMPOTENCY_KEY_REUSED"
        assert made["data"]["smsTemplateSubmit"] == {"errors": [], "template": {
            "provider": "aliyun", "code": "SMS_1", "name": "唤醒", "text": kit.TEMPLATE,
            "state": "PENDING",
        }}  # fmt: skip
        check, words = text("sms-text-check"), "亲爱的张三，好久不见，拒收请回复R"
        (before,) = (await ask(check, text=words))["data"]["smsTextCheck"]["providers"]
        assert before["problem"] == "no approved template reads like this"
        vendor.templates["SMS_1"]["AuditStatus"] = "AUDIT_STATE_PASS"
        merchant.clock.move(kit.MINUTE)
        await kit.tick(merchant, "sms.sync")
        after = (await ask(check, text=words, shopId=global_id("Shop", merchant.shop_id)))["data"][
            "smsTextCheck"
        ]
        assert after == {
            "signature": "小店", "parts": 1, "problems": [],
            "providers": [{"provider": "aliyun", "template": "SMS_1", "price": "0.045",
                           "currency": "CNY", "problem": None}],
        }  # fmt: skip
        listed = await ask("{ smsTemplates { code state } smsSignatures { name state } }")
        assert listed["data"] == {
            "smsTemplates": [{"code": "SMS_1", "state": "APPROVED"}],
            "smsSignatures": [{"name": "小店", "state": "APPROVED"}],
        }
        refused = await ask(SUBMIT, input=given | {"provider": "nobody", "idempotencyKey": "t2"})
        assert refused["data"]["smsTemplateSubmit"]["errors"][0]["code"] == "NOT_FOUND"


async def test_without_the_plugin_there_is_nothing(merchant, ask):
    found = await ask("{ smsTemplates { code } }")
    assert found["data"] == {"smsTemplates": None}
    assert "not switched on" in found["errors"][0]["message"]
