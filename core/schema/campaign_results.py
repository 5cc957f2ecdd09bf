"""What campaigns achieved: figures, sales, lift, reports, and how orders are credited."""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import orjson
import strawberry

from core.domain.campaigns.results.attribution import AttributionRecompute
from core.domain.campaigns.results.bootstrap import Difference, Group, Lift, Verdict
from core.domain.campaigns.results.figures import (
    By,
    Day,
    Figures,
    arrivals,
    figures_by,
    figures_by_day,
    figures_of,
    sales_by_shop,
    win_back,
)
from core.domain.campaigns.results.lift import Score, lift_curve, lift_of_run, read_run
from core.domain.campaigns.results.reports import report_content, write_report
from core.domain.campaigns.results.sales import MAX_DAYS, CampaignSales, Sales, crm_sales
from core.domain.campaigns.results.windows import (
    ANY_CHANNEL,
    FOR_EVER,
    SINCE_EVER,
    WINDOW,
    Window,
    in_force,
    set_window,
    windows,
)
from core.domain.lifecycle.calendar import ALL_SHOPS, Calendar, calendar_of
from core.schema.context import Info, field, mutation
from core.schema.costs import costs
from core.schema.customer_standing import place
from core.schema.errors import UserError
from core.schema.jobs import Job, jobs_by_id
from core.schema.lifecycle import From
from core.schema.long_reads import long_read
from core.schema.scalars import JSON, Money, global_id, money, need_id, version_seen
from core.schema.setting_versions import version_of
from core.sdk.errors import Faults, InvalidInput
from core.sdk.events import CampaignReported
from core.storage import jobs
from core.storage.database import Session

MAX_RUNS = 100
MILLION = 1_000_000

strawberry.enum(Verdict, name="LiftVerdict", description=Verdict.__doc__)
strawberry.enum(Score, name="CustomerScore", description=Score.__doc__)


@strawberry.enum(description="What a customer did with a message, or what it reminded of.")
class MessageTouch(Enum):
    DELIVERY = "delivery"
    OPEN = "open"
    CLICK = "click"
    REMINDER = "reminder"


@strawberry.type(description="Revenue for each unit of money that was spent in this currency.")
class CampaignReturn:
    currency: str
    ratio: Decimal


@strawberry.type(
    description="Messages by what became of them, and the sales credited to them. target is the "
    "sum of heldOut, skipped, pending, sent, failed and unknown."
)
class MessageFigures:
    target: int
    held_out: int = strawberry.field(description="Got nothing, to see what the campaign adds.")
    skipped: int
    pending: int
    sent: int
    failed: int
    unknown: int
    delivered: int = strawberry.field(description="With a receipt that says so.")
    undelivered: int
    opened: int
    clicked: int
    bought: int = strawberry.field(description="Messages that an order is credited to.")
    responded: int = strawberry.field(description="Clicked or bought.")
    opted_out: int = strawberry.field(
        description="The last message by its channel before its customer refused further ones."
    )
    orders: int
    buyers: int
    revenue: list[Money] = strawberry.field(
        description="Paid less refunded of the credited orders, by currency."
    )
    cost: list[Money]
    returns: list[CampaignReturn]
    arrival_rate: Decimal | None = strawberry.field(description="delivered by sent.")
    response_rate: Decimal | None = strawberry.field(
        description="responded by delivered; by sent where no provider tells of deliveries."
    )


def message_figures(found: Figures) -> MessageFigures:
    counts = {name: value for name, value in vars(found).items() if isinstance(value, int)}
    ratios = {currency: found.returned(currency) for currency in found.cost}
    return MessageFigures(
        **counts,
        revenue=moneys(found.revenue),
        cost=[
            Money(amount=Decimal(millionths) / MILLION, currency=currency)
            for currency, millionths in sorted(found.cost.items())
        ],
        returns=[
            CampaignReturn(currency=currency, ratio=ratio)
            for currency, ratio in sorted(ratios.items())
            if ratio is not None
        ],
        arrival_rate=found.arrival,
        response_rate=found.response,
    )


def moneys(amounts: Mapping[str, int]) -> list[Money]:
    return [money(minor, currency) for currency, minor in sorted(amounts.items())]


@strawberry.type
class VariantFigures:
    step: int
    variant: int | None = strawberry.field(description="Null before a winner is decided.")
    figures: MessageFigures


@strawberry.type
class ProviderFigures:
    channel: str
    provider: str | None = strawberry.field(description="Null if the channel names none.")
    figures: MessageFigures


