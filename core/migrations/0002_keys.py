"""Primary and unique keys, all led by merchant_id, indexes, checks, and logs that stay.

Keys that start with merchant_id keep merchants apart, and are what a PostgreSQL cluster that
distributes tables by merchant asks for.
"""

from tortoise import migrations
from tortoise.migrations import operations as ops
from core.migrations.sql import attribution, logs, segments

TABLES = [
    "api_tokens", "attribution_changes", "attribution_windows", "attributions", "audit_log",
    "call_budgets", "campaign_proposals", "campaign_reports", "campaign_runs", "campaigns", "connect_attempts", "consent_events",
    "consent_policies", "consent_requests", "consents", "custom_field_values", "custom_fields",
    "customer_changes", "customer_facts", "customer_identities", "customer_log",
    "customer_merge_moves", "customer_merges", "customer_notes", "customer_tags", "customers", "day_counts", "dead_letters",
    "deliveries", "enrolments", "idempotency_keys", "import_changes", "job_files", "job_rejects", "jobs",
    "delivery_receipts", "inbound_messages", "lifecycle_models", "link_clicks", "login_pauses",
    "member_imports", "member_reminders", "memberships", "merge_suggestions", "message_links",
    "news_cursors",
    "oidc_providers", "opt_out_words", "order_lines", "orders", "outbox_events", "parcel_events",
    "parcels", "platform_deeds", "platform_members", "platform_memberships", "plugin_states",
    "plugin_ticks", "points_entries", "points_holds", "points_requests", "points_uses",
    "product_cycles", "programme_versions", "programmes", "push_inbox", "redemptions",
    "referral_codes", "referrals", "refunds", "retention_rules", "review_words", "reviews",
    "rewards", "rfm_models", "roles", "segment_members", "segments", "sending_caps",
    "sending_holidays", "sending_hours", "sending_rates", "setting_versions", "shop_connections", "shops", "staff",
    "staff_sessions", "suppression_events", "suppressions", "sync_cursors", "sync_slices",
    "tasks",
    "tier_intervals", "tiers", "tracked_links", "variant_winners", "waiting_records",
    "webhook_attempts", "webhook_calls", "webhook_messages", "webhooks",
]  # fmt: skip

UNIQUE = {
    "attributions": "order_id",
    "audit_log": "number",
    "call_budgets": "connector, scope",
    "campaign_reports": "run_id",
    "campaigns": "name",
    "campaign_proposals": "campaign_id",
    "campaign_runs": "campaign_id, occurrence",
    "connect_attempts": "nonce",
    "consent_requests": "token_hash",
    "consents": "customer_id, shop_id, channel, purpose",
    "custom_field_values": "customer_id, field_id",
    "custom_fields": "namespace, key",
    "customer_facts": "customer_id, shop_id, currency",
    "customer_identities": "scope, scope_id, kind, value",
    "customer_merge_moves": "merge_id, table_name, row_id",
    "customer_tags": "customer_id, tag",
    "day_counts": "shop_id, day",
    "dead_letters": "shop_id, resource, external_id",
    "deliveries": "run_id, step, customer_id, enrolment_id",
    "delivery_receipts": "channel, event_key",
    "enrolments": "campaign_id, customer_id, entry_key",
    "idempotency_keys": "operation, key",
    "import_changes": "job_id, customer_id",
    "inbound_messages": "channel, event_key",
    "job_files": "job_id, role, piece",
    "member_imports": "job_id, customer_id",
    "login_pauses": "subject",
    "member_reminders": "customer_id, kind, occasion",
    "memberships": "card_number",
    "merge_suggestions": "first_id, second_id",
    "message_links": "delivery_id, number",
    "news_cursors": "channel",
    "opt_out_words": "word",
    "order_lines": "order_id, external_id",
    "orders": "shop_id, external_id",
    "parcel_events": "parcel_id, kind, at",
    "parcels": "order_id, tracking_number",
    "platform_deeds": "shop_id, key",
    "platform_members": "shop_id, buyer_index",
    "plugin_states": "plugin",
    "plugin_ticks": "name",
    "points_holds": "entry_id",
    "push_inbox": "connector, key",
    "programme_versions": "version",
    "redemptions": "entry_id",
    "referral_codes": "code",
    "refunds": "shop_id, external_id",
    "retention_rules": "table_name",
    "review_words": "word",
    "reviews": "shop_id, external_id",
    "rewards": "name",
    "roles": "name",
    "segments": "name",
    "sending_caps": "shop_id, channel, hours",
    "sending_holidays": "shop_id, day",
    "sending_hours": "shop_id, channel",
    "sending_rates": "channel",
    "setting_versions": "kind, place",
    "shop_connections": "shop_id",
    "shops": "name",
    "sync_cursors": "shop_id, resource",
    "sync_slices": "shop_id, resource, starts_at, ends_at",
    "staff": "email_index",
    "suppressions": "channel, address_index, shop_id",
    "tracked_links": "run_id, step, variant, number",
    "variant_winners": "run_id, step",
    "waiting_records": "shop_id, order_external_id, kind, external_id",
    "webhook_calls": "run_id, step, enrolment_id",
    "webhook_messages": "webhook_id, event_id",
    "webhooks": "name",
}

