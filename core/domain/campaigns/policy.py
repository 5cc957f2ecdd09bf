"""Who may be written to: one rule for the audience's freezing, its preview and each sending."""

from core.sdk.channels import ContactKind, MessageClass

CONTACTS: dict[ContactKind, str] = {"phone": "phone", "email": "email"}

SKIP_REASONS = {
    "no_address": "The customer has no address for this channel.",
    "no_consent": "The customer has not agreed to marketing on this channel.",
    "opted_out": "The customer has refused marketing on this channel.",
    "suppressed": "The address must not be written to.",
    "render_error": "The content could not be filled in for this customer.",
    "cancelled": "The campaign was cancelled before this message was sent.",
}


def skip_reason_sql(contact: ContactKind, message_class: MessageClass, channel: str) -> str:
    """An SQL expression about customer `c`: why not to write to it, or NULL.

    `channel` is the placeholder of the channel's name. A missing row `c` has no address.
    """
    index = f"c.{CONTACTS[contact]}_index"
    consent = f"""(SELECT co.status FROM consents co WHERE co.merchant_id = c.merchant_id
        AND co.customer_id = c.id AND co.channel = {channel} AND co.purpose = 'marketing')"""
    suppressed = f"""EXISTS (SELECT 1 FROM suppressions su WHERE su.merchant_id = c.merchant_id
        AND su.channel = {channel} AND su.address_index = {index})"""
    if message_class == "service":
        return f"""CASE WHEN {index} IS NULL THEN 'no_address'
            WHEN {suppressed} THEN 'suppressed' END"""
    return f"""CASE WHEN {index} IS NULL THEN 'no_address'
        WHEN {consent} = 'denied' THEN 'opted_out'
        WHEN {suppressed} THEN 'suppressed'
        WHEN {consent} IS DISTINCT FROM 'granted' THEN 'no_consent' END"""
