"""Where messages to customer `c` go: a phone number, an email address, or an id on a platform.

An id is that of the order's buyer in the order's shop where the message is about an order, else the
one in the shop of the customer's latest purchase on the platform. Ids are stored as they are, and
the index by which suppressions know them is made in the statement itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from core.domain.customers.suppressions import identity_index_sql
from core.sdk.channels import Channel, ContactKind, IdentityChannel, order_only

Arg = Callable[[Any, str], str]
"""Makes a placeholder of a value and its type."""

SEALED_CONTACTS: dict[ContactKind, str] = {"phone": "phone", "email": "email"}
"""The contacts that customers have in sealed columns, `{}_sealed` and `{}_index`."""

NO_ORDER = "NULL::bigint"


@dataclass(frozen=True)
class Address:
    """SQL of a customer's address: its index, NULL where there is none, and the reason then.

    With `costly` the index is not to be computed for each mention.
    """

    index: str
    missing: str = "'no_address'"
    costly: bool = False


def contact_address(contact: ContactKind) -> Address:
    """The address of a sealed contact."""
    return Address(f"c.{SEALED_CONTACTS[contact]}_index")


def address_of(
    channel: Channel, arg: Arg, shop: str | None, order: str = NO_ORDER, found: str | None = None
) -> Address:
    """The address that a channel uses.

    `shop` and `order` are SQL of the shop in whose name the message is, None for all, and of the
    order that it is about. `found` is SQL of what `identity_sql` found, if it was asked already.
    """
    if channel.contact in SEALED_CONTACTS:
        return contact_address(channel.contact)
    value = found or identity_sql(channel, arg, shop, order)
    kind = arg(identity_of(channel).identity_kind, "text")
    index = identity_index_sql("x.found[1]", kind, "x.found[2]")
    missing = "'no_identity'"
    if order_only(channel):
        missing = f"CASE WHEN {order} IS NULL THEN 'no_order' ELSE {missing} END"
    return Address(f"(SELECT {index} FROM (SELECT {value} AS found OFFSET 0) x)", missing, True)


def identity_of(channel: Channel) -> IdentityChannel:
    """The channel, which writes to ids of a platform."""
    if not isinstance(channel, IdentityChannel):
        raise TypeError(f"channel {channel.name} needs the attributes platform and identity_kind")
    return channel


def identity_sql(channel: Channel, arg: Arg, shop: str | None, order: str = NO_ORDER) -> str:
    """SQL of the shop and the value of the id to write to, an array of two texts, or NULL."""
    identity = identity_of(channel)
    kind, platform = arg(identity.identity_kind, "text"), arg(identity.platform, "text")
    where, join, first = [], "", ""
    if order != NO_ORDER:
        join = f"LEFT JOIN orders po ON po.merchant_id = $1 AND po.id = {order}"
        where.append("(po.id IS NULL OR pi.scope_id = po.shop_id)")
        first = "pi.value = po.buyer_id DESC NULLS LAST,"
    if order_only(channel):
        where.append(f"{order} IS NOT NULL")
    if shop is not None:
        where.append(f"pi.scope_id = {shop}")
    return f"""(SELECT ARRAY[pi.scope_id::text, pi.value]
        FROM customer_identities pi
        JOIN shops ps ON ps.merchant_id = $1 AND ps.id = pi.scope_id AND ps.platform = {platform}
        {join}
        WHERE pi.merchant_id = $1 AND pi.customer_id = c.id AND pi.scope = 'shop'
          AND pi.kind = {kind} {"".join(f" AND {one}" for one in where)}
        ORDER BY {first} (SELECT max(pf.last_purchase_at) FROM customer_facts pf
            WHERE pf.merchant_id = $1 AND pf.customer_id = c.id AND pf.shop_id = pi.scope_id)
            DESC NULLS LAST, pi.id DESC LIMIT 1)"""


@dataclass(frozen=True)
class AddressColumns:
    """What a statement reads of an address to write to: columns and a join.

    The columns are `sealed` and `found` (shop and value of an id), one of which is NULL, and for
    ids `order_number` and `tracking_number` of what the message is about.
    """

    columns: str
    join: str
    address: Address


READ = "sealed, found, order_number, tracking_number"
"""The names of AddressColumns' columns."""


def address_columns(
    channel: Channel, arg: Arg, shop: str | None, order: str, parcel: str
) -> AddressColumns:
    """The columns of a channel's address of customer `c`; its other parameters as `address_of`."""
    if channel.contact in SEALED_CONTACTS:
        sealed = f"c.{SEALED_CONTACTS[channel.contact]}_sealed"
        return AddressColumns(
            f"{sealed} AS sealed, NULL::text[] AS found, NULL::text AS order_number, "
            "NULL::text AS tracking_number", "", contact_address(channel.contact),
        )  # fmt: skip
    join = f"""LEFT JOIN LATERAL (
            SELECT {identity_sql(channel, arg, shop, order)} AS found OFFSET 0) ad ON TRUE
        LEFT JOIN orders ao ON ao.merchant_id = $1 AND ao.id = {order}
        LEFT JOIN parcels ap ON ap.merchant_id = $1 AND ap.id = {parcel}"""
    columns = """NULL::bytea AS sealed, ad.found, ao.external_id AS order_number,
        ap.tracking_number"""
    return AddressColumns(columns, join, address_of(channel, arg, shop, order, "ad.found"))
