"""Calls of a merchant's own server, written down as steps of a journey; posting.py makes them."""

from collections.abc import Sequence

from core.domain.campaigns.journeys.running import Journey
from core.domain.campaigns.journeys.travellers import Traveller
from core.sdk.flows import Webhook
from core.storage.database import Work


async def call(
    w: Work, journey: Journey, number: int, step: Webhook, group: Sequence[Traveller]
) -> None:
    """Have the server of step `number` called for each of the group, once."""
    await w.sql.execute(
        """INSERT INTO webhook_calls (merchant_id, campaign_id, run_id, step, enrolment_id,
               customer_id, order_id, parcel_id, url, state, attempts, next_at, created_at)
           SELECT $1, $2, $3, $4, t.id, t.customer_id, t.order_id, t.parcel_id, $5, 'pending', 0,
                  $6, $6
           FROM unnest($7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[])
                AS t (id, customer_id, order_id, parcel_id)
           ORDER BY t.id ON CONFLICT (merchant_id, run_id, step, enrolment_id) DO NOTHING""",
        w.merchant_id, journey.campaign_id, journey.run_id, number, step.url, w.now,
        [one.id for one in group], [one.customer_id for one in group],
        [one.order_id for one in group], [one.parcel_id for one in group],
    )  # fmt: skip
    w.ring("webhooks.post", w.merchant_id)
