"""Care after the sale: thanks, instructions, refunds."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from core.domain.campaigns.recipes.words import NAME, NAME_ZH, SHOP, Offer, apart, text
from core.sdk.facets import Text
from core.sdk.flows import Condition, Duration, Entry, Exit, Flow, OnEvent, OrderIs, Wait
from core.sdk.orders import OrderState
from core.sdk.recipes import Asked, NewCampaign, Parameters, Recipe, Words, parameter


class ThankYou(Recipe):
    """Leads to the member centre, where the card is claimed."""

    name = "thank_you"
    title = Text("Thank you, with a member card", "感谢信与领卡")
    description = Text(
        "Thanks once an order is completed, and invites to claim the member card.",
        "确认收货后致谢，并邀请到会员中心领卡；已领请忽略。",
    )
    group = "after_sales"
    parameters = Offer

    def build(self, asked: Asked) -> Sequence[NewCampaign]:
        offer = asked.parameters.lines()
        send = asked.send(
            "thank",
            Words(
                f"Thank you from {SHOP}",
                text(f"Hi {NAME}, thank you for your trust in {SHOP}.",
                     "Your member card is waiting in our member centre. "
                     "Ignore this if you have it already.", *offer),
            ),
            Words(
                f"{SHOP}感谢您的支持",
                text(f"{NAME_ZH}，感谢您对{SHOP}的支持！",
                     "会员卡已备好，到会员中心即可领取，已领请忽略。", *offer),
            ),
        )  # fmt: skip
        flow = Flow(
            trigger=OnEvent(
                type="order.state_changed", where={"state": ["completed"], **asked.where}
            ),
            entry=Entry(again="order"),
            exit=Exit(order_states=[OrderState.COMPLETED]),
            steps=[send],
        )
        return [NewCampaign(asked.say(*self.title), lambda _: flow)]


class UsageTutorialParameters(Parameters):
    product_ids: list[str] = parameter(..., "Product ids", "商品ID", min_length=1, max_length=1000)
    product: str = parameter(..., "The product's name", "商品名称", min_length=1, max_length=100)
    link: str = parameter(..., "Link to the instructions", "教程链接", min_length=1, max_length=500)
    hours: int = parameter(2, "Hours after the delivery", "签收后多少小时", ge=0, le=720)


class UsageTutorial(Recipe):
    """Instructions come when the product is in the customer's hands."""

    name = "usage_tutorial"
    title = Text("Usage tutorial", "使用教程")
    description = Text(
        "Sends the instructions of a product when it has been delivered.",
        "签收后按商品推送使用教程和注意事项，减少退货。",
    )
    group = "after_sales"
    parameters = UsageTutorialParameters
    example: ClassVar[Mapping[str, Any]] = {
        "product_ids": ["1001"],
        "product": "茶",
        "link": "https://example.com/tea",
    }
    apart = ("product_ids",)

    def build(self, asked: Asked) -> Sequence[NewCampaign]:
        set_ = asked.parameters
        send = asked.send(
            "teach",
            Words(
                f"Getting the best out of {set_.product}",
                text(f"Hi {NAME}, here is how to get the best out of {set_.product}:",
                     apart(set_.link)),
            ),
            Words(
                f"{set_.product}使用教程",
                text(f"{NAME_ZH}，{set_.product}的使用教程和注意事项请看：", apart(set_.link)),
            ),
            message_class="service",
        )  # fmt: skip
        product = OrderIs(product_ids=list(set_.product_ids))
        flow = Flow(
            trigger=OnEvent(
                type="parcel.state_changed", where={"state": ["signed"], **asked.where}
            ),
            entry=Entry(again="order"),
            steps=[
                Condition(key="product", order=product, otherwise="end"),
                Wait(key="wait", span=Duration(hours=set_.hours)),
                send,
            ],
        )
        name = f"{asked.say(*self.title)} {set_.product}"
        return [NewCampaign(name, lambda _: flow)]


class RefundCare(Recipe):
    """Whoever is met with care may change its mind."""

    name = "refund_care"
    title = Text("Refund care", "退货关怀")
    description = Text(
        "Answers a request to return goods at once: how to send them back, and whom to ask.",
        "申请退货后立即关怀：请尽快寄回并上传快递单号，有问题联系客服。",
    )
    group = "after_sales"

    def build(self, asked: Asked) -> Sequence[NewCampaign]:
        send = asked.send(
            "care",
            Words(
                f"Your return to {SHOP}",
                text(f"Hi {NAME}, we are sorry that something was not right.",
                     "Please send the goods back soon and enter the tracking number, so that the "
                     "refund is quick. We are glad to help: just write to us."),
            ),
            Words(
                f"您在{SHOP}的退货申请",
                text(f"{NAME_ZH}，很抱歉没能让您满意。",
                     "请尽快寄回并上传快递单号，我们收到后马上处理；有问题请联系客服。"),
            ),
            message_class="service",
        )  # fmt: skip
        flow = Flow(
            trigger=OnEvent(
                type="refund.state_changed",
                where={
                    "kind": ["return", "exchange"], "state": ["requested", "await_return"],
                    **asked.where,
                },
            ),
            entry=Entry(again="order"),
            steps=[send],
        )  # fmt: skip
        return [NewCampaign(asked.say(*self.title), lambda _: flow)]


RECIPES = [ThankYou(), UsageTutorial(), RefundCare()]
