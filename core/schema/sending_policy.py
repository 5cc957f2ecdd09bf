"""The merchant's sending policy: frequency caps, hours and rates."""

from collections.abc import Sequence
from datetime import date, datetime, time
from enum import Enum
from typing import Annotated, Any

import strawberry

from core.domain.campaigns.policy.caps import CAP, Cap, delete_cap, set_cap
from core.domain.campaigns.policy.hours import HOURS, set_hours, stored_spans
from core.domain.campaigns.policy.places import ALL_CHANNELS
from core.domain.campaigns.policy.rates import MINUTE, RATE, SECOND, set_rate
from core.domain.campaigns.policy.reasons import SKIP_REASONS, reason_in_words
from core.domain.campaigns.policy.windows import COMMUTE_AND_REST, EVERY_DAY, Span
from core.schema.context import Info, field, mutation
from core.schema.errors import UserError
from core.schema.scalars import Node, by_pk, global_id, need_id, version_seen
from core.schema.segment_words import Language
from core.schema.sending_days import SendingHoliday, read_days, row_shop, shop_key
from core.schema.setting_versions import IN_WORDS, version_of
from core.sdk.channels import marketing_hours
from core.sdk.errors import Faults
from core.storage.database import Session

From = Annotated[date | None, strawberry.argument(name="from")]


@strawberry.type(
    description="Times of day of the shop from `start` until before `end`; an end at or before the "
    "start is the next day's."
)
class SendingSpan:
    start: time
    end: time
    weekdays: list[int] = strawberry.field(description="On which it begins; 1 is Monday.")


@strawberry.input(
    description="An end at or before the start is the next day's; from 00:00 to 00:00 is the whole "
    "day."
)
class SendingSpanInput:
    start: time
    end: time
    weekdays: list[int] | None = strawberry.field(
        default=None, description="On which it begins; 1 is Monday. All if not given."
    )


@strawberry.type(
    description="At most so many marketing messages to one customer in any so many hours."
)
class SendingCap(Node):
    shop_id: strawberry.ID | None = strawberry.field(
        description="Counts what is sent in this shop's name; null: all of the merchant's."
    )
    channel: str | None = strawberry.field(description="Null: all channels together.")
    hours: int
    messages: int = strawberry.field(description="0: none may be sent.")
    updated_at: datetime
    shop: strawberry.Private[int]

    @field("CAMPAIGNS_READ", description=IN_WORDS)
    def version(self, info: Info) -> int:
        return version_of(info, CAP, self.shop, self.channel or ALL_CHANNELS, self.hours)


@strawberry.type(
    description="When messages may go out: in `open`, if there is any, not in `quiet`."
)
class SendingHours:
    shop_id: strawberry.ID | None = strawberry.field(description="Null: all shops.")
    channel: str | None = strawberry.field(description="Null: all channels.")
    open: list[SendingSpan]
    quiet: list[SendingSpan]
    service: bool = strawberry.field(description="Whether service messages keep to it too.")
    updated_at: datetime
    shop: strawberry.Private[int]

    @field("CAMPAIGNS_READ", description=IN_WORDS)
    def version(self, info: Info) -> int:
        return version_of(info, HOURS, self.shop, self.channel or ALL_CHANNELS)


@strawberry.enum
class RatePeriod(Enum):
    SECOND = SECOND
    MINUTE = MINUTE


@strawberry.type(description="At most so many messages by a channel in any second or minute.")
class SendingRate:
    channel: str
    messages: int
    per: RatePeriod
    updated_at: datetime

    @field("CAMPAIGNS_READ", description=IN_WORDS)
    def version(self, info: Info) -> int:
        return version_of(info, RATE, self.channel)


@strawberry.type(description="The only hours of the day at which a channel allows marketing.")
class ChannelMarketingHours:
    channel: str
    hours: SendingSpan


@strawberry.type(description="A rule that keeps a message back, by the name that deliveries bear.")
class SendingReason:
    name: str

    @strawberry.field
    def sentence(self, language: Language = Language.EN) -> str:
        return reason_in_words(self.name, language.value)


