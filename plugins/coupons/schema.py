"""The plugin's GraphQL fields."""

from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Annotated, Any

import strawberry

from core.schema.context import Info
from core.schema.errors import UserError, user_errors
from core.schema.scalars import Money, changes, global_id, money, need_id
from core.sdk import HuikeError, InvalidInput, SchemaField, Several
from plugins.coupons import ending, stock
from plugins.coupons.errors import CouponUnusable
from plugins.coupons.figures import figures
from plugins.coupons.granting import by_handle
from plugins.coupons.guessing import check_client, count_misses
from plugins.coupons.issuing import Recipient, issue
from plugins.coupons.redeeming import Deed, use
from plugins.coupons.shapes import (
    COUPON,
    ERRORS,
    TEMPLATE,
    Coupon,
    CouponBasketInput,
    CouponGrant,
    CouponOutcome,
    CouponState,
    CouponsTemplateCreateInput,
    CouponsTemplateCreatePayload,
    CouponsTemplateUpdateInput,
    CouponsTemplateUpdatePayload,
    CouponTemplate,
    grants,
    minor,
    outcome_shape,
    purchase,
    template_shape,
    template_values,
)
from plugins.coupons.templates import (
    create_template,
    find_templates,
    hold_template,
    update_template,
)

RESERVED_FOR = timedelta(minutes=30)
MAX_SHOWN = 200
MAX_GRANTED = 1000


From = Annotated[
    date,
    strawberry.argument(
        name="from", description="The first day of the merchant's calendar, included."
    ),
]


@strawberry.enum(description="What figures are added up by; the tiers are those of today.")
class CouponGrouping(Enum):
    TEMPLATE = strawberry.enum_value("template", description="By the kind of coupon.")
    CAMPAIGN = strawberry.enum_value("campaign", description="By the campaign that granted them.")
    TIER = strawberry.enum_value(
        "tier", description="By the tier of the members' programme that the customer is in."
    )


GROUP_TYPES = {
    CouponGrouping.TEMPLATE: TEMPLATE,
    CouponGrouping.CAMPAIGN: "Campaign",
    CouponGrouping.TIER: "Tier",
}


@strawberry.type(description="What the coupons of a group brought, in one currency.")
class CouponFigures:
    key: strawberry.ID | None = strawberry.field(
        description="Of the template, campaign or tier; null for coupons without one."
    )
    name: str | None = strawberry.field(
        description="Of the template, campaign or tier; null for coupons without one."
    )
    granted: int = strawberry.field(description="How many customers got on these days.")
    claimed: int = strawberry.field(description="Of these, taken by the customers themselves.")
    redeemed: int = strawberry.field(
        description="How many were used on these days, whenever they were granted."
    )
    sales: Money = strawberry.field(
        description="What the orders came to; one with several coupons counts for each."
    )
    off: Money = strawberry.field(description="What was taken off: the margin given.")


@strawberry.input
class CouponsCodesMakeInput:
    template_id: strawberry.ID = strawberry.field(description="One of source OWN.")
    count: int = strawberry.field(description="1 to 100,000.")


@strawberry.input
class CouponsCodesImportInput:
    template_id: strawberry.ID = strawberry.field(description="One of source POOL.")
    codes: list[str] = strawberry.field(
        description="1 to 100,000, of 3 to 64 characters. Case, spaces and hyphens do not count."
    )


@strawberry.input
class CouponsGrantInput:
    template_id: strawberry.ID = strawberry.field(description="Which coupon they get.")
    customer_ids: list[strawberry.ID] = strawberry.field(description="1 to 1,000.")
    key: str = strawberry.field(
        description="For what: each customer gets one coupon of the template for it."
    )


@strawberry.input
class CouponsClaimInput:
    handle: str = strawberry.field(description="The handle of a claimable template.")
    customer_id: strawberry.ID = strawberry.field(description="Who takes it.")
    key: str = strawberry.field(description="A claim that is repeated with it gets the same one.")


