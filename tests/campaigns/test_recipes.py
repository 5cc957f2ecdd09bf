"""Each recipe is switched on and runs through the real engine, with the clock moved."""

import re
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

import pytest

from core.domain.campaigns.control import cancel_campaign
from core.domain.campaigns.recipes.switching import (
    campaigns_of,
    find_recipe,
    read_parameters,
    switch_on,
)
from core.domain.orders.review_words import set_review_words
from core.domain.segments.segments import create_segment
from core.schema.scalars import global_id
from core.sdk import AlreadyExists, LineRecord, NotFound, OrderState, PluginDisabled, Several
from core.sdk.errors import HuikeError
from tests.journey_kit import take_orders
from tests.recipe_kit import ZONE, Stage

PAID = OrderState.TO_SHIP
# the clock stands at Monday, 15 June, noon in the shop


@pytest.fixture
async def stage(merchant):
    opened = await Stage(merchant).set_up()
    yield opened
    async with merchant.work() as w:  # else its runs would go on through the other tests
        rows = await w.sql.fetch(
            """SELECT id FROM campaigns WHERE merchant_id = $1
                 AND state NOT IN ('finished', 'cancelled')""",
            merchant.id,
        )  # fmt: skip
        for row in rows:
            await cancel_campaign(w, row["id"])


async def test_payment_reminder_by_text_after_half_an_hour(stage):
    await stage.on("payment_reminder")
    await stage.ordered("1")
    paying = await stage.ordered("2")
    await stage.later(minutes=25)
    await stage.moved(paying, PAID)
    assert stage.note.sent == []
    await stage.later(hours=2, step=timedelta(minutes=5))
    ((when, to, content),) = stage.note.sent
    assert (when, to[-2:]) == ("06-15 12:30", "01")
    assert (
        content["text"]
        == "李雷，您在Test的宝贝已为您留好，还差付款这一步。付款后我们尽快发货，已付款请忽略。"
    )


async def test_payment_reminder_by_mail_after_ten_minutes_beside_that_by_text(stage):
    await stage.on("payment_reminder")
    await stage.on("payment_reminder", "paper", language="en")
    await stage.ordered("1")
    closed = await stage.ordered("2")
    await stage.moved(closed, OrderState.CLOSED_UNPAID)
    await stage.later(hours=1, step=timedelta(minutes=5))
    assert stage.notes == [("06-15 12:30", "01")]
    ((when, _, content),) = stage.paper.sent
    assert when == "06-15 12:10"
    assert "unsubscribe" not in content["html"].lower()
    assert content["subject"] == "Your order at Test is waiting"
    await stage.ordered("3")
    await stage.later(minutes=15)
    assert len(stage.paper.sent) == 2


async def test_payment_reminder_for_some_goods_and_some_customers(stage):
    async with stage.merchant.work() as w:
        rule = {"version": 1, "rule": {"ordered": {"orders": {"product_ids": ["P1", "P2"]}}}}
        chosen = await create_segment(w, stage.registry, "buyers", rule)
    await stage.on("payment_reminder", product_ids=["P1"], minutes=20)
    await stage.on("payment_reminder", segment=global_id("Segment", chosen), minutes=40)
    for number, product in enumerate(["P1", "P2", "P3"], 1):
        await stage.ordered(str(number), lines=[LineRecord("1", "壶", product_id=product)])
    await stage.later(hours=1, step=timedelta(minutes=5))
    assert stage.notes == [("06-15 12:20", "01"), ("06-15 12:40", "01"), ("06-15 12:40", "02")]
    with pytest.raises((HuikeError, Several), match="id of a segment"):
        await stage.on("payment_reminder", segment=global_id("Campaign", chosen))


async def test_daily_reminder_of_each_order(stage):
    await stage.on("daily_payment_reminder", scope="order")
    first = await stage.ordered("1")
    paying = await stage.ordered("2")
    await stage.moved(paying, PAID)
    await stage.later(hours=30, step=timedelta(hours=2))
    again = replace(first, external_id="3", ordered_at=stage.clock())
    await take_orders(stage.merchant, again)
    await stage.later(days=3, step=timedelta(hours=2))
    assert stage.notes == [("06-16 10:00", "01"), ("06-17 10:00", "01")]