@strawberry.type
class RunFigures:
    run_id: strawberry.ID
    occurrence: datetime | None = strawberry.field(description="Of a recurring campaign.")
    created_at: datetime
    figures: MessageFigures


@strawberry.type(description="What happened on a day; sales are booked to the day of payment.")
class ResultDay:
    day: date
    sent: int
    delivered: int
    opened: int
    clicked: int
    orders: int
    revenue: list[Money]


def result_day(found: Day) -> ResultDay:
    return ResultDay(**{**vars(found), "revenue": moneys(found.revenue)})


@strawberry.type(description="Sales in one shop that are credited to messages.")
class ShopResults:
    shop_id: strawberry.ID
    orders: int
    buyers: int
    revenue: Money


@strawberry.type(description="The figures of a run, or of all runs of a campaign.")
class CampaignResults:
    runs_meant: strawberry.Private[list[int]]
    shop: strawberry.Private[int]

    @field("CAMPAIGNS_READ")
    async def figures(self, info: Info) -> MessageFigures:
        async with long_read(info.context) as session:
            return message_figures(await figures_of(session, self.runs_meant))

    @field("CAMPAIGNS_READ", description="By step and variant.")
    async def by_variant(self, info: Info) -> list[VariantFigures]:
        async with long_read(info.context) as session:
            found = await figures_by(session, self.runs_meant, By.VARIANT)
        return [
            VariantFigures(
                step=step,
                variant=None if variant < 0 else variant,
                figures=message_figures(one),
            )
            for (step, variant), one in found.items()
        ]

    @field("CAMPAIGNS_READ", description="By channel and provider.")
    async def by_provider(self, info: Info) -> list[ProviderFigures]:
        async with long_read(info.context) as session:
            found = await figures_by(session, self.runs_meant, By.PROVIDER)
        return [
            ProviderFigures(
                channel=channel, provider=provider or None, figures=message_figures(one)
            )
            for (channel, provider), one in found.items()
        ]

    @field("CAMPAIGNS_READ", description="By run, the newest first, up to 100: to compare them.")
    async def by_run(self, info: Info) -> list[RunFigures]:
        some = self.runs_meant[:MAX_RUNS]
        async with long_read(info.context) as session:
            found = await figures_by(session, some, By.RUN)
            rows = await session.sql.fetch(
                """SELECT id, occurrence, created_at FROM campaign_runs
                   WHERE merchant_id = $1 AND id = ANY($2) ORDER BY id DESC""",
                session.merchant_id, some,
            )  # fmt: skip
        return [
            RunFigures(
                run_id=global_id("CampaignRun", row["id"]),
                occurrence=row["occurrence"],
                created_at=row["created_at"],
                figures=message_figures(found[(row["id"],)]),
            )
            for row in rows
            if (row["id"],) in found
        ]

    @field("CAMPAIGNS_READ", description="By day of the shop's calendar, ready for a chart.")
    async def by_day(self, info: Info) -> list[ResultDay]:
        async with long_read(info.context) as session:
            calendar = await calendar_of(session, self.shop)
            found = await figures_by_day(session, calendar, self.runs_meant)
        return [result_day(one) for one in found]

    @field("CAMPAIGNS_READ", description="By the shop that was bought in.")
    async def by_shop(self, info: Info) -> list[ShopResults]:
        async with long_read(info.context) as session:
            found = await sales_by_shop(session, self.runs_meant)
        return [
            ShopResults(
                shop_id=global_id("Shop", one.shop_id),
                orders=one.orders,
                buyers=one.buyers,
                revenue=money(one.revenue, one.currency),
            )
            for one in found
        ]


@strawberry.type
class LiftGroup:
    customers: int
    buyers: int
    revenue: Money


@strawberry.type(
    description="Treated less control; with 95 percent it lies between low and high. The verdict "
    "is TOO_SMALL if that includes 0, or a group has fewer than 100 customers or 5 buyers."
)
class LiftDifference:
    value: Decimal
    low: Decimal
    high: Decimal
    verdict: Verdict


@strawberry.type(description="What a run added, compared with those who were held out.")
class CampaignLift:
    treated: LiftGroup
    control: LiftGroup
    conversion: LiftDifference = strawberry.field(description="Buyers by customers.")
    revenue: LiftDifference = strawberry.field(
        description="Revenue for each customer, in the currency's major unit."
    )
    incremental_buyers: Decimal = strawberry.field(
        description="Buyers beyond those that as many customers of the control would have been."
    )
    incremental_sales: Money


