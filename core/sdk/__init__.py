"""Everything that a plugin may import: manifest, hooks, protocols, value types, errors."""

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
    CustomerUnsubscribed,
    Event,
    Occurrence,
    OrderCreated,
    OrdersImported,
    OrderStateChanged,
)
from core.sdk.facets import Facet, Query
from core.sdk.hooks import hookimpl
from core.sdk.money import from_minor, to_minor
from core.sdk.orders import (
    TERMINAL_STATES,
    LineRecord,
    OrderFormat,
    OrderRecord,
    OrderState,
    ParcelRecord,
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
    "TERMINAL_STATES", "AlreadyExists", "CampaignFinished", "CampaignStarted", "Channel",
    "ChannelSession", "ContactKind", "ContentField", "CustomerUnsubscribed", "Event", "Facet",
    "HealthCheck", "HuikeError", "InvalidInput", "KeyReused", "LineRecord", "Manifest",
    "MessageClass", "NoSettings", "NotFound", "Occurrence", "OrderCreated", "OrderFormat",
    "OrderRecord", "OrderState", "OrderStateChanged", "OrdersImported", "OutgoingMessage",
    "OutsideError", "ParcelRecord", "Permission", "PersonalTable", "PluginContext",
    "PluginDisabled", "Query", "Receipt", "ReconnectNeeded", "Refused", "RetryLater",
    "SchemaField", "SettingsCheck", "Several", "Subscriber", "TimelineSource", "Unknown",
    "WrongState",
    "from_minor", "hookimpl", "to_minor",
]  # fmt: skip
