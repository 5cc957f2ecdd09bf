"""Taking one step with a whole group: one or two statements, however many they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from core.domain.campaigns.chance import choice, salt
from core.domain.campaigns.flows import campaign_channel
from core.domain.campaigns.journeys.acting import act
from core.domain.campaigns.journeys.asking import new_query
from core.domain.campaigns.journeys.calling import call
from core.domain.campaigns.journeys.conditions import fulfilling
from core.domain.campaigns.journeys.running import Journey
from core.domain.campaigns.journeys.travellers import Traveller
from core.domain.campaigns.journeys.waits import wait_ends
from core.domain.campaigns.planning import Message, Recipients, plan_messages
from core.domain.customers.field_values import set_fields_of_many
from core.domain.customers.fields import MERCHANTS
from core.domain.customers.tags import tag_customers, untag_customers
from core.domain.lifecycle.calendar import ALL_SHOPS, calendar_of
from core.domain.segments.lists import add_to_list, remove_from_list
from core.registry import Registry
from core.sdk.flows import (
    Act,
    ChangeList,
    Condition,
    Send,
    SetField,
    Split,
    Tag,
    Wait,
    WaitFor,
    Webhook,
)
from core.storage.database import Work

SOURCE = "campaign"
"""Where tags and values come from that a step sets."""


@dataclass(frozen=True)
class Walk:
    """A turn's transaction, and the journey that is walked in it."""

    w: Work
    registry: Registry
    journey: Journey

    async def step(self, number: int, group: Sequence[Traveller]) -> None:
        """Take step `number` with all who stand before it. Raises HuikeError, Several."""
        step = self.journey.flow.steps[number]
        after = self.journey.flow.place(step.next, number)
        match step:
            case Wait():
                await self._wait(step, after, group)
                return
            case WaitFor():
                self._wait_for(step, after, self.journey.flow.place(step.otherwise, number), group)
                return
            case Condition():
                ids = [one.id for one in group]
                fulfilled = await fulfilling(self.w, self.registry, step, ids)
                otherwise = self.journey.flow.place(step.otherwise, number)
                for one in group:
                    one.go(after if one.id in fulfilled else otherwise)
                return
            case Split():
                self._split(step, number, group)
                return
            case Send():
                await self._send(step, number, group)
            case Tag() | SetField() | ChangeList():
                await self._change(step, sorted({one.customer_id for one in group}))
            case Webhook():
                await call(self.w, self.journey, number, step, group)
            case Act():
                await act(self.w, self.registry, step, group)
        for one in group:
            one.go(after)

    async def _wait(self, step: Wait, after: int | None, group: Sequence[Traveller]) -> None:
        calendar = await calendar_of(self.w, self.journey.shop_id or ALL_SHOPS)
        for one in group:
            until = one.until or wait_ends(step, one.moment, ZoneInfo(calendar.zone))
            if until <= self.w.now:
                one.go(after, until)
            else:
                one.wait(until)

    def _wait_for(
        self, step: WaitFor, after: int | None, otherwise: int | None, group: Sequence[Traveller]
    ) -> None:
        for one in group:
            until = one.until or one.moment + step.timeout.span
            if one.heard:
                one.go(after, self.w.now)
            elif until <= self.w.now:
                one.go(otherwise, until)
            else:
                one.wait(until)

    def _split(self, step: Split, number: int, group: Sequence[Traveller]) -> None:
        flow, mixed = self.journey.flow, salt(self.journey.campaign_id, step.key)
        weights = [branch.share for branch in step.branches]
        places = [flow.place(branch.next, number) for branch in step.branches]
        for one in group:
            one.go(places[choice(one.customer_id, mixed, weights)])

    async def _send(self, step: Send, number: int, group: Sequence[Traveller]) -> None:
        journey = self.journey
        channel = campaign_channel(self.registry, step.channel)
        message = Message(
            journey.run_id, number, step, channel, journey.shop_id,
            journey.options.max_lateness.span, journey.options.priority,
        )  # fmt: skip
        q = await new_query(self.w)
        ids = q.arg([one.id for one in group], "bigint[]")
        moments = q.arg([one.moment for one in group], "timestamptz[]")
        source = f"""unnest({ids}, {moments}) AS t (id, moment)
            JOIN enrolments e ON e.merchant_id = $1 AND e.id = t.id
            JOIN customers c ON c.merchant_id = $1 AND c.id = e.customer_id"""
        recipients = Recipients(source, "e.id", "e.order_id", "e.parcel_id", "t.moment")
        await plan_messages(self.w, q, message, recipients)
        self.w.ring("run.send", self.w.merchant_id, journey.run_id)

    async def _change(self, step: Tag | SetField | ChangeList, customer_ids: list[int]) -> None:
        match step:
            case Tag():
                if step.add:
                    await tag_customers(self.w, customer_ids, step.add, SOURCE)
                if step.remove:
                    await untag_customers(self.w, customer_ids, step.remove)
            case SetField():
                values = {pk: {step.field: step.value} for pk in customer_ids}
                await set_fields_of_many(self.w, values, MERCHANTS, SOURCE)
            case ChangeList():
                move = remove_from_list if step.remove else add_to_list
                await move(self.w, step.segment_id, customer_ids)
