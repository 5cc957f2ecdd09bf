"""Tables of connections: how each shop's data comes from its platform."""

from typing import Any

from tortoise import fields
from tortoise.models import Model

from core.storage.models import Bytes, Id, json_default


class CallBudget(Model):
    """How many calls are left of what a platform allows in one scope, shared by all workers.

    A bucket of `tokens` as of `filled_at`; nobody calls before `banned_until`. `used` counts the
    calls of `day`, a day of the scope's shop.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    connector = fields.TextField()
    scope = fields.TextField()
    tokens = fields.FloatField()
    filled_at = fields.DatetimeField()
    banned_until = fields.DatetimeField(null=True)
    day = fields.DateField()
    used = fields.BigIntField(default=0, db_default=0)

    class Meta:
        table = "call_budgets"


class ConnectAttempt(Model):
    """A seller was sent to a platform's page and has to come back with this `nonce`, once."""

    id = Id()
    merchant_id = fields.BigIntField()
    nonce = fields.TextField()
    connector = fields.TextField()
    shop_id = fields.BigIntField(null=True)
    actor = fields.TextField()
    expires_at = fields.DatetimeField()
    used_at = fields.DatetimeField(null=True)

    class Meta:
        table = "connect_attempts"


class DayCount(Model):
    """How many orders the platform counts of a shop's day, beside how many are stored."""

    id = Id()
    merchant_id = fields.BigIntField()
    shop_id = fields.BigIntField()
    day = fields.DateField()
    theirs = fields.BigIntField()
    ours = fields.BigIntField()
    counted_at = fields.DatetimeField()

    class Meta:
        table = "day_counts"


class DeadLetter(Model):
    """What a platform told and could not be taken in: why, and the payload, sealed."""

    id = Id()
    merchant_id = fields.BigIntField()
    shop_id = fields.BigIntField()
    resource = fields.TextField()
    external_id = fields.TextField()
    reason = fields.TextField()
    payload_sealed = Bytes(null=True)
    state = fields.TextField(default="open", db_default="open")
    at = fields.DatetimeField()
    tries = fields.IntField(default=1, db_default=1)
    settled_at = fields.DatetimeField(null=True)

    class Meta:
        table = "dead_letters"


class PlatformDeed(Model):
    """Something that must not be done twice on a platform, and what became of it.

    `subject` is the platform's id of what is given, `count` says to how many buyers, `about` is
    for who began it.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    shop_id = fields.BigIntField()
    key = fields.TextField()
    action = fields.TextField()
    subject = fields.TextField()
    count = fields.IntField()
    about: Any = fields.JSONField()
    state = fields.TextField()
    results: Any = fields.JSONField(null=True)
    reason = fields.TextField(null=True)
    at = fields.DatetimeField()

    class Meta:
        table = "platform_deeds"


class PushMessage(Model):
    """A platform's message that something has changed; the same `key` counts once.

    `sent_at` is the platform's time. `tries` counts how often the change was not to be seen yet,
    `failures` how often asking failed. `done_at` is set once the entity was fetched.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    shop_id = fields.BigIntField()
    connector = fields.TextField()
    key = fields.TextField()
    resource = fields.TextField()
    external_id = fields.TextField()
    sent_at = fields.DatetimeField()
    received_at = fields.DatetimeField()
    next_at = fields.DatetimeField()
    tries = fields.SmallIntField(default=0, db_default=0)
    failures = fields.SmallIntField(default=0, db_default=0)
    done_at = fields.DatetimeField(null=True)

    class Meta:
        table = "push_inbox"


class ShopConnection(Model):
    """How a shop is connected to its platform; a shop has one connection at most.

    The token's ends stand beside it, sealed as it is. The platform's clock is `clock_ahead_ms`
    ahead of ours. What is due when: `refresh_at` the token, `check_at` what the shop may do and
    the clock, `listen_at` the platform's queue (null: it has none), `count_at` the days' counts.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    shop_id = fields.BigIntField()
    connector = fields.TextField()
    state = fields.TextField()
    paused = fields.BooleanField(default=False, db_default=False)
    token_sealed = Bytes(null=True)
    expires_at = fields.DatetimeField(null=True)
    refresh_until = fields.DatetimeField(null=True)
    capabilities: Any = fields.JSONField(default=json_default)
    clock_ahead_ms = fields.IntField(default=0, db_default=0)
    connected_at = fields.DatetimeField()
    authorised_at = fields.DatetimeField()
    refresh_at = fields.DatetimeField(null=True)
    refreshed_at = fields.DatetimeField(null=True)
    check_at = fields.DatetimeField()
    listen_at = fields.DatetimeField(null=True)
    count_at = fields.DatetimeField(null=True)
    failures = fields.IntField(default=0, db_default=0)
    problem = fields.TextField(null=True)
    problem_at = fields.DatetimeField(null=True)

    class Meta:
        table = "shop_connections"


class SyncCursor(Model):
    """How far one resource of a shop is in step, in the platform's time.

    All that the platform showed up to `cursor_at` is stored; up to `settled_at` it was read a
    second time, after what lists show late. `lease_until`: somebody works on it.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    shop_id = fields.BigIntField()
    resource = fields.TextField()
    cursor_at = fields.DatetimeField()
    settled_at = fields.DatetimeField()
    next_at = fields.DatetimeField()
    lease_owner = fields.TextField(null=True)
    lease_until = fields.DatetimeField(null=True)
    ran_at = fields.DatetimeField(null=True)
    records = fields.BigIntField(default=0, db_default=0)
    failures = fields.IntField(default=0, db_default=0)
    problem = fields.TextField(null=True)
    problem_at = fields.DatetimeField(null=True)

    class Meta:
        table = "sync_cursors"


class SyncSlice(Model):
    """A stretch of a shop's past that is to be read, or was; one that holds too much is halved."""

    id = Id()
    merchant_id = fields.BigIntField()
    shop_id = fields.BigIntField()
    resource = fields.TextField()
    starts_at = fields.DatetimeField()
    ends_at = fields.DatetimeField()
    state = fields.TextField(default="waiting", db_default="waiting")
    next_at = fields.DatetimeField()
    lease_owner = fields.TextField(null=True)
    lease_until = fields.DatetimeField(null=True)
    records = fields.BigIntField(default=0, db_default=0)
    seconds = fields.FloatField(default=0, db_default=0)
    failures = fields.IntField(default=0, db_default=0)
    problem = fields.TextField(null=True)
    done_at = fields.DatetimeField(null=True)

    class Meta:
        table = "sync_slices"