def campaign_lift(found: Lift, currency: str) -> CampaignLift:
    unit = money(1, currency).amount

    def group(one: Group) -> LiftGroup:
        return LiftGroup(
            customers=one.customers, buyers=one.buyers, revenue=money(one.amount, currency)
        )

    def difference(one: Difference, scale: Decimal, digits: int) -> LiftDifference:
        low, value, high = (
            round(Decimal(number) * scale, digits) for number in (one.low, one.value, one.high)
        )
        return LiftDifference(value=value, low=low, high=high, verdict=one.verdict)

    return CampaignLift(
        treated=group(found.treated),
        control=group(found.control),
        conversion=difference(found.conversion, Decimal(1), 6),
        revenue=difference(found.revenue, unit, 4),
        incremental_buyers=round(Decimal(found.incremental_buyers), 1),
        incremental_sales=money(round(found.incremental_sales), currency),
    )


@strawberry.type(description="How many of the responders are among the best customers.")
class LiftCurvePoint:
    percent: int = strawberry.field(description="So many percent of the customers, the best.")
    customers: int
    responders: int
    captured: Decimal | None = strawberry.field(description="Their share of all responders.")


@strawberry.type(
    description="The figures of a run when its attribution window had closed; it stays as it was."
)
class CampaignReport:
    content: JSON = strawberry.field(
        description="Revenue in minor units, cost in millionths, by currency."
    )
    made_at: datetime
    actor: str = strawberry.field(description="Who had it made: system, or who recomputed it.")


async def reports_by_run(session: Session, run_ids: list[int]) -> dict[int, CampaignReport]:
    rows = await session.sql.fetch(
        "SELECT * FROM campaign_reports WHERE merchant_id = $1 AND run_id = ANY($2)",
        session.merchant_id, run_ids,
    )  # fmt: skip
    return {
        row["run_id"]: CampaignReport(
            content=orjson.loads(row["content"]), made_at=row["made_at"], actor=row["actor"]
        )
        for row in rows
    }


async def run_calendar(session: Session, shop_id: int | None) -> Calendar:
    """The calendar of a campaign's shop; that of all shops without one."""
    return await calendar_of(session, shop_id or ALL_SHOPS)


@strawberry.type
class RunOutcome:
    """What a run shows of its results."""

    pk: strawberry.Private[int]

    @field("CAMPAIGNS_READ")
    async def results(self, info: Info) -> CampaignResults:
        async with info.context.read() as session:
            run = await read_run(session, self.pk)
        return CampaignResults(runs_meant=[self.pk], shop=run.shop_id or ALL_SHOPS)

    @field("CAMPAIGNS_READ", description="What the run added; null without a holdout.")
    async def lift(self, info: Info) -> CampaignLift | None:
        async with long_read(info.context) as session:
            run = await read_run(session, self.pk)
            calendar = await run_calendar(session, run.shop_id)
            found = await lift_of_run(session, calendar, run)
        return campaign_lift(found, calendar.currency) if found else None

    @field(
        "CAMPAIGNS_READ",
        description="The run's customers from the best to the worst in steps of 5 percent, and "
        "how many of those who clicked or bought are among them. Empty before anything is sent.",
    )
    async def lift_curve(self, info: Info, score: Score = Score.NET_SALES) -> list[LiftCurvePoint]:
        async with long_read(info.context) as session:
            run = await read_run(session, self.pk)
            calendar = await run_calendar(session, run.shop_id)
            found = await lift_curve(session, calendar, run, score)
        total = found[-1].responders if found else 0
        return [
            LiftCurvePoint(
                **vars(one),
                captured=round(Decimal(one.responders) / total, 4) if total else None,
            )
            for one in found
        ]

    @field("CAMPAIGNS_READ", description="Null until the attribution window has closed.")
    def report(self, info: Info) -> CampaignReport | None:
        return info.context.child("run.report", self.pk, reports_by_run)

    @costs(100)
    @field(
        "CAMPAIGNS_READ",
        description="What the report would say now, made for this call: for runs that go on, such "
        "as those of journeys without an end.",
    )
    async def interim_report(self, info: Info) -> CampaignReport:
        async with long_read(info.context) as session:
            content = await report_content(session, await read_run(session, self.pk))
            return CampaignReport(
                content=JSON(content), made_at=session.now, actor=info.context.actor
            )


@strawberry.type
class CampaignOutcome:
    """What a campaign shows of its results."""

    row: strawberry.Private[Any]

    @field("CAMPAIGNS_READ", description="Of all its runs together, and compared.")
    async def results(self, info: Info) -> CampaignResults:
        async with info.context.read() as session:
            rows = await session.sql.fetch(
                """SELECT id FROM campaign_runs WHERE merchant_id = $1 AND campaign_id = $2
                   ORDER BY id DESC""",
                session.merchant_id, self.row["id"],
            )  # fmt: skip
        return CampaignResults(
            runs_meant=[row["id"] for row in rows], shop=self.row["shop_id"] or ALL_SHOPS
        )