@strawberry.type(description="All that a merchant has set about sending; see the guide.")
class SendingPolicy:
    caps: list[SendingCap]
    hours: list[SendingHours]
    rates: list[SendingRate]
    marketing_hours: list[ChannelMarketingHours] = strawberry.field(
        description="Set by the channels themselves, as the law or the provider has it."
    )
    reasons: list[SendingReason] = strawberry.field(
        description="Every rule that can keep a message back."
    )

    @field("CAMPAIGNS_READ", description="From a day on, by default from today on (UTC).")
    async def holidays(self, info: Info, from_: From = None) -> list[SendingHoliday]:
        async with info.context.read() as session:
            first = from_ or session.now.date()
            return await read_days(session, "day >= $2 ORDER BY day, shop_id", first)


def _channel(row: Any) -> str | None:
    return None if row["channel"] == ALL_CHANNELS else row["channel"]


def _span(span: Span) -> SendingSpan:
    return SendingSpan(start=span.start, end=span.end, weekdays=sorted(span.weekdays))


async def _caps(session: Session, where: str = "TRUE", *args: Any) -> list[SendingCap]:
    rows = await session.sql.fetch(
        f"""SELECT * FROM sending_caps WHERE merchant_id = $1 AND {where}
            ORDER BY shop_id, channel, hours""",
        session.merchant_id, *args,
    )  # fmt: skip
    return [
        SendingCap(
            id=global_id("SendingCap", row["id"]),
            shop_id=row_shop(row),
            channel=_channel(row),
            hours=row["hours"],
            messages=row["messages"],
            updated_at=row["updated_at"],
            shop=row["shop_id"],
        )
        for row in rows
    ]


async def caps_by_id(session: Session, pks: list[int]) -> dict[int, SendingCap]:
    return by_pk(await _caps(session, "id = ANY($2)", pks))


async def _hours(session: Session, where: str = "TRUE", *args: Any) -> list[SendingHours]:
    rows = await session.sql.fetch(
        f"""SELECT * FROM sending_hours WHERE merchant_id = $1 AND {where}
            ORDER BY shop_id, channel""",
        session.merchant_id, *args,
    )  # fmt: skip
    return [
        SendingHours(
            shop_id=row_shop(row),
            channel=_channel(row),
            open=[_span(span) for span in stored_spans(row["open"])],
            quiet=[_span(span) for span in stored_spans(row["quiet"])],
            service=row["service"],
            updated_at=row["updated_at"],
            shop=row["shop_id"],
        )
        for row in rows
    ]


async def _rates(session: Session, where: str = "TRUE", *args: Any) -> list[SendingRate]:
    rows = await session.sql.fetch(
        f"SELECT * FROM sending_rates WHERE merchant_id = $1 AND {where} ORDER BY channel",
        session.merchant_id, *args,
    )  # fmt: skip
    return [
        SendingRate(
            channel=row["channel"],
            messages=row["messages"],
            per=RatePeriod(row["seconds"]),
            updated_at=row["updated_at"],
        )
        for row in rows
    ]


@strawberry.input
class SendingCapSetInput:
    hours: int = strawberry.field(description="The window, up to 8784 hours; a day is 24.")
    messages: int = strawberry.field(description="0: none may be sent.")
    shop_id: strawberry.ID | None = None
    channel: str | None = None
    if_version: int | None = version_seen()


@strawberry.input
class SendingHoursSetInput:
    shop_id: strawberry.ID | None = None
    channel: str | None = None
    open: list[SendingSpanInput] = strawberry.field(
        default_factory=list, description="If there is any, messages go out only then."
    )
    quiet: list[SendingSpanInput] = strawberry.field(default_factory=list)
    commute_and_rest: bool = strawberry.field(
        default=False, description="Quiet also from 7:30 to 9:30, 12:30 to 14:00, 17:30 to 19:30."
    )
    service: bool = strawberry.field(
        default=False, description="Whether service messages keep to it too."
    )
    if_version: int | None = version_seen()


@strawberry.input
class SendingRateSetInput:
    channel: str
    messages: int | None = strawberry.field(default=None, description="Null: as many as can be.")
    per: RatePeriod = RatePeriod.MINUTE
    if_version: int | None = version_seen()


