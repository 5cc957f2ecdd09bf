from tortoise import migrations
from tortoise.migrations import operations as ops
from core.sdk.tables import Id
from tortoise import fields

class Migration(migrations.Migration):
    initial = True

    operations = [
        ops.CreateModel(
            name='SmsMessage',
            fields=[
                ('id', Id(generated=True, primary_key=True, unique=True, db_index=True)),
                ('merchant_id', fields.BigIntField()),
                ('provider', fields.TextField(unique=False)),
                ('serial', fields.TextField(unique=False)),
                ('signature', fields.TextField(unique=False)),
                ('prefix', fields.TextField(unique=False)),
                ('reserved', fields.BigIntField()),
                ('scopes', fields.TextField(unique=False)),
                ('at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'sms_messages', 'app': 'sms', 'pk_attr': 'id', 'table_description': 'How a message was last handed over; its id is that of its delivery.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='SmsSandboxMessage',
            fields=[
                ('id', Id(generated=True, primary_key=True, unique=True, db_index=True)),
                ('merchant_id', fields.BigIntField()),
                ('provider', fields.TextField(unique=False)),
                ('fate', fields.TextField(unique=False)),
                ('at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ('due_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'sms_sandbox', 'app': 'sms', 'pk_attr': 'id', 'table_description': 'A message that the pretended carrier took, and what will become of it when it is due.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='SmsSignature',
            fields=[
                ('id', Id(generated=True, primary_key=True, unique=True, db_index=True)),
                ('merchant_id', fields.BigIntField()),
                ('provider', fields.TextField(unique=False)),
                ('name', fields.TextField(unique=False)),
                ('state', fields.TextField(unique=False)),
                ('reason', fields.TextField(unique=False)),
                ('synced_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'sms_signatures', 'app': 'sms', 'pk_attr': 'id', 'table_description': 'A signature as it stands at a provider.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='SmsSpending',
            fields=[
                ('id', Id(generated=True, primary_key=True, unique=True, db_index=True)),
                ('merchant_id', fields.BigIntField()),
                ('scope', fields.TextField(unique=False)),
                ('amount', fields.BigIntField()),
                ('at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'sms_spending', 'app': 'sms', 'pk_attr': 'id', 'table_description': 'What was spent in a scope ("day:2026-06-15", "campaign:12"), in millionths.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='SmsSweep',
            fields=[
                ('id', Id(generated=True, primary_key=True, unique=True, db_index=True)),
                ('merchant_id', fields.BigIntField()),
                ('name', fields.TextField(unique=False)),
                ('asked_until', fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'sms_sweeps', 'app': 'sms', 'pk_attr': 'id', 'table_description': 'Up to which time of sending messages without an end were asked for, at an age of theirs.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='SmsTemplate',
            fields=[
                ('id', Id(generated=True, primary_key=True, unique=True, db_index=True)),
                ('merchant_id', fields.BigIntField()),
                ('provider', fields.TextField(unique=False)),
                ('code', fields.TextField(unique=False)),
                ('name', fields.TextField(unique=False)),
                ('text', fields.TextField(unique=False)),
                ('message_class', fields.TextField(null=True, unique=False)),
                ('abroad', fields.BooleanField(null=True)),
                ('state', fields.TextField(unique=False)),
                ('reason', fields.TextField(unique=False)),
                ('synced_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'sms_templates', 'app': 'sms', 'pk_attr': 'id', 'table_description': 'A template as it stands at a provider; `message_class` and `abroad` NULL are for both.'},
            bases=['Model'],
        ),
    ]
