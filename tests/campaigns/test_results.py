"""Figures of messages, CRM sales, win-back, and the report that is made when the window closes."""

from datetime import date, timedelta
from decimal import Decimal

import orjson
import pytest

from core.domain.campaigns.audience import plan_run
from core.domain.campaigns.audit import audit_run
from core.domain.campaigns.control import start_campaign
from core.domain.campaigns.policy.caps import Cap, set_cap
from core.domain.campaigns.results.attribution import credit_changed, credit_period
from core.domain.campaigns.results.figures import (
    EMPTY,
    By,
    Day,
    Period,
    ShopSales,
    arrivals,
    figures_by,
    figures_by_day,
    figures_of,
    sales_by_shop,
    win_back,
)
from core.domain.campaigns.results.holdout import Holdout
from core.domain.campaigns.results.reports import write_due_reports, write_report
from core.domain.campaigns.results.sales import CampaignSales, Sales, crm_sales
from core.domain.campaigns.results.windows import set_window
from core.domain.campaigns.simulation import simulate_campaign
from core.domain.customers.consent import set_consent
from core.domain.lifecycle.calendar import calendar_of
from core.domain.shops.shops import create_shop
from core.sdk.errors import InvalidInput, NotFound, WrongState
from core.sdk.flows import Options
from core.testing.fixtures import START
from core.testing.smtp import smtp_sink
from tests.results_kit import (
    add_campaign,
    add_messages,
    add_orders,
    add_people,
    add_run,
    flow_of,
    hours,
)
from tests.sending_kit import add_customers, enable_email, make_campaign

CLICK = {"clicked_at": hours(1)}
PAID = {"cost": 45_000, "currency": "CNY", "channel": "sms", "provider": "one", "parts": 1}


async def test_a_holdout_is_planned_as_skipped_and_the_audit_adds_up(merchant):
    """Who could not be written to anyway is not held out."""
    db, registry = merchant.installation.db, merchant.installation.registry
    people = await add_customers(merchant, [f"a{n}@example.com" for n in range(300)] + [None] * 50)
    campaign = await make_campaign(merchant)
    async with smtp_sink() as sink:
        await enable_email(merchant, sink.port)
    async with merchant.work() as w:
        await w.sql.execute(
            "UPDATE campaigns SET options = $3 WHERE merchant_id = $1 AND id = $2",
            w.merchant_id, campaign, Options(holdout_percent=10).model_dump_json(),
        )  # fmt: skip
        run = await start_campaign(w, registry, campaign)
    assert await plan_run(db, registry, merchant.id, run)
    held = [one for one in people[:300] if Holdout(campaign, 10).has(one)]
    assert 10 < len(held) < 60
    async with merchant.read() as session:
        audit = await audit_run(session, run)
        rows = await session.sql.fetch(
            """SELECT customer_id FROM deliveries
               WHERE merchant_id = $1 AND run_id = $2 AND reason = 'holdout'""",
            merchant.id, run,
        )  # fmt: skip
        found = await figures_of(session, [run])
    assert audit.skipped == {"holdout": len(held), "no_address": 50}
    assert (audit.target, audit.pending) == (350, 300 - len(held))
    assert {row["customer_id"] for row in rows} == set(held)
    assert (found.target, found.held_out, found.skipped, found.pending) == (
        350, len(held), 50, 300 - len(held),
    )  # fmt: skip


