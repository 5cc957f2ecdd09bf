"""Primary and unique keys, all led by merchant_id, indexes and checks."""

from tortoise import migrations
from tortoise.migrations import operations as ops

UNIQUE = {
    "packages_inserts": "name",
    "packages_stock": "insert_id, warehouse",
    "packages_rules": "name",
    "packages_parcels": "order_id, number",
    "packages_choices": "parcel_id, rule_id",
}
KINDS = "'card', 'sample', 'gift', 'leaflet', 'coupon', 'packing', 'note'"


def statements() -> list[str]:
    return [
        *(f"ALTER TABLE {table} ADD PRIMARY KEY (merchant_id, id)"
          for table in [*UNIQUE, "packages_waves"]),
        *(f"ALTER TABLE {table} ADD UNIQUE (merchant_id, {columns})"
          for table, columns in UNIQUE.items()),
        f"ALTER TABLE packages_inserts ADD CHECK (kind IN ({KINDS}))",
        "ALTER TABLE packages_stock ADD CHECK (on_hand >= 0 AND reserved >= 0)",
        "ALTER TABLE packages_parcels ADD CHECK (late IN ('closed', 'refund'))",
        "ALTER TABLE packages_parcels ADD CHECK"
        " (remark IN ('trying', 'done', 'failed', 'unknown', 'stale'))",
        "ALTER TABLE packages_choices ADD CHECK (outcome BETWEEN 1 AND 9)",
        "CREATE INDEX packages_parcels_wave ON packages_parcels (merchant_id, wave_id)",
        "CREATE INDEX packages_parcels_customer ON packages_parcels (merchant_id, customer_id)",
        "CREATE INDEX packages_choices_customer ON packages_choices (merchant_id, customer_id, at)",
        "CREATE INDEX packages_choices_rule ON packages_choices (merchant_id, rule_id, at)",
    ]  # fmt: skip


class Migration(migrations.Migration):
    dependencies = [("packages", "0001_initial")]

    operations = [ops.RunSQL(statements(), reverse_sql=ops.RunSQL.noop)]
