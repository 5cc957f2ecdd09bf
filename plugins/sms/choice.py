"""Which provider a message goes to, and what is made of it there."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from core.sdk import (
    OutgoingMessage,
    OutsideError,
    ReconnectNeeded,
    Refused,
    RetryLater,
)
from plugins.sms import budget
from plugins.sms.providers.protocol import Answer, Provider
from plugins.sms.routing import Way, way_of
from plugins.sms.settings import SmsSettings
from plugins.sms.templates import Templates
from plugins.sms.texts import (
    Text,
    is_abroad,
    link_in,
    parts_of,
    price_of,
    wrong_with,
)

logger = logging.getLogger(__name__)

BATCH = 100
REST = timedelta(minutes=1)
"""So long a provider that failed is asked only where there is no other."""


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


class Choice:
    """Chooses among a merchant's providers, and remembers which of them failed."""

    def __init__(
        self,
        settings: SmsSettings,
        providers: Mapping[str, Provider],
        templates: Mapping[str, Templates],
        zone: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._given = {one.name: one for one in settings.providers}
        self._providers = providers
        self._templates = templates
        self._zone = zone
        self._clock = clock
        self._resting: dict[str, datetime] = {}

    def prepare(self, one: Pending) -> bool:
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

    def goes_on(self, one: Pending) -> bool:
        """Whether it is to be tried again, with fewer others or by another provider; the one that
        failed rests for a while."""
        if one.again:
            one.again = False
            return True
        answer = one.answer
        if not isinstance(answer, ReconnectNeeded | RetryLater) or of_message(answer):
            return False
        one.avoid.add(one.provider)
        self._resting[one.provider] = self._clock() + REST
        way = way_of(self._settings, one.message.shop_id, one.message.message_class)
        if all(name in one.avoid for name in way.providers):
            return False
        logger.warning("%s; another provider takes over", answer)
        one.answer, one.failure = None, answer
        return True


def of_message(error: OutsideError) -> bool:
    """Whether the message or its number is the reason, whoever sends."""
    return isinstance(error, Refused) or (isinstance(error, RetryLater) and error.provider is None)
