"""One message to many: new arrivals and events."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import AwareDatetime

from core.domain.campaigns.recipes.dates import buyers
from core.domain.campaigns.recipes.words import NAME, NAME_ZH, SHOP, Offer, text
from core.sdk.facets import Text
from core.sdk.flows import Flow, OnAudience, Schedule, Send
from core.sdk.recipes import Asked, NewCampaign, Recipe, Words, parameter


class BlastParameters(Offer):
    at: AwareDatetime | None = parameter(None, "When; at once if empty", "发送时间；不填则立即")
    local: bool = parameter(False, "At that time where the customer lives", "按客户当地时间发送")


def _blast(asked: Asked, name: str, send: Send) -> Sequence[NewCampaign]:
    set_ = asked.parameters
    schedule = Schedule(at=set_.at, local=set_.local) if set_.at else None
    return [NewCampaign(
        name,
        lambda segments: Flow(
            trigger=OnAudience(segment_id=segments[0], schedule=schedule), steps=[send]
        ),
        [buyers(asked)],
    )]  # fmt: skip


class NewArrivalParameters(BlastParameters):
    product: str = parameter(..., "What is new", "新品名称", min_length=1, max_length=100)


class NewArrival(Recipe):
    name = "new_arrival"
    title = Text("New arrival", "上新通知")
    description = Text("Tells all buyers what is new.", "向老客户群发上新通知。")
    group = "events"
    parameters = NewArrivalParameters
    example: ClassVar[Mapping[str, Any]] = {"product": "春季新茶"}
    apart = ("product",)

    def build(self, asked: Asked) -> Sequence[NewCampaign]:
        product, offer = asked.parameters.product, asked.parameters.lines()
        send = asked.send(
            "announce",
            Words(f"New at {SHOP}: {product}",
                  text(f"Hi {NAME}, {product} has just arrived at {SHOP}. "
                       "Regular customers see it first.", *offer)),
            Words(f"{SHOP}上新：{product}",
                  text(f"{NAME_ZH}，{SHOP}上新啦：{product}，老客抢先看。", *offer)),
        )  # fmt: skip
        return _blast(asked, f"{asked.say(*self.title)} {product}", send)


class EventBlastParameters(BlastParameters):
    event: str = parameter(..., "The event's name", "活动名称", min_length=1, max_length=100)


class EventBlast(Recipe):
    name = "event_blast"
    title = Text("Event", "大促活动")
    description = Text(
        "Tells all buyers of an event: an anniversary, a sale.",
        "周年庆、大促、聚划算等活动向老客户群发。",
    )
    group = "events"
    parameters = EventBlastParameters
    example: ClassVar[Mapping[str, Any]] = {"event": "周年庆"}
    apart = ("event",)

    def build(self, asked: Asked) -> Sequence[NewCampaign]:
        event, offer = asked.parameters.event, asked.parameters.lines()
        send = asked.send(
            "announce",
            Words(f"{event} at {SHOP}",
                  text(f"Hi {NAME}, {event} at {SHOP} has begun. Come early, stock is limited.",
                       *offer)),
            Words(f"{SHOP}{event}",
                  text(f"{NAME_ZH}，{SHOP}{event}开始啦，数量有限，先到先得。", *offer)),
        )  # fmt: skip
        return _blast(asked, f"{asked.say(*self.title)} {event}", send)


RECIPES = [NewArrival(), EventBlast()]
