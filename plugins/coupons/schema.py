"""The plugin's GraphQL fields."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Annotated, Any, cast

import strawberry

from core.domain.customers.customers import get_customer
from core.domain.customers.tags import missing_customers, no_customer
from core.schema.batches import OnError, error_policy, goes_on
from core.schema.context import Info
from core.schema.downloads import JobFile, kept_file
from core.schema.errors import UserError, user_errors
from core.schema.idempotency import once_for
from core.schema.pages import After, Connection, First, Listing, page
from core.schema.scalars import Money, changes, global_id, money, need_id, read_id, sought_id
from core.schema.where import StringFilter
from core.sdk import Faults, HuikeError, NodeType, SchemaField, Several, paths_moved
from plugins.coupons import ending, stock
from plugins.coupons.checkout import Asked, quote_asked, redeem_asked, reserve_asked
from plugins.coupons.codes import MAX_CODE
from plugins.coupons.coupon_schema import COUPON_FIELDS, COUPON_NODE
from plugins.coupons.errors import CouponUnusable
from plugins.coupons.events import (
    CouponAddressBusy,
    CouponGranted,
    CouponRedeemed,
    CouponStockLow,
    PlatformCouponsDue,
)
from plugins.coupons.figures import By, figures
from plugins.coupons.granting import by_handle
from plugins.coupons.issuing import Issued, Recipient, issue, need_open
from plugins.coupons.redeeming import Outcome
from plugins.coupons.shapes import (
    COUPON,
    ERRORS,
    TEMPLATE,
    CouponBasketInput,
    CouponGrant,
    CouponOutcome,
    CouponsTemplateCreateInput,
    CouponsTemplateCreatePayload,
    CouponsTemplateUpdateInput,
    CouponsTemplateUpdatePayload,
    CouponTemplate,
    CouponTemplateState,
    grants,
    minor,
    outcome_shape,
    purchase,
    template_shape,
    template_values,
)
from plugins.coupons.templates import (
    create_template,
    hold_template,
    read_template,
    update_template,
)


@strawberry.enum(description="What figures are added up by; the tiers are those of today.")
class CouponGrouping(Enum):
    TEMPLATE = strawberry.enum_value("template", description="The coupons' templates.")
    CAMPAIGN = strawberry.enum_value("campaign", description="The campaigns that granted them.")
    TIER = strawberry.enum_value("tier", description="The customers' tiers.")


RESERVED_FOR = timedelta(minutes=30)
MAX_GRANTED = 1000
LISTED = "customer_ids"
"""The field of the input that names those who get coupons."""
From = Annotated[
    date, strawberry.argument(name="from", description="A day of the merchant's calendar.")
]
To = Annotated[date, strawberry.argument(description="The last day, at most 1100 days later.")]
Grouped = Annotated[CouponGrouping, strawberry.argument(description="What they are added up by.")]
OfSegment = Annotated[
    strawberry.ID | None,
    strawberry.argument(description="Only coupons of its present customers; null: of all."),
]


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
    name: str | None = strawberry.field(description="Its name.")
    granted: int = strawberry.field(description="How many customers got.")
    claimed: int = strawberry.field(description="Of these, taken by the customers themselves.")
    redeemed: int = strawberry.field(description="How many were used, whenever granted.")
    sales: Money = strawberry.field(
        description="What the orders came to; one with several coupons counts for each."
    )
    off: Money = strawberry.field(description="What was taken off: the margin given.")


@strawberry.input(description="Codes of a template with the source OWN.")
class CouponsCodesMakeInput:
    template_id: strawberry.ID = strawberry.field(description="Of which template.")
    count: int = strawberry.field(description=f"1 to {stock.MAX_MADE:,}.")
    idempotency_key: str


@strawberry.input(description="Codes for a template with the source POOL.")
class CouponsCodesImportInput:
    template_id: strawberry.ID = strawberry.field(description="Of which template.")
    codes: list[str] = strawberry.field(
        description=f"1 to {stock.MAX_IMPORTED:,}, of 3 to {MAX_CODE} characters each."
    )
    on_error: OnError = error_policy()


@strawberry.input(description="Codes of a template that nobody has yet.")
class CouponsCodesFileCreateInput:
    template_id: strawberry.ID = strawberry.field(description="Of which template.")


@strawberry.input(description="Customers who get a coupon each.")
class CouponsGrantInput:
    template_id: strawberry.ID = strawberry.field(description="Of which template.")
    customer_ids: list[strawberry.ID] = strawberry.field(description=f"1 to {MAX_GRANTED:,}.")
    on_error: OnError = error_policy()
    idempotency_key: str


@strawberry.input(description="A customer who takes a coupon.")
class CouponsClaimInput:
    handle: str = strawberry.field(description="The template's.")
    customer_id: strawberry.ID = strawberry.field(description="Who takes it.")
    idempotency_key: str


@strawberry.input(description="Coupons to be held for an order.")
class CouponsReserveInput:
    basket: CouponBasketInput = strawberry.field(description="With the order's number.")
    until: datetime | None = strawberry.field(default=None, description="Null: for half an hour.")


@strawberry.input(description="Orders that use coupons.")
class CouponsRedeemInput:
    baskets: list[CouponBasketInput] = strawberry.field(
        description="1 to 1,000, each with its order's number."
    )


@strawberry.input(description="An order whose coupons come back.")
class CouponsReleaseInput:
    order: str = strawberry.field(description="The number that its basket had.")
    shop_id: strawberry.ID | None = strawberry.field(
        default=None, description="The shop that its basket named."
    )
    redeemed: bool = strawberry.field(
        default=False, description="Also what was redeemed: the order was cancelled."
    )


@strawberry.input(description="Coupons that nobody can use any more.")
class CouponsRevokeInput:
    ids: list[strawberry.ID] = strawberry.field(description=f"1 to {MAX_GRANTED:,}.")
    reason: str = strawberry.field(description="1 to 500 characters; it stands in the ledger.")
    on_error: OnError = error_policy()


@strawberry.input(description="A coupon that becomes another customer's.")
class CouponsTransferInput:
    id: strawberry.ID = strawberry.field(description="The coupon's.")
    customer_id: strawberry.ID = strawberry.field(description="Who gets it.")
    idempotency_key: str


@strawberry.type
class CouponsCodesMakePayload:
    template: CouponTemplate | None = None
    errors: list[UserError] = ERRORS


@strawberry.type
class CouponsCodesImportPayload:
    added: int | None = strawberry.field(default=None, description="Are new.")
    known: int | None = strawberry.field(default=None, description="Were there already.")
    errors: list[UserError] = ERRORS


@strawberry.type
class CouponsCodesFileCreatePayload:
    file: JobFile | None = strawberry.field(
        default=None, description="A CSV file of one column; null if there are no codes in stock."
    )
    errors: list[UserError] = ERRORS


@strawberry.type
class CouponsGrantPayload:
    grants: list[CouponGrant | None] | None = strawberry.field(
        default=None, description="In the order of the customers; null for one who is not there."
    )
    errors: list[UserError] = ERRORS


@strawberry.type
class CouponsClaimPayload:
    grant: CouponGrant | None = strawberry.field(
        default=None, description="What the customer got; null if it was refused."
    )
    errors: list[UserError] = ERRORS


@strawberry.type
class CouponsReservePayload:
    outcome: CouponOutcome | None = strawberry.field(
        default=None, description="Whether they are held, and what they are worth."
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
        default=None, description="How many came back; 0 when it is repeated."
    )
    errors: list[UserError] = ERRORS


@strawberry.type
class CouponsRevokePayload:
    revoked: int | None = strawberry.field(
        default=None, description="How many could be used before; 0 when it is repeated."
    )
    errors: list[UserError] = ERRORS


@strawberry.type
class CouponsTransferPayload:
    transferred: bool | None = strawberry.field(default=None, description="Whether it is done.")
    errors: list[UserError] = ERRORS


async def _answered(made: Any, call: Callable[[], Awaitable[dict[str, Any]]]) -> Any:
    """The payload `made` with what the call gives, or with its errors."""
    try:
        return made(**await call())
    except (HuikeError, Several) as error:
        return made(errors=user_errors(error))


# -- templates and codes ------------------------------------------------------------------------


@strawberry.input
class CouponTemplateStateFilter:
    eq: strawberry.Maybe[CouponTemplateState]
    in_: strawberry.Maybe[list[CouponTemplateState]] = strawberry.field(name="in", default=None)


@strawberry.input
class CouponTemplateWhere:
    state: strawberry.Maybe[CouponTemplateStateFilter]
    handle: strawberry.Maybe[StringFilter] = strawberry.field(
        default=None, description="What journeys and clients know it by."
    )
    name: strawberry.Maybe[StringFilter]
    and_: strawberry.Maybe[list["CouponTemplateWhere"]] = strawberry.field(name="and", default=None)
    or_: strawberry.Maybe[list["CouponTemplateWhere"]] = strawberry.field(name="or", default=None)
    not_: strawberry.Maybe["CouponTemplateWhere"] = strawberry.field(name="not", default=None)


TEMPLATE_LIST = Listing(
    "couponsTemplates", "coupons_templates t", "t",
    {"state": "t.state", "handle": "t.handle", "name": "t.name"}, {},
    lambda row: template_shape(read_template(row)),
)  # fmt: skip


async def templates(
    info: Info, first: First = 20, after: After = None, where: CouponTemplateWhere | None = None
) -> Connection[CouponTemplate] | None:
    return await page(info, TEMPLATE_LIST, where, None, first, after)


async def _templates_by_id(info: Info, session: Any, pks: list[int]) -> dict[int, CouponTemplate]:
    rows = await session.sql.fetch(
        "SELECT * FROM coupons_templates WHERE merchant_id = $1 AND id = ANY($2::bigint[])",
        session.merchant_id, pks,
    )  # fmt: skip
    return {row["id"]: template_shape(read_template(row)) for row in rows}


NODE_TYPES = [NodeType(TEMPLATE, CouponTemplate, "COUPONS_READ", _templates_by_id), COUPON_NODE]


async def template_create(
    info: Info, input: CouponsTemplateCreateInput
) -> CouponsTemplateCreatePayload | None:
    async def call() -> dict[str, Any]:
        faults = Faults()
        values = template_values(input, faults)
        async with info.context.work() as w:
            with faults:
                made = await create_template(w, values)
            faults.tell()
            return {"template": template_shape(made)}

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
            faults = Faults()
            if "budget" in values:
                held = await hold_template(w, pk, ("id",))
                with faults:
                    values["budget"] = minor(values.pop("budget"), held.currency, "budget")
            with faults:
                made = await update_template(w, pk, values, input.if_version)
            faults.tell()
            return {"template": template_shape(made)}

    made: CouponsTemplateUpdatePayload = await _answered(CouponsTemplateUpdatePayload, call)
    return made


async def codes_make(info: Info, input: CouponsCodesMakeInput) -> CouponsCodesMakePayload | None:
    async def call() -> dict[str, Any]:
        pk = sought_id(TEMPLATE, input.template_id)
        async with info.context.work() as w:

            async def make() -> None:
                await stock.fill(w, pk, input.count)

            await once_for(w, "couponsCodesMake", input, make)
            return {"template": template_shape(await hold_template(w, pk, ()))}

    made: CouponsCodesMakePayload = await _answered(CouponsCodesMakePayload, call)
    return made


async def codes_import(
    info: Info, input: CouponsCodesImportInput
) -> CouponsCodesImportPayload | None:
    async def call() -> dict[str, Any]:
        pk = sought_id(TEMPLATE, input.template_id)
        async with info.context.work() as w:
            found = await stock.take_in(w, pk, input.codes, go_on=goes_on(input.on_error))
        return {
            "added": found.added, "known": found.known,
            "errors": user_errors(Several(found.errors)),
        }  # fmt: skip

    made: CouponsCodesImportPayload = await _answered(CouponsCodesImportPayload, call)
    return made


async def codes_file_create(
    info: Info, input: CouponsCodesFileCreateInput
) -> CouponsCodesFileCreatePayload | None:
    async def call() -> dict[str, Any]:
        pk = sought_id(TEMPLATE, input.template_id)
        async with info.context.work() as w:
            job = await stock.keep_codes(w, pk)
            return {"file": None if job is None else await kept_file(info, w, job)}

    made: CouponsCodesFileCreatePayload = await _answered(CouponsCodesFileCreatePayload, call)
    return made


# -- giving -------------------------------------------------------------------------------------


async def _issued_once(
    w: Any,
    operation: str,
    input: CouponsGrantInput | CouponsClaimInput,
    issuing: Callable[[], Awaitable[Sequence[Issued | None]]],
) -> list[Issued | None]:
    """What was issued by the first call with the input's key; None for who is nobody."""

    async def call() -> list[list[Any] | None]:
        return [
            None if one is None
            else [one.coupon_id, one.code, one.expires_at and one.expires_at.isoformat(),
                  one.reason]
            for one in await issuing()
        ]  # fmt: skip

    return [
        row and Issued(row[0], row[1], row[2] and datetime.fromisoformat(row[2]), row[3])
        for row in await once_for(w, operation, input, call)
    ]