# -- a period's sales -----------------------------------------------------------------------------


@strawberry.type(description="Net sales, and the part of them that is credited to messages.")
class CrmTotals:
    orders: int
    sales: Money
    crm_orders: int
    crm_sales: Money
    crm_buyers: int
    crm_share: Decimal | None = strawberry.field(
        description="crmSales by sales; null if nothing was sold."
    )


def crm_totals(found: Sales, currency: str) -> CrmTotals:
    return CrmTotals(
        orders=found.orders,
        sales=money(found.sales, currency),
        crm_orders=found.crm_orders,
        crm_sales=money(found.crm_sales, currency),
        crm_buyers=found.crm_buyers,
        crm_share=found.share,
    )


@strawberry.type
class CrmDay:
    day: date
    totals: CrmTotals


@strawberry.type(description="What is credited to one campaign's messages on one channel.")
class CrmCampaign:
    campaign_id: strawberry.ID
    channel: str
    orders: int
    buyers: int
    sales: Money


def crm_campaign(found: CampaignSales, currency: str) -> CrmCampaign:
    return CrmCampaign(
        campaign_id=global_id("Campaign", found.campaign_id),
        channel=found.channel,
        orders=found.orders,
        buyers=found.buyers,
        sales=money(found.sales, currency),
    )


@strawberry.type(description="Sales of some days, booked to the day of payment.")
class CrmSales:
    total: CrmTotals
    days: list[CrmDay] = strawberry.field(description="Days without a payment are left out.")
    campaigns: list[CrmCampaign] = strawberry.field(description="The greatest sales first.")


@strawberry.type(description="How many of the messages sent in a period arrived.")
class MessageArrival:
    channel: str
    provider: str | None
    sent: int
    delivered: int
    undelivered: int
    clicked: int
    arrival_rate: Decimal | None = strawberry.field(description="delivered by sent.")


@strawberry.type(description="Customers who asked for a refund in a period.")
class WinBack:
    applicants: int
    cancelled: int = strawberry.field(description="Took a request back.")
    bought_again: int = strawberry.field(description="Paid another order within 30 days.")
    won_back: int = strawberry.field(description="Did one of these, or both.")
    rate: Decimal | None = strawberry.field(description="wonBack by applicants.")


@strawberry.type(description="For how many hours a touch counts; 0: it does not count.")
class AttributionWindow:
    channel: str = strawberry.field(description='"*": channels without windows of their own.')
    touch: MessageTouch
    hours: int
    since: datetime | None = strawberry.field(
        description="For orders paid since then; null: since ever, the default."
    )
    until: datetime | None = strawberry.field(description="Null: still holds.")
    actor: str | None

    @field("CAMPAIGNS_READ", description="Of what holds for channel and touch, for `ifVersion`.")
    def version(self, info: Info) -> int:
        return version_of(info, WINDOW, self.channel, self.touch.value)


def attribution_window(found: Window) -> AttributionWindow:
    return AttributionWindow(
        channel=found.channel,
        touch=MessageTouch(found.touch),
        hours=found.hours,
        since=None if found.since == SINCE_EVER else found.since,
        until=None if found.until == FOR_EVER else found.until,
        actor=found.actor,
    )


@strawberry.input
class AttributionWindowSetInput:
    channel: str = strawberry.field(description='"*": channels without windows of their own.')
    touch: MessageTouch
    hours: int = strawberry.field(description="Up to 2160, which is 90 days; 0: does not count.")
    if_version: int | None = version_seen()


@strawberry.type
class AttributionWindowSetPayload:
    windows: list[AttributionWindow] | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.input(description="Days of the merchant's calendar, both included.")
class AttributionRecomputeInput:
    from_: date = strawberry.field(name="from")
    to: date


