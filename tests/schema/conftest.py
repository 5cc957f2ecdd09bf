"""A client of the real application, and a merchant with one object of each kind."""

import asyncio
import contextlib
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import httpx2
import orjson
import pytest
import pytest_asyncio
import uvicorn
from argon2 import PasswordHasher

from core.app import create_app, listen
from core.domain.campaigns.campaigns import (
    create_campaign,
    create_flow_campaign,
    get_campaign,
    update_campaign,
)
from core.domain.campaigns.control import start_campaign
from core.domain.campaigns.flows import parse_flow
from core.domain.campaigns.policy.caps import Cap, set_cap
from core.domain.campaigns.policy.hours import set_holidays
from core.domain.campaigns.proposals import Change, propose
from core.domain.campaigns.replies import take_replies
from core.domain.customers.consent_requests import make_request
from core.domain.customers.contacts import seal_email, seal_phone
from core.domain.customers.customers import add_tags
from core.domain.customers.fields import create_field
from core.domain.customers.notes import add_note
from core.domain.customers.suggestions import add_suggestions
from core.domain.customers.tasks import NewTask, create_task
from core.domain.lifecycle.calendar import calendar_of
from core.domain.lifecycle.rfm import measure
from core.domain.members.membership import join
from core.domain.members.points import Lot, give, hold, take
from core.domain.members.programme import create_tier, set_programme
from core.domain.members.redeeming import redeem
from core.domain.members.referral_codes import make_code
from core.domain.members.referrals import enter_code
from core.domain.members.rewards import create_reward
from core.domain.orders.facts import refresh_facts
from core.domain.orders.merging import merge_customers
from core.domain.segments.lists import add_to_list
from core.domain.segments.segments import create_kept_segment, create_segment
from core.domain.segments.traits import start_traits
from core.domain.shops.known_tokens import KnownTokens
from core.domain.shops.plugins import _store
from core.domain.shops.setup import set_up_merchant
from core.domain.shops.staff.accounts import add_staff, invite
from core.domain.shops.staff.sessions import Client, begin_session
from core.domain.shops.tokens import create_token
from core.domain.shops.webhooks.redelivery import send_test
from core.domain.shops.webhooks.webhooks import Settings as WebhookSettings
from core.domain.shops.webhooks.webhooks import create_webhook
from core.protocol import Protocol
from core.schema import budget
from core.schema.build import build_schema
from core.schema.context import Context
from core.schema.scalars import global_id
from core.sdk import Reply
from core.storage import connections, jobs
from core.testing import TestMerchant
from core.testing.fixtures import START
from plugins.coupons.issuing import Recipient, issue
from plugins.coupons.templates import create_template
from plugins.packages.inserts import InsertKind, NewInsert, create_insert
from plugins.packages.packing import code_of
from plugins.packages.rules import NewRule, create_rule
from tests.schema.shelf import connected_shop, with_shelf

PASSWORD = "correct horse battery staple"
PASSWORD_HASH = PasswordHasher().hash(PASSWORD)
LOVED = {
    "name": "Loved", "kind": "amount_off", "value": 100, "currency": "CNY", "claimable": True,
    "transfers": 1,
}  # fmt: skip
OPERATIONS = Path(__file__).parents[2] / "docs" / "operations"


class Api:
    def __init__(self, app):
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=True)
        self.client = httpx2.AsyncClient(transport=transport, base_url="http://test")

    async def raw(self, body, token=None, **headers):
        given = {"content-type": "application/json", **headers}
        if token:
            given["authorization"] = f"Bearer {token}"
        return await self.client.post("/graphql", content=orjson.dumps(body), headers=given)

    async def __call__(self, token, query, **variables):
        answer = await self.raw({"query": query, "variables": variables}, token)
        return answer.json()

    async def data(self, token, query, **variables):
        answer = await self(token, query, **variables)
        assert "errors" not in answer, answer
        return answer["data"]


@pytest.fixture(scope="session")
def installation(installation):
    """With a platform to connect shops to."""
    return with_shelf(installation)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def app(installation):
    installation.signals.start()
    yield create_app(installation)
    await installation.signals.stop()


@pytest.fixture
def api(app):
    return Api(app)


