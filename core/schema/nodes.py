"""Finding any object by its global id."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import strawberry

from core.schema.campaign_journeys import enrolments_by_id
from core.schema.campaign_webhook_calls import calls_by_id
from core.schema.campaigns import campaigns_by_id, deliveries_by_id, runs_by_id
from core.schema.connections import dead_letters_by_id
from core.schema.consent_writes import requests_by_id
from core.schema.context import ANY_TOKEN, CHILDREN, Info, field
from core.schema.customers import customers_by_id
from core.schema.deliveries import replies_by_id
from core.schema.errors import BAD_REQUEST, RequestError
from core.schema.failed_events import failed_events_by_id
from core.schema.jobs import jobs_by_id
from core.schema.member_referrals import referrals_by_id
from core.schema.member_rewards import redemptions_by_id, rewards_by_id
from core.schema.members import tiers_by_pk
from core.schema.merge_history import merges_by_id
from core.schema.merges import suggestions_by_id
from core.schema.orders import orders_by_id, refunds_by_id
from core.schema.platform_deeds import platform_deeds_by_id
from core.schema.points import entries_by_id
from core.schema.points_adjusting import points_requests_by_id
from core.schema.profile import custom_fields_by_id, notes_by_id
from core.schema.reviews import reviews_by_id
from core.schema.scalars import Node
from core.schema.segments import segments_by_id
from core.schema.shops import merchants_by_id, shops_by_id, tokens_by_id
from core.schema.staff import staff_by_id
from core.schema.suppressions import suppressions_by_id
from core.schema.tasks import tasks_by_id
from core.schema.webhooks import messages_by_id, webhooks_by_id
from core.sdk.ids import split_id
from core.storage.database import Session

Loader = Callable[[Session, list[int]], Awaitable[dict[int, Any]]]

NODES: dict[str, tuple[str, Loader]] = {
    "Merchant": ("SHOPS_READ", merchants_by_id),
    "Shop": ("SHOPS_READ", shops_by_id),
    "Staff": ("STAFF_READ", staff_by_id),
    "Token": ("TOKENS_WRITE", tokens_by_id),
    "Customer": ("CUSTOMERS_READ", customers_by_id),
    "CustomerMerge": ("CUSTOMERS_READ", merges_by_id),
    "MergeSuggestion": ("CUSTOMERS_READ", suggestions_by_id),
    "Order": ("ORDERS_READ", orders_by_id),
    "Refund": ("ORDERS_READ", refunds_by_id),
    "Review": ("ORDERS_READ", reviews_by_id),
    "Tier": ("MEMBERS_READ", tiers_by_pk),
    "PointsEntry": ("MEMBERS_READ", entries_by_id),
    "PointsRequest": ("MEMBERS_READ", points_requests_by_id),
    "Reward": ("MEMBERS_READ", rewards_by_id),
    "Referral": ("MEMBERS_READ", referrals_by_id),
    "Redemption": ("MEMBERS_READ", redemptions_by_id),
    "Segment": ("SEGMENTS_READ", segments_by_id),
    "Campaign": ("CAMPAIGNS_READ", campaigns_by_id),
    "CampaignRun": ("CAMPAIGNS_READ", runs_by_id),
    "Delivery": ("CAMPAIGNS_READ", deliveries_by_id),
    "Enrolment": ("CAMPAIGNS_READ", enrolments_by_id),
    "Reply": ("CAMPAIGNS_READ", replies_by_id),
    "Job": ("JOBS_READ", jobs_by_id),
    "ConsentRequest": ("CUSTOMERS_READ", requests_by_id),
    "Suppression": ("CUSTOMERS_READ", suppressions_by_id),
    "DeadLetter": ("SHOPS_READ", dead_letters_by_id),
    "PlatformDeed": ("SHOPS_READ", platform_deeds_by_id),
    "CustomField": ("CUSTOMERS_READ", custom_fields_by_id),
    "CustomerNote": ("CUSTOMERS_READ", notes_by_id),
    "Task": ("TASKS_READ", tasks_by_id),
    "FailedEvent": ("JOBS_READ", failed_events_by_id),
    "WebhookCall": ("CAMPAIGNS_READ", calls_by_id),
    "Webhook": ("WEBHOOKS_READ", webhooks_by_id),
    "WebhookMessage": ("WEBHOOKS_READ", messages_by_id),
}
MAX_NODES = 100


async def find(info: Info, text: str) -> Node | None:
    found = split_id(text)
    if found is None or found[0] not in NODES:
        return None
    permission, loader = NODES[found[0]]
    info.context.need(permission)
    return await info.context.load(f"node.{found[0]}", found[1], loader)


CHILDREN["node"] = find


@strawberry.type
class NodeQueries:
    @field(ANY_TOKEN, description="Any object by its id; needs the right to read its type.")
    async def node(self, info: Info, id: strawberry.ID) -> Node | None:
        return await find(info, id)

    @field(ANY_TOKEN, description="Up to 100 objects by their ids, null for those not found.")
    async def nodes(self, info: Info, ids: list[strawberry.ID]) -> list[Node | None]:
        if len(ids) > MAX_NODES:
            raise RequestError(BAD_REQUEST, f"at most {MAX_NODES} ids at once")
        return list(await asyncio.gather(*(find(info, id) for id in ids)))
