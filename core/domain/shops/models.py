"""Tables of merchants, shops, API tokens and plugin settings."""

from typing import Any

from tortoise import fields
from tortoise.models import Model

from core.storage.models import Bytes, Id


class Merchant(Model):
    """A business that uses this server; everything else belongs to one."""

    id = Id()
    name = fields.TextField()
    time_zone = fields.TextField()
    currency = fields.CharField(max_length=3)
    campaigns_need_approval = fields.BooleanField(default=False, db_default=False)
    second_factor_required = fields.BooleanField(default=False, db_default=False)
    created_at = fields.DatetimeField()

    class Meta:
        table = "merchants"


class Shop(Model):
    """A shop of a merchant on one platform; its time zone decides what a day is."""

    id = Id()
    merchant_id = fields.BigIntField()
    name = fields.TextField()
    platform = fields.TextField()
    external_id = fields.TextField(null=True)
    time_zone = fields.TextField()
    currency = fields.CharField(max_length=3)
    version = fields.IntField(default=1)
    created_at = fields.DatetimeField()

    class Meta:
        table = "shops"


class ApiToken(Model):
    """A token that a program or a member of staff presents; only its hash is kept."""

    id = Id()
    merchant_id = fields.BigIntField()
    name = fields.TextField()
    secret_hash = Bytes()
    permissions: Any = fields.JSONField()
    expires_at = fields.DatetimeField(null=True)
    previous_hash = Bytes(null=True)
    previous_until = fields.DatetimeField(null=True)
    revoked_at = fields.DatetimeField(null=True)
    last_used_at = fields.DatetimeField(null=True)
    created_at = fields.DatetimeField()
    made_by = fields.TextField(null=True)

    class Meta:
        table = "api_tokens"


class PluginState(Model):
    """Whether a merchant uses a plugin, and with which settings (sealed)."""

    id = Id()
    merchant_id = fields.BigIntField()
    plugin = fields.TextField()
    enabled = fields.BooleanField()
    settings_sealed = Bytes(null=True)
    updated_at = fields.DatetimeField()

    class Meta:
        table = "plugin_states"


class PluginTick(Model):
    """When a plugin's work by the clock is due again, and why it failed the last time."""

    id = Id()
    merchant_id = fields.BigIntField()
    name = fields.TextField()
    next_at = fields.DatetimeField()
    ran_at = fields.DatetimeField()
    problem = fields.TextField(null=True)

    class Meta:
        table = "plugin_ticks"


class Role(Model):
    """A set of permissions that a merchant made himself; the predefined ones are in the code."""

    id = Id()
    merchant_id = fields.BigIntField()
    name = fields.TextField()
    permissions: Any = fields.JSONField()
    sub_account = fields.BooleanField()
    version = fields.IntField(default=1, db_default=1)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "roles"


class Staff(Model):
    """A person who works for a merchant and logs in; `role` names what he may do."""

    id = Id()
    merchant_id = fields.BigIntField()
    name = fields.TextField()
    email_sealed = Bytes()
    email_index = Bytes()
    role = fields.TextField()
    password_hash = fields.TextField(null=True)
    totp_sealed = Bytes(null=True)
    totp_since = fields.DatetimeField(null=True)
    totp_step = fields.BigIntField(default=0, db_default=0)
    recovery_hashes: Any = fields.JSONField(default=list)
    oidc_subject = fields.TextField(null=True)
    invite_hash = Bytes(null=True)
    invite_until = fields.DatetimeField(null=True)
    disabled_at = fields.DatetimeField(null=True)
    last_login_at = fields.DatetimeField(null=True)
    version = fields.IntField(default=1, db_default=1)
    created_at = fields.DatetimeField()

    class Meta:
        table = "staff"


class StaffSession(Model):
    """A login and all tokens that came of it; only their hashes are kept."""

    id = Id()
    merchant_id = fields.BigIntField()
    staff_id = fields.BigIntField()
    method = fields.TextField()
    access_hash = Bytes()
    access_until = fields.DatetimeField()
    family_hash = Bytes()
    refresh_hash = Bytes()
    idle_until = fields.DatetimeField()
    ends_at = fields.DatetimeField()
    ended_at = fields.DatetimeField(null=True)
    address = fields.TextField(null=True)
    agent = fields.TextField()
    used_at = fields.DatetimeField()
    created_at = fields.DatetimeField()

    class Meta:
        table = "staff_sessions"


class LoginPause(Model):
    """How often logins failed in a row for an account or from an address, as a keyed hash."""

    id = Id()
    merchant_id = fields.BigIntField()
    subject = Bytes()
    failures = fields.IntField()
    paused_until = fields.DatetimeField(null=True)
    last_at = fields.DatetimeField()

    class Meta:
        table = "login_pauses"


class OidcProvider(Model):
    """The identity provider by which a merchant's staff log in; its secret is sealed."""

    id = Id()
    merchant_id = fields.BigIntField()
    issuer = fields.TextField()
    client_id = fields.TextField()
    secret_sealed = Bytes(null=True)
    redirect_uris: Any = fields.JSONField()
    domains: Any = fields.JSONField()
    default_role = fields.TextField(null=True)
    updated_at = fields.DatetimeField()

    class Meta:
        table = "oidc_providers"


class Webhook(Model):
    """A server that is told of events; `document` makes the body, with these permissions."""

    id = Id()
    merchant_id = fields.BigIntField()
    name = fields.TextField()
    url = fields.TextField()
    topics: Any = fields.JSONField()
    conditions: Any = fields.JSONField()
    document = fields.TextField(null=True)
    permissions: Any = fields.JSONField()
    secret_sealed = Bytes()
    previous_sealed = Bytes(null=True)
    previous_until = fields.DatetimeField(null=True)
    paused_at = fields.DatetimeField(null=True)
    pause_reason = fields.TextField(null=True)
    failures = fields.IntField(default=0)
    failing_since = fields.DatetimeField(null=True)
    version = fields.IntField(default=1, db_default=1)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "webhooks"


class WebhookMessage(Model):
    """An event on its way to a webhook, or arrived; `next_at` is null once it has ended."""

    id = Id()
    merchant_id = fields.BigIntField()
    webhook_id = fields.BigIntField()
    event_id = fields.BigIntField(null=True)
    topic = fields.TextField()
    payload: Any = fields.JSONField()
    happened_at = fields.DatetimeField()
    test = fields.BooleanField()
    state = fields.TextField()
    attempts = fields.SmallIntField(default=0)
    next_at = fields.DatetimeField(null=True)
    status = fields.SmallIntField(null=True)
    detail = fields.TextField(null=True)
    created_at = fields.DatetimeField()
    ended_at = fields.DatetimeField(null=True)

    class Meta:
        table = "webhook_messages"


class WebhookAttempt(Model):
    """One try to deliver a message; `status` is of HTTP, and `detail` says why there is none."""

    id = Id()
    merchant_id = fields.BigIntField()
    message_id = fields.BigIntField()
    at = fields.DatetimeField()
    status = fields.SmallIntField(null=True)
    detail = fields.TextField(null=True)
    milliseconds = fields.IntField()

    class Meta:
        table = "webhook_attempts"
