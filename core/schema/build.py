"""Putting the schema together: core's nouns, and what the plugins contribute."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from functools import cache
from typing import Any

import strawberry
from graphql import GraphQLEnumType, GraphQLEnumValue
from graphql import OperationType as Kind
from strawberry.exceptions import DuplicatedTypeName
from strawberry.file_uploads import Upload
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.name_converter import NameConverter
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.execution import ExecutionResult
from strawberry.types.field import StrawberryField
from strawberry.types.graphql import OperationType
from strawberry.types.scalar import ScalarDefinition
from strawberry.utils.str_converters import to_camel_case

from core.domain.shops.permissions import all_permissions
from core.registry import Registry
from core.schema.audit import AuditMutations, AuditQueries
from core.schema.bulk_exports import BulkExportMutations
from core.schema.campaign_flows import STEPS
from core.schema.campaign_journeys import JourneyMutations, JourneyQueries
from core.schema.campaign_links import CampaignLinkQueries
from core.schema.campaign_proposals import CampaignProposalMutations
from core.schema.campaign_recipes import CampaignRecipeMutations, CampaignRecipeQueries
from core.schema.campaign_results import ResultMutations, ResultQueries
from core.schema.campaign_review import CampaignReviewMutations, CampaignReviewQueries
from core.schema.campaign_schedule import CampaignScheduleMutations
from core.schema.campaign_webhook_calls import WebhookCallMutations, WebhookCallQueries
from core.schema.campaign_writes import CampaignMutations
from core.schema.campaigns import CampaignQueries, CampaignSubscriptions
from core.schema.connections import (
    ConnectionMutations,
    ConnectionQueries,
    ConnectionSubscriptions,
)
from core.schema.consent_writes import ConsentMutations, ConsentQueries
from core.schema.costs import Prices
from core.schema.custom_fields import CustomFieldMutations, CustomFieldQueries
from core.schema.customer_imports import CustomerImportMutations
from core.schema.customer_intake import CustomerIntakeMutations
from core.schema.customers import Customer, CustomerMutations, CustomerQueries
from core.schema.deliveries import DeliveryMutations, DeliveryQueries
from core.schema.descriptions import describe
from core.schema.errors import (
    CustomerError,
    InputError,
)
from core.schema.exact import DATE, DATE_TIME, DECIMAL, PHONE_NUMBER, TIME, UPLOAD
from core.schema.executor import Executor
from core.schema.executor.plans import PlanCache
from core.schema.exports import ExportMutations
from core.schema.facts import CustomerFacts
from core.schema.failed_events import FailedEventMutations, FailedEventQueries
from core.schema.jobs import JobMutations, JobQueries, JobSubscriptions
from core.schema.known import KnownDocuments
from core.schema.lifecycle import LifecycleMutations, LifecycleQueries
from core.schema.live import in_time
from core.schema.member_cards import MemberCardQueries
from core.schema.member_figures import TierFigureQueries
from core.schema.member_imports import MemberImportMutations
from core.schema.member_referrals import ReferralMutations, ReferralQueries
from core.schema.member_rewards import RewardMutations, RewardQueries
from core.schema.members import MemberMutations, MemberQueries
from core.schema.merges import MergeMutations, MergeQueries
from core.schema.message_content import MessageContentMutations, MessageContentQueries
from core.schema.nodes import NodeQueries, plugin_types
from core.schema.notes import NoteMutations
from core.schema.operation import Operation
from core.schema.order_intake import OrderMutations
from core.schema.orders import Order, OrderQueries
from core.schema.platform_deeds import PlatformDeedMutations, PlatformDeedQueries
from core.schema.platform_members import PlatformMemberQueries
from core.schema.plugin_fields import PluginFields, type_collision
from core.schema.plugins import PluginMutations, PluginQueries
from core.schema.points import PointsMutations, PointsQueries
from core.schema.points_adjusting import PointsAdjustMutations, PointsAdjustQueries
from core.schema.points_figures import PointsFigureQueries
from core.schema.privacy import PrivacyMutations, PrivacyQueries
from core.schema.reads import ReadLog
from core.schema.reviews import ReviewMutations, ReviewQueries
from core.schema.rfm import RfmMutations, RfmQueries
from core.schema.roles import RoleMutations, RoleQueries
from core.schema.scalars import JSON, ErrorCode, PermissionName, PhoneNumber, SegmentRule
from core.schema.search import SearchQueries
from core.schema.segment_kinds import SegmentKindMutations
from core.schema.segment_overlap import SegmentOverlapQueries
from core.schema.segment_preview import SegmentPreviewQueries
from core.schema.segment_rules import rule_input
from core.schema.segment_size import SegmentSubscriptions
from core.schema.segment_traits import SegmentTraitMutations, SegmentTraitQueries
from core.schema.segment_why import SegmentWhyQueries
from core.schema.segment_words import SegmentWordsQueries
from core.schema.segments import SegmentMutations, SegmentQueries
from core.schema.sending_days import SendingDayMutations
from core.schema.sending_outlook import SendingOutlookQueries
from core.schema.sending_policy import SendingPolicyMutations, SendingPolicyQueries
from core.schema.shops import Shop, ShopMutations, ShopQueries
from core.schema.staff import StaffMutations, StaffQueries
from core.schema.staff_login import StaffLoginMutations
from core.schema.staff_oidc import StaffOidcMutations, StaffOidcQueries
from core.schema.staff_security import StaffSecurityMutations, StaffSecurityQueries
from core.schema.suppressions import SuppressionMutations, SuppressionQueries
from core.schema.tags import TagMutations, TagQueries
from core.schema.tasks import TaskMutations, TaskQueries
from core.schema.timeline_news import TimelineSubscriptions
from core.schema.webhooks import WebhookMutations, WebhookQueries


@strawberry.type
class Query(
    NodeQueries, ShopQueries, PluginQueries, CustomerQueries, OrderQueries, SegmentQueries,
    CampaignQueries, JobQueries, AuditQueries, PrivacyQueries, ConsentQueries, SuppressionQueries,
    MergeQueries, TagQueries, CustomFieldQueries, SearchQueries, SegmentPreviewQueries,
    SegmentWhyQueries, SegmentWordsQueries, SegmentOverlapQueries, SegmentTraitQueries,
    LifecycleQueries, RfmQueries, MemberQueries, PointsQueries,
    JourneyQueries,
    RewardQueries, MemberCardQueries, TierFigureQueries,
    ReferralQueries, PointsAdjustQueries, PointsFigureQueries,
    SendingPolicyQueries, SendingOutlookQueries,
    MessageContentQueries, CampaignLinkQueries,
    ResultQueries,
    DeliveryQueries,
    ReviewQueries,
    PlatformMemberQueries,
    CampaignRecipeQueries, CampaignReviewQueries,
    TaskQueries,
    ConnectionQueries, PlatformDeedQueries,
    StaffQueries, StaffOidcQueries, RoleQueries,
    WebhookQueries, WebhookCallQueries, FailedEventQueries,
    StaffSecurityQueries,
):  # fmt: skip
    pass


@strawberry.type
class Mutation(
    ShopMutations, PluginMutations, CustomerMutations, OrderMutations, SegmentMutations,
    CampaignMutations, JobMutations, AuditMutations, PrivacyMutations, ConsentMutations,
    SuppressionMutations, MergeMutations, TagMutations, CustomFieldMutations, NoteMutations,
    CustomerImportMutations, ExportMutations, CustomerIntakeMutations, SegmentKindMutations,
    SegmentTraitMutations, LifecycleMutations, RfmMutations, MemberMutations, PointsMutations,
    JourneyMutations,
    RewardMutations,
    ReferralMutations, MemberImportMutations, PointsAdjustMutations,
    SendingDayMutations,
    SendingPolicyMutations,
    MessageContentMutations,
    ResultMutations,
    DeliveryMutations,
    ReviewMutations,
    CampaignRecipeMutations, CampaignReviewMutations, CampaignScheduleMutations,
    CampaignProposalMutations, WebhookCallMutations,
    TaskMutations,
    ConnectionMutations, PlatformDeedMutations,
    StaffMutations, StaffLoginMutations, StaffOidcMutations, RoleMutations,
    StaffSecurityMutations,
    WebhookMutations, BulkExportMutations, FailedEventMutations,
):  # fmt: skip
    pass


@strawberry.type
class Subscription(
    JobSubscriptions, CampaignSubscriptions, ConnectionSubscriptions, SegmentSubscriptions,
    TimelineSubscriptions,
):  # fmt: skip
    pass


OWNERS = {"Query": Query, "Mutation": Mutation, "Customer": Customer, "Order": Order, "Shop": Shop}
"""The types that plugins may add fields to."""


class _Names(NameConverter):
    """Strawberry's names, each made once: to read an input takes those of all its fields."""

    apply_naming_config = staticmethod(cache(to_camel_case))


