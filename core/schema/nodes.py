"""Finding any object by its global id."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import strawberry

from core.domain.shops.permissions import all_permissions
from core.domain.shops.plugins import need_enabled
from core.guard import guarded
from core.registry import Owned, Registry, RegistryError
from core.schema.campaign_journeys import enrolments_by_id
from core.schema.campaign_webhook_calls import calls_by_id
from core.schema.campaigns import campaigns_by_id, deliveries_by_id, runs_by_id
from core.schema.connections import dead_letters_by_id
from core.schema.consent_writes import policies_by_id, requests_by_id
from core.schema.consents import consent_events_by_id
from core.schema.context import ANY_TOKEN, CHILDREN, Context, Info, field
from core.schema.customers import customers_by_id, identities_by_id
from core.schema.deliveries import replies_by_id
from core.schema.errors import BAD_REQUEST, OF_THE_REQUEST, RequestError
from core.schema.failed_events import failed_events_by_id
from core.schema.jobs import jobs_by_id, rejects_by_id
from core.schema.member_referrals import referrals_by_id
from core.schema.member_rewards import redemptions_by_id, rewards_by_id
from core.schema.members import tiers_by_pk
from core.schema.merge_history import merges_by_id
from core.schema.merges import suggestions_by_id
from core.schema.orders import lines_by_id, orders_by_id, parcels_by_id, refunds_by_id
from core.schema.platform_deeds import platform_deeds_by_id
from core.schema.points import entries_by_id
from core.schema.points_adjusting import points_requests_by_id
from core.schema.profile import custom_fields_by_id, notes_by_id
from core.schema.reviews import reviews_by_id
from core.schema.scalars import Node
from core.schema.segments import segments_by_id
from core.schema.sending_days import holidays_by_id
from core.schema.sending_policy import caps_by_id
from core.schema.shops import merchants_by_id, shops_by_id, tokens_by_id
from core.schema.staff import sessions_of, staff_by_id
from core.schema.suppressions import suppressions_by_id
from core.schema.tasks import tasks_by_id
from core.schema.webhooks import attempts_by_id, messages_by_id, webhooks_by_id
from core.sdk.ids import split_id
from core.sdk.plugin import NodeType
from core.storage.database import Session

Loader = Callable[[Session, list[int]], Awaitable[Mapping[int, Any]]]

NODES: dict[str, tuple[str, Loader]] = {
    "Merchant": ("SHOPS_READ", merchants_by_id),
    "Shop": ("SHOPS_READ", shops_by_id),
    "Staff": ("STAFF_READ", staff_by_id),
    "Token": ("TOKENS_WRITE", tokens_by_id),
    "Customer": ("CUSTOMERS_READ", customers_by_id),
    "CustomerMerge": ("CUSTOMERS_READ", merges_by_id),
    "MergeSuggestion": ("CUSTOMERS_READ", suggestions_by_id),
    "CustomerIdentity": ("CUSTOMERS_READ", identities_by_id),
    "Order": ("ORDERS_READ", orders_by_id),
    "OrderLine": ("ORDERS_READ", lines_by_id),
    "Parcel": ("ORDERS_READ", parcels_by_id),
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
    "SendingCap": ("CAMPAIGNS_READ", caps_by_id),
    "SendingHoliday": ("CAMPAIGNS_READ", holidays_by_id),
    "Job": ("JOBS_READ", jobs_by_id),
    "JobReject": ("JOBS_READ", rejects_by_id),
    "ConsentEvent": ("CUSTOMERS_READ", consent_events_by_id),
    "ConsentPolicy": ("CUSTOMERS_READ", policies_by_id),
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
    "WebhookAttempt": ("WEBHOOKS_READ", attempts_by_id),
}
OF_CALLERS: dict[str, tuple[str, Callable[[Context], Loader]]] = {
    "StaffSession": (ANY_TOKEN, sessions_of),
}
"""As NODES, for what each caller has of his own."""
NO_NODES = {"SegmentUser": "its id is that of a campaign or of a segment, which are nodes"}
"""Types with an id by which `node` finds another object."""
MAX_NODES = 100


async def find(info: Info, text: str) -> Node | None:
    found = split_id(text)
    if found is None:
        return None
    name, pk = found
    kind = _kind(info, name)
    if kind is None:
        return None
    permission, loader = kind
    info.context.need(permission)
    return await info.context.load(f"node.{name}", pk, loader)


def _kind(info: Info, name: str) -> tuple[str, Loader] | None:
    """The permission that a type needs and what loads its objects, for this caller."""
    context = info.context
    if name in NODES:
        return NODES[name]
    if name in OF_CALLERS:
        permission, made = OF_CALLERS[name]
        return permission, made(context)
    owned = context.installation.registry.node_types.get(name)
    return None if owned is None else (owned.value.permission, _of_plugin(info, owned))


def _of_plugin(info: Info, owned: Owned[NodeType]) -> Loader:
    timeout = info.context.installation.registry.manifests[owned.plugin].timeout

    async def load(session: Session, pks: list[int]) -> Mapping[int, Any]:
        await need_enabled(session, owned.plugin)
        call = owned.value.load(info, session, pks)
        return await guarded(owned.plugin, session.merchant_id, timeout, call, OF_THE_REQUEST)

    return load


def plugin_types(registry: Registry) -> list[type]:
    """The types of plugins that `node` finds. Raises RegistryError for one that it cannot."""
    return [_checked(registry, owned) for owned in registry.node_types.values()]


def _checked(registry: Registry, owned: Owned[NodeType]) -> type:
    given, fault = owned.value, None
    made = getattr(given.type, "__strawberry_definition__", None)
    if given.name in NODES or given.name in OF_CALLERS:
        fault = "is a type of core's already"
    elif made is None or made.name not in (None, given.name) or not issubclass(given.type, Node):
        fault = "is not the name of a strawberry type that implements core.schema.scalars.Node"
    elif given.permission not in all_permissions(registry):
        fault = f"needs the unknown permission {given.permission}"
    if fault is not None:
        raise RegistryError(
            f"plugin {owned.plugin}: the node type {given.name} {fault}: correct it, or skip the "
            f"plugin with HUIKE_SKIP_PLUGINS={owned.plugin}"
        )
    return given.type


CHILDREN["node"] = find


@strawberry.type
class NodeQueries:
    @field(ANY_TOKEN, description="Any object by its id; needs the right to read its type.")
    async def node(self, info: Info, id: strawberry.ID) -> Node | None:
        return await find(info, id)

    @field(
        ANY_TOKEN,
        description="Up to 100 objects by their ids, null for those not found or not to be read.",
    )
    async def nodes(self, info: Info, ids: list[strawberry.ID]) -> list[Node | None]:
        if len(ids) > MAX_NODES:
            raise RequestError(BAD_REQUEST, f"at most {MAX_NODES} ids at once")
        finding = (find(info, id) for id in ids)
        found: list[Any] = await asyncio.gather(*finding, return_exceptions=True)
        return found  # what was raised is told at its place in the list, and the others stand