async def grant(info: Info, input: CouponsGrantInput) -> CouponsGrantPayload | None:
    async def call() -> dict[str, Any]:
        pk = sought_id(TEMPLATE, input.template_id)
        people = [read_id("Customer", one) for one in input.customer_ids]
        async with info.context.work() as w:

            async def give() -> list[Issued | None]:
                faults, missing = Faults(), dict[int, HuikeError]()
                with faults:
                    missing = await missing_customers(w, people, MAX_GRANTED, LISTED)
                if missing and not goes_on(input.on_error):
                    with faults:
                        raise Several(list(missing.values()))
                if faults:
                    with faults:
                        await need_open(w, pk)
                faults.tell()
                known = [one for place, one in enumerate(people) if place not in missing]
                issued = iter(await issue(w, pk, [Recipient(one) for one in known], "grant"))
                return [None if place in missing else next(issued) for place in range(len(people))]

            found = await _issued_once(w, "couponsGrant", input, give)
        errors = [no_customer(LISTED, place) for place, one in enumerate(found) if one is None]
        return {"grants": grants(people, found), "errors": user_errors(Several(errors))}

    made: CouponsGrantPayload = await _answered(CouponsGrantPayload, call)
    return made


async def claim(info: Info, input: CouponsClaimInput) -> CouponsClaimPayload | None:
    async def call() -> dict[str, Any]:
        person = sought_id("Customer", input.customer_id)
        async with info.context.work() as w:

            async def take() -> list[Issued]:
                faults, path = Faults(), ("input", "handle")
                with faults:
                    await get_customer(w, person, path=("input", "customerId"))
                with faults:
                    found = await by_handle(w, input.handle, path)
                    if not found.claimable:
                        raise CouponUnusable(f"{found.name} is not for claiming", path)
                faults.tell()
                made = await issue(
                    w, found.id, [Recipient(person)], "claim", kind="claimed", path=path
                )
                if made[0].reason is not None:
                    raise CouponUnusable(made[0].reason, ("input", "customerId"))
                return made

            issued = await _issued_once(w, "couponsClaim", input, take)
        return {"grant": grants([person], issued)[0]}

    made: CouponsClaimPayload = await _answered(CouponsClaimPayload, call)
    return made


