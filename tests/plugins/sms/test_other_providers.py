"""Tencent Cloud, Twilio and a gateway: what is their own."""

import json
from datetime import timedelta

import pytest
from aiohttp import web

from core.sdk import InvalidInput, Refused
from tests.plugins.sms import kit
from tests.plugins.sms.kit import rows, send
from tests.stand_ins.serving import served
from tests.stand_ins.tencent import TencentStandIn
from tests.stand_ins.twilio import TwilioStandIn

TENCENT = {"kind": "tencent", "secret_id": "testID", "secret_key": "testSK", "app_id": "1400006666"}
CALLBACK = "https://crm.example/hooks/sms.twilio/1.token"
TWILIO = {
    "kind": "twilio", "account_sid": "AC0", "auth_token": "secret", "sender": "+15005550006",
    "callback": CALLBACK,
}  # fmt: skip
ABROAD = "Hello {{ customer.name }}, reply STOP to stop"


async def receipts(merchant, run_id):
    return [row["receipt"] for row in await rows(merchant, run_id)]


# -- Tencent Cloud ------------------------------------------------------------------------------


@pytest.fixture
async def tencent(merchant):
    stand_in = TencentStandIn(merchant.clock)
    stand_in.add_template("1110", "亲爱的{1}，好久不见，拒收请回复R")
    stand_in.add_template("1111", "今天全场八折，拒收请回复R")
    async with stand_in.open() as url:
        await kit.enable_sms(merchant, {**TENCENT, "endpoint": url}, checked=False)
        await kit.tick(merchant, "sms.sync")
        yield stand_in


async def test_tencent_takes_like_texts_together(merchant, tencent):
    await kit.add_people(merchant, kit.phones(3))
    await send(merchant, await kit.texting(merchant, "今天全场八折，拒收请回复R"))
    await send(merchant, await kit.texting(merchant, name="named"))
    sizes = [len(given["PhoneNumberSet"]) for action, given in tencent.calls if action == "SendSms"]
    assert sizes == [3, 1, 1, 1]
    assert {m["text"] for m in tencent.messages[3:]} == {
        f"亲爱的客户{n}，好久不见，拒收请回复R" for n in (1, 2, 3)
    }


async def test_tencents_receipts_and_a_reply(merchant, tencent):
    await kit.add_people(merchant, kit.phones(2))
    run_id = await kit.texting(merchant, "今天全场八折，拒收请回复R")
    await send(merchant, run_id)
    body = [tencent.end(tencent.messages[0]), tencent.end(tencent.messages[1], "MK:0001")]
    await kit.push(merchant, "sms.tencent", json.dumps(body).encode())
    assert await receipts(merchant, run_id) == ["delivered", "bounced"]
    reply = {"extend": "", "mobile": "13800138000", "nationcode": "86", "sign": "小店",
             "text": "Ｒ", "time": int(merchant.clock().timestamp())}  # fmt: skip
    for _ in range(2):
        answered = await kit.push(merchant, "sms.tencent", json.dumps(reply).encode())
    assert json.loads(answered.body) == {"result": 0, "errmsg": "OK"}
    async with merchant.read() as session:
        count = await session.sql.fetchval(
            "SELECT count(*) FROM inbound_messages WHERE merchant_id = $1 AND opt_out", merchant.id
        )
    assert count == 1


async def test_a_number_on_tencents_blacklist_is_not_written_to_again(merchant, tencent):
    await kit.add_people(merchant, kit.phones(2))
    tencent.faults["+8613800138000"] = "FailedOperation.PhoneNumberInBlacklist"
    run_id = await kit.texting(merchant)
    await send(merchant, run_id)
    assert [row["state"] for row in await rows(merchant, run_id)] == ["failed", "sent"]
    again = await kit.texting(merchant, name="again")
    await send(merchant, again)
    assert [(r["state"], r["reason"]) for r in await rows(merchant, again)] == [
        ("skipped", "suppressed"), ("sent", None),
    ]  # fmt: skip


async def test_missing_receipts_of_tencent_are_asked_for(merchant, tencent):
    await kit.add_people(merchant, kit.phones(2))
    run_id = await kit.texting(merchant)
    await send(merchant, run_id)
    tencent.end(tencent.messages[1])
    merchant.clock.move(timedelta(hours=13))
    await kit.tick(merchant, "sms.missing")
    assert sorted(await receipts(merchant, run_id), key=str) == [None, "delivered"]


# -- Twilio -------------------------------------------------------------------------------------


@pytest.fixture
async def twilio(merchant):
    stand_in = TwilioStandIn(merchant.clock)
    async with stand_in.open() as url:
        await kit.enable_sms(merchant, {**TWILIO, "endpoint": url})
        await kit.add_people(merchant, ["+447911123451", "+447911123452", "+447911123453"])
        yield stand_in


async def take(merchant, pushed):
    body, headers, query, url = pushed
    return await kit.push(merchant, "sms.twilio", body, headers, query, url)


