"""What makes a segment special: begun as a job, and read from its result."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson
import strawberry

from core.domain.segments.rules import stored_rule
from core.domain.segments.traits import KIND, start_traits
from core.domain.segments.tree import EVERYBODY
from core.schema.context import Info, field, mutation
from core.schema.costs import costs
from core.schema.errors import UserError, user_errors
from core.schema.jobs import Job, job_of, jobs_by_id
from core.schema.scalars import SegmentRule, need_id, sought
from core.sdk.errors import Faults, NotFound
from core.storage import jobs


@strawberry.type(description="A value that is more or less frequent in the segment.")
class SegmentTrait:
    attribute: str = strawberry.field(description="As in `province`, or a custom field's name.")
    title: str
    title_zh: str
    value: str
    label: str
    label_zh: str
    inside: int = strawberry.field(description="Customers of the segment that have it.")
    everybody: int = strawberry.field(description="Customers that have it.")
    share: Decimal = strawberry.field(description="Of the segment, 0 to 1 with 4 decimals.")
    share_of_everybody: Decimal
    difference: Decimal = strawberry.field(description="The first share less the second.")
    lift: Decimal = strawberry.field(description="The first share over the second.")
    z: Decimal = strawberry.field(
        description="How sure the difference is: the two-proportion z statistic against who is not "
        "in the segment, below 0 for less."
    )


@strawberry.type(
    description="In what a segment differs from everybody else, the surest difference first; only "
    "differences that are hardly by chance (z beyond 4, and at least 10 customers), and at most 5 "
    "values of one attribute."
)
class SegmentTraits:
    at: datetime
    size: int
    everybody: int
    enough: bool = strawberry.field(
        description="False where fewer than 30 customers are inside, or nobody outside: too few to "
        "tell."
    )
    traits: list[SegmentTrait]


@strawberry.type
class SegmentTraitsResult:
    job: Job | None = None
    traits: SegmentTraits | None = strawberry.field(
        default=None, description="Null until the job has succeeded."
    )
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.input(description="Either a segment or a rule.")
class SegmentTraitsStartInput:
    segment_id: strawberry.ID | None = None
    rule: SegmentRule | None = None
    limit: int = strawberry.field(default=20, description="1 to 100.")


@strawberry.type
class SegmentTraitsStartPayload:
    job: Job | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


def traits_of(result: dict[str, Any]) -> SegmentTraits:
    size, everybody = result["size"], result["everybody"]
    return SegmentTraits(
        at=datetime.fromisoformat(result["at"]),
        size=size,
        everybody=everybody,
        enough=result["enough"],
        traits=[trait_of(one, size, everybody) for one in result["traits"]],
    )


def trait_of(one: dict[str, Any], size: int, everybody: int) -> SegmentTrait:
    share, of_all = Decimal(one["inside"]) / size, Decimal(one["everybody"]) / everybody
    (title, title_zh), (label, label_zh) = one["title"], one["label"]
    return SegmentTrait(
        attribute=one["source"], title=title, title_zh=title_zh,
        value=one["value"], label=label, label_zh=label_zh,
        inside=one["inside"], everybody=one["everybody"],
        share=round(share, 4), share_of_everybody=round(of_all, 4),
        difference=round(share - of_all, 4), lift=round(share / of_all, 2),
        z=Decimal(str(one["z"])),
    )  # fmt: skip


@strawberry.type
class SegmentTraitQueries:
    @costs(100)
    @field("SEGMENTS_READ", description="What the job of `segmentTraitsStart` found.")
    async def segment_traits(self, info: Info, id: strawberry.ID) -> SegmentTraitsResult:
        try:
            pk = need_id("Job", id)
            async with info.context.read() as session:
                row = await jobs.get(session, pk)
            if row["kind"] != KIND:
                raise NotFound("this job compares no segment", ("id",))
        except NotFound as error:
            return SegmentTraitsResult(errors=user_errors(error))
        result = row["result"] and orjson.loads(row["result"])
        return SegmentTraitsResult(job=job_of(row), traits=traits_of(result) if result else None)


@strawberry.type
class SegmentTraitMutations:
    @mutation(
        "SEGMENTS_READ",
        SegmentTraitsStartPayload,
        description="Begin to compare a segment with everybody else; `segmentTraits` has the "
        "result when the job has succeeded.",
    )
    async def segment_traits_start(
        self, info: Info, input: SegmentTraitsStartInput
    ) -> SegmentTraitsStartPayload | None:
        registry = info.context.installation.registry
        pk = sought("Segment", input.segment_id)
        async with info.context.work() as w:
            faults, stored = Faults(), None if input.rule is None else EVERYBODY
            with faults:
                if input.rule is not None:
                    stored = await stored_rule(w, registry, input.rule)
            with faults:
                job_id = await start_traits(w, registry, input.limit, segment_id=pk, stored=stored)
            faults.tell()
            return SegmentTraitsStartPayload(job=(await jobs_by_id(w, [job_id]))[job_id])
