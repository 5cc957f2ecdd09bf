"""Notices on the way of a parcel, and when it has come."""

from collections.abc import Sequence
from typing import Any, ClassVar

from core.domain.campaigns.recipes.words import NAME, NAME_ZH, SHOP, ForSome, text
from core.sdk.facets import Text
from core.sdk.flows import (
    END,
    Condition,
    Duration,
    Entry,
    Exit,
    Flow,
    OnEvent,
    Options,
    OrderIs,
    Wait,
)
from core.sdk.orders import OrderState, ParcelState
from core.sdk.recipes import Asked, NewCampaign, Parameters, Recipe, Words, parameter

PARCEL = "parcel.state_changed"
ON_THE_WAY = [
    OrderState.PAID_ON_HOLD, OrderState.TO_SHIP, OrderState.PART_SHIPPED, OrderState.SHIPPED,
    OrderState.DELIVERED,
]  # fmt: skip
NUMBER = "{{ parcel.tracking_number }}"


class _Notice(Recipe):
    """A service message for each parcel that reaches a state."""

    group = "orders"
    parameters = ForSome
    apart = ("tag", "segment")
    state: ClassVar[ParcelState]
    en: ClassVar[Words]
    zh: ClassVar[Words]

    def steps(self, asked: Asked) -> list[Any]:
        """What is sent."""
        return [asked.send("notice", self.en, self.zh, message_class="service")]

    def build(self, asked: Asked) -> Sequence[NewCampaign]:
        flow = Flow(
            trigger=OnEvent(type=PARCEL, where={"state": [self.state.value], **asked.where}),
            # each parcel's news is an event of its own
            entry=Entry(again="always", rule=asked.parameters.entry_rule),
            steps=self.steps(asked),
        )
        name = f"{asked.say(*self.title)} {asked.parameters.tag}".rstrip()
        return [NewCampaign(name, lambda _: flow)]


class ShippingNotice(_Notice):
    """An order in several parcels has a wording of its own."""

    name = "shipping_notice"
    title = Text("Shipping notice", "发货通知")
    description = Text(
        "Tells the tracking number when a parcel is shipped; an order in several parcels, which "
        "of them it is.",
        "发货后告知快递单号；多仓多包裹的订单说明是第几个包裹。",
    )
    state = ParcelState.SHIPPED
    en = Words(
        f"Your order at {SHOP} is on its way",
        text(f"Hi {NAME}, your order at {SHOP} has been shipped.", f"Tracking number: {NUMBER}"),
    )
    zh = Words(
        f"您在{SHOP}的订单已发货",
        text(f"{NAME_ZH}，您在{SHOP}的宝贝已发货，", f"快递单号{NUMBER}，请留意查收。"),
    )
    en_several = Words(
        f"Parcel {{{{ parcel.number }}}} of your order at {SHOP} is on its way",
        text(f"Hi {NAME}, your order at {SHOP} comes in several parcels.",
             f"Parcel {{{{ parcel.number }}}} has been shipped. Tracking number: {NUMBER}"),
    )  # fmt: skip
    zh_several = Words(
        f"您在{SHOP}的第{{{{ parcel.number }}}}个包裹已发货",
        text(f"{NAME_ZH}，您在{SHOP}的订单分多个包裹发出，",
             f"第{{{{ parcel.number }}}}个包裹已发货，快递单号{NUMBER}。"),
    )  # fmt: skip

    def steps(self, asked: Asked) -> list[Any]:
        several = asked.send(
            "several", self.en_several, self.zh_several, message_class="service", next=END
        )
        return [
            Condition(key="parcels", order=OrderIs(parcels_at_least=2), otherwise="notice"),
            several,
            *super().steps(asked),
        ]


