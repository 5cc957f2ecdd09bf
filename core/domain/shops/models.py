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
    revoked_at = fields.DatetimeField(null=True)
    last_used_at = fields.DatetimeField(null=True)
    created_at = fields.DatetimeField()

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
