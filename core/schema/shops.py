"""The merchant, its shops and its API tokens."""

from datetime import datetime, timedelta
from enum import Enum
from typing import Any

import orjson
import strawberry

from core.domain.shops.shops import create_shop, update_shop
from core.domain.shops.tokens import create_token, revoke_token, rotate_token
from core.schema.context import ANY_TOKEN, Info, field, mutation
from core.schema.errors import UserError
from core.schema.pages import After, Connection, First, Listing, SortDirection, page
from core.schema.scalars import (
    Node,
    PermissionName,
    changes,
    global_id,
    need_id,
    read_id,
    version_seen,
)
from core.schema.where import IdColumn, IdFilter, StringFilter
from core.storage.database import Session


@strawberry.type(description="The business that uses this server.")
class Merchant(Node):
    name: str
    time_zone: str
    currency: str
    created_at: datetime


@strawberry.type(description="Who the token stands for.")
class Viewer:
    merchant: Merchant
    permissions: list[PermissionName]


@strawberry.type(description="A shop on one platform; its time zone decides what a day is.")
class Shop(Node):
    name: str
    platform: str
    external_id: str | None
    time_zone: str
    currency: str
    version: int
    created_at: datetime


@strawberry.type(description="An API token, without its secret.")
class Token(Node):
    name: str
    permissions: list[PermissionName]
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    created_at: datetime


@strawberry.input
class ShopWhere:
    id: strawberry.Maybe[IdFilter]
    name: strawberry.Maybe[StringFilter]
    platform: strawberry.Maybe[StringFilter]
    external_id: strawberry.Maybe[StringFilter]
    and_: strawberry.Maybe[list["ShopWhere"]] = strawberry.field(name="and", default=None)
    or_: strawberry.Maybe[list["ShopWhere"]] = strawberry.field(name="or", default=None)
    not_: strawberry.Maybe["ShopWhere"] = strawberry.field(name="not", default=None)


@strawberry.enum
class ShopSortField(Enum):
    CREATED_AT = "created_at"
    NAME = "name"


@strawberry.input
class ShopSort:
    field: ShopSortField
    direction: SortDirection = SortDirection.ASC


@strawberry.input
class ShopCreateInput:
    name: str
    platform: str
    external_id: str | None = None
    time_zone: str | None = strawberry.field(default=None, description="The merchant's if absent.")
    currency: str | None = strawberry.field(default=None, description="The merchant's if absent.")


@strawberry.input(description="Absent fields stay as they are.")
class ShopUpdateInput:
    name: strawberry.Maybe[str]
    external_id: strawberry.Maybe[str | None] = strawberry.field(
        default=None, description="Null clears it."
    )
    time_zone: strawberry.Maybe[str]
    currency: strawberry.Maybe[str]
    if_version: int | None = version_seen()


@strawberry.input
class TokenCreateInput:
    name: str
    permissions: list[PermissionName]
    expires_at: datetime | None = None


@strawberry.type
class ShopCreatePayload:
    shop: Shop | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class ShopUpdatePayload:
    shop: Shop | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class TokenCreatePayload:
    token: Token | None = None
    secret: str | None = strawberry.field(
        default=None, description="What to present as Bearer; shown only now."
    )
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.input
class TokenRotateInput:
    overlap_hours: int = strawberry.field(
        default=24, description="For how long the old secret works on: 0 to 720."
    )


@strawberry.type
class TokenRotatePayload:
    token: Token | None = None
    secret: str | None = strawberry.field(
        default=None, description="What to present as Bearer from now on; shown only now."
    )
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class TokenRevokePayload:
    token: Token | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


def shop_of(row: Any) -> Shop:
    return Shop(
        id=global_id("Shop", row["id"]),
        name=row["name"],
        platform=row["platform"],
        external_id=row["external_id"],
        time_zone=row["time_zone"],
        currency=row["currency"],
        version=row["version"],
        created_at=row["created_at"],
    )


def token_of(row: Any) -> Token:
    return Token(
        id=global_id("Token", row["id"]),
        name=row["name"],
        permissions=[PermissionName(name) for name in orjson.loads(row["permissions"])],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        last_used_at=row["last_used_at"],
        created_at=row["created_at"],
    )


SHOPS = Listing(
    "shops", "shops s", "s",
    {"id": IdColumn("Shop", "s.id"), "name": "s.name", "platform": "s.platform",
     "external_id": "s.external_id"},
    {"created_at": "s.created_at", "name": "s.name"},
    shop_of,
)  # fmt: skip


async def shops_by_id(session: Session, pks: list[int]) -> dict[int, Shop]:
    rows = await session.sql.fetch(
        "SELECT * FROM shops WHERE merchant_id = $1 AND id = ANY($2)", session.merchant_id, pks
    )
    return {row["id"]: shop_of(row) for row in rows}


