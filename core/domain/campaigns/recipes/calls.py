"""Campaigns that make no message but a task for staff."""

from collections.abc import Sequence
from datetime import time

from core.domain.customers.tasks import TITLE_LIMIT, TaskKind
from core.sdk.facets import Text
from core.sdk.flows import Act, Entry, Flow, OnAudience, Schedule
from core.sdk.recipes import Asked, NewCampaign, NewSegment, Parameters, Recipe, parameter

GUIDE = Text(
    "Listen first: how is the article, what was good, what was not? Invite to what is new. "
    "Write down what was said, it becomes proposals.",
    "先倾听：商品用得如何，满意和不满意之处；再邀请关注新品。记下客户的话，汇总成改进建议。",
)


class CallBackParameters(Parameters):
    day: int = parameter(1, "Day of the month", "每月几号", ge=1, le=28)
    at: time = parameter(time(9), "Time of day", "生成时间")
    new_days: int = parameter(
        30, "New: first purchase within so many days", "新客：首购在多少天内", ge=1, le=365
    )
    due_in_days: int = parameter(14, "To be done within so many days", "多少天内完成", ge=0, le=365)
    again_after: int = parameter(
        90, "Days until the same customer is called again", "同一客户多少天内不重复", ge=1, le=730
    )
    title: str | None = parameter(
        None, "What the task is called", "任务名称", min_length=1, max_length=TITLE_LIMIT
    )


class CallBack(Recipe):
    """Customers about to be lost, and new ones: those whom a call tells and teaches most."""

    name = "call_back"
    title = Text("Monthly call-backs", "每月电话回访")
    description = Text(
        "Makes a task for each customer who is about to be lost or new, once a month.",
        "每月为即将流失的客户和新客户生成电话回访任务。",
    )
    group = "lifecycle"
    parameters = CallBackParameters
    sends = False

    def build(self, asked: Asked) -> Sequence[NewCampaign]:
        set_ = asked.parameters
        new = {"first_purchase": {"within": {"last_days": set_.new_days}, **asked.orders}}
        before_churn = {"lifecycle_stage": {"any_of": ["SLEEPING"], **asked.in_shop}}
        call = Act(
            key="call",
            action="task",
            settings={
                "kind": TaskKind.CALL.value,
                "title": set_.title or asked.say(*self.title),
                "text": asked.say(*GUIDE),
                "due_in_days": set_.due_in_days,
            },
        )
        schedule = Schedule(cron=f"{set_.at.minute} {set_.at.hour} {set_.day} * *")
        return [
            NewCampaign(
                asked.say(*self.title),
                lambda segments: Flow(
                    trigger=OnAudience(segment_id=segments[0], schedule=schedule),
                    entry=Entry(again="every", days=set_.again_after),
                    steps=[call],
                ),
                [NewSegment(asked.say("To be called", "待回访客户"), {"any": [before_churn, new]})],
            )
        ]


RECIPES = [CallBack()]
