"""Ready-made campaigns that give a coupon and tell of it."""

from collections.abc import Mapping, Sequence
from datetime import time
from decimal import Decimal
from typing import Any, ClassVar

from core.sdk import (
    Asked,
    NewCampaign,
    NewSegment,
    Parameters,
    Recipe,
    Text,
    Words,
    parameter,
    same_day,
)
from core.sdk.events import CUSTOM_TYPE, ReferralEntered, ReferralGranted
from core.sdk.flows import (
    Act,
    Duration,
    Entry,
    Exit,
    Filter,
    Flow,
    OnAudience,
    OnDate,
    OnEvent,
    OnSegment,
    Step,
    Wait,
)

NAME = '{{ customer.name | default: "there" }}'
NAME_ZH = '{{ customer.name | default: "亲" }}'
SHOP = "{{ shop.name }}"
COUPON = "Your coupon {{ coupons.granted.name }}: {{ coupons.granted.code }}"
COUPON_ZH = "您的优惠券{{ coupons.granted.name }}：{{ coupons.granted.code }}"


class CouponParameters(Parameters):
    template: str = parameter(
        ..., "Coupon template (its handle)", "优惠券模板（代号）", min_length=1, max_length=40
    )


def give_and_tell(asked: Asked, subject: Text, text: Text) -> list[Step]:
    """Two steps: the coupon is granted, then a message brings its code."""
    grant = Act(
        key="grant", action="coupons_grant", settings={"template": asked.parameters.template}
    )
    send = asked.send(
        "tell",
        Words(subject.en, f"Hi {NAME}, {text.en}\n{COUPON}"),
        Words(subject.zh, f"{NAME_ZH}，{text.zh}\n{COUPON_ZH}"),
    )
    return [grant, send]


class BirthdayParameters(CouponParameters):
    days_before: int = parameter(0, "Days before the birthday", "生日前多少天", ge=0, le=60)
    at: time = parameter(time(10), "Time of day", "发送时间")


class BirthdayCoupon(Recipe):
    name = "coupons_birthday"
    title = Text("Birthday coupon", "生日优惠券")
    description = Text(
        "Gives a coupon on the birthday, once a year.", "生日当天赠送优惠券，每年一次。"
    )
    group = "dates"
    parameters = BirthdayParameters
    example: ClassVar[Mapping[str, Any]] = {"template": "birthday"}

    def build(self, asked: Asked) -> Sequence[NewCampaign]:
        set_ = asked.parameters
        steps = give_and_tell(
            asked,
            Text(f"Happy birthday from {SHOP}", f"{SHOP}祝您生日快乐"),
            Text(f"happy birthday! {SHOP} has a present for you.", f"生日快乐！{SHOP}送上心意。"),
        )
        flow = Flow(
            trigger=OnDate(field="birthday", days_before=set_.days_before, at=set_.at),
            entry=Entry(again="always"),
            steps=steps,
        )
        title = asked.say(*self.title)
        return [NewCampaign(title, lambda _: flow, options=same_day(set_.at))]


class WelcomeCoupon(Recipe):
    name = "coupons_welcome"
    title = Text("Welcome coupon", "新会员优惠券")
    description = Text("Gives who joins the programme a coupon.", "新会员入会时赠送优惠券。")
    group = "lifecycle"
    parameters = CouponParameters
    example: ClassVar[Mapping[str, Any]] = {"template": "welcome"}

    def build(self, asked: Asked) -> Sequence[NewCampaign]:
        steps = give_and_tell(
            asked,
            Text(f"Welcome to {SHOP}", f"欢迎加入{SHOP}"),
            Text(f"welcome among the members of {SHOP}.", f"欢迎成为{SHOP}会员。"),
        )
        flow = Flow(
            # whoever joins without a shop is welcome in each
            trigger=OnEvent(type="member.joined"),
            entry=Entry(again="never"),
            steps=steps,
        )
        return [NewCampaign(asked.say(*self.title), lambda _: flow)]


