"""Sending by a merchant's providers: what goes out together, what it costs, what came of it."""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from core.domain.campaigns.receipts import take_receipts
from core.sdk import (
    Channel,
    DeliveryReceipt,
    OutgoingMessage,
    OutsideError,
    PluginContext,
    Receipt,
    ReconnectNeeded,
    Refused,
    RetryLater,
    SoughtMessage,
    Trace,
)
from plugins.sms import budget
from plugins.sms.choice import BATCH, Choice, Pending, of_message
from plugins.sms.providers.protocol import Blocked, Finding, Provider, Sought
from plugins.sms.records import record, recorded, unreserved
from plugins.sms.settings import SmsSettings
from plugins.sms.templates import Templates
from plugins.sms.texts import prefix_of, priced

CALLS_AT_ONCE = 20


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
        channel: Channel,
        context: PluginContext,
        settings: SmsSettings,
        providers: Mapping[str, Provider],
        templates: Mapping[str, Templates],
        zone: str,
    ) -> None:
        self._channel = channel
        self._context = context
        self._given = {one.name: one for one in settings.providers}
        self._providers = providers
        self._choice = Choice(settings, providers, templates, zone, context.database.clock)
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
            ready = [one for one in pending if self._choice.prepare(one)]
            calls = await self._begin(ready)
            await asyncio.gather(*map(self._call, calls))
            sent = [one for call in calls for one in call.messages]
            await self._settle(sent)
            pending = [one for one in sent if self._choice.goes_on(one)]
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
                if len(texts) > 1 and of_message(error):
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


def _parts(messages: Sequence[Pending]) -> list[list[Pending]]:
    """Messages of one call, in several where there may not be so many."""
    parts: list[list[Pending]] = []
    for one in sorted(messages, key=lambda one: one.most):
        if parts and len(parts[-1]) < parts[-1][0].most:
            parts[-1].append(one)
        else:
            parts.append([one])
    return parts
