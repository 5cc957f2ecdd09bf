"""What a merchant decided about unproven consent, the log of suppressions, and logs that stay.

A row of `consent_events` may change its customer (a merge moves it), and is deleted only in a
transaction that says so with `SET LOCAL huike.erasing = 'on'` (an erasure). What a merge itself
wrote down is nobody's word, and goes or changes when a merge is undone. `suppression_events` never
change.
"""

from tortoise import migrations
from tortoise.migrations import operations as ops
from core.storage.models import Bytes, Id
from tortoise import fields

LOGS = """
    CREATE FUNCTION huike_keep_log() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP <> 'TRUNCATE' AND TG_TABLE_NAME = 'consent_events' THEN
            IF OLD.source = 'merge' THEN
                IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
                RETURN NEW;
            END IF;
        END IF;
        IF TG_OP = 'UPDATE' AND TG_TABLE_NAME = 'consent_events'
           AND to_jsonb(NEW) - 'customer_id' = to_jsonb(OLD) - 'customer_id' THEN
            RETURN NEW;
        END IF;
        IF TG_OP = 'DELETE' AND TG_TABLE_NAME = 'consent_events'
           AND current_setting('huike.erasing', true) = 'on' THEN
            RETURN OLD;
        END IF;
        RAISE EXCEPTION '% is only ever appended to', TG_TABLE_NAME;
    END $$
"""


def statements() -> list[str]:
    made = [LOGS]
    for table in ("consent_policies", "suppression_events"):
        made.append(f"ALTER TABLE {table} ADD PRIMARY KEY (merchant_id, id)")
    for table in ("consent_events", "suppression_events"):
        made += [
            f"""CREATE TRIGGER {table}_stay BEFORE UPDATE OR DELETE ON {table}
                FOR EACH ROW EXECUTE FUNCTION huike_keep_log()""",
            f"""CREATE TRIGGER {table}_stay_all BEFORE TRUNCATE ON {table}
                FOR EACH STATEMENT EXECUTE FUNCTION huike_keep_log()""",
        ]
    return [
        *made,
        """CREATE UNIQUE INDEX consent_policies_current ON consent_policies (merchant_id, channel)
           WHERE valid_to IS NULL""",
        "CREATE INDEX consent_policies_history ON consent_policies (merchant_id, channel, id)",
        """ALTER TABLE suppression_events ADD CONSTRAINT suppression_events_action
           CHECK (action IN ('added', 'removed'))""",
    ]


class Migration(migrations.Migration):
    dependencies = [('core', '0004_history_keys')]

    initial = False

    operations = [
        ops.CreateModel(
            name='ConsentPolicy',
            fields=[
                ('id', Id(generated=True, primary_key=True, unique=True, db_index=True)),
                ('merchant_id', fields.BigIntField()),
                ('channel', fields.TextField(unique=False)),
                ('allow_unproven', fields.BooleanField()),
                ('reason', fields.TextField(unique=False)),
                ('actor', fields.TextField(unique=False)),
                ('at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ('valid_to', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'consent_policies', 'app': 'core', 'pk_attr': 'id', 'table_description': 'From `at` to `valid_to`, whether the merchant writes to whose consent is unproven, and why.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='SuppressionEvent',
            fields=[
                ('id', Id(generated=True, primary_key=True, unique=True, db_index=True)),
                ('merchant_id', fields.BigIntField()),
                ('shop_id', fields.BigIntField()),
                ('channel', fields.TextField(unique=False)),
                ('address_index', Bytes()),
                ('action', fields.TextField(unique=False)),
                ('reason', fields.TextField(unique=False)),
                ('actor', fields.TextField(unique=False)),
                ('at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'suppression_events', 'app': 'core', 'pk_attr': 'id', 'table_description': 'An address was put on the list of suppressions or taken off; only ever appended to.'},
            bases=['Model'],
        ),
        ops.RunSQL(statements(), reverse_sql=ops.RunSQL.noop),
    ]
