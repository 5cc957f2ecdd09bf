"""Addresses that must not be written to. They are never shown: only their hashes are stored."""

import asyncio
from datetime import datetime
from typing import Any

import strawberry

from core.domain.customers.suppressions import (
    IMPORT_LIMIT,
    address_index,
    address_kind,
    suppression_add,
    suppression_remove,
    suppressions_import,
)
from core.schema.context import Info, field, mutation
from core.schema.errors import BAD_REQUEST, RequestError, UserError
from core.schema.pages import After, Connection, First, Listing, page
from core.schema.scalars import Node, global_id, need_id, sought
from core.schema.where import DateTimeFilter, IdColumn, IdFilter, StringFilter
from core.storage.database import Session

HASH_DIGITS = 8
SHOWN_INVALID = 100


@strawberry.type(description="An address that must not be written to on a channel.")
class Suppression(Node):
    channel: str
    shop_id: strawberry.ID | None = strawberry.field(description="Null for all shops.")
    hash_prefix: str = strawberry.field(description="The start of the address's keyed hash.")
    reason: str = strawberry.field(
        description="`unsubscribed` stops marketing, any other reason every message."
    )
    at: datetime


def suppression_of(row: Any) -> Suppression:
    return Suppression(
        id=global_id("Suppression", row["id"]),
        channel=row["channel"],
        shop_id=global_id("Shop", row["shop_id"]) if row["shop_id"] else None,
        hash_prefix=row["address_index"].hex()[:HASH_DIGITS],
        reason=row["reason"],
        at=row["at"],
    )


@strawberry.input
class SuppressionWhere:
    id: strawberry.Maybe[IdFilter]
    channel: strawberry.Maybe[StringFilter]
    shop: strawberry.Maybe[IdFilter]
    reason: strawberry.Maybe[StringFilter]
    at: strawberry.Maybe[DateTimeFilter]
    and_: strawberry.Maybe[list["SuppressionWhere"]] = strawberry.field(name="and", default=None)
    or_: strawberry.Maybe[list["SuppressionWhere"]] = strawberry.field(name="or", default=None)
    not_: strawberry.Maybe["SuppressionWhere"] = strawberry.field(name="not", default=None)


@strawberry.input
class SuppressionAddInput:
    channel: str
    address: str = strawberry.field(description="A phone number or an email address.")
    reason: str
    shop_id: strawberry.ID | None = None


@strawberry.input
class SuppressionRemoveInput:
    reason: str = strawberry.field(description="Why it may be written to again; it is logged.")


@strawberry.input
class SuppressionsImportInput:
    channel: str
    addresses: list[str] = strawberry.field(
        description=f"Phone numbers and email addresses, at most {IMPORT_LIMIT}."
    )
    reason: str
    shop_id: strawberry.ID | None = None


@strawberry.type(description="What became of a list of addresses.")
class SuppressionImportResult:
    added: int
    present: int = strawberry.field(description="On the list before, or twice in it.")
    invalid: int
    invalid_at: list[int] = strawberry.field(
        description="Positions, from 0, of the first 100 that are no address."
    )


@strawberry.type
class SuppressionAddPayload:
    suppression: Suppression | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class SuppressionRemovePayload:
    removed_id: strawberry.ID | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class SuppressionsImportPayload:
    result: SuppressionImportResult | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


SUPPRESSIONS = Listing(
    "suppressions", "suppressions su", "su",
    {"id": IdColumn("Suppression", "su.id"), "channel": "su.channel", "reason": "su.reason",
     "shop": IdColumn("Shop", "su.shop_id"), "at": "su.at"},
    {},
    suppression_of,
)  # fmt: skip


async def suppressions_by_id(session: Session, pks: list[int]) -> dict[int, Suppression]:
    rows = await session.sql.fetch(
        "SELECT * FROM suppressions WHERE merchant_id = $1 AND id = ANY($2)",
        session.merchant_id, pks,
    )  # fmt: skip
    return {row["id"]: suppression_of(row) for row in rows}


@strawberry.type
class SuppressionQueries:
    @field(
        "CUSTOMERS_READ",
        description="The last first. `address` finds the rows of one phone number, with PII_PHONE, "
        "or email, with PII_EMAIL.",
    )
    async def suppressions(
        self,
        info: Info,
        first: First = 20,
        after: After = None,
        where: SuppressionWhere | None = None,
        address: str | None = None,
    ) -> Connection[Suppression]:
        scope = None
        if address is not None:
            context = info.context
            context.need(address_kind(address).permission)
            index = address_index(context.installation.db.keyring, context.merchant_id, address)
            if index is None:
                raise RequestError(BAD_REQUEST, "address is no phone number and no email address")
            scope = ("su.address_index", index)
        return await page(info, SUPPRESSIONS, where, None, first, after, scope)


@strawberry.type
class SuppressionMutations:
    @mutation("CUSTOMERS_WRITE", SuppressionAddPayload)
    async def suppression_add(
        self, info: Info, input: SuppressionAddInput
    ) -> SuppressionAddPayload | None:
        shop = _shop(input.shop_id)
        async with info.context.work() as w:
            pk = await suppression_add(w, input.channel, input.address, input.reason, shop)
            return SuppressionAddPayload(suppression=(await suppressions_by_id(w, [pk]))[pk])

    @mutation("SUPPRESSIONS_REMOVE", SuppressionRemovePayload)
    async def suppression_remove(
        self, info: Info, id: strawberry.ID, input: SuppressionRemoveInput
    ) -> SuppressionRemovePayload | None:
        pk = need_id("Suppression", id)
        async with info.context.work() as w:
            await suppression_remove(w, pk, input.reason)
        return SuppressionRemovePayload(removed_id=id)

    @mutation(
        "CUSTOMERS_IMPORT",
        SuppressionsImportPayload,
        description="Doing it again changes nothing. Addresses that are none are counted only.",
    )
    async def suppressions_import(
        self, info: Info, input: SuppressionsImportInput
    ) -> SuppressionsImportPayload | None:
        shop = _shop(input.shop_id)
        keyring, merchant_id = info.context.installation.db.keyring, info.context.merchant_id

        def indexes() -> list[bytes | None]:
            # one too many is refused below
            addresses = input.addresses[: IMPORT_LIMIT + 1]
            return [address_index(keyring, merchant_id, address) for address in addresses]

        # seconds of work when they are foreign numbers
        found = await asyncio.to_thread(indexes)
        async with info.context.work() as w:
            done = await suppressions_import(w, input.channel, found, input.reason, shop)
        return SuppressionsImportPayload(
            result=SuppressionImportResult(
                added=done.added,
                present=done.present,
                invalid=len(done.invalid_at),
                invalid_at=done.invalid_at[:SHOWN_INVALID],
            )
        )


def _shop(shop_id: strawberry.ID | None) -> int:
    return sought("Shop", shop_id) or 0
