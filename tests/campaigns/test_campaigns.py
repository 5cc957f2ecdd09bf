from datetime import timedelta

import pytest

from core.domain.campaigns.campaigns import create_campaign, get_campaign, update_campaign
from core.domain.campaigns.control import (
    cancel_campaign,
    pause_campaign,
    resume_campaign,
    schedule_campaign,
    start_campaign,
)
from core.domain.campaigns.links import read_unsubscribe_token, unsubscribe_token
from core.domain.campaigns.preview import preview_campaign
from core.domain.shops.plugins import disable_plugin
from core.sdk import AlreadyExists, InvalidInput, NotFound, PluginDisabled, Several, WrongState
from core.sdk.errors import HuikeError
from core.sdk.flows import Schedule
from core.testing.smtp import smtp_sink
from tests.sending_kit import CONTENT, add_customers, campaign_row, enable_email, make_campaign


@pytest.fixture
async def campaign_id(merchant):
    async with smtp_sink() as sink:
        await enable_email(merchant, sink.port)
    return await make_campaign(merchant)


async def act(merchant, action, *args):
    async with merchant.work() as w:
        return await action(w, *args)


async def state(merchant, campaign_id):
    return (await campaign_row(merchant, campaign_id))["state"]


async def test_life_of_a_campaign(merchant, campaign_id):
    registry = merchant.installation.registry
    soon = Schedule(at=merchant.clock() + timedelta(hours=1))
    await act(merchant, schedule_campaign, registry, campaign_id, soon)
    assert await state(merchant, campaign_id) == "scheduled"
    run_id = await act(merchant, start_campaign, registry, campaign_id)
    assert await state(merchant, campaign_id) == "running"
    await act(merchant, pause_campaign, campaign_id)
    row = await campaign_row(merchant, campaign_id)
    assert (row["state"], row["run_state"]) == ("paused", "paused")
    assert await act(merchant, resume_campaign, registry, campaign_id) == run_id
    assert (await campaign_row(merchant, campaign_id))["run_state"] == "planning"
    await act(merchant, cancel_campaign, campaign_id)
    assert await state(merchant, campaign_id) == "cancelled"


@pytest.mark.parametrize("action", ["start", "pause", "resume", "schedule", "update", "cancel"])
async def test_a_cancelled_campaign_stays_as_it_is(merchant, campaign_id, action):
    registry = merchant.installation.registry
    await act(merchant, cancel_campaign, campaign_id)
    later = Schedule(at=merchant.clock() + timedelta(days=1))
    calls = {
        "start": (start_campaign, registry, campaign_id),
        "pause": (pause_campaign, campaign_id),
        "resume": (resume_campaign, registry, campaign_id),
        "schedule": (schedule_campaign, registry, campaign_id, later),
        "update": (update_campaign, registry, campaign_id, {"name": "x"}),
        "cancel": (cancel_campaign, campaign_id),
    }
    with pytest.raises(WrongState, match="cancelled"):
        await act(merchant, *calls[action])


async def test_a_draft_cannot_be_paused_or_scheduled_into_the_past(merchant, campaign_id):
    registry = merchant.installation.registry
    with pytest.raises(WrongState):
        await act(merchant, pause_campaign, campaign_id)
    with pytest.raises(InvalidInput, match="past"):
        await act(merchant, schedule_campaign, registry, campaign_id, Schedule(at=merchant.clock()))


async def test_starting_needs_the_plugin(merchant, campaign_id):
    registry = merchant.installation.registry
    await act(merchant, disable_plugin, registry, "email")
    with pytest.raises(PluginDisabled):
        await act(merchant, start_campaign, registry, campaign_id)


async def test_update_changes_what_is_given_only(merchant, campaign_id):
    registry = merchant.installation.registry
    await act(merchant, update_campaign, registry, campaign_id, {"name": " new "})
    async with merchant.read() as session:
        row = await get_campaign(session, campaign_id)
    assert (row["name"], row["version"]) == ("new", 2)
    assert "好久不见" in row["flow"]


async def test_faults_are_told_together(merchant):
    registry = merchant.installation.registry
    with pytest.raises((HuikeError, Several)) as caught:
        async with merchant.work() as w:
            await create_campaign(
                w, registry, name="", channel="email", segment_id=10**9, content={},
                shop_id=10**9,
            )  # fmt: skip
    paths = {error.path[-1] for error in caught.value.errors}
    assert paths == {"name", "subject", "html", "segmentId", "shopId"}
    with pytest.raises(Several, match="pigeon"):
        async with merchant.work() as w:
            await create_campaign(w, registry, name="x", channel="pigeon", segment_id=1, content={})


async def test_a_name_is_taken_once(merchant, campaign_id):
    row = None
    async with merchant.read() as session:
        row = await get_campaign(session, campaign_id)
    with pytest.raises(AlreadyExists):
        async with merchant.work() as w:
            await create_campaign(
                w, merchant.installation.registry, name=row["name"], channel="email",
                segment_id=row["segment_id"], content=CONTENT,
            )  # fmt: skip


async def test_other_merchants_campaigns_are_not_found(merchant, campaign_id):
    async with merchant.installation.db.work(merchant.id + 10**6) as w:
        with pytest.raises(NotFound):
            await cancel_campaign(w, campaign_id)


async def test_preview_counts_and_shows(merchant, campaign_id):
    await add_customers(merchant, [f"c{n}@example.com" for n in range(5)])
    await add_customers(merchant, [None, None])
    await add_customers(merchant, ["no@example.com"], consent="denied")
    ids = await add_customers(merchant, ["gone@example.com"])
    keyring = merchant.installation.db.keyring
    async with merchant.work() as w:
        await w.sql.execute(
            """INSERT INTO suppressions (merchant_id, channel, address_index, reason, at)
               VALUES ($1, 'email', $2, 'bounced', $3)""",
            merchant.id, keyring.blind_index("email", merchant.id, "gone@example.com"), w.now,
        )  # fmt: skip
    async with merchant.read() as session:
        found = await preview_campaign(session, merchant.installation.registry, campaign_id, 2)
    assert found.would_send == 5
    assert found.skipped == {"no_address": 2, "opted_out": 1, "suppressed": 1}
    assert [sample.content["subject"] for sample in found.samples] == [
        "Customer 1，好久不见", "Customer 2，好久不见"
    ]  # fmt: skip
    assert ids


def test_unsubscribe_tokens_cannot_be_made_up(merchant):
    keyring = merchant.installation.db.keyring
    token = unsubscribe_token(keyring, 7, 42, "email.news")
    assert read_unsubscribe_token(keyring, token) == (7, 42, "email.news")
    for forged in ["", ".", "7.42.email", token[:-1], token.replace("42", "43"), f"{token}x", "é"]:
        assert read_unsubscribe_token(keyring, forged) is None
