"""Kinds and members of segments, and the customers whose membership may have changed."""

from tortoise import migrations
from tortoise.migrations import operations as ops
from core.storage.models import Id
from tortoise import fields

STATEMENTS = [
    "ALTER TABLE segment_members ADD PRIMARY KEY (merchant_id, id)",
    "ALTER TABLE customer_changes ADD PRIMARY KEY (merchant_id, id)",
    "ALTER TABLE segments ADD CONSTRAINT segments_kind CHECK (kind IN ('dynamic', 'snapshot', 'list'))",
    "ALTER TABLE segment_members ADD CONSTRAINT segment_members_times CHECK (left_at >= entered_at)",
    "CREATE UNIQUE INDEX segment_members_now ON segment_members (merchant_id, segment_id, customer_id) WHERE left_at IS NULL",
    "CREATE INDEX segment_members_past ON segment_members (merchant_id, segment_id, left_at) WHERE left_at IS NOT NULL",
    "CREATE INDEX segment_members_customer ON segment_members (merchant_id, customer_id, segment_id)",
    "CREATE INDEX order_lines_product ON order_lines (merchant_id, product_id, order_id) WHERE product_id IS NOT NULL",
]


class Migration(migrations.Migration):
    dependencies = [('core', '0002_keys')]

    initial = False

    operations = [
        ops.CreateModel(
            name='CustomerChange',
            fields=[
                ('id', Id(generated=True, primary_key=True, unique=True, db_index=True)),
                ('merchant_id', fields.BigIntField()),
                ('customer_id', fields.BigIntField()),
            ],
            options={'table': 'customer_changes', 'app': 'core', 'pk_attr': 'id', 'table_description': 'Something about a customer changed; its segments are asked again, and the row goes.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='SegmentMember',
            fields=[
                ('id', Id(generated=True, primary_key=True, unique=True, db_index=True)),
                ('merchant_id', fields.BigIntField()),
                ('segment_id', fields.BigIntField()),
                ('customer_id', fields.BigIntField()),
                ('entered_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ('left_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'segment_members', 'app': 'core', 'pk_attr': 'id', 'table_description': "A customer's time in a segment: still in it while `left_at` is null."},
            bases=['Model'],
        ),
        ops.AlterModelOptions(
            name='Segment',
            options={'table': 'segments', 'app': 'core', 'pk_attr': 'id', 'table_description': 'A named set of customers.'},
        ),
        ops.AddField(
            model_name='Segment',
            name='description',
            field=fields.TextField(default='', db_default='', unique=False),
        ),
        ops.AddField(
            model_name='Segment',
            name='filled_at',
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddField(
            model_name='Segment',
            name='kind',
            field=fields.TextField(default='dynamic', db_default='dynamic', unique=False),
        ),
        ops.AddField(
            model_name='Segment',
            name='problem',
            field=fields.TextField(null=True, unique=False),
        ),
        ops.AddField(
            model_name='Segment',
            name='refreshed_at',
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddField(
            model_name='Segment',
            name='size',
            field=fields.IntField(default=0, db_default=0),
        ),
        ops.RunSQL(STATEMENTS, reverse_sql=ops.RunSQL.noop),
    ]
