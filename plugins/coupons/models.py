"""The plugin's tables. Amounts are minor units of the template's currency."""

from typing import Any

from tortoise import fields
from tortoise.models import Model

from core.sdk.tables import Id


class CouponTemplate(Model):
    """What coupons of one kind are worth, for whom, and how many there may be.

    `value` is an amount, or hundredths of a percent. `conditions` holds lists: shop_ids, platforms,
    product_ids. `issued` counts the coupons that customers got, `spent` what those that are
    reserved or redeemed took off, where there is a budget.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    name = fields.TextField()
    handle = fields.TextField()
    kind = fields.TextField()
    value = fields.BigIntField()
    currency = fields.CharField(max_length=3)
    threshold = fields.BigIntField(null=True)
    max_off = fields.BigIntField(null=True)
    gift = fields.TextField(null=True)
    per_item = fields.BooleanField()
    conditions: Any = fields.JSONField()
    segment_id = fields.BigIntField(null=True)
    source = fields.TextField()
    public_code = fields.TextField(null=True)
    platform_shop_id = fields.BigIntField(null=True)
    platform_coupon = fields.TextField(null=True)
    valid_from = fields.DatetimeField(null=True)
    valid_until = fields.DatetimeField(null=True)
    valid_days = fields.IntField(null=True)
    per_customer = fields.IntField(null=True)
    total = fields.BigIntField(null=True)
    daily = fields.BigIntField(null=True)
    budget = fields.BigIntField(null=True)
    stack_group = fields.TextField(null=True)
    exclusive = fields.BooleanField()
    claimable = fields.BooleanField()
    transfers = fields.IntField()
    low_stock = fields.IntField(null=True)
    low_stock_at = fields.DatetimeField(null=True)
    issued = fields.BigIntField()
    spent = fields.BigIntField()
    state = fields.TextField()
    version = fields.IntField(default=1, db_default=1)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "coupons_templates"


class Coupon(Model):
    """A coupon: in stock, or a customer's. Without a code it goes by its template's or platform's.

    `code` is as it is looked up, `shown` as it is written where that differs. `key` says for what
    it was given: the same key gets the same coupon. `order_ref` is the order that it is reserved or
    was redeemed for, `amount` what it took off, `sales` what was paid for the goods after all.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    template_id = fields.BigIntField()
    customer_id = fields.BigIntField(null=True)
    code = fields.TextField(null=True)
    shown = fields.TextField(null=True)
    state = fields.TextField()
    key = fields.TextField(null=True)
    source = fields.TextField(null=True)
    campaign_id = fields.BigIntField(null=True)
    granted_at = fields.DatetimeField(null=True)
    expires_at = fields.DatetimeField(null=True)
    order_ref = fields.TextField(null=True)
    reserved_until = fields.DatetimeField(null=True)
    amount = fields.BigIntField(null=True)
    sales = fields.BigIntField(null=True)
    address = fields.TextField(null=True)
    redeemed_at = fields.DatetimeField(null=True)
    transferred = fields.IntField()
    reminded = fields.IntField(null=True)
    unused_told = fields.BooleanField()

    class Meta:
        table = "coupons_coupons"


class CouponEntry(Model):
    """Something that happened to a coupon; never changed."""

    id = Id()
    merchant_id = fields.BigIntField()
    coupon_id = fields.BigIntField()
    template_id = fields.BigIntField()
    customer_id = fields.BigIntField(null=True)
    kind = fields.TextField()
    amount = fields.BigIntField(null=True)
    order_ref = fields.TextField(null=True)
    reason = fields.TextField(null=True)
    actor = fields.TextField()
    at = fields.DatetimeField()

    class Meta:
        table = "coupons_entries"


class CouponGuesses(Model):
    """How often a client gave a code that does not exist, typos aside, since `since`."""

    id = Id()
    merchant_id = fields.BigIntField()
    client = fields.TextField()
    misses = fields.IntField()
    since = fields.DatetimeField()

    class Meta:
        table = "coupons_guesses"
