"""Keys, checks and indexes of the tables and columns that 0003 brings."""

from tortoise import migrations
from tortoise.migrations import operations as ops

TABLES = [
    "audit_log", "consent_requests", "custom_field_values", "custom_fields", "customer_facts",
    "customer_log", "customer_merge_moves", "customer_merges", "customer_notes",
    "import_changes", "merge_suggestions", "parcel_events", "refunds", "retention_rules",
    "waiting_records",
]  # fmt: skip

UNIQUE = {
    "audit_log": ["number"],
    "consent_requests": ["token_hash"],
    "custom_field_values": ["customer_id, field_id"],
    "custom_fields": ["namespace, key"],
    "customer_facts": ["customer_id, shop_id, currency"],
    "customer_merge_moves": ["merge_id, table_name, row_id"],
    "import_changes": ["job_id, customer_id"],
    "merge_suggestions": ["first_id, second_id"],
    "parcel_events": ["parcel_id, kind, at"],
    "refunds": ["shop_id, external_id"],
    "retention_rules": ["table_name"],
    "waiting_records": ["shop_id, order_external_id, kind, external_id"],
}

# keys that a column of 0003 belongs to
WIDENED = {
    "consents": "customer_id, shop_id, channel, purpose",
    "suppressions": "channel, address_index, shop_id",
    "job_files": "job_id, role, piece",
}

INDEXES = [
    "CREATE INDEX customers_name ON customers (merchant_id, lower(name) text_pattern_ops) WHERE name IS NOT NULL",
    "CREATE INDEX customer_facts_last ON customer_facts (merchant_id, last_purchase_at, customer_id) WHERE shop_id = 0",
    "CREATE INDEX customer_log_customer ON customer_log (merchant_id, customer_id, at, id)",
    "CREATE INDEX customer_notes_customer ON customer_notes (merchant_id, customer_id, created_at, id)",
    "CREATE INDEX customer_merges_into ON customer_merges (merchant_id, into_id, id)",
    "CREATE INDEX customer_merges_from ON customer_merges (merchant_id, from_id, id)",
    "CREATE INDEX merge_suggestions_second ON merge_suggestions (merchant_id, second_id)",
    "CREATE INDEX merge_suggestions_open ON merge_suggestions (merchant_id, id) WHERE state = 'open'",
    "CREATE INDEX custom_field_values_text ON custom_field_values (merchant_id, field_id, text, customer_id) WHERE text IS NOT NULL",
    "CREATE INDEX custom_field_values_number ON custom_field_values (merchant_id, field_id, number, customer_id) WHERE number IS NOT NULL",
    "CREATE INDEX custom_field_values_moment ON custom_field_values (merchant_id, field_id, moment, customer_id) WHERE moment IS NOT NULL",
    "CREATE INDEX consent_requests_customer ON consent_requests (merchant_id, customer_id, id)",
    "CREATE INDEX refunds_order ON refunds (merchant_id, order_id)",
    "CREATE INDEX parcels_number ON parcels (merchant_id, tracking_number)",
]

CHECKS = {
    "custom_fields": [
        """custom_fields_type CHECK (type IN ('text', 'int', 'decimal', 'bool', 'date',
           'datetime', 'choice'))"""
    ],
    "customer_merges": ["customer_merges_two CHECK (from_id <> into_id)"],
    "merge_suggestions": [
        "merge_suggestions_order CHECK (first_id < second_id)",
        "merge_suggestions_state CHECK (state IN ('open', 'accepted', 'rejected'))",
    ],
    "consent_requests": [
        "consent_requests_state CHECK (state IN ('pending', 'confirmed', 'expired', 'replaced'))"
    ],
    "parcels": [
        """parcels_state CHECK (state IN ('shipped', 'in_transit', 'arrived_city',
           'out_for_delivery', 'signed', 'failed', 'returned'))"""
    ],
    "parcel_events": [
        """parcel_events_kind CHECK (kind IN ('shipped', 'in_transit', 'arrived_city',
           'out_for_delivery', 'signed', 'failed', 'returned'))"""
    ],
    "refunds": [
        "refunds_amount CHECK (amount >= 0)",
        "refunds_kind CHECK (kind IN ('refund_only', 'return', 'exchange', 'resend'))",
        """refunds_state CHECK (state IN ('requested', 'await_return', 'return_in_transit',
           'refused', 'refunded', 'cancelled', 'resolved'))""",
    ],
    "waiting_records": ["waiting_records_kind CHECK (kind IN ('parcel', 'refund'))"],
    "retention_rules": ["retention_rules_days CHECK (days > 0)"],
    "job_files": ["job_files_role CHECK (role IN ('input', 'output'))"],
}


def statements() -> list[str]:
    made = []
    for table in TABLES:
        made.append(f"ALTER TABLE {table} ADD PRIMARY KEY (merchant_id, id)")
        made += [
            f"ALTER TABLE {table} ADD CONSTRAINT {table}_unique_{number} UNIQUE (merchant_id, {key})"
            for number, key in enumerate(UNIQUE.get(table, []), 1)
        ]
    for table, key in WIDENED.items():
        made += [
            f"ALTER TABLE {table} DROP CONSTRAINT {table}_unique_1",
            f"ALTER TABLE {table} ADD CONSTRAINT {table}_unique_1 UNIQUE (merchant_id, {key})",
        ]
    for table, checks in CHECKS.items():
        made += [f"ALTER TABLE {table} ADD CONSTRAINT {check}" for check in checks]
    return made + INDEXES


class Migration(migrations.Migration):
    dependencies = [("core", "0003_history")]

    operations = [ops.RunSQL(statements(), reverse_sql=ops.RunSQL.noop)]
