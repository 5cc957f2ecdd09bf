"""Tables of the machinery: outbox, jobs, idempotency keys; and the fields that all tables share."""

from typing import Any

from tortoise import fields
from tortoise.models import Model

from core.sdk.tables import Bytes as Bytes
from core.sdk.tables import Id as Id


def json_default() -> dict[str, Any]:
    return {}


class System(Model):
    """Facts about this installation, for instance the fingerprint of its keyring."""

    key = fields.CharField(max_length=64, primary_key=True)
    value = fields.TextField()

    class Meta:
        table = "system"


class OutboxEvent(Model):
    """A domain event, written in the transaction that made it true."""

    id = Id()
    merchant_id = fields.BigIntField()
    type = fields.TextField()
    payload: Any = fields.JSONField()
    created_at = fields.DatetimeField()
    handled_by: Any = fields.JSONField(default=list)
    attempts = fields.SmallIntField(default=0)
    next_at = fields.DatetimeField()
    error = fields.TextField(null=True)
    done_at = fields.DatetimeField(null=True)
    aside_at = fields.DatetimeField(null=True)

    class Meta:
        table = "outbox_events"


class Job(Model):
    """Long work that survives a crash; see jobs.py. `actor` began it."""

    id = Id()
    merchant_id = fields.BigIntField()
    kind = fields.TextField()
    actor = fields.TextField(default="system", db_default="system")
    state = fields.TextField(default="queued")
    params: Any = fields.JSONField(default=json_default)
    checkpoint: Any = fields.JSONField(default=json_default)
    result: Any = fields.JSONField(null=True)
    error: Any = fields.JSONField(null=True)
    done = fields.BigIntField(default=0)
    total = fields.BigIntField(null=True)
    failed = fields.BigIntField(default=0)
    cancel_requested = fields.BooleanField(default=False)
    attempts = fields.SmallIntField(default=0)
    lease_owner = fields.TextField(null=True)
    lease_until = fields.DatetimeField(null=True)
    created_at = fields.DatetimeField()
    started_at = fields.DatetimeField(null=True)
    finished_at = fields.DatetimeField(null=True)

    class Meta:
        table = "jobs"


class JobReject(Model):
    """A row of a job's input that was refused, and why; never the row's content."""

    id = Id()
    merchant_id = fields.BigIntField()
    job_id = fields.BigIntField()
    row = fields.BigIntField()
    code = fields.TextField()
    column = fields.TextField(null=True)
    message = fields.TextField()

    class Meta:
        table = "job_rejects"


class JobFile(Model):
    """A job's file, encrypted in pieces, so that any worker on any machine can read it.

    `role` is "input" for what was uploaded and "output" for what the job made.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    job_id = fields.BigIntField()
    role = fields.TextField(default="input", db_default="input")
    piece = fields.IntField()
    data = Bytes()

    class Meta:
        table = "job_files"


class IdempotencyKey(Model):
    """The first answer to a call, to be given again when the call is repeated."""

    id = Id()
    merchant_id = fields.BigIntField()
    operation = fields.TextField()
    key = fields.TextField()
    input_hash = Bytes()
    result: Any = fields.JSONField(null=True)
    created_at = fields.DatetimeField()

    class Meta:
        table = "idempotency_keys"


class SettingVersion(Model):
    """How often a setting was changed; `place` says which one of its kind, see versions.py."""

    id = Id()
    merchant_id = fields.BigIntField()
    kind = fields.TextField()
    place = fields.TextField()
    version = fields.IntField()
    is_set = fields.BooleanField()

    class Meta:
        table = "setting_versions"