async def tokens_by_id(session: Session, pks: list[int]) -> dict[int, Token]:
    rows = await session.sql.fetch(
        "SELECT * FROM api_tokens WHERE merchant_id = $1 AND id = ANY($2)", session.merchant_id, pks
    )
    return {row["id"]: token_of(row) for row in rows}


async def merchants_by_id(session: Session, pks: list[int]) -> dict[int, Merchant]:
    """The session's own merchant, if it is among those asked for."""
    row = await session.sql.fetchrow("SELECT * FROM merchants WHERE id = $1", session.merchant_id)
    made = Merchant(
        id=global_id("Merchant", row["id"]),
        name=row["name"],
        time_zone=row["time_zone"],
        currency=row["currency"],
        created_at=row["created_at"],
    )
    return {session.merchant_id: made}


async def merchant_of(info: Info) -> Merchant:
    async with info.context.read() as session:
        return (await merchants_by_id(session, [session.merchant_id]))[session.merchant_id]


@strawberry.type
class ShopQueries:
    @field(ANY_TOKEN, description="The token's merchant and permissions.")
    async def viewer(self, info: Info) -> Viewer:
        assert info.context.caller is not None
        permissions = sorted(info.context.caller.permissions)
        return Viewer(
            merchant=await merchant_of(info),
            permissions=[PermissionName(name) for name in permissions],
        )

    @field("SHOPS_READ")
    async def merchant(self, info: Info) -> Merchant:
        return await merchant_of(info)

    @field("SHOPS_READ")
    async def shops(
        self,
        info: Info,
        first: First = 20,
        after: After = None,
        where: ShopWhere | None = None,
        sort: list[ShopSort] | None = None,
    ) -> Connection[Shop]:
        return await page(info, SHOPS, where, sort, first, after)

    @field("SHOPS_READ")
    async def shop(self, info: Info, id: strawberry.ID) -> Shop | None:
        pk = read_id("Shop", id)
        return await info.context.load("shops", pk, shops_by_id) if pk else None

    @field("TOKENS_WRITE", description="All tokens, the newest first; at most 1000.")
    async def tokens(self, info: Info) -> list[Token]:
        async with info.context.read() as session:
            rows = await session.sql.fetch(
                "SELECT * FROM api_tokens WHERE merchant_id = $1 ORDER BY id DESC LIMIT 1000",
                session.merchant_id,
            )
        return [token_of(row) for row in rows]


@strawberry.type
class ShopMutations:
    @mutation("SHOPS_WRITE", ShopCreatePayload)
    async def shop_create(self, info: Info, input: ShopCreateInput) -> ShopCreatePayload | None:
        async with info.context.work() as w:
            pk = await create_shop(
                w, input.name, input.platform, input.external_id, input.time_zone, input.currency
            )
            return ShopCreatePayload(shop=(await shops_by_id(w, [pk]))[pk])

    @mutation("SHOPS_WRITE", ShopUpdatePayload)
    async def shop_update(
        self, info: Info, id: strawberry.ID, input: ShopUpdateInput
    ) -> ShopUpdatePayload | None:
        pk = need_id("Shop", id)
        async with info.context.work() as w:
            await update_shop(w, pk, changes(input), input.if_version)
            return ShopUpdatePayload(shop=(await shops_by_id(w, [pk]))[pk])

    @mutation("TOKENS_WRITE", TokenCreatePayload)
    async def token_create(self, info: Info, input: TokenCreateInput) -> TokenCreatePayload | None:
        context = info.context
        for permission in input.permissions:
            context.need(permission)  # nobody gives away what they do not have
        async with context.work() as w:
            pk, secret = await create_token(
                w, context.installation.registry, input.name, input.permissions, input.expires_at
            )
            return TokenCreatePayload(token=(await tokens_by_id(w, [pk]))[pk], secret=secret)

    @mutation(
        "TOKENS_WRITE", TokenRotatePayload,
        description="Give a token a new secret. You need all its permissions yourself.",
    )  # fmt: skip
    async def token_rotate(
        self, info: Info, id: strawberry.ID, input: TokenRotateInput
    ) -> TokenRotatePayload | None:
        context, pk = info.context, need_id("Token", id)
        overlap = timedelta(hours=input.overlap_hours)
        async with context.work() as w:
            secret = await rotate_token(w, pk, overlap, context.need)
            return TokenRotatePayload(token=(await tokens_by_id(w, [pk]))[pk], secret=secret)

    @mutation("TOKENS_WRITE", TokenRevokePayload)
    async def token_revoke(self, info: Info, id: strawberry.ID) -> TokenRevokePayload | None:
        pk = need_id("Token", id)
        async with info.context.work() as w:
            await revoke_token(w, pk)
            return TokenRevokePayload(token=(await tokens_by_id(w, [pk]))[pk])
