"""Every error code of the vendors' tables, and what the HTTP calls say when they fail."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web

from core.sdk import (
    Receipt,
    ReconnectNeeded,
    Refused,
    RetryLater,
    SoughtMessage,
    Trace,
    Unknown,
)
from plugins.sms import http
from plugins.sms.http import connections
from plugins.sms.making import outside
from plugins.sms.providers import aliyun_codes, tencent_codes, twilio
from plugins.sms.providers.aliyun import ended_as
from plugins.sms.providers.protocol import Blocked, Meaning, Sought
from plugins.sms.settings import AliyunSettings, TencentSettings, TwilioSettings
from plugins.sms.templates import Template
from plugins.sms.texts import Text
from tests.stand_ins.aliyun import AliyunStandIn
from tests.stand_ins.serving import served
from tests.stand_ins.tencent import TencentStandIn
from tests.stand_ins.twilio import TwilioStandIn

NOW = datetime(2026, 6, 15, 4, tzinfo=UTC)
TEXT = Text("1.2.key", "+8613800138000", "hello", "小店", "service", 1, Template("1", "hello"), {})
TABLE = [
    line.split("\t")
    for line in Path(__file__).with_name("codes.tsv").read_text("utf-8").splitlines()
]
"""Vendor, code, and the name of what it means, from the vendors' documentation."""
KINDS = {
    Meaning.BLOCKED: Blocked, Meaning.MESSAGE: Refused, Meaning.MINUTE: RetryLater,
    Meaning.HOUR: RetryLater, Meaning.DAY: RetryLater, Meaning.BUSY: RetryLater,
    Meaning.ACCOUNT: ReconnectNeeded, Meaning.UNKNOWN: Unknown,
}  # fmt: skip


def clock():
    return NOW


def account(vendor, endpoint):
    match vendor:
        case "aliyun":
            return AliyunSettings(kind="aliyun", access_key_id="testAK", access_key_secret="testSK",
                                  endpoint=endpoint)  # fmt: skip
        case "tencent":
            return TencentSettings(kind="tencent", secret_id="testID", secret_key="testSK",
                                   app_id="1400006666", endpoint=endpoint)  # fmt: skip
        case _:
            return TwilioSettings(kind="twilio", account_sid="AC0", auth_token="secret",
                                  sender="+15005550006", endpoint=endpoint)  # fmt: skip


@pytest.fixture(scope="module")
async def opened():
    """(stand-in, client) of each vendor, by its name."""
    aliyun, tencent, two = AliyunStandIn(clock), TencentStandIn(clock), TwilioStandIn(clock)
    aliyun.add_template("1", "hello", "1")
    tencent.add_template("1", "hello")
    async with (
        aliyun.open() as a, tencent.open() as t, two.open() as w, connections() as session,
    ):  # fmt: skip
        yield {
            vendor: (stand_in, outside(account(vendor, url), session, clock))
            for vendor, stand_in, url in (
                ("aliyun", aliyun, a), ("tencent", tencent, t), ("twilio", two, w),
            )
        }  # fmt: skip


async def sent(provider, text=TEXT):
    try:
        (answer,) = await provider.send(text.key, [text])
    except Exception as error:
        return error
    return answer


def is_meant(answer, meaning, provider):
    assert type(answer) is KINDS[meaning], answer
    if meaning in (Meaning.BUSY, Meaning.UNKNOWN):
        assert answer.provider == provider
    elif meaning in (Meaning.MINUTE, Meaning.HOUR, Meaning.DAY):
        assert answer.provider is None  # it holds for the number, whoever sends
        assert answer.after >= timedelta(minutes=1)


def of(vendor):
    """(code, what it comes to) by the vendor's table."""
    return [(code, word) for found, code, word in TABLE if found == vendor]


@pytest.mark.parametrize(
    ("vendor", "codes"),
    [("aliyun", aliyun_codes.CODES), ("tencent", tencent_codes.CODES), ("twilio", twilio.CODES)],
)
def test_no_code_is_without_a_try(vendor, codes):
    assert {str(code) for code in codes} <= {code for code, _ in of(vendor)}


async def test_alibaba_clouds_codes(opened):
    stand_in, client = opened["aliyun"]
    for code, word in of("aliyun"):
        stand_in.mood = code
        is_meant(await sent(client), Meaning[word.upper()], "aliyun")
    stand_in.mood = None
    assert isinstance(await sent(client), Receipt)