async def packed_wave(w, order):
    """A wave with one parcel of an order: their ids."""
    wave = await w.sql.fetchval(
        """INSERT INTO packages_waves (merchant_id, warehouse, created_at, created_by)
           VALUES ($1, 'main', $2, 'test') RETURNING id""",
        w.merchant_id, w.now,
    )  # fmt: skip
    return wave, await w.sql.fetchval(
        """INSERT INTO packages_parcels (merchant_id, wave_id, order_id, number, count, decided_at)
           VALUES ($1, $2, $3, 1, 1, $4) RETURNING id""",
        w.merchant_id, wave, order, w.now,
    )  # fmt: skip


@contextlib.asynccontextmanager
async def served(app):
    """The port of an application that is served as ours is."""
    listener = listen("127.0.0.1", 0)
    config = uvicorn.Config(
        app, log_config=None, http=Protocol, ws="websockets-sansio", lifespan="off"
    )
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext
    task = asyncio.create_task(server.serve([listener]))
    yield listener.getsockname()[1]
    server.should_exit = True
    await task
    listener.close()


@pytest_asyncio.fixture(loop_scope="session")
async def address(app):
    """The WebSocket address of the application on a socket of its own."""
    async with served(app) as port:
        yield f"ws://127.0.0.1:{port}/graphql"


@dataclass
class World:
    merchant: object
    token: str
    person: str
    """The access token of a member of staff, an owner."""
    ids: dict

    async def limited(self, *permissions):
        registry = self.merchant.installation.registry
        async with self.merchant.work() as w:
            _, secret = await create_token(w, registry, "limited", permissions)
        return secret

    async def logged_in(self, role):
        """The access token of a new member of staff with this role."""
        async with self.merchant.work() as w:
            pk = await add_staff(w, role, f"{role}@example.com".replace("_", "-"), role)
            return (await begin_session(w, pk, "password", Client())).access