async def test_reviews_are_answered(stage):
    await stage.on("negative_review_care")
    await stage.on("review_thanks", "paper", language="en", offer="5 % next time")
    async with stage.merchant.work() as w:
        await set_review_words(w, ["掉色"])
    bad, good, silent, faded = [
        await stage.ordered(str(n), OrderState.COMPLETED) for n in range(1, 5)
    ]
    await stage.reviewed(bad, sign=-1, text="太小")
    await stage.reviewed(good, sign=1, text="很好")
    await stage.reviewed(silent, sign=1)
    await stage.reviewed(faded, stars=5, text="好看,但是掉色")
    assert [content["subject"] for _, _, content in stage.paper.sent] == [
        "Test thanks you for your review"
    ] * 2
    assert "5 % next time" in stage.paper.sent[0][2]["html"]
    assert stage.notes == []
    await stage.later(hours=2, step=timedelta(minutes=30))
    assert stage.notes == [("06-15 13:00", "01"), ("06-15 13:00", "04")]
    await stage.reviewed(bad, sign=-1, text="太小", later_text="还是太小")
    await stage.later(hours=2, step=timedelta(minutes=30))
    assert len(stage.notes) == 2


async def test_daily_reminder_reaches_each_buyer_once(stage):
    old = await stage.ordered("1")
    await stage.later(days=6, step=timedelta(days=1))
    await stage.ordered("2")
    paying = await stage.ordered("3")
    await stage.on("daily_payment_reminder", days=4)
    await stage.moved(paying, PAID)
    assert stage.note.sent == []
    await stage.later(days=1, step=timedelta(hours=1))
    assert stage.notes == [("06-22 10:00", "02")]
    await stage.ordered("4")
    await stage.later(days=2, step=timedelta(hours=1))
    assert stage.notes == [("06-22 10:00", "02"), ("06-23 10:00", "04")]
    assert old.state == OrderState.CREATED_UNPAID


async def test_shipping_notice_and_that_of_several_parcels(stage):
    await stage.on("shipping_notice")
    one = await stage.ordered("1", PAID)
    await stage.scanned(one, "shipped", "SF100")
    two = await stage.ordered("2", PAID)
    await stage.scanned(two, "shipped", "SF200")
    await stage.scanned(two, "shipped", "SF201")
    await stage.scanned(one, "in_transit", "SF100")
    texts = [content["text"] for _, _, content in stage.note.sent]
    assert len(texts) == 3
    assert "SF100" in texts[0]
    assert "第" not in texts[0]
    assert "第2个包裹" in texts[2]
    assert "SF201" in texts[2]
    assert all("拒收" not in text for text in texts)


async def test_notices_to_customers_with_a_tag(stage):
    first = await stage.ordered("1", PAID)
    await stage.tagged("小B")
    second = await stage.ordered("2", PAID)
    await stage.on("shipping_notice", tag="小B")
    await stage.scanned(first, "shipped")
    await stage.scanned(second, "shipped", "SF2")
    assert [to for _, to in stage.notes] == ["01"]


@pytest.mark.parametrize(
    ("recipe", "state", "word"),
    [("arrived_in_city", "arrived_city", "所在的城市"),
     ("out_for_delivery", "out_for_delivery", "派送"), ("signed", "signed", "签收")],
)  # fmt: skip
async def test_notices_on_the_way(stage, recipe, state, word):
    await stage.on(recipe)
    made = await stage.ordered("1", PAID)
    await stage.scanned(made, "shipped")
    assert stage.note.sent == []
    stage.clock.move(timedelta(hours=1))
    await stage.scanned(made, state)
    ((_, _, content),) = stage.note.sent
    assert word in content["text"]


async def test_unconfirmed_receipt(stage):
    await stage.on("unconfirmed_receipt", days=5)
    kept, confirmed = await stage.ordered("1", PAID), await stage.ordered("2", PAID)
    in_parts = await stage.ordered("3", PAID)
    await stage.scanned(in_parts, "shipped", "SF4")
    await stage.scanned(in_parts, "signed", "SF3")
    await stage.scanned(kept, "signed")
    await stage.scanned(confirmed, "signed", "SF2")
    await stage.later(days=4)
    await stage.moved(confirmed, OrderState.COMPLETED)
    assert stage.note.sent == []
    await stage.later(days=3, step=timedelta(hours=6))
    assert stage.notes == [("06-20 12:00", "01")]
    await stage.scanned(in_parts, "signed", "SF4")
    await stage.later(days=4, step=timedelta(hours=6))
    assert stage.notes == [("06-20 12:00", "01"), ("06-25 12:00", "03")]