@pytest.mark.parametrize(
    ("words", "after"), [("触发天级流控", 24 * 60), ("触发小时级流控", 60), ("触发分钟级流控", 1)]
)
async def test_alibaba_cloud_says_for_how_long_a_number_has_had_enough(opened, words, after):
    stand_in, client = opened["aliyun"]
    stand_in.refuse["13800138000"] = ("isv.BUSINESS_LIMIT_CONTROL", f"{words}Permits:10")
    answer = await sent(client)
    stand_in.refuse.clear()
    assert isinstance(answer, RetryLater)
    assert answer.after == timedelta(minutes=after)


async def test_tencent_clouds_codes(opened):
    stand_in, client = opened["tencent"]
    for code, word in of("tencent"):
        stand_in.mood, stand_in.faults = code, {}
        is_meant(await sent(client), Meaning[word.upper()], "tencent")
        stand_in.mood, stand_in.faults = None, {TEXT.to: code}
        is_meant(await sent(client), Meaning[word.upper()], "tencent")
    stand_in.faults = {}
    assert await sent(client) == Receipt("2640:0", parts=1)


async def test_twilios_codes(opened):
    stand_in, client = opened["twilio"]
    for code, word in of("twilio"):
        stand_in.faults = {TEXT.to: int(code)}
        is_meant(await sent(client), Meaning[word.upper()], "twilio")
    stand_in.faults = {}
    assert isinstance(await sent(client), Receipt)


def test_what_carriers_and_twilio_say_at_the_end():
    for code, status in of("carrier"):
        told = ended_as("1", status == "delivered", code, "", NOW, "aliyun")
        assert (told.status, told.of_person) == (status, status == "bounced"), code
    for code, status in of("twilio receipt"):
        told = twilio.receipt_of(
            {"sid": "SM1", "status": "undelivered", "error_code": code}, "twilio", NOW, None
        )
        assert (told.status, told.of_person) == (status, status == "bounced"), code


async def test_twilio_finds_that_nothing_went_to_a_number(opened):
    stand_in, client = opened["twilio"]
    stand_in.messages.clear()
    message = SoughtMessage("1.2.key", TEXT.to, "twilio", NOW)
    assert await client.find(Sought(message, "1.2.key")) is Trace.UNKNOWN
    old = replace(message, at=NOW - timedelta(hours=1))
    assert await client.find(Sought(old, "1.2.key")) is Trace.ABSENT
    await sent(client)
    assert await client.find(Sought(message, "1.2.key")) is Trace.UNKNOWN


@pytest.mark.parametrize(
    ("secret", "at"), [("wrong", NOW), ("testSK", NOW + timedelta(minutes=16))]
)
async def test_a_wrong_key_or_clock_is_the_accounts(secret, at):
    stand_in = AliyunStandIn(clock)
    stand_in.add_template("1", "hello", "1")
    async with stand_in.open() as url, connections() as session:
        client = outside(AliyunSettings(
            kind="aliyun", access_key_id="testAK", access_key_secret=secret, endpoint=url,
        ), session, lambda: at)  # fmt: skip
        assert isinstance(await sent(client), ReconnectNeeded)
        with pytest.raises(ReconnectNeeded):
            await client.check()


# -- answers that are none ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, b"", Unknown), (200, b"<html>", Unknown), (200, b"[]", Unknown),
        (500, b"oops", Unknown), (502, b"", Unknown), (504, b"{}", Unknown),
        (429, b"", RetryLater), (503, b"", RetryLater),
    ],
)  # fmt: skip
@pytest.mark.parametrize("vendor", ["aliyun", "tencent", "twilio"])
async def test_an_answer_without_a_code_says_neither_yes_nor_no(vendor, status, body, kind):
    async def answer(request):
        return web.Response(status=status, body=body)

    async with served(answer) as url, connections() as session:
        found = await sent(outside(account(vendor, url), session, clock))
    assert isinstance(found, kind), found


async def test_nobody_there_is_certain_and_silence_is_not(monkeypatch):
    monkeypatch.setattr(http, "ANSWER_SECONDS", 0.2)
    stand_in = AliyunStandIn(clock)
    async with stand_in.open() as url, connections() as session:
        settings = account("aliyun", url)
        stand_in.mood = "hang before"
        assert isinstance(await sent(outside(settings, session, clock)), Unknown)
        gone = settings.model_copy(update={"endpoint": "http://127.0.0.1:9"})
        answer = await sent(outside(gone, session, clock))
    assert isinstance(answer, RetryLater)
    assert answer.provider == "aliyun"
