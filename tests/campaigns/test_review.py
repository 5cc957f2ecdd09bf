from dataclasses import replace
from datetime import timedelta

import pytest

from core.domain.campaigns.campaigns import get_campaign, update_campaign
from core.domain.campaigns.control import schedule_campaign, start_campaign
from core.domain.campaigns.copying import copy_campaign, delete_campaign
from core.domain.campaigns.flows import parse_flow, stored_flow
from core.domain.campaigns.journeys.figures import version_figures
from core.domain.campaigns.review import (
    approve_campaign,
    reject_campaign,
    require_approval,
    submit_campaign,
    withdraw_proposal,
)
from core.domain.shops.plugins import disable_plugin
from core.domain.shops.tokens import create_token
from core.sdk import AlreadyExists, InvalidInput, NotFound, PluginDisabled, WrongState
from core.sdk.flows import Options, Schedule
from core.testing.smtp import smtp_sink
from tests.journey_kit import (
    CREATED,
    enrolments,
    order,
    start_journey,
    tag,
    tags_of,
    take_orders,
)
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


async def test_a_token_of_ones_own_is_not_somebody_else(merchant, campaign_id):
    registry = merchant.installation.registry
    await act(merchant, require_approval, True)
    await act(merchant, submit_campaign, registry, campaign_id, actor="staff:1")
    made, _ = await act(
        merchant, create_token, registry, "mine", ["CAMPAIGNS_SEND"], actor="staff:1"
    )
    with pytest.raises(WrongState, match="somebody else"):
        await act(merchant, approve_campaign, registry, campaign_id, actor=f"token:{made}")
    await act(merchant, approve_campaign, registry, campaign_id, actor="staff:2")


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
    await act(merchant, approve_campaign, registry, campaign_id, actor="token:2")
    await act(merchant, start_campaign, registry, campaign_id)
    assert (await row(merchant, campaign_id))["state"] == "running"
    assert await audited(merchant) == [
        ("token:1", "campaign.submitted"), ("token:2", "campaign.rejected"),
        ("token:1", "campaign.submitted"), ("token:2", "campaign.approved"),
    ]  # fmt: skip


async def test_where_somebody_else_has_to_approve(merchant, campaign_id):
    registry = merchant.installation.registry
    soon = Schedule(at=merchant.clock() + timedelta(hours=1))
    await act(merchant, require_approval, True)
    for action, *more in ((start_campaign,), (schedule_campaign, soon)):
        with pytest.raises(WrongState, match="somebody else"):
            await act(merchant, action, registry, campaign_id, *more)
    await act(merchant, submit_campaign, registry, campaign_id)
    with pytest.raises(WrongState, match="somebody else"):
        await act(merchant, approve_campaign, registry, campaign_id)
    await act(merchant, approve_campaign, registry, campaign_id, actor="token:2")
    await act(merchant, schedule_campaign, registry, campaign_id, soon)
    await act(merchant, start_campaign, registry, campaign_id)


@pytest.mark.parametrize("approved", [True, False])
async def test_a_change_has_to_be_reviewed_again(merchant, campaign_id, approved):
    registry = merchant.installation.registry
    await act(merchant, submit_campaign, registry, campaign_id)
    if approved:
        await act(merchant, approve_campaign, registry, campaign_id, actor="token:2")
    await act(merchant, update_campaign, registry, campaign_id, {"name": "other"})
    assert (await row(merchant, campaign_id))["state"] == "draft"


async def test_a_scheduled_campaign_cannot_be_changed_behind_the_reviewers_back(
    merchant, campaign_id
):
    registry = merchant.installation.registry
    soon = Schedule(at=merchant.clock() + timedelta(hours=1))
    await act(merchant, require_approval, True)
    await act(merchant, submit_campaign, registry, campaign_id)
    await act(merchant, approve_campaign, registry, campaign_id, actor="token:2")
    await act(merchant, schedule_campaign, registry, campaign_id, soon)
    await act(merchant, update_campaign, registry, campaign_id, {"name": "other"})
    assert (await row(merchant, campaign_id))["state"] == "draft"


