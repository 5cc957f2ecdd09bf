"""Who may be written to: consent by shop, unproven consent, suppressions with scope, service."""

import asyncio
import itertools
from datetime import timedelta

import pytest

from core.domain.campaigns import ledger
from core.domain.campaigns.audience import plan_run
from core.domain.campaigns.audit import audit_run
from core.domain.campaigns.control import start_campaign
from core.domain.campaigns.preview import preview_campaign
from core.domain.campaigns.sending import send_run
from core.domain.customers.consent import Word, set_consent, set_consents, unsubscribe
from core.domain.customers.consent_policies import set_policy
from core.domain.customers.suppressions import suppress, suppression_add
from core.domain.shops.shops import create_shop
from core.sdk import InvalidInput
from core.testing.smtp import smtp_sink
from tests.sending_kit import add_customers, enable_email, make_campaign, open_gate, until

URL = "http://shop.example"


async def preview(merchant, campaign_id):
    async with merchant.read() as session:
        return await preview_campaign(session, merchant.installation.registry, campaign_id, 20)


async def reasons(merchant, campaign_id):
    """What the ledger says of each customer, once when it is frozen and once when it is sent."""
    opened = merchant.installation
    async with merchant.work() as w:
        run_id = await start_campaign(w, opened.registry, campaign_id)
    await plan_run(opened.db, opened.registry, merchant.id, run_id)
    async with merchant.read() as session:
        rows = await session.sql.fetch(
            "SELECT customer_id, reason FROM deliveries WHERE merchant_id = $1 AND run_id = $2",
            merchant.id, run_id,
        )  # fmt: skip
        row = await session.sql.fetchrow(
            """SELECT c.message_class, c.shop_id FROM campaigns c
               WHERE c.merchant_id = $1 AND c.id = $2""",
            merchant.id, campaign_id,
        )  # fmt: skip
    frozen = {r["customer_id"]: r["reason"] for r in rows}
    async with merchant.work() as w:
        await w.sql.execute(
            """UPDATE deliveries SET state = 'pending', reason = NULL
               WHERE merchant_id = $1 AND run_id = $2""",
            merchant.id, run_id,
        )  # fmt: skip
        channel = merchant.installation.registry.channels["email"].value
        marked = await ledger.mark_sending(
            w, run_id, 0, channel, row["message_class"], row["shop_id"], "w",
            timedelta(seconds=60), 10_000, open_gate(w),
        )  # fmt: skip
    assert {r["customer_id"]: r["reason"] for r in marked} == frozen
    return frozen


def expected(case, shop, service, allowed):
    """The rule in Python."""
    words, suppression = case
    said = [word for word in words if word[0] in (0, shop)]
    status = said[-1][1] if said else None
    hit = suppression is not None and suppression[0] in (0, shop)
    if service:
        return "suppressed" if hit and suppression[1] != "unsubscribed" else None
    if status == "denied":
        return "opted_out"
    if hit:
        return "suppressed"
    if status is None:
        return "no_consent"
    return "unproven" if status == "unproven" and not allowed else None


@pytest.mark.parametrize("allowed", [False, True])
async def test_every_case_agrees_with_the_rule(merchant, allowed):
    shop = merchant.shop_id
    async with merchant.work() as w:
        other = await create_shop(w, "other", "jd")
        if allowed:
            await set_policy(w, "email", True, "asked for at the counter, on paper")
    statuses = ["granted", "denied", "unproven"]
    words = [(), *(((s, status),) for s in (0, shop) for status in statuses)]
    words += [
        ((first, a), (shop if first == 0 else 0, b))
        for first in (0, shop)
        for a, b in itertools.product(statuses, statuses)
    ]
    suppressions = [None, (0, "unsubscribed"), (shop, "complaint"), (other, "complaint")]
    cases = list(itertools.product(words, suppressions))
    ids = await add_customers(merchant, [f"c{n}@example.com" for n in range(len(cases))], None)
    keyring = merchant.installation.db.keyring
    for step in range(2):
        merchant.clock.move(timedelta(seconds=1))
        async with merchant.work() as w:
            for customer_id, (said, _) in zip(ids, cases, strict=True):
                if step < len(said):
                    await set_consent(
                        w, customer_id, "email", "marketing", said[step][1], "form",
                        shop_id=said[step][0],
                    )  # fmt: skip
    async with merchant.work() as w:
        for number, (_, suppression) in enumerate(cases):
            if suppression:
                index = keyring.blind_index("email", merchant.id, f"c{number}@example.com")
                await suppress(w, "email", index, suppression[1], suppression[0])
    await enable_channel(merchant)
    for number, (where, service) in enumerate(
        itertools.product((None, shop, other), (False, True))
    ):
        campaign_id = await make_campaign(
            merchant, name=f"c{number}", shop_id=where,
            message_class="service" if service else "marketing",
        )  # fmt: skip
        wanted = {
            customer_id: expected(case, where or 0, service, allowed)
            for customer_id, case in zip(ids, cases, strict=True)
        }
        counted = await preview(merchant, campaign_id)
        assert counted.would_send == sum(reason is None for reason in wanted.values())
        assert await reasons(merchant, campaign_id) == wanted


async def enable_channel(merchant):
    from core.domain.shops.plugins import _store

    settings = {"host": "localhost", "port": 25, "tls": "none", "from_address": "a@example.com"}
    async with merchant.work() as w:
        await _store(w, "email", True, settings)


async def test_a_refused_service_message_is_not_sent_but_marketing_is_another_matter(merchant):
    (customer,) = await add_customers(merchant, ["a@example.com"])
    async with merchant.work() as w:
        await set_consent(w, customer, "email", "service", "denied", "preference_page")
    await enable_channel(merchant)
    for kind, reason in (("service", "opted_out"), ("marketing", None)):
        campaign_id = await make_campaign(merchant, name=kind, message_class=kind)
        assert await reasons(merchant, campaign_id) == {customer: reason}