async def make_world(merchant):
    registry, keyring = merchant.installation.registry, merchant.installation.db.keyring
    async with merchant.work() as w:
        email = {"host": "localhost", "port": 25, "tls": "none", "from_address": "a@example.com"}
        await _store(w, "email", True, email)
        sms = {"providers": [{"kind": "sandbox"}], "signature": "小店"}
        await _store(w, "sms", True, sms)
        customer = await w.sql.fetchval(
            """INSERT INTO customers (merchant_id, name, province, version, created_at, updated_at)
               VALUES ($1, '张三', '浙江省', 1, $2, $2) RETURNING id""",
            w.merchant_id, w.now,
        )  # fmt: skip
        phone = seal_phone(keyring, w.merchant_id, customer, "+8613812341234")
        mail = seal_email(keyring, w.merchant_id, customer, "ann@example.com")
        await w.sql.execute(
            """UPDATE customers SET phone_sealed = $3, phone_index = $4, email_sealed = $5,
                   email_index = $6 WHERE merchant_id = $1 AND id = $2""",
            w.merchant_id, customer, phone,
            keyring.blind_index("phone", w.merchant_id, "+8613812341234"), mail,
            keyring.blind_index("email", w.merchant_id, "ann@example.com"),
        )  # fmt: skip
        identity = await w.sql.fetchval(
            """INSERT INTO customer_identities (merchant_id, customer_id, scope, scope_id, kind,
                   value, source, created_at)
               VALUES ($1, $2, 'shop', $3, 'nick', 'n1', 'test', $4) RETURNING id""",
            w.merchant_id, customer, merchant.shop_id, w.now,
        )  # fmt: skip
        order = await w.sql.fetchval(
            """INSERT INTO orders (merchant_id, shop_id, external_id, customer_id, state, currency,
                   total, paid, refunded, ordered_at, paid_at, content_hash, taken_at)
               VALUES ($1, $2, 'E1', $3, 'completed', 'CNY', 9900, 9900, 0, $4, $4, '\\x00', $4)
               RETURNING id""",
            w.merchant_id, merchant.shop_id, customer, w.now,
        )  # fmt: skip
        await w.sql.execute(
            """INSERT INTO order_lines (merchant_id, order_id, external_id, title, quantity, amount)
               VALUES ($1, $2, '1', '茶', 2, 9900)""",
            w.merchant_id, order,
        )  # fmt: skip
        await refresh_facts(w, [customer])
        everybody = {"version": 1, "rule": {"all": []}}
        segment = await create_segment(w, registry, "all", everybody)
        unused = await create_segment(w, registry, "unused", everybody)
        guests = await create_kept_segment(w, "list", "list")
        await add_to_list(w, guests, [customer])
        content = {"subject": "hi {{ customer.name }}",
                   "html": '<a href="{{ unsubscribe_url }}">x</a>'}  # fmt: skip
        campaign = await create_campaign(
            w, registry, name="first", channel="email", segment_id=segment, content=content
        )
        sent = await create_campaign(
            w, registry, name="sent", channel="email", segment_id=segment, content=content
        )
        run = await w.sql.fetchval(
            """INSERT INTO campaign_runs
                   (merchant_id, campaign_id, version, state, rule, flow, options, created_at)
               SELECT $1, id, 1, 'running', '{}', flow, '{}', $3 FROM campaigns
               WHERE merchant_id = $1 AND id = $2 RETURNING id""",
            w.merchant_id, sent, w.now,
        )  # fmt: skip
        reported = await w.sql.fetchval(
            """INSERT INTO campaign_runs (merchant_id, campaign_id, version, state, rule, flow,
                   options, created_at, finished_at)
               SELECT merchant_id, campaign_id, version, 'finished', rule, flow, options, $3, $3
               FROM campaign_runs WHERE merchant_id = $1 AND id = $2 RETURNING id""",
            w.merchant_id, run, w.now - timedelta(days=100),
        )  # fmt: skip
        await w.sql.execute(
            "UPDATE campaigns SET state = 'running' WHERE merchant_id = $1 AND id = $2",
            w.merchant_id, sent,
        )  # fmt: skip
        delivery = await w.sql.fetchval(
            """INSERT INTO deliveries (merchant_id, run_id, step, customer_id, channel, state,
                   attempts, next_at, updated_at)
               VALUES ($1, $2, 0, $3, 'email', 'sent', 1, $4, $4) RETURNING id""",
            w.merchant_id, run, customer, w.now,
        )  # fmt: skip
        steps = [{"kind": "wait", "key": "pause", "span": {"days": 1}}]
        trigger = {"kind": "event", "type": "order.created"}
        flow = parse_flow({"trigger": trigger, "steps": steps})
        journey = await create_flow_campaign(w, registry, name="journey", flow=flow)
        version = await start_campaign(w, registry, journey)
        await w.sql.execute(
            "UPDATE campaign_runs SET state = 'running' WHERE merchant_id = $1 AND id = $2",
            w.merchant_id, version,
        )  # fmt: skip
        await update_campaign(w, registry, journey, {"flow": flow})
        enrolment = await w.sql.fetchval(
            """INSERT INTO enrolments (merchant_id, campaign_id, run_id, customer_id, entry_key,
                   order_id, wake_at, until, entered_at)
               VALUES ($1, $2, $3, $4, 0, $5, $6, $6, $6) RETURNING id""",
            w.merchant_id, journey, version, customer, order, w.now,
        )  # fmt: skip
        call = await w.sql.fetchval(
            """INSERT INTO webhook_calls (merchant_id, campaign_id, run_id, step, enrolment_id,
                   customer_id, url, state, attempts, next_at, answer, created_at)
               VALUES ($1, $2, $3, 0, $4, $5, 'https://shop.example/hook', 'failed', 15, $6, 503,
                   $6) RETURNING id""",
            w.merchant_id, journey, version, enrolment, customer, w.now,
        )  # fmt: skip
        failed = await w.sql.fetchval(
            """INSERT INTO outbox_events (merchant_id, type, payload, created_at, handled_by,
                   attempts, next_at, error, done_at, aside_at)
               VALUES ($1, 'order.created', '{}', $2, '[]', 8, $2, 'x: ValueError', $2, $2)
               RETURNING id""",
            w.merchant_id, w.now,
        )  # fmt: skip
        await propose(w, await get_campaign(w, journey), Change("journey", None, flow, "{}"))
        suppression = await w.sql.fetchval(
            """INSERT INTO suppressions (merchant_id, channel, address_index, reason, at)
               VALUES ($1, 'sms', $2, 'complaint', $3) RETURNING id""",
            w.merchant_id, keyring.blind_index("phone", w.merchant_id, "+8613900009999"), w.now,
        )  # fmt: skip
        asked = await make_request(
            w, customer, channel="email", contact="email", purpose="marketing", shop_id=0,
            text="yes", text_version="1", source="form",
        )  # fmt: skip
        second, gone = [
            await w.sql.fetchval(
                """INSERT INTO customers (merchant_id, name, version, created_at, updated_at)
                   VALUES ($1, $2, 1, $3, $3) RETURNING id""",
                w.merchant_id, name, w.now,
            )
            for name in ("李四", "王五")
        ]  # fmt: skip
        unknown = await w.sql.fetchval(
            """INSERT INTO deliveries (merchant_id, run_id, step, customer_id, channel, state,
                   attempts, checks, next_at, updated_at)
               VALUES ($1, $2, 0, $3, 'email', 'unknown', 1, NULL, $4, $4) RETURNING id""",
            w.merchant_id, run, second, w.now,
        )  # fmt: skip
        await take_replies(
            w, registry.channels["email"].value, [Reply("r1", "ann@example.com", "hello", w.now)]
        )
        reply = await w.sql.fetchval(
            "SELECT id FROM inbound_messages WHERE merchant_id = $1", w.merchant_id
        )
        merge = await merge_customers(w, registry, second, gone, "test")
        await add_suggestions(w, [(customer, second, "same_phone")])
        suggestion = await w.sql.fetchval(
            "SELECT id FROM merge_suggestions WHERE merchant_id = $1", w.merchant_id
        )
        await add_tags(w, customer, ["first"], "staff")
        field = await create_field(w, "custom", "custom", "size", "Size", "text")
        note = await add_note(w, customer, "met at the fair")
        task = await create_task(w, customer, NewTask("call", order_id=order))
        await measure(w, await calendar_of(w, merchant.shop_id), "CNY")
        job = await jobs.enqueue(w, "none.such", {}, queued=False)
        imported = await jobs.enqueue(w, "customers.import", {}, queued=False)
        await w.sql.execute(
            "UPDATE jobs SET state = 'succeeded' WHERE merchant_id = $1 AND id = $2",
            w.merchant_id, imported,
        )  # fmt: skip
        nobody = {"version": 1, "rule": {"any": []}}
        counting = await jobs.enqueue(w, "segment.preview", {"rule": nobody}, queued=False)
        traits = await start_traits(w, registry, 10, segment_id=segment)
        rules = {
            "points": {"events": [{"key": "review", "points": 5}]},
            "referral": {"customer_points": 10},
        }
        await set_programme(w, "Club", "CNY", rules)
        tier = await create_tier(w, "Silver", 1, 10_000)
        await join(w, customer, "page", card_number="123456789012")
        await give(w, "adjust", [Lot(customer, 100, w.now)])
        spent = await take(w, customer, 10, "spend")
        held = await hold(w, customer, 10, w.now + timedelta(minutes=15), "checkout")
        friend = await w.sql.fetchval(
            """INSERT INTO customers (merchant_id, name, version, created_at, updated_at)
               VALUES ($1, '赵六', 1, $2, $2) RETURNING id""",
            w.merchant_id, w.now,
        )  # fmt: skip
        await join(w, friend, "page")
        referral = await enter_code(w, friend, await make_code(w, customer))
        friends_code = await make_code(w, friend)
        asked_points = await w.sql.fetchval(
            """INSERT INTO points_requests (merchant_id, customer_id, points, reason, actor,
                   requested_at) VALUES ($1, $2, 500, 'a gift', 'token:0', $3) RETURNING id""",
            w.merchant_id, customer, w.now,
        )  # fmt: skip
        mug = await create_reward(w, registry, "gift", {}, {"name": "Mug", "cost": 5})
        redeemed = await redeem(w, mug, customer)
        simulating = await jobs.enqueue(
            w, "campaign.simulate", {"campaign_id": campaign}, queued=False
        )
        cap = await set_cap(w, registry, Cap(0, "*", 24, 5))
        await set_holidays(w, registry, 0, [date(2026, 12, 25)], "Christmas", False)
        holiday = await w.sql.fetchval(
            "SELECT id FROM sending_holidays WHERE merchant_id = $1", w.merchant_id
        )
        hook, _ = await create_webhook(
            w, registry,
            WebhookSettings("first", "https://example.com/", ["order.created"], {}, None, []),
            lambda _: None, lambda _: None,
        )  # fmt: skip
        message = await send_test(w, hook)
        new = NewInsert("sample", InsertKind.SAMPLE, tracks_stock=True)
        sample = await create_insert(w, registry, new)
        packing = await create_rule(w, registry, NewRule("sample", [(sample, 1)], None, {}))
        wave, parcel = await packed_wave(w, order)
        loved, pool = [
            await create_template(w, LOVED | {"handle": source, "source": source} | more)
            for source, more in (("own", {"handle": "loved"}), ("pool", {}))
        ]
        (coupon,) = await issue(w, loved.id, [Recipient(customer)], "grant")
        token, _ = await create_token(w, registry, "other", ["SHOPS_READ"])
        owner = await add_staff(w, "Olga", "olga@example.com", "owner")
        await w.sql.execute(
            "UPDATE staff SET password_hash = $3 WHERE merchant_id = $1 AND id = $2",
            w.merchant_id, owner, PASSWORD_HASH,
        )  # fmt: skip
        session = await begin_session(w, owner, "password", Client("192.0.2.1", "test"))
        colleague, invitation = await invite(
            w, registry, "Carl", "carl@example.com", "analyst", lambda _: None
        )
        connected, letter, deed = await connected_shop(w, registry)
    kinds = {
        "Shop": merchant.shop_id, "Customer": customer, "Order": order, "Segment": segment,
        "Unused": unused, "List": guests, "Campaign": campaign, "Sent": sent, "CampaignRun": run,
        "Tier": tier, "PointsEntry": spent, "PointsHold": held,
        "Reward": mug, "Redemption": redeemed, "Referral": referral, "PointsRequest": asked_points,
        "Reported": reported, "Delivery": delivery, "Job": job, "Token": token,
        "Suppression": suppression, "ConsentRequest": asked, "Second": second, "Friend": friend,
        "CustomerMerge": merge, "MergeSuggestion": suggestion, "CustomerIdentity": identity,
        "Unknown": unknown, "Reply": reply,
        "Field": field, "Note": note, "Task": task,
        "Import": imported, "Counting": counting, "Traits": traits,
        "Merchant": merchant.id, "Staff": owner, "Colleague": colleague,
        "StaffSession": session.session_id,
        "Webhook": hook, "WebhookMessage": message,
        "Journey": journey, "Enrolment": enrolment, "WebhookCall": call,
        "FailedEvent": failed,
        "Simulating": simulating, "Cap": cap, "Holiday": holiday,
        "Connected": connected, "DeadLetter": letter,
        "PlatformDeed": deed,
        "PackagesInsert": sample, "PackagesRule": packing, "PackagesWave": wave,
        "CouponTemplate": loved.id, "Pool": pool.id, "Coupon": coupon.coupon_id,
    }  # fmt: skip
    renamed = {"Connected": "Shop", "Unused": "Segment", "List": "Segment", "Sent": "Campaign",
               "Reported": "CampaignRun", "Second": "Customer", "Friend": "Customer",
               "Field": "CustomField", "Note": "CustomerNote", "Import": "Job",
               "Counting": "Job", "Traits": "Job", "Journey": "Campaign", "Simulating": "Job",
               "Cap": "SendingCap", "Holiday": "SendingHoliday", "Unknown": "Delivery",
               "Colleague": "Staff", "Pool": "CouponTemplate"}  # fmt: skip
    ids = {kind: global_id(renamed.get(kind, kind), pk) for kind, pk in kinds.items()}
    ids["code"] = friends_code
    ids["parcel"] = code_of(parcel)
    ids["coupon"] = coupon.code
    ids |= {"invitation": invitation, "refresh": session.refresh}
    return World(merchant, merchant.token, session.access, ids)


