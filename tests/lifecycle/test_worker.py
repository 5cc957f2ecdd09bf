"""A worker begins the day's measuring, and does it."""

from core.domain.lifecycle.refresh import KIND
from core.domain.lifecycle.rfm import rfm_model
from tests.lifecycle.kit import Bought, Person, days_ago, store
from worker.duties import Duties


async def test_a_worker_measures_once_a_day(merchant):
    async with merchant.work() as w:
        await store(w, [Person([Bought(days_ago(1), merchant.shop_id)])])
    duties = Duties(merchant.installation)
    await duties.by_name["lifecycle.start"]()
    await duties.by_name["lifecycle.start"]()
    async with merchant.read() as session:
        (job_id,) = [
            row["id"]
            for row in await session.sql.fetch(
                "SELECT id FROM jobs WHERE merchant_id = $1 AND kind = $2", merchant.id, KIND
            )
        ]
    await duties.by_name["job.run"](merchant.id, job_id)
    async with merchant.read() as session:
        for shop_id in (0, merchant.shop_id):
            assert (await rfm_model(session, shop_id, "CNY"))["customers"] == 1
