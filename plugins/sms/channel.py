"""The SMS channel: finds a provider for each message, and another one where that fails."""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import chain

from pydantic import BaseModel

from core.domain.campaigns.receipts import take_receipts
from core.sdk import (
    RECONCILE_AFTER,
    ChannelSession,
    ContactKind,
    ContentField,
    DeliveryReceipt,
    OutgoingMessage,
    OutsideError,
    PluginContext,
    Receipt,
    ReconnectNeeded,
    Refused,
    RetryLater,
    SoughtMessage,
    TextRules,
    Trace,
)
from core.sdk.money import to_millionths
from plugins.sms import budget
from plugins.sms.http import connections
from plugins.sms.making import made
from plugins.sms.providers.protocol import Answer, Blocked, Finding, Provider, Sought
from plugins.sms.records import approved_templates, record, recorded, unreserved
from plugins.sms.routing import Way, way_of
from plugins.sms.settings import SmsSettings
from plugins.sms.templates import Templates
from plugins.sms.texts import (
    Text,
    is_abroad,
    link_in,
    parts_of,
    prefix_of,
    price_of,
    priced,
    wrong_with,
)

logger = logging.getLogger(__name__)

BATCH = 100
CONCURRENCY = 10
CALLS_AT_ONCE = 20
REST = timedelta(minutes=1)
"""So long a provider that failed is asked only where there is no other."""


class SmsChannel:
    """Sends SMS through the merchant's providers."""

    name = "sms"
    title = "SMS"
    contact: ContactKind = "phone"
    fields: tuple[ContentField, ...] = (ContentField("text", "Text", max_length=1000),)
    concurrency = CONCURRENCY
    reconcile_after = RECONCILE_AFTER

    def open(self, settings: BaseModel) -> AbstractAsyncContextManager[ChannelSession]:
        """Not to be used: a session keeps a record, so it has to know for whom it is."""
        raise TypeError("the SMS channel is opened by open_for")

    def open_for(self, context: PluginContext) -> AbstractAsyncContextManager[ChannelSession]:
        return _open(self, context)

    def text_rules(self, settings: BaseModel) -> TextRules:
        assert isinstance(settings, SmsSettings)
        first = settings.providers[0]
        price = price_of(first, "+86")
        return TextRules(
            settings.signature, settings.opt_out,
            None if price is None else to_millionths(price), first.currency,
        )  # fmt: skip


@asynccontextmanager
async def _open(channel: SmsChannel, context: PluginContext) -> AsyncIterator[ChannelSession]:
    settings = context.settings
    assert isinstance(settings, SmsSettings)
    async with context.database.read(context.merchant_id) as session:
        templates = await approved_templates(session)
        zone = await session.sql.fetchval(
            "SELECT time_zone FROM merchants WHERE id = $1", context.merchant_id
        )
    async with connections() as http:
        providers = made(settings.providers, http, context)
        yield SmsSession(channel, context, settings, providers, templates, zone)


@dataclass(slots=True)
class Pending:
    """A message in hand, what was made of it, and who certainly did not send it.

    At most `most` messages share its call; `again` says that it goes out anew, with fewer.
    """

    message: OutgoingMessage
    avoid: set[str]
    most: int = BATCH
    again: bool = False
    provider: str = ""
    text: Text | None = None
    spend: budget.Spend | None = None
    answer: Answer | None = None
    failure: OutsideError | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """What goes to a provider at once."""

    provider: Provider
    serial: str
    messages: Sequence[Pending]


