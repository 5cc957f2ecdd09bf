"""Tables of campaigns, their runs and the delivery ledger."""

from typing import Any

from tortoise import fields
from tortoise.contrib.postgres.fields import ArrayField
from tortoise.models import Model

from core.domain.campaigns.policy.models import (
    SendingCap,
    SendingHoliday,
    SendingHours,
    SendingRate,
)
from core.domain.campaigns.results.models import (
    Attribution,
    AttributionChange,
    AttributionWindow,
    CampaignReport,
)
from core.storage.models import Bytes, Id

__all__ = [
    "Attribution", "AttributionChange", "AttributionWindow", "Campaign",
    "CampaignProposal", "CampaignReport", "CampaignRun",
    "Delivery", "Enrolment", "InboundMessage", "LinkClick", "MessageLink",
    "NewsCursor", "OptOutWord", "SendingCap", "SendingHoliday", "SendingHours", "SendingRate",
    "StoredReceipt", "TrackedLink", "VariantWinner", "WebhookCall",
]  # fmt: skip


class Campaign(Model):
    """What is sent to whom and when; `flow` and `options` are core.sdk.flows as JSON.

    `segment_id`, `channel` and `message_class` repeat what a campaign of one message to one
    segment says in its flow, so that campaigns can be found by them. `next_at` is when the next
    occurrence of a running campaign that recurs begins, `submitted_by` who gave it to be reviewed.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    name = fields.TextField()
    kind = fields.TextField(default="broadcast", db_default="broadcast")
    channel = fields.TextField(null=True)
    message_class = fields.TextField(null=True)
    segment_id = fields.BigIntField(null=True)
    shop_id = fields.BigIntField(null=True)
    flow: Any = fields.JSONField()
    options: Any = fields.JSONField()
    recipe = fields.TextField(null=True)
    parameters: Any = fields.JSONField(null=True)
    state = fields.TextField(default="draft")
    pause_reason = fields.TextField(null=True)
    submitted_by = fields.TextField(null=True)
    rejected_reason = fields.TextField(null=True)
    scheduled_at = fields.DatetimeField(null=True)
    next_at = fields.DatetimeField(null=True)
    version = fields.IntField(default=1)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "campaigns"


class CampaignProposal(Model):
    """What is to change about a campaign that is on, of its version `version`: a draft, or given to
    be reviewed by `submitted_by`."""

    id = Id()
    merchant_id = fields.BigIntField()
    campaign_id = fields.BigIntField()
    version = fields.IntField()
    name = fields.TextField()
    shop_id = fields.BigIntField(null=True)
    flow: Any = fields.JSONField()
    options: Any = fields.JSONField()
    state = fields.TextField(default="draft")
    submitted_by = fields.TextField(null=True)
    rejected_reason = fields.TextField(null=True)
    updated_at = fields.DatetimeField()

    class Meta:
        table = "campaign_proposals"


class CampaignRun(Model):
    """One execution of a campaign, with its flow as it was then.

    A broadcast's audience is frozen in the ledger. A journey has one run for each version that
    people are on; `open` says whether it still lets people in. `occurrence` is the moment of a
    recurring campaign that this run is for; one that came too late is a run that is `missed`.
    `resting` gives for steps (as text) that rest, since their channel is away or nothing may go out
    now, when they are tried again, and `served_at` when a worker last began to work on the run.
    `finishes` counts how often it finished: one that was reopened does so again.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    campaign_id = fields.BigIntField()
    version = fields.IntField()
    state = fields.TextField(default="planning")
    open = fields.BooleanField(default=False, db_default=False)
    occurrence = fields.DatetimeField(null=True)
    rule: Any = fields.JSONField(null=True)
    flow: Any = fields.JSONField()
    options: Any = fields.JSONField()
    priority = fields.SmallIntField(default=0, db_default=0)
    pause_reason = fields.TextField(null=True)
    resume_at = fields.DatetimeField(null=True)
    resting: Any = fields.JSONField(null=True)
    served_at = fields.DatetimeField(null=True)
    finishes = fields.SmallIntField(default=0, db_default=0)
    created_at = fields.DatetimeField()
    planned_at = fields.DatetimeField(null=True)
    finished_at = fields.DatetimeField(null=True)

    class Meta:
        table = "campaign_runs"