MOST_REASON = 500


async def revoke(info: Info, input: CouponsRevokeInput) -> CouponsRevokePayload | None:
    async def call() -> dict[str, Any]:
        faults, go_on = Faults(), goes_on(input.on_error)
        if not 0 < len(input.ids) <= MAX_GRANTED:
            faults.wrong(f"give 1 to {MAX_GRANTED} ids", "ids")
        if not 0 < len(input.reason) <= MOST_REASON:
            faults.wrong(f"give a reason of 1 to {MOST_REASON} characters", "reason")
        pks = [sought_id(COUPON, one) for one in input.ids[:MAX_GRANTED]]
        async with info.context.work() as w:
            with faults:
                count, errors = await ending.revoke(w, pks, input.reason, go_on=go_on)
            faults.tell()
        return {"revoked": count, "errors": user_errors(Several(errors))}

    made: CouponsRevokePayload = await _answered(CouponsRevokePayload, call)
    return made


async def transfer(info: Info, input: CouponsTransferInput) -> CouponsTransferPayload | None:
    async def call() -> dict[str, Any]:
        pk = sought_id(COUPON, input.id)
        to = sought_id("Customer", input.customer_id)
        async with info.context.work() as w:

            async def move() -> bool:
                await ending.transfer(w, pk, to)
                return True

            moved = await once_for(w, "couponsTransfer", input, move)
        return {"transferred": moved}

    made: CouponsTransferPayload = await _answered(CouponsTransferPayload, call)
    return made


