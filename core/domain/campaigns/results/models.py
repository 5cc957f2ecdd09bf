"""Tables of attribution and of the reports on runs."""

from typing import Any

from tortoise import fields
from tortoise.models import Model

from core.storage.models import Id


class AttributionWindow(Model):
    """For how many hours a kind of touch on a channel counts; 0 hours: not at all.

    It is about orders paid from `valid_from` until before `valid_to`.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    channel = fields.TextField()
    touch = fields.TextField()
    hours = fields.IntField()
    actor = fields.TextField()
    valid_from = fields.DatetimeField()
    valid_to = fields.DatetimeField(null=True)

    class Meta:
        table = "attribution_windows"


class Attribution(Model):
    """The message to which an order is credited: its customer's last touch before paying."""

    id = Id()
    merchant_id = fields.BigIntField()
    order_id = fields.BigIntField()
    delivery_id = fields.BigIntField()
    run_id = fields.BigIntField()
    touch = fields.TextField()
    touched_at = fields.DatetimeField()

    class Meta:
        table = "attributions"


class AttributionChange(Model):
    """A customer's orders paid at or after `since` have to be credited anew; then the row goes."""

    id = Id()
    merchant_id = fields.BigIntField()
    customer_id = fields.BigIntField()
    since = fields.DatetimeField()

    class Meta:
        table = "attribution_changes"


class CampaignReport(Model):
    """The figures of a run as they were when its attribution window had closed."""

    id = Id()
    merchant_id = fields.BigIntField()
    run_id = fields.BigIntField()
    content: Any = fields.JSONField()
    actor = fields.TextField()
    made_at = fields.DatetimeField()

    class Meta:
        table = "campaign_reports"