class ReturnCoupon(Recipe):
    name = "coupons_return"
    title = Text("Coupon after a return", "退货补偿优惠券")
    description = Text(
        "Makes up for a return with a coupon once the money is back.",
        "退货退款完成后赠送优惠券作为补偿。",
    )
    group = "after_sales"
    parameters = CouponParameters
    example: ClassVar[Mapping[str, Any]] = {"template": "sorry"}

    def build(self, asked: Asked) -> Sequence[NewCampaign]:
        steps = give_and_tell(
            asked,
            Text(f"{SHOP} makes up for it", f"{SHOP}的一点补偿"),
            Text(
                "we are sorry that your order was not right. Your money is on its way back.",
                "很抱歉这次没能让您满意，退款已处理。",
            ),
        )
        where: Filter = {"kind": ["return"], "state": ["refunded"], **asked.where}
        flow = Flow(
            trigger=OnEvent(type="refund.state_changed", where=where),
            entry=Entry(again="order"),
            steps=steps,
        )
        return [NewCampaign(asked.say(*self.title), lambda _: flow)]


class LowOrderParameters(CouponParameters):
    at_most: Decimal = parameter(
        ..., "Average order up to", "平均客单价不超过", gt=0, max_digits=12, decimal_places=2
    )
    currency: str = parameter("CNY", "Currency", "币种", pattern="^[A-Z]{3}$")
    days: int = parameter(90, "Not again within days", "多少天内不重复", ge=1, le=3650)


class LowOrderCoupon(Recipe):
    """A coupon with a threshold above what they use to spend leads them to spend more."""

    name = "coupons_low_order"
    title = Text("Coupon for small orders", "低客单价优惠券")
    description = Text(
        "Gives customers whose orders are small a coupon; one with a threshold above their average "
        "raises it.",
        "向平均客单价偏低的客户发放满减券，门槛高于其客单价以提升消费。",
    )
    group = "lifecycle"
    parameters = LowOrderParameters
    example: ClassVar[Mapping[str, Any]] = {"template": "more", "at_most": "99"}

    def build(self, asked: Asked) -> Sequence[NewCampaign]:
        set_ = asked.parameters
        steps = give_and_tell(
            asked,
            Text(f"More from {SHOP}, for less", f"{SHOP}满减福利"),
            Text("here is something towards your next order.", "为您的下一单准备了优惠。"),
        )
        segment = NewSegment(
            asked.say(f"Average order up to {set_.at_most}", f"平均客单价不超过{set_.at_most}"),
            {
                "order_average": {
                    "currency": set_.currency,
                    "at_most": str(set_.at_most),
                    **asked.orders,
                }
            },
        )

        def flow(segments: Sequence[int]) -> Flow:
            return Flow(
                trigger=OnSegment(segment_id=segments[0]),
                entry=Entry(again="every", days=set_.days),
                steps=steps,
            )

        return [NewCampaign(asked.say(*self.title), flow, [segment])]


class CartParameters(CouponParameters):
    event: str = parameter(
        "custom.cart", "Event of your own that tells of it", "加购/收藏事件类型",
        pattern=f"^{CUSTOM_TYPE.pattern}$",
    )  # fmt: skip
    hours: int = parameter(24, "Hours to wait", "等待多少小时", ge=1, le=720)
    days: int = parameter(30, "Not again within days", "多少天内不重复", ge=1, le=3650)


class CartCoupon(Recipe):
    """Core hears of carts by the merchant's own events only; a template that names products, or is
    off each piece, makes it a discount on the item."""

    name = "coupons_cart"
    title = Text("Cart or favourite without purchase", "加购/收藏未成交")
    description = Text(
        "Gives who put an item into the cart or among the favourites, and has not bought since, a "
        "coupon for it.",
        "客户加购或收藏后仍未下单，赠送单品优惠券。",
    )
    group = "orders"
    parameters = CartParameters
    apart = ("event",)
    example: ClassVar[Mapping[str, Any]] = {"template": "cart"}

    def build(self, asked: Asked) -> Sequence[NewCampaign]:
        set_ = asked.parameters
        steps = give_and_tell(
            asked,
            Text(f"Still thinking it over? {SHOP}", f"{SHOP}提醒：您看中的宝贝还在"),
            Text(
                "what you put aside is still there, and costs less with your coupon.",
                "您加购或收藏的宝贝还在，用券更优惠。",
            ),
        )
        flow = Flow(
            trigger=OnEvent(type=set_.event),
            entry=Entry(again="every", days=set_.days),
            exit=Exit(bought=True),
            steps=[Wait(key="think", span=Duration(hours=set_.hours)), *steps],
        )
        return [NewCampaign(asked.say(*self.title), lambda _: flow)]