@strawberry.input
class CouponsReserveInput:
    basket: CouponBasketInput = strawberry.field(
        description="With its `order`, for which the coupons are held."
    )
    until: datetime | None = strawberry.field(default=None, description="Null: for half an hour.")


@strawberry.input
class CouponsRedeemInput:
    baskets: list[CouponBasketInput] = strawberry.field(description="Up to 1,000.")


@strawberry.input
class CouponsReleaseInput:
    order: str = strawberry.field(description="The number that the basket had.")
    shop_id: strawberry.ID | None = strawberry.field(
        default=None, description="The shop that the basket had; null if it had none."
    )
    redeemed: bool = strawberry.field(
        default=False, description="Also what was redeemed: the order was cancelled."
    )


@strawberry.input
class CouponsRevokeInput:
    ids: list[strawberry.ID] = strawberry.field(
        description="1 to 1,000 coupons, none of them redeemed."
    )
    reason: str = strawberry.field(
        description="Why, for the coupon's history, 1 to 500 characters."
    )


@strawberry.input
class CouponsTransferInput:
    id: strawberry.ID = strawberry.field(description="A granted coupon that has not expired.")
    customer_id: strawberry.ID = strawberry.field(description="Whose it becomes.")


@strawberry.type
class CouponsCodesMakePayload:
    template: CouponTemplate | None = None
    errors: list[UserError] = ERRORS


@strawberry.type
class CouponsCodesImportPayload:
    added: int | None = strawberry.field(
        default=None, description="How many are new in the pool; null if it was refused."
    )
    known: int | None = strawberry.field(default=None, description="Were there already.")
    errors: list[UserError] = ERRORS


@strawberry.type
class CouponsGrantPayload:
    grants: list[CouponGrant] | None = strawberry.field(
        default=None, description="One for each customer, in order; null if it was refused."
    )
    errors: list[UserError] = ERRORS


@strawberry.type
class CouponsClaimPayload:
    grant: CouponGrant | None = strawberry.field(
        default=None, description="The coupon; null if it was refused."
    )
    errors: list[UserError] = ERRORS


@strawberry.type
class CouponsReservePayload:
    outcome: CouponOutcome | None = strawberry.field(
        default=None, description="What is held: all of the codes, or none. Null if it was refused."
    )
    errors: list[UserError] = ERRORS


@strawberry.type
class CouponsRedeemPayload:
    outcomes: list[CouponOutcome] | None = strawberry.field(
        default=None, description="In the order of the baskets."
    )
    errors: list[UserError] = ERRORS


@strawberry.type
class CouponsReleasePayload:
    released: int | None = strawberry.field(
        default=None,
        description="How many were given back, none when repeated; null if it was refused.",
    )
    errors: list[UserError] = ERRORS


@strawberry.type
class CouponsRevokePayload:
    revoked: int | None = strawberry.field(
        default=None, description="How many were not out of use before; null if it was refused."
    )
    errors: list[UserError] = ERRORS


@strawberry.type
class CouponsTransferPayload:
    transferred: bool | None = strawberry.field(
        default=None, description="True once it is the other's; null if it was refused."
    )
    errors: list[UserError] = ERRORS


async def _answered(made: Any, call: Callable[[], Awaitable[dict[str, Any]]]) -> Any:
    """The payload `made` with what the call gives, or with its errors."""
    try:
        return made(**await call())
    except (HuikeError, Several) as error:
        return made(errors=user_errors(error))


# -- templates and codes ------------------------------------------------------------------------


async def templates(info: Info) -> list[CouponTemplate] | None:
    async with info.context.read() as session:
        return [template_shape(one) for one in await find_templates(session)]


async def template_create(
    info: Info, input: CouponsTemplateCreateInput
) -> CouponsTemplateCreatePayload | None:
    async def call() -> dict[str, Any]:
        values = template_values(input)
        async with info.context.work() as w:
            return {"template": template_shape(await create_template(w, values))}

    made: CouponsTemplateCreatePayload = await _answered(CouponsTemplateCreatePayload, call)
    return made


