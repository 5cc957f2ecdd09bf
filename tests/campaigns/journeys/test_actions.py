from dataclasses import replace

import pytest
from pydantic import BaseModel

from core.domain.customers.tags import tag_customers
from core.domain.shops.plugins import disable_plugin
from core.registry import Owned
from core.sdk import Text
from core.sdk.errors import HuikeError, InvalidInput, Several, WrongState
from core.testing.smtp import smtp_sink
from tests.journey_kit import (
    CREATED,
    enrolments,
    order,
    standing,
    start_journey,
    tag,
    tags_of,
    take_orders,
)
from tests.sending_kit import enable_email


class Stars(BaseModel, extra="forbid"):
    stars: int


class GiveStars:
    name = "email.stars"
    title = Text("Give stars", "赠送星星")
    settings = Stars
    fails = None
    asked = ()

    async def perform(self, w, settings, subjects):
        self.asked = (*self.asked, list(subjects))
        await tag_customers(
            w, [s.customer_id for s in subjects], [f"{settings.stars} stars"], "email"
        )
        if self.fails:
            raise self.fails


@pytest.fixture
async def stars(merchant):
    """The merchant, in an installation whose email plugin brings the action; and the action."""
    action = GiveStars()
    owned = Owned("email", action)
    registry = replace(merchant.installation.registry, actions={action.name: owned})
    installation = replace(merchant.installation, registry=registry)
    async with smtp_sink() as sink:
        changed = replace(merchant, installation=installation)
        await enable_email(changed, sink.port)
        yield changed, action


STEPS = [{"kind": "action", "key": "give", "action": "email.stars", "settings": {"stars": 3}},
         tag("after")]  # fmt: skip


async def pause_reason(merchant, campaign_id):
    async with merchant.read() as session:
        return await session.sql.fetchval(
            "SELECT pause_reason FROM campaigns WHERE merchant_id = $1 AND id = $2",
            merchant.id, campaign_id,
        )  # fmt: skip


async def test_an_action_is_performed_for_the_whole_group(stars):
    merchant, action = stars
    await start_journey(merchant, CREATED, STEPS)
    await take_orders(merchant, order("1", at=merchant.clock()), order("2", at=merchant.clock()))
    rows = await enrolments(merchant)
    given = {subject.enrolment_id: subject for group in action.asked for subject in group}
    assert [(s.customer_id, s.order_id) for s in given.values()] == [
        (row["customer_id"], row["order_id"]) for row in rows
    ]
    assert await tags_of(merchant, rows[0]["customer_id"]) == ["3 stars", "after"]


async def test_what_it_wrote_is_undone_when_it_fails(stars):
    merchant, action = stars
    campaign_id, _ = await start_journey(merchant, CREATED, STEPS)
    action.fails = WrongState("no stars left")
    await take_orders(merchant, order("1", at=merchant.clock()))
    (row,) = await enrolments(merchant)
    assert await tags_of(merchant, row["customer_id"]) == []
    assert await standing(merchant) == [("waiting", 0, None)]
    assert await pause_reason(merchant, campaign_id) == "no stars left"


async def test_a_broken_action_holds_its_people_and_pauses_nobody(stars):
    merchant, action = stars
    campaign_id, _ = await start_journey(merchant, CREATED, STEPS)
    action.fails = ZeroDivisionError()
    await take_orders(merchant, order("1", at=merchant.clock()))
    assert await standing(merchant) == [("waiting", 0, None)]
    assert await pause_reason(merchant, campaign_id) is None


async def test_a_plugin_that_is_switched_off_pauses_the_campaign(stars):
    merchant, _ = stars
    campaign_id, _ = await start_journey(merchant, CREATED, STEPS)
    async with merchant.work() as w:
        await disable_plugin(w, merchant.installation.registry, "email")
    await take_orders(merchant, order("1", at=merchant.clock()))
    assert "email" in await pause_reason(merchant, campaign_id)


async def test_settings_are_checked_when_the_flow_is_written(stars):
    merchant, _ = stars
    with pytest.raises((HuikeError, Several)) as raised:
        await start_journey(merchant, CREATED, [STEPS[0] | {"settings": {"stars": "many"}}])
    (error,) = raised.value.errors
    assert isinstance(error, InvalidInput)
    assert error.path == ("input", "flow", "steps", "0", "settings", "stars")
