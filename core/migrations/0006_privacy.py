"""The audit log can be added to and read, and nothing else."""

from tortoise import migrations
from tortoise.migrations import operations as ops

STATEMENTS = [
    """CREATE FUNCTION audit_log_keep() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN
           RAISE EXCEPTION 'the audit log is only ever added to' USING ERRCODE = '42501';
       END $$""",
    """CREATE TRIGGER audit_log_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
       FOR EACH STATEMENT EXECUTE FUNCTION audit_log_keep()""",
    # also in a session that replicates
    "ALTER TABLE audit_log ENABLE ALWAYS TRIGGER audit_log_keep",
    # erasing a person looks through the merchant's jobs for files about them
    "CREATE INDEX jobs_customer ON jobs (merchant_id, (params ->> 'customer_id')) WHERE params ? 'customer_id'",
]


class Migration(migrations.Migration):
    dependencies = [("core", "0005_consent")]

    operations = [ops.RunSQL(STATEMENTS, reverse_sql=ops.RunSQL.noop)]