async def template_update(
    info: Info, id: strawberry.ID, input: CouponsTemplateUpdateInput
) -> CouponsTemplateUpdatePayload | None:
    async def call() -> dict[str, Any]:
        pk = need_id(TEMPLATE, id)
        values = changes(input)
        if "state" in values:
            values["state"] = values["state"].value
        async with info.context.work() as w:
            if "budget" in values:
                held = await hold_template(w, pk, ("id",))
                values["budget"] = minor(values["budget"], held.currency, "budget")
            return {"template": template_shape(await update_template(w, pk, values))}

    made: CouponsTemplateUpdatePayload = await _answered(CouponsTemplateUpdatePayload, call)
    return made


async def codes_make(info: Info, input: CouponsCodesMakeInput) -> CouponsCodesMakePayload | None:
    async def call() -> dict[str, Any]:
        pk = need_id(TEMPLATE, input.template_id, ("input", "template_id"))
        async with info.context.work() as w:
            await stock.fill(w, pk, input.count)
            return {"template": template_shape(await hold_template(w, pk, ()))}

    made: CouponsCodesMakePayload = await _answered(CouponsCodesMakePayload, call)
    return made


async def codes_import(
    info: Info, input: CouponsCodesImportInput
) -> CouponsCodesImportPayload | None:
    async def call() -> dict[str, Any]:
        pk = need_id(TEMPLATE, input.template_id, ("input", "template_id"))
        async with info.context.work() as w:
            found = await stock.take_in(w, pk, input.codes)
        return {"added": found.added, "known": found.known}

    made: CouponsCodesImportPayload = await _answered(CouponsCodesImportPayload, call)
    return made


# -- giving -------------------------------------------------------------------------------------


async def grant(info: Info, input: CouponsGrantInput) -> CouponsGrantPayload | None:
    async def call() -> dict[str, Any]:
        pk = need_id(TEMPLATE, input.template_id, ("input", "template_id"))
        if not 0 < len(input.customer_ids) <= MAX_GRANTED or not 0 < len(input.key) <= 100:
            raise InvalidInput(
                f"give 1 to {MAX_GRANTED} customers, and a key of 1 to 100 characters", ("input",)
            )
        people = [need_id("Customer", one, ("input", "customer_ids")) for one in input.customer_ids]
        async with info.context.work() as w:
            found = await issue(
                w, pk, [Recipient(one, f"grant:{input.key}:{one}") for one in people], "grant"
            )
        return {"grants": grants(found)}

    made: CouponsGrantPayload = await _answered(CouponsGrantPayload, call)
    return made


async def claim(info: Info, input: CouponsClaimInput) -> CouponsClaimPayload | None:
    async def call() -> dict[str, Any]:
        person = need_id("Customer", input.customer_id, ("input", "customer_id"))
        if not 0 < len(input.key) <= 100:
            raise InvalidInput("a key has 1 to 100 characters", ("input", "key"))
        recipient = Recipient(person, f"claim:{person}:{input.key}")
        async with info.context.work() as w:
            found = await by_handle(w, input.handle)
            if not found.claimable:
                raise CouponUnusable(f"{found.name} is not for claiming", ("input", "handle"))
            issued = await issue(w, found.id, [recipient], "claim", kind="claimed")
        if issued[0].reason is not None:
            raise CouponUnusable(issued[0].reason, ("input", "customerId"))
        return {"grant": grants(issued)[0]}

    made: CouponsClaimPayload = await _answered(CouponsClaimPayload, call)
    return made


async def revoke(info: Info, input: CouponsRevokeInput) -> CouponsRevokePayload | None:
    async def call() -> dict[str, Any]:
        if not 0 < len(input.ids) <= MAX_GRANTED or not 0 < len(input.reason) <= 500:
            raise InvalidInput(f"give 1 to {MAX_GRANTED} ids, and a reason", ("input",))
        pks = [need_id(COUPON, one, ("input", "ids")) for one in input.ids]
        async with info.context.work() as w:
            return {"revoked": await ending.revoke(w, pks, input.reason)}

    made: CouponsRevokePayload = await _answered(CouponsRevokePayload, call)
    return made


