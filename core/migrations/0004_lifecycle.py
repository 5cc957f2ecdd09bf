"""Thresholds of the lifecycle, boundaries of value, and products' cycles."""

from tortoise import migrations
from tortoise.migrations import operations as ops
from core.storage.models import Id
from tortoise.contrib.postgres.fields import ArrayField
from tortoise import fields

STATEMENTS = [
    "ALTER TABLE lifecycle_models ADD PRIMARY KEY (merchant_id, id)",
    "ALTER TABLE rfm_models ADD PRIMARY KEY (merchant_id, id)",
    "ALTER TABLE product_cycles ADD PRIMARY KEY (merchant_id, id)",
    "ALTER TABLE lifecycle_models ADD CONSTRAINT lifecycle_models_days CHECK (0 < active AND active < silent AND silent < sleeping)",
    "ALTER TABLE lifecycle_models ADD CONSTRAINT lifecycle_models_source CHECK (source IN ('default', 'model', 'manual'))",
    "ALTER TABLE lifecycle_models ADD CONSTRAINT lifecycle_models_valid CHECK (valid_to >= valid_from)",
    "ALTER TABLE rfm_models ADD CONSTRAINT rfm_models_valid CHECK (valid_to >= valid_from)",
    "ALTER TABLE rfm_models ADD CONSTRAINT rfm_models_bounds CHECK (cardinality(r_bounds) = 4 AND cardinality(f_bounds) = 4 AND cardinality(m_bounds) = 4 AND cardinality(percentiles) = 99)",
    "ALTER TABLE product_cycles ADD CONSTRAINT product_cycles_days CHECK (days > 0 AND sample > 0)",
    "CREATE UNIQUE INDEX lifecycle_models_last ON lifecycle_models (merchant_id, shop_id) WHERE valid_to IS NULL",
    "CREATE INDEX lifecycle_models_history ON lifecycle_models (merchant_id, shop_id, valid_from)",
    "CREATE UNIQUE INDEX rfm_models_last ON rfm_models (merchant_id, shop_id, currency) WHERE valid_to IS NULL",
    "CREATE UNIQUE INDEX product_cycles_unique_1 ON product_cycles (merchant_id, shop_id, product_id)",
    # whoever is in a segment of stages, of RFM's groups or of products used up may be another now
    *(
        f"""CREATE TRIGGER {table}_asks_everybody AFTER INSERT OR UPDATE OR DELETE ON {table}
            FOR EACH ROW EXECUTE FUNCTION huike_ask_everybody('merchant_id')"""
        for table in ("lifecycle_models", "rfm_models", "product_cycles")
    ),
]


class Migration(migrations.Migration):
    dependencies = [('core', '0003_segments')]

    initial = False

    operations = [
        ops.CreateModel(
            name='LifecycleModel',
            fields=[
                ('id', Id(generated=True, primary_key=True, unique=True, db_index=True)),
                ('merchant_id', fields.BigIntField()),
                ('shop_id', fields.BigIntField()),
                ('active', fields.IntField()),
                ('silent', fields.IntField()),
                ('sleeping', fields.IntField()),
                ('source', fields.TextField(unique=False)),
                ('sample', fields.IntField(null=True)),
                ('min_age_days', fields.IntField(null=True)),
                ('reason', fields.TextField(unique=False)),
                ('actor', fields.TextField(unique=False)),
                ('at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ('valid_from', fields.DateField()),
                ('valid_to', fields.DateField(null=True)),
            ],
            options={'table': 'lifecycle_models', 'app': 'core', 'pk_attr': 'id', 'table_description': 'Up to how many days after the last purchase a customer is active, silent, sleeping.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='ProductCycle',
            fields=[
                ('id', Id(generated=True, primary_key=True, unique=True, db_index=True)),
                ('merchant_id', fields.BigIntField()),
                ('shop_id', fields.BigIntField()),
                ('product_id', fields.TextField(unique=False)),
                ('days', fields.IntField()),
                ('sample', fields.IntField()),
                ('customers', fields.IntField()),
                ('at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'product_cycles', 'app': 'core', 'pk_attr': 'id', 'table_description': "After how many days customers buy a shop's product again: the median of `sample` gaps."},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='RfmModel',
            fields=[
                ('id', Id(generated=True, primary_key=True, unique=True, db_index=True)),
                ('merchant_id', fields.BigIntField()),
                ('shop_id', fields.BigIntField()),
                ('currency', fields.CharField(max_length=3)),
                ('fixed', fields.BooleanField()),
                ('customers', fields.IntField()),
                ('r_bounds', ArrayField(null=True, element_type='BIGINT')),
                ('f_bounds', ArrayField(null=True, element_type='BIGINT')),
                ('m_bounds', ArrayField(null=True, element_type='BIGINT')),
                ('r_mean', fields.DecimalField(null=True, max_digits=38, decimal_places=12)),
                ('f_mean', fields.DecimalField(null=True, max_digits=38, decimal_places=12)),
                ('m_mean', fields.DecimalField(null=True, max_digits=38, decimal_places=12)),
                ('buyers', fields.IntField()),
                ('percentiles', ArrayField(null=True, element_type='BIGINT')),
                ('actor', fields.TextField(unique=False)),
                ('at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ('valid_from', fields.DateField()),
                ('valid_to', fields.DateField(null=True)),
            ],
            options={'table': 'rfm_models', 'app': 'core', 'pk_attr': 'id', 'table_description': 'By what boundaries recency, frequency and money are scored, and net sales ranked.'},
            bases=['Model'],
        ),
        ops.RunSQL(STATEMENTS, reverse_sql=ops.RunSQL.noop),
    ]