# -- using --------------------------------------------------------------------------------------


def _client(info: Info, basket: CouponBasketInput) -> str:
    """Who types the codes, as well as the caller tells."""
    return (basket.client or basket.customer_id or info.context.actor)[:200]


async def quote(
    info: Info,
    basket: Annotated[
        CouponBasketInput, strawberry.argument(description="What is about to be bought.")
    ],
) -> CouponOutcome | None:
    # one connection for all of it: who guesses much at once is seen by those who wait for one
    async with info.context.work() as w:
        found = await quote_asked(w, [_asked(info, basket)])
    (outcome,) = _shapes(found, [basket])
    return outcome


def _asked(info: Info, basket: CouponBasketInput) -> Asked:
    return Asked(purchase(basket), _client(info, basket))


BASKETS = ("input", "baskets")


def _all_asked(info: Info, baskets: Sequence[CouponBasketInput]) -> list[Asked]:
    """Raises InvalidInput, NotFound or Several, of each basket that is wrong."""
    faults, asked = Faults(), []
    for place, one in enumerate(baskets):
        with faults, paths_moved(("input",), (*BASKETS, str(place))):
            asked.append(_asked(info, one))
    faults.tell()
    return asked


def _shapes(
    outcomes: Sequence[Outcome], baskets: Sequence[CouponBasketInput]
) -> list[CouponOutcome]:
    """Raises CouponGuessing if all are refused; what others have used is told all the same."""
    refusals = [one.refusal for one in outcomes if one.refusal is not None]
    if len(refusals) == len(outcomes):
        with paths_moved(("input",), (*BASKETS, "0")):
            raise refusals[0]
    return [
        outcome_shape(one, basket.currency)
        for one, basket in zip(outcomes, baskets, strict=True)
    ]  # fmt: skip