async def test_thanks_and_the_card(stage):
    await stage.on("thank_you", offer="领卡立享9折")
    made = await stage.ordered("1", PAID)
    await stage.moved(made, OrderState.COMPLETED)
    ((_, _, content),) = stage.note.sent
    assert "领取" in content["text"]
    assert content["text"].endswith("领卡立享9折拒收请回复R")


async def test_links_can_be_followed(stage):
    given = {"event": "周年庆", "offer": "满100减10", "link": "https://t.example/?a=1&b=2 "}
    await stage.ordered("1", PAID)
    for channel in ("note", "paper"):
        await stage.on("event_blast", channel, **given)
    ((_, _, text),), ((_, _, mail),) = stage.note.sent, stage.paper.sent
    assert re.search(r"满100减10 http://s\.example/s/\S+ 拒收请回复R$", text["text"])
    assert re.search(r'<p><a href="http://s\.example/t/c/\S+">点击查看</a></p>', mail["html"])


def test_without_an_offer_nothing_is_promised(installation):
    for name, word in (("second_purchase", "优惠"), ("repurchase_nudge", "礼"),
                       ("churn_win_back", "礼"), ("small_basket", "优惠")):  # fmt: skip
        recipe = find_recipe(installation.registry, name)
        for offer in ("", "满100减10"):
            given = {**recipe.example, "channel": "sms", "offer": offer}
            (made,) = campaigns_of(
                installation.registry, recipe, read_parameters(recipe, given), "zh"
            )
            (send,) = made.flow([1]).sends().values()
            text = send.variants[0].content["text"]
            assert (word in text) == (bool(offer) and name != "small_basket"), name
            assert offer in text, name


async def test_usage_tutorial_of_the_product_bought(stage):
    await stage.on(
        "usage_tutorial", product_ids=["P1"], product="紫砂壶", link="https://t.example/1"
    )
    lines = [LineRecord("1", "壶", product_id="P1")]
    wanted = await stage.ordered("1", PAID, lines=lines)
    other = await stage.ordered("2", PAID, lines=[LineRecord("1", "茶", product_id="P2")])
    await stage.scanned(wanted, "signed")
    await stage.scanned(other, "signed", "SF2")
    await stage.later(hours=3, step=timedelta(hours=1))
    ((when, to, content),) = stage.note.sent
    assert (when, to[-2:]) == ("06-15 14:00", "01")
    assert re.search(r"紫砂壶的使用教程和注意事项请看： http://s\.example/s/\S+$", content["text"])


async def test_refund_care_once_for_an_order(stage):
    await stage.on("refund_care")
    made = await stage.ordered("1", PAID)
    await stage.refunded(made)
    stage.clock.move(timedelta(hours=1))
    await stage.refunded(made, "await_return")
    other = await stage.ordered("2", PAID)
    await stage.refunded(other, kind="refund_only")
    assert stage.notes == [("06-15 12:00", "01")]


async def test_birthday(stage):
    await stage.ordered("1", PAID)
    await stage.customers(birthday=date(1990, 6, 20))
    await stage.on("birthday", days_before=3, at="09:30", offer="生日礼券")
    await stage.later(days=7, step=timedelta(minutes=90))
    assert [when for when, _ in stage.notes] == ["06-17 10:30"]  # the first turn after 9:30


async def test_local_holiday_where_the_customer_lives(stage):
    await stage.ordered("1", PAID)
    await stage.customers(country="DE")
    await stage.ordered("2", PAID)
    await stage.on("local_holiday", holiday="仲夏节", month=6, day=20, countries=["DE"])
    await stage.later(days=7, step=timedelta(hours=1))
    assert stage.notes == [("06-20 16:00", "01")]  # ten in Berlin


async def test_member_day(stage):
    await stage.ordered("1", PAID)
    campaign_id = await stage.on("member_day", weekday=3, at="20:00")
    await stage.later(days=14, step=timedelta(hours=4))
    assert stage.notes == [("06-17 20:00", "01"), ("06-24 20:00", "01")]
    assert await stage.state(campaign_id) == "running"


