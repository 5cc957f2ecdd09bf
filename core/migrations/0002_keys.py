"""Primary and unique keys, all led by merchant_id, and the indexes that the statements use.

Keys that start with merchant_id keep merchants apart, and are what a PostgreSQL cluster that
distributes tables by merchant asks for.
"""

from tortoise import migrations
from tortoise.migrations import operations as ops

TABLES = [
    "api_tokens", "campaign_runs", "campaigns", "consent_events", "consents",
    "customer_identities", "customer_tags", "customers", "deliveries", "idempotency_keys",
    "job_files", "job_rejects", "jobs", "order_lines", "orders", "outbox_events", "parcels",
    "plugin_states", "segments", "shops", "suppressions",
]  # fmt: skip

UNIQUE = {
    "campaigns": ["name"],
    "consents": ["customer_id, channel, purpose"],
    "customer_identities": ["scope, scope_id, kind, value"],
    "customer_tags": ["customer_id, tag"],
    "deliveries": ["run_id, step, customer_id"],
    "idempotency_keys": ["operation, key"],
    "job_files": ["job_id, piece"],
    "order_lines": ["order_id, external_id"],
    "orders": ["shop_id, external_id"],
    "parcels": ["order_id, tracking_number"],
    "plugin_states": ["plugin"],
    "segments": ["name"],
    "shops": ["name"],
    "suppressions": ["channel, address_index"],
}

INDEXES = [
    "CREATE INDEX customers_phone ON customers (merchant_id, phone_index) WHERE phone_index IS NOT NULL",
    "CREATE INDEX customers_email ON customers (merchant_id, email_index) WHERE email_index IS NOT NULL",
    "CREATE INDEX customers_created ON customers (merchant_id, created_at, id)",
    "CREATE INDEX customers_province ON customers (merchant_id, province)",
    "CREATE INDEX customer_identities_customer ON customer_identities (merchant_id, customer_id)",
    "CREATE INDEX customer_tags_tag ON customer_tags (merchant_id, tag, customer_id)",
    "CREATE INDEX consent_events_customer ON consent_events (merchant_id, customer_id, id)",
    "CREATE INDEX orders_customer ON orders (merchant_id, customer_id, paid_at)",
    "CREATE INDEX orders_ordered ON orders (merchant_id, ordered_at, id)",
    "CREATE INDEX campaigns_due ON campaigns (scheduled_at) WHERE state = 'scheduled'",
    "CREATE INDEX campaign_runs_open ON campaign_runs (state) WHERE state IN ('planning', 'running')",
    "CREATE INDEX campaign_runs_campaign ON campaign_runs (merchant_id, campaign_id)",
    "CREATE INDEX deliveries_due ON deliveries (merchant_id, run_id, next_at, id) WHERE state = 'pending'",
    "CREATE INDEX deliveries_sending ON deliveries (lease_until) WHERE state = 'sending'",
    "CREATE INDEX deliveries_run ON deliveries (merchant_id, run_id, state, id)",
    "CREATE INDEX deliveries_customer ON deliveries (merchant_id, customer_id, id)",
    "CREATE INDEX jobs_open ON jobs (state, lease_until) WHERE state IN ('queued', 'running')",
    "CREATE INDEX job_rejects_job ON job_rejects (merchant_id, job_id, id)",
    "CREATE INDEX outbox_open ON outbox_events (merchant_id, id) WHERE done_at IS NULL",
]

CHECKS = {
    "orders": [
        "orders_amounts CHECK (total >= 0 AND paid >= 0 AND refunded >= 0)",
        """orders_state CHECK (state IN ('created_unpaid', 'paid_on_hold', 'to_ship',
           'part_shipped', 'shipped', 'delivered', 'completed', 'closed_unpaid',
           'closed_refunded'))""",
    ],
    "order_lines": ["order_lines_quantity CHECK (quantity > 0)"],
    "jobs": [
        "jobs_state CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled'))"
    ],
    "campaigns": [
        """campaigns_state CHECK (state IN ('draft', 'scheduled', 'running', 'paused',
           'finished', 'cancelled'))""",
        "campaigns_class CHECK (message_class IN ('marketing', 'service'))",
    ],
    "campaign_runs": [
        """campaign_runs_state CHECK (state IN ('planning', 'running', 'paused', 'finished',
           'cancelled'))"""
    ],
    "deliveries": [
        """deliveries_state CHECK (state IN ('pending', 'sending', 'sent', 'skipped', 'failed',
           'unknown'))""",
        "deliveries_reason CHECK (state <> 'skipped' OR reason IS NOT NULL)",
    ],
    "consents": ["consents_status CHECK (status IN ('granted', 'denied', 'unproven'))"],
    "consent_events": ["consent_events_status CHECK (status IN ('granted', 'denied', 'unproven'))"],
}


def statements() -> list[str]:
    made = ["ALTER TABLE merchants ADD PRIMARY KEY (id)"]
    for table in TABLES:
        made.append(f"ALTER TABLE {table} ADD PRIMARY KEY (merchant_id, id)")
        made += [
            f"ALTER TABLE {table} ADD CONSTRAINT {table}_unique_{number} UNIQUE (merchant_id, {key})"
            for number, key in enumerate(UNIQUE.get(table, []), 1)
        ]
        made += [f"ALTER TABLE {table} ADD CONSTRAINT {check}" for check in CHECKS.get(table, [])]
    # a hot ledger: updates stay on the page when there is room
    made.append("ALTER TABLE deliveries SET (fillfactor = 70)")
    return made + INDEXES


class Migration(migrations.Migration):
    dependencies = [("core", "0001_initial")]

    operations = [ops.RunSQL(statements(), reverse_sql=ops.RunSQL.noop)]
