"""Shops and their platforms: connecting, the state of what flows in, and what went wrong."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import date, datetime
from enum import Enum
from typing import Any

import strawberry

from core.domain.connections import attempts, calls, counting, dead_letters, opening
from core.domain.connections.connecting import connect_with_token, disconnect, set_paused
from core.domain.connections.inbox import ask_again
from core.domain.connections.report import Following, Past, Report, reports
from core.domain.privacy.shop_erasure import disconnect_and_erase
from core.domain.shops.plugins import enabled_plugins
from core.domain.shops.web_routes import route_url
from core.schema.context import Info, field, mutation, subscription
from core.schema.errors import UserError
from core.schema.jobs import Job, jobs_by_id
from core.schema.scalars import Node, global_id, need_id, sought
from core.schema.shops import Shop, shops_by_id
from core.sdk.connectors import Authorising, Pushed, Resource, Token, Verifying
from core.sdk.errors import InvalidInput, NotFound, PluginDisabled
from core.storage.database import Session

LETTERS = 100
MAX_DAYS = 90


@strawberry.enum(description="Whether a shop's data flows in.")
class ShopSyncState(Enum):
    CONNECTED = "connected"
    EXPIRING = strawberry.enum_value("expiring", description="The token ends within a day.")
    EXPIRED = "expired"
    NEEDS_AUTHORISATION = strawberry.enum_value(
        "needs_authorisation", description="The platform does not accept the token any more."
    )
    REVOKED = strawberry.enum_value(
        "revoked", description="The seller has withdrawn the authorisation."
    )
    PAUSED = "paused"
    DISCONNECTED = "disconnected"


@strawberry.enum(description="What a shop's data consists of.")
class SyncResource(Enum):
    ORDERS = "orders"
    REFUNDS = "refunds"
    PARCELS = "parcels"
    REVIEWS = "reviews"
    MEMBERS = "members"


@strawberry.type(description="A platform whose shops can be connected.")
class ShopPlatform:
    name: str
    title: str
    by_link: bool = strawberry.field(description="Whether `shopConnectStart` works.")
    by_token: bool = strawberry.field(description="Whether `shopConnectWithToken` works.")
    push_url: str | None = strawberry.field(
        description="To be entered at the platform, where it pushes; keep it as a password."
    )


@strawberry.type(description="How far the past of one resource has come in.")
class ShopSyncPast:
    resource: SyncResource
    slices: int = strawberry.field(description="Stretches of time into which it was cut.")
    done: int
    failed: int = strawberry.field(description="Given up; `shopResync` reads a day again.")
    records: int
    ends_at: datetime | None = strawberry.field(description="When it will be done, estimated.")
    problem: str | None = strawberry.field(description="The last, of a stretch that is not done.")


@strawberry.type(description="How far one resource is in step.")
class ShopSyncCursor:
    resource: SyncResource
    cursor_at: datetime = strawberry.field(description="All up to here is stored.")
    lag_seconds: int
    ran_at: datetime | None
    records: int
    problem: str | None
    problem_at: datetime | None


@strawberry.type(description="Calls to the platform against what it allows.")
class ShopSyncCalls:
    scope: str = strawberry.field(description="app, shop:<number> or api:<name>.")
    limit: int | None = strawberry.field(description="Calls allowed in `seconds`.")
    seconds: int | None
    left: int | None = strawberry.field(description="Calls that can be made at once now.")
    used: int = strawberry.field(description="Calls of `day`.")
    day: date
    banned_until: datetime | None


@strawberry.type(description="One day's orders at the platform and here.")
class ShopSyncDay:
    day: date
    theirs: int
    ours: int
    missing: int
    counted_at: datetime


@strawberry.type(description="What a platform told and could not be taken in.")
class DeadLetter(Node):
    shop_id: strawberry.ID
    resource: SyncResource
    external_id: str
    reason: str
    at: datetime
    tries: int
    settled_at: datetime | None = strawberry.field(description="When it was taken in after all.")

    @field("CUSTOMERS_DATA_EXPORT", description="What the platform told, as it came.")
    async def payload(self, info: Info) -> str | None:
        async with info.context.read() as session:
            letter = await dead_letters.letter_of(session, need_id("DeadLetter", self.id))
            return dead_letters.payload_of(session, letter)


@strawberry.type(description="How a shop's data flows in from its platform.")
class ShopSync:
    platform: str
    state: ShopSyncState
    cure: str | None = strawberry.field(description="What to do, if anything is wrong.")
    capabilities: list[str]
    connected_at: datetime
    token_expires_at: datetime | None
    token_renewable_until: datetime | None
    clock_ahead_ms: int = strawberry.field(description="The platform's clock before ours.")
    problem: str | None
    problem_at: datetime | None
    past: list[ShopSyncPast]
    cursors: list[ShopSyncCursor]
    waiting_messages: int = strawberry.field(description="Changes told and not fetched yet.")
    open_dead_letters: int
    pk: strawberry.Private[int]

    @field("SHOPS_READ")
    async def shop(self, info: Info) -> Shop:
        shop: Shop | None = await info.context.load("shops", self.pk, shops_by_id)
        assert shop is not None
        return shop

    @field("SHOPS_READ", description="Of the shop and of the app that it is read by.")
    async def calls(self, info: Info) -> list[ShopSyncCalls]:
        registry = info.context.installation.registry
        async with info.context.read() as session:
            try:
                platform = await opening.platform_of(session, registry, self.platform)
            except (NotFound, PluginDisabled):
                return []
            budgets = platform.connector.budgets
            used = await calls.usage(session, platform.buckets(self.pk), budgets)
        return [
            ShopSyncCalls(
                scope=one.scope,
                limit=one.budget.calls if one.budget else None,
                seconds=round(one.budget.seconds) if one.budget else None,
                left=one.left,
                used=one.used,
                day=one.day,
                banned_until=one.banned_until,
            )
            for one in used
        ]

    @field("SHOPS_READ", description="The last days that were counted, the newest first.")
    async def days(self, info: Info, last: int = 30) -> list[ShopSyncDay]:
        if not 1 <= last <= MAX_DAYS:
            raise InvalidInput(f"last is from 1 to {MAX_DAYS}", ("last",))
        async with info.context.read() as session:
            found = await counting.day_reports(session, self.pk, last)
        return [
            ShopSyncDay(
                day=one.day,
                theirs=one.theirs,
                ours=one.ours,
                missing=one.missing,
                counted_at=one.counted_at,
            )
            for one in found
        ]

    @field("SHOPS_READ", description="The newest first, at most 100; with `open` those not taken.")
    async def dead_letters(self, info: Info, open: bool = True) -> list[DeadLetter]:
        async with info.context.read() as session:
            rows = await dead_letters.letters_of(session, self.pk, LETTERS, settled=not open)
        return [letter_of(row) for row in rows]


@strawberry.input
class ShopConnectStartInput:
    platform: str
    shop_id: strawberry.ID | None = strawberry.field(
        default=None, description="The shop that is meant; absent: the one that the seller has."
    )


@strawberry.input
class ShopConnectWithTokenInput:
    platform: str
    token: str
    refresh_token: str | None = None
    expires_at: datetime | None = None
    shop_id: strawberry.ID | None = None


@strawberry.input
class ShopResyncInput:
    day: date = strawberry.field(description="A day of the shop's time zone.")
    resources: list[SyncResource] | None = strawberry.field(
        default=None, description="All of them if absent."
    )


@strawberry.type
class ShopConnectStartPayload:
    url: str | None = strawberry.field(
        default=None, description="Where the seller authorises the shop, within an hour."
    )
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class ShopConnectWithTokenPayload:
    sync: ShopSync | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class ShopPausePayload:
    sync: ShopSync | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class ShopResumePayload:
    sync: ShopSync | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.input
class ShopDisconnectInput:
    erase: bool = strawberry.field(
        default=False,
        description="Also erase the people who were known through this shop alone; needs "
        "CUSTOMERS_ERASE.",
    )


@strawberry.type
class ShopDisconnectPayload:
    sync: ShopSync | None = None
    job: Job | None = strawberry.field(default=None, description="The erasure, if one was wanted.")
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class ShopResyncPayload:
    sync: ShopSync | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class DeadLetterRetryPayload:
    dead_letter: DeadLetter | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


def letter_of(row: Any) -> DeadLetter:
    return DeadLetter(
        id=global_id("DeadLetter", row["id"]),
        shop_id=global_id("Shop", row["shop_id"]),
        resource=SyncResource(row["resource"]),
        external_id=row["external_id"],
        reason=row["reason"],
        at=row["at"],
        tries=row["tries"],
        settled_at=row["settled_at"],
    )


async def dead_letters_by_id(session: Session, pks: list[int]) -> dict[int, DeadLetter]:
    rows = await session.sql.fetch(
        "SELECT * FROM dead_letters WHERE merchant_id = $1 AND id = ANY($2)",
        session.merchant_id, pks,
    )  # fmt: skip
    return {row["id"]: letter_of(row) for row in rows}


def _sync(report: Report) -> ShopSync:
    return ShopSync(
        pk=report.shop_id,
        platform=report.connector,
        state=ShopSyncState(report.state),
        cure=report.cure,
        capabilities=report.capabilities,
        connected_at=report.connected_at,
        token_expires_at=report.expires_at,
        token_renewable_until=report.refresh_until,
        clock_ahead_ms=round(report.clock_ahead.total_seconds() * 1000),
        problem=report.problem,
        problem_at=report.problem_at,
        past=[_past(one) for one in report.past],
        cursors=[_cursor(one) for one in report.following],
        waiting_messages=report.waiting_messages,
        open_dead_letters=report.dead_letters,
    )


def _past(one: Past) -> ShopSyncPast:
    return ShopSyncPast(
        resource=SyncResource(one.resource.value),
        slices=one.slices,
        done=one.done,
        failed=one.failed,
        records=one.records,
        ends_at=one.ends_at,
        problem=one.problem,
    )


def _cursor(one: Following) -> ShopSyncCursor:
    return ShopSyncCursor(
        resource=SyncResource(one.resource.value),
        cursor_at=one.cursor_at,
        lag_seconds=round(one.lag.total_seconds()),
        ran_at=one.ran_at,
        records=one.records,
        problem=one.problem,
        problem_at=one.problem_at,
    )


async def _of_shop(session: Session, shop_id: int) -> ShopSync | None:
    found = await reports(session, [shop_id])
    return _sync(found[0]) if found else None


@strawberry.type
class ConnectionQueries:
    @field("SHOPS_READ", description="Platforms of the plugins that are switched on.")
    async def shop_platforms(self, info: Info) -> list[ShopPlatform]:
        context = info.context
        db, base_url = context.installation.db, context.installation.settings.base_url
        async with context.read() as session:
            enabled = await enabled_plugins(session)
        may_see = context.may("PLUGINS_WRITE")
        return [
            ShopPlatform(
                name=name,
                title=owned.value.title.en,
                by_link=isinstance(owned.value, Authorising),
                by_token=isinstance(owned.value, Verifying),
                push_url=route_url(db.keyring, base_url, context.merchant_id, name)
                if isinstance(owned.value, Pushed) and may_see
                else None,
            )
            for name, owned in context.installation.registry.connectors.items()
            if owned.plugin in enabled
        ]

    @field("SHOPS_READ", description="Every shop that is connected, or was.")
    async def shop_syncs(self, info: Info) -> list[ShopSync]:
        async with info.context.read() as session:
            return [_sync(report) for report in await reports(session)]

    @field("SHOPS_READ", description="Null for a shop that was never connected.")
    async def shop_sync(self, info: Info, shop_id: strawberry.ID) -> ShopSync | None:
        async with info.context.read() as session:
            return await _of_shop(session, need_id("Shop", shop_id, ("shopId",)))


@strawberry.type
class ConnectionMutations:
    @mutation(
        "SHOPS_CONNECT", ShopConnectStartPayload,
        description="Begin to connect a shop on the platform's own page.",
    )  # fmt: skip
    async def shop_connect_start(
        self, info: Info, input: ShopConnectStartInput
    ) -> ShopConnectStartPayload | None:
        installation = info.context.installation
        async with info.context.work() as w:
            url = await attempts.start_attempt(
                w, installation.registry, installation.settings.base_url, input.platform,
                _shop_id(input.shop_id),
            )  # fmt: skip
        return ShopConnectStartPayload(url=url)

    @mutation(
        "SHOPS_CONNECT", ShopConnectWithTokenPayload,
        description="Connect a shop by a token, which is tried first.",
    )  # fmt: skip
    async def shop_connect_with_token(
        self, info: Info, input: ShopConnectWithTokenInput
    ) -> ShopConnectWithTokenPayload | None:
        context = info.context
        shop_id = await connect_with_token(
            context.installation.db, context.installation.registry, context.merchant_id,
            input.platform, Token(input.token.strip(), input.refresh_token, input.expires_at),
            _shop_id(input.shop_id), context.actor,
        )  # fmt: skip
        async with context.read() as session:
            return ShopConnectWithTokenPayload(sync=await _of_shop(session, shop_id))

    @mutation("SHOPS_CONNECT", ShopPausePayload, description="Call the platform no more.")
    async def shop_pause(self, info: Info, id: strawberry.ID) -> ShopPausePayload | None:
        return ShopPausePayload(sync=await _paused(info, id, True))

    @mutation("SHOPS_CONNECT", ShopResumePayload, description="Go on, and catch up.")
    async def shop_resume(self, info: Info, id: strawberry.ID) -> ShopResumePayload | None:
        return ShopResumePayload(sync=await _paused(info, id, False))

    @mutation(
        "SHOPS_CONNECT", ShopDisconnectPayload,
        description="Forget the token and follow the shop no more; what came in stays, or is "
        "erased as far as it is about people.",
    )  # fmt: skip
    async def shop_disconnect(
        self, info: Info, id: strawberry.ID, input: ShopDisconnectInput | None = None
    ) -> ShopDisconnectPayload | None:
        pk = need_id("Shop", id)
        erase = input is not None and input.erase
        if erase:
            info.context.need("CUSTOMERS_ERASE")
        async with info.context.work() as w:
            if not erase:
                await disconnect(w, pk)
                return ShopDisconnectPayload(sync=await _of_shop(w, pk))
            job_id = await disconnect_and_erase(w, pk)
            return ShopDisconnectPayload(
                sync=await _of_shop(w, pk), job=(await jobs_by_id(w, [job_id]))[job_id]
            )

    @mutation(
        "SHOPS_CONNECT", ShopResyncPayload, description="Read a day of the past once more."
    )  # fmt: skip
    async def shop_resync(
        self, info: Info, id: strawberry.ID, input: ShopResyncInput
    ) -> ShopResyncPayload | None:
        pk = need_id("Shop", id)
        async with info.context.work() as w:
            registry = info.context.installation.registry
            await counting.resync_day(w, registry, pk, input.day, _resources(input))
            return ShopResyncPayload(sync=await _of_shop(w, pk))

    @mutation(
        "SHOPS_CONNECT", DeadLetterRetryPayload, description="Ask the platform for it once more."
    )  # fmt: skip
    async def dead_letter_retry(
        self, info: Info, id: strawberry.ID
    ) -> DeadLetterRetryPayload | None:
        pk = need_id("DeadLetter", id)
        async with info.context.work() as w:
            await ask_again(w, await dead_letters.letter_of(w, pk))
            return DeadLetterRetryPayload(dead_letter=(await dead_letters_by_id(w, [pk]))[pk])


@strawberry.type
class ConnectionSubscriptions:
    @subscription("SHOPS_READ", description="The state at once and after each change.")
    async def shop_sync_progress(
        self, info: Info, shop_id: strawberry.ID
    ) -> AsyncIterator[ShopSync]:
        pk = need_id("Shop", shop_id, ("shopId",))
        context = info.context
        signals = context.installation.signals
        async with aclosing(signals.changes("connection", context.merchant_id, pk)) as changed:
            async for _ in changed:
                async with context.read() as session:
                    sync = await _of_shop(session, pk)
                if sync is None:
                    return
                yield sync


async def _paused(info: Info, id: strawberry.ID, paused: bool) -> ShopSync | None:
    pk = need_id("Shop", id)
    async with info.context.work() as w:
        await set_paused(w, pk, paused)
        return await _of_shop(w, pk)


def _resources(input: ShopResyncInput) -> list[Resource]:
    return [Resource(one.value) for one in input.resources or ()]


def _shop_id(given: strawberry.ID | None) -> int | None:
    return sought("Shop", given)
