"""Tables of segments, their members, and the customers whose membership may have changed."""

from typing import Any

from tortoise import fields
from tortoise.models import Model

from core.storage.models import Id


class Segment(Model):
    """A named set of customers.

    `kind` is dynamic (whoever its rule matches), snapshot (whom a rule matched once) or list (who
    was put on it); the rule of the latter two asks for the kept members of the segment itself.

    `size` is how many are in it now; triggers keep it. `filled_at` is since when a dynamic one
    follows its customers, and since when the others have had their members; `refreshed_at` is when
    all customers were last asked. `stale` is set when a refresh is due at once, to its cause.
    `problem` says why the rule cannot be asked at present: members stay as they were.
    `watches_deliveries` says that the rule asks about messages.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    name = fields.TextField()
    description = fields.TextField(default="", db_default="")
    kind = fields.TextField(default="dynamic", db_default="dynamic")
    rule: Any = fields.JSONField()
    size = fields.IntField(default=0, db_default=0)
    filled_at = fields.DatetimeField(null=True)
    refreshed_at = fields.DatetimeField(null=True)
    problem = fields.TextField(null=True)
    stale = fields.TextField(null=True)
    watches_deliveries = fields.BooleanField(default=False, db_default=False)
    version = fields.IntField(default=1)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "segments"


class SegmentMember(Model):
    """A customer's time in a segment: still in it while `left_at` is null."""

    id = Id()
    merchant_id = fields.BigIntField()
    segment_id = fields.BigIntField()
    customer_id = fields.BigIntField()
    entered_at = fields.DatetimeField()
    left_at = fields.DatetimeField(null=True)

    class Meta:
        table = "segment_members"


class CustomerChange(Model):
    """Something about a customer changed; its segments are asked again, and the row goes.

    Written by triggers of the tables that rules ask about.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    customer_id = fields.BigIntField()

    class Meta:
        table = "customer_changes"
