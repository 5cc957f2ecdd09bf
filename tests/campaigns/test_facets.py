"""Facets about campaigns: what is refused and where, what they say, and the one rule of policy."""

import dataclasses
from datetime import timedelta

import pytest

from core.builtin import CorePlugin, with_channels
from core.domain.campaigns.policy import contact_address, skip_reason_sql
from core.domain.customers.consent import Word, set_consent, set_consents
from core.domain.customers.consent_policies import set_policy
from core.domain.customers.suppressions import suppress
from core.domain.segments.compile import sentence
from core.domain.segments.preview import preview_segment
from core.domain.segments.rules import FORMS, read_rule
from core.domain.segments.tree import read_tree
from core.registry import Owned, RegistryError, load
from core.sdk import Say, Several
from core.sdk.errors import HuikeError
from tests.segments.oracle.campaigns import make_run


def stored(rule):
    return {"version": 1, "rule": rule}


async def matched(session, registry, rule):
    """The ids that a rule leaves, the same in each form."""
    read = await read_rule(session, registry, stored(rule))
    answers = []
    for form in FORMS:
        asked = read.ask(form)
        rows = await session.sql.fetch(f"SELECT c.id {asked.matching}", *asked.q.args)
        answers.append(sorted(row["id"] for row in rows))
    assert answers[0] == answers[1] == answers[2]
    return answers[0]


@pytest.mark.parametrize(
    ("rule", "path", "word"),
    [
        ({"reachable": {"channel": "pigeon"}}, "reachable.channel",
         "there are: aliexpress_message, email, sms, taobao_sms"),
        ({"reachable": {}}, "reachable.channel", "required"),
        ({"received": {"at_least": 3, "at_most": 2}}, "received.atLeast", "nobody"),
        ({"received": {"at_least": -1}}, "received.atLeast", "from 0"),
        ({"received": {"messages": {"campaign_ids": [1] * 1001}}},
         "received.messages.campaignIds", "1000"),
        ({"received": {"messages": {"channels": ["x"] * 1001}}},
         "received.messages.channels", "1000"),
        ({"received": {"messages": {"within": {"last_days": 99_999}}}},
         "received.messages.within.lastDays", "from 0"),
        ({"message_failed": {"messages": {"opened": True}}},
         "messageFailed.messages.opened", "campaign_ids"),
        ({"bought_after_message": {}}, "boughtAfterMessage.days", "required"),
        ({"bought_after_message": {"days": 0}}, "boughtAfterMessage.days", "365"),
        ({"bought_after_message": {"days": 1.5}}, "boughtAfterMessage.days", "integer"),
    ],
)  # fmt: skip
def test_faults_are_refused_with_their_path(installation, rule, path, word):
    with pytest.raises((HuikeError, Several)) as caught:
        read_tree(stored(rule), installation.registry.facets)
    found = {".".join(error.path): error.message for error in caught.value.errors}
    assert word in found[f"input.rule.{path}"]


async def test_a_campaign_that_does_not_exist_is_refused(merchant):
    rule = {"received": {"messages": {"campaign_ids": [0]}}}
    async with merchant.read() as session:
        with pytest.raises((HuikeError, Several)) as caught:
            await read_rule(session, merchant.installation.registry, stored(rule))
    (error,) = caught.value.errors
    assert error.path == ("input", "rule", "received", "messages", "campaignIds")
    assert "campaign" in error.message


@pytest.mark.parametrize(
    ("rule", "en", "zh"),
    [
        ({"reachable": {"channel": "email", "shop_id": 3}},
         "can be reached by email in the name of shop “east”", "可由店铺「east」通过email触达"),
        ({"received": {}}, "was sent a message", "被触达"),
        ({"received": {"at_least": 2, "messages": {
            "campaign_ids": [7], "channels": ["email"], "within": {"last_days": 30}}}},
         "was sent a message of campaign “spring” by email at least 2 times in the last 30 days",
         "近30天被活动「spring」通过email触达至少2次"),
        ({"message_failed": {"messages": {"campaign_ids": [7]}}},
         "could not be sent a message of campaign “spring”", "活动「spring」消息发送失败"),
        ({"message_delivered": {"messages": {"channels": ["sms"]}}},
         "was delivered a message by sms", "通过sms消息已送达"),
        ({"message_opened": {"messages": {"within": {"last_days": 30}}}},
         "opened a message in the last 30 days", "近30天打开了消息"),
        ({"message_clicked": {"messages": {"campaign_ids": [7], "within": {"last_days": 30}}}},
         "clicked a message of campaign “spring” in the last 30 days",
         "近30天点击了活动「spring」消息"),
        ({"bought_after_message": {"days": 3, "messages": {"within": {"last_days": 30}}}},
         "bought within 72 hours after a message was sent in the last 30 days",
         "近30天被触达后72小时内购买"),
    ],
)  # fmt: skip
def test_rules_are_said_in_both_languages(installation, rule, en, zh):
    tree = read_tree(stored(rule), installation.registry.facets)
    names = {("shop", 3): "east", ("campaign", 7): "spring"}
    assert sentence(tree, Say("en", names)) == en
    assert sentence(tree, Say("zh", names)) == zh