async def two_runs(merchant):
    """The runs of a campaign by SMS, in two variants; returns their ids and the customers."""
    async with merchant.work() as w:
        people = await add_people(w, 10)
        campaign = await add_campaign(w, flow=flow_of("sms", variants=2))
        first, second = [await add_run(w, campaign, occurrence=hours(n)) for n in (0, 1)]
        skipped = {"state": "skipped", "sent_at": None, "attempts": 0}
        await add_messages(
            w, first,
            [one | {"customer_id": people[n]} for n, one in enumerate((
                PAID | {"receipt": "delivered", "delivered_at": START},
                PAID | {"receipt": "delivered", "delivered_at": hours(0.5), "opened_at": hours(1)},
                PAID | CLICK | {"receipt": "delivered", "delivered_at": hours(13), "variant": 1},
                PAID | {"receipt": "undelivered", "provider": "two"},
                skipped | {"reason": "holdout"}, skipped | {"reason": "no_consent"},
                {"state": "failed", "sent_at": None}, {"state": "unknown", "sent_at": None},
                {"state": "pending", "sent_at": None}, {"state": "sending", "sent_at": None},
            ))],
        )  # fmt: skip
        await add_messages(w, second, [PAID | {"customer_id": people[0], "sent_at": hours(24)}])
    return first, second, people


async def test_figures_of_a_run(merchant):
    first, second, people = await two_runs(merchant)
    async with merchant.work() as w:
        other = await create_shop(w, "second", "aliexpress", time_zone="UTC")
        await add_orders(w, merchant.shop_id, [
            {"customer_id": people[0], "paid_at": hours(2), "paid": 5_000, "refunded": 1_000},
            {"customer_id": people[0], "paid_at": hours(3), "paid": 2_000},
            {"customer_id": people[2], "paid_at": hours(15), "paid": 9_000,
             "state": "closed_refunded"},
            {"customer_id": people[2], "paid_at": hours(20), "paid": 700, "currency": "USD",
             "shop_id": other},
            {"customer_id": people[3], "paid_at": hours(1)},  # the message did not arrive
            {"customer_id": people[4], "paid_at": hours(1)},  # held out
        ])  # fmt: skip
    await credit_changed(merchant.installation.db, merchant.id)
    async with merchant.read() as session:
        found = await figures_of(session, [first])
        variants = await figures_by(session, [first], By.VARIANT)
        providers = await figures_by(session, [first], By.PROVIDER)
        runs = await figures_by(session, [first, second], By.RUN)
        both = await figures_of(session, [first, second])
        shops = await sales_by_shop(session, [first, second])
        days = await figures_by_day(session, await calendar_of(session), [first, second])
        assert await figures_of(session, []) == EMPTY
    assert {name: getattr(found, name) for name in (
        "target", "held_out", "skipped", "pending", "sent", "failed", "unknown"
    )} == {"target": 10, "held_out": 1, "skipped": 1, "pending": 2, "sent": 4, "failed": 1,
           "unknown": 1}  # fmt: skip
    assert (found.delivered, found.undelivered, found.opened, found.clicked) == (3, 1, 1, 1)
    assert (found.bought, found.responded, found.orders, found.buyers) == (2, 2, 3, 2)
    assert found.revenue == {"CNY": 4_000 + 2_000 + 0, "USD": 700}
    assert found.cost == {"CNY": 4 * 45_000}
    # 60 yuan for 0.18
    assert found.returned("CNY") == Decimal("333.33")
    assert found.returned("USD") is None
    assert (found.arrival, found.response) == (Decimal("0.75"), Decimal("0.6667"))
    assert {key: (one.target, one.bought, one.revenue) for key, one in variants.items()} == {
        (0, 0): (9, 1, {"CNY": 6_000}),
        (0, 1): (1, 1, {"CNY": 0, "USD": 700}),
    }
    assert {key: (one.sent, one.arrival) for key, one in providers.items()} == {
        ("email", ""): (0, None),
        ("sms", "one"): (3, Decimal(1)),
        ("sms", "two"): (1, Decimal(0)),
    }
    assert runs[(first,)] == found
    assert runs[(second,)].sent == 1
    assert (both.target, both.revenue) == (11, found.revenue)
    assert shops == [
        ShopSales(merchant.shop_id, "CNY", 2, 1, 6_000), ShopSales(other, "USD", 1, 1, 700)
    ]  # fmt: skip
    # noon in Shanghai plus 13 hours is the next day there
    assert days == [
        Day(date(2026, 6, 15), 4, 2, 1, 1, 2, {"CNY": 6_000}),
        Day(date(2026, 6, 16), 1, 1, 0, 0, 1, {"CNY": 0, "USD": 700}),
    ]


