"""What core itself contributes, through the same hooks as every plugin."""

from collections.abc import Sequence
from dataclasses import replace

from core.domain.campaigns.content.trial import TooManyTests
from core.domain.campaigns.facets import FACETS as CAMPAIGN_FACETS
from core.domain.campaigns.facets import Reachable
from core.domain.campaigns.personal import PERSONAL_TABLES as CAMPAIGN_TABLES
from core.domain.campaigns.recipes import (
    after_sales,
    blasts,
    calls,
    dates,
    delivery,
    lifecycle,
    payment,
    reviews,
)
from core.domain.campaigns.timeline import TIMELINE as CAMPAIGN_TIMELINE
from core.domain.connections.connecting import ConnectionRefused
from core.domain.connections.push_routes import with_push_routes
from core.domain.customers.customers import CustomerMerged
from core.domain.customers.fields import FieldNotYours
from core.domain.customers.identities import IdentityTaken
from core.domain.customers.import_columns import NoIdentityColumn
from core.domain.customers.importing import AlreadyRunning as CustomersImportRunning
from core.domain.customers.importing import RowRefused
from core.domain.customers.personal import PERSONAL_TABLES as CUSTOMER_TABLES
from core.domain.customers.tasks import TaskAction
from core.domain.customers.timeline import TIMELINE as CUSTOMER_TIMELINE
from core.domain.members.events import EarningLimit
from core.domain.members.importing import MembersImportRunning
from core.domain.members.personal import PERSONAL_TABLES as MEMBER_TABLES
from core.domain.members.points import NotEnoughPoints
from core.domain.members.redeeming import RewardUnavailable
from core.domain.members.rewards import Gift
from core.domain.members.timeline import TIMELINE as MEMBER_TIMELINE
from core.domain.orders.formats import ORDER_FORMATS, ColumnsMissing, FormatUnknown
from core.domain.orders.importing import AlreadyRunning
from core.domain.orders.personal import PERSONAL_TABLES as ORDER_TABLES
from core.domain.orders.timeline import TIMELINE as ORDER_TIMELINE
from core.domain.segments.facets import FACETS as SEGMENT_FACETS
from core.domain.segments.personal import PERSONAL_TABLES as SEGMENT_TABLES
from core.domain.shops.plugins import SettingsRefused
from core.domain.shops.staff.accounts import InviteInvalid, LastOwner
from core.domain.shops.staff.login import CodeNeeded, LoginRefused
from core.domain.shops.staff.oidc_client import OidcFailed
from core.domain.shops.staff.pauses import LoginPaused
from core.domain.shops.staff.sessions import SessionEnded
from core.guard import PluginFailed
from core.registry import CORE, Owned, Registry, RegistryError
from core.sdk import errors, hookimpl
from core.sdk.actions import Action
from core.sdk.facets import Facet
from core.sdk.orders import OrderFormat
from core.sdk.personal import PersonalTable
from core.sdk.recipes import Recipe
from core.sdk.rewards import RewardProvider
from core.sdk.timeline import TimelineSource
from core.tabular.exporting import AlreadyExporting
from core.tabular.reading import FileUnreadable


class CorePlugin:
    """Core's facets, file formats and error codes."""

    @hookimpl
    def facets(self) -> Sequence[Facet]:
        return [*SEGMENT_FACETS, *CAMPAIGN_FACETS]

    @hookimpl
    def order_formats(self) -> Sequence[OrderFormat]:
        return ORDER_FORMATS

    @hookimpl
    def personal_tables(self) -> Sequence[PersonalTable]:
        return [*CUSTOMER_TABLES, *ORDER_TABLES, *MEMBER_TABLES, *SEGMENT_TABLES, *CAMPAIGN_TABLES]

    @hookimpl
    def timeline_sources(self) -> Sequence[TimelineSource]:
        return [*ORDER_TIMELINE, *MEMBER_TIMELINE, *CAMPAIGN_TIMELINE, *CUSTOMER_TIMELINE]

    @hookimpl
    def campaign_recipes(self) -> Sequence[Recipe]:
        families = (payment, delivery, after_sales, reviews, dates, lifecycle, blasts, calls)
        return [recipe for family in families for recipe in family.RECIPES]

    @hookimpl
    def actions(self) -> Sequence[Action]:
        return [TaskAction()]

    @hookimpl
    def reward_providers(self) -> Sequence[RewardProvider]:
        return [Gift()]

    @hookimpl
    def error_codes(self) -> Sequence[type[errors.HuikeError]]:
        return [
            errors.InvalidInput, errors.NotFound, errors.AlreadyExists, errors.WrongState,
            errors.Conflict, errors.KeyReused, errors.PluginDisabled, PluginFailed, SettingsRefused,
            ColumnsMissing, FormatUnknown, AlreadyRunning, FileUnreadable,
            CustomerMerged, IdentityTaken,
            FieldNotYours, NotEnoughPoints, EarningLimit, RewardUnavailable,
            TooManyTests,
            MembersImportRunning,
            InviteInvalid, LastOwner, CodeNeeded, LoginRefused, LoginPaused, SessionEnded,
            OidcFailed,
            NoIdentityColumn, CustomersImportRunning, RowRefused, AlreadyExporting,
            ConnectionRefused,
        ]  # fmt: skip


def completed(registry: Registry) -> Registry:
    """The registry with what core makes of every plugin's channels and connectors.

    Raises RegistryError when a plugin has taken the name of one.
    """
    return with_push_routes(with_channels(registry))


def with_channels(registry: Registry) -> Registry:
    """The registry with core's facets that are made of every plugin's channels.

    Raises RegistryError when a plugin has taken the name of one.
    """
    facet = Reachable(registry.channels)
    if (taken := registry.facets.get(facet.name)) is not None:
        raise RegistryError(
            f"plugins core and {taken.plugin} both bring facets {facet.name!r}: uninstall the "
            f"latter, or skip it with HUIKE_SKIP_PLUGINS={taken.plugin}"
        )
    return replace(registry, facets={**registry.facets, facet.name: Owned(CORE, facet)})
