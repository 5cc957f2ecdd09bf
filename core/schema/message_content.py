"""Texts of messages: tried for a customer, measured, checked before the start, sent as a test."""

from enum import Enum

import strawberry

from core.domain.campaigns.campaigns import get_campaign
from core.domain.campaigns.content.checking import text_findings, unanswered
from core.domain.campaigns.content.measuring import measure_message
from core.domain.campaigns.content.trial import OPERATION, prepare_trial, send_trial
from core.domain.campaigns.flows import stored_flow
from core.domain.campaigns.preview import About, chosen_message, preview_message
from core.domain.customers.masking import NAME, mask_name
from core.domain.shops.shops import need_shop
from core.schema.campaign_parts import (
    ContentPart,
    ContentPartInput,
    MessageClass,
    content_of,
    parts,
)
from core.schema.campaigns import RenderedSample
from core.schema.context import Info, field, mutation
from core.schema.costs import costs
from core.schema.errors import UserError, user_errors
from core.schema.idempotency import answered, once
from core.schema.message_costs import MoneyRange, cost_range
from core.schema.scalars import need_id, sought, sought_id
from core.sdk.errors import HuikeError, InvalidInput, Several
from core.sdk.flows import Send, Variant

MAX_SAMPLE = 200
OF_SHOP = ("message", "shopId")


@strawberry.input(description="A text that need not be part of a campaign yet.")
class MessageInput:
    channel: str
    content: list[ContentPartInput]
    message_class: MessageClass = MessageClass.MARKETING
    shop_id: strawberry.ID | None = None


@strawberry.type(description="A text filled in for one customer; `error` says why it would not go.")
class MessagePreview:
    message: RenderedSample | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type(description="The least and the most among the customers of a sample.")
class IntRange:
    least: int
    most: int


@strawberry.type(description="What a text becomes for the newest customers with an address.")
class MessageMeasure:
    customers: int = 0
    failed: int = strawberry.field(
        default=0, description="For so many it cannot be filled in; they would get nothing."
    )
    length: IntRange | None = strawberry.field(
        default=None,
        description="Characters of a text message with its signature, bytes of an email.",
    )
    parts: IntRange | None = strawberry.field(
        default=None, description="Into how many parts a text message is cut, each of which costs."
    )
    cost: MoneyRange | None = strawberry.field(
        default=None, description="Of one message, if the channel tells the price of a part."
    )
    problems: list[str] = strawberry.field(
        default_factory=list, description="Why it cannot be filled in for some."
    )
    warnings: list[str] = strawberry.field(default_factory=list)
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.enum(description="Errors stop a campaign's start, warnings do not.")
class FindingLevel(Enum):
    ERROR = "error"
    WARNING = "warning"


@strawberry.type(description="Something about a campaign's texts.")
class CampaignFinding:
    level: FindingLevel
    message: str
    path: list[str]


@strawberry.type
class CampaignCheck:
    ready: bool = strawberry.field(default=False, description="Whether there is no error.")
    findings: list[CampaignFinding] = strawberry.field(default_factory=list)
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.enum
class TestState(Enum):
    SENT = "sent"
    FAILED = "failed"
    UNKNOWN = "unknown"


@strawberry.input
class CampaignTestSendInput:
    to: str = strawberry.field(description="The address of somebody on the merchant's own staff.")
    customer_id: strawberry.ID = strawberry.field(description="Whose values fill in the text.")
    order_id: strawberry.ID | None = None
    parcel_id: strawberry.ID | None = None
    step: str | None = strawberry.field(
        default=None, description="The key of the step; needed where several send."
    )
    variant: int = 0
    idempotency_key: str = strawberry.field(
        description="Any text of yours; a repeated call with it does not send again."
    )


@strawberry.type
class CampaignTestSendPayload:
    state: TestState | None = None
    detail: str | None = strawberry.field(default=None, description="What the channel said.")
    content: list[ContentPart] | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


def _about(
    customer_id: strawberry.ID, order_id: strawberry.ID | None, parcel_id: strawberry.ID | None
) -> About:
    return About(
        sought_id("Customer", customer_id), sought("Order", order_id), sought("Parcel", parcel_id)
    )


def _given(message: MessageInput) -> tuple[Send, int | None]:
    content = content_of(message.content)
    send = Send(
        key="message", channel=message.channel, message_class=message.message_class.value,
        variants=[Variant(content=content)],
    )  # fmt: skip
    shop = message.shop_id
    return send, need_id("Shop", shop, OF_SHOP) if shop else None


async def _shown(
    info: Info, send: Send, variant: int, shop_id: int | None, about: About
) -> MessagePreview:
    context, clear = info.context, info.context.may(NAME.permission)
    async with context.read() as session:
        await need_shop(session, shop_id, OF_SHOP)
        found = await preview_message(
            session, context.installation.registry, send, variant, shop_id, about,
            str if clear else mask_name,
        )  # fmt: skip
    if clear:
        context.saw(NAME.name, about.customer_id)
    return MessagePreview(
        message=RenderedSample(
            customer_pk=found.customer_id, content=parts(found.content), error=found.error
        )
    )


