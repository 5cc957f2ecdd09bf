"""Tables of a merchant's sending policy. Shop 0 means all shops, channel "*" all channels."""

from typing import Any

from tortoise import fields
from tortoise.models import Model

from core.storage.models import Id


class SendingCap(Model):
    """At most `messages` marketing messages to one customer in any `hours` hours; 0: none."""

    id = Id()
    merchant_id = fields.BigIntField()
    shop_id = fields.BigIntField(default=0, db_default=0)
    channel = fields.TextField()
    hours = fields.IntField()
    messages = fields.IntField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "sending_caps"


class SendingHours(Model):
    """Times of day at which messages may go out (`open`) or may not (`quiet`).

    Each is a list of {"start": "22:00", "end": "08:00", "weekdays": [1, ...]}; an empty `open` is
    always. `service` says whether service messages keep to them too.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    shop_id = fields.BigIntField(default=0, db_default=0)
    channel = fields.TextField()
    open: Any = fields.JSONField()
    quiet: Any = fields.JSONField()
    service = fields.BooleanField(default=False, db_default=False)
    updated_at = fields.DatetimeField()

    class Meta:
        table = "sending_hours"


class SendingHoliday(Model):
    """A day of a shop's calendar, by `kind`: on a quiet one no marketing goes out, with `service`
    no service message either; off and working ones count for schedules alone."""

    id = Id()
    merchant_id = fields.BigIntField()
    shop_id = fields.BigIntField(default=0, db_default=0)
    day = fields.DateField()
    name = fields.TextField()
    kind = fields.TextField(default="quiet", db_default="quiet")
    service = fields.BooleanField(default=False, db_default=False)
    updated_at = fields.DatetimeField()

    class Meta:
        table = "sending_holidays"


class SendingRate(Model):
    """At most `messages` by a channel in any `seconds` seconds, and the bucket of tokens that
    keeps to it: so many were left at `filled_at`."""

    id = Id()
    merchant_id = fields.BigIntField()
    channel = fields.TextField()
    messages = fields.IntField()
    seconds = fields.IntField()
    tokens = fields.FloatField()
    filled_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "sending_rates"
