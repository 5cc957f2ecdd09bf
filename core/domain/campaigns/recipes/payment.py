"""Reminders of orders that wait for their payment."""

from collections.abc import Sequence
from datetime import time
from typing import Any, Literal

from core.domain.campaigns.recipes.words import NAME, NAME_ZH, SHOP, ForSome, text
from core.sdk.channels import order_only
from core.sdk.facets import Text
from core.sdk.flows import (
    Condition,
    Duration,
    Entry,
    Exit,
    Flow,
    OnAudience,
    OnEvent,
    Options,
    OrderIs,
    Schedule,
    Wait,
)
from core.sdk.orders import OrderState
from core.sdk.recipes import Asked, NewCampaign, NewSegment, Parameters, Recipe, Words, parameter

UNPAID = OrderState.CREATED_UNPAID
MINUTES = {"phone": 30, "email": 10}


class PaymentReminderParameters(ForSome):
    minutes: int | None = parameter(
        None, "Minutes after ordering; 30 by phone and 10 by email if empty",
        "下单后多少分钟；不填则短信30、邮件10", ge=1, le=10_080,
    )  # fmt: skip
    product_ids: list[str] = parameter(
        [], "Only orders with one of these product ids", "仅限含这些商品ID的订单", max_length=1000
    )


class PaymentReminder(Recipe):
    """One reminder for each order and channel, if at that moment it is still unpaid.

    Several for some customers or goods can be on side by side; that for all reminds these as well.
    """

    name = "payment_reminder"
    title = Text("Payment reminder", "催付提醒")
    description = Text(
        "Reminds once of an order that is still unpaid some minutes after it was placed.",
        "下单后若干分钟仍未付款的，友好提醒一次；期间付款或关闭则不发。",
    )
    group = "orders"
    parameters = PaymentReminderParameters
    apart = ("tag", "segment", "product_ids")

    def build(self, asked: Asked) -> Sequence[NewCampaign]:
        minutes = asked.parameters.minutes or MINUTES.get(asked.channel.contact, MINUTES["phone"])
        send = asked.send(
            "remind",
            Words(
                f"Your order at {SHOP} is waiting",
                text(f"Hi {NAME}, your order at {SHOP} is reserved and not paid yet.",
                     "Complete the payment and we ship it at once. "
                     "If you have paid already, please ignore this."),
            ),
            Words(
                f"您在{SHOP}的订单还未付款",
                text(f"{NAME_ZH}，您在{SHOP}的宝贝已为您留好，还差付款这一步。",
                     "付款后我们尽快发货，已付款请忽略。"),
            ),
            message_class="service",
        )  # fmt: skip
        products = asked.parameters.product_ids
        goods: list[Any] = []
        if products:
            wanted = OrderIs(product_ids=products)
            goods = [Condition(key="product", order=wanted, otherwise="end")]
        flow = Flow(
            trigger=OnEvent(type="order.created", where={"state": [UNPAID.value], **asked.where}),
            entry=Entry(again="order", rule=asked.parameters.entry_rule),
            exit=Exit(order_states=[UNPAID]),
            steps=[*goods, Wait(key="wait", span=Duration(minutes=minutes)), send],
        )
        late = Options(max_lateness=Duration(hours=12))
        name = f"{asked.say(*self.title)} {asked.parameters.tag}".rstrip()
        return [NewCampaign(name, lambda _: flow, options=late)]


class DailyReminderParameters(Parameters):
    at: time = parameter(time(10), "Time of day", "每天发送时间")
    days: int = parameter(
        5, "Orders of the last so many days", "近多少天内的未付款订单", ge=1, le=30
    )
    scope: Literal["buyer", "order"] = parameter(
        "buyer", "Once for each buyer, or for each order", "每个买家一次，或每个订单一次"
    )


class DailyPaymentReminder(Recipe):
    """The platform allows one batch for each store and day; no buyer is reminded twice.

    A day is 24 hours here, as the platform counts. For each order instead of each buyer, and by a
    channel that can only write about orders, an order is reminded of with the next batch.
    """

    name = "daily_payment_reminder"
    title = Text("Daily payment reminder (AliExpress)", "每日催付（速卖通）")
    description = Text(
        "Once a day and store, reminds the buyers with unpaid orders of the last days. Nobody is "
        "reminded twice, or no order is, and it does not count towards frequency caps.",
        "每店每天一次，提醒近几天有未付款订单的买家；已提醒过的买家（或订单）不再提醒，不占群发额度。",
    )
    group = "orders"
    parameters = DailyReminderParameters

    def build(self, asked: Asked) -> Sequence[NewCampaign]:
        set_ = asked.parameters
        orders: dict[str, Any] = {
            "states": ["CREATED_UNPAID"],
            "within": {"last_hours": 24 * set_.days},
        }
        if asked.shop_id is not None:
            orders["shop_ids"] = [asked.shop_id]
        unpaid = {"ordered": {"orders": orders}}
        send = asked.send(
            "remind",
            Words(
                "Your order is still waiting for you",
                text(f"Hi {NAME}, the items of your order at {SHOP} are still in stock.",
                     "Pay before the order closes to keep today's price."),
            ),
            Words(
                "您的订单还在等您付款",
                text(f"{NAME_ZH}，您在{SHOP}的订单还未付款，库存有限，",
                     "请在订单关闭前付款，锁定当前优惠。"),
            ),
            message_class="service",
            ignore_caps=True,
        )  # fmt: skip

        late = Options(max_lateness=Duration(hours=12))
        if set_.scope == "order" or order_only(asked.channel):
            by_order = Flow(
                trigger=OnEvent(
                    type="order.created", where={"state": [UNPAID.value], **asked.where}
                ),
                entry=Entry(again="order"),
                exit=Exit(order_states=[UNPAID]),
                steps=[Wait(key="wait", at=set_.at), send],
            )
            return [NewCampaign(asked.say(*self.title), lambda _: by_order, options=late)]

        def flow(segments: Sequence[int]) -> Flow:
            cron = f"{set_.at.minute} {set_.at.hour} * * *"
            return Flow(
                trigger=OnAudience(segment_id=segments[0], schedule=Schedule(cron=cron)),
                entry=Entry(again="never"),
                exit=Exit(rule={"version": 1, "rule": {"not": unpaid}}),
                steps=[send],
            )

        name = asked.say(
            f"Unpaid orders of the last {set_.days} days", f"近{set_.days}天未付款订单"
        )
        return [NewCampaign(asked.say(*self.title), flow, [NewSegment(name, unpaid)], late)]


RECIPES = [PaymentReminder(), DailyPaymentReminder()]