async def test_who_opts_out_did_so_because_of_the_last_message(merchant):
    async with merchant.work() as w:
        people = await add_people(w, 5)
        campaign = await add_campaign(w)
        first, second = [await add_run(w, campaign, occurrence=hours(n)) for n in (0, 1)]
        await add_messages(w, first, [{"customer_id": one} for one in people])
        await add_messages(w, second, [{"customer_id": people[0], "sent_at": hours(2)}])
    merchant.clock.move(timedelta(hours=3))
    async with merchant.work() as w:
        await set_consent(w, people[0], "email", "marketing", "denied", "test")
        await set_consent(w, people[1], "email", "marketing", "denied", "test")
        await set_consent(w, people[2], "sms", "marketing", "denied", "test")
        await set_consent(w, people[3], "email", "service", "denied", "test")
    merchant.clock.move(timedelta(days=5) - timedelta(hours=3))
    async with merchant.work() as w:
        await set_consent(w, people[4], "email", "marketing", "denied", "too late to be its cause")
    async with merchant.read() as session:
        runs = await figures_by(session, [first, second], By.RUN)
    assert (runs[(first,)].opted_out, runs[(second,)].opted_out) == (1, 1)


async def test_crm_sales_are_a_part_of_all_sales_of_the_days_of_payment(merchant):
    first, _second, people = await two_runs(merchant)
    async with merchant.work() as w:
        await add_orders(w, merchant.shop_id, [
            {"customer_id": people[0], "paid_at": hours(2), "paid": 5_000, "refunded": 1_000},
            {"customer_id": people[9], "paid_at": hours(2), "paid": 6_000},
            {"customer_id": people[2], "paid_at": hours(11.99), "paid": 7_000},
            {"customer_id": people[9], "paid_at": hours(12), "paid": 8_000},
            {"customer_id": people[9], "paid_at": hours(2), "state": "closed_unpaid"},
            {"customer_id": people[9], "paid_at": hours(2), "currency": "USD", "paid": 1},
        ])  # fmt: skip
    await credit_changed(merchant.installation.db, merchant.id)
    async with merchant.read() as session:
        calendar = await calendar_of(session, merchant.shop_id)
        report = await crm_sales(session, calendar, date(2026, 6, 15), date(2026, 6, 16))
        dollars = await crm_sales(session, calendar, date(2026, 6, 1), date(2026, 6, 30), "USD")
        everywhere = await crm_sales(
            session, await calendar_of(session), date(2026, 6, 15), date(2026, 6, 16)
        )
        none = await crm_sales(session, calendar, date(2026, 6, 14), date(2026, 6, 14))
        campaign = await session.sql.fetchval(
            "SELECT campaign_id FROM campaign_runs WHERE merchant_id = $1 AND id = $2",
            merchant.id, first,
        )  # fmt: skip
        for days in (-1, 400):
            with pytest.raises(InvalidInput):
                await crm_sales(session, calendar, START.date(), START.date() + timedelta(days))
    assert report.total == Sales(4, 25_000, 2, 11_000, 2)
    assert report.total.share == Decimal("0.44")
    assert report.days == {
        date(2026, 6, 15): Sales(3, 17_000, 2, 11_000, 2),
        date(2026, 6, 16): Sales(1, 8_000, 0, 0, 0),
    }
    assert report.campaigns == [CampaignSales(campaign, "sms", 2, 2, 11_000)]
    assert (everywhere.total, everywhere.campaigns) == (report.total, report.campaigns)
    assert (dollars.total.sales, dollars.total.crm_sales) == (1, 0)
    assert (none.total.orders, none.total.share, none.days) == (0, None, {})


async def test_arrivals_of_a_period_by_provider(merchant):
    await two_runs(merchant)
    async with merchant.read() as session:
        found = await arrivals(session, hours(0), hours(24))
        (later,) = await arrivals(session, hours(24), hours(25))
    assert found == [Period("sms", "one", 3, 3, 0, 1), Period("sms", "two", 1, 0, 1, 0)]
    assert [one.arrival for one in found] == [1, 0]
    assert (later.sent, later.arrival) == (1, 0)


