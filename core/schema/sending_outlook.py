"""What a campaign would do if it started now, and why a customer got no message of it."""

from datetime import datetime
from enum import Enum

import strawberry

from core.domain.campaigns import simulation as domain
from core.domain.campaigns.policy.reasons import reason_in_words
from core.domain.campaigns.simulation import simulate_campaign, simulated, start_simulating
from core.domain.campaigns.why_not_sent import why_not_sent
from core.domain.segments.rules import Rule
from core.domain.segments.why import Reason
from core.schema.campaigns import Delivery, delivery_of
from core.schema.context import Info, field
from core.schema.costs import costs
from core.schema.customers import customers_by_id
from core.schema.errors import UserError, user_errors
from core.schema.jobs import Job, job_of, jobs_by_id
from core.schema.scalars import need_id
from core.schema.segment_preview import DIRECT_SECONDS
from core.schema.segment_why import SegmentReason, reasons_of
from core.schema.segment_words import Language
from core.schema.skips import Skipped, skips
from core.sdk.errors import HuikeError, NotFound, Several
from core.storage.database import TookTooLong


@strawberry.type(description="So many messages that a rule puts off to an hour.")
class PutOff:
    hour: datetime = strawberry.field(description="The begin of the hour.")
    rule: str
    count: int

    @strawberry.field
    def sentence(self, language: Language = Language.EN) -> str:
        return reason_in_words(self.rule, language.value)


@strawberry.type(
    description="What would become of everybody in the audience: `audience` is the sum of "
    "`wouldSend`, `putOff` and `skipped`. Rates are left out: they change how long it takes, not "
    "who gets it."
)
class CampaignSimulation:
    at: datetime = strawberry.field(description="The time for which it was counted.")
    audience: int
    would_send: int = strawberry.field(description="At once.")
    put_off: list[PutOff]
    skipped: list[Skipped]


@strawberry.type(
    description="The simulation, or a job that is counting it: follow `jobProgress`, and then ask "
    "`campaignSimulationResult`."
)
class CampaignSimulationResult:
    simulation: CampaignSimulation | None = None
    job: Job | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


def _simulation_of(found: domain.Simulation) -> CampaignSimulation:
    return CampaignSimulation(
        at=found.at,
        audience=found.audience,
        would_send=found.would_send,
        put_off=[PutOff(hour=one.hour, rule=one.rule, count=one.count) for one in found.waiting],
        skipped=skips(found.skipped),
    )


@strawberry.enum(description="What policy says to a message.")
class SendingVerdict(Enum):
    SEND = "send"
    WAIT = "wait"
    SKIP = "skip"


@strawberry.type(description="What policy says to the message of a step if it were due now.")
class StepVerdict:
    step: str = strawberry.field(description="The key of the step.")
    verdict: SendingVerdict
    rule: str | None = strawberry.field(description="What keeps it back.")
    at: datetime = strawberry.field(description="When it could be sent, unless it is skipped.")

    @strawberry.field
    def sentence(self, language: Language = Language.EN) -> str | None:
        return reason_in_words(self.rule, language.value) if self.rule else None


@strawberry.type(description="A customer in the light of a campaign.")
class WhyNotSent:
    rule: strawberry.Private[Rule | None]
    reasons: strawberry.Private[list[Reason]]
    answer: str = strawberry.field(
        description="The name of what kept the newest message back, or of what became of it, or of "
        "why there is none."
    )
    in_audience: bool | None = strawberry.field(
        description="Whether the rule of the audience matches the customer; null for a campaign "
        "without such a rule."
    )
    deliveries: list[Delivery] = strawberry.field(
        description="The customer's messages of the campaign, the newest first, up to 100."
    )
    now: list[StepVerdict] = strawberry.field(
        description="What would become of each step's message now, if the campaign came to it."
    )

    @strawberry.field
    def sentence(self, language: Language = Language.EN) -> str:
        return reason_in_words(self.answer, language.value)

    @field(
        "SEGMENTS_READ",
        description="The nodes of the audience's rule, each before those inside it.",
    )
    async def clauses(self, info: Info) -> list[SegmentReason]:
        return reasons_of(self.rule, self.reasons) if self.rule is not None else []


@strawberry.type
class WhyNotSentResult:
    why: WhyNotSent | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class SendingOutlookQueries:
    @costs(100)
    @field(
        "CAMPAIGNS_READ",
        description="What a campaign of one message would do if it started now, by the SQL that "
        "plans it. What takes longer than about 1.5 seconds is left to a job, which this query "
        "then starts and returns in place of the simulation.",
    )
    async def campaign_simulation(self, info: Info, id: strawberry.ID) -> CampaignSimulationResult:
        context = info.context
        try:
            pk = need_id("Campaign", id)
            hurried = context.installation.db.hurried(
                context.merchant_id, DIRECT_SECONDS, context.actor
            )
            async with hurried as session:
                found = await simulate_campaign(session, context.installation.registry, pk)
        except (HuikeError, Several) as error:
            return CampaignSimulationResult(errors=user_errors(error))
        except TookTooLong:
            async with context.work() as w:
                job_id = await start_simulating(w, pk)
                return CampaignSimulationResult(job=(await jobs_by_id(w, [job_id]))[job_id])
        return CampaignSimulationResult(simulation=_simulation_of(found))

    @field(
        "CAMPAIGNS_READ",
        description="What the job of a simulation counted, with the job itself. The simulation is "
        "null until the job has succeeded.",
    )
    async def campaign_simulation_result(
        self, info: Info, job_id: strawberry.ID
    ) -> CampaignSimulationResult:
        try:
            async with info.context.read() as session:
                job, found = await simulated(session, need_id("Job", job_id, ("jobId",)))
        except HuikeError as error:
            return CampaignSimulationResult(errors=user_errors(error))
        return CampaignSimulationResult(
            simulation=_simulation_of(found) if found else None, job=job_of(job)
        )

    @field(
        "CAMPAIGNS_READ",
        description="Why a customer got no message of a campaign, and what would happen now. Needs "
        "the right to read customers too.",
    )
    async def why_not_sent(
        self, info: Info, customer_id: strawberry.ID, campaign_id: strawberry.ID
    ) -> WhyNotSentResult:
        info.context.need("CUSTOMERS_READ")
        registry = info.context.installation.registry
        try:
            customer_pk = need_id("Customer", customer_id, ("customerId",))
            campaign_pk = need_id("Campaign", campaign_id, ("campaignId",))
            async with info.context.read() as session:
                customer = (await customers_by_id(session, [customer_pk])).get(customer_pk)
                if customer is None:
                    raise NotFound("there is no customer with this id", ("customerId",))
                pk = customer.row["id"]
                found = await why_not_sent(session, registry, campaign_pk, pk)
        except (HuikeError, Several) as error:
            return WhyNotSentResult(errors=user_errors(error))
        return WhyNotSentResult(
            why=WhyNotSent(
                rule=found.rule,
                reasons=list(found.clauses),
                answer=found.answer,
                in_audience=found.in_audience,
                deliveries=[delivery_of(row) for row in found.deliveries],
                now=[
                    StepVerdict(
                        step=one.step,
                        verdict=SendingVerdict(one.verdict),
                        rule=one.rule,
                        at=one.moment,
                    )
                    for one in found.now
                ],
            )
        )