@strawberry.type
class MessageContentQueries:
    @field("CUSTOMERS_READ", description="A text as a customer would get it. Nothing is sent.")
    async def message_preview(
        self,
        info: Info,
        message: MessageInput,
        customer_id: strawberry.ID,
        order_id: strawberry.ID | None = None,
        parcel_id: strawberry.ID | None = None,
    ) -> MessagePreview:
        try:
            send, shop_id = _given(message)
            return await _shown(info, send, 0, shop_id, _about(customer_id, order_id, parcel_id))
        except (HuikeError, Several) as error:
            return MessagePreview(errors=user_errors(error))

    @field("CUSTOMERS_READ", description="A campaign's text as a customer would get it.")
    async def campaign_message_preview(
        self,
        info: Info,
        id: strawberry.ID,
        customer_id: strawberry.ID,
        step: str | None = None,
        variant: int = 0,
        order_id: strawberry.ID | None = None,
        parcel_id: strawberry.ID | None = None,
    ) -> MessagePreview:
        info.context.need("CAMPAIGNS_READ")
        try:
            async with info.context.read() as session:
                row = await get_campaign(session, need_id("Campaign", id))
            send = chosen_message(stored_flow(row["flow"]), step, variant)
            about = _about(customer_id, order_id, parcel_id)
            return await _shown(info, send, variant, row["shop_id"], about)
        except (HuikeError, Several) as error:
            return MessagePreview(errors=user_errors(error))

    @field("CAMPAIGNS_READ", description="How long a text becomes, and what it costs.")
    async def message_measure(
        self, info: Info, message: MessageInput, sample: int = 50
    ) -> MessageMeasure:
        installation = info.context.installation
        try:
            if not 1 <= sample <= MAX_SAMPLE:
                raise InvalidInput(f"sample must be from 1 to {MAX_SAMPLE}", ("sample",))
            send, shop_id = _given(message)
            async with info.context.read() as session:
                await need_shop(session, shop_id, OF_SHOP)
                found = await measure_message(
                    session, installation.registry, send, 0, shop_id,
                    installation.settings.base_url, sample,
                )  # fmt: skip
        except (HuikeError, Several) as error:
            return MessageMeasure(errors=user_errors(error))
        return MessageMeasure(
            customers=found.customers,
            failed=found.failed,
            length=IntRange(least=found.length[0], most=found.length[1]) if found.length else None,
            parts=IntRange(least=found.parts[0], most=found.parts[1]) if found.parts else None,
            cost=cost_range([found]),
            problems=found.problems,
            warnings=found.warnings,
        )

    @costs(20)
    @field(
        "CAMPAIGNS_WRITE",
        description="Whether a campaign's texts are fit to be sent. With `links` they are asked "
        "whether they answer, which takes some seconds.",
    )
    async def campaign_check(
        self, info: Info, id: strawberry.ID, links: bool = False
    ) -> CampaignCheck:
        registry = info.context.installation.registry
        try:
            async with info.context.read() as session:
                row = await get_campaign(session, need_id("Campaign", id))
                flow = stored_flow(row["flow"])
                found = await text_findings(session, registry, flow)
        except (HuikeError, Several) as error:
            return CampaignCheck(errors=user_errors(error))
        ready = all(one.level != "error" for one in found)
        if links and ready:
            found += await unanswered(registry, flow)
        return CampaignCheck(
            ready=ready,
            findings=[
                CampaignFinding(
                    level=FindingLevel(one.level), message=one.message, path=list(one.path)
                )
                for one in found
            ],
        )


@strawberry.type
class MessageContentMutations:
    @mutation(
        "CAMPAIGNS_SEND",
        CampaignTestSendPayload,
        description="Really send one message of a campaign, marked as a test, to somebody of the "
        "merchant's own. It counts in no figure and against no cap.",
    )
    async def campaign_test_send(
        self, info: Info, id: strawberry.ID, input: CampaignTestSendInput
    ) -> CampaignTestSendPayload | None:
        context, installation = info.context, info.context.installation
        registry, key = installation.registry, input.idempotency_key
        pk = need_id("Campaign", id)
        about = _about(input.customer_id, input.order_id, input.parcel_id)
        index = installation.db.keyring.blind_index("test", context.merchant_id, input.to)
        given = {
            "id": pk, "to": index.hex(), "customer": about.customer_id, "order": about.order_id,
            "parcel": about.parcel_id, "step": input.step, "variant": input.variant,
        }  # fmt: skip
        trial = None
        async with context.work() as w:

            async def prepare() -> dict[str, str | None]:
                nonlocal trial
                trial = await prepare_trial(
                    w, registry, pk, input.step, input.variant, input.to, about, key,
                    installation.settings.base_url,
                    str if context.may(NAME.permission) else mask_name,
                )  # fmt: skip
                return {"state": "unknown", "detail": "it is being sent"}

            answer = await once(w, OPERATION, key, given, prepare)
        if trial is None:
            return CampaignTestSendPayload(
                state=TestState(answer["state"]), detail=answer["detail"]
            )
        state, detail = await send_trial(installation.db, registry, trial)
        async with context.work() as w:
            await answered(w, OPERATION, key, {"state": state, "detail": detail})
        if context.may(NAME.permission):
            context.saw(NAME.name, about.customer_id)
        return CampaignTestSendPayload(
            state=TestState(state), detail=detail, content=parts(trial.message.content)
        )
