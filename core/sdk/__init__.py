"""Everything that a plugin may import: manifest, hooks, protocols, value types, errors."""

from core.sdk.channels import (
    RECONCILE_AFTER,
    BatchChannelSession,
    Channel,
    ChannelSession,
    ContactKind,
    ContentField,
    DeliveryReceipt,
    MessageClass,
    News,
    OutgoingMessage,
    Receipt,
    ReceiptSource,
    ReceiptStatus,
    Reconciling,
    Reply,
    SoughtMessage,
    Trace,
    marketing_hours,
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
    Event,
    MessageClicked,
    MessageReplied,
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
from core.sdk.timeline import TimelineSource

__all__ = [
    "RECONCILE_AFTER", "TERMINAL_REFUND_STATES", "TERMINAL_STATES", "AlreadyExists",
    "BatchChannelSession", "CampaignFinished", "CampaignStarted", "Channel", "ChannelSession",
    "ConsentGranted", "ConsentWithdrawn", "ContactKind", "ContentField", "CustomerErased",
    "CustomerUnsubscribed", "CustomersMerged", "CustomersUnmerged", "DeliveryReceipt", "Event",
    "Facet", "Fault", "HealthCheck", "HuikeError", "Identity", "InvalidInput", "KeyReused",
    "LineRecord", "Manifest", "MessageClass", "MessageClicked", "MessageReplied", "News",
    "NoSettings", "NotFound",
    "Occurrence", "OrderCreated", "OrderFormat", "OrderRecord", "OrderState", "OrderStateChanged",
    "OrdersImported", "OutgoingMessage", "OutsideError", "ParcelRecord", "ParcelState",
    "ParcelStateChanged", "ParcelTrace", "Permission", "PersonalTable", "PluginContext",
    "PluginDisabled", "Query", "Receipt", "ReceiptSource", "ReceiptStatus", "Reconciling",
    "ReconnectNeeded", "RefundKind", "RefundRecord", "RefundState", "RefundStateChanged", "Refused",
    "Reply", "RetryLater", "Rows", "Say", "SchemaField", "SegmentEntered", "SegmentLeft",
    "SettingsCheck", "Several", "SoughtMessage", "Subscriber", "Text", "TimelineSource", "Trace",
    "TraceEvent", "Unknown", "WrongState", "app_scope_id", "check_bounds", "from_minor", "hookimpl",
    "marketing_hours", "to_minor",
]  # fmt: skip
