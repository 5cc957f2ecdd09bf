"""Warm-up and paces: limits that hold for all workers together."""

import asyncio
from datetime import timedelta

import pytest

from core.domain.campaigns.control import start_campaign
from core.domain.shops.plugins import plugin_context
from core.sdk import RetryLater
from core.testing.smtp import smtp_sink
from plugins.email.pacing import Pacing
from plugins.email.settings import EmailSettings
from tests.plugins.email.kit import enable, send
from tests.sending_kit import add_customers, make_campaign, states


async def context_of(merchant, **provider):
    await enable(merchant, {"from_address": "s@example.com", "providers": [
        {"kind": "smtp", "host": "127.0.0.1", "tls": "none", **provider}]})  # fmt: skip
    installation = merchant.installation
    return await plugin_context(installation.db, installation.registry, "email", merchant.id)


def pacing(context):
    return Pacing(context, context.settings.all_providers()[0])


async def test_two_workers_share_a_pace(merchant, monkeypatch):
    waited = []

    async def sleep(seconds):
        waited.append(round(seconds, 3))

    monkeypatch.setattr(asyncio, "sleep", sleep)
    paces = [{"domains": ["gmail.com", "googlemail.com"], "per_minute": 60}]
    context = await context_of(merchant, paces=paces)
    one, other = pacing(context), pacing(context)
    for number in range(6):
        await (one, other)[number % 2].wait("a@GMAIL.com" if number % 3 else "b@googlemail.com")
    assert waited == [0, 1, 2, 3, 4, 5]
    with pytest.raises(RetryLater) as caught:
        await one.wait("a@gmail.com")
    assert caught.value.after == timedelta(seconds=6)
    assert not caught.value.tried
    await one.wait("a@example.com")
    merchant.clock.move(timedelta(minutes=1))
    await other.wait("a@gmail.com")
    assert waited[6:] == [0]


async def test_a_warm_up_lets_out_what_its_day_allows(merchant):
    today = merchant.clock().date()
    plan = {"start": today.isoformat(), "days": [70, 200]}
    context = await context_of(merchant, warm_up=plan)
    one, other = pacing(context), pacing(context)
    for worker, count in ((one, 30), (other, 20)):
        for _ in range(count):
            await worker.wait("a@example.com")
    await one.give_back()
    for _ in range(20):
        await other.wait("a@example.com")
    with pytest.raises(RetryLater, match="70 messages may go today") as caught:
        await other.wait("a@example.com")
    assert caught.value.after == timedelta(hours=20)  # the clock stands at 04:00
    assert not caught.value.tried
    merchant.clock.move(timedelta(days=1))
    for _ in range(200):
        await other.wait("a@example.com")
    with pytest.raises(RetryLater):
        await one.wait("a@example.com")
    merchant.clock.move(timedelta(days=1))
    for _ in range(300):
        await one.wait("a@example.com")


async def test_a_campaign_goes_on_the_next_day_and_nobody_loses_a_try(merchant):
    await add_customers(merchant, [f"c{number}@example.com" for number in range(8)])
    today = merchant.clock().date()
    async with smtp_sink() as sink:
        await enable(merchant, {"from_address": "s@example.com", "providers": [{
            "kind": "smtp", "host": "127.0.0.1", "port": sink.port, "tls": "none",
            "warm_up": {"start": today.isoformat(), "days": [3, 100]},
        }]})  # fmt: skip
        campaign_id = await make_campaign(merchant)
        async with merchant.work() as w:
            run_id = await start_campaign(w, merchant.installation.registry, campaign_id)
        await send(merchant, run_id)
        assert len(sink.accepted) == 3
        assert await states(merchant, run_id) == {"sent": 3, "pending": 5}
        async with merchant.read() as session:
            tries = await session.sql.fetchval(
                """SELECT max(attempts) FROM deliveries
                   WHERE merchant_id = $1 AND state = 'pending'""", merchant.id,
            )  # fmt: skip
        assert tries == 0
        merchant.clock.move(timedelta(hours=20, seconds=1))
        await send(merchant, run_id)
        assert await states(merchant, run_id) == {"sent": 8}
        assert len(set(sink.accepted)) == 8


def test_plans_that_cannot_be():
    for provider in ({"warm_up": {"start": "2026-06-15", "days": []}},
                     {"warm_up": {"start": "2026-06-15", "days": [0]}},
                     {"paces": [{"domains": ["GMail.com"], "per_minute": 1}]},
                     {"paces": [{"domains": ["gmail.com"], "per_minute": 0}]}):  # fmt: skip
        with pytest.raises(ValueError):
            EmailSettings.model_validate({"from_address": "s@example.com", "providers": [
                {"kind": "smtp", "host": "x", **provider}]})  # fmt: skip