async def reserve(info: Info, input: CouponsReserveInput) -> CouponsReservePayload | None:
    async def call() -> dict[str, Any]:
        with paths_moved((*BASKETS, "0"), ("input", "basket")):
            async with info.context.work() as w:
                until = input.until or w.now + RESERVED_FOR
                found = await reserve_asked(w, _all_asked(info, [input.basket]), until)
            (outcome,) = _shapes(found, [input.basket])
        return {"outcome": outcome}

    made: CouponsReservePayload = await _answered(CouponsReservePayload, call)
    return made


async def redeem(info: Info, input: CouponsRedeemInput) -> CouponsRedeemPayload | None:
    async def call() -> dict[str, Any]:
        asked = _all_asked(info, input.baskets)
        if len(asked) == 1:  # a till's: others of the same templates wait for each other
            found = [await info.context.together(redeem_asked, asked[0])]
        else:
            async with info.context.work() as w:
                found = await redeem_asked(w, asked)
        return {"outcomes": _shapes(found, input.baskets)}

    made: CouponsRedeemPayload = await _answered(CouponsRedeemPayload, call)
    return made


async def release(info: Info, input: CouponsReleaseInput) -> CouponsReleasePayload | None:
    async def call() -> dict[str, Any]:
        shop = input.shop_id and need_id("Shop", input.shop_id, ("input", "shopId"))
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
    to: To,
    by: Grouped = CouponGrouping.TEMPLATE,
    segment_id: OfSegment = None,
) -> list[CouponFigures] | None:
    segment = None if segment_id is None else need_id("Segment", segment_id, ("segmentId",))
    async with info.context.read() as session:
        found = await figures(session, from_, to, cast("By", by.value), segment)
    return [
        CouponFigures(
            key=None if one.key is None else global_id(GROUP_TYPES[by], one.key), name=one.name,
            granted=one.granted, claimed=one.claimed, redeemed=one.redeemed,
            sales=money(one.sales, one.currency), off=money(one.off, one.currency),
        )
        for one in found
    ]  # fmt: skip


