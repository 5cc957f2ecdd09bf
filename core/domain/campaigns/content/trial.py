"""A message sent as a test to the merchant's own staff, outside the ledger, figures and caps."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from core.domain.campaigns.campaigns import get_campaign
from core.domain.campaigns.flows import campaign_channel, stored_flow
from core.domain.campaigns.links import preferences_url, trial_key, unsubscribe_url
from core.domain.campaigns.preview import About, check_about, chosen_message, preview_message
from core.domain.customers.contacts import normalise_email, normalise_phone
from core.domain.customers.suppressions import identity_index
from core.domain.shops.plugins import plugin_context, plugin_settings
from core.guard import PluginFailed, closed, guarded
from core.registry import Registry
from core.sdk.channels import (
    Channel,
    IdentityChannel,
    MessageClass,
    OutgoingMessage,
    opening,
    order_only,
)
from core.sdk.errors import Faults, HuikeError, InvalidInput, OutsideError, Unknown
from core.storage.database import Database, Work

OPERATION = "campaignTestSend"
PER_HOUR = 30
PREFIX = "[测试] "
PATH = ("input", "to")
NOBODY = 0
"""The customer whom a test's links name: they work, and change nothing for anybody."""


class TooManyTests(HuikeError):
    """A merchant sends more tests than staff can read."""

    code: ClassVar[str] = "TOO_MANY_TESTS"
    cause: ClassVar[str] = f"More than {PER_HOUR} messages were sent as tests within an hour."
    cure: ClassVar[str] = "Wait a while; a segment of your own staff takes any number of messages."
    retryable: ClassVar[bool] = True


@dataclass(frozen=True)
class Trial:
    """A test that may be sent: everything was checked and recorded."""

    merchant_id: int
    channel: Channel
    message: OutgoingMessage


async def prepare_trial(
    w: Work,
    registry: Registry,
    campaign_id: int,
    step: str | None,
    variant: int,
    to: str,
    about: About,
    key: str,
    base_url: str,
    show_name: Callable[[str], str] = str,
) -> Trial:
    """Make the message, and record in the audit log that it is sent.

    Raises NotFound, InvalidInput, Several, PluginDisabled, TooManyTests.
    """
    row, faults = await get_campaign(w, campaign_id), Faults()
    with faults:
        await check_about(w, about)
    with faults:
        send = chosen_message(stored_flow(row["flow"]), step, variant)
        channel = campaign_channel(registry, send.channel)
        await plugin_settings(w, registry, registry.channels[channel.name].plugin)
        shop_id, number = None, None
        if isinstance(channel, IdentityChannel):
            address, shop_id, number = await _platform_address(w, channel, to, about)
        else:
            address = await _address(w, channel, to)
    faults.tell()
    await _check_rate(w)
    leave = unsubscribe_url(w.keyring, base_url, w.merchant_id, NOBODY, channel.name)
    made = await preview_message(
        w, registry, send, variant, row["shop_id"], about, show_name,
        (leave, preferences_url(w.keyring, base_url, w.merchant_id, NOBODY)),
    )  # fmt: skip
    if made.error is not None:
        raise InvalidInput(made.error, ("input", "customerId"))
    first = next(iter(made.content))
    content = made.content | {first: PREFIX + made.content[first]}
    w.audit("campaign.tested", {
        "campaign": campaign_id, "step": send.key, "variant": variant,
        "customer": about.customer_id,
    })  # fmt: skip
    message = OutgoingMessage(
        trial_key(w.keyring, w.merchant_id, key), address, content, send.message_class,
        leave if send.message_class == "marketing" else None, shop_id=shop_id or row["shop_id"],
        order_external_id=number,
    )  # fmt: skip
    return Trial(w.merchant_id, channel, message)