# Names and tags are searched folded; a text value of a custom field may be longer than an index
# entry can be, so the index holds its head; an erasure looks through jobs for files about a person.
INDEXES = [
    "CREATE INDEX attributions_run ON attributions (merchant_id, run_id)",
    "CREATE UNIQUE INDEX attribution_windows_last ON attribution_windows (merchant_id, channel, touch) WHERE valid_to IS NULL",
    "CREATE INDEX campaign_runs_ended ON campaign_runs (finished_at) WHERE finished_at IS NOT NULL",
    "CREATE INDEX consent_events_refusals ON consent_events (merchant_id, at) WHERE status = 'denied' AND purpose = 'marketing'",
    "CREATE INDEX deliveries_sent ON deliveries USING brin (sent_at)",
    "CREATE INDEX orders_paid ON orders (merchant_id, paid_at, id) WHERE paid_at IS NOT NULL",
    "CREATE INDEX campaign_runs_open ON campaign_runs (state) WHERE state IN ('planning', 'running')",
    "CREATE INDEX campaign_runs_campaign ON campaign_runs (merchant_id, campaign_id)",
    "CREATE INDEX campaigns_due ON campaigns (scheduled_at) WHERE state = 'scheduled'",
    "CREATE INDEX campaigns_recurring ON campaigns (next_at) WHERE state = 'running' AND next_at IS NOT NULL",
    "CREATE INDEX consent_events_customer ON consent_events (merchant_id, customer_id, id)",
    "CREATE UNIQUE INDEX consent_policies_current ON consent_policies (merchant_id, channel) WHERE valid_to IS NULL",
    "CREATE INDEX consent_policies_history ON consent_policies (merchant_id, channel, id)",
    "CREATE INDEX consent_requests_customer ON consent_requests (merchant_id, customer_id, id)",
    "CREATE INDEX custom_field_values_number ON custom_field_values (merchant_id, field_id, number, customer_id) WHERE number IS NOT NULL",
    "CREATE INDEX custom_field_values_moment ON custom_field_values (merchant_id, field_id, moment, customer_id) WHERE moment IS NOT NULL",
    "CREATE INDEX custom_field_values_text ON custom_field_values (merchant_id, field_id, left(text, 64), customer_id) WHERE text IS NOT NULL",
    "CREATE INDEX customer_facts_last ON customer_facts (merchant_id, last_purchase_at, customer_id) WHERE shop_id = 0",
    "CREATE INDEX customer_identities_customer ON customer_identities (merchant_id, customer_id)",
    "CREATE INDEX customer_log_customer ON customer_log (merchant_id, customer_id, at, id)",
    "CREATE INDEX customer_merges_into ON customer_merges (merchant_id, into_id, id)",
    "CREATE INDEX customer_merges_from ON customer_merges (merchant_id, from_id, id)",
    "CREATE INDEX customer_notes_customer ON customer_notes (merchant_id, customer_id, created_at, id)",
    "CREATE INDEX customer_tags_tag ON customer_tags (merchant_id, tag, customer_id)",
    "CREATE INDEX customer_tags_search ON customer_tags (merchant_id, lower(normalize(tag, NFKC)) text_pattern_ops, customer_id)",
    "CREATE INDEX tasks_due ON tasks (merchant_id, state, due_at, id)",
    "CREATE INDEX tasks_all_due ON tasks (merchant_id, due_at, id)",
    "CREATE INDEX tasks_customer ON tasks (merchant_id, customer_id)",
    "CREATE INDEX customers_phone ON customers (merchant_id, phone_index) WHERE phone_index IS NOT NULL",
    "CREATE INDEX customers_email ON customers (merchant_id, email_index) WHERE email_index IS NOT NULL",
    "CREATE INDEX customers_created ON customers (merchant_id, created_at, id)",
    "CREATE INDEX customers_updated ON customers (merchant_id, updated_at, id)",
    "CREATE INDEX customers_province ON customers (merchant_id, province)",
    "CREATE INDEX customers_name ON customers (merchant_id, lower(normalize(name, NFKC)) text_pattern_ops) WHERE name IS NOT NULL",
    "CREATE INDEX deliveries_due ON deliveries (merchant_id, run_id, step, next_at, id) WHERE state = 'pending'",
    "CREATE INDEX deliveries_sending ON deliveries (lease_until) WHERE state = 'sending'",
    "CREATE INDEX deliveries_run ON deliveries (merchant_id, run_id, state, id)",
    "CREATE INDEX deliveries_customer ON deliveries (merchant_id, customer_id, id)",
    "CREATE INDEX deliveries_counted ON deliveries (merchant_id, customer_id, (COALESCE(sent_at, updated_at))) WHERE marketing AND state IN ('sending', 'sent', 'unknown')",
    "CREATE INDEX deliveries_provider ON deliveries (merchant_id, provider_id) WHERE provider_id IS NOT NULL",
    "CREATE INDEX enrolments_due ON enrolments (merchant_id, run_id, wake_at, id) WHERE state = 'waiting'",
    "CREATE INDEX deliveries_unknown ON deliveries (next_at) WHERE state = 'unknown' AND checks IS NOT NULL",
    "CREATE INDEX deliveries_undecided ON deliveries (merchant_id, run_id, step, id) WHERE variant IS NULL",
    "CREATE INDEX delivery_receipts_delivery ON delivery_receipts (merchant_id, delivery_id) WHERE delivery_id IS NOT NULL",
    "CREATE INDEX delivery_receipts_waiting ON delivery_receipts (merchant_id, received_at) WHERE delivery_id IS NULL",
    "CREATE INDEX inbound_messages_customer ON inbound_messages (merchant_id, customer_id, at)",
    "CREATE INDEX push_inbox_about ON push_inbox (merchant_id, shop_id, resource, external_id) WHERE done_at IS NULL",
    "CREATE INDEX push_inbox_open ON push_inbox (merchant_id, shop_id, next_at, id) WHERE done_at IS NULL",
    "CREATE INDEX shops_external ON shops (merchant_id, platform, external_id) WHERE external_id IS NOT NULL",
    "CREATE INDEX sync_slices_waiting ON sync_slices (merchant_id, shop_id, ends_at) WHERE state = 'waiting'",
    "CREATE INDEX enrolments_run ON enrolments (merchant_id, run_id, step) WHERE state = 'waiting'",
    "CREATE INDEX enrolments_customer ON enrolments (merchant_id, customer_id, id)",
    "CREATE INDEX webhook_calls_due ON webhook_calls (merchant_id, next_at, id) WHERE state = 'pending'",
    "CREATE INDEX webhook_calls_customer ON webhook_calls (merchant_id, customer_id, id)",
    "CREATE INDEX webhook_messages_due ON webhook_messages (merchant_id, webhook_id, next_at, id) WHERE state = 'pending'",
    "CREATE INDEX webhook_messages_log ON webhook_messages (merchant_id, webhook_id, created_at, id)",
    "CREATE INDEX webhook_messages_tests ON webhook_messages (merchant_id, webhook_id) WHERE test AND state = 'pending'",
    "CREATE INDEX webhook_messages_old ON webhook_messages (merchant_id, created_at)",
    "CREATE INDEX webhook_attempts_message ON webhook_attempts (merchant_id, message_id, id)",
    "CREATE INDEX job_rejects_job ON job_rejects (merchant_id, job_id, id)",
    "CREATE INDEX jobs_open ON jobs (state, lease_until) WHERE state IN ('queued', 'running')",
    "CREATE INDEX jobs_answers ON jobs (merchant_id, (params ->> 'answers')) WHERE params ? 'answers'",
    "CREATE INDEX jobs_customer ON jobs (merchant_id, (params ->> 'customer_id')) WHERE params ? 'customer_id'",
    "CREATE UNIQUE INDEX lifecycle_models_last ON lifecycle_models (merchant_id, shop_id) WHERE valid_to IS NULL",
    "CREATE INDEX lifecycle_models_history ON lifecycle_models (merchant_id, shop_id, valid_from)",
    "CREATE INDEX link_clicks_delivery ON link_clicks (merchant_id, delivery_id, at)",
    "CREATE INDEX link_clicks_link ON link_clicks (merchant_id, link_id)",
    "CREATE INDEX link_clicks_open ON link_clicks (merchant_id, at) WHERE machine IS NULL",
    "CREATE INDEX login_pauses_old ON login_pauses (merchant_id, last_at)",
    "CREATE UNIQUE INDEX memberships_now ON memberships (merchant_id, customer_id) WHERE left_at IS NULL",
    "CREATE INDEX memberships_customer ON memberships (merchant_id, customer_id, id)",
    "CREATE INDEX platform_members_customer ON platform_members (merchant_id, customer_id) WHERE customer_id IS NOT NULL",
    "CREATE INDEX platform_members_blacklisted ON platform_members (merchant_id, customer_id) WHERE blacklisted",
    "CREATE UNIQUE INDEX platform_memberships_now ON platform_memberships (merchant_id, platform_member_id) WHERE left_at IS NULL",
    "CREATE INDEX platform_memberships_member ON platform_memberships (merchant_id, platform_member_id, joined_at)",
    "CREATE INDEX platform_memberships_joined ON platform_memberships (merchant_id, joined_at)",
    "CREATE INDEX platform_memberships_left ON platform_memberships (merchant_id, left_at) WHERE left_at IS NOT NULL",
    "CREATE UNIQUE INDEX tiers_rank ON tiers (merchant_id, rank) WHERE deleted_at IS NULL",
    "CREATE INDEX points_requests_open ON points_requests (merchant_id, id) WHERE state = 'requested'",
    "CREATE INDEX points_requests_customer ON points_requests (merchant_id, customer_id, id)",
    "CREATE INDEX referral_codes_customer ON referral_codes (merchant_id, customer_id, id)",
    "CREATE INDEX referrals_customer ON referrals (merchant_id, customer_id, id)",
    "CREATE INDEX referrals_code ON referrals (merchant_id, code_id, id)",
    "CREATE INDEX referrals_due ON referrals (merchant_id, due_at) WHERE state = 'waiting' AND due_at IS NOT NULL",
    "CREATE UNIQUE INDEX programmes_one ON programmes (merchant_id)",
    "CREATE UNIQUE INDEX tier_intervals_now ON tier_intervals (merchant_id, customer_id) WHERE valid_to IS NULL",
    "CREATE INDEX tier_intervals_customer ON tier_intervals (merchant_id, customer_id, id)",
    "CREATE INDEX tier_intervals_review ON tier_intervals (merchant_id, review_at) WHERE valid_to IS NULL",
    "CREATE INDEX points_entries_customer ON points_entries (merchant_id, customer_id, id) INCLUDE (at)",
    "CREATE INDEX points_entries_open ON points_entries (merchant_id, customer_id) WHERE NOT settled",
    "CREATE INDEX points_entries_at ON points_entries (merchant_id, at, id)",
    "CREATE INDEX points_entries_order ON points_entries (merchant_id, order_id) WHERE order_id IS NOT NULL",
    "CREATE INDEX points_entries_reverses ON points_entries (merchant_id, reverses) WHERE reverses IS NOT NULL",
    "CREATE INDEX points_entries_expiring ON points_entries (merchant_id, expires_at) WHERE expires_at IS NOT NULL",
    "CREATE INDEX points_uses_lot ON points_uses (merchant_id, lot_id)",
    "CREATE INDEX points_uses_entry ON points_uses (merchant_id, entry_id)",
    "CREATE INDEX redemptions_customer ON redemptions (merchant_id, customer_id, id)",
    "CREATE INDEX redemptions_reward ON redemptions (merchant_id, reward_id, customer_id)",
    "CREATE INDEX redemptions_open ON redemptions (merchant_id, id) WHERE state = 'requested'",
    "CREATE INDEX points_holds_customer ON points_holds (merchant_id, customer_id, id)",
    "CREATE INDEX points_holds_held ON points_holds (merchant_id, expires_at) WHERE state = 'held'",
    "CREATE INDEX merge_suggestions_second ON merge_suggestions (merchant_id, second_id)",
    "CREATE INDEX merge_suggestions_open ON merge_suggestions (merchant_id, id) WHERE state = 'open'",
    "CREATE UNIQUE INDEX oidc_providers_one ON oidc_providers (merchant_id)",
    "CREATE INDEX order_lines_product ON order_lines (merchant_id, product_id, order_id) WHERE product_id IS NOT NULL",
    "CREATE INDEX orders_customer ON orders (merchant_id, customer_id, paid_at)",
    "CREATE INDEX orders_ordered ON orders (merchant_id, ordered_at, id)",
    "CREATE INDEX outbox_aside ON outbox_events (merchant_id, id) WHERE aside_at IS NOT NULL",
    "CREATE INDEX outbox_open ON outbox_events (merchant_id, id) WHERE done_at IS NULL",
    "CREATE INDEX parcels_number ON parcels (merchant_id, tracking_number)",
    "CREATE UNIQUE INDEX product_cycles_unique_1 ON product_cycles (merchant_id, shop_id, product_id)",
    "CREATE INDEX refunds_order ON refunds (merchant_id, order_id)",
    "CREATE INDEX refunds_requested ON refunds (merchant_id, requested_at, id)",
    "CREATE INDEX reviews_customer ON reviews (merchant_id, customer_id, at) WHERE customer_id IS NOT NULL",
    "CREATE INDEX reviews_at ON reviews (merchant_id, at, id)",
    "CREATE INDEX reviews_order ON reviews (merchant_id, order_id) WHERE order_id IS NOT NULL",
    "CREATE UNIQUE INDEX rfm_models_last ON rfm_models (merchant_id, shop_id, currency) WHERE valid_to IS NULL",
    "CREATE UNIQUE INDEX segment_members_now ON segment_members (merchant_id, segment_id, customer_id) WHERE left_at IS NULL",
    "CREATE INDEX segment_members_past ON segment_members (merchant_id, segment_id, left_at) WHERE left_at IS NOT NULL",
    "CREATE UNIQUE INDEX staff_subject ON staff (merchant_id, oidc_subject) WHERE oidc_subject IS NOT NULL",
    "CREATE INDEX staff_role ON staff (merchant_id, role)",
    "CREATE INDEX staff_sessions_staff ON staff_sessions (merchant_id, staff_id, id)",
    "CREATE INDEX segment_members_customer ON segment_members (merchant_id, customer_id, segment_id) INCLUDE (id, left_at)",
]

