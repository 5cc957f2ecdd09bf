from tortoise import migrations
from tortoise.migrations import operations as ops
from core.sdk.tables import Id
from orjson import loads
from tortoise.fields.data import JSON_DUMPS
from tortoise import fields

class Migration(migrations.Migration):
    initial = True

    operations = [
        ops.CreateModel(
            name='PackagesInsert',
            fields=[
                ('id', Id(generated=True, primary_key=True, unique=True, db_index=True)),
                ('merchant_id', fields.BigIntField()),
                ('name', fields.TextField(unique=False)),
                ('kind', fields.TextField(unique=False)),
                ('sku', fields.TextField(null=True, unique=False)),
                ('text', fields.TextField(null=True, unique=False)),
                ('coupon_code', fields.TextField(null=True, unique=False)),
                ('code_source', fields.TextField(null=True, unique=False)),
                ('code_settings', fields.JSONField(null=True, encoder=JSON_DUMPS, decoder=loads)),
                ('unit_cost', fields.BigIntField()),
                ('tracks_stock', fields.BooleanField()),
                ('low_stock', fields.IntField()),
                ('created_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ('archived_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'packages_inserts', 'app': 'packages', 'pk_attr': 'id', 'table_description': 'Something that goes into a parcel beside the goods; it never changes once it is made.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='PackagesStock',
            fields=[
                ('id', Id(generated=True, primary_key=True, unique=True, db_index=True)),
                ('merchant_id', fields.BigIntField()),
                ('insert_id', fields.BigIntField()),
                ('warehouse', fields.TextField(unique=False)),
                ('on_hand', fields.IntField()),
                ('reserved', fields.IntField()),
                ('told_low', fields.BooleanField()),
                ('version', fields.IntField(default=1, db_default=1)),
            ],
            options={'table': 'packages_stock', 'app': 'packages', 'pk_attr': 'id', 'table_description': 'How many of an insert a warehouse has; `reserved` of them are for parcels not packed yet.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='PackagesRule',
            fields=[
                ('id', Id(generated=True, primary_key=True, unique=True, db_index=True)),
                ('merchant_id', fields.BigIntField()),
                ('name', fields.TextField(unique=False)),
                ('variants', fields.JSONField(encoder=JSON_DUMPS, decoder=loads)),
                ('customers', fields.JSONField(null=True, encoder=JSON_DUMPS, decoder=loads)),
                ('orders', fields.JSONField(encoder=JSON_DUMPS, decoder=loads)),
                ('priority', fields.IntField()),
                ('exclusive', fields.TextField(null=True, unique=False)),
                ('per_customer', fields.IntField(null=True)),
                ('per_days', fields.IntField()),
                ('holdout', fields.IntField()),
                ('budget', fields.BigIntField(null=True)),
                ('spent', fields.BigIntField()),
                ('starts_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('ends_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('is_on', fields.BooleanField()),
                ('version', fields.IntField(default=1, db_default=1)),
                ('created_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'packages_rules', 'app': 'packages', 'pk_attr': 'id', 'table_description': 'Which parcels get one of some inserts.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='PackagesWave',
            fields=[
                ('id', Id(generated=True, primary_key=True, unique=True, db_index=True)),
                ('merchant_id', fields.BigIntField()),
                ('warehouse', fields.TextField(unique=False)),
                ('created_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ('created_by', fields.TextField(unique=False)),
            ],
            options={'table': 'packages_waves', 'app': 'packages', 'pk_attr': 'id', 'table_description': 'Parcels that a warehouse packs together.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='PackagesParcel',
            fields=[
                ('id', Id(generated=True, primary_key=True, unique=True, db_index=True)),
                ('merchant_id', fields.BigIntField()),
                ('wave_id', fields.BigIntField()),
                ('order_id', fields.BigIntField()),
                ('customer_id', fields.BigIntField(null=True)),
                ('number', fields.IntField()),
                ('count', fields.IntField()),
                ('decided_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ('packed_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('packed_by', fields.TextField(null=True, unique=False)),
                ('late', fields.TextField(null=True, unique=False)),
                ('remark', fields.TextField(null=True, unique=False)),
                ('remark_reason', fields.TextField(null=True, unique=False)),
            ],
            options={'table': 'packages_parcels', 'app': 'packages', 'pk_attr': 'id', 'table_description': 'A parcel about to be packed: the `number`th of `count` of its order.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='PackagesChoice',
            fields=[
                ('id', Id(generated=True, primary_key=True, unique=True, db_index=True)),
                ('merchant_id', fields.BigIntField()),
                ('parcel_id', fields.BigIntField()),
                ('rule_id', fields.BigIntField()),
                ('insert_id', fields.BigIntField()),
                ('customer_id', fields.BigIntField(null=True)),
                ('outcome', fields.SmallIntField()),
                ('code', fields.TextField(null=True, unique=False)),
                ('refused', fields.TextField(null=True, unique=False)),
                ('task_id', fields.BigIntField(null=True)),
                ('at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'packages_choices', 'app': 'packages', 'pk_attr': 'id', 'table_description': "What a rule decided about a parcel that it is for; see outcomes.py."},
            bases=['Model'],
        ),
    ]