class Enrolment(Model):
    """A customer on the way through a journey, at step number `step` of its run's flow.

    `wake_at` is when it is looked at next, `until` when its present wait ends; `heard` says that
    what it waits for has come. `entry_key` keeps it from coming in twice for one reason: 0, the
    order (below 0), the event or the run, as the entry rule has it. Waits count from `entered_at`,
    when what let the customer in happened; `event_id` is the last event that let it in or woke it.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    campaign_id = fields.BigIntField()
    run_id = fields.BigIntField()
    customer_id = fields.BigIntField()
    entry_key = fields.BigIntField()
    order_id = fields.BigIntField(null=True)
    parcel_id = fields.BigIntField(null=True)
    event_id = fields.BigIntField(null=True)
    step = fields.SmallIntField(default=0, db_default=0)
    state = fields.TextField(default="waiting", db_default="waiting")
    reason = fields.TextField(null=True)
    wake_at = fields.DatetimeField(null=True)
    until = fields.DatetimeField(null=True)
    heard = fields.BooleanField(default=False, db_default=False)
    entered_at = fields.DatetimeField()
    ended_at = fields.DatetimeField(null=True)

    class Meta:
        table = "enrolments"


class WebhookCall(Model):
    """A call of the merchant's server by a step of a journey; `answer` is the HTTP status.

    It is tried until the server says that it has it, or too often.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    campaign_id = fields.BigIntField()
    run_id = fields.BigIntField()
    step = fields.SmallIntField()
    enrolment_id = fields.BigIntField()
    customer_id = fields.BigIntField()
    order_id = fields.BigIntField(null=True)
    parcel_id = fields.BigIntField(null=True)
    url = fields.TextField()
    state = fields.TextField(default="pending")
    attempts = fields.SmallIntField(default=0)
    next_at = fields.DatetimeField()
    answer = fields.SmallIntField(null=True)
    detail = fields.TextField(null=True)
    created_at = fields.DatetimeField()
    ended_at = fields.DatetimeField(null=True)

    class Meta:
        table = "webhook_calls"


class TrackedLink(Model):
    """Where link number `number` of a text leads; messages refer to it by the number."""

    id = Id()
    merchant_id = fields.BigIntField()
    run_id = fields.BigIntField()
    step = fields.SmallIntField()
    variant = fields.SmallIntField()
    number = fields.SmallIntField()
    url = fields.TextField()

    class Meta:
        table = "tracked_links"


class MessageLink(Model):
    """Where a link of one message leads whose address has variables, tracked link `link`."""

    id = Id()
    merchant_id = fields.BigIntField()
    delivery_id = fields.BigIntField()
    number = fields.SmallIntField()
    link = fields.SmallIntField()
    url = fields.TextField()

    class Meta:
        table = "message_links"


class LinkClick(Model):
    """One hit on a link of a message; `machine` is NULL until it is judged who made it."""

    id = Id()
    merchant_id = fields.BigIntField()
    delivery_id = fields.BigIntField()
    link_id = fields.BigIntField()
    at = fields.DatetimeField()
    machine = fields.BooleanField(null=True)

    class Meta:
        table = "link_clicks"


