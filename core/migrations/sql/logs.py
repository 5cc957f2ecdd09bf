"""Logs that are only ever added to; part of 0002_keys, and as unchangeable as a migration."""

# A row of `consent_events` may change its customer (a merge moves it), and is deleted only in a
# transaction that says so with `SET LOCAL huike.erasing = 'on'` (an erasure). What a merge itself
# wrote down is nobody's word, and goes or changes when a merge is undone. `suppression_events`
# never change.
KEEP_LOG = """
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

KEEP_AUDIT = [
    """CREATE FUNCTION audit_log_keep() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN
           RAISE EXCEPTION 'the audit log is only ever added to' USING ERRCODE = '42501';
       END $$""",
    """CREATE TRIGGER audit_log_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
       FOR EACH STATEMENT EXECUTE FUNCTION audit_log_keep()""",
    # also in a session that replicates
    "ALTER TABLE audit_log ENABLE ALWAYS TRIGGER audit_log_keep",
]


def statements() -> list[str]:
    made = [KEEP_LOG]
    for table in ("consent_events", "suppression_events"):
        made += [
            f"""CREATE TRIGGER {table}_stay BEFORE UPDATE OR DELETE ON {table}
                FOR EACH ROW EXECUTE FUNCTION huike_keep_log()""",
            f"""CREATE TRIGGER {table}_stay_all BEFORE TRUNCATE ON {table}
                FOR EACH STATEMENT EXECUTE FUNCTION huike_keep_log()""",
        ]
    return [*made, *KEEP_AUDIT]