async def plain_trial(
    w: Work,
    registry: Registry,
    channel_name: str,
    to: str,
    content: Mapping[str, str],
    message_class: MessageClass,
    shop_id: int | None,
    key: str,
    base_url: str,
) -> Trial:
    """A test of a channel itself, with this content just as it is, recorded as one.

    Raises InvalidInput, NotFound, PluginDisabled.
    """
    channel = campaign_channel(registry, channel_name)
    await plugin_settings(w, registry, registry.channels[channel.name].plugin)
    address = await _address(w, channel, to)
    known = [part.name for part in channel.fields]
    for part in channel.fields:
        if part.required and not content.get(part.name):
            raise InvalidInput(f"the channel needs {part.name}", ("input", part.name))
    for name in content:
        if name not in known:
            raise InvalidInput(f"the channel has no {name}, but: {', '.join(known)}", ("input",))
    w.audit("channel.tested", {"channel": channel.name})
    leave = unsubscribe_url(w.keyring, base_url, w.merchant_id, NOBODY, channel.name)
    message = OutgoingMessage(
        trial_key(w.keyring, w.merchant_id, key), address,
        {name: content.get(name, "") for name in known}, message_class,
        leave if message_class == "marketing" else None, shop_id=shop_id,
    )  # fmt: skip
    return Trial(w.merchant_id, channel, message)


async def send_trial(db: Database, registry: Registry, trial: Trial) -> tuple[str, str | None]:
    """Hand the message over; returns (sent, failed or unknown, what the channel said)."""
    channel, merchant_id = trial.channel, trial.merchant_id
    plugin = registry.channels[channel.name].plugin
    timeout = registry.manifests[plugin].timeout
    manager = opening(channel, await plugin_context(db, registry, plugin, merchant_id))
    try:
        opened = await guarded(plugin, merchant_id, timeout, manager.__aenter__())
    except (OutsideError, PluginFailed) as error:
        return "failed", str(error)
    try:
        await guarded(plugin, merchant_id, timeout, opened.send(trial.message))
    except (Unknown, PluginFailed) as error:
        return "unknown", str(error)
    except OutsideError as error:
        return "failed", str(error)
    finally:
        await closed(plugin, manager, timeout)
    return "sent", None


async def _address(w: Work, channel: Channel, to: str) -> str:
    read = normalise_phone if channel.contact == "phone" else normalise_email
    address = read(to)
    if address is None:
        raise InvalidInput(f"this is no {channel.contact} address", PATH)
    await _check_suppressed(
        w, channel, w.keyring.blind_index(channel.contact, w.merchant_id, address)
    )
    return address


async def _platform_address(
    w: Work, channel: IdentityChannel, to: str, about: About
) -> tuple[str, int, str | None]:
    """The id, its shop, and the number of the order that the test is about, if any."""
    row = await w.sql.fetchrow(
        """SELECT i.value, i.scope_id, o.external_id FROM customer_identities i
           JOIN shops s ON s.merchant_id = $1 AND s.id = i.scope_id AND s.platform = $2
           LEFT JOIN orders o ON o.merchant_id = $1 AND o.id = $5 AND o.shop_id = s.id
           WHERE i.merchant_id = $1 AND i.scope = 'shop' AND i.kind = $3 AND i.value = $4
           ORDER BY o.id, i.id LIMIT 1""",
        w.merchant_id, channel.platform, channel.identity_kind, to.strip(), about.order_id,
    )  # fmt: skip
    if row is None:
        raise InvalidInput(
            f"no buyer is known on {channel.platform} by this {channel.identity_kind}: name one "
            "of yours, such as your own account's after a test order", PATH,
        )  # fmt: skip
    if row["external_id"] is None and order_only(channel):
        raise InvalidInput("the channel can only write about an order of the shop: name one", PATH)
    index = identity_index(w.merchant_id, row["scope_id"], channel.identity_kind, row["value"])
    await _check_suppressed(w, channel, index)
    return row["value"], row["scope_id"], row["external_id"]


async def _check_suppressed(w: Work, channel: Channel, index: bytes) -> None:
    if await w.sql.fetchval(
        """SELECT EXISTS (SELECT 1 FROM suppressions WHERE merchant_id = $1 AND channel = $2
               AND address_index = $3)""",
        w.merchant_id, channel.name, index,
    ):  # fmt: skip
        raise InvalidInput("the address is on the list of those not to be written to", PATH)


async def _check_rate(w: Work) -> None:
    """Each test has an idempotency key of its own; this one's is stored already."""
    sent = await w.sql.fetchval(
        """SELECT count(*) FROM idempotency_keys
           WHERE merchant_id = $1 AND operation = $2 AND created_at > $3""",
        w.merchant_id, OPERATION, w.now - timedelta(hours=1),
    )  # fmt: skip
    if sent > PER_HOUR:
        raise TooManyTests(f"{PER_HOUR} tests were sent within an hour", ("input",))
