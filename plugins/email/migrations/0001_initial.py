from tortoise import fields, migrations
from tortoise.migrations import operations as ops

UNIQUE = {
    "email_paces": "provider, domains",
    "email_days": "provider, day",
    "email_mailboxes": "place",
}


def statements() -> list[str]:
    """Keys that start with the merchant."""
    return [
        f"ALTER TABLE {table} DROP CONSTRAINT {table}_pkey, ADD PRIMARY KEY (merchant_id, id), "
        f"ADD CONSTRAINT {table}_unique_1 UNIQUE (merchant_id, {columns})"
        for table, columns in UNIQUE.items()
    ]


class Migration(migrations.Migration):
    initial = True

    operations = [
        ops.CreateModel(
            name='EmailDay',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('merchant_id', fields.BigIntField()),
                ('provider', fields.TextField(unique=False)),
                ('day', fields.DateField()),
                ('messages', fields.BigIntField()),
            ],
            options={'table': 'email_days', 'app': 'email', 'pk_attr': 'id', 'table_description': 'How many messages of a day\'s allowance a provider that is warmed up was given.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='EmailMailbox',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('merchant_id', fields.BigIntField()),
                ('place', fields.TextField(unique=False)),
                ('generation', fields.BigIntField()),
                ('read_to', fields.BigIntField()),
            ],
            options={'table': 'email_mailboxes', 'app': 'email', 'pk_attr': 'id', 'table_description': 'How far a merchant\'s mailbox was read: the folder\'s generation and the last number in it.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='EmailPace',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('merchant_id', fields.BigIntField()),
                ('provider', fields.TextField(unique=False)),
                ('domains', fields.TextField(unique=False)),
                ('next_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'email_paces', 'app': 'email', 'pk_attr': 'id', 'table_description': 'When the next message may go by a provider to the mailboxes of a group of domains.'},
            bases=['Model'],
        ),
        ops.RunSQL(statements(), reverse_sql=ops.RunSQL.noop),
    ]