def _field(resolver: Any, description: str) -> Any:
    return strawberry.field(resolver=resolver, description=description)


READ, WRITE, USE = "COUPONS_READ", "COUPONS_WRITE", "COUPONS_REDEEM"
FIELDS = [
    SchemaField("Query", "couponsTemplates", _field(
        templates, "The merchant's coupon templates, the newest first."), READ, "0.1", cost=1),
    SchemaField("Query", "couponsQuote", _field(
        quote, "What codes are worth for a basket, and why not. Changes nothing."), USE, "0.1"),
    SchemaField("Query", "couponsFigures", _field(
        brought, "What was granted and redeemed on the days from `from` to `to`."), READ,
        "0.1", cost=50),
    SchemaField("Mutation", "couponsTemplateCreate", _field(
        template_create, "Make a coupon template."), WRITE, "0.1"),
    SchemaField("Mutation", "couponsTemplateUpdate", _field(
        template_update, "Change a template's limits, times or state; never what it is worth."),
        WRITE, "0.1"),
    SchemaField("Mutation", "couponsCodesMake", _field(
        codes_make, "Make codes in advance, for print; up to 100,000 at once."), WRITE, "0.1",
        emits=(CouponStockLow,)),
    SchemaField("Mutation", "couponsCodesImport", _field(
        codes_import, "Add codes that were made elsewhere to a pool."), WRITE, "0.1",
        emits=(CouponStockLow,)),
    SchemaField("Mutation", "couponsCodesFileCreate", _field(
        codes_file_create,
        "Get the codes in stock of a template as a file, for print; up to 1,000,000."),
        WRITE, "0.1"),
    SchemaField("Mutation", "couponsGrant", _field(
        grant, "Give customers a coupon each; all, or nobody if there are not enough."),
        WRITE, "0.1", emits=(CouponGranted, CouponStockLow, PlatformCouponsDue)),
    SchemaField("Mutation", "couponsClaim", _field(
        claim, "Let a customer take a coupon of a claimable template."), USE, "0.1",
        emits=(CouponGranted, CouponStockLow, PlatformCouponsDue)),
    SchemaField("Mutation", "couponsReserve", _field(
        reserve, "Hold coupons for an order that is being paid."), USE, "0.1"),
    SchemaField("Mutation", "couponsRedeem", _field(
        redeem, "Use coupons for orders. Of each basket all codes are used, or none."), USE, "0.1",
        emits=(CouponRedeemed, CouponAddressBusy)),
    SchemaField("Mutation", "couponsRelease", _field(
        release, "Give back the coupons of an order."), USE, "0.1"),
    SchemaField("Mutation", "couponsRevoke", _field(
        revoke, "Take coupons that were not used out of use."), WRITE, "0.1"),
    SchemaField("Mutation", "couponsTransfer", _field(
        transfer, "Make a coupon another customer's, if its template allows it."), USE, "0.1"),
    *COUPON_FIELDS,
]  # fmt: skip