async def test_reachable_is_whom_policy_lets_write_to(merchant):
    """Consent, its policy and suppressions change; the facet says what a campaign would do."""
    registry = merchant.installation.registry
    async with merchant.work() as w:
        rows = await w.sql.fetch(
            """INSERT INTO customers (merchant_id, email_index, version, created_at, updated_at)
               SELECT $1, CASE WHEN n > 1 THEN n::text::bytea END, 1, $2, $2
               FROM generate_series(1, 5) AS n RETURNING id""",
            w.merchant_id, w.now,
        )  # fmt: skip
        silent, granted, unproven, refused = [row["id"] for row in rows[1:]]
        await set_consents(w, [rows[0]["id"], granted], Word("email", "marketing", "granted", "t"))
        await set_consent(w, unproven, "email", "marketing", "unproven", "t")
        await set_consent(w, refused, "email", "marketing", "denied", "t")
        await set_consent(w, refused, "email", "marketing", "granted", "t",
                          shop_id=merchant.shop_id)  # fmt: skip
        everywhere = {"reachable": {"channel": "email"}}
        in_shop = {"reachable": {"channel": "email", "shop_id": merchant.shop_id}}
        assert await matched(w, registry, everywhere) == [granted]
        assert await matched(w, registry, in_shop) == [granted]
        await set_policy(w, "email", True, "asked at the till")
        assert await matched(w, registry, everywhere) == [granted, unproven]
        await suppress(w, "email", b"3", "complaint", merchant.shop_id)
        assert await matched(w, registry, everywhere) == [granted, unproven]
        assert await matched(w, registry, in_shop) == [unproven]
        for rule in (everywhere, in_shop):
            read = await read_rule(w, registry, stored(rule))
            q = read.query()
            found = read.root.owned.value.found(read.root.rule, q)
            said = await w.sql.fetch(
                f"SELECT c.id, {found} AS said FROM customers c WHERE c.merchant_id = $1", *q.args
            )
            shop = f"{merchant.shop_id}" if rule is in_shop else None
            reason = skip_reason_sql(contact_address("email"), "marketing", "'email'", shop)
            policy = await w.sql.fetch(
                f"SELECT c.id, {reason} AS said FROM customers c WHERE c.merchant_id = $1",
                w.merchant_id,
            )
            assert {r["id"]: r["said"] for r in said} == {
                r["id"]: r["said"] or "reachable" for r in policy
            }
        assert silent in {r["id"] for r in said if r["said"] == "no_consent"}


async def test_a_later_word_in_the_shop_counts_there(merchant):
    registry = merchant.installation.registry
    async with merchant.work() as w:
        customer_id = await w.sql.fetchval(
            """INSERT INTO customers (merchant_id, email_index, version, created_at, updated_at)
               VALUES ($1, 'x', 1, $2, $2) RETURNING id""",
            w.merchant_id, w.now,
        )  # fmt: skip
        await set_consent(w, customer_id, "email", "marketing", "denied", "t")
    merchant.clock.move(timedelta(seconds=1))
    async with merchant.work() as w:
        await set_consent(w, customer_id, "email", "marketing", "granted", "t",
                          shop_id=merchant.shop_id)  # fmt: skip
        rule = {"reachable": {"channel": "email", "shop_id": merchant.shop_id}}
        assert await matched(w, registry, rule) == [customer_id]
        assert await matched(w, registry, {"reachable": {"channel": "email"}}) == []