@strawberry.type
class SendingCapSetPayload:
    cap: SendingCap | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class SendingCapDeletePayload:
    deleted_id: strawberry.ID | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class SendingHoursSetPayload:
    hours: SendingHours | None = strawberry.field(
        default=None, description="Null when there are none any more."
    )
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class SendingRateSetPayload:
    rate: SendingRate | None = strawberry.field(
        default=None, description="Null when there is none any more."
    )
    errors: list[UserError] = strawberry.field(default_factory=list)


def _spans(given: Sequence[SendingSpanInput], name: str, faults: Faults) -> list[Span]:
    """The spans of an input that are right, and faults for the others."""
    made = []
    for place, one in enumerate(given):
        weekdays = EVERY_DAY if one.weekdays is None else frozenset(one.weekdays)
        try:
            if one.start.tzinfo or one.end.tzinfo:
                raise ValueError("times of day are the shop's, without an offset")
            made.append(Span(one.start, one.end, weekdays))
        except ValueError as error:
            faults.wrong(str(error), name, place)
    return made


@strawberry.type
class SendingPolicyQueries:
    @field("CAMPAIGNS_READ")
    async def sending_policy(self, info: Info) -> SendingPolicy:
        registry = info.context.installation.registry
        async with info.context.read() as session:
            limits = {
                name: marketing_hours(owned.value)
                for name, owned in sorted(registry.channels.items())
            }
            return SendingPolicy(
                caps=await _caps(session),
                hours=await _hours(session),
                rates=await _rates(session),
                marketing_hours=[
                    ChannelMarketingHours(channel=name, hours=_span(Span(*hours)))
                    for name, hours in limits.items()
                    if hours is not None
                ],
                reasons=[SendingReason(name=name) for name in SKIP_REASONS],
            )


@strawberry.type
class SendingPolicyMutations:
    @mutation(
        "SENDING_POLICY_WRITE",
        SendingCapSetPayload,
        description="Replaces a cap of the same shop, channel and hours.",
    )
    async def sending_cap_set(
        self, info: Info, input: SendingCapSetInput
    ) -> SendingCapSetPayload | None:
        cap = Cap(
            shop_key(input.shop_id), input.channel or ALL_CHANNELS, input.hours, input.messages
        )
        async with info.context.work() as w:
            pk = await set_cap(w, info.context.installation.registry, cap, input.if_version)
            (made,) = await _caps(w, "id = $2", pk)
        return SendingCapSetPayload(cap=made)

    @mutation("SENDING_POLICY_WRITE", SendingCapDeletePayload)
    async def sending_cap_delete(
        self, info: Info, id: strawberry.ID
    ) -> SendingCapDeletePayload | None:
        async with info.context.work() as w:
            await delete_cap(w, need_id("SendingCap", id))
        return SendingCapDeletePayload(deleted_id=id)

    @mutation(
        "SENDING_POLICY_WRITE",
        SendingHoursSetPayload,
        description="Replaces what was set for the shop and channel; without any spans there is "
        "no rule.",
    )
    async def sending_hours_set(
        self, info: Info, input: SendingHoursSetInput
    ) -> SendingHoursSetPayload | None:
        faults = Faults()
        open_, quiet = _spans(input.open, "open", faults), _spans(input.quiet, "quiet", faults)
        if input.commute_and_rest:
            quiet += COMMUTE_AND_REST
        async with info.context.work() as w:
            with faults:
                pk = await set_hours(
                    w,
                    info.context.installation.registry,
                    shop_key(input.shop_id),
                    input.channel or ALL_CHANNELS,
                    open_=open_,
                    quiet=quiet,
                    service=input.service,
                    if_version=input.if_version,
                )
            faults.tell()
            made = await _hours(w, "id = $2", pk)
        return SendingHoursSetPayload(hours=made[0] if made else None)

    @mutation("SENDING_POLICY_WRITE", SendingRateSetPayload)
    async def sending_rate_set(
        self, info: Info, input: SendingRateSetInput
    ) -> SendingRateSetPayload | None:
        async with info.context.work() as w:
            pk = await set_rate(
                w,
                info.context.installation.registry,
                input.channel,
                input.messages,
                input.per.value,
                input.if_version,
            )
            made = await _rates(w, "id = $2", pk)
        return SendingRateSetPayload(rate=made[0] if made else None)
