"""Everything that a plugin may import: manifest, hooks, protocols, value types, errors."""

from core.sdk.actions import Action, Subject
from core.sdk.channels import (
    Channel,
    ChannelSession,
    ContactKind,
    ContentField,
    MessageClass,
    OutgoingMessage,
    Receipt,
)
from core.sdk.errors import (
    AlreadyExists,
    HuikeError,
    InvalidInput,
    KeyReused,
    NotFound,
    OutsideError,
    PluginDisabled,
    ReconnectNeeded,
    Refused,
    RetryLater,
    Several,
    Unknown,
    WrongState,
)
from core.sdk.events import (
    CampaignFinished,
    CampaignStarted,
    ConsentGranted,
    ConsentWithdrawn,
    CustomerErased,
    CustomersMerged,
    CustomersUnmerged,
    CustomerUnsubscribed,
    CustomEvent,
    Event,
    MessageClicked,
    Occurrence,
    OrderCreated,
    OrdersImported,
    OrderStateChanged,
    ParcelStateChanged,
    RefundStateChanged,
    SegmentEntered,
    SegmentLeft,
)
from core.sdk.facets import Facet, Fault, Query, Rows, Say, Text, check_bounds
from core.sdk.hooks import hookimpl
from core.sdk.identities import Identity, app_scope_id
from core.sdk.money import from_minor, to_minor
from core.sdk.orders import (
    TERMINAL_REFUND_STATES,
    TERMINAL_STATES,
    LineRecord,
    OrderFormat,
    OrderRecord,
    OrderState,
    ParcelRecord,
    ParcelState,
    ParcelTrace,
    RefundKind,
    RefundRecord,
    RefundState,
    TraceEvent,
)
from core.sdk.personal import PersonalTable
from core.sdk.plugin import (
    HealthCheck,
    Manifest,
    NoSettings,
    Permission,
    PluginContext,
    SchemaField,
    SettingsCheck,
    Subscriber,
)
from core.sdk.recipes import (
    Asked,
    NewCampaign,
    NewSegment,
    Parameters,
    Recipe,
    Words,
    parameter,
)
from core.sdk.timeline import TimelineSource

__all__ = [
    "TERMINAL_REFUND_STATES", "TERMINAL_STATES", "Action", "AlreadyExists", "Asked",
    "CampaignFinished",
    "CampaignStarted", "Channel", "ChannelSession", "ConsentGranted", "ConsentWithdrawn",
    "ContactKind", "ContentField", "CustomEvent", "CustomerErased", "CustomerUnsubscribed",
    "CustomersMerged",
    "CustomersUnmerged", "Event", "Facet", "Fault", "HealthCheck", "HuikeError", "Identity",
    "InvalidInput", "KeyReused", "LineRecord", "Manifest", "MessageClass",
    "MessageClicked", "NewCampaign", "NewSegment", "NoSettings",
    "NotFound", "Occurrence", "OrderCreated", "OrderFormat",
    "OrderRecord", "OrderState",
    "OrderStateChanged", "OrdersImported", "OutgoingMessage", "OutsideError", "Parameters",
    "ParcelRecord",
    "ParcelState", "ParcelStateChanged", "ParcelTrace", "Permission", "PersonalTable",
    "PluginContext", "PluginDisabled", "Query", "Receipt", "Recipe", "ReconnectNeeded",
    "RefundKind",
    "RefundRecord", "RefundState", "RefundStateChanged", "Refused", "RetryLater", "Rows", "Say",
    "SchemaField", "SegmentEntered", "SegmentLeft",
    "SettingsCheck", "Several", "Subject", "Subscriber", "Text", "TimelineSource", "TraceEvent",
    "Unknown",
    "Words", "WrongState", "app_scope_id", "check_bounds", "from_minor", "hookimpl", "parameter",
    "to_minor",
]  # fmt: skip
