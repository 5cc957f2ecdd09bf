"""Tables of orders, their lines and parcels. Amounts are minor units of the order's currency."""

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
    state = fields.TextField()
    platform_state = fields.TextField(null=True)
    currency = fields.CharField(max_length=3)
    total = fields.BigIntField()
    paid = fields.BigIntField()
    refunded = fields.BigIntField()
    ordered_at = fields.DatetimeField()
    paid_at = fields.DatetimeField(null=True)
    shipped_at = fields.DatetimeField(null=True)
    closed_at = fields.DatetimeField(null=True)
    province = fields.TextField(null=True)
    city = fields.TextField(null=True)
    receiver_sealed = Bytes(null=True)
    modified_at = fields.DatetimeField(null=True)
    content_hash = Bytes()
    taken_at = fields.DatetimeField()

    class Meta:
        table = "orders"


class OrderLine(Model):
    """One article of an order."""

    id = Id()
    merchant_id = fields.BigIntField()
    order_id = fields.BigIntField()
    external_id = fields.TextField()
    title = fields.TextField()
    sku = fields.TextField(null=True)
    quantity = fields.IntField()
    amount = fields.BigIntField(null=True)

    class Meta:
        table = "order_lines"


class Parcel(Model):
    """One parcel of an order."""

    id = Id()
    merchant_id = fields.BigIntField()
    order_id = fields.BigIntField()
    tracking_number = fields.TextField()
    carrier = fields.TextField(null=True)

    class Meta:
        table = "parcels"