async def transfer(info: Info, input: CouponsTransferInput) -> CouponsTransferPayload | None:
    async def call() -> dict[str, Any]:
        pk = need_id(COUPON, input.id, ("input", "id"))
        to = need_id("Customer", input.customer_id, ("input", "customer_id"))
        async with info.context.work() as w:
            await ending.transfer(w, pk, to)
        return {"transferred": True}

    made: CouponsTransferPayload = await _answered(CouponsTransferPayload, call)
    return made


# -- using --------------------------------------------------------------------------------------


def _client(info: Info, basket: CouponBasketInput) -> str:
    """Who types the codes, as well as the caller tells."""
    return (basket.client or basket.customer_id or info.context.actor)[:200]


async def quote(
    info: Info,
    basket: Annotated[
        CouponBasketInput, strawberry.argument(description="What is bought, and the codes to try.")
    ],
) -> CouponOutcome | None:
    client = _client(info, basket)
    async with info.context.read() as session:
        await check_client(session, client)
        (found,) = await use(session, [purchase(basket)], "quote")
    if found.guessed:
        async with info.context.work() as w:
            await count_misses(w, client, found.guessed)
    return outcome_shape(found, basket.currency)


async def _use(
    info: Info, baskets: list[CouponBasketInput], deed: Deed, until: datetime | None = None
) -> list[CouponOutcome]:
    purchases = [purchase(one) for one in baskets]
    clients = [_client(info, one) for one in baskets]
    async with info.context.work() as w:
        for client in sorted(set(clients)):
            await check_client(w, client)
        found = await use(w, purchases, deed, until or w.now + RESERVED_FOR)
        missed: dict[str, int] = {}
        for client, outcome in zip(clients, found, strict=True):
            if outcome.guessed:
                missed[client] = missed.get(client, 0) + outcome.guessed
        for client in sorted(missed):
            await count_misses(w, client, missed[client])
    return [
        outcome_shape(outcome, one.currency) for outcome, one in zip(found, baskets, strict=True)
    ]


async def reserve(info: Info, input: CouponsReserveInput) -> CouponsReservePayload | None:
    async def call() -> dict[str, Any]:
        (found,) = await _use(info, [input.basket], "reserve", input.until)
        return {"outcome": found}

    made: CouponsReservePayload = await _answered(CouponsReservePayload, call)
    return made


async def redeem(info: Info, input: CouponsRedeemInput) -> CouponsRedeemPayload | None:
    async def call() -> dict[str, Any]:
        return {"outcomes": await _use(info, input.baskets, "redeem")}

    made: CouponsRedeemPayload = await _answered(CouponsRedeemPayload, call)
    return made


async def release(info: Info, input: CouponsReleaseInput) -> CouponsReleasePayload | None:
    async def call() -> dict[str, Any]:
        shop = input.shop_id and need_id("Shop", input.shop_id, ("input", "shop_id"))
        async with info.context.work() as w:
            released = await ending.release(
                w, f"{shop or 0}:{input.order}", redeemed=input.redeemed
            )
        return {"released": released}

    made: CouponsReleasePayload = await _answered(CouponsReleasePayload, call)
    return made


async def brought(
    info: Info,
    from_: From,
    to: Annotated[
        date,
        strawberry.argument(description="The last day, included; at most 1100 days later."),
    ],
    by: Annotated[
        CouponGrouping, strawberry.argument(description="Of what each row is one.")
    ] = CouponGrouping.TEMPLATE,
    segment_id: Annotated[
        strawberry.ID | None,
        strawberry.argument(description="Only who is in this segment now; without it, everybody."),
    ] = None,
) -> list[CouponFigures] | None:
    segment = None if segment_id is None else need_id("Segment", segment_id, ("segmentId",))
    grouping: Any = by.value
    async with info.context.read() as session:
        found = await figures(session, from_, to, grouping, segment)
    return [
        CouponFigures(
            key=None if one.key is None else global_id(GROUP_TYPES[by], one.key), name=one.name,
            granted=one.granted, claimed=one.claimed, redeemed=one.redeemed,
            sales=money(one.sales, one.currency), off=money(one.off, one.currency),
        )
        for one in found
    ]  # fmt: skip


