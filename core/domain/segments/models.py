"""Table of segments."""

from typing import Any

from tortoise import fields
from tortoise.models import Model

from core.storage.models import Id


class Segment(Model):
    """A named rule; who belongs to it is asked afresh each time."""

    id = Id()
    merchant_id = fields.BigIntField()
    name = fields.TextField()
    rule: Any = fields.JSONField()
    version = fields.IntField(default=1)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "segments"