class SmsSession:
    """The providers of a merchant, open."""

    batch = BATCH

    def __init__(
        self,
        channel: SmsChannel,
        context: PluginContext,
        settings: SmsSettings,
        providers: Mapping[str, Provider],
        templates: Mapping[str, Templates],
        zone: str,
    ) -> None:
        self._channel = channel
        self._context = context
        self._settings = settings
        self._given = {one.name: one for one in settings.providers}
        self._providers = providers
        self._templates = templates
        self._zone = zone
        self._clock: Callable[[], datetime] = context.database.clock
        self._resting: dict[str, datetime] = {}
        self._at_once = asyncio.Semaphore(CALLS_AT_ONCE)

    async def send(self, message: OutgoingMessage) -> Receipt:
        (answer,) = await self.send_many([message])
        if isinstance(answer, Receipt):
            return answer
        raise answer

    async def send_many(
        self, messages: Sequence[OutgoingMessage]
    ) -> Sequence[Receipt | OutsideError]:
        """Send each by the first provider that may have it, and where that certainly did not take
        it, by the next."""
        everything = [Pending(message, set(message.avoid)) for message in messages]
        pending = everything
        while pending:
            ready = [one for one in pending if self._prepare(one)]
            calls = await self._begin(ready)
            await asyncio.gather(*map(self._call, calls))
            sent = [one for call in calls for one in call.messages]
            await self._settle(sent)
            pending = [one for one in sent if self._goes_on(one)]
        answers = [one.answer for one in everything]
        assert all(answer is not None for answer in answers)
        return [answer for answer in answers if answer is not None]

    async def find(self, messages: Sequence[SoughtMessage]) -> Sequence[Receipt | Trace]:
        """Ask the providers that had the messages; one that never was begun is absent."""
        async with self._context.database.read(self._context.merchant_id) as session:
            known = await recorded(session, [message.key for message in messages])
        found = await asyncio.gather(*(self._find(one, known.get(one.key)) for one in messages))
        absent = [
            one.key for one, trace in zip(messages, found, strict=True)
            if trace is Trace.ABSENT and one.key in known
        ]  # fmt: skip
        if absent:
            async with self._context.database.work(self._context.merchant_id) as w:
                if spends := await unreserved(w, absent):
                    await budget.give_back(w, spends)
        return found

    async def _find(
        self, message: SoughtMessage, handed: tuple[str, str] | None
    ) -> Receipt | Trace:
        if handed is None:
            return Trace.ABSENT
        name, serial = handed
        provider = self._providers.get(name)
        if provider is None or not isinstance(provider, Finding):
            return Trace.UNKNOWN
        async with self._at_once:
            found = await provider.find(Sought(message, serial))
        return Receipt(found.provider_id, name) if isinstance(found, Receipt) else found

    # -- one round --------------------------------------------------------------------------

    def _prepare(self, one: Pending) -> bool:
        """Choose a provider and make the text; or answer why there is none."""
        message, settings = one.message, self._settings
        way = way_of(settings, message.shop_id, message.message_class)
        text, abroad = message.content["text"], is_abroad(message.to)
        wrong = next(
            wrong_with(
                text, way.signature, settings.opt_out, message.message_class, abroad
            ), None,
        )  # fmt: skip
        if wrong is not None:
            one.answer = Refused(wrong)
            return False
        for name in self._order(way, one.avoid):
            made_of = self._text(name, message, way, text, abroad)
            if isinstance(made_of, Text):
                one.provider, one.text = name, made_of
                return self._priced(one)
            one.answer = one.failure or one.answer or made_of
        return False

    def _order(self, way: Way, avoid: set[str]) -> Sequence[str]:
        """Those who did not fail at this message, the rested first; all if all have failed."""
        names = [name for name in way.providers if name not in avoid] or list(way.providers)
        now = self._clock()
        return sorted(names, key=lambda name: self._resting.get(name, now) > now)

    def _text(
        self, name: str, message: OutgoingMessage, way: Way, text: str, abroad: bool
    ) -> Text | OutsideError:
        parts = parts_of(text, way.signature, abroad)
        made_of = Text(
            message.key, message.to, text, way.signature, message.message_class, parts,
            attempt=message.attempt,
        )  # fmt: skip
        if not self._providers[name].approved_only:
            return made_of
        templates = self._templates.get(name)
        found = templates.match(text, message.message_class, abroad) if templates else None
        if found is None:
            return ReconnectNeeded(
                f"{name} has approved no {message.message_class} template that reads like: {text}"
            )
        template, values = found
        if (linked := link_in(values)) is not None:
            return Refused(f"the value of the template's variable {linked} brings a link")
        return replace(made_of, template=template, values=values)

    def _priced(self, one: Pending) -> bool:
        """Note what the message counts for in the budget."""
        limits = self._settings.budget
        if one.text is None or (limits.day is None and limits.campaign is None):
            return True
        price = price_of(self._given[one.provider], one.text.to)
        if price is None:
            one.answer = Refused(
                f"{one.provider} has no price for this number's region, so no budget can be kept"
            )
            return False
        day = budget.day_of(self._clock(), self._zone)
        cost = price * Decimal(one.text.parts)
        one.spend = budget.spend(limits, cost, day, one.message.campaign_id)
        return True

    async def _begin(self, ready: list[Pending]) -> list[Call]:
        """Reserve the money, and put down how each message goes out, before it does."""
        if not ready:
            return []
        database, merchant_id = self._context.database, self._context.merchant_id
        async with database.work(merchant_id) as w:
            spends = [one.spend or budget.NOTHING for one in ready]
            for one, refusal in zip(ready, await budget.reserve(w, spends), strict=True):
                one.answer = refusal
            ready = [one for one in ready if one.answer is None]
            calls = self._calls(ready)
            await record(w, [
                (one.message.key, one.provider, call.serial, one.text.signature,
                 prefix_of(one.text.to), one.spend or budget.NOTHING)
                for call in calls for one in call.messages if one.text is not None
            ])  # fmt: skip
        return calls

    def _calls(self, ready: Sequence[Pending]) -> list[Call]:
        """The messages of each call, by what the providers put together."""
        by_provider: dict[str, list[Pending]] = {}
        for one in ready:
            by_provider.setdefault(one.provider, []).append(one)
        found = []
        for name, those in by_provider.items():
            provider = self._providers[name]
            places = provider.calls([one.text for one in those if one.text is not None])
            for messages in chain.from_iterable(
                _parts([those[place] for place in call]) for call in places
            ):
                alone = messages[0].message.key if len(messages) == 1 else None
                found.append(Call(provider, alone or f"b{uuid.uuid4().hex}", messages))
        return found

    async def _call(self, call: Call) -> None:
        texts = [one.text for one in call.messages if one.text is not None]
        async with self._at_once:
            try:
                answers = await call.provider.send(call.serial, texts)
            except OutsideError as error:
                if len(texts) > 1 and _of_message(error):
                    # none was taken because of one of them: halves find out which it is
                    for one in call.messages:
                        one.most, one.again = len(texts) // 2, True
                    return
                answers = [error] * len(texts)
        given = self._given[call.provider.name]
        for one, text, answer in zip(call.messages, texts, answers, strict=True):
            one.answer = priced(answer, text, given) if isinstance(answer, Receipt) else answer

    async def _settle(self, ready: Sequence[Pending]) -> None:
        """Give back what was not spent, and have numbers that block us left alone."""
        unspent = {
            one.message.key: one.spend for one in ready
            if one.spend is not None
            and (one.again or isinstance(one.answer, RetryLater | Refused | ReconnectNeeded))
        }  # fmt: skip
        blocked = [one for one in ready if isinstance(one.answer, Blocked)]
        if not unspent and not blocked:
            return
        async with self._context.database.work(self._context.merchant_id) as w:
            if unspent:
                await budget.give_back(w, list(unspent.values()))
                await unreserved(w, list(unspent))
            await take_receipts(w, self._channel, [
                DeliveryReceipt(
                    f"blocked:{one.message.key}", "bounced", w.now, key=one.message.key,
                    to=one.message.to, provider=one.provider, of_person=True,
                    detail=str(one.answer),
                )
                for one in blocked
            ])  # fmt: skip

    def _goes_on(self, one: Pending) -> bool:
        """Whether it is to be tried again, with fewer others or by another provider; the one that
        failed rests for a while."""
        if one.again:
            one.again = False
            return True
        answer = one.answer
        if not isinstance(answer, ReconnectNeeded | RetryLater) or _of_message(answer):
            return False
        one.avoid.add(one.provider)
        self._resting[one.provider] = self._clock() + REST
        way = way_of(self._settings, one.message.shop_id, one.message.message_class)
        if all(name in one.avoid for name in way.providers):
            return False
        logger.warning("%s; another provider takes over", answer)
        one.answer, one.failure = None, answer
        return True


def _of_message(error: OutsideError) -> bool:
    """Whether the message or its number is the reason, whoever sends."""
    return isinstance(error, Refused) or (isinstance(error, RetryLater) and error.provider is None)


def _parts(messages: Sequence[Pending]) -> list[list[Pending]]:
    """Messages of one call, in several where there may not be so many."""
    parts: list[list[Pending]] = []
    for one in sorted(messages, key=lambda one: one.most):
        if parts and len(parts[-1]) < parts[-1][0].most:
            parts[-1].append(one)
        else:
            parts.append([one])
    return parts