async def test_twilio_tells_what_became_of_messages_in_any_order(merchant, twilio):
    twilio.faults["+447911123453"] = 21610
    run_id = await kit.texting(merchant, ABROAD)
    await send(merchant, run_id)
    assert [m["body"] for m in twilio.messages] == [
        f"Hello 客户{n}, reply STOP to stop" for n in (1, 2)
    ]
    first, second = twilio.messages
    for pushed in (
        twilio.status(first, "delivered"), twilio.status(first, "sent"),
        twilio.status(second, "undelivered", 30006), twilio.status(first, "delivered"),
    ):  # fmt: skip
        assert (await take(merchant, pushed)).status == 204
    found = await rows(merchant, run_id)
    assert [(r["state"], r["receipt"]) for r in found] == [
        ("sent", "delivered"), ("sent", "bounced"), ("failed", "bounced"),
    ]  # fmt: skip


async def test_a_forged_status_is_refused(merchant, twilio):
    run_id = await kit.texting(merchant, ABROAD)
    await send(merchant, run_id)
    body, headers, query, url = twilio.status(twilio.messages[0], "delivered")
    for forged in (
        (body + b"x", headers, query, url), (body, {}, query, url),
        (body, {"x-twilio-signature": "AAAA"}, query, url), (body, headers, query, url + "&y=1"),
        (body.replace(b"AC0", b"AC1"), headers, query, url),
    ):  # fmt: skip
        with pytest.raises(Refused):
            await take(merchant, forged)
    assert set(await receipts(merchant, run_id)) == {None}
    # behind a proxy the port may be in what was signed
    with_port = url.replace("crm.example", "crm.example:443")
    await take(merchant, (*twilio._signed(with_port, _form(body))[:2], query, url))
    assert (await receipts(merchant, run_id)).count("delivered") == 1


def _form(body):
    from urllib.parse import parse_qsl

    return dict(parse_qsl(body.decode()))


async def test_stop_by_twilio_ends_marketing(merchant, twilio):
    await send(merchant, await kit.texting(merchant, ABROAD))
    await take(merchant, twilio.reply(CALLBACK, "+447911123451", "STOP", OptOutType="STOP"))
    again = await kit.texting(merchant, ABROAD, name="again")
    await send(merchant, again)
    assert [row["state"] for row in await rows(merchant, again)] == ["skipped", "sent", "sent"]


# -- a gateway ----------------------------------------------------------------------------------

SECRET = "0123456789abcdef"
GATEWAY = {
    "kind": "gateway", "format": "json", "headers": {"x-app": "app ${key}"},
    "fields": {"mobile": "${number}", "content": "${text}", "ref": "${key}"},
    "accepted": {"path": "result.code", "values": ["0"]}, "id": "result.ids.0",
    "refused": ["12"], "busy": ["20"], "push_secret": SECRET,
    "receipts": {"items": "reports", "id": "msgid", "to": "mobile",
                 "delivered": {"path": "stat", "values": ["DELIVRD"]}, "bad_numbers": ["MK:0001"]},
    "replies": {"items": "replies", "id": "id", "sender": "mobile", "text": "content"},
}  # fmt: skip


@pytest.fixture
async def gateway(merchant):
    asked, codes = [], {}

    async def answer(request):
        given = json.loads(await request.read())
        asked.append((dict(request.headers), given))
        told = {"result": {"code": codes.get(given["mobile"], 0), "ids": [f"g{len(asked)}"]}}
        return web.json_response(told)

    async with served(answer) as url:
        await kit.enable_sms(merchant, {**GATEWAY, "url": f"{url}/send"})
        yield asked, codes


async def test_a_gateway_is_spoken_to_as_its_settings_say(merchant, gateway):
    asked, codes = gateway
    await kit.add_people(merchant, kit.phones(4))
    codes |= {"13800138001": 12, "13800138002": 20}
    run_id = await kit.texting(merchant)
    await send(merchant, run_id)
    assert {given["content"] for _, given in asked} == {
        f"【小店】亲爱的客户{n}，好久不见，拒收请回复R" for n in (1, 2, 3, 4)
    }
    assert [row["state"] for row in await rows(merchant, run_id)] == [
        "sent", "failed", "pending", "sent",
    ]  # fmt: skip
    by_number = {given["mobile"]: f"g{n}" for n, (_, given) in enumerate(asked, 1)}
    body = json.dumps({
        "reports": [
            {"msgid": by_number["13800138000"], "mobile": "13800138000", "stat": "DELIVRD"},
            {"msgid": by_number["13800138003"], "mobile": "13800138003", "stat": "MK:0001"},
        ],
        "replies": [{"id": 1, "mobile": "13800138000", "content": "T"}],
    }).encode()  # fmt: skip
    with pytest.raises(Refused):
        await kit.push(merchant, "sms.gateway", body, {"x-push-secret": "wrong"})
    await kit.push(merchant, "sms.gateway", body, {"x-push-secret": SECRET})
    assert await receipts(merchant, run_id) == ["delivered", None, None, "bounced"]


async def test_an_unknown_code_of_a_gateway_pauses_the_campaign(merchant, gateway):
    _, codes = gateway
    await kit.add_people(merchant, kit.phones(1))
    codes["13800138000"] = 99
    run_id = await kit.texting(merchant)
    await send(merchant, run_id)
    assert await kit.pause_reason(merchant, run_id) == "gateway: 99"


async def test_a_gateways_push_without_a_name_needs_one_gateway(merchant, gateway):
    with pytest.raises((InvalidInput, Refused)):
        await kit.push(merchant, "sms.gateway", b"{}", query=[("provider", "other")])
