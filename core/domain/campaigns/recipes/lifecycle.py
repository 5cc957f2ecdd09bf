"""Campaigns to who stands at a point of the customer's life where a word may bring a purchase."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar

from core.domain.campaigns.recipes.words import NAME, NAME_ZH, SHOP, Offer, text
from core.sdk.facets import Text
from core.sdk.flows import Duration, Entry, Exit, Flow, OnSegment, Options, Wait
from core.sdk.recipes import Asked, NewCampaign, NewSegment, Recipe, Words, parameter


class LifecycleParameters(Offer):
    again_after: int = parameter(
        90, "Days until the same customer may get it again", "同一客户多少天内不重复", ge=1, le=730
    )
    present: bool = parameter(
        False, "Also who is meant when it starts, once", "启动时已符合条件的客户也发送一次"
    )


class _OnEntering(Recipe):
    """A message to each customer who enters a segment or is in it, unless it buys first."""

    group = "lifecycle"
    parameters = LifecycleParameters
    pause: ClassVar[Duration] = Duration()

    @abstractmethod
    def segment(self, asked: Asked) -> NewSegment:
        """Who is meant."""

    @abstractmethod
    def words(self, asked: Asked) -> tuple[Words, Words]:
        """The message in English and Chinese."""

    def build(self, asked: Asked) -> Sequence[NewCampaign]:
        send = asked.send("message", *self.words(asked))
        # days pass at midnight: the message waits for the morning
        morning = Wait.model_validate({"key": "morning", "kind": "wait", "at": "10:00"})

        def flow(segments: Sequence[int]) -> Flow:
            return Flow(
                trigger=OnSegment(segment_id=segments[0], present=asked.parameters.present),
                entry=Entry(again="every", days=asked.parameters.again_after),
                exit=Exit(bought=True),
                steps=[morning, send],
            )

        late = Options(max_lateness=Duration(days=2))
        return [NewCampaign(asked.say(*self.title), flow, [self.segment(asked)], late)]


def _stage(asked: Asked, *stages: str) -> Mapping[str, Any]:
    return {"lifecycle_stage": {"any_of": list(stages), **asked.in_shop}}


class RepurchaseParameters(LifecycleParameters):
    days: int = parameter(14, "Days after the last purchase", "上次购买后多少天", ge=1, le=365)


class RepurchaseNudge(_OnEntering):
    """Half of those who buy again do so while they are active."""

    name = "repurchase_nudge"
    title = Text("Repurchase nudge", "活跃期回购引导")
    description = Text(
        "Invites active customers some days after their purchase to buy again.",
        "客户仍在活跃期时，用优惠引导再次购买。",
    )
    parameters = RepurchaseParameters

    def segment(self, asked: Asked) -> NewSegment:
        days = asked.parameters.days
        since = {"days_since_last_purchase": {"at_least": days, **asked.orders}}
        return NewSegment(
            asked.say(f"Active, {days} days after buying", f"活跃期且{days}天未购"),
            {"all": [_stage(asked, "ACTIVE"), since]},
        )

    def words(self, asked: Asked) -> tuple[Words, Words]:
        set_ = asked.parameters
        return (
            Words(set_.either(f"Something for you at {SHOP}", f"How do you like it? {SHOP}"),
                  text(f"Hi {NAME}, how do you like what you bought at {SHOP}?",
                       set_.either("Here is something for your next order.",
                                   "We would love to see you again."), *set_.lines())),
            Words(set_.either(f"{SHOP}为您准备了回购礼", f"{SHOP}期待您再次光临"),
                  text(f"{NAME_ZH}，上次的宝贝用得还好吗？",
                       set_.either(f"{SHOP}为您准备了回购礼。", f"{SHOP}期待您再次光临。"),
                       *set_.lines())),
        )  # fmt: skip


class SecondPurchaseParameters(LifecycleParameters):
    days: int = parameter(15, "Days after the first purchase", "首购后多少天", ge=1, le=365)


class SecondPurchase(_OnEntering):
    """The second purchase makes a regular customer."""

    name = "second_purchase"
    title = Text("Second purchase", "二次购买")
    description = Text(
        "Gives who bought once a reason to buy a second time.",
        "只买过一次的客户，首购后送第二单优惠。",
    )
    parameters = SecondPurchaseParameters

    def segment(self, asked: Asked) -> NewSegment:
        days = asked.parameters.days
        once = {"purchase_count": {"at_least": 1, "at_most": 1, **asked.orders}}
        since = {"days_since_last_purchase": {"at_least": days, **asked.orders}}
        return NewSegment(
            asked.say(f"Bought once, {days} days ago", f"仅购一次且满{days}天"),
            {"all": [once, since]},
        )

    def words(self, asked: Asked) -> tuple[Words, Words]:
        set_ = asked.parameters
        return (
            Words(f"Your second order at {SHOP}",
                  text(f"Hi {NAME}, thank you for your first order at {SHOP}.",
                       set_.either("For the second one we have something for you.",
                                   "We would love to see you again."), *set_.lines())),
            Words(set_.either(f"{SHOP}第二单有礼", f"{SHOP}期待您再次光临"),
                  text(f"{NAME_ZH}，感谢首次光临{SHOP}，",
                       set_.either("您的第二单优惠已备好。", "期待再次为您服务。"),
                       *set_.lines())),
        )  # fmt: skip


class ReplenishmentParameters(LifecycleParameters):
    days_before: int = parameter(3, "Days before it is used up", "用完前多少天", ge=0, le=60)
    product_ids: list[str] = parameter(
        [], "Only these products (ids)", "仅限这些商品（ID）", max_length=1000
    )


class Replenishment(_OnEntering):
    """By the product's own cycle, as it was measured."""

    name = "replenishment"
    title = Text("Replenishment due", "补货提醒")
    description = Text(
        "Reminds of a product that is about to be used up, by the product's own cycle.",
        "按商品自身的使用周期，在快用完时提醒补货。",
    )
    parameters = ReplenishmentParameters
    apart = ("product_ids",)

    def segment(self, asked: Asked) -> NewSegment:
        set_ = asked.parameters
        due: dict[str, Any] = {"at_least": 0, "at_most": set_.days_before, **asked.in_shop}
        if set_.product_ids:
            due["product_ids"] = list(set_.product_ids)
        return NewSegment(
            asked.say(f"Due to buy again in {set_.days_before} days",
                      f"{set_.days_before}天内需要补货"),
            {"replenishment_due": due},
        )  # fmt: skip

    def words(self, asked: Asked) -> tuple[Words, Words]:
        offer = asked.parameters.lines()
        return (
            Words(f"Time to restock at {SHOP}?",
                  text(f"Hi {NAME}, what you bought at {SHOP} may soon be used up. "
                       "Restock in time.", *offer)),
            Words(f"{SHOP}提醒您该补货了",
                  text(f"{NAME_ZH}，您在{SHOP}买的宝贝快用完了吧？记得及时补货。", *offer)),
        )  # fmt: skip


