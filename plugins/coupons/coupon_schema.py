"""The GraphQL fields that show single coupons and what happened to them."""

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Annotated, Any

import strawberry

from core.schema.context import Info
from core.schema.scalars import Money, Node, global_id, money
from core.sdk import NodeType, SchemaField
from plugins.coupons.codes import normal
from plugins.coupons.shapes import COUPON, TEMPLATE

MAX_SHOWN = 200
ROWS = """SELECT l.*, t.name, t.currency, COALESCE(l.shown, l.code, t.public_code) AS text"""
TEMPLATES = "JOIN coupons_templates t ON t.merchant_id = $1 AND t.id = l.template_id"


@strawberry.enum(description="How far a coupon is.")
class CouponState(Enum):
    STOCK = strawberry.enum_value(
        "stock", description="A code that nobody has: imported for a pool, or made for print."
    )
    HELD = strawberry.enum_value("held", description="Printed for a parcel that is not packed yet.")
    GRANTED = strawberry.enum_value("granted", description="A customer's, and not used yet.")
    RESERVED = strawberry.enum_value("reserved", description="Held for an order being paid.")
    REDEEMED = strawberry.enum_value("redeemed", description="Used for an order.")
    EXPIRED = strawberry.enum_value("expired", description="Not used in time.")
    REVOKED = strawberry.enum_value("revoked", description="Taken out of use.")


@strawberry.enum(description="What happened to a coupon.")
class CouponEntryKind(Enum):
    HELD = strawberry.enum_value("held", description="Its code was printed for a parcel.")
    GRANTED = strawberry.enum_value("granted", description="A customer got it.")
    CLAIMED = strawberry.enum_value("claimed", description="A customer took it.")
    RESERVED = strawberry.enum_value("reserved", description="It was held for an order.")
    REDEEMED = strawberry.enum_value("redeemed", description="It was used for an order.")
    RELEASED = strawberry.enum_value("released", description="Its order gave it back.")
    RETURNED = strawberry.enum_value(
        "returned", description="Its message was not sent, or its parcel not packed."
    )
    TRANSFERRED = strawberry.enum_value("transferred", description="It was given away.")
    EXPIRED = strawberry.enum_value("expired", description="It was not used in time.")
    REVOKED = strawberry.enum_value("revoked", description="It was taken out of use.")
    UNKNOWN = strawberry.enum_value(
        "unknown", description="The platform did not say whether it has given it."
    )


@strawberry.type(description="Something that happened to a coupon.")
class CouponEntry:
    at: datetime = strawberry.field(description="When.")
    kind: CouponEntryKind = strawberry.field(description="What happened.")
    amount: Money | None = strawberry.field(description="What it took off, or gave back.")
    order: str | None = strawberry.field(description="The number of the order, if it has one.")
    reason: str | None = strawberry.field(
        description='Why or by which way, such as "journey", "grant", or a revocation\'s reason.'
    )
    actor: str = strawberry.field(description="Who did it: a token, a person, or the system.")


async def _entries_by_coupon(session: Any, pks: list[int]) -> dict[int, list[CouponEntry]]:
    rows = await session.sql.fetch(
        """SELECT e.*, t.currency FROM coupons_entries e
           JOIN coupons_templates t ON t.merchant_id = $1 AND t.id = e.template_id
           WHERE e.merchant_id = $1 AND e.coupon_id = ANY($2::bigint[]) ORDER BY e.id""",
        session.merchant_id, pks,
    )  # fmt: skip
    found: dict[int, list[CouponEntry]] = {}
    for row in rows:
        found.setdefault(row["coupon_id"], []).append(CouponEntry(
            at=row["at"], kind=CouponEntryKind(row["kind"]), amount=_amount(row),
            order=_order(row), reason=row["reason"], actor=row["actor"],
        ))  # fmt: skip
    return found


def _entries(self: Any, info: Info) -> list[CouponEntry]:
    return info.context.children("coupon_entries", self.pk, _entries_by_coupon)