async def proposed(merchant):
    """A journey that is on, and for which another flow is proposed; its id."""
    registry = merchant.installation.registry
    campaign_id, _ = await start_journey(merchant, CREATED, [tag("old")])
    await act(merchant, require_approval, True)
    flow = parse_flow({"trigger": CREATED, "steps": [tag("new")]})
    await act(merchant, update_campaign, registry, campaign_id, {"flow": flow})
    return campaign_id


async def versions(merchant, campaign_id):
    """(version, its first step, whether it lets people in), the newest first."""
    async with merchant.read() as session:
        found = await version_figures(session, [campaign_id])
    return [(one.version, stored_flow(one.flow).steps[0].key, one.open)
            for one in found[campaign_id]]  # fmt: skip


async def test_a_new_version_is_reviewed_while_the_old_one_goes_on(merchant):
    registry = merchant.installation.registry
    campaign_id = await proposed(merchant)
    with pytest.raises(WrongState, match="draft"):
        await act(merchant, approve_campaign, registry, campaign_id, actor="token:2")
    await act(merchant, submit_campaign, registry, campaign_id)
    with pytest.raises(WrongState, match="somebody else"):
        await act(merchant, approve_campaign, registry, campaign_id)
    await take_orders(merchant, order("1", at=merchant.clock()))
    assert await versions(merchant, campaign_id) == [(1, "old", True)]
    await act(merchant, approve_campaign, registry, campaign_id, actor="token:2")
    assert (await row(merchant, campaign_id))["state"] == "running"
    assert await versions(merchant, campaign_id) == [(2, "new", True), (1, "old", False)]
    await take_orders(merchant, order("2", at=merchant.clock()))
    first, second = await enrolments(merchant)
    assert await tags_of(merchant, first["customer_id"]) == ["old"]
    assert await tags_of(merchant, second["customer_id"]) == ["new"]
    assert await audited(merchant) == [
        ("token:1", "campaigns.approval_set"), ("token:1", "campaign.proposed"),
        ("token:1", "campaign.submitted"), ("token:2", "campaign.approved"),
    ]  # fmt: skip
    with pytest.raises(WrongState):  # nothing more is proposed
        await act(merchant, approve_campaign, registry, campaign_id, actor="token:2")


async def test_what_is_changed_or_sent_back_is_reviewed_again(merchant):
    registry = merchant.installation.registry
    campaign_id = await proposed(merchant)
    await act(merchant, submit_campaign, registry, campaign_id)
    await act(merchant, reject_campaign, campaign_id, "too loud", actor="token:2")
    with pytest.raises(WrongState):
        await act(merchant, approve_campaign, registry, campaign_id, actor="token:2")
    await act(merchant, submit_campaign, registry, campaign_id)
    quiet = parse_flow({"trigger": CREATED, "steps": [tag("quiet")]})
    await act(merchant, update_campaign, registry, campaign_id, {"flow": quiet})
    with pytest.raises(WrongState):
        await act(merchant, approve_campaign, registry, campaign_id, actor="token:2")
    await act(merchant, submit_campaign, registry, campaign_id)
    await act(merchant, require_approval, False)
    await act(merchant, update_campaign, registry, campaign_id, {"options": Options(priority=1)})
    with pytest.raises(WrongState, match="meanwhile"):
        await act(merchant, approve_campaign, registry, campaign_id, actor="token:2")
    await act(merchant, withdraw_proposal, campaign_id)
    with pytest.raises(NotFound):
        await act(merchant, withdraw_proposal, campaign_id)
    assert [one[1] for one in await versions(merchant, campaign_id)] == ["old", "old"]


async def test_the_name_alone_needs_nobody(merchant):
    registry = merchant.installation.registry
    campaign_id, _ = await start_journey(merchant, CREATED, [tag("x")])
    await act(merchant, require_approval, True)
    await act(merchant, update_campaign, registry, campaign_id, {"name": "other"})
    assert (await row(merchant, campaign_id))["name"] == "other"


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
    registry = merchant.installation.registry
    for action, *given in ((approve_campaign, registry, campaign_id),
                           (reject_campaign, campaign_id, "why")):  # fmt: skip
        with pytest.raises(WrongState):
            await act(merchant, action, *given)


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
