"""Trying a rule: who matches, whom each clause costs, and whom a message would reach."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import strawberry
from strawberry.types.nodes import SelectedField, Selection

from core.domain.campaigns.reach import PREVIEW, reach_of
from core.domain.segments import preview as domain
from core.domain.segments.counting import (
    counted_preview,
    counting_job,
    latest_counting,
    start_counting,
)
from core.domain.segments.funnel import Clause
from core.domain.segments.measures import Counts
from core.domain.segments.rules import Rule
from core.schema.context import Info, field
from core.schema.costs import costs
from core.schema.customers import Customer, customers_by_id
from core.schema.errors import UserError, user_errors
from core.schema.jobs import Job, job_of, jobs_by_id
from core.schema.scalars import SegmentRule, need_id
from core.schema.segment_words import Language, path_in_rule, rule_of, stored_form
from core.schema.skips import Skipped, skips
from core.sdk.errors import HuikeError, Several
from core.storage.database import TookTooLong

DIRECT_SECONDS = 1.5
"""So long a query waits for figures before it leaves them to a job."""


@strawberry.type(description="One of the questions of an outermost `all`; any other rule is one.")
class SegmentClause:
    clause: strawberry.Private[Clause]
    rule: strawberry.Private[Rule]
    path: list[str] = strawberry.field(description="Leads to the clause inside the rule.")
    alone: int = strawberry.field(description="How many match it, whatever the others say.")
    remaining: int = strawberry.field(
        description="How many are left by it and all clauses before it."
    )
    excluded: int = strawberry.field(
        description="How many it alone keeps out: all other clauses match them."
    )
    costliest: bool = strawberry.field(description="Whether it is the one that excludes most.")

    @strawberry.field
    def sentence(self, language: Language = Language.EN) -> str:
        return self.rule.sentence(language.value, self.clause.node)


@strawberry.type(description="Whom a marketing message of no single shop would reach now.")
class ChannelReach:
    channel: str
    title: str
    reached: int
    skipped: list[Skipped]


@strawberry.type(
    description="Who belongs to a segment. Only what is asked for is counted: `count` and "
    "`customers`, `sample`, `funnel` and `reach` each take a statement of their own."
)
class SegmentPreview:
    found: strawberry.Private[domain.SegmentPreview]
    at: datetime = strawberry.field(description="The time for which it was counted.")
    count: int = strawberry.field(description="How many customers match.")
    customers: int = strawberry.field(description="How many customers there are at all.")
    funnel: list[SegmentClause] = strawberry.field(description="What each clause does.")
    reach: list[ChannelReach] = strawberry.field(
        description="Of those that match, by each channel that is switched on."
    )

    @strawberry.field
    def explanation(self, language: Language = Language.EN) -> str:
        return self.found.rule.sentence(language.value)

    @field("CUSTOMERS_READ", description="Some of those that match, the newest first.")
    async def sample(self, info: Info) -> list[Customer]:
        async with info.context.read() as session:
            found = await customers_by_id(session, self.found.sample)
        return [found[pk] for pk in self.found.sample if pk in found]


def preview_of(info: Info, found: domain.SegmentPreview) -> SegmentPreview:
    return SegmentPreview(
        found=found,
        at=found.rule.now,
        count=found.count,
        customers=found.customers,
        funnel=[clause_of(found.rule, one) for one in found.funnel],
        reach=[
            ChannelReach(
                channel=one.channel.name,
                title=one.channel.title,
                reached=one.reached,
                skipped=skips(one.skipped),
            )
            for one in reach_of(info.context.installation.registry, found.counts)
        ],
    )


def clause_of(rule: Rule, clause: Clause) -> SegmentClause:
    return SegmentClause(
        clause=clause,
        rule=rule,
        path=path_in_rule(clause.node.path),
        alone=clause.alone,
        remaining=clause.remaining,
        excluded=clause.excluded,
        costliest=clause.costliest,
    )


@strawberry.type(
    description="The preview, or a job that is counting it: follow `jobProgress`, and then ask "
    "`segmentPreviewResult`, or the same again."
)
class SegmentPreviewResult:
    preview: SegmentPreview | None = None
    job: Job | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class SegmentPreviewed:
    stored: strawberry.Private[Any]

    @field(
        "SEGMENTS_READ",
        description="Who belongs to the segment by its rule; see the query `segmentPreview`.",
    )
    async def preview(self, info: Info, sample: int = 10) -> SegmentPreviewResult:
        return await previewed(info, self.stored, sample)


async def previewed(info: Info, stored: Any, sample: int) -> SegmentPreviewResult:
    """What the query selects of a stored rule's preview."""
    try:
        domain.check_sample(sample)
        return await _answer(info, stored, await rule_of(info, stored), sample)
    except (HuikeError, Several) as error:
        return SegmentPreviewResult(errors=user_errors(error))