class Delivery(Model):
    """One message to one customer: a row of the delivery ledger.

    `state` is how far the handing over has come, `receipt` what the provider told afterwards.
    `cost` is in millionths of the currency's major unit. A message whose occasion is past is not
    sent after `not_after`. `variant` is NULL while its winner is not known. `avoid` names providers
    that certainly did not send it; `checks` counts how often the fate of an unknown message was
    asked for in vain, and is NULL when nobody asks any more.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    run_id = fields.BigIntField()
    step = fields.SmallIntField(default=0, db_default=0)
    customer_id = fields.BigIntField()
    enrolment_id = fields.BigIntField(default=0, db_default=0)
    order_id = fields.BigIntField(null=True)
    parcel_id = fields.BigIntField(null=True)
    variant = fields.SmallIntField(null=True, default=0, db_default=0)
    channel = fields.TextField()
    marketing = fields.BooleanField(default=True, db_default=True)
    state = fields.TextField(default="pending")
    reason = fields.TextField(null=True)
    attempts = fields.SmallIntField(default=0)
    checks = fields.SmallIntField(null=True, default=0, db_default=0)
    next_at = fields.DatetimeField()
    not_after = fields.DatetimeField(null=True)
    lease_owner = fields.TextField(null=True)
    lease_until = fields.DatetimeField(null=True)
    provider = fields.TextField(null=True)
    provider_id = fields.TextField(null=True)
    avoid = ArrayField("text", null=True)
    detail = fields.TextField(null=True)
    parts = fields.SmallIntField(null=True)
    cost = fields.BigIntField(null=True)
    currency = fields.CharField(max_length=3, null=True)
    receipt = fields.TextField(null=True)
    sent_at = fields.DatetimeField(null=True)
    delivered_at = fields.DatetimeField(null=True)
    opened_at = fields.DatetimeField(null=True)
    clicked_at = fields.DatetimeField(null=True)
    updated_at = fields.DatetimeField()

    class Meta:
        table = "deliveries"


class StoredReceipt(Model):
    """A piece of news about a message, as the provider told it; `delivery_id` once it is found.

    `cost` is in millionths of the currency's major unit.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    channel = fields.TextField()
    event_key = fields.TextField()
    status = fields.TextField()
    of_person = fields.BooleanField(default=False, db_default=False)
    at = fields.DatetimeField()
    delivery_id = fields.BigIntField(null=True)
    provider = fields.TextField(null=True)
    provider_id = fields.TextField(null=True)
    address_index = Bytes(null=True)
    parts = fields.SmallIntField(null=True)
    cost = fields.BigIntField(null=True)
    currency = fields.CharField(max_length=3, null=True)
    detail = fields.TextField(null=True)
    received_at = fields.DatetimeField()

    class Meta:
        table = "delivery_receipts"


class InboundMessage(Model):
    """What somebody wrote to the merchant, and the message that it answers if that is known."""

    id = Id()
    merchant_id = fields.BigIntField()
    channel = fields.TextField()
    event_key = fields.TextField()
    address_index = Bytes(null=True)
    text_sealed = Bytes(null=True)
    customer_id = fields.BigIntField(null=True)
    delivery_id = fields.BigIntField(null=True)
    shop_id = fields.BigIntField(default=0, db_default=0)
    opt_out = fields.BooleanField(default=False, db_default=False)
    at = fields.DatetimeField()
    received_at = fields.DatetimeField()

    class Meta:
        table = "inbound_messages"


class OptOutWord(Model):
    """A word of the merchant's own that ends marketing when it comes as a reply; folded."""

    id = Id()
    merchant_id = fields.BigIntField()
    word = fields.TextField()

    class Meta:
        table = "opt_out_words"


class NewsCursor(Model):
    """How far a channel's news was fetched, and when it is fetched next."""

    id = Id()
    merchant_id = fields.BigIntField()
    channel = fields.TextField()
    cursor = fields.TextField(null=True)
    next_at = fields.DatetimeField()
    problem = fields.TextField(null=True)

    class Meta:
        table = "news_cursors"


class VariantWinner(Model):
    """The variant that the rest of a step's recipients get, and why: best, tie or too_few."""

    id = Id()
    merchant_id = fields.BigIntField()
    run_id = fields.BigIntField()
    step = fields.SmallIntField()
    variant = fields.SmallIntField()
    reason = fields.TextField()
    figures: Any = fields.JSONField()
    decided_at = fields.DatetimeField()

    class Meta:
        table = "variant_winners"