async def test_win_back(merchant):
    """6 asked for a refund: one took it back, one bought on the 30th day, one did both."""
    async with merchant.work() as w:
        people = await add_people(w, 7)
        orders = await add_orders(
            w, merchant.shop_id,
            [{"customer_id": one, "paid_at": hours(0.5)} for one in people],
        )  # fmt: skip
        await w.sql.executemany(
            """INSERT INTO refunds (merchant_id, shop_id, external_id, order_id, kind, state,
                   amount, requested_at, taken_at, content_hash)
               VALUES ($1, $2, $3, $4, 'return', $5, 1, $6, $6, '')""",
            [
                (w.merchant_id, merchant.shop_id, str(n), orders[who], state, hours(at))
                for n, (who, state, at) in enumerate([
                    (0, "cancelled", 0), (1, "refunded", 1), (2, "refunded", 0),
                    (2, "cancelled", 2), (3, "refunded", 0), (4, "refunded", 0),
                    (5, "requested", 0), (6, "cancelled", 48),
                ])
            ],
        )  # fmt: skip
        month = 30 * 24
        await add_orders(w, merchant.shop_id, [
            {"customer_id": people[1], "paid_at": hours(1 + month)},
            {"customer_id": people[2], "paid_at": hours(3)},
            {"customer_id": people[3], "paid_at": hours(month + 0.1)},
            {"customer_id": people[4], "paid_at": hours(3), "state": "closed_refunded"},
        ])  # fmt: skip
    async with merchant.read() as session:
        found = await win_back(session, merchant.shop_id, hours(0), hours(24))
        everywhere = await win_back(session, 0, hours(0), hours(24))
        nowhere = await win_back(session, merchant.shop_id + 1, hours(0), hours(24))
    assert found == everywhere
    assert (found.applicants, found.cancelled, found.bought_again, found.won_back) == (6, 2, 2, 3)
    assert found.rate == Decimal("0.5")
    assert nowhere.rate is None


# -- the report ----------------------------------------------------------------------------------


async def stored(merchant, run_id):
    async with merchant.read() as session:
        row = await session.sql.fetchrow(
            "SELECT * FROM campaign_reports WHERE merchant_id = $1 AND run_id = $2",
            merchant.id, run_id,
        )  # fmt: skip
        events = await session.sql.fetchval(
            """SELECT count(*) FROM outbox_events WHERE merchant_id = $1
                  AND type = 'campaign.reported' AND (payload ->> 'run_id')::bigint = $2""",
            merchant.id, run_id,
        )  # fmt: skip
    return row and orjson.loads(row["content"]), events


async def test_the_report_is_written_once_when_the_window_has_closed(merchant):
    db = merchant.installation.db
    first, _second, people = await two_runs(merchant)
    async with merchant.work() as w:
        await add_orders(w, merchant.shop_id, [{"customer_id": people[0], "paid_at": hours(2)}])
    merchant.clock.move(timedelta(hours=120) - timedelta(seconds=1))
    assert (merchant.id, first) not in await write_due_reports(db)
    with pytest.raises(WrongState):
        await write_report(db, merchant.id, first)
    with pytest.raises(NotFound):
        await write_report(db, merchant.id, 0)
    merchant.clock.move(timedelta(seconds=1))
    assert (merchant.id, first) in await write_due_reports(db)
    assert (merchant.id, first) not in await write_due_reports(db)
    content, events = await stored(merchant, first)
    assert events == 1
    total = content["total"]
    # it credits the orders by itself, whether or not the duty has come to it
    assert (total["target"], total["orders"], total["revenue"]) == (10, 1, {"CNY": 10_000})
    assert (total["arrival"], total["returns"]) == ("0.7500", {"CNY": "555.56"})
    assert [one["variant"] for one in content["by_variant"]] == [0, 1]
    assert content["by_day"][0]["day"] == "2026-06-15"
    assert content["lift"]["control"]["customers"] == 1
    assert content["lift"]["conversion"]["verdict"] == "TOO_SMALL"
    assert content["lift_curve"][-1]["customers"] == 4
    assert {"channel": "sms", "touch": "delivery", "hours": 12} in content["windows"]

    async with merchant.work() as w:
        await w.sql.execute("UPDATE orders SET refunded = 4000 WHERE merchant_id = $1",
                            merchant.id)  # fmt: skip
    assert not await write_report(db, merchant.id, first)
    assert (await stored(merchant, first))[0] == content
    assert await write_report(db, merchant.id, first, anew=True, actor="token:1")
    changed, events = await stored(merchant, first)
    assert changed["total"]["revenue"] == {"CNY": 6_000}
    assert events == 1


