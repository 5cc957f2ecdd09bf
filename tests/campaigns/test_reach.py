"""How many of a rule's customers a marketing message would reach: the rule of a campaign."""

from dataclasses import replace

from core.domain.campaigns.preview import preview_campaign
from core.domain.campaigns.reach import count_reach, reach_of
from core.domain.customers.consent import set_consent
from core.domain.customers.suppressions import suppress
from core.domain.segments.rules import read_rule
from core.domain.shops.plugins import disable_plugin
from core.registry import Owned
from core.testing.smtp import smtp_sink
from tests.sending_kit import add_customers, enable_email, make_campaign

EVERYBODY = {"version": 1, "rule": {"all": []}}


async def reach(merchant, registry=None, node=EVERYBODY):
    registry = registry or merchant.installation.registry
    async with merchant.read() as session:
        rule = await read_rule(session, registry, node)
        return reach_of(registry, await count_reach(session, registry, rule, None))


async def test_reach_is_what_a_campaign_would_do(merchant):
    async with smtp_sink() as sink:
        await enable_email(merchant, sink.port)
    ids = await add_customers(merchant, [f"r{n}@example.com" for n in range(9)] + [None])
    async with merchant.work() as w:
        await set_consent(w, ids[0], "email", "marketing", "denied", "test")
        await set_consent(w, ids[1], "email", "marketing", "unproven", "test")
        index = await w.sql.fetchval(
            "SELECT email_index FROM customers WHERE merchant_id = $1 AND id = $2",
            w.merchant_id, ids[2],
        )  # fmt: skip
        await suppress(w, "email", index, "complaint")
    campaign = await make_campaign(merchant)
    async with merchant.read() as session:
        wanted = await preview_campaign(session, merchant.installation.registry, campaign, 0)
    found = await by_email(merchant)
    assert (found.reached, found.skipped) == (wanted.would_send, wanted.skipped)
    assert len(found.skipped) == 4
    nobody = await by_email(merchant, node={"version": 1, "rule": {"any": []}})
    assert (nobody.reached, nobody.skipped) == (0, {})


async def by_email(merchant, **more):
    (found,) = [one for one in await reach(merchant, **more) if one.channel.name == "email"]
    return found


class Sms:
    name, title, contact, fields, concurrency = "sms", "SMS", "phone", (), 1


async def test_each_channel_that_is_on_is_counted(merchant):
    async with smtp_sink() as sink:
        await enable_email(merchant, sink.port)
    ids = await add_customers(merchant, [f"r{n}@example.com" for n in range(3)])
    registry = merchant.installation.registry
    two = replace(registry, channels={**registry.channels, "sms": Owned("taobao", Sms())})
    found = {one.channel.name: one for one in await reach(merchant, two)}
    assert found["email"].reached == len(ids)
    assert (found["sms"].reached, found["sms"].skipped) == (0, {"no_address": len(ids)})
    async with merchant.work() as w:
        await disable_plugin(w, registry, "email")
    still = {one.channel.name for one in await reach(merchant, two)}
    assert still == {"aliexpress_message", "sms", "taobao_sms"}
    async with merchant.work() as w:
        await disable_plugin(w, registry, "taobao")
    assert {one.channel.name for one in await reach(merchant, two)} == {"aliexpress_message"}
