"""Campaigns of the calendar: birthdays, holidays, the member day, regular follow-ups."""

from collections.abc import Mapping, Sequence
from datetime import time
from typing import Any, ClassVar

from core.domain.campaigns.recipes.words import NAME, NAME_ZH, SHOP, Offer, text
from core.sdk.facets import Text
from core.sdk.flows import Entry, Flow, OnAudience, OnDate, Schedule
from core.sdk.recipes import (
    Asked,
    NewCampaign,
    NewSegment,
    Recipe,
    Words,
    parameter,
    same_day,
)


def buyers(asked: Asked) -> NewSegment:
    """Everybody who bought in the shop."""
    return NewSegment(
        asked.say("Buyers", "购买过的客户"), {"purchase_count": {"at_least": 1, **asked.orders}}
    )


class BirthdayParameters(Offer):
    days_before: int = parameter(0, "Days before the birthday", "生日前多少天", ge=0, le=60)
    at: time = parameter(time(10), "Time of day", "发送时间")


class Birthday(Recipe):
    name = "birthday"
    title = Text("Birthday", "生日祝福")
    description = Text(
        "Congratulates on the birthday, or some days before, once a year.",
        "生日当天或提前几天送上祝福与礼遇，每年一次。",
    )
    group = "dates"
    parameters = BirthdayParameters

    def build(self, asked: Asked) -> Sequence[NewCampaign]:
        set_ = asked.parameters
        send = asked.send(
            "greet",
            Words(
                f"Happy birthday from {SHOP}",
                text(f"Hi {NAME}, happy birthday! All of us at {SHOP} wish you a wonderful year.",
                     *set_.lines()),
            ),
            Words(
                f"{SHOP}祝您生日快乐",
                text(f"{NAME_ZH}，生日快乐！{SHOP}祝您每天都有好心情。", *set_.lines()),
            ),
        )  # fmt: skip
        flow = Flow(
            trigger=OnDate(field="birthday", days_before=set_.days_before, at=set_.at),
            entry=Entry(again="always"),
            steps=[send],
        )
        title = asked.say(*self.title)
        return [NewCampaign(title, lambda _: flow, options=same_day(set_.at))]


class HolidayParameters(Offer):
    holiday: str = parameter(..., "The holiday's name", "节日名称", min_length=1, max_length=100)
    month: int = parameter(..., "Month", "月", ge=1, le=12)
    day: int = parameter(..., "Day", "日", ge=1, le=31)
    countries: list[str] = parameter(
        [], "Only customers in these countries (two letters)", "仅限这些国家的客户（两位代码）",
        max_length=250,
    )  # fmt: skip
    at: time = parameter(time(10), "Time of day, where the customer lives", "发送时间（客户当地）")


class LocalHoliday(Recipe):
    """Each customer gets it on the morning of its own time zone."""

    name = "local_holiday"
    title = Text("Local holiday", "当地节日祝福")
    description = Text(
        "Greets the customers of some countries on a holiday of theirs, each year.",
        "在客户当地的重要节日按当地时间送上祝福，每年一次。",
    )
    group = "dates"
    parameters = HolidayParameters
    example: ClassVar[Mapping[str, Any]] = {"holiday": "春节", "month": 2, "day": 17}
    apart = ("holiday",)

    def build(self, asked: Asked) -> Sequence[NewCampaign]:
        set_ = asked.parameters
        segment = buyers(asked)
        if set_.countries:
            rule = {"all": [segment.rule, {"country": {"any_of": set_.countries}}]}
            countries = ", ".join(set_.countries)
            segment = NewSegment(
                asked.say(f"Buyers in {countries}", f"购买过的客户（{countries}）"), rule
            )
        send = asked.send(
            "greet",
            Words(
                f"{set_.holiday}: best wishes from {SHOP}",
                text(f"Hi {NAME}, {SHOP} wishes you a happy {set_.holiday}.", *set_.lines()),
            ),
            Words(
                f"{SHOP}祝您{set_.holiday}快乐",
                text(f"{NAME_ZH}，{SHOP}祝您{set_.holiday}快乐，阖家幸福！", *set_.lines()),
            ),
        )
        schedule = Schedule(
            cron=f"{set_.at.minute} {set_.at.hour} {set_.day} {set_.month} *", local=True
        )
        return [NewCampaign(
            f"{asked.say(*self.title)} {set_.holiday}",
            lambda segments: Flow(
                trigger=OnAudience(segment_id=segments[0], schedule=schedule), steps=[send]
            ),
            [segment],
            same_day(set_.at),
        )]  # fmt: skip