@strawberry.type(description="A coupon: a customer's, or a code in stock.")
class Coupon(Node):
    pk: strawberry.Private[int]
    template_id: strawberry.ID = strawberry.field(description="The template that it is of.")
    name: str = strawberry.field(description="The template's name.")
    code: str | None = strawberry.field(description="Null for a coupon of a platform.")
    state: CouponState = strawberry.field(description="How far it is.")
    customer_id: strawberry.ID | None = strawberry.field(
        description="Whose it is; null for a code that whoever has it can use."
    )
    order: str | None = strawberry.field(
        description="The number of the order that it is reserved or was used for."
    )
    granted_at: datetime | None = strawberry.field(description="When the customer got it.")
    expires_at: datetime | None = strawberry.field(description="Null: it does not expire.")
    reserved_until: datetime | None = strawberry.field(
        description="When a reservation lapses, if it is reserved."
    )
    redeemed_at: datetime | None = strawberry.field(description="When it was used.")
    amount: Money | None = strawberry.field(description="What it took off.")

    entries: list[CouponEntry] = strawberry.field(
        resolver=_entries, description="What happened to it, the oldest first."
    )


async def coupon_by_code(
    info: Info,
    code: Annotated[str, strawberry.argument(
        description="Upper and lower case, spaces and hyphens do not count.")],
) -> Coupon | None:  # fmt: skip
    async with info.context.read() as session:
        row = await session.sql.fetchrow(
            f"""{ROWS} FROM coupons_coupons l {TEMPLATES}
                WHERE l.merchant_id = $1 AND l.code = $2""",
            session.merchant_id, normal(code),
        )  # fmt: skip
    return None if row is None else _coupon(row)


async def coupons_of(self: Any, info: Info) -> list[Coupon] | None:
    found = await info.context.load("coupons", int(self.row["id"]), _coupons_by_customer)
    return found or []


async def _coupons_by_customer(session: Any, pks: list[int]) -> dict[int, list[Coupon]]:
    rows = await session.sql.fetch(
        f"""{ROWS} FROM unnest($2::bigint[]) u (id)
            CROSS JOIN LATERAL (SELECT * FROM coupons_coupons
                WHERE merchant_id = $1 AND customer_id = u.id ORDER BY id DESC LIMIT $3) l
            {TEMPLATES} ORDER BY l.id DESC""",
        session.merchant_id, pks, MAX_SHOWN,
    )  # fmt: skip
    found: dict[int, list[Coupon]] = {}
    for row in rows:
        found.setdefault(row["customer_id"], []).append(_coupon(row))
    return found


async def _coupons_by_id(info: Info, session: Any, pks: list[int]) -> dict[int, Coupon]:
    rows = await session.sql.fetch(
        f"""{ROWS} FROM coupons_coupons l {TEMPLATES}
            WHERE l.merchant_id = $1 AND l.id = ANY($2::bigint[])""",
        session.merchant_id, pks,
    )  # fmt: skip
    return {row["id"]: _coupon(row) for row in rows}


COUPON_NODE = NodeType(COUPON, Coupon, "COUPONS_READ", _coupons_by_id)


def _coupon(row: Mapping[str, Any]) -> Coupon:
    person = row["customer_id"]
    return Coupon(
        pk=row["id"], id=global_id(COUPON, row["id"]),
        template_id=global_id(TEMPLATE, row["template_id"]), name=row["name"], code=row["text"],
        state=CouponState(row["state"]),
        customer_id=None if person is None else global_id("Customer", person),
        order=_order(row), granted_at=row["granted_at"], expires_at=row["expires_at"],
        reserved_until=row["reserved_until"], redeemed_at=row["redeemed_at"], amount=_amount(row),
    )  # fmt: skip


def _amount(row: Mapping[str, Any]) -> Money | None:
    return None if row["amount"] is None else money(row["amount"], row["currency"])


def _order(row: Mapping[str, Any]) -> str | None:
    """The order's number without the shop that tells it apart from others."""
    return None if row["order_ref"] is None else str(row["order_ref"]).partition(":")[2]


COUPON_FIELDS = [
    SchemaField("Query", "couponsCoupon", strawberry.field(
        resolver=coupon_by_code,
        description="The coupon of a code of its own; null: there is none.",
    ), "COUPONS_READ", "0.1"),
    SchemaField("Customer", "coupons", strawberry.field(
        resolver=coupons_of, description="The customer's coupons, the newest first, up to 200.",
    ), "COUPONS_READ", "0.1", cost=1),
]  # fmt: skip