@strawberry.type
class AttributionRecomputePayload:
    job: Job | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class CampaignReportRecomputePayload:
    report: CampaignReport | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class ResultQueries:
    @costs(100)
    @field(
        "CAMPAIGNS_READ",
        description="CRM sales of a shop, or of all, in up to 400 days: an order is credited once, "
        "to the customer's last touch before paying. In the shop's currency unless another is "
        "named.",
    )
    async def crm_sales(
        self,
        info: Info,
        from_: From,
        to: date,
        shop_id: strawberry.ID | None = None,
        currency: str | None = None,
    ) -> CrmSales | None:
        async with long_read(info.context) as session:
            calendar = await place(session, shop_id)
            if calendar is None:
                return None
            found = await crm_sales(session, calendar, from_, to, currency)
        return CrmSales(
            total=crm_totals(found.total, found.currency),
            days=[
                CrmDay(day=day, totals=crm_totals(one, found.currency))
                for day, one in found.days.items()
            ],
            campaigns=[crm_campaign(one, found.currency) for one in found.campaigns],
        )

    @costs(50)
    @field("CAMPAIGNS_READ", description="By channel and provider, of messages sent in these days.")
    async def message_arrivals(self, info: Info, from_: From, to: date) -> list[MessageArrival]:
        async with long_read(info.context) as session:
            calendar = await calendar_of(session)
            found = await arrivals(session, *period(calendar, from_, to))
        return [
            MessageArrival(
                **{**vars(one), "provider": one.provider or None}, arrival_rate=one.arrival
            )
            for one in found
        ]

    @costs(100)
    @field("ORDERS_READ", description="Who asked for a refund in these days, and was won back.")
    async def refund_win_back(
        self, info: Info, from_: From, to: date, shop_id: strawberry.ID | None = None
    ) -> WinBack | None:
        async with long_read(info.context) as session:
            calendar = await place(session, shop_id)
            if calendar is None:
                return None
            found = await win_back(session, calendar.shop_id, *period(calendar, from_, to))
        return WinBack(**vars(found), rate=found.rate)

    @field(
        "CAMPAIGNS_READ",
        description="For how long touches count, by channel and kind; those that hold now, or all "
        "that ever held.",
    )
    async def attribution_windows(
        self, info: Info, history: bool = False
    ) -> list[AttributionWindow]:
        async with info.context.read() as session:
            found = await windows(session)
            now = session.now
        return [attribution_window(one) for one in (found if history else in_force(found, now))]


def period(calendar: Calendar, first: date, last: date) -> tuple[datetime, datetime]:
    """From the first instant of a day until the end of another. Raises InvalidInput."""
    if not 0 <= (last - first).days < MAX_DAYS:
        raise InvalidInput(f"a period has from 1 to {MAX_DAYS} days", ("input", "to"))
    return calendar.start_of(first), calendar.end_of(last)


@strawberry.type
class ResultMutations:
    @mutation(
        "CAMPAIGNS_WRITE",
        AttributionWindowSetPayload,
        description="Let a touch count for so many hours, for orders paid from now on. Orders paid "
        "before stay credited as they are.",
    )
    async def attribution_window_set(
        self, info: Info, input: AttributionWindowSetInput
    ) -> AttributionWindowSetPayload | None:
        known, faults = {*info.context.installation.registry.channels, "sms", ANY_CHANNEL}, Faults()
        if input.channel not in known:
            there_are = ", ".join(sorted(known))
            faults.wrong(
                f"there is no channel {input.channel[:100]!r}; there are {there_are}", "channel"
            )
        async with info.context.work() as w:
            with faults:
                await set_window(w, input.channel, input.touch.value, input.hours, input.if_version)
            faults.tell()
            found = in_force(await windows(w), w.now)
        return AttributionWindowSetPayload(windows=[attribution_window(one) for one in found])

    @mutation(
        "CAMPAIGNS_WRITE",
        AttributionRecomputePayload,
        description="Credit the orders of a past period anew, by the windows that held then. It "
        "is done by itself wherever something changes; the result is the same each time.",
    )
    async def attribution_recompute(
        self, info: Info, input: AttributionRecomputeInput
    ) -> AttributionRecomputePayload | None:
        async with info.context.work() as w:
            since, until = period(await calendar_of(w), input.from_, input.to)
            params = {"since": since.isoformat(), "until": until.isoformat()}
            pk = await jobs.enqueue(w, AttributionRecompute.name, params)
            return AttributionRecomputePayload(job=(await jobs_by_id(w, [pk]))[pk])

    @mutation(
        "CAMPAIGNS_WRITE",
        CampaignReportRecomputePayload,
        emits=(CampaignReported,),
        description="Make a run's report anew from what is known today, in place of the former.",
    )
    async def campaign_report_recompute(
        self, info: Info, id: strawberry.ID
    ) -> CampaignReportRecomputePayload | None:
        pk = need_id("CampaignRun", id)
        context = info.context
        await write_report(
            context.installation.db, context.merchant_id, pk, anew=True, actor=context.actor
        )
        return CampaignReportRecomputePayload(
            report=await context.load("run.report", pk, reports_by_run)
        )
