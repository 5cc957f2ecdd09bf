"""The plugin's GraphQL fields."""

from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated

import strawberry

from core.domain.shops.plugins import plugin_context, plugin_settings
from core.domain.shops.shops import shop_exists
from core.schema.campaign_parts import MessageClass
from core.schema.context import Info
from core.schema.errors import UserError, user_errors
from core.schema.idempotency import PATH as KEY_PATH
from core.schema.idempotency import answered, forget, once_for
from core.schema.scalars import need_id
from core.sdk import HuikeError, PluginContext, SchemaField, Several, Unknown, WrongState
from plugins.sms import arrival, registered
from plugins.sms.records import approved_templates
from plugins.sms.routing import way_of
from plugins.sms.settings import SmsSettings
from plugins.sms.texts import link_in, parts_of, price_of, wrong_with

PLUGIN = "sms"
OPERATION = "smsTemplateSubmit"
From = Annotated[
    date,
    strawberry.argument(
        name="from", description="The first day of the merchant's calendar, included."
    ),
]
HOME, ABROAD = "+86", "+1"


@strawberry.enum(description="How far the review of a signature or template is.")
class SmsReviewState(Enum):
    PENDING = strawberry.enum_value("pending", description="Handed in, not decided yet.")
    APPROVED = strawberry.enum_value("approved", description="It can be used.")
    REJECTED = strawberry.enum_value("rejected", description="It cannot; `reason` says why.")
    CANCELLED = strawberry.enum_value(
        "cancelled", description="It is not on the provider's list any more."
    )


@strawberry.type(description="A signature as it stands at a provider.")
class SmsSignature:
    provider: str = strawberry.field(description="The provider's name in the plugin's settings.")
    name: str = strawberry.field(description="What stands in 【】 before a text.")
    state: SmsReviewState = strawberry.field(
        description="How far its review is; only approved ones can be used."
    )
    reason: str = strawberry.field(description="Why it was rejected, in the provider's words.")
    synced_at: datetime = strawberry.field(description="When the provider last told so.")


@strawberry.type(description="A template as it stands at a provider.")
class SmsTemplate:
    provider: str = strawberry.field(description="The provider's name in the plugin's settings.")
    code: str = strawberry.field(description="The provider's own, by which it is sent.")
    name: str = strawberry.field(description="As it was handed in, for people.")
    text: str = strawberry.field(description="With the provider's variables, ${name} or {1}.")
    message_class: MessageClass | None = strawberry.field(description="Null: for both.")
    abroad: bool | None = strawberry.field(
        description="For numbers abroad or at home; null: for both."
    )
    state: SmsReviewState = strawberry.field(
        description="How far its review is; only texts of approved ones are taken."
    )
    reason: str = strawberry.field(description="Why it was rejected, in the provider's words.")
    synced_at: datetime = strawberry.field(description="When the provider last told so.")


@strawberry.type(description="Messages that a provider took under a signature, for one carrier.")
class SmsArrival:
    provider: str = strawberry.field(description="The provider's name in the plugin's settings.")
    signature: str = strawberry.field(description="Under which they were sent.")
    prefix: str = strawberry.field(
        description="First three digits of the numbers at home (138), country abroad (+44)."
    )
    sent: int = strawberry.field(description="How many the provider took.")
    delivered: int = strawberry.field(description="How many of them arrived.")
    undelivered: int = strawberry.field(description="How many of them did not.")
    waiting: int = strawberry.field(description="Those of which no end is known yet.")
    rate: Decimal | None = strawberry.field(
        description="Delivered by those whose end is known; null if none is."
    )


@strawberry.type(description="Whether a provider would take a text.")
class SmsTextProvider:
    provider: str = strawberry.field(description="The provider's name in the plugin's settings.")
    template: str | None = strawberry.field(
        description="The approved template that it was found to be of; null if it needs none."
    )
    price: Decimal | None = strawberry.field(description="Of the whole message.")
    currency: str
    problem: str | None = strawberry.field(description="Why the provider would not take it.")


@strawberry.type(description="What would become of a text.")
class SmsTextCheck:
    signature: str = strawberry.field(description="Under which it would go.")
    parts: int = strawberry.field(description="In how many parts it goes, signature included.")
    problems: list[str] = strawberry.field(description="Why nobody would take it.")
    providers: list[SmsTextProvider] = strawberry.field(
        description="In the order in which they are tried."
    )


@strawberry.input(description="A template to be handed in for review.")
class SmsTemplateSubmitInput:
    provider: str = strawberry.field(description="Its name in the plugin's settings.")
    name: str = strawberry.field(description="For people, at the provider.")
    text: str = strawberry.field(
        description="With the provider's variables: ${name} at Alibaba Cloud, {1} at Tencent Cloud."
    )
    message_class: MessageClass = strawberry.field(
        description="Whether texts of it sell; reviewers apply other rules to these."
    )
    abroad: bool = strawberry.field(
        default=False, description="For numbers abroad, not at home (+86)."
    )
    remark: str = strawberry.field(description="For the reviewers: what it is sent for.")
    idempotency_key: str = strawberry.field(
        description="Any text of yours; a repeated call with it hands nothing in again."
    )


@strawberry.type
class SmsTemplateSubmitPayload:
    template: SmsTemplate | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


async def sms_signatures(info: Info) -> list[SmsSignature] | None:
    async with info.context.read() as session:
        found = await registered.stored_signatures(session)
    return [
        SmsSignature(
            provider=one.provider,
            name=one.name,
            state=SmsReviewState(one.state),
            reason=one.reason,
            synced_at=one.synced_at,
        )
        for one in found
    ]


async def sms_templates(info: Info) -> list[SmsTemplate] | None:
    async with info.context.read() as session:
        found = await registered.stored_templates(session)
    return [_template(one) for one in found]