@pytest.mark.parametrize(
    ("recipe", "given"),
    [("member_day", {"weekday": 3}), ("birthday", {}),
     ("local_holiday", {"holiday": "仲夏节", "month": 6, "day": 17})],
)  # fmt: skip
async def test_what_is_said_of_today_is_not_said_tomorrow(stage, recipe, given):
    await stage.ordered("1", PAID)
    await stage.customers(birthday=date(1990, 6, 17))
    await stage.on(recipe, at="10:00", **given)
    stage.clock.move(timedelta(hours=69))  # the server is away from Monday noon to Thursday 9:00
    await stage.turn()
    assert stage.note.sent == []


async def test_member_day_for_members_only(stage):
    await stage.ordered("1", PAID)
    await stage.ordered("2", PAID)
    async with stage.merchant.work() as w:
        await w.sql.execute(
            """INSERT INTO memberships (merchant_id, customer_id, card_number, joined_at,
                   join_source)
               SELECT $1, customer_id, '1', $2, 'agent' FROM orders
               WHERE merchant_id = $1 AND external_id = '2'""",
            w.merchant_id, w.now,
        )  # fmt: skip
    await stage.on("member_day", weekday=3, members_only=True)
    await stage.later(days=3, step=timedelta(hours=4))
    assert [to for _, to in stage.notes] == ["02"]


async def test_follow_up_twice_a_month(stage):
    await stage.ordered("1", PAID)
    await stage.tagged("小B")
    await stage.ordered("2", PAID)
    await stage.on("wholesale_follow_up")
    await stage.later(days=31, step=timedelta(hours=11))
    assert [to for _, to in stage.notes] == ["01", "01"]
    assert [when[:5] for when, _ in stage.notes] == ["07-01", "07-15"]


@pytest.mark.parametrize(
    ("recipe", "parameters", "day"),
    [
        ("repurchase_nudge", {"days": 14}, "06-29"),
        ("second_purchase", {"days": 20}, "07-05"),
        ("sleeping_win_back", {}, None),
        ("churn_win_back", {}, None),
    ],
)
async def test_who_enters_a_stage_is_written_to_unless_it_buys(stage, recipe, parameters, day):
    await stage.on(recipe, offer="满100减20", **parameters)
    await stage.ordered("1", PAID)
    buyer = await stage.ordered("2", PAID)
    await stage.later(days=12, step=timedelta(days=2))
    await stage.ordered("3", PAID, buyer_id="buyer-2")
    assert buyer.buyer_id == "buyer-2"
    await stage.later(days=30 if day else 120, step=timedelta(hours=13 if day else 25))
    first = [when for when, to in stage.notes if to == "01"]
    assert len(first) == 1
    if day:
        assert first[0][:5] == day
    assert stage.note.sent[0][2]["text"].endswith("满100减20拒收请回复R")


@pytest.mark.parametrize("present", [True, False])
async def test_who_is_in_a_stage_already_is_written_to_if_wanted(stage, present):
    await stage.ordered("1", PAID)
    await stage.later(days=16, step=timedelta(days=1))
    await stage.on("repurchase_nudge", days=14, present=present)
    await stage.later(days=3, step=timedelta(hours=13))
    assert [to for _, to in stage.notes] == ["01"] * present


async def test_replenishment(stage):
    await stage.on("replenishment", days_before=3)
    lines = [LineRecord("1", "茶", product_id="P1")]
    await stage.ordered("1", PAID, lines=lines)
    async with stage.merchant.work() as w:
        await w.sql.execute(
            """INSERT INTO product_cycles
                   (merchant_id, shop_id, product_id, days, sample, customers, at)
               VALUES ($1, $2, 'P1', 10, 30, 30, $3)""",
            w.merchant_id, stage.merchant.shop_id, w.now,
        )  # fmt: skip
    await stage.later(days=20, step=timedelta(hours=11))
    assert [when[:5] for when, _ in stage.notes] == ["06-22"]


async def test_small_basket(stage):
    await stage.on("small_basket", below="50")
    await stage.ordered("1", PAID)
    await stage.ordered("2", PAID, total=100_00, paid=100_00)
    await stage.later(days=2, step=timedelta(hours=11))
    assert [to for _, to in stage.notes] == ["01"]


