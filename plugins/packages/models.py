"""The plugin's tables. Amounts are minor units of the merchant's currency."""

from typing import Any

from tortoise import fields
from tortoise.models import Model

from core.sdk.tables import Id


class PackagesInsert(Model):
    """Something that goes into a parcel beside the goods; it never changes once it is made.

    `kind` is "card", "sample", "gift", "leaflet", "coupon", "packing" or "note". `text` is Liquid:
    what a card says, or what is to be written by hand. A coupon has one code for all, or those of a
    source with what it is given, one for each parcel.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    name = fields.TextField()
    kind = fields.TextField()
    sku = fields.TextField(null=True)
    text = fields.TextField(null=True)
    coupon_code = fields.TextField(null=True)
    code_source = fields.TextField(null=True)
    code_settings: Any = fields.JSONField(null=True)
    unit_cost = fields.BigIntField()
    tracks_stock = fields.BooleanField()
    low_stock = fields.IntField()
    created_at = fields.DatetimeField()
    archived_at = fields.DatetimeField(null=True)

    class Meta:
        table = "packages_inserts"


class PackagesStock(Model):
    """How many of an insert a warehouse has; `reserved` of them are for parcels not packed yet."""

    id = Id()
    merchant_id = fields.BigIntField()
    insert_id = fields.BigIntField()
    warehouse = fields.TextField()
    on_hand = fields.IntField()
    reserved = fields.IntField()
    told_low = fields.BooleanField()
    version = fields.IntField(default=1, db_default=1)

    class Meta:
        table = "packages_stock"


class PackagesRule(Model):
    """Which parcels get one of some inserts.

    `variants` are [{"insert_id", "weight"}], of which a customer always falls to the same one.
    `customers` is a stored segment rule, `orders` an OrderRule. `holdout` is in ten-thousandths.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    name = fields.TextField()
    variants: Any = fields.JSONField()
    customers: Any = fields.JSONField(null=True)
    orders: Any = fields.JSONField()
    priority = fields.IntField()
    exclusive = fields.TextField(null=True)
    per_customer = fields.IntField(null=True)
    per_days = fields.IntField()
    holdout = fields.IntField()
    budget = fields.BigIntField(null=True)
    spent = fields.BigIntField()
    starts_at = fields.DatetimeField(null=True)
    ends_at = fields.DatetimeField(null=True)
    is_on = fields.BooleanField()
    version = fields.IntField(default=1, db_default=1)
    created_at = fields.DatetimeField()

    class Meta:
        table = "packages_rules"


class PackagesWave(Model):
    """Parcels that a warehouse packs together."""

    id = Id()
    merchant_id = fields.BigIntField()
    warehouse = fields.TextField()
    created_at = fields.DatetimeField()
    created_by = fields.TextField()

    class Meta:
        table = "packages_waves"


class PackagesParcel(Model):
    """A parcel about to be packed: the `number`th of `count` of its order.

    `late` says what happened to the order since it was decided: "closed" or "refund". `remark` is
    how far the remark to the platform is: "trying", "done", "failed", "unknown", or "stale" where
    it says that a parcel is packed which is not.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    wave_id = fields.BigIntField()
    order_id = fields.BigIntField()
    customer_id = fields.BigIntField(null=True)
    number = fields.IntField()
    count = fields.IntField()
    decided_at = fields.DatetimeField()
    packed_at = fields.DatetimeField(null=True)
    packed_by = fields.TextField(null=True)
    late = fields.TextField(null=True)
    remark = fields.TextField(null=True)
    remark_reason = fields.TextField(null=True)

    class Meta:
        table = "packages_parcels"


class PackagesChoice(Model):
    """What a rule decided about a parcel that it is for; see outcomes.py.

    `code` is the parcel's own coupon code, `refused` why its source had none; `task_id` is the task
    to write a note by hand.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    parcel_id = fields.BigIntField()
    rule_id = fields.BigIntField()
    insert_id = fields.BigIntField()
    customer_id = fields.BigIntField(null=True)
    outcome = fields.SmallIntField()
    code = fields.TextField(null=True)
    refused = fields.TextField(null=True)
    task_id = fields.BigIntField(null=True)
    at = fields.DatetimeField()

    class Meta:
        table = "packages_choices"
