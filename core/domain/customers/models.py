"""Tables of customers, identities, tags, consent and suppressions."""

from typing import Any

from tortoise import fields
from tortoise.models import Model

from core.storage.models import Bytes, Id


class Customer(Model):
    """A person who bought from the merchant, in whichever shops."""

    id = Id()
    merchant_id = fields.BigIntField()
    name = fields.TextField(null=True)
    province = fields.TextField(null=True)
    city = fields.TextField(null=True)
    phone_sealed = Bytes(null=True)
    phone_index = Bytes(null=True)
    email_sealed = Bytes(null=True)
    email_index = Bytes(null=True)
    version = fields.IntField(default=1)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "customers"


class CustomerIdentity(Model):
    """An id under which the customer is known within a scope (shop, merchant)."""

    id = Id()
    merchant_id = fields.BigIntField()
    customer_id = fields.BigIntField()
    scope = fields.TextField()
    scope_id = fields.BigIntField()
    kind = fields.TextField()
    value = fields.TextField()
    source = fields.TextField()
    created_at = fields.DatetimeField()

    class Meta:
        table = "customer_identities"


class CustomerTag(Model):
    """A tag on a customer, and where it came from."""

    id = Id()
    merchant_id = fields.BigIntField()
    customer_id = fields.BigIntField()
    tag = fields.TextField()
    source = fields.TextField()
    created_at = fields.DatetimeField()

    class Meta:
        table = "customer_tags"


class ConsentEvent(Model):
    """One yes or no of a customer; this log is only ever appended to."""

    id = Id()
    merchant_id = fields.BigIntField()
    customer_id = fields.BigIntField()
    channel = fields.TextField()
    purpose = fields.TextField()
    status = fields.TextField()
    source = fields.TextField()
    evidence: Any = fields.JSONField(null=True)
    at = fields.DatetimeField()

    class Meta:
        table = "consent_events"


class Consent(Model):
    """The present state of a customer's consent: the fold of the log."""

    id = Id()
    merchant_id = fields.BigIntField()
    customer_id = fields.BigIntField()
    channel = fields.TextField()
    purpose = fields.TextField()
    status = fields.TextField()
    at = fields.DatetimeField()

    class Meta:
        table = "consents"


class Suppression(Model):
    """An address that must not be written to, kept by its blind index alone."""

    id = Id()
    merchant_id = fields.BigIntField()
    channel = fields.TextField()
    address_index = Bytes()
    reason = fields.TextField()
    at = fields.DatetimeField()

    class Meta:
        table = "suppressions"