@pytest.mark.parametrize(
    ("recipe", "parameters"),
    [("new_arrival", {"product": "春茶"}), ("event_blast", {"event": "618"})],
)
async def test_blasts_go_to_all_buyers_at_their_moment(stage, recipe, parameters):
    await stage.ordered("1", PAID)
    await stage.ordered("2")
    campaign_id = await stage.on(recipe, at="2026-06-16T20:00:00+08:00", **parameters)
    assert await stage.state(campaign_id) == "scheduled"
    await stage.later(days=2, step=timedelta(hours=1))
    assert stage.notes == [("06-16 20:00", "01")]
    assert await stage.state(campaign_id) == "finished"


# -- switching on -------------------------------------------------------------------------------


async def switch(stage, name, given, **more):
    async with stage.merchant.work() as w:
        return await switch_on(w, stage.registry, name, given, **more)


async def names(stage, *campaign_ids):
    async with stage.merchant.read() as session:
        rows = await session.sql.fetch(
            """SELECT name FROM campaigns WHERE merchant_id = $1 AND id = ANY($2::bigint[])
               ORDER BY id""",
            session.merchant_id, campaign_ids,
        )  # fmt: skip
    return [row["name"] for row in rows]


async def test_it_is_on_once_for_a_shop_and_channel(stage):
    shop_id = stage.merchant.shop_id
    (first,) = await switch(stage, "payment_reminder", {"channel": "note"}, shop_id=shop_id)
    with pytest.raises(AlreadyExists, match="on for this shop and channel already"):
        await switch(stage, "payment_reminder", {"channel": "note", "minutes": 5}, shop_id=shop_id)
    await switch(stage, "payment_reminder", {"channel": "paper"}, shop_id=shop_id)
    await switch(stage, "payment_reminder", {"channel": "note"}, title="all shops")
    async with stage.merchant.work() as w:
        await cancel_campaign(w, first)
    (second,) = await switch(stage, "payment_reminder", {"channel": "note"}, shop_id=shop_id)
    assert await names(stage, second) == ["催付提醒 · shop · note 2"]  # the old one keeps its name
    async with stage.merchant.work() as w:
        await cancel_campaign(w, second)
    with pytest.raises(AlreadyExists, match="named"):
        await switch(
            stage, "payment_reminder", {"channel": "note"}, shop_id=shop_id, title="all shops"
        )


async def test_notices_to_all_and_to_a_tag_stand_side_by_side(stage):
    (to_all,) = await switch(stage, "signed", {"channel": "note"})
    (to_some,) = await switch(stage, "signed", {"channel": "note", "tag": "小B"})
    (others,) = await switch(stage, "replenishment", {"channel": "note", "product_ids": ["1"]})
    (rest,) = await switch(stage, "replenishment", {"channel": "note", "product_ids": ["2"]})
    assert await names(stage, to_all, to_some, others, rest) == [
        "签收关怀 · note", "签收关怀 小B · note", "补货提醒 · note", "补货提醒 · note 2",
    ]  # fmt: skip


async def test_one_that_sends_nothing_is_on_once_whatever_the_channel(stage):
    await switch(stage, "call_back", {"channel": "note"})
    with pytest.raises(AlreadyExists, match="on for this shop and channel already"):
        await switch(stage, "call_back", {"channel": "paper"})


async def test_tutorials_of_several_products_go_side_by_side(stage):
    given = {"channel": "note", "product": "壶", "link": "https://t.example"}
    await switch(stage, "usage_tutorial", given | {"product_ids": ["1"]})
    await switch(stage, "usage_tutorial", given | {"product_ids": ["2"], "product": "杯"})
    with pytest.raises(AlreadyExists):
        await switch(stage, "usage_tutorial", given | {"product_ids": ["1"]}, title="again")


async def test_a_segment_of_the_same_rule_is_taken(stage):
    await switch(stage, "new_arrival", {"channel": "note", "product": "a"})
    await switch(stage, "event_blast", {"channel": "note", "event": "b"})
    await switch(stage, "member_day", {"channel": "note"}, shop_id=stage.merchant.shop_id)
    async with stage.merchant.read() as session:
        rows = await session.sql.fetch(
            "SELECT name FROM segments WHERE merchant_id = $1 ORDER BY id", session.merchant_id
        )
    assert [row["name"] for row in rows] == ["购买过的客户", "购买过的客户 · shop"]