CHECKS = {
    "attribution_windows": [
        "attribution_windows_touch CHECK (touch IN ('delivery', 'open', 'click', 'reminder'))",
        "attribution_windows_hours CHECK (hours >= 0)",
        "attribution_windows_valid CHECK (valid_to >= valid_from)",
    ],
    "campaign_proposals": [
        "campaign_proposals_state CHECK (state IN ('draft', 'review'))",
    ],
    "campaign_runs": [
        "campaign_runs_state CHECK (state IN ('planning', 'running', 'paused', 'finished', 'cancelled', 'missed'))",
    ],
    "campaigns": [
        "campaigns_state CHECK (state IN ('draft', 'review', 'approved', 'scheduled', 'running', 'paused', 'finished', 'cancelled'))",
        "campaigns_kind CHECK (kind IN ('broadcast', 'recurring', 'journey'))",
        "campaigns_class CHECK (message_class IN ('marketing', 'service'))",
    ],
    "consent_events": [
        "consent_events_status CHECK (status IN ('granted', 'denied', 'unproven'))",
    ],
    "consent_requests": [
        "consent_requests_state CHECK (state IN ('pending', 'confirmed', 'expired', 'replaced'))",
    ],
    "consents": [
        "consents_status CHECK (status IN ('granted', 'denied', 'unproven'))",
    ],
    "custom_fields": [
        "custom_fields_type CHECK (type IN ('text', 'int', 'decimal', 'bool', 'date', 'datetime', 'choice'))",
    ],
    "customer_merges": [
        "customer_merges_two CHECK (from_id <> into_id)",
    ],
    "dead_letters": [
        "dead_letters_state CHECK (state IN ('open', 'settled'))",
    ],
    "deliveries": [
        "deliveries_state CHECK (state IN ('pending', 'sending', 'sent', 'skipped', 'failed', 'unknown'))",
        "deliveries_receipt CHECK (receipt IN ('accepted', 'delivered', 'undelivered', 'bounced', 'complained'))",
        "deliveries_reason CHECK (state <> 'skipped' OR reason IS NOT NULL)",
    ],
    "delivery_receipts": [
        "delivery_receipts_status CHECK (status IN ('accepted', 'delivered', 'undelivered', 'bounced', 'complained'))",
    ],
    "enrolments": [
        "enrolments_state CHECK (state IN ('waiting', 'done', 'left'))",
        "enrolments_reason CHECK (state <> 'left' OR reason IS NOT NULL)",
    ],
    "job_files": [
        "job_files_role CHECK (role IN ('input', 'output'))",
    ],
    "jobs": [
        "jobs_state CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled'))",
    ],
    "lifecycle_models": [
        "lifecycle_models_days CHECK (0 < active AND active < silent AND silent < sleeping)",
        "lifecycle_models_source CHECK (source IN ('default', 'model', 'manual'))",
        "lifecycle_models_valid CHECK (valid_to >= valid_from)",
    ],
    "merge_suggestions": [
        "merge_suggestions_order CHECK (first_id < second_id)",
        "merge_suggestions_state CHECK (state IN ('open', 'accepted', 'rejected'))",
    ],
    "order_lines": [
        "order_lines_quantity CHECK (quantity > 0)",
    ],
    "platform_deeds": [
        "platform_deeds_state CHECK (state IN ('trying', 'done', 'failed', 'unknown'))",
    ],
    "points_entries": [
        "points_entries_kind CHECK (kind IN ('earn', 'spend', 'hold', 'return', 'reverse', 'adjust', 'transfer', 'import'))",
        "points_entries_lot CHECK (points <> 0 AND (NOT lot OR points > 0 AND available_at IS NOT NULL))",
    ],
    "points_holds": [
        "points_holds_state CHECK (state IN ('held', 'spent', 'released', 'lapsed'))",
    ],
    "points_requests": [
        "points_requests_state CHECK (state IN ('requested', 'approved', 'rejected'))",
    ],
    "referrals": [
        "referrals_state CHECK (state IN ('waiting', 'granted', 'refused', 'undone'))",
        "referrals_reason CHECK (state <> 'refused' OR reason IS NOT NULL)",
    ],
    "redemptions": [
        "redemptions_state CHECK (state IN ('requested', 'fulfilled', 'cancelled'))",
    ],
    "rewards": [
        "rewards_numbers CHECK (cost > 0 AND stock >= 0 AND per_customer > 0)",
    ],
    "orders": [
        "orders_amounts CHECK (total >= 0 AND paid >= 0 AND refunded >= 0)",
        "orders_state CHECK (state IN ('created_unpaid', 'paid_on_hold', 'to_ship', 'part_shipped', 'shipped', 'delivered', 'completed', 'closed_unpaid', 'closed_refunded'))",
    ],
    "parcel_events": [
        "parcel_events_kind CHECK (kind IN ('shipped', 'in_transit', 'arrived_city', 'out_for_delivery', 'signed', 'failed', 'returned'))",
    ],
    "parcels": [
        "parcels_state CHECK (state IN ('shipped', 'in_transit', 'arrived_city', 'out_for_delivery', 'signed', 'failed', 'returned'))",
    ],
    "product_cycles": [
        "product_cycles_days CHECK (days > 0 AND sample > 0)",
    ],
    "refunds": [
        "refunds_amount CHECK (amount >= 0)",
        "refunds_kind CHECK (kind IN ('refund_only', 'return', 'exchange', 'resend'))",
        "refunds_state CHECK (state IN ('requested', 'await_return', 'return_in_transit', 'refused', 'refunded', 'cancelled', 'resolved'))",
    ],
    "retention_rules": [
        "retention_rules_days CHECK (days > 0)",
    ],
    "reviews": [
        "reviews_sign CHECK (sign IN (-1, 0, 1))",
        "reviews_stars CHECK (stars BETWEEN 1 AND 5)",
        "reviews_negative CHECK (negative IN ('bad', 'neutral', 'keyword'))",
    ],
    "rfm_models": [
        "rfm_models_valid CHECK (valid_to >= valid_from)",
        "rfm_models_bounds CHECK (cardinality(r_bounds) = 4 AND cardinality(f_bounds) = 4 AND cardinality(m_bounds) = 4 AND cardinality(percentiles) = 99)",
    ],
    "segment_members": [
        "segment_members_times CHECK (left_at >= entered_at)",
    ],
    "segments": [
        "segments_kind CHECK (kind IN ('dynamic', 'snapshot', 'list'))",
    ],
    "sending_caps": [
        "sending_caps_numbers CHECK (messages >= 0 AND hours > 0)",
    ],
    "sending_holidays": [
        "sending_holidays_kind CHECK (kind IN ('quiet', 'off', 'working') AND (kind = 'quiet' OR NOT service))",
    ],
    "sending_rates": [
        "sending_rates_numbers CHECK (messages > 0 AND seconds > 0)",
    ],
    "shop_connections": [
        "shop_connections_state CHECK (state IN ('connected', 'needs_authorisation', 'revoked', 'disconnected'))",
    ],
    "suppression_events": [
        "suppression_events_action CHECK (action IN ('added', 'removed'))",
    ],
    "sync_slices": [
        "sync_slices_state CHECK (state IN ('waiting', 'done', 'failed'))",
        "sync_slices_times CHECK (starts_at <= ends_at)",
    ],
    "webhook_calls": [
        "webhook_calls_state CHECK (state IN ('pending', 'done', 'failed'))",
    ],
    "webhook_messages": [
        "webhook_messages_state CHECK (state IN ('pending', 'done', 'failed'))",
        "webhook_messages_next CHECK ((state = 'pending') = (next_at IS NOT NULL))",
    ],
    "webhooks": [
        "webhooks_pause_reason CHECK (pause_reason IN ('person', 'failures', 'gone'))",
    ],
    "variant_winners": [
        "variant_winners_reason CHECK (reason IN ('best', 'tie', 'too_few'))",
    ],
    "waiting_records": [
        "waiting_records_kind CHECK (kind IN ('parcel', 'refund', 'review'))",
    ],
}

STORAGE = [
    # a hot ledger: updates stay on the page when there is room
    "ALTER TABLE deliveries SET (fillfactor = 70)",
    # rows come and go, and the next look passes over the dead
    "ALTER TABLE customer_changes SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000)",
]


def statements() -> list[str]:
    made = ["ALTER TABLE merchants ADD PRIMARY KEY (id)"]
    for table in TABLES:
        made.append(f"ALTER TABLE {table} ADD PRIMARY KEY (merchant_id, id)")
        if table in UNIQUE:
            made.append(
                f"ALTER TABLE {table} ADD CONSTRAINT {table}_unique_1 "
                f"UNIQUE (merchant_id, {UNIQUE[table]})"
            )
        made += [f"ALTER TABLE {table} ADD CONSTRAINT {check}" for check in CHECKS.get(table, [])]
    return [*made, *STORAGE, *INDEXES, *logs.statements(), *segments.statements(),
            *attribution.statements()]


class Migration(migrations.Migration):
    dependencies = [("core", "0001_initial")]

    operations = [ops.RunSQL(statements(), reverse_sql=ops.RunSQL.noop)]