class MemberDayParameters(Offer):
    weekday: int = parameter(2, "Day of the week, 1 is Monday", "每周几（1为周一）", ge=1, le=7)
    at: time = parameter(time(10), "Time of day", "发送时间")
    members_only: bool = parameter(
        False, "Only members of the programme, not all buyers", "仅限会员，不含其他买家"
    )


class MemberDay(Recipe):
    name = "member_day"
    title = Text("Member day", "会员日")
    description = Text(
        "Announces the member day on one fixed day of each week.",
        "每周固定一天会员尊享日，精选专享商品。",
    )
    group = "dates"
    parameters = MemberDayParameters

    def build(self, asked: Asked) -> Sequence[NewCampaign]:
        set_ = asked.parameters
        send = asked.send(
            "announce",
            Words(
                f"Today is member day at {SHOP}",
                text(f"Hi {NAME}, today is member day at {SHOP}: selected items, for you only.",
                     *set_.lines()),
            ),
            Words(
                f"今天是{SHOP}会员日",
                text(f"{NAME_ZH}，今天是{SHOP}会员日，精选好物会员专享。", *set_.lines()),
            ),
        )  # fmt: skip
        members = NewSegment(asked.say("Members", "会员"), {"member": {}})
        schedule = Schedule(cron=f"{set_.at.minute} {set_.at.hour} * * {set_.weekday % 7}")
        return [NewCampaign(
            asked.say(*self.title),
            lambda segments: Flow(
                trigger=OnAudience(segment_id=segments[0], schedule=schedule), steps=[send]
            ),
            [members if set_.members_only else buyers(asked)],
            same_day(set_.at),
        )]  # fmt: skip


class FollowUpParameters(Offer):
    tag: str = parameter(
        "小B", "The tag of these customers", "客户标签", min_length=1, max_length=100
    )
    days: list[int] = parameter(
        [1, 15], "Days of the month", "每月几号", min_length=1, max_length=4
    )
    at: time = parameter(time(10), "Time of day", "发送时间")


class WholesaleFollowUp(Recipe):
    """Small wholesale buyers hear of what is new twice a month."""

    name = "wholesale_follow_up"
    title = Text("Follow-up of small wholesale buyers", "小B客户跟进")
    description = Text(
        "Writes to the customers with a tag twice a month: what is new, and an offer for them.",
        "每月两次跟进小B、小D客户：新品目录与专属优惠。",
    )
    group = "dates"
    parameters = FollowUpParameters
    apart = ("tag",)

    def build(self, asked: Asked) -> Sequence[NewCampaign]:
        set_ = asked.parameters
        send = asked.send(
            "follow_up",
            Words(
                f"New at {SHOP}, for our partners",
                text(f"Hi {NAME}, here is what is new at {SHOP} for our partners.", *set_.lines()),
            ),
            Words(
                f"{SHOP}新品目录",
                text(f"{NAME_ZH}，{SHOP}为合作客户准备了新品目录。", *set_.lines()),
            ),
        )
        days = ",".join(str(day) for day in sorted(set(set_.days)))
        schedule = Schedule(cron=f"{set_.at.minute} {set_.at.hour} {days} * *")
        segment = NewSegment(
            asked.say(f"Tagged {set_.tag}", f"标签：{set_.tag}"), {"tag": {"any_of": [set_.tag]}}
        )
        return [NewCampaign(
            f"{asked.say(*self.title)} {set_.tag}",
            lambda segments: Flow(
                trigger=OnAudience(segment_id=segments[0], schedule=schedule), steps=[send]
            ),
            [segment],
        )]  # fmt: skip


RECIPES = [Birthday(), LocalHoliday(), MemberDay(), WholesaleFollowUp()]