async def test_longer_windows_keep_the_report_waiting(merchant):
    db = merchant.installation.db
    async with merchant.work() as w:
        await set_window(w, "sms", "click", 240)
    first, _second, _people = await two_runs(merchant)
    merchant.clock.move(timedelta(hours=239))
    assert (merchant.id, first) not in await write_due_reports(db)
    merchant.clock.move(timedelta(hours=1))
    assert (merchant.id, first) in await write_due_reports(db)


async def test_a_run_of_which_nothing_was_sent_has_nothing_to_report(merchant):
    async with merchant.work() as w:
        run = await add_run(w, await add_campaign(w))
    merchant.clock.move(timedelta(days=30))
    assert (merchant.id, run) not in await write_due_reports(merchant.installation.db)


async def test_figures_are_of_the_own_merchant_only(installation, merchant):
    from core.domain.shops.setup import set_up_merchant

    first, _second, people = await two_runs(merchant)
    async with merchant.work() as w:
        await add_orders(w, merchant.shop_id, [{"customer_id": people[0], "paid_at": hours(2)}])
    await credit_changed(installation.db, merchant.id)
    other = await set_up_merchant(installation.db, installation.registry, "Other", shop="s")
    assert (await credit_period(installation.db, other.merchant_id, START, hours(9))).orders == 0
    async with installation.db.read(other.merchant_id) as session:
        assert await figures_of(session, [first]) == EMPTY
        assert await sales_by_shop(session, [first]) == []
        assert await figures_by_day(session, await calendar_of(session), [first]) == []
        assert await arrivals(session, START, hours(100)) == []
        report = await crm_sales(session, await calendar_of(session), START.date(), START.date())
        assert report.total.sales == 0
    with pytest.raises(NotFound):
        await write_report(installation.db, other.merchant_id, first)


async def test_whom_a_cap_keeps_out_is_not_held_out(merchant):
    """The holdout is drawn among those who would have got the message."""
    db, registry = merchant.installation.db, merchant.installation.registry
    people = await add_customers(merchant, [f"a{n}@example.com" for n in range(60)])
    campaign = await make_campaign(merchant)
    async with smtp_sink() as sink:
        await enable_email(merchant, sink.port)
    async with merchant.work() as w:
        await w.sql.execute(
            "UPDATE campaigns SET options = $3 WHERE merchant_id = $1 AND id = $2",
            w.merchant_id, campaign, Options(holdout_percent=50).model_dump_json(),
        )  # fmt: skip
        before = await add_run(w, await add_campaign(w, "before"))
        await add_messages(w, before, [{"customer_id": one} for one in people[:30]])
        await set_cap(w, registry, Cap(0, "email", 720, 1))
        run = await start_campaign(w, registry, campaign)
    async with merchant.read() as session:
        simulated = await simulate_campaign(session, registry, campaign)
    assert await plan_run(db, registry, merchant.id, run)
    held = sum(Holdout(campaign, 50).has(one) for one in people[30:])
    async with merchant.read() as session:
        audit = await audit_run(session, run)
    assert audit.skipped == {"capped": 30, "holdout": held}
    assert simulated.skipped == audit.skipped
    assert (audit.pending, 5 < held < 25) == (30 - held, True)
