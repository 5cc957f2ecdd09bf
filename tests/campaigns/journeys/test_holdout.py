"""Who is held out of a journey takes none of its steps, however often it begins."""

from core.domain.campaigns.results.holdout import Holdout
from core.domain.campaigns.results.lift import lift_of_run, read_run
from core.domain.lifecycle.calendar import calendar_of
from core.sdk import ConsentGranted
from tests.journey_kit import emit, enrolments, go_on, hear, start_journey, tag, tags_of
from tests.sending_kit import add_customers

GRANTED = {"kind": "event", "type": "consent.granted"}


async def test_the_holdout_leaves_at_once(merchant):
    people = await add_customers(merchant, [None] * 60)
    campaign_id, run_id = await start_journey(
        merchant, GRANTED, [tag("asked")], entry={"again": "always"},
        options={"holdout_percent": 50},
    )  # fmt: skip
    held = {one for one in people if Holdout(campaign_id, 50).has(one)}
    assert 15 < len(held) < 45
    for _ in range(2):
        await emit(merchant, *(ConsentGranted(p, 0, "email", "marketing", "test") for p in people))
        await hear(merchant)
    await go_on(merchant)
    rows = await enrolments(merchant, run_id)
    assert len(rows) == 2 * len(people)
    for row in rows:
        out = row["customer_id"] in held
        assert (row["state"], row["reason"]) == (("left", "holdout") if out else ("done", None))
        assert row["wake_at"] is None
        assert row["ended_at"] is not None
    for one in people:
        assert await tags_of(merchant, one) == ([] if one in held else ["asked"])
    async with merchant.read() as session:
        calendar = await calendar_of(session)
        lift = await lift_of_run(session, calendar, await read_run(session, run_id))
    assert (lift.control.customers, lift.treated.customers) == (len(held), len(people) - len(held))
