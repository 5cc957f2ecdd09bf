"""What follows a review: care for a bad one, thanks for a good one."""

from collections.abc import Sequence

from core.domain.campaigns.recipes.words import NAME, NAME_ZH, SHOP, Offer, text
from core.sdk.facets import Text
from core.sdk.flows import Duration, Entry, Flow, OnEvent, Wait
from core.sdk.recipes import Asked, NewCampaign, Parameters, Recipe, Words, parameter


class ReviewCareParameters(Parameters):
    hours: int = parameter(1, "Hours after the review", "评价后多少小时", ge=0, le=168)


class NegativeReviewCare(Recipe):
    """Somebody asks what was wrong before the next buyer reads it."""

    name = "negative_review_care"
    title = Text("Care after a negative review", "中差评关怀")
    description = Text(
        "Apologises after a neutral or bad review, or one with a word of yours, and offers help.",
        "收到中差评或含负面关键词的评价后主动致歉，一对一解释并协助处理。",
    )
    group = "after_sales"
    parameters = ReviewCareParameters

    def build(self, asked: Asked) -> Sequence[NewCampaign]:
        send = asked.send(
            "care",
            Words(
                f"We would like to put it right, {SHOP}",
                text(f"Hi {NAME}, we have read your review and are sorry that you are not content.",
                     "Please tell us what we can do: just answer this message, and somebody of us "
                     "will see to it at once."),
            ),
            Words(
                f"{SHOP}收到了您的评价",
                text(f"{NAME_ZH}，您的评价我们已看到，很抱歉没能让您满意。",
                     "请联系我们，客服会一对一为您解释和处理，直到您满意为止。"),
            ),
            message_class="service",
        )  # fmt: skip
        hours = asked.parameters.hours
        flow = Flow(
            trigger=OnEvent(type="review.negative", where=asked.where),
            entry=Entry(again="order"),
            steps=[*([Wait(key="wait", span=Duration(hours=hours))] if hours else []), send],
        )
        return [NewCampaign(asked.say(*self.title), lambda _: flow)]


class ReviewThanks(Recipe):
    """Only who wrote something is thanked: platforms give a good review by themselves where the
    buyer says nothing."""

    name = "review_thanks"
    title = Text("Thanks for a good review", "好评感谢")
    description = Text(
        "Thanks whoever wrote a good review, with an offer if you like.",
        "买家写下好评后致谢，可附优惠。",
    )
    group = "after_sales"
    parameters = Offer

    def build(self, asked: Asked) -> Sequence[NewCampaign]:
        offer = asked.parameters.lines()
        send = asked.send(
            "thank",
            Words(
                f"{SHOP} thanks you for your review",
                text(f"Hi {NAME}, thank you for your kind review of {SHOP}. "
                     "It helps us, and others who choose.", *offer),
            ),
            Words(
                f"{SHOP}感谢您的好评",
                text(f"{NAME_ZH}，感谢您对{SHOP}的好评，您的认可是我们最大的动力！", *offer),
            ),
        )  # fmt: skip
        flow = Flow(
            trigger=OnEvent(
                type="review.given", where={"sign": [1], "written": [True], **asked.where}
            ),
            entry=Entry(again="order"),
            steps=[send],
        )
        return [NewCampaign(asked.say(*self.title), lambda _: flow)]


RECIPES = [NegativeReviewCare(), ReviewThanks()]
