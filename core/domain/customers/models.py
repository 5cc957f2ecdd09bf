"""Tables of customers: identities, merges, tags, custom fields, notes, consent, suppressions."""

from typing import Any

from tortoise import fields
from tortoise.models import Model

from core.storage.models import Bytes, Id, json_default


class Customer(Model):
    """A person who bought from the merchant, in whichever shops."""

    id = Id()
    merchant_id = fields.BigIntField()
    name = fields.TextField(null=True)
    country = fields.CharField(max_length=2, null=True)
    province = fields.TextField(null=True)
    city = fields.TextField(null=True)
    birthday = fields.DateField(null=True)
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
    """An id under which the customer is known within a scope (shop, app, merchant, global).

    `scope_id` is the shop's id, the hash of an app's key, or 0. Phone and email are blind indexes.
    """

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


class CustomerMerge(Model):
    """One customer (`from_id`) became part of another; undone when `undone_at` is set.

    `into_id` is always who holds the rows now: when that customer is merged on, it follows.
    `filled` is what the merge wrote into the kept customer's row: column -> [before, after].
    `marks` says where things stood: the newest order and consent event of the two, and whose
    phone and email were kept.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    from_id = fields.BigIntField()
    into_id = fields.BigIntField()
    reason = fields.TextField()
    evidence: Any = fields.JSONField(default=json_default)
    filled: Any = fields.JSONField(default=json_default)
    marks: Any = fields.JSONField(null=True)
    actor = fields.TextField()
    at = fields.DatetimeField()
    undone_at = fields.DatetimeField(null=True)
    undone_by = fields.TextField(null=True)

    class Meta:
        table = "customer_merges"


class CustomerMergeMove(Model):
    """A row that a merge moved to the kept customer; with `content`, one that it took out.

    `content` is the whole row as JSON, for rows that the kept customer had already.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    merge_id = fields.BigIntField()
    table_name = fields.TextField()
    row_id = fields.BigIntField()
    content: Any = fields.JSONField(null=True)

    class Meta:
        table = "customer_merge_moves"


class MergeSuggestion(Model):
    """Two customers that may be one person, and why; a person decides."""

    id = Id()
    merchant_id = fields.BigIntField()
    first_id = fields.BigIntField()
    second_id = fields.BigIntField()
    reasons: Any = fields.JSONField(default=list)
    state = fields.TextField(default="open")
    created_at = fields.DatetimeField()
    decided_at = fields.DatetimeField(null=True)
    decided_by = fields.TextField(null=True)

    class Meta:
        table = "merge_suggestions"


class CustomerLog(Model):
    """Something that happened to a customer and has no table of its own: tags, merges, changes."""

    id = Id()
    merchant_id = fields.BigIntField()
    customer_id = fields.BigIntField()
    kind = fields.TextField()
    data: Any = fields.JSONField(default=json_default)
    actor = fields.TextField()
    at = fields.DatetimeField()

    class Meta:
        table = "customer_log"


class CustomerNote(Model):
    """What staff wrote down about a customer."""

    id = Id()
    merchant_id = fields.BigIntField()
    customer_id = fields.BigIntField()
    text = fields.TextField()
    author = fields.TextField()
    version = fields.IntField(default=1)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "customer_notes"


class CustomField(Model):
    """A field of customers that a merchant or a plugin defined while the server runs.

    `type` is text, int, decimal, bool, date, datetime or choice; `choices` lists the latter's.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    namespace = fields.TextField()
    key = fields.TextField()
    title = fields.TextField()
    type = fields.TextField()
    choices: Any = fields.JSONField(default=list)
    version = fields.IntField(default=1, db_default=1)
    created_at = fields.DatetimeField()

    class Meta:
        table = "custom_fields"


class CustomFieldValue(Model):
    """A customer's value of a custom field, in the column of the field's type."""

    id = Id()
    merchant_id = fields.BigIntField()
    customer_id = fields.BigIntField()
    field_id = fields.BigIntField()
    text = fields.TextField(null=True)
    number = fields.DecimalField(max_digits=38, decimal_places=10, null=True)
    moment = fields.DatetimeField(null=True)
    version = fields.IntField(default=1)
    source = fields.TextField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "custom_field_values"


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
    """One yes or no of a customer; this log is only ever appended to.

    `shop_id` 0 means all shops. `evidence` says how it can be proven: the text's version, the
    address of the caller, the order.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    customer_id = fields.BigIntField()
    shop_id = fields.BigIntField(default=0, db_default=0)
    channel = fields.TextField()
    purpose = fields.TextField()
    status = fields.TextField()
    source = fields.TextField()
    text = fields.TextField(null=True)
    text_version = fields.TextField(null=True)
    evidence: Any = fields.JSONField(null=True)
    actor = fields.TextField(default="system", db_default="system")
    at = fields.DatetimeField()

    class Meta:
        table = "consent_events"


