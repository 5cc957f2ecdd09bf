"""Tables of orders, lines, parcels, refunds, and the facts derived from them.

Amounts are minor units of the order's currency.
"""

from typing import Any

from tortoise import fields
from tortoise.models import Model

from core.storage.models import Bytes, Id


class Order(Model):
    """An order of one shop, as its platform last told it."""

    id = Id()
    merchant_id = fields.BigIntField()
    shop_id = fields.BigIntField()
    external_id = fields.TextField()
    customer_id = fields.BigIntField(null=True)
    buyer_id = fields.TextField(null=True)
    state = fields.TextField()
    platform_state = fields.TextField(null=True)
    currency = fields.CharField(max_length=3)
    total = fields.BigIntField()
    paid = fields.BigIntField()
    refunded = fields.BigIntField()
    ordered_at = fields.DatetimeField()
    paid_at = fields.DatetimeField(null=True)
    shipped_at = fields.DatetimeField(null=True)
    delivered_at = fields.DatetimeField(null=True)
    closed_at = fields.DatetimeField(null=True)
    province = fields.TextField(null=True)
    city = fields.TextField(null=True)
    receiver_sealed = Bytes(null=True)
    modified_at = fields.DatetimeField(null=True)
    in_dispute = fields.BooleanField(default=False, db_default=False)
    content_hash = Bytes()
    taken_at = fields.DatetimeField()
    erased_at = fields.DatetimeField(null=True)

    class Meta:
        table = "orders"


class OrderLine(Model):
    """One article of an order."""

    id = Id()
    merchant_id = fields.BigIntField()
    order_id = fields.BigIntField()
    external_id = fields.TextField()
    title = fields.TextField()
    product_id = fields.TextField(null=True)
    category = fields.TextField(null=True)
    sku = fields.TextField(null=True)
    quantity = fields.IntField()
    amount = fields.BigIntField(null=True)

    class Meta:
        table = "order_lines"


class Parcel(Model):
    """One parcel of an order, and how far it has come."""

    id = Id()
    merchant_id = fields.BigIntField()
    order_id = fields.BigIntField()
    tracking_number = fields.TextField()
    carrier = fields.TextField(null=True)
    state = fields.TextField(null=True)
    shipped_at = fields.DatetimeField(null=True)
    signed_at = fields.DatetimeField(null=True)
    last_event_at = fields.DatetimeField(null=True)

    class Meta:
        table = "parcels"


class ParcelEvent(Model):
    """One scan of a parcel's trace."""

    id = Id()
    merchant_id = fields.BigIntField()
    parcel_id = fields.BigIntField()
    kind = fields.TextField()
    place = fields.TextField(null=True)
    text = fields.TextField(null=True)
    at = fields.DatetimeField()

    class Meta:
        table = "parcel_events"


class Refund(Model):
    """A refund or return that a buyer asked for, as its platform last told it."""

    id = Id()
    merchant_id = fields.BigIntField()
    shop_id = fields.BigIntField()
    external_id = fields.TextField()
    order_id = fields.BigIntField()
    line_id = fields.BigIntField(null=True)
    kind = fields.TextField()
    state = fields.TextField()
    platform_state = fields.TextField(null=True)
    reason = fields.TextField(null=True)
    amount = fields.BigIntField()
    quantity = fields.IntField(null=True)
    tracking_number = fields.TextField(null=True)
    carrier = fields.TextField(null=True)
    requested_at = fields.DatetimeField()
    refunded_at = fields.DatetimeField(null=True)
    closed_at = fields.DatetimeField(null=True)
    modified_at = fields.DatetimeField(null=True)
    content_hash = Bytes()
    taken_at = fields.DatetimeField()

    class Meta:
        table = "refunds"


class Review(Model):
    """A review that a buyer gave, as its platform last told it.

    `negative` says why it needs care: "bad", "neutral" or "keyword".
    """

    id = Id()
    merchant_id = fields.BigIntField()
    shop_id = fields.BigIntField()
    external_id = fields.TextField()
    order_external_id = fields.TextField()
    order_id = fields.BigIntField(null=True)
    customer_id = fields.BigIntField(null=True)
    line_id = fields.BigIntField(null=True)
    at = fields.DatetimeField()
    sign = fields.SmallIntField(null=True)
    stars = fields.SmallIntField(null=True)
    text = fields.TextField(null=True)
    later_text = fields.TextField(null=True)
    reply = fields.TextField(null=True)
    tags: Any = fields.JSONField(null=True)
    negative = fields.TextField(null=True)
    modified_at = fields.DatetimeField(null=True)
    content_hash = Bytes()
    taken_at = fields.DatetimeField()
    erased_at = fields.DatetimeField(null=True)

    class Meta:
        table = "reviews"


class ReviewWord(Model):
    """A word of the merchant's own that makes a review negative, folded."""

    id = Id()
    merchant_id = fields.BigIntField()
    word = fields.TextField()

    class Meta:
        table = "review_words"


class WaitingRecord(Model):
    """A parcel, refund or review of an order not known yet; it is taken in with the order."""

    id = Id()
    merchant_id = fields.BigIntField()
    shop_id = fields.BigIntField()
    order_external_id = fields.TextField()
    kind = fields.TextField()
    external_id = fields.TextField()
    record: Any = fields.JSONField()
    at = fields.DatetimeField()

    class Meta:
        table = "waiting_records"


class CustomerFacts(Model):
    """What a customer's orders add up to in one currency: in one shop, or in all (`shop_id` 0).

    Kept current in the transaction that changes an order; see facts.py for what counts.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    customer_id = fields.BigIntField()
    shop_id = fields.BigIntField()
    currency = fields.CharField(max_length=3)
    orders = fields.IntField()
    purchases = fields.IntField()
    first_purchase_at = fields.DatetimeField(null=True)
    second_purchase_at = fields.DatetimeField(null=True)
    last_purchase_at = fields.DatetimeField(null=True)
    days_between = fields.IntField(null=True)
    paid = fields.BigIntField()
    refunded = fields.BigIntField()
    refunds = fields.IntField()

    class Meta:
        table = "customer_facts"