async def test_a_decision_about_unproven_consent_holds_until_the_next_one(merchant):
    (customer,) = await add_customers(merchant, ["a@example.com"], "unproven")
    await enable_channel(merchant)
    told = []
    for number, allow in enumerate((None, True, False)):
        merchant.clock.move(timedelta(days=1))
        if allow is not None:
            async with merchant.installation.db.work(merchant.id, f"token:{number}") as w:
                await set_policy(w, "email", allow, f"reason {number}")
                await set_policy(w, "sms", not allow, "another channel")
        campaign_id = await make_campaign(merchant, name=f"c{number}")
        told.append((await reasons(merchant, campaign_id))[customer])
    assert told == ["unproven", None, "unproven"]
    async with merchant.read() as session:
        rows = await session.sql.fetch(
            """SELECT allow_unproven, reason, actor, at, valid_to FROM consent_policies
               WHERE merchant_id = $1 AND channel = 'email' ORDER BY id""",
            merchant.id,
        )
    first, second = rows
    assert (first["actor"], first["reason"], second["valid_to"]) == ("token:1", "reason 1", None)
    assert first["valid_to"] == second["at"]


async def test_decisions_at_the_same_time_leave_one_in_force(merchant):
    async def decide(number):
        async with merchant.work() as w:
            await set_policy(w, "email", number % 2 == 0, f"reason {number}")

    await asyncio.gather(*(decide(number) for number in range(6)))
    async with merchant.read() as session:
        counts = await session.sql.fetchrow(
            """SELECT count(*) AS n, count(*) FILTER (WHERE valid_to IS NULL) AS open
               FROM consent_policies WHERE merchant_id = $1""",
            merchant.id,
        )
    assert tuple(counts) == (6, 1)
    async with merchant.work() as w:
        with pytest.raises(InvalidInput):
            await set_policy(w, "email", True, " ")


async def test_a_new_customer_with_a_suppressed_address_is_not_written_to(merchant):
    """The customer is erased, comes back by an import, and even consents."""
    async with merchant.work() as w:
        await suppression_add(w, "email", "Ann@example.com", "erased")
    async with smtp_sink() as sink:
        await enable_email(merchant, sink.port)
        await add_customers(merchant, ["ann@example.com", "bob@example.com"])
        run_id = await run(merchant, await make_campaign(merchant))
        async with merchant.read() as session:
            assert (await audit_run(session, run_id)).skipped == {"suppressed": 1}
        assert [to for _, to in sink.accepted] == ["bob@example.com"]


async def run(merchant, campaign_id):
    opened = merchant.installation
    async with merchant.work() as w:
        run_id = await start_campaign(w, opened.registry, campaign_id)
    await send_run(opened.db, opened.registry, merchant.id, run_id, URL)
    return run_id


async def test_unsubscribing_while_messages_go_out_stops_what_is_still_to_come(merchant):
    opened = merchant.installation
    async with smtp_sink() as sink:
        await enable_email(merchant, sink.port)
        ids = await add_customers(merchant, [f"c{n}@example.com" for n in range(2000)])
        campaign_id = await make_campaign(merchant)
        async with merchant.work() as w:
            run_id = await start_campaign(w, opened.registry, campaign_id)
        sending = asyncio.create_task(
            send_run(opened.db, opened.registry, merchant.id, run_id, URL)
        )
        await until(lambda: len(sink.accepted) >= 100)
        late = ids[-500:]
        async with merchant.work() as w:
            await set_consents(w, late[:-1], Word("email", "marketing", "denied", "answer"))
            await unsubscribe(w, late[-1], "email", "link")
        at_refusal = len(sink.accepted)
        await sending
        refused = {f"c{n}@example.com" for n in range(1500, 2000)}
        assert at_refusal < 1400
        assert refused.isdisjoint(to for _, to in sink.accepted)
        async with merchant.read() as session:
            found = await audit_run(session, run_id)
        assert (found.sent, found.skipped) == (1500, {"opted_out": 500})


PLACE = "[{{ customer.province | default: '' }}]"


async def test_who_refuses_personalisation_is_addressed_by_name_alone(merchant):
    async with smtp_sink() as sink:
        await enable_email(merchant, sink.port)
        ids = await add_customers(merchant, ["a@example.com", "b@example.com"])
        async with merchant.work() as w:
            await set_consent(w, ids[0], "*", "personalisation", "denied", "preference_page")
        content = {
            "subject": "{{ customer.name }}",
            "html": f"{PLACE}<a href='{{{{ preferences_url }}}}'>设置</a>",
            "text": f"{PLACE} {{{{ unsubscribe_url }}}} {{{{ preferences_url }}}}",
        }
        campaign_id = await make_campaign(merchant, content)
        samples = {
            s.customer_id: s.content["text"] for s in (await preview(merchant, campaign_id)).samples
        }
        assert samples[ids[0]].startswith("[] ")
        assert samples[ids[1]].startswith("[浙江省] ")
        await run(merchant, campaign_id)
        from email import message_from_bytes

        texts = {}
        for (_, to), data in zip(sink.accepted, sink.messages, strict=True):
            part = message_from_bytes(data).get_payload()[0]
            texts[to] = part.get_payload(decode=True).decode()
        assert texts["a@example.com"].startswith("[] ")
        assert texts["b@example.com"].startswith("[浙江省] ")
        assert f"{URL}/preferences?t={merchant.id}.{ids[0]}." in texts["a@example.com"]
