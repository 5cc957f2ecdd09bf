"""Messages that were really sent, and what became of them and their addresses."""

from dataclasses import dataclass, replace

from core.domain.campaigns.control import start_campaign
from core.domain.campaigns.links import message_key
from core.domain.campaigns.sending import send_run
from core.domain.customers.suppressions import address_index
from core.domain.shops.plugins import enable_plugin
from core.testing.smtp import smtp_sink
from tests.sending_kit import add_customers, enable_email, make_campaign

URL = "https://crm.example"


@dataclass
class Sent:
    """A message that a customer got."""

    address: str
    customer_id: int
    delivery_id: int
    key: str


async def enable(merchant, settings):
    """Switch the plugin on without trying the settings."""
    installation = merchant.installation
    registry = replace(installation.registry, settings_checks={})
    await enable_plugin(installation.db, merchant.id, registry, "email", settings)


async def campaign_run(merchant, name="campaign"):
    registry = merchant.installation.registry
    campaign_id = await make_campaign(merchant, name=name)
    async with merchant.work() as w:
        return await start_campaign(w, registry, campaign_id)


async def send(merchant, run_id):
    installation = merchant.installation
    await send_run(installation.db, installation.registry, merchant.id, run_id, URL)


async def send_all(merchant, names, **settings):
    """A campaign to new customers of these names; what was sent, in their order."""
    addresses = [f"{name}@example.com" for name in names]
    async with smtp_sink() as sink:
        return await send_by(merchant, sink.port, addresses, **settings), sink


async def send_by(merchant, port, addresses, **settings):
    """The same by the SMTP server at a port."""
    await add_customers(merchant, addresses)
    await enable_email(merchant, port, **settings)
    run_id = await campaign_run(merchant, f"to {addresses}"[:100])
    await send(merchant, run_id)
    by_address = {one.address: one for one in await sent_of(merchant, run_id)}
    return [by_address[address] for address in addresses]


async def sent_of(merchant, run_id):
    keyring = merchant.installation.db.keyring
    async with merchant.read() as session:
        rows = await session.sql.fetch(
            """SELECT d.id, d.customer_id, c.email_sealed FROM deliveries d
               JOIN customers c ON c.merchant_id = $1 AND c.id = d.customer_id
               WHERE d.merchant_id = $1 AND d.run_id = $2""",
            merchant.id, run_id,
        )  # fmt: skip
    place = f"customers.email|{merchant.id}"
    return [
        Sent(
            keyring.open(row["email_sealed"], f"{place}|{row['customer_id']}"),
            row["customer_id"], row["id"], message_key(keyring, merchant.id, row["id"]),
        )
        for row in rows
    ]  # fmt: skip


async def fate(merchant, sent):
    """(state, receipt, reason of the suppression) of a message and its address."""
    index = address_index(merchant.installation.db.keyring, merchant.id, sent.address)
    async with merchant.read() as session:
        row = await session.sql.fetchrow(
            """SELECT d.state, d.receipt, (SELECT s.reason FROM suppressions s
                   WHERE s.merchant_id = $1 AND s.channel = 'email' AND s.address_index = $3)
                   AS reason
               FROM deliveries d WHERE d.merchant_id = $1 AND d.id = $2""",
            merchant.id, sent.delivery_id, index,
        )  # fmt: skip
    return tuple(row)