class FriendCoupon(Recipe):
    name = "coupons_referral_friend"
    title = Text("Coupon for who was referred", "老带新：新客优惠券")
    description = Text(
        "Gives who entered a member's code a coupon for the first purchase.",
        "新客填写推荐码后，赠送首单优惠券。",
    )
    group = "lifecycle"
    parameters = CouponParameters
    example: ClassVar[Mapping[str, Any]] = {"template": "friend"}

    def build(self, asked: Asked) -> Sequence[NewCampaign]:
        steps = give_and_tell(
            asked,
            Text(f"Welcome to {SHOP}", f"欢迎来到{SHOP}"),
            Text(
                "a friend has recommended us to you: this is for a start.",
                "好友推荐您来，见面礼请收下。",
            ),
        )
        flow = Flow(
            trigger=OnEvent(type=ReferralEntered.type), entry=Entry(again="never"), steps=steps
        )
        return [NewCampaign(asked.say(*self.title), lambda _: flow)]


class ReferrerCoupon(Recipe):
    name = "coupons_referral_thanks"
    title = Text("Coupon for who referred", "老带新：推荐人优惠券")
    description = Text(
        "Gives a member a coupon for each customer whom the member's code brought, once the first "
        "purchase is kept.",
        "被推荐的新客首单确认后，赠送推荐人优惠券。",
    )
    group = "lifecycle"
    parameters = CouponParameters
    example: ClassVar[Mapping[str, Any]] = {"template": "thanks"}

    def build(self, asked: Asked) -> Sequence[NewCampaign]:
        steps = give_and_tell(
            asked,
            Text(f"{SHOP} thanks you", f"{SHOP}感谢您的推荐"),
            Text("your friend has bought from us: thank you.", "您推荐的好友已下单，感谢您！"),
        )
        flow = Flow(
            trigger=OnEvent(type=ReferralGranted.type, about="referrer_id"),
            entry=Entry(again="always"),
            steps=steps,
        )
        return [NewCampaign(asked.say(*self.title), lambda _: flow)]


class ReturnReasonParameters(CouponParameters):
    product_ids: list[str] = parameter(..., "Products", "商品编号", min_length=1, max_length=100)
    reasons: list[str] = parameter(
        ..., "Reasons, as the platform words them", "退货原因", min_length=1, max_length=20
    )


class ReturnReasonCoupon(Recipe):
    name = "coupons_return_reason"
    title = Text("Coupon for a return reason", "退货原因补偿")
    description = Text(
        "Makes up, once the product is better, with all who sent it back for some reason before.",
        "商品改进后，向此前因该原因退货的客户发券补偿。",
    )
    group = "after_sales"
    parameters = ReturnReasonParameters
    apart = ("product_ids",)
    example: ClassVar[Mapping[str, Any]] = {
        "template": "sorry", "product_ids": ["1"], "reasons": ["尺码不合适"],
    }  # fmt: skip

    def build(self, asked: Asked) -> Sequence[NewCampaign]:
        set_ = asked.parameters
        steps = give_and_tell(
            asked,
            Text(f"{SHOP} has listened to you", f"{SHOP}已改进"),
            Text(
                "you sent something back to us, and told us why. We have mended it since.",
                "您之前退货时反馈的问题，我们已经改进。",
            ),
        )
        named = ", ".join(set_.reasons)
        segment = NewSegment(
            asked.say(f"Returned for {named}", f"退货原因：{named}")[:100],
            {
                "refund_count": {
                    "product_ids": set_.product_ids, "reasons": set_.reasons, **asked.orders,
                }
            },
        )  # fmt: skip

        def flow(segments: Sequence[int]) -> Flow:
            return Flow(
                trigger=OnAudience(segment_id=segments[0]), entry=Entry(again="never"), steps=steps
            )

        return [NewCampaign(asked.say(*self.title), flow, [segment])]


RECIPES = (
    BirthdayCoupon(), CartCoupon(), FriendCoupon(), LowOrderCoupon(), ReferrerCoupon(),
    ReturnCoupon(), ReturnReasonCoupon(), WelcomeCoupon(),
)  # fmt: skip