class SleepingWinBack(_OnEntering):
    name = "sleeping_win_back"
    title = Text("Sleeping customers", "睡眠客户唤醒")
    description = Text(
        "Writes to customers who begin to sleep, before they are lost.",
        "客户进入睡眠期时唤醒，避免流失。",
    )

    def segment(self, asked: Asked) -> NewSegment:
        return NewSegment(asked.say("Sleeping", "睡眠客户"), _stage(asked, "SLEEPING"))

    def words(self, asked: Asked) -> tuple[Words, Words]:
        offer = asked.parameters.lines()
        return (
            Words(f"We miss you at {SHOP}",
                  text(f"Hi {NAME}, it has been a while. We would love to see you again.", *offer)),
            Words(f"{SHOP}想您了",
                  text(f"{NAME_ZH}，好久不见，{SHOP}想您了，回来看看吧。", *offer)),
        )  # fmt: skip


class ChurnWinBack(_OnEntering):
    name = "churn_win_back"
    title = Text("Lost customers", "流失客户召回")
    description = Text(
        "Tries once to win back customers who count as lost.", "客户判定为流失时召回一次。"
    )

    def segment(self, asked: Asked) -> NewSegment:
        return NewSegment(asked.say("Churned", "流失客户"), _stage(asked, "CHURNED"))

    def words(self, asked: Asked) -> tuple[Words, Words]:
        set_ = asked.parameters
        return (
            Words(f"Come back to {SHOP}",
                  text(f"Hi {NAME}, much is new at {SHOP} since your last visit. "
                       "Come and have a look.", *set_.lines())),
            Words(f"{SHOP}邀您回家看看",
                  text(f"{NAME_ZH}，{SHOP}上新了很多好物，",
                       set_.either("老朋友专属礼遇等您来。", "欢迎回来看看。"), *set_.lines())),
        )  # fmt: skip


class SmallBasketParameters(LifecycleParameters):
    below: Decimal = parameter(..., "Average order below", "平均客单价低于", gt=0)
    currency: str = parameter("CNY", "Currency", "币种", pattern="^[A-Z]{3}$")


class SmallBasket(_OnEntering):
    """A threshold a little above the usual basket makes the next one larger."""

    name = "small_basket"
    title = Text("Below-average basket", "低客单价提升")
    description = Text(
        "Offers customers whose average order is small a reason for a larger one.",
        "平均客单价偏低的客户，用满减等优惠提升客单价。",
    )
    parameters = SmallBasketParameters
    example: ClassVar[Mapping[str, Any]] = {"below": "100"}

    def segment(self, asked: Asked) -> NewSegment:
        set_ = asked.parameters
        average = {"currency": set_.currency, "at_most": str(set_.below), **asked.orders}
        return NewSegment(
            asked.say(f"Average order up to {set_.below} {set_.currency}",
                      f"平均客单价不超过{set_.below}{set_.currency}"),
            {"order_average": average},
        )  # fmt: skip

    def words(self, asked: Asked) -> tuple[Words, Words]:
        set_ = asked.parameters
        return (
            Words(f"More for your next order at {SHOP}",
                  text(f"Hi {NAME}, a little more in the basket pays off at {SHOP}.",
                       *set_.lines())),
            Words(f"{SHOP}凑单更划算",
                  text(f"{NAME_ZH}，在{SHOP}多买一件更划算。", *set_.lines())),
        )  # fmt: skip


RECIPES = [
    RepurchaseNudge(), SecondPurchase(), Replenishment(), SleepingWinBack(), ChurnWinBack(),
    SmallBasket(),
]  # fmt: skip
