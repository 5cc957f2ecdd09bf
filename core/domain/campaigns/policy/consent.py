"""Who may be written to: one rule for the audience's freezing, its preview and each sending."""

from core.domain.campaigns.policy.addresses import Address
from core.domain.customers.consent import EVERY_CHANNEL, for_shop, status_sql
from core.domain.customers.suppressions import UNSUBSCRIBED
from core.sdk.channels import MessageClass

PERSONAL = ("province", "city")

BLACKLISTED = """c.id IN (SELECT b.customer_id FROM platform_members b
    WHERE b.merchant_id = $1 AND b.blacklisted AND b.customer_id IS NOT NULL)"""
"""Whether the seller has put customer `c` on a platform's blacklist.

Few are on it: it is read once, however many customers are asked about."""


def skip_reason_sql(
    address: Address, message_class: MessageClass, channel: str, shop: str | None
) -> str:
    """An SQL expression about customer `c`: why not to write to it, or NULL.

    `channel` and `shop` are placeholders of the channel's name and the shop's number, None when
    the message is for all shops; "$1" is the merchant. A missing row `c` has no address. Marketing
    needs consent, and does not go to whom the seller has blacklisted on a platform; a service
    message must only not be refused, and reaches who unsubscribed from marketing.
    """
    if not address.costly:
        return _reason(address, message_class, channel, shop)
    once = Address("asked.index", address.missing)
    return f"""(SELECT {_reason(once, message_class, channel, shop)}
        FROM (SELECT {address.index} AS index OFFSET 0) asked)"""


def _reason(address: Address, message_class: MessageClass, channel: str, shop: str | None) -> str:
    index, missing = address.index, address.missing
    suppressed = f"""EXISTS (SELECT 1 FROM suppressions su WHERE su.merchant_id = c.merchant_id
        AND su.channel = {channel} AND su.address_index = {index}
        AND {for_shop("su.shop_id", shop)}"""
    if message_class == "service":
        return f"""CASE WHEN {index} IS NULL THEN {missing}
            WHEN {status_sql(shop, channel, "service")} = 'denied' THEN 'opted_out'
            WHEN {suppressed} AND su.reason <> '{UNSUBSCRIBED}') THEN 'suppressed' END"""
    # OFFSET 0 keeps the status from being asked for once for each WHEN
    return f"""CASE WHEN {index} IS NULL THEN {missing} ELSE (
        SELECT CASE WHEN said.status = 'denied' THEN 'opted_out'
            WHEN {suppressed}) THEN 'suppressed'
            WHEN {BLACKLISTED} THEN 'blacklisted'
            WHEN said.status = 'granted' THEN NULL
            WHEN said.status IS NULL THEN 'no_consent'
            WHEN NOT {unproven_allowed_sql(channel)} THEN 'unproven' END
        FROM (SELECT {status_sql(shop, channel, "marketing")} AS status OFFSET 0) said) END"""


def unproven_allowed_sql(channel: str) -> str:
    """Whether merchant $1 decided to write to whose consent cannot be proven."""
    return f"""EXISTS (SELECT 1 FROM consent_policies po WHERE po.merchant_id = $1
        AND po.channel = {channel} AND po.valid_to IS NULL AND po.allow_unproven)"""


def personal_columns(message_class: MessageClass, shop: str | None) -> tuple[str, str]:
    """The columns beside the name with which customer `c` is addressed, and a join they need.

    They are NULL in marketing to who refused personalisation.
    """
    if message_class == "service":
        return "c.province, c.city", ""
    said = status_sql(shop, f"'{EVERY_CHANNEL}'", "personalisation")
    columns = ", ".join(f"CASE WHEN p.welcome THEN c.{name} END AS {name}" for name in PERSONAL)
    # OFFSET 0 keeps it from being asked for each column
    join = f"""CROSS JOIN LATERAL (
        SELECT {said} IS DISTINCT FROM 'denied' AS welcome OFFSET 0) p"""
    return columns, join