@pytest.mark.parametrize(
    ("paid_after", "state", "hit"),
    [
        (timedelta(seconds=-1), "completed", False), (timedelta(0), "completed", True),
        (timedelta(hours=72, seconds=-1), "completed", True),
        (timedelta(hours=72), "completed", False),
        (timedelta(hours=1), "closed_refunded", False),
    ],
)  # fmt: skip
async def test_the_days_after_a_message_are_spans_of_24_hours(merchant, paid_after, state, hit):
    async with merchant.work() as w:
        customer_id = await w.sql.fetchval(
            """INSERT INTO customers (merchant_id, version, created_at, updated_at)
               VALUES ($1, 1, $2, $2) RETURNING id""",
            w.merchant_id, w.now,
        )  # fmt: skip
        run = await make_run(w, "spring")
        await w.sql.execute(
            """INSERT INTO deliveries (merchant_id, run_id, step, customer_id, channel, state,
                   attempts, next_at, sent_at, updated_at)
               VALUES ($1, $2, 0, $3, 'email', 'sent', 1, $4, $4, $4)""",
            w.merchant_id, run["id"], customer_id, w.now,
        )  # fmt: skip
        await w.sql.execute(
            """INSERT INTO orders (merchant_id, shop_id, external_id, customer_id, state, currency,
                   total, paid, refunded, ordered_at, paid_at, content_hash, taken_at)
               VALUES ($1, $2, 'a', $3, $4, 'CNY', 1, 1, 0, $5, $5, '', $5)""",
            w.merchant_id, merchant.shop_id, customer_id, state, w.now + paid_after,
        )  # fmt: skip
        rule = {"bought_after_message": {"days": 3}}
        found = await matched(w, merchant.installation.registry, rule)
    assert found == ([customer_id] if hit else [])


async def test_messages_of_another_merchant_do_not_count(installation, merchant):
    from core.domain.shops.setup import set_up_merchant

    other = await set_up_merchant(installation.db, installation.registry, "Other", shop="s")
    async with merchant.work() as w:
        mine = await w.sql.fetchval(
            """INSERT INTO customers (merchant_id, version, created_at, updated_at)
               VALUES ($1, 1, $2, $2) RETURNING id""",
            w.merchant_id, w.now,
        )  # fmt: skip
        # a paid order of mine, a message of theirs to the same number
        await w.sql.execute(
            """INSERT INTO orders (merchant_id, shop_id, external_id, customer_id, state, currency,
                   total, paid, refunded, ordered_at, paid_at, content_hash, taken_at)
               VALUES ($1, $2, 'a', $3, 'completed', 'CNY', 1, 1, 0, $4, $4, '', $4)""",
            w.merchant_id, merchant.shop_id, mine, w.now,
        )  # fmt: skip
    async with installation.db.work(other.merchant_id) as w:
        run = await make_run(w, "theirs")
        for step, state in enumerate(("sent", "failed")):
            await w.sql.execute(
                """INSERT INTO deliveries (merchant_id, run_id, step, customer_id, channel, state,
                       attempts, next_at, sent_at, updated_at, receipt, delivered_at, opened_at,
                       clicked_at)
                   VALUES ($1, $2, $3, $4, 'email', $5, 1, $6, $6, $6, 'delivered', $6, $6, $6)""",
                w.merchant_id, run["id"], step, mine, state, w.now,
            )  # fmt: skip
    async with merchant.read() as session:
        for rule in (
            {"received": {}},
            {"message_failed": {}},
            {"message_delivered": {}},
            {"message_opened": {}},
            {"message_clicked": {}},
            {"bought_after_message": {"days": 9}},
        ):
            assert await matched(session, installation.registry, rule) == []
        nothing = {"received": {"at_most": 0}}
        assert await matched(session, installation.registry, nothing) == [mine]
        everybody = await preview_segment(
            session, installation.registry, stored({"received": {"at_least": 0}})
        )
        assert everybody.count == 1


def test_a_plugin_that_takes_the_name_stops_the_start():
    registry = load(CorePlugin(), found=())
    assert "reachable" in with_channels(registry).facets
    facets = {**registry.facets, "reachable": Owned("reach", registry.facets["tag"].value)}
    with pytest.raises(RegistryError, match="core and reach both bring facets 'reachable'"):
        with_channels(dataclasses.replace(registry, facets=facets))
