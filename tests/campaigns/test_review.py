from dataclasses import replace
from datetime import timedelta

import pytest

from core.domain.campaigns.campaigns import get_campaign, update_campaign
from core.domain.campaigns.control import schedule_campaign, start_campaign
from core.domain.campaigns.copying import copy_campaign, delete_campaign
from core.domain.campaigns.review import (
    approve_campaign,
    reject_campaign,
    require_approval,
    submit_campaign,
)
from core.domain.shops.plugins import disable_plugin
from core.sdk import AlreadyExists, InvalidInput, NotFound, PluginDisabled, WrongState
from core.testing.smtp import smtp_sink
from tests.journey_kit import CREATED, start_journey, tag
from tests.sending_kit import enable_email, make_campaign


@pytest.fixture
async def campaign_id(merchant):
    async with smtp_sink() as sink:
        await enable_email(merchant, sink.port)
    return await make_campaign(merchant)


async def act(merchant, action, *args, actor="token:1"):
    async with merchant.installation.db.work(merchant.id, actor) as w:
        return await action(w, *args)


async def row(merchant, campaign_id):
    async with merchant.read() as session:
        return await get_campaign(session, campaign_id)


async def audited(merchant):
    async with merchant.read() as session:
        rows = await session.sql.fetch(
            """SELECT actor, action FROM audit_log WHERE merchant_id = $1
                 AND action LIKE 'campaign%' ORDER BY number""",
            merchant.id,
        )  # fmt: skip
    return [tuple(row) for row in rows]


async def test_reviewed_approved_and_started(merchant, campaign_id):
    registry = merchant.installation.registry
    await act(merchant, submit_campaign, registry, campaign_id)
    with pytest.raises(WrongState, match="review"):
        await act(merchant, start_campaign, registry, campaign_id)
    await act(merchant, reject_campaign, campaign_id, " too loud ", actor="token:2")
    found = await row(merchant, campaign_id)
    assert (found["state"], found["rejected_reason"]) == ("draft", "too loud")
    await act(merchant, submit_campaign, registry, campaign_id)
    assert (await row(merchant, campaign_id))["rejected_reason"] is None
    await act(merchant, approve_campaign, campaign_id, actor="token:2")
    await act(merchant, start_campaign, registry, campaign_id)
    assert (await row(merchant, campaign_id))["state"] == "running"
    assert await audited(merchant) == [
        ("token:1", "campaign.submitted"), ("token:2", "campaign.rejected"),
        ("token:1", "campaign.submitted"), ("token:2", "campaign.approved"),
    ]  # fmt: skip


async def test_where_somebody_else_has_to_approve(merchant, campaign_id):
    registry = merchant.installation.registry
    soon = merchant.clock() + timedelta(hours=1)
    await act(merchant, require_approval, True)
    for action, *more in ((start_campaign,), (schedule_campaign, soon)):
        with pytest.raises(WrongState, match="somebody else"):
            await act(merchant, action, registry, campaign_id, *more)
    await act(merchant, submit_campaign, registry, campaign_id)
    with pytest.raises(WrongState, match="somebody else"):
        await act(merchant, approve_campaign, campaign_id)
    await act(merchant, approve_campaign, campaign_id, actor="token:2")
    await act(merchant, schedule_campaign, registry, campaign_id, soon)
    await act(merchant, start_campaign, registry, campaign_id)


@pytest.mark.parametrize("approved", [True, False])
async def test_a_change_has_to_be_reviewed_again(merchant, campaign_id, approved):
    registry = merchant.installation.registry
    await act(merchant, submit_campaign, registry, campaign_id)
    if approved:
        await act(merchant, approve_campaign, campaign_id, actor="token:2")
    await act(merchant, update_campaign, registry, campaign_id, {"name": "other"})
    assert (await row(merchant, campaign_id))["state"] == "draft"


async def test_a_scheduled_campaign_cannot_be_changed_behind_the_reviewers_back(
    merchant, campaign_id
):
    registry = merchant.installation.registry
    soon = merchant.clock() + timedelta(hours=1)
    await act(merchant, require_approval, True)
    await act(merchant, submit_campaign, registry, campaign_id)
    await act(merchant, approve_campaign, campaign_id, actor="token:2")
    await act(merchant, schedule_campaign, registry, campaign_id, soon)
    await act(merchant, update_campaign, registry, campaign_id, {"name": "other"})
    assert (await row(merchant, campaign_id))["state"] == "draft"


async def test_a_journey_that_is_on_cannot_either(merchant):
    registry = merchant.installation.registry
    campaign_id, _ = await start_journey(merchant, CREATED, [tag("x")])
    await act(merchant, require_approval, True)
    with pytest.raises(WrongState, match="copy"):
        await act(merchant, update_campaign, registry, campaign_id, {"name": "other"})
    await act(merchant, require_approval, False)
    await act(merchant, update_campaign, registry, campaign_id, {"name": "other"})


async def test_what_cannot_start_cannot_be_submitted(merchant, campaign_id):
    registry = merchant.installation.registry
    await act(merchant, disable_plugin, registry, "email")
    with pytest.raises(PluginDisabled):
        await act(merchant, submit_campaign, registry, campaign_id)


@pytest.mark.parametrize("reason", ["", " ", "x" * 1001, "a\x00"])
async def test_a_rejection_has_a_reason(merchant, campaign_id, reason):
    await act(merchant, submit_campaign, merchant.installation.registry, campaign_id)
    with pytest.raises(InvalidInput):
        await act(merchant, reject_campaign, campaign_id, reason)


async def test_only_what_is_reviewed_is_approved(merchant, campaign_id):
    for action in (approve_campaign, reject_campaign):
        with pytest.raises(WrongState):
            await act(merchant, action, campaign_id, *(["why"] * (action == reject_campaign)))


async def test_a_copy_is_a_draft_like_it(merchant, campaign_id):
    registry = merchant.installation.registry
    await act(merchant, start_campaign, registry, campaign_id)
    copy_id = await act(merchant, copy_campaign, registry, campaign_id, "copy")
    old, new = await row(merchant, campaign_id), await row(merchant, copy_id)
    assert (new["state"], new["flow"], new["options"]) == ("draft", old["flow"], old["options"])
    with pytest.raises(AlreadyExists):
        await act(merchant, copy_campaign, registry, campaign_id, "copy")
    other = replace(merchant, id=merchant.id + 10**6)
    with pytest.raises(NotFound):
        await act(other, copy_campaign, registry, campaign_id, "theirs")


async def test_a_draft_is_deleted_and_nothing_else(merchant, campaign_id):
    registry = merchant.installation.registry
    copy_id = await act(merchant, copy_campaign, registry, campaign_id, "copy")
    await act(merchant, delete_campaign, copy_id)
    with pytest.raises(NotFound):
        await row(merchant, copy_id)
    await act(merchant, start_campaign, registry, campaign_id)
    with pytest.raises(WrongState):
        await act(merchant, delete_campaign, campaign_id)
