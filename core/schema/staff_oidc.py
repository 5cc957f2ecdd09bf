"""Logging in by an identity provider (OpenID Connect), and its settings."""

import strawberry

from core.domain.shops.staff.oidc import finish_login, start_login
from core.domain.shops.staff.oidc_provider import (
    PROVIDER,
    Provider,
    provider_of,
    remove_provider,
    set_provider,
)
from core.schema.context import NO_TOKEN, Info, field, mutation
from core.schema.errors import UserError
from core.schema.scalars import need_id, version_seen
from core.schema.setting_versions import IN_WORDS, version_of
from core.schema.staff_login import MERCHANT, StaffTokens, tokens_of
from core.storage.database import Session


@strawberry.type(description="The identity provider by which staff log in, without its secret.")
class StaffOidc:
    issuer: str
    client_id: str
    has_secret: bool
    redirect_uris: list[str] = strawberry.field(description="Where browsers may come back to.")
    domains: list[str] = strawberry.field(
        description="Whose email address is of one of these gets an account at the first login."
    )
    default_role: str | None = strawberry.field(description="Of accounts made that way.")

    @field("STAFF_OIDC_WRITE", description=IN_WORDS)
    def version(self, info: Info) -> int:
        return version_of(info, PROVIDER)


@strawberry.input(description="Takes the place of what was set; the secret stays if absent.")
class StaffOidcSetInput:
    issuer: str = strawberry.field(description="An https URL, exactly as the provider writes it.")
    client_id: str
    client_secret: strawberry.Maybe[str | None] = strawberry.field(
        default=None, description="Null for a public client; absent keeps the one stored."
    )
    redirect_uris: list[str] = strawberry.field(description="1 to 20 https URLs of your frontend.")
    domains: list[str] = strawberry.field(
        default_factory=list, description="Of email addresses, such as example.com."
    )
    default_role: str | None = strawberry.field(
        default=None, description="For people of these domains; any role but owner."
    )
    if_version: int | None = version_seen()


@strawberry.input
class StaffOidcStartInput:
    merchant_id: strawberry.ID
    redirect_uri: str = strawberry.field(description="One of those set, exactly.")


@strawberry.input
class StaffOidcFinishInput:
    flow: str = strawberry.field(description="What `staffOidcStart` gave.")
    state: str = strawberry.field(description="From the address that the browser came back to.")
    code: str = strawberry.field(description="From the address that the browser came back to.")


@strawberry.type
class StaffOidcSetPayload:
    oidc: StaffOidc | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class StaffOidcRemovePayload:
    removed: bool | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class StaffOidcStartPayload:
    url: str | None = strawberry.field(default=None, description="Where to send the browser.")
    flow: str | None = strawberry.field(
        default=None, description="Keep it in that browser for `staffOidcFinish`; 10 minutes."
    )
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class StaffOidcFinishPayload:
    tokens: StaffTokens | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


async def oidc_of(session: Session) -> StaffOidc | None:
    found = await provider_of(session)
    if found is None:
        return None
    return StaffOidc(
        issuer=found.issuer,
        client_id=found.client_id,
        has_secret=found.secret is not None,
        redirect_uris=list(found.redirect_uris),
        domains=list(found.domains),
        default_role=found.default_role,
    )


@strawberry.type
class StaffOidcQueries:
    @field("STAFF_OIDC_WRITE", description="Null where staff log in by password only.")
    async def staff_oidc(self, info: Info) -> StaffOidc | None:
        async with info.context.read() as session:
            return await oidc_of(session)


@strawberry.type
class StaffOidcMutations:
    @mutation(
        "STAFF_OIDC_WRITE", StaffOidcSetPayload,
        description="Set by which provider staff log in. Whoever rules it can log in as anybody.",
    )  # fmt: skip
    async def staff_oidc_set(
        self, info: Info, input: StaffOidcSetInput
    ) -> StaffOidcSetPayload | None:
        context, secret = info.context, input.client_secret
        given = Provider(
            input.issuer,
            input.client_id,
            input.redirect_uris,
            input.domains,
            input.default_role,
            secret.value if secret is not None else None,
        )
        async with context.work() as w:
            await set_provider(
                w,
                context.installation.registry,
                given,
                context.need,
                keep_secret=secret is None,
                if_version=input.if_version,
            )
            return StaffOidcSetPayload(oidc=await oidc_of(w))

    @mutation("STAFF_OIDC_WRITE", StaffOidcRemovePayload, description="Staff need passwords then.")
    async def staff_oidc_remove(self, info: Info) -> StaffOidcRemovePayload | None:
        async with info.context.work() as w:
            await remove_provider(w)
        return StaffOidcRemovePayload(removed=True)

    @mutation(
        NO_TOKEN, StaffOidcStartPayload,
        description="Begin a login by the identity provider.",
    )  # fmt: skip
    async def staff_oidc_start(
        self, info: Info, input: StaffOidcStartInput
    ) -> StaffOidcStartPayload | None:
        context = info.context
        merchant_id = need_id("Merchant", input.merchant_id, MERCHANT)
        started = await start_login(
            context.installation.db, merchant_id, input.redirect_uri, context.client
        )
        return StaffOidcStartPayload(url=started.url, flow=started.flow)

    @mutation(
        NO_TOKEN, StaffOidcFinishPayload,
        description="End a login by the identity provider, in the browser that began it.",
    )  # fmt: skip
    async def staff_oidc_finish(
        self, info: Info, input: StaffOidcFinishInput
    ) -> StaffOidcFinishPayload | None:
        context = info.context
        tokens = await finish_login(
            context.installation.db, input.flow, input.state, input.code, context.client
        )
        return StaffOidcFinishPayload(tokens=tokens_of(tokens))