class Consent(Model):
    """The present state of a customer's consent: the fold of the log."""

    id = Id()
    merchant_id = fields.BigIntField()
    customer_id = fields.BigIntField()
    shop_id = fields.BigIntField(default=0, db_default=0)
    channel = fields.TextField()
    purpose = fields.TextField()
    status = fields.TextField()
    at = fields.DatetimeField()

    class Meta:
        table = "consents"


class ConsentRequest(Model):
    """A double opt-in on its way: a link was sent to an address, and nobody confirmed it yet."""

    id = Id()
    merchant_id = fields.BigIntField()
    customer_id = fields.BigIntField()
    shop_id = fields.BigIntField(default=0, db_default=0)
    channel = fields.TextField()
    purpose = fields.TextField()
    address_index = Bytes()
    token_hash = Bytes()
    source = fields.TextField()
    text = fields.TextField()
    text_version = fields.TextField()
    state = fields.TextField(default="pending")
    created_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()
    confirmed_at = fields.DatetimeField(null=True)

    class Meta:
        table = "consent_requests"


class Suppression(Model):
    """An address that must not be written to, kept by its blind index alone.

    `shop_id` 0 means all of the merchant's shops.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    shop_id = fields.BigIntField(default=0, db_default=0)
    channel = fields.TextField()
    address_index = Bytes()
    reason = fields.TextField()
    at = fields.DatetimeField()

    class Meta:
        table = "suppressions"


class SuppressionEvent(Model):
    """An address was put on the list of suppressions or taken off; only ever appended to."""

    id = Id()
    merchant_id = fields.BigIntField()
    shop_id = fields.BigIntField()
    channel = fields.TextField()
    address_index = Bytes()
    action = fields.TextField()
    reason = fields.TextField()
    actor = fields.TextField()
    at = fields.DatetimeField()

    class Meta:
        table = "suppression_events"


class ConsentPolicy(Model):
    """From `at` to `valid_to`, whether the merchant writes to whose consent is unproven, and why.

    The one with `valid_to` null is in force.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    channel = fields.TextField()
    allow_unproven = fields.BooleanField()
    reason = fields.TextField()
    actor = fields.TextField()
    at = fields.DatetimeField()
    valid_to = fields.DatetimeField(null=True)

    class Meta:
        table = "consent_policies"


class ImportChange(Model):
    """What an import did to a customer: `before` is the row it changed, or null if it made it.

    `after_version` is the row's version then: a row changed since is left alone by an undo.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    job_id = fields.BigIntField()
    customer_id = fields.BigIntField()
    before: Any = fields.JSONField(null=True)
    after_version = fields.IntField()

    class Meta:
        table = "import_changes"


class Task(Model):
    """Something that staff is to do about a customer, and what came of it."""

    id = Id()
    merchant_id = fields.BigIntField()
    customer_id = fields.BigIntField()
    order_id = fields.BigIntField(null=True)
    kind = fields.TextField()
    title = fields.TextField()
    text = fields.TextField()
    due_at = fields.DatetimeField()
    assignee = fields.TextField(null=True)
    state = fields.TextField()
    outcome = fields.TextField(null=True)
    note = fields.TextField(null=True)
    source = fields.TextField()
    version = fields.IntField(default=1)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()
    ended_at = fields.DatetimeField(null=True)
    ended_by = fields.TextField(null=True)

    class Meta:
        table = "tasks"


class AuditEntry(Model):
    """One entry of a merchant's audit log; each holds the hash of the one before it."""

    id = Id()
    merchant_id = fields.BigIntField()
    number = fields.BigIntField()
    at = fields.DatetimeField()
    actor = fields.TextField()
    action = fields.TextField()
    data: Any = fields.JSONField(default=json_default)
    hash = Bytes()

    class Meta:
        table = "audit_log"


class RetentionRule(Model):
    """For how many days a merchant keeps the rows of a table."""

    id = Id()
    merchant_id = fields.BigIntField()
    table_name = fields.TextField()
    days = fields.IntField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "retention_rules"