async def sms_arrivals(
    info: Info,
    from_: From,
    to: Annotated[date, strawberry.argument(description="The last day, included.")],
) -> list[SmsArrival] | None:
    async with info.context.read() as session:
        found = await arrival.arrivals(session, from_, to)
    return [
        SmsArrival(
            provider=one.provider, signature=one.signature, prefix=one.prefix, sent=one.sent,
            delivered=one.delivered, undelivered=one.undelivered, waiting=one.waiting,
            rate=one.rate,
        )
        for one in found
    ]  # fmt: skip


async def sms_text_check(
    info: Info,
    text: str,
    message_class: Annotated[
        MessageClass,
        strawberry.argument(
            description="Marketing and service may have other providers and rules."
        ),
    ] = MessageClass.MARKETING,
    shop_id: Annotated[
        strawberry.ID | None,
        strawberry.argument(description="In whose name it goes; without it, by the usual way."),
    ] = None,
    abroad: Annotated[
        bool, strawberry.argument(description="To a number abroad, not one at home (+86).")
    ] = False,
) -> SmsTextCheck | None:
    context = info.context
    shop = None if shop_id is None else need_id("Shop", shop_id, ("shopId",))
    async with context.read() as session:
        if shop is not None and not await shop_exists(session, shop):
            return None
        settings = await plugin_settings(session, context.installation.registry, PLUGIN)
        approved = await approved_templates(session)
    assert isinstance(settings, SmsSettings)
    way = way_of(settings, shop, message_class.value)
    parts = parts_of(text, way.signature, abroad)
    given = {one.name: one for one in settings.providers}
    providers = []
    for name in way.providers:
        one = given[name]
        price = price_of(one, ABROAD if abroad else HOME)
        code, problem = None, None
        if one.kind in ("aliyun", "tencent"):
            templates = approved.get(name)
            found = templates.match(text, message_class.value, abroad) if templates else None
            if found is None:
                problem = "no approved template reads like this"
            else:
                code = found[0].code
                if (linked := link_in(found[1])) is not None:
                    problem = f"the value of {linked} brings a link"
        cost = None if price is None else price * parts
        providers.append(
            SmsTextProvider(
                provider=name, template=code, price=cost, currency=one.currency, problem=problem
            )
        )
    wrong = list(wrong_with(text, way.signature, settings.opt_out, message_class.value, abroad))
    return SmsTextCheck(signature=way.signature, parts=parts, problems=wrong, providers=providers)


async def sms_template_submit(
    info: Info, input: SmsTemplateSubmitInput
) -> SmsTemplateSubmitPayload | None:
    context = info.context
    plugin = await plugin_context(
        context.installation.db, context.installation.registry, PLUGIN, context.merchant_id
    )
    try:
        made = await _submitted_once(info, plugin, input)
    except (HuikeError, Several) as error:
        return SmsTemplateSubmitPayload(errors=user_errors(error))
    return SmsTemplateSubmitPayload(template=_template(made))


async def _submitted_once(
    info: Info, plugin: PluginContext, input: SmsTemplateSubmitInput
) -> registered.StoredTemplate:
    """What the first call with the input's key handed in.

    The key is kept before the provider is asked, so that of calls at the same time one asks it.
    Raises WrongState where the first call's end is not known.
    """
    new = registered.NewTemplate(
        input.provider, input.name, input.text, input.message_class.value, input.abroad,
        input.remark,
    )  # fmt: skip
    first = False
    async with info.context.work() as w:

        async def begin() -> None:
            nonlocal first
            registered.check(plugin, new)
            first = True

        kept = await once_for(w, OPERATION, input, begin)
    if kept is not None:
        return registered.stored(kept)
    if not first:
        raise WrongState(
            "it is being handed in, or nobody knows whether it was: look in smsTemplates", KEY_PATH
        )
    try:
        made = await registered.submit(plugin, new)
    except (HuikeError, Several) as error:
        if not isinstance(error.__cause__, Unknown):
            async with info.context.work() as w:
                await forget(w, OPERATION, input.idempotency_key)
        raise
    async with info.context.work() as w:
        await answered(w, OPERATION, input.idempotency_key, registered.told(made))
    return made


def _template(one: registered.StoredTemplate) -> SmsTemplate:
    return SmsTemplate(
        provider=one.provider, code=one.code, name=one.name, text=one.text,
        message_class=one.message_class and MessageClass(one.message_class), abroad=one.abroad,
        state=SmsReviewState(one.state), reason=one.reason, synced_at=one.synced_at,
    )  # fmt: skip


FIELDS = [
    SchemaField("Query", "smsSignatures", strawberry.field(
        resolver=sms_signatures, description="The merchant's SMS signatures, by provider.",
    ), "SMS_READ", "0.1", cost=1),
    SchemaField("Query", "smsTemplates", strawberry.field(
        resolver=sms_templates, description="The merchant's SMS templates, by provider.",
    ), "SMS_READ", "0.1", cost=1),
    SchemaField("Query", "smsArrivals", strawberry.field(
        resolver=sms_arrivals,
        description="How many SMS arrived, of those sent on the days from `from` to `to`.",
    ), "SMS_READ", "0.1", cost=50),
    SchemaField("Query", "smsTextCheck", strawberry.field(
        resolver=sms_text_check,
        description="What would become of a text: parts, price, template and what is wrong. "
        "Null: there is no such shop.",
    ), "SMS_READ", "0.1"),
    SchemaField("Mutation", "smsTemplateSubmit", strawberry.field(
        resolver=sms_template_submit, description="Hand a template in for review at a provider.",
    ), "SMS_WRITE", "0.1"),
]  # fmt: skip
