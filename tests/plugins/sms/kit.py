"""A merchant with SMS switched on, people with numbers, and campaigns of texts to them."""

from dataclasses import replace
from datetime import timedelta

from core.domain.campaigns.campaigns import create_flow_campaign
from core.domain.campaigns.control import start_campaign
from core.domain.campaigns.flows import parse_flow
from core.domain.campaigns.links import message_key
from core.domain.segments.segments import create_segment
from core.domain.shops.plugins import enable_plugin, plugin_context
from core.sdk import WebRequest
from tests.provider_kit import rows, send
from tests.sending_kit import ALL

__all__ = ["rows", "send"]

MINUTE = timedelta(minutes=1)
ALIYUN = {"kind": "aliyun", "access_key_id": "testAK", "access_key_secret": "testSK"}
TEXT = "亲爱的{{ customer.name }}，好久不见，拒收请回复R"
TEMPLATE = "亲爱的${name}，好久不见，拒收请回复R"


def phones(count, start=13800138000):
    return [f"+86{start + number}" for number in range(count)]


async def enable_sms(merchant, *providers, checked=True, **more):
    installation = merchant.installation
    registry = installation.registry
    if not checked:
        registry = replace(registry, settings_checks={})
    settings = {"providers": list(providers), "signature": "小店", **more}
    await enable_plugin(installation.db, merchant.id, registry, "sms", settings)


async def add_people(merchant, numbers, consent=True):
    """Customers with these numbers; returns their ids."""
    keyring = merchant.installation.db.keyring
    async with merchant.work() as w:
        ids = [
            row["id"]
            for row in await w.sql.fetch(
                """INSERT INTO customers (merchant_id, name, version, created_at, updated_at)
                   SELECT $1, '客户' || n, 1, $3, $3 FROM generate_series(1, $2) n RETURNING id""",
                merchant.id, len(numbers), w.now,
            )
        ]  # fmt: skip
        await w.sql.execute(
            """UPDATE customers c SET phone_sealed = x.sealed, phone_index = x.idx
               FROM unnest($2::bigint[], $3::bytea[], $4::bytea[]) x (id, sealed, idx)
               WHERE c.merchant_id = $1 AND c.id = x.id""",
            merchant.id, ids,
            [keyring.seal(number, f"customers.phone|{merchant.id}|{one}")
             for one, number in zip(ids, numbers, strict=True)],
            [keyring.blind_index("phone", merchant.id, number) for number in numbers],
        )  # fmt: skip
        if consent:
            await w.sql.execute(
                """INSERT INTO consents (merchant_id, customer_id, channel, purpose, status, at)
                   SELECT $1, x, 'sms', 'marketing', 'granted', $3 FROM unnest($2::bigint[]) x""",
                merchant.id, ids, w.now,
            )  # fmt: skip
    return ids


async def texting(merchant, text=TEXT, message_class="marketing", name="sms", shop_id=None):
    """The run of a campaign with this text to everybody."""
    registry = merchant.installation.registry
    async with merchant.work() as w:
        segment_id = await create_segment(w, registry, f"segment of {name}", ALL)
        flow = parse_flow({
            "trigger": {"kind": "audience", "segment_id": segment_id},
            "steps": [{"kind": "send", "key": "message", "channel": "sms",
                       "message_class": message_class, "variants": [{"content": {"text": text}}]}],
        })  # fmt: skip
        campaign_id = await create_flow_campaign(w, registry, name=name, flow=flow, shop_id=shop_id)
        return await start_campaign(w, registry, campaign_id)


async def context_of(merchant):
    installation = merchant.installation
    return await plugin_context(installation.db, installation.registry, "sms", merchant.id)


async def tick(merchant, name):
    """Run a tick of the plugin's now."""
    await merchant.installation.registry.ticks[name].value.run(await context_of(merchant))


async def push(merchant, route, body, headers=None, query=(), url="https://crm.example/hooks/x"):
    """What the plugin answers to a push."""
    handle = merchant.installation.registry.web_routes[route].value.handle
    request = WebRequest("POST", url, list(query), headers or {}, body)
    return await handle(await context_of(merchant), request)


def key_of(merchant, row):
    return message_key(merchant.installation.db.keyring, merchant.id, row["id"])


async def pause_reason(merchant, run_id):
    async with merchant.read() as session:
        return await session.sql.fetchval(
            "SELECT pause_reason FROM campaign_runs WHERE merchant_id = $1 AND id = $2",
            merchant.id, run_id,
        )  # fmt: skip
