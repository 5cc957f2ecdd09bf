"""Tables of lifecycle thresholds, boundaries of value, and products' cycles.

`shop_id` 0 means all shops of the merchant. A row of figures that change is in force from the day
`valid_from` until before the day `valid_to`, in the shop's calendar; one that was replaced on the
day it was made has both days equal.
"""

from tortoise import fields
from tortoise.contrib.postgres.fields import ArrayField
from tortoise.models import Model

from core.storage.models import Id


class LifecycleModel(Model):
    """Up to how many days after the last purchase a customer is active, silent, sleeping.

    `source` is default, model or manual; of a model `sample` is the number of customers who came
    back, `min_age_days` the filter on their first purchase.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    shop_id = fields.BigIntField()
    active = fields.IntField()
    silent = fields.IntField()
    sleeping = fields.IntField()
    source = fields.TextField()
    sample = fields.IntField(null=True)
    min_age_days = fields.IntField(null=True)
    reason = fields.TextField()
    actor = fields.TextField()
    at = fields.DatetimeField()
    valid_from = fields.DateField()
    valid_to = fields.DateField(null=True)

    class Meta:
        table = "lifecycle_models"


class RfmModel(Model):
    """By what boundaries recency, frequency and money are scored, and net sales ranked.

    Four boundaries each make the scores 1 to 5; `fixed` ones are the merchant's own. The means
    divide the eight groups. `percentiles` are the 99 boundaries of the `buyers`' net sales.
    """

    id = Id()
    merchant_id = fields.BigIntField()
    shop_id = fields.BigIntField()
    currency = fields.CharField(max_length=3)
    fixed = fields.BooleanField()
    customers = fields.IntField()
    r_bounds = ArrayField("bigint", null=True)
    f_bounds = ArrayField("bigint", null=True)
    m_bounds = ArrayField("bigint", null=True)
    r_mean = fields.DecimalField(max_digits=38, decimal_places=12, null=True)
    f_mean = fields.DecimalField(max_digits=38, decimal_places=12, null=True)
    m_mean = fields.DecimalField(max_digits=38, decimal_places=12, null=True)
    buyers = fields.IntField()
    percentiles = ArrayField("bigint", null=True)
    actor = fields.TextField()
    at = fields.DatetimeField()
    valid_from = fields.DateField()
    valid_to = fields.DateField(null=True)

    class Meta:
        table = "rfm_models"


class ProductCycle(Model):
    """After how many days customers buy a shop's product again: the median of `sample` gaps."""

    id = Id()
    merchant_id = fields.BigIntField()
    shop_id = fields.BigIntField()
    product_id = fields.TextField()
    days = fields.IntField()
    sample = fields.IntField()
    customers = fields.IntField()
    at = fields.DatetimeField()

    class Meta:
        table = "product_cycles"
