"""The plugin's tables."""

from tortoise import fields
from tortoise.models import Model

from core.sdk.tables import Id


class SmsMessage(Model):
    """How a message was last handed over; its id is that of its delivery.

    `serial` is what the call was given as its own number, `prefix` by what the carrier is told.
    Written before the call, so a message without a row was never handed over.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    provider = fields.TextField()
    serial = fields.TextField()
    signature = fields.TextField()
    prefix = fields.TextField()
    reserved = fields.BigIntField()
    scopes = fields.TextField()
    at = fields.DatetimeField()

    class Meta:
        table = "sms_messages"


class SmsSandboxMessage(Model):
    """A message that the pretended carrier took, and what will become of it when it is due."""

    id = Id()
    merchant_id = fields.BigIntField()
    provider = fields.TextField()
    fate = fields.TextField()
    at = fields.DatetimeField()
    due_at = fields.DatetimeField(null=True)

    class Meta:
        table = "sms_sandbox"


class SmsSignature(Model):
    """A signature as it stands at a provider."""

    id = Id()
    merchant_id = fields.BigIntField()
    provider = fields.TextField()
    name = fields.TextField()
    state = fields.TextField()
    reason = fields.TextField()
    synced_at = fields.DatetimeField()

    class Meta:
        table = "sms_signatures"


class SmsSpending(Model):
    """What was spent in a scope ("day:2026-06-15", "campaign:12"), in millionths."""

    id = Id()
    merchant_id = fields.BigIntField()
    scope = fields.TextField()
    amount = fields.BigIntField()
    at = fields.DatetimeField()

    class Meta:
        table = "sms_spending"


class SmsSweep(Model):
    """Up to which time of sending messages without an end were asked for, at an age of theirs."""

    id = Id()
    merchant_id = fields.BigIntField()
    name = fields.TextField()
    asked_until = fields.DatetimeField()

    class Meta:
        table = "sms_sweeps"


class SmsTemplate(Model):
    """A template as it stands at a provider; `message_class` and `abroad` NULL are for both."""

    id = Id()
    merchant_id = fields.BigIntField()
    provider = fields.TextField()
    code = fields.TextField()
    name = fields.TextField()
    text = fields.TextField()
    message_class = fields.TextField(null=True)
    abroad = fields.BooleanField(null=True)
    state = fields.TextField()
    reason = fields.TextField()
    synced_at = fields.DatetimeField()

    class Meta:
        table = "sms_templates"
