"""The lifecycle model: proposed thresholds and those in force, and the stages of past days."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Annotated, Any

import strawberry

from core.domain.lifecycle.calendar import ALL_SHOPS, Calendar, calendar_of
from core.domain.lifecycle.proposal import Proposal, apply_proposal, propose
from core.domain.lifecycle.refresh import start_refresh
from core.domain.lifecycle.report import Step, report_days, stage_moves, stage_report
from core.domain.lifecycle.stages import LifecycleStage, Move, effect_of
from core.domain.lifecycle.thresholds import (
    THRESHOLDS,
    InForce,
    Thresholds,
    set_thresholds,
    threshold_history,
    thresholds_in_force,
)
from core.schema.context import Info, field, mutation
from core.schema.costs import costs
from core.schema.customer_standing import LifecycleDays, days_of, place
from core.schema.errors import UserError
from core.schema.jobs import Job, jobs_by_id
from core.schema.long_reads import long_read
from core.schema.scalars import sought, version_seen
from core.schema.setting_versions import IN_WORDS, version_of
from core.sdk.errors import Faults
from core.storage.database import Session

From = Annotated[date, strawberry.argument(name="from")]

strawberry.enum(Step, name="LifecycleStep", description=Step.__doc__)


@strawberry.enum(description="Whether thresholds are the default, the model's or the merchant's.")
class LifecycleSource(Enum):
    DEFAULT = "default"
    MODEL = "model"
    MANUAL = "manual"


@strawberry.type(description="Thresholds that hold or held for a time.")
class LifecycleThresholds:
    days: LifecycleDays
    source: LifecycleSource
    valid_from: date | None = strawberry.field(description="Null: since ever, the default.")
    valid_to: date | None = strawberry.field(
        description="The first day they no longer hold; that of validFrom if they were replaced on "
        "the day they were set."
    )
    sample: int | None = strawberry.field(description="Customers who came back, of a model.")
    min_age_days: int | None
    reason: str | None
    actor: str | None
    at: datetime | None = strawberry.field(description="When they were decided.")
    of_all_shops: bool = strawberry.field(
        description="Whether they were set for all shops, or are the default."
    )


def thresholds_of(row: Mapping[str, Any]) -> LifecycleThresholds:
    return LifecycleThresholds(
        days=LifecycleDays(active=row["active"], silent=row["silent"], sleeping=row["sleeping"]),
        source=LifecycleSource(row["source"]),
        valid_from=row["valid_from"],
        valid_to=row["valid_to"],
        sample=row["sample"],
        min_age_days=row["min_age_days"],
        reason=row["reason"],
        actor=row["actor"],
        at=row["at"],
        of_all_shops=row["shop_id"] == ALL_SHOPS,
    )


def in_force_of(found: InForce) -> LifecycleThresholds:
    if found.row is not None:
        return thresholds_of(found.row)
    default = vars(found.thresholds) | {"source": "default", "shop_id": ALL_SHOPS}
    unset = ("valid_from", "valid_to", "sample", "min_age_days", "reason", "actor", "at")
    return thresholds_of(default | dict.fromkeys(unset))


@strawberry.type(description="How many customers came back after so many days.")
class LifecycleBar:
    from_days: int
    to_days: int | None = strawberry.field(description="Null: or later.")
    customers: int


@strawberry.type(description="How many customers are in one stage here and in another there.")
class LifecycleMove:
    from_: LifecycleStage | None = strawberry.field(
        name="from", description="Null: no customers yet on the first day."
    )
    to: LifecycleStage
    customers: int


def moves(found: Sequence[Move]) -> list[LifecycleMove]:
    return [
        LifecycleMove(from_=one.from_stage, to=one.to_stage, customers=one.customers)
        for one in found
    ]


@strawberry.type(description="What the 5221 model proposes now, and what that rests on.")
class LifecycleProposal:
    calendar: strawberry.Private[Calendar]
    thresholds: strawberry.Private[Thresholds]
    days: LifecycleDays = strawberry.field(
        description="Half, 70 and 90 percent of those who bought twice had come back by then. The "
        "configured days if too few came back."
    )
    enough: bool = strawberry.field(description="Whether at least 30 customers came back.")
    sample: int = strawberry.field(description="Customers who came back.")
    mean_days: Decimal | None
    bars: list[LifecycleBar]
    first_buyers: int
    unripe: int = strawberry.field(
        description="First buyers who did not come back yet, and are still within the last of the "
        "proposed days."
    )
    min_age_days: int
    note: str
    note_zh: str

    @field("SEGMENTS_READ", description="What the proposal would make of today's stages.")
    async def effect(self, info: Info) -> list[LifecycleMove]:
        days = self.thresholds
        if not 0 < days.active < days.silent < days.sleeping:
            return []
        async with long_read(info.context) as session:
            return moves(await effect_of(session, self.calendar, days))


def proposal_of(calendar: Calendar, found: Proposal) -> LifecycleProposal:
    note, note_zh = notes(found)
    return LifecycleProposal(
        calendar=calendar,
        thresholds=found.thresholds,
        days=days_of(found.thresholds),
        enough=found.source == "model",
        sample=found.sample,
        mean_days=None if found.mean is None else decimal(found.mean),
        bars=[LifecycleBar(**vars(bar)) for bar in found.bars],
        first_buyers=found.first_buyers,
        unripe=found.unripe,
        min_age_days=found.min_age_days,
        note=note,
        note_zh=note_zh,
    )


def notes(found: Proposal) -> tuple[str, str]:
    """What to keep in mind with a proposal, in English and Chinese."""
    en, zh = [], []
    if found.source == "default":
        en.append(
            f"Only {found.sample} customers came back, of fewer than 30 nothing is concluded: "
            "these are the configured days."
        )
        zh.append(f"仅有{found.sample}位客户复购,不足30位,无法推算:此为默认设置的天数。")
    share = found.unripe * 100 // found.first_buyers if found.first_buyers else 0
    en.append(
        f"{found.unripe} of {found.first_buyers} first buyers ({share}%) can still come back "
        "within these days; long gaps are under-represented among recent buyers. Leave them out "
        "by minAgeDays."
    )
    zh.append(
        f"{found.first_buyers}位首购客户中有{found.unripe}位({share}%)仍可能在此期间内复购;"
        "近期客户的长间隔尚未出现,可用 minAgeDays 排除近期首购客户。"
    )
    return " ".join(en), "".join(zh)


def decimal(value: Fraction) -> Decimal:
    """A fraction with one decimal."""
    return round(Decimal(value.numerator) / value.denominator, 1)


@strawberry.type(description="The lifecycle model of a shop, or of all shops together.")
class LifecycleModel:
    calendar: strawberry.Private[Calendar]

    @field("SEGMENTS_READ", description=IN_WORDS)
    def version(self, info: Info) -> int:
        return version_of(info, THRESHOLDS, self.calendar.shop_id)

    @field("SEGMENTS_READ", description="The thresholds that hold today.")
    async def in_force(self, info: Info) -> LifecycleThresholds:
        calendar = self.calendar
        async with info.context.read() as session:
            found = await thresholds_in_force(session, calendar.shop_id, calendar.today)
        return in_force_of(found)

    @field(
        "SEGMENTS_READ", description="What was decided for just this, the last first; up to 100."
    )
    async def history(self, info: Info) -> list[LifecycleThresholds]:
        async with info.context.read() as session:
            rows = await threshold_history(session, self.calendar.shop_id)
        return [thresholds_of(row) for row in rows]

    @field(
        "SEGMENTS_READ",
        description="With minAgeDays only of customers who first bought at least so many days ago.",
    )
    async def proposal(self, info: Info, min_age_days: int = 0) -> LifecycleProposal:
        async with long_read(info.context) as session:
            found = await propose(session, self.calendar, min_age_days)
        return proposal_of(self.calendar, found)

    @field("SEGMENTS_READ", description="What other thresholds would make of today's stages.")
    async def effect(
        self, info: Info, active: int, silent: int, sleeping: int
    ) -> list[LifecycleMove]:
        wanted = Thresholds(active, silent, sleeping)
        async with long_read(info.context) as session:
            return moves(await effect_of(session, self.calendar, wanted))


@strawberry.type
class LifecycleCount:
    stage: LifecycleStage
    customers: int


@strawberry.type(description="How many customers were in each stage when a day ended.")
class LifecycleDay:
    day: date
    thresholds: LifecycleDays = strawberry.field(description="Those in force on that day.")
    stages: list[LifecycleCount]


@strawberry.input
class LifecycleThresholdsSetInput:
    active: int
    silent: int
    sleeping: int
    reason: str
    shop_id: strawberry.ID | None = strawberry.field(
        default=None, description="Without it for all shops that have none of their own."
    )
    from_: date | None = strawberry.field(
        name="from", default=None, description="Today, or a later day within a year."
    )
    if_version: int | None = version_seen()


@strawberry.input
class LifecycleProposalApplyInput:
    reason: str
    shop_id: strawberry.ID | None = None
    min_age_days: int = 0
    if_version: int | None = version_seen()


@strawberry.type
class LifecycleThresholdsSetPayload:
    lifecycle: LifecycleModel | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class LifecycleProposalApplyPayload:
    lifecycle: LifecycleModel | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class LifecycleRefreshStartPayload:
    job: Job | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


async def need_place(session: Session, shop_id: str | None, faults: Faults) -> Calendar:
    """The calendar of a shop's global id, of all shops for None.

    That of all shops too, and a fault, where there is no such shop.
    """
    with faults:
        return await calendar_of(session, sought("Shop", shop_id) or ALL_SHOPS)
    return await calendar_of(session)


@strawberry.type
class LifecycleQueries:
    @field("SEGMENTS_READ", description="Of all shops together, or of one.")
    async def lifecycle(
        self, info: Info, shop_id: strawberry.ID | None = None
    ) -> LifecycleModel | None:
        async with info.context.read() as session:
            calendar = await place(session, shop_id)
        return LifecycleModel(calendar=calendar) if calendar else None

    @costs(100)
    @field(
        "SEGMENTS_READ",
        description="Stages as of past days, up to 120 of them, by the purchases until then and "
        "the thresholds of then; refunds as known today.",
    )
    async def lifecycle_report(
        self,
        info: Info,
        from_: From,
        to: date,
        step: Step = Step.MONTH,
        shop_id: strawberry.ID | None = None,
    ) -> list[LifecycleDay]:
        days = report_days(from_, to, step)
        async with long_read(info.context) as session:
            calendar = await place(session, shop_id)
            found = await stage_report(session, calendar, days) if calendar else []
        return [
            LifecycleDay(
                day=one.day,
                thresholds=days_of(one.thresholds),
                stages=[
                    LifecycleCount(stage=stage, customers=count)
                    for stage, count in one.customers.items()
                ],
            )
            for one in found
        ]

    @costs(100)
    @field("SEGMENTS_READ", description="Who went from which stage to which between two days.")
    async def lifecycle_moves(
        self,
        info: Info,
        from_: From,
        to: date,
        shop_id: strawberry.ID | None = None,
    ) -> list[LifecycleMove]:
        async with long_read(info.context) as session:
            calendar = await place(session, shop_id)
            return moves(await stage_moves(session, calendar, from_, to)) if calendar else []


@strawberry.type
class LifecycleMutations:
    @mutation(
        "SEGMENTS_WRITE",
        LifecycleThresholdsSetPayload,
        description="Let other thresholds hold from today or a later day on; past days keep "
        "theirs. To take it back set the former ones, which `history` lists.",
    )
    async def lifecycle_thresholds_set(
        self, info: Info, input: LifecycleThresholdsSetInput
    ) -> LifecycleThresholdsSetPayload | None:
        async with info.context.work() as w:
            faults = Faults()
            calendar = await need_place(w, input.shop_id, faults)
            with faults:
                await set_thresholds(
                    w, calendar, Thresholds(input.active, input.silent, input.sleeping),
                    input.reason, from_day=input.from_, if_version=input.if_version,
                )  # fmt: skip
            faults.tell()
        return LifecycleThresholdsSetPayload(lifecycle=LifecycleModel(calendar=calendar))

    @mutation(
        "SEGMENTS_WRITE",
        LifecycleProposalApplyPayload,
        description="Let what the model proposes now hold from today on.",
    )
    async def lifecycle_proposal_apply(
        self, info: Info, input: LifecycleProposalApplyInput
    ) -> LifecycleProposalApplyPayload | None:
        async with info.context.work() as w:
            faults = Faults()
            calendar = await need_place(w, input.shop_id, faults)
            with faults:
                await apply_proposal(
                    w, calendar, input.reason, input.min_age_days, input.if_version
                )
            faults.tell()
        return LifecycleProposalApplyPayload(lifecycle=LifecycleModel(calendar=calendar))

    @mutation(
        "SEGMENTS_WRITE",
        LifecycleRefreshStartPayload,
        description="Measure the boundaries of value and the products' cycles now; it is done once "
        "a day anyway. The open job if there is one.",
    )
    async def lifecycle_refresh_start(self, info: Info) -> LifecycleRefreshStartPayload | None:
        async with info.context.work() as w:
            pk = await start_refresh(w)
            return LifecycleRefreshStartPayload(job=(await jobs_by_id(w, [pk]))[pk])