class Schema(strawberry.Schema):
    """The schema of one registry. Types are never changed: plugin fields exist only in here."""

    def __init__(self, registry: Registry) -> None:
        self._plugin_fields = PluginFields(registry, OWNERS)
        rule = rule_input(
            registry,
            lambda kind: self.schema_converter.from_scalar(kind),
            lambda definition: self.schema_converter.from_enum(definition),
        )
        self.plans = PlanCache()
        self.reads = ReadLog()
        self.known = KnownDocuments()
        super().__init__(
            query=Query,
            mutation=Mutation,
            subscription=Subscription,
            types=[
                InputError,
                CustomerError,
                CustomerFacts,
                *STEPS.values(),
                *plugin_types(registry),
            ],
            execution_context_class=Executor,
            config=StrawberryConfig(
                name_converter=_Names(),
                scalar_map={
                    ErrorCode: _made("ErrorCode", _error_codes(registry)),
                    PermissionName: _made("Permission", _permissions(registry)),
                    SegmentRule: _made("SegmentRuleInput", rule),
                    JSON: strawberry.scalar(
                        name="JSON",
                        description="Any JSON value.",
                        specified_by_url="https://www.rfc-editor.org/rfc/rfc8259",
                    ),
                    Decimal: DECIMAL,
                    date: DATE,
                    datetime: DATE_TIME,
                    time: TIME,
                    PhoneNumber: PHONE_NUMBER,
                    Upload: UPLOAD,
                },
            ),
        )
        describe(self._schema)

        self.prices = Prices(self._schema)

    def get_fields(self, type_definition: StrawberryObjectDefinition) -> list[StrawberryField]:
        return self._plugin_fields.of(type_definition)

    async def execute(
        self,
        query: str | None,
        variable_values: dict[str, Any] | None = None,
        context_value: Any = None,
        root_value: Any = None,
        operation_name: str | None = None,
        allowed_operation_types: Iterable[OperationType] | None = None,
        operation_extensions: dict[str, Any] | None = None,
    ) -> ExecutionResult:
        """What an operation answers; subscriptions are streamed only. Raises NO_REQUEST."""
        kinds = _kinds(allowed_operation_types, (Kind.QUERY, Kind.MUTATION))
        operation = Operation(self, context_value, query, variable_values, operation_name)
        return await operation.answer(kinds)

    async def stream(
        self,
        query: str | None,
        variable_values: dict[str, Any] | None = None,
        context_value: Any = None,
        root_value: Any = None,
        operation_name: str | None = None,
        operation_extensions: dict[str, Any] | None = None,
        allowed_operation_types: Iterable[OperationType] | None = None,
    ) -> AsyncGenerator[ExecutionResult]:
        """What an operation answers, one after the other where it lasts; see `Operation`."""
        seconds = context_value.installation.settings.request_seconds
        operation = Operation(self, context_value, query, variable_values, operation_name)
        results = operation.results(_kinds(allowed_operation_types, tuple(Kind)))
        return in_time(results, seconds, context_value.request_id)