async def _answer(info: Info, stored: Any, rule: Rule, sample: int) -> SegmentPreviewResult:
    context, registry = info.context, info.context.installation.registry
    wanted = set(_selected(info))
    sample = sample if "sample" in wanted else 0
    if "funnel" in wanted:
        wanted -= {"count", "customers"}
    measures = [one for name, one in PREVIEW.items() if name in wanted]
    if not measures and not sample:
        return SegmentPreviewResult(
            preview=preview_of(info, domain.SegmentPreview(rule, Counts(), []))
        )
    async with context.read() as session:
        job = await latest_counting(session, stored)
        counted = await counted_preview(session, registry, job, sample) if job else None
    if job is not None:
        return SegmentPreviewResult(
            preview=preview_of(info, counted) if counted else None,
            job=None if counted else job_of(job),
        )
    try:
        hurried = context.installation.db.hurried(
            context.merchant_id, DIRECT_SECONDS, context.actor
        )
        async with hurried as session:
            found = await domain.preview_rule(session, registry, rule, sample, measures)
    except TookTooLong:
        async with context.work() as w:
            job_id = await start_counting(w, registry, stored)
            return SegmentPreviewResult(job=(await jobs_by_id(w, [job_id]))[job_id])
    return SegmentPreviewResult(preview=preview_of(info, found))


def _selected(info: Info) -> Iterator[str]:
    """The fields of the preview that the query selects."""
    for result in info.selected_fields:
        for one in _fields(result.selections):
            if one.name == "preview":
                yield from (part.name for part in _fields(one.selections))


def _fields(selections: Iterable[Selection]) -> Iterator[SelectedField]:
    for one in selections:
        if isinstance(one, SelectedField):
            yield one
        else:
            yield from _fields(one.selections)


@strawberry.type
class SegmentPreviewQueries:
    @costs(100)
    @field(
        "SEGMENTS_READ",
        description="Try a rule without storing it. What takes longer than about 1.5 seconds is "
        "left to a job, which this query then starts and returns in place of the preview; the "
        "same rule asked again finds that job, and for 5 minutes what it counted.",
    )
    async def segment_preview(
        self, info: Info, rule: SegmentRule, sample: int = 10
    ) -> SegmentPreviewResult:
        return await previewed(info, await stored_form(info, rule), sample)

    @field(
        "SEGMENTS_READ",
        description="What the job of a preview counted, with the job itself. The preview is null "
        "until the job has succeeded.",
    )
    async def segment_preview_result(
        self, info: Info, job_id: strawberry.ID, sample: int = 10
    ) -> SegmentPreviewResult:
        registry = info.context.installation.registry
        try:
            domain.check_sample(sample)
            async with info.context.read() as session:
                job = await counting_job(session, need_id("Job", job_id, ("jobId",)))
                found = await counted_preview(session, registry, job, sample)
        except (HuikeError, Several) as error:
            return SegmentPreviewResult(errors=user_errors(error))
        return SegmentPreviewResult(
            preview=preview_of(info, found) if found else None, job=job_of(job)
        )