async def coupons_of(self: Any, info: Info) -> list[Coupon] | None:
    found = await info.context.load("coupons", _customer(self), _coupons_by_customer)
    return [] if found is None else found


def _customer(root: Any) -> int:
    return int(root.row["id"])


async def _coupons_by_customer(session: Any, pks: list[int]) -> dict[int, list[Coupon]]:
    rows = await session.sql.fetch(
        """SELECT l.*, t.name, t.currency, COALESCE(l.shown, l.code, t.public_code) AS text
           FROM unnest($2::bigint[]) u (id)
           CROSS JOIN LATERAL (SELECT * FROM coupons_coupons
               WHERE merchant_id = $1 AND customer_id = u.id ORDER BY id DESC LIMIT $3) l
           JOIN coupons_templates t ON t.merchant_id = $1 AND t.id = l.template_id
           ORDER BY l.id DESC""",
        session.merchant_id, pks, MAX_SHOWN,
    )  # fmt: skip
    found: dict[int, list[Coupon]] = {}
    for row in rows:
        amount = None if row["amount"] is None else money(row["amount"], row["currency"])
        found.setdefault(row["customer_id"], []).append(Coupon(
            id=global_id(COUPON, row["id"]), template_id=global_id(TEMPLATE, row["template_id"]),
            name=row["name"], code=row["text"], state=CouponState(row["state"]),
            granted_at=row["granted_at"], expires_at=row["expires_at"],
            redeemed_at=row["redeemed_at"], amount=amount,
        ))  # fmt: skip
    return found


def _field(resolver: Any, description: str) -> Any:
    return strawberry.field(resolver=resolver, description=description)


READ, WRITE, USE = "COUPONS_READ", "COUPONS_WRITE", "COUPONS_REDEEM"
FIELDS = [
    SchemaField("Query", "couponsTemplates", _field(
        templates, "The merchant's coupon templates, the newest first."), READ),
    SchemaField("Query", "couponsQuote", _field(
        quote, "What codes are worth for a basket, and why not. Changes nothing."), USE),
    SchemaField("Query", "couponsFigures", _field(
        brought, "What was granted and redeemed on the days from `from` to `to`."), READ),
    SchemaField("Mutation", "couponsTemplateCreate", _field(
        template_create, "Make a coupon template."), WRITE),
    SchemaField("Mutation", "couponsTemplateUpdate", _field(
        template_update, "Change a template's limits, times or state; never what it is worth."),
        WRITE),
    SchemaField("Mutation", "couponsCodesMake", _field(
        codes_make, "Make codes in advance, for print; up to 100,000 at once."), WRITE),
    SchemaField("Mutation", "couponsCodesImport", _field(
        codes_import, "Add codes that were made elsewhere to a pool."), WRITE),
    SchemaField("Mutation", "couponsGrant", _field(
        grant, "Give customers a coupon each; all, or nobody if there are not enough."), WRITE),
    SchemaField("Mutation", "couponsClaim", _field(
        claim, "Let a customer take a coupon of a claimable template."), USE),
    SchemaField("Mutation", "couponsReserve", _field(
        reserve, "Hold coupons for an order that is being paid."), USE),
    SchemaField("Mutation", "couponsRedeem", _field(
        redeem, "Use coupons for orders. Of each basket all codes are used, or none."), USE),
    SchemaField("Mutation", "couponsRelease", _field(
        release, "Give back the coupons of an order."), USE),
    SchemaField("Mutation", "couponsRevoke", _field(
        revoke, "Take coupons that were not used out of use."), WRITE),
    SchemaField("Mutation", "couponsTransfer", _field(
        transfer, "Make a coupon another customer's, if its template allows it."), USE),
    SchemaField("Customer", "coupons", _field(
        coupons_of, "The customer's coupons, the newest first, up to 200."), READ),
]  # fmt: skip
