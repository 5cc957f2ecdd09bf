"""Primary and unique keys, all led by merchant_id, indexes and checks."""

from tortoise import migrations
from tortoise.migrations import operations as ops

UNIQUE = {
    "sms_signatures": "provider, name",
    "sms_spending": "scope",
    "sms_sweeps": "name",
    "sms_templates": "provider, code",
}
STATES = "state IN ('pending', 'approved', 'rejected', 'cancelled')"


def statements() -> list[str]:
    tables = ["sms_messages", "sms_sandbox", *UNIQUE]
    return [
        *(f"ALTER TABLE {table} ADD PRIMARY KEY (merchant_id, id)" for table in tables),
        *(f"ALTER TABLE {table} ADD UNIQUE (merchant_id, {columns})"
          for table, columns in UNIQUE.items()),
        *(f"ALTER TABLE {table} ADD CHECK ({STATES})"
          for table in ("sms_signatures", "sms_templates")),
        "CREATE INDEX sms_sandbox_due ON sms_sandbox (merchant_id, due_at) WHERE due_at IS NOT NULL",
        "CREATE INDEX sms_messages_at ON sms_messages USING brin (at)",
    ]


class Migration(migrations.Migration):
    dependencies = [("sms", "0001_initial")]

    operations = [ops.RunSQL(statements(), reverse_sql=ops.RunSQL.noop)]
