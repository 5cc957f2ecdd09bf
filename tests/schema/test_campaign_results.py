"""Results over the API: amounts, rates, lift, windows, and what is refused."""

from datetime import timedelta

import pytest

from core.domain.campaigns.results.attribution import credit_changed
from core.domain.customers.consent import set_consent
from core.schema.scalars import global_id
from core.sdk.ids import split_id
from core.testing.fixtures import START
from tests.results_kit import (
    add_campaign,
    add_messages,
    add_orders,
    add_people,
    add_run,
    flow_of,
    hours,
)
from tests.schema.operations import text

SMS = {"channel": "sms", "provider": "one", "cost": 45_000, "currency": "CNY"}


@pytest.fixture
async def sent(world):
    """A campaign by SMS to 8 people, of whom two are held out, three clicked and two bought."""
    merchant = world.merchant
    async with merchant.work() as w:
        people = await add_people(w, 8)
        campaign = await add_campaign(
            w, "sms", flow=flow_of("sms", variants=2), shop_id=merchant.shop_id
        )
        run = await add_run(w, campaign)
        held = {"state": "skipped", "reason": "holdout", "sent_at": None, "attempts": 0}
        await add_messages(
            w, run,
            [SMS | {"customer_id": one, "variant": n % 2, "receipt": "delivered",
                    "delivered_at": START, "clicked_at": START if n < 3 else None}
             for n, one in enumerate(people[:6])]
            + [held | {"customer_id": one} for one in people[6:]],
        )  # fmt: skip
        await add_orders(w, merchant.shop_id, [
            {"customer_id": people[0], "paid_at": hours(1), "paid": 5_000, "refunded": 500},
            {"customer_id": people[5], "paid_at": hours(2), "paid": 1_500},
            {"customer_id": people[7], "paid_at": hours(3), "paid": 2_000},
        ])  # fmt: skip
        await set_consent(w, people[1], "sms", "marketing", "denied", "test")
    await credit_changed(merchant.installation.db, merchant.id)
    return global_id("Campaign", campaign), global_id("CampaignRun", run)


async def test_a_run_that_goes_on_tells_its_figures_so_far(api, world, sent):
    campaign, run = sent
    async with world.merchant.work() as w:
        await w.sql.execute(
            """UPDATE campaign_runs SET state = 'running', finished_at = NULL
               WHERE merchant_id = $1 AND id = $2""",
            world.merchant.id, split_id(run)[1],
        )  # fmt: skip
    answer = await api(world.token, text("campaign-interim-report"), id=campaign)
    (found,) = answer["data"]["campaign"]["runs"]
    total = found["interimReport"]["content"]["total"]
    assert (found["state"], total["sent"], total["bought"]) == ("RUNNING", 6, 2)
    assert total["revenue"] == {"CNY": 6000}


async def test_figures_of_a_campaign(api, world, sent):
    campaign, run = sent
    answer = await api(world.token, text("campaign-results"), id=campaign)
    results = answer["data"]["campaign"]["results"]
    figures = results["figures"]
    assert (figures["target"], figures["heldOut"], figures["sent"]) == (8, 2, 6)
    assert (figures["clicked"], figures["bought"], figures["responded"]) == (3, 2, 4)
    assert (figures["optedOut"], figures["buyers"]) == (1, 2)
    assert figures["revenue"] == [{"amount": "60.00", "currency": "CNY"}]
    assert [float(one["amount"]) for one in figures["cost"]] == [0.27]
    assert figures["returns"] == [{"currency": "CNY", "ratio": "222.22"}]
    assert (figures["arrivalRate"], figures["responseRate"]) == ("1.0000", "0.6667")
    assert [(one["variant"], one["figures"]["bought"]) for one in results["byVariant"]] == [
        (0, 1), (1, 1)
    ]  # fmt: skip
    assert {one["provider"]: one["figures"]["sent"] for one in results["byProvider"]} == {
        None: 0, "one": 6,
    }  # fmt: skip
    assert [one["runId"] for one in results["byRun"]] == [run]
    (day,) = results["byDay"]
    assert (day["day"], day["sent"], day["orders"]) == ("2026-06-15", 6, 2)
    (shop,) = results["byShop"]
    assert shop["revenue"]["amount"] == "60.00"
    (found,) = answer["data"]["campaign"]["runs"]
    lift = found["lift"]
    assert (lift["treated"]["customers"], lift["control"]["buyers"]) == (6, 1)
    assert lift["conversion"]["verdict"] == "TOO_SMALL"
    assert float(lift["conversion"]["value"]) == pytest.approx(2 / 6 - 1 / 2, abs=1e-6)
    # 60 yuan of 6 less 20 yuan of 2
    assert (float(lift["revenue"]["value"]), lift["incrementalSales"]["amount"]) == (0, "0.00")
    assert found["liftCurve"][-1] == {
        "percent": 100, "customers": 6, "responders": 4, "captured": "1.0000",
    }  # fmt: skip
    assert found["report"] is None


async def test_crm_sales_of_a_shop(api, world, sent):
    answer = await api(
        world.token, text("crm-sales"),
        **{"from": "2026-06-15", "to": "2026-06-15", "shopId": world.ids["Shop"]},
    )  # fmt: skip
    found = answer["data"]["crmSales"]
    assert found["total"]["crmSales"]["amount"] == "60.00"
    assert found["campaigns"] == [
        {"campaignId": sent[0], "channel": "sms", "orders": 2, "buyers": 2,
         "sales": {"amount": "60.00", "currency": "CNY"}}
    ]  # fmt: skip


async def test_windows_are_set_and_refused(api, world):
    async def set_to(channel, hours):
        given = {"channel": channel, "touch": "DELIVERY", "hours": hours}
        answer = await api(world.token, text("attribution-window-set"), input=given)
        return answer["data"]["attributionWindowSet"]

    found = await set_to("sms", 3)
    assert next(one for one in found["windows"] if one["channel"] == "sms")["hours"] == 3
    for channel, number, path in (("pigeon", 3, "channel"), ("sms", 2161, "hours")):
        (error,) = (await set_to(channel, number))["errors"]
        assert error["path"] == ["input", path]
    history = await api(world.token, text("attribution-windows"), history=True)
    sms = [
        (one["hours"], one["since"] is None, one["until"] is None)
        for one in history["data"]["attributionWindows"]
        if (one["channel"], one["touch"]) == ("sms", "DELIVERY")
    ]
    assert sms == [(12, True, False), (3, False, True)]


async def test_a_report_is_there_when_the_window_has_closed(api, world, sent):
    campaign, run = sent
    answer = await api(world.token, text("campaign-report-recompute"), id=run)
    (error,) = answer["data"]["campaignReportRecompute"]["errors"]
    assert error["code"] == "WRONG_STATE"
    world.merchant.clock.move(timedelta(days=5))
    answer = await api(world.token, text("campaign-report-recompute"), id=run)
    report = answer["data"]["campaignReportRecompute"]["report"]
    assert report["content"]["total"]["revenue"] == {"CNY": 6_000}
    assert report["actor"].startswith("token:")
    answer = await api(world.token, text("campaign-results"), id=campaign)
    assert answer["data"]["campaign"]["runs"][0]["report"] == report
