"""Tables of campaigns, their runs and the delivery ledger."""

from typing import Any

from tortoise import fields
from tortoise.models import Model

from core.storage.models import Id


class Campaign(Model):
    """A message to a segment through a channel."""

    id = Id()
    merchant_id = fields.BigIntField()
    name = fields.TextField()
    channel = fields.TextField()
    message_class = fields.TextField(default="marketing")
    segment_id = fields.BigIntField()
    shop_id = fields.BigIntField(null=True)
    content: Any = fields.JSONField()
    state = fields.TextField(default="draft")
    scheduled_at = fields.DatetimeField(null=True)
    version = fields.IntField(default=1)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "campaigns"


class CampaignRun(Model):
    """One execution of a campaign; its audience is frozen in the ledger."""

    id = Id()
    merchant_id = fields.BigIntField()
    campaign_id = fields.BigIntField()
    state = fields.TextField(default="planning")
    rule: Any = fields.JSONField()
    content: Any = fields.JSONField()
    pause_reason = fields.TextField(null=True)
    resume_at = fields.DatetimeField(null=True)
    created_at = fields.DatetimeField()
    planned_at = fields.DatetimeField(null=True)
    finished_at = fields.DatetimeField(null=True)

    class Meta:
        table = "campaign_runs"


class Delivery(Model):
    """One message to one customer: a row of the delivery ledger."""

    id = Id()
    merchant_id = fields.BigIntField()
    run_id = fields.BigIntField()
    step = fields.SmallIntField(default=0)
    customer_id = fields.BigIntField()
    channel = fields.TextField()
    state = fields.TextField(default="pending")
    reason = fields.TextField(null=True)
    attempts = fields.SmallIntField(default=0)
    next_at = fields.DatetimeField()
    lease_owner = fields.TextField(null=True)
    lease_until = fields.DatetimeField(null=True)
    provider_id = fields.TextField(null=True)
    detail = fields.TextField(null=True)
    sent_at = fields.DatetimeField(null=True)
    updated_at = fields.DatetimeField()

    class Meta:
        table = "deliveries"
