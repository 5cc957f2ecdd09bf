"""Tables of the membership programme: members, tiers, points, rewards.

Points are whole numbers. Amounts are minor units of the programme's currency.
"""

from typing import Any

from tortoise import fields
from tortoise.models import Model

from core.storage.models import Id


class Programme(Model):
    """A merchant's programme over all its shops; there is one. `rules` is rules.py's as JSON.

    `reviewed` is the last version by which every member was looked at.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    name = fields.TextField()
    currency = fields.CharField(max_length=3)
    rules: Any = fields.JSONField()
    version = fields.IntField(default=1, db_default=1)
    reviewed = fields.IntField(default=0, db_default=0)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "programmes"


class Membership(Model):
    """A customer in the programme from `joined_at` until `left_at`; who comes back has another."""

    id = Id()
    merchant_id = fields.BigIntField()
    customer_id = fields.BigIntField()
    card_number = fields.TextField(null=True)
    joined_at = fields.DatetimeField()
    join_source = fields.TextField()
    join_shop_id = fields.BigIntField(null=True)
    left_at = fields.DatetimeField(null=True)
    leave_source = fields.TextField(null=True)

    class Meta:
        table = "memberships"


class Tier(Model):
    """A tier; of two, the one with the higher rank is better.

    A member rises to it at `threshold` of what the programme measures, and keeps it at the end of
    a period with `keep_threshold`. A tier without threshold is given by hand only.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    name = fields.TextField()
    rank = fields.SmallIntField()
    threshold = fields.BigIntField(null=True)
    keep_threshold = fields.BigIntField(null=True)
    benefits: Any = fields.JSONField()
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "tiers"


class TierInterval(Model):
    """A customer in a tier from `valid_from` until `valid_to`.

    `review_at` is the end of the period for which the tier is kept whatever happens; a tier given
    by hand is kept until then too, or for good when it is NULL. `threshold` is what had to be
    reached, if the tier was reached.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    customer_id = fields.BigIntField()
    tier_id = fields.BigIntField()
    valid_from = fields.DatetimeField()
    valid_to = fields.DatetimeField(null=True)
    review_at = fields.DatetimeField(null=True)
    threshold = fields.BigIntField(null=True)
    manual = fields.BooleanField(default=False, db_default=False)
    cause = fields.TextField()

    class Meta:
        table = "tier_intervals"


class PointsEntry(Model):
    """An entry of the points ledger; entries are only ever added.

    A positive entry with `lot` set is a lot of points of its own, which can be used from
    `available_at` until `expires_at`. Every other entry takes from lots, or gives back to them:
    see PointsUse. `reverses` is the entry that this one takes back, in whole or in part.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    customer_id = fields.BigIntField()
    kind = fields.TextField()
    points = fields.BigIntField()
    lot = fields.BooleanField()
    at = fields.DatetimeField()
    available_at = fields.DatetimeField(null=True)
    expires_at = fields.DatetimeField(null=True)
    order_id = fields.BigIntField(null=True)
    reverses = fields.BigIntField(null=True)
    rule = fields.TextField(null=True)
    reason = fields.TextField(null=True)
    actor = fields.TextField()

    class Meta:
        table = "points_entries"


class PointsUse(Model):
    """So many points of a lot that an entry took (or, negative, gave back)."""

    id = Id()
    merchant_id = fields.BigIntField()
    entry_id = fields.BigIntField()
    lot_id = fields.BigIntField()
    points = fields.BigIntField()
    at = fields.DatetimeField()

    class Meta:
        table = "points_uses"


class PointsHold(Model):
    """Points set aside by the entry of kind "hold", until `expires_at` unless settled before."""

    id = Id()
    merchant_id = fields.BigIntField()
    customer_id = fields.BigIntField()
    entry_id = fields.BigIntField()
    state = fields.TextField(default="held", db_default="held")
    expires_at = fields.DatetimeField()
    settled_at = fields.DatetimeField(null=True)

    class Meta:
        table = "points_holds"