@pytest_asyncio.fixture(loop_scope="session")
async def world(merchant):
    return await make_world(merchant)


async def new_world(installation, name="Test"):
    """A world of its own, made where the tests' clock stands at first."""
    clock = installation.db.clock
    clock.move(START - clock())
    one = await set_up_merchant(installation.db, installation.registry, name, shop="shop")
    return await make_world(
        TestMerchant(one.merchant_id, one.shop_id, one.token, installation, clock)
    )


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def worlds(installation):
    """Two merchants for those tests that leave them as they are, made once."""
    return [await new_world(installation, name) for name in ("Kept", "Other")]


@pytest.fixture
def kept(worlds):
    """A world that the test must not change; the clock stands where it was made."""
    clock = worlds[0].merchant.clock
    clock.move(START - clock())
    return worlds[0]


@pytest.fixture
def budgets(monkeypatch):
    """The budgets of SQL statements of a test's requests, in the order of their beginning."""
    kept = []

    def made(statements):
        kept.append(connections.Budget(statements))
        return kept[-1]

    monkeypatch.setattr(budget, "Budget", made)
    return kept


@pytest.fixture
def stranger(worlds):
    """Another merchant, with objects of its own, which nobody may change."""
    return worlds[1]


async def ask_of(world, registry, query, **variables):
    """What the schema of other plugins answers to the world's token."""
    installation = replace(world.merchant.installation, registry=registry)
    tokens = KnownTokens(installation.db, installation.signals)
    context = Context(installation, await tokens.authenticate(world.token), "r1")
    schema = build_schema(registry)
    return await schema.execute(query, variable_values=variables, context_value=context)