class ArrivedInCity(_Notice):
    name = "arrived_in_city"
    title = Text("Arrived in your city", "同城到达提醒")
    description = Text(
        "Tells that a parcel has reached the customer's city.", "包裹到达买家所在城市时提醒。"
    )
    state = ParcelState.ARRIVED_CITY
    en = Words(
        "Your parcel has reached your city",
        text(f"Hi {NAME}, your parcel {NUMBER} from {SHOP} has reached your city.",
             "It will be with you soon."),
    )  # fmt: skip
    zh = Words(
        "您的包裹已到达您所在的城市",
        text(f"{NAME_ZH}，您在{SHOP}购买的宝贝已到达您所在的城市，", "很快就能送到您手中。"),
    )


class OutForDelivery(_Notice):
    name = "out_for_delivery"
    title = Text("Out for delivery", "派件提醒")
    description = Text("Tells that a parcel comes today.", "快递员开始派件时提醒保持电话畅通。")
    state = ParcelState.OUT_FOR_DELIVERY
    en = Words(
        "Your parcel comes today",
        text(f"Hi {NAME}, your parcel {NUMBER} from {SHOP} is out for delivery.",
             "Please keep your phone at hand."),
    )  # fmt: skip
    zh = Words(
        "您的包裹正在派送",
        text(f"{NAME_ZH}，您在{SHOP}购买的宝贝正在派送，", "请保持电话畅通，当面验收。"),
    )


class Signed(_Notice):
    name = "signed"
    title = Text("Delivered", "签收关怀")
    description = Text(
        "Asks after a delivery whether all is well, and offers help.",
        "签收后询问是否满意，有问题及时联系客服。",
    )
    state = ParcelState.SIGNED
    en = Words(
        "Your parcel has arrived",
        text(f"Hi {NAME}, your parcel from {SHOP} has arrived. We hope you like it.",
             "If anything is not right, write to us and we put it right."),
    )  # fmt: skip
    zh = Words(
        "您的包裹已签收",
        text(f"{NAME_ZH}，您在{SHOP}购买的宝贝已签收，希望您喜欢。",
             "如有任何问题，请随时联系客服，我们一定为您解决。"),
    )  # fmt: skip


class UnconfirmedReceiptParameters(Parameters):
    days: int = parameter(5, "Days after the delivery", "签收后多少天", ge=1, le=60)


class UnconfirmedReceipt(Recipe):
    """Asks to confirm the receipt, which releases the payment.

    An order whose other parcels are still on the way then is given as long again.
    """

    name = "unconfirmed_receipt"
    title = Text("Receipt not confirmed", "催确认收货")
    description = Text(
        "Asks who signed for the parcel but has not confirmed the receipt days later to do so.",
        "签收多天仍未确认收货的，提醒确认收货。",
    )
    group = "orders"
    parameters = UnconfirmedReceiptParameters

    def build(self, asked: Asked) -> Sequence[NewCampaign]:
        send = asked.send(
            "remind",
            Words(
                f"Is all well with your order at {SHOP}?",
                text(f"Hi {NAME}, your order at {SHOP} was delivered a few days ago.",
                     "If all is well, please confirm the receipt; if not, write to us."),
            ),
            Words(
                f"您在{SHOP}的宝贝还满意吗？",
                text(f"{NAME_ZH}，您在{SHOP}购买的宝贝已签收几天了，",
                     "满意请确认收货，有问题请联系客服，谢谢。"),
            ),
            message_class="service",
        )  # fmt: skip
        days = Duration(days=asked.parameters.days)
        flow = Flow(
            trigger=OnEvent(type=PARCEL, where={"state": ["signed"], **asked.where}),
            entry=Entry(again="order"),
            exit=Exit(order_states=ON_THE_WAY),
            steps=[
                Wait(key="wait", span=days),
                Condition(
                    key="all", order=OrderIs(parcels_signed=True), next="remind", otherwise="longer"
                ),
                Wait(key="longer", span=days),
                send,
            ],
        )
        late = Options(max_lateness=Duration(days=3))
        return [NewCampaign(asked.say(*self.title), lambda _: flow, options=late)]


RECIPES = [ShippingNotice(), ArrivedInCity(), OutForDelivery(), Signed(), UnconfirmedReceipt()]