async def test_what_it_was_made_by_is_kept(stage):
    (campaign_id,) = await switch(stage, "payment_reminder", {"channel": "note", "minutes": 45})
    async with stage.merchant.read() as session:
        row = await session.sql.fetchrow(
            """SELECT name, recipe, parameters ->> 'minutes' AS minutes, state, kind
               FROM campaigns WHERE merchant_id = $1 AND id = $2""",
            session.merchant_id, campaign_id,
        )  # fmt: skip
    assert tuple(row) == ("催付提醒 · note", "payment_reminder", "45", "draft", "journey")


async def test_faults_have_their_path(stage):
    with pytest.raises(NotFound, match=r"there are .*birthday"):
        await switch(stage, "magic", {})
    with pytest.raises((HuikeError, Several)) as caught:
        await switch(stage, "payment_reminder", {"minutes": 0, "colour": "red"})
    assert {error.path for error in caught.value.errors} == {
        ("input", "parameters", "minutes"), ("input", "parameters", "colour")
    }  # fmt: skip
    with pytest.raises(Exception, match="pigeon") as wrong:
        await switch(stage, "payment_reminder", {"channel": "pigeon"})
    assert wrong.value.path == ("input", "parameters", "channel")
    for given in (
        {"holiday": "x", "month": 2, "day": 31},
        {"holiday": "x", "month": 2, "day": 3, "at": "soon"},
    ):
        with pytest.raises((HuikeError, Several)):
            await switch(stage, "local_holiday", {"channel": "note", **given})
    late = {"channel": "note", "event": "x", "at": "2026-06-16T20:00:00"}
    with pytest.raises((HuikeError, Several)):
        await switch(stage, "event_blast", late)
    with pytest.raises(PluginDisabled):
        await switch(stage, "payment_reminder", {"channel": "email"}, start=True)
    with pytest.raises(NotFound):
        await switch(stage, "payment_reminder", {"channel": "note"}, shop_id=10**9)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("channel", ["note", "paper"])
async def test_every_recipe_fits_its_channel_in_both_languages(stage, language, channel):
    for name in sorted(stage.registry.campaign_recipes):
        recipe = find_recipe(stage.registry, name)
        given = {**recipe.example, "channel": channel}
        parameters = read_parameters(recipe, given)
        for one in campaigns_of(stage.registry, recipe, parameters, language):
            async with stage.merchant.work() as w:
                (campaign_id,) = await switch_on(w, stage.registry, name, given, language=language)
                flow = one.flow([campaign_id] * len(one.segments))
                for send in flow.sends().values():
                    content = send.variants[0].content
                    text = content.get("text") or content["html"]
                    chinese = any(sign in text for sign in "，。：")
                    assert chinese == (language == "zh"), name
                    marketing = send.message_class == "marketing"
                    ends = ("拒收请回复R", "Reply R to opt out")
                    if channel == "note":
                        assert text.endswith(ends) == marketing, name
                    else:
                        assert ("unsubscribe_url" in text) == marketing, name
            assert recipe.title.en != recipe.title.zh


def test_times_in_parameters_are_read(installation):
    recipe = find_recipe(installation.registry, "member_day")
    assert read_parameters(recipe, {"at": "08:15"}).at == time(8, 15)
    assert datetime(2026, 6, 15, tzinfo=UTC).isoweekday() == 1


async def test_call_backs_are_made_once_a_month_for_new_customers(stage):
    await stage.ordered("1", PAID)
    await stage.on("call_back", day=16)
    await stage.later(days=1, step=timedelta(hours=1))
    await stage.later(days=20, step=timedelta(days=1))
    await stage.ordered("2", PAID)
    await stage.later(days=20, step=timedelta(days=1))
    async with stage.merchant.read() as session:
        rows = await session.sql.fetch(
            "SELECT title, created_at FROM tasks WHERE merchant_id = $1 ORDER BY id",
            stage.merchant.id,
        )  # fmt: skip
    assert [row["title"] for row in rows] == ["每月电话回访"] * 2
    assert [f"{row['created_at'].astimezone(ZONE):%m-%d %H}"[:5] for row in rows] == [
        "06-16", "07-16",
    ]  # fmt: skip
    assert stage.notes == []