def build_schema(registry: Registry) -> Schema:
    """The GraphQL schema. Raises RegistryError for a plugin field that breaks the rules."""
    try:
        return Schema(registry)
    except DuplicatedTypeName as error:
        raise type_collision(registry, error) from error


def _kinds(allowed: Iterable[OperationType] | None, possible: Sequence[Kind]) -> Sequence[Kind]:
    names = None if allowed is None else {one.value for one in allowed}
    return possible if names is None else [one for one in possible if one.value in names]


def _made(name: str, implementation: Any) -> ScalarDefinition:
    """A ready graphql-core type, for use in Python annotations as if it were a scalar."""
    return ScalarDefinition(
        name=name, description=None, specified_by_url=None, serialize=None, parse_value=None,
        parse_literal=None, implementation=implementation,
    )  # fmt: skip


def _error_codes(registry: Registry) -> GraphQLEnumType:
    values = {
        code: GraphQLEnumValue(code, description=f"{owned.value.cause} {owned.value.cure}")
        for code, owned in sorted(registry.error_codes.items())
    }
    return GraphQLEnumType("ErrorCode", values, description="Every expected error there is.")


def _permissions(registry: Registry) -> GraphQLEnumType:
    values = {
        name: GraphQLEnumValue(name, description=permission.description)
        for name, permission in sorted(all_permissions(registry).items())
    }
    return GraphQLEnumType("Permission", values, description="A right that a token can have.")
