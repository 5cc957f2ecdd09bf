"""The membership programme: its rules and tiers, and who is a member."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from inspect import getdoc
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from core.domain.customers.customers import get_customer
from core.domain.members.benefits import stored_benefits
from core.domain.members.membership import MemberSource, counts_by_day, join, leave
from core.domain.members.points import CUSTOMER, Balance, balances
from core.domain.members.programme import (
    Programme,
    create_tier,
    delete_tier,
    find_programme,
    get_programme,
    set_programme,
    update_tier,
)
from core.domain.members.standing import MemberStanding, members_of
from core.domain.members.tiers import TierRule, count_changes, set_tier
from core.schema.context import CHILDREN, Info, field, mutation
from core.schema.costs import costs
from core.schema.errors import UserError
from core.schema.long_reads import long_read
from core.schema.scalars import (
    JSON,
    Node,
    changes,
    global_id,
    need_id,
    read_id,
    sought,
    sought_id,
    version_seen,
)
from core.schema.shops import Shop, shops_by_id
from core.sdk.errors import Faults, InvalidInput, NotFound, WrongState
from core.sdk.events import MemberJoined, MemberLeft, TierChanged
from core.sdk.money import from_minor, to_minor
from core.storage.database import Session

if TYPE_CHECKING:
    from core.schema.platform_members import PlatformMembership

strawberry.enum(MemberSource, description=getdoc(MemberSource))


@strawberry.enum(description="What tiers are reached by.")
class TierMeasure(Enum):
    NET_SPEND = "net_spend"
    PURCHASES = "purchases"
    POINTS = "points"


@strawberry.type(
    description="A tier; the one with the higher rank is better. Without a threshold it is given "
    "by hand only."
)
class Tier(Node):
    name: str
    rank: int
    threshold: Decimal | None = strawberry.field(
        description="An amount of the programme's currency, or a number, by its measure."
    )
    keep_threshold: Decimal | None
    deleted_at: datetime | None = strawberry.field(
        description="Deleted tiers are shown by figures of the time when they had members."
    )
    benefits: JSON = strawberry.field(
        description="A list of objects with a `kind`: `discount`, `free_shipping`, "
        "`birthday_gift`, `exclusive_items`, `service_level` or `points_multiplier`."
    )
    version: int


@strawberry.type(description="The merchant's programme over all its shops.")
class MembershipProgramme:
    made: strawberry.Private[Programme]
    name: str
    currency: str
    measure: TierMeasure
    rules: JSON = strawberry.field(description="All rules, as `programmeSet` takes them.")
    version: int

    @field("MEMBERS_READ", description="The lowest first.")
    async def tiers(self, info: Info) -> list[Tier]:
        async with info.context.read() as session:
            return list((await tiers_by_id(session, None, self.made)).values())


@strawberry.type(description="Points of a customer; those that expire first are told.")
class PointsBalance:
    available: int
    pending: int
    held: int
    expiring: int
    expires_at: datetime | None


@strawberry.type(description="What is missing to the next tier.")
class NextTier:
    tier: Tier
    missing: Decimal


@strawberry.type(description="A customer in the programme.")
class Membership:
    standing: strawberry.Private[MemberStanding]
    card_number: str
    joined_at: datetime
    join_source: MemberSource
    tier: Tier | None
    tier_since: datetime | None
    tier_until: datetime | None = strawberry.field(
        description="When the tier is looked at again; null if it is kept for good."
    )
    measured: Decimal = strawberry.field(description="What tiers are reached by, so far.")
    next_tier: NextTier | None

    @field("SHOPS_READ")
    async def join_shop(self, info: Info) -> Shop | None:
        if self.standing.join_shop_id is None:
            return None
        return await info.context.load("shops", self.standing.join_shop_id, shops_by_id)


@strawberry.type(description="Members who joined and left on a day, by source.")
class MembershipCount:
    day: date
    source: MemberSource
    joined: int
    left: int


@strawberry.type(description="How many members a change would move.")
class TierEffect:
    rise: int
    fall: int


def shown(amount: int, programme: Programme) -> Decimal:
    """What is measured, as a number for people."""
    if programme.rules.tiers.measure == "net_spend":
        return from_minor(amount, programme.currency)
    return Decimal(amount)


def stored(amount: Decimal | None, programme: Programme, path: str) -> int | None:
    """What is measured, as it is stored. Raises InvalidInput."""
    if amount is None:
        return None
    if programme.rules.tiers.measure != "net_spend":
        if amount != amount.to_integral_value():
            raise InvalidInput("a whole number is needed", ("input", path))
        return int(amount)
    try:
        return to_minor(amount, programme.currency)
    except ValueError as error:
        raise InvalidInput(str(error), ("input", path)) from None


async def tiers_by_id(
    session: Session, pks: Sequence[int] | None, programme: Programme, deleted: bool = False
) -> dict[int, Tier]:
    """Tiers by number, the lowest first; for None all of them, `deleted` ones only if asked for."""
    rows = await session.sql.fetch(
        """SELECT * FROM tiers WHERE merchant_id = $1
              AND CASE WHEN $2::bigint[] IS NULL THEN $3 OR deleted_at IS NULL
                       ELSE id = ANY($2::bigint[]) END
           ORDER BY rank, id""",
        session.merchant_id, None if pks is None else list(pks), deleted,
    )  # fmt: skip
    return {row["id"]: _tier(row, programme) for row in rows}


async def tiers_by_pk(session: Session, pks: list[int]) -> dict[int, Tier]:
    programme = await find_programme(session)
    return {} if programme is None else await tiers_by_id(session, pks, programme)


def _tier(row: Mapping[str, Any], programme: Programme) -> Tier:
    benefits = [benefit.model_dump(mode="json") for benefit in stored_benefits(row["benefits"])]
    return Tier(
        id=global_id("Tier", row["id"]),
        version=row["version"],
        name=row["name"],
        rank=row["rank"],
        threshold=None if row["threshold"] is None else shown(row["threshold"], programme),
        keep_threshold=None
        if row["keep_threshold"] is None
        else shown(row["keep_threshold"], programme),
        deleted_at=row["deleted_at"],
        benefits=JSON(benefits),
    )


def programme_of(made: Programme) -> MembershipProgramme:
    return MembershipProgramme(
        made=made,
        name=made.name,
        currency=made.currency,
        measure=TierMeasure(made.rules.tiers.measure),
        rules=JSON(made.rules.model_dump(mode="json")),
        version=made.version,
    )


async def memberships_of(session: Session, pks: list[int]) -> dict[int, Membership]:
    """The present memberships of customers."""
    programme = await find_programme(session)
    if programme is None:
        return {}
    tiers = await tiers_by_id(session, None, programme)
    return {
        pk: _membership(one, programme, tiers)
        for pk, one in (await members_of(session, programme, pks)).items()
    }


def _membership(one: MemberStanding, programme: Programme, tiers: Mapping[int, Tier]) -> Membership:
    following = None
    if one.next_id is not None and one.missing is not None:
        following = NextTier(tier=tiers[one.next_id], missing=shown(one.missing, programme))
    return Membership(
        standing=one,
        card_number=one.card_number,
        joined_at=one.joined_at,
        join_source=MemberSource(one.join_source),
        tier=None if one.tier_id is None else tiers.get(one.tier_id),
        tier_since=one.tier_since,
        tier_until=one.tier_until,
        measured=shown(one.measured, programme),
        next_tier=following,
    )


async def balances_of(session: Session, pks: list[int]) -> dict[int, PointsBalance]:
    return {pk: balance_of(one) for pk, one in (await balances(session, pks)).items()}


def balance_of(one: Balance) -> PointsBalance:
    return PointsBalance(
        available=one.available,
        pending=one.pending,
        held=one.held,
        expiring=one.expiring,
        expires_at=one.expires_at,
    )


@strawberry.type
class CustomerMembership:
    row: strawberry.Private[Any]

    @field("MEMBERS_READ", description="Null for who is no member now.")
    def membership(self, info: Info) -> Membership | None:
        return info.context.child("customer.membership", self.row["id"], memberships_of)

    @field("MEMBERS_READ", description="What platforms tell of the customer as a member there.")
    async def platform_memberships(
        self, info: Info
    ) -> list[Annotated["PlatformMembership", strawberry.lazy("core.schema.platform_members")]]:
        batch = CHILDREN["platform_memberships_of"]
        return await info.context.load("customer.platforms", self.row["id"], batch) or []

    @field("MEMBERS_READ")
    def points(self, info: Info) -> PointsBalance | None:
        return info.context.child("customer.points", self.row["id"], balances_of)


# -- inputs and payloads ------------------------------------------------------------------------


@strawberry.input(description="The whole programme; rules that are left out have their defaults.")
class ProgrammeSetInput:
    name: str
    currency: str
    rules: JSON = strawberry.field(
        description="An object with `tiers`, `points` and `welcome_points`, each of them optional."
    )
    if_version: int | None = version_seen()


@strawberry.input
class TierCreateInput:
    name: str
    rank: int
    threshold: Decimal | None = None
    keep_threshold: Decimal | None = None
    benefits: JSON | None = None


@strawberry.input(description="Absent fields stay as they are.")
class TierUpdateInput:
    name: strawberry.Maybe[str]
    threshold: strawberry.Maybe[Decimal | None]
    keep_threshold: strawberry.Maybe[Decimal | None]
    benefits: strawberry.Maybe[JSON]
    if_version: int | None = version_seen()


@strawberry.input(description="A tier as it might be, to see what it would do.")
class TierThresholdInput:
    tier_id: strawberry.ID
    threshold: Decimal | None = None
    keep_threshold: Decimal | None = None


@strawberry.input
class MemberJoinInput:
    customer_id: strawberry.ID
    source: MemberSource
    shop_id: strawberry.ID | None = None
    card_number: str | None = strawberry.field(default=None, description="Made up if absent.")


@strawberry.input
class MemberLeaveInput:
    customer_id: strawberry.ID
    source: MemberSource


@strawberry.input
class MemberTierSetInput:
    customer_id: strawberry.ID
    tier_id: strawberry.ID
    until: datetime | None = strawberry.field(default=None, description="Null: for good.")


@strawberry.type
class ProgrammeSetPayload:
    programme: MembershipProgramme | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class TierCreatePayload:
    tier: Tier | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class TierUpdatePayload:
    tier: Tier | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class TierDeletePayload:
    id: strawberry.ID | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class MemberJoinPayload:
    membership: Membership | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class MemberLeavePayload:
    customer_id: strawberry.ID | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class MemberTierSetPayload:
    membership: Membership | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class MemberQueries:
    @field("MEMBERS_READ", description="Null before one is set up.")
    async def programme(self, info: Info) -> MembershipProgramme | None:
        async with info.context.read() as session:
            made = await find_programme(session)
        return None if made is None else programme_of(made)

    @costs(50)
    @field("MEMBERS_READ", description="Days of the merchant's calendar, both included.")
    async def membership_counts(self, info: Info, first: date, last: date) -> list[MembershipCount]:
        async with long_read(info.context) as session:
            found = await counts_by_day(session, first, last)
        return [
            MembershipCount(day=day, source=MemberSource(source), joined=joined, left=left)
            for day, source, joined, left in found
        ]

    @costs(100)
    @field(
        "MEMBERS_READ",
        description="What these thresholds would do to today's members; tiers not named stay. Null "
        "if a tier is unknown.",
    )
    async def tiers_effect(self, info: Info, tiers: list[TierThresholdInput]) -> TierEffect | None:
        async with long_read(info.context) as session:
            programme = await get_programme(session)
            proposed = {tier.id: tier for tier in programme.tiers}
            for given in tiers:
                pk = read_id("Tier", given.tier_id)
                if pk is None or pk not in proposed:
                    return None
                proposed[pk] = TierRule(
                    pk, proposed[pk].rank, stored(given.threshold, programme, "threshold"),
                    stored(given.keep_threshold, programme, "keepThreshold"),
                )  # fmt: skip
            counted = await count_changes(
                session, programme.rules.tiers, list(proposed.values()), programme.currency,
                programme.zone,
            )  # fmt: skip
        return TierEffect(
            rise=counted["upgrade"], fall=sum(counted[cause] for cause in ("downgrade", "refund"))
        )


@strawberry.type
class MemberMutations:
    @mutation("MEMBERS_WRITE", ProgrammeSetPayload)
    async def programme_set(
        self, info: Info, input: ProgrammeSetInput
    ) -> ProgrammeSetPayload | None:
        rules: Any = input.rules
        async with info.context.work() as w:
            await set_programme(w, input.name, input.currency, rules, input.if_version)
            return ProgrammeSetPayload(programme=programme_of(await get_programme(w)))

    @mutation("MEMBERS_WRITE", TierCreatePayload)
    async def tier_create(self, info: Info, input: TierCreateInput) -> TierCreatePayload | None:
        async with info.context.work() as w:
            programme, faults = await get_programme(w), Faults()
            given = _told(vars(input), programme, faults)
            with faults:
                pk = await create_tier(w, input.name, input.rank, **given)
            faults.tell()
            return TierCreatePayload(tier=(await tiers_by_id(w, [pk], programme))[pk])

    @mutation("MEMBERS_WRITE", TierUpdatePayload)
    async def tier_update(
        self, info: Info, id: strawberry.ID, input: TierUpdateInput
    ) -> TierUpdatePayload | None:
        pk = need_id("Tier", id)
        changed = changes(input)
        async with info.context.work() as w:
            programme, faults = await get_programme(w), Faults()
            changed |= _told(changed, programme, faults)
            with faults:
                await update_tier(w, pk, changed, input.if_version)
            faults.tell()
            return TierUpdatePayload(tier=(await tiers_by_id(w, [pk], programme))[pk])

    @mutation(
        "MEMBERS_WRITE",
        TierDeletePayload,
        description="Its members get the tier that they deserve otherwise.",
    )
    async def tier_delete(self, info: Info, id: strawberry.ID) -> TierDeletePayload | None:
        async with info.context.work() as w:
            await delete_tier(w, need_id("Tier", id))
        return TierDeletePayload(id=id)

    @mutation("MEMBERS_WRITE", MemberJoinPayload, emits=(MemberJoined, TierChanged))
    async def member_join(self, info: Info, input: MemberJoinInput) -> MemberJoinPayload | None:
        pk = sought_id("Customer", input.customer_id)
        async with info.context.work() as w:
            await join(
                w, pk, input.source.value,
                shop_id=sought("Shop", input.shop_id), card_number=input.card_number,
            )  # fmt: skip
            return MemberJoinPayload(membership=(await memberships_of(w, [pk]))[pk])

    @mutation(
        "MEMBERS_WRITE",
        MemberLeavePayload,
        emits=(MemberLeft, TierChanged),
        description="The points stay in the ledger, for who comes back.",
    )
    async def member_leave(self, info: Info, input: MemberLeaveInput) -> MemberLeavePayload | None:
        pk = sought_id("Customer", input.customer_id)
        async with info.context.work() as w:
            await leave(w, pk, input.source.value)
        return MemberLeavePayload(customer_id=input.customer_id)

    @mutation("MEMBERS_WRITE", MemberTierSetPayload, emits=(TierChanged,))
    async def member_tier_set(
        self, info: Info, input: MemberTierSetInput
    ) -> MemberTierSetPayload | None:
        pk = sought_id("Customer", input.customer_id)
        tier = sought_id("Tier", input.tier_id)
        async with info.context.work() as w:
            programme, faults = await get_programme(w), Faults()
            with faults:
                await get_customer(w, pk, path=CUSTOMER)
                if pk not in await members_of(w, programme, [pk]):
                    raise WrongState("the customer is not a member", CUSTOMER)
            if tier not in {one.id for one in programme.tiers}:
                faults.add(NotFound("there is no such tier", ("input", "tierId")))
            if input.until is not None and input.until <= w.now:
                faults.wrong("the time lies in the past", "until")
            faults.tell()
            await set_tier(w, pk, tier, input.until)
            return MemberTierSetPayload(membership=(await memberships_of(w, [pk]))[pk])


def _told(given: Mapping[str, Any], programme: Programme, faults: Faults) -> dict[str, Any]:
    """Thresholds and benefits of a tier as they are stored, of those that are given."""
    found: dict[str, Any] = {}
    for key, path in (("threshold", "threshold"), ("keep_threshold", "keepThreshold")):
        if key in given:
            with faults:
                found[key] = stored(given[key], programme, path)
    if "benefits" in given:
        with faults:
            found["benefits"] = _list(given["benefits"])
    return found


def _list(given: Any) -> list[Any]:
    if given is None:
        return []
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise InvalidInput("benefits are a list of objects", ("input", "benefits"))
    return given
