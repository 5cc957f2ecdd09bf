"""Primary and unique keys, all led by merchant_id, indexes and checks."""

from tortoise import migrations
from tortoise.migrations import operations as ops

STATES = "state IN ('stock', 'held', 'granted', 'reserved', 'redeemed', 'expired', 'revoked')"
WATCHED = {
    "insert": ("INSERT", "NEW TABLE AS changed"),
    "update": ("UPDATE", "OLD TABLE AS before NEW TABLE AS changed"),
    "delete": ("DELETE", "OLD TABLE AS changed"),
}


def statements() -> list[str]:
    tables = ("coupons_templates", "coupons_coupons", "coupons_entries", "coupons_guesses")
    return [
        *(f"ALTER TABLE {table} ADD PRIMARY KEY (merchant_id, id)" for table in tables),
        "ALTER TABLE coupons_templates ADD UNIQUE (merchant_id, handle)",
        "ALTER TABLE coupons_templates ADD UNIQUE (merchant_id, public_code)",
        "ALTER TABLE coupons_templates ADD CHECK (state IN ('active', 'paused', 'ended'))",
        "ALTER TABLE coupons_coupons ADD UNIQUE (merchant_id, code)",
        f"ALTER TABLE coupons_coupons ADD CHECK ({STATES})",
        "ALTER TABLE coupons_guesses ADD UNIQUE (merchant_id, client)",
        """CREATE UNIQUE INDEX coupons_coupons_key ON coupons_coupons (merchant_id, template_id, key)
           WHERE key IS NOT NULL""",
        """CREATE INDEX coupons_coupons_customer ON coupons_coupons (merchant_id, customer_id)
           WHERE customer_id IS NOT NULL""",
        """CREATE INDEX coupons_coupons_stock ON coupons_coupons (merchant_id, template_id, id)
           WHERE state = 'stock'""",
        """CREATE INDEX coupons_coupons_held ON coupons_coupons (merchant_id, key)
           WHERE state = 'held'""",
        """CREATE INDEX coupons_coupons_order ON coupons_coupons (merchant_id, order_ref)
           WHERE order_ref IS NOT NULL""",
        """CREATE INDEX coupons_coupons_lapse ON coupons_coupons (merchant_id, reserved_until)
           WHERE state = 'reserved'""",
        """CREATE INDEX coupons_coupons_end ON coupons_coupons (merchant_id, expires_at)
           WHERE state = 'granted'""",
        """CREATE INDEX coupons_coupons_message ON coupons_coupons (merchant_id, granted_at)
           WHERE source = 'message' AND state = 'granted'""",
        """CREATE INDEX coupons_coupons_day ON coupons_coupons
               (merchant_id, template_id, granted_at) WHERE granted_at IS NOT NULL""",
        """CREATE INDEX coupons_coupons_address ON coupons_coupons
               (merchant_id, address, redeemed_at) WHERE address IS NOT NULL""",
        """CREATE INDEX coupons_entries_customer ON coupons_entries (merchant_id, customer_id, at)
           WHERE customer_id IS NOT NULL""",
        "CREATE INDEX coupons_entries_coupon ON coupons_entries (merchant_id, coupon_id)",
        *(f"""CREATE TRIGGER coupons_coupons_{name} AFTER {event} ON coupons_coupons
              REFERENCING {rows} FOR EACH STATEMENT EXECUTE FUNCTION huike_customers_changed()"""
          for name, (event, rows) in WATCHED.items()),
    ]  # fmt: skip


class Migration(migrations.Migration):
    dependencies = [("coupons", "0001_initial")]

    operations = [ops.RunSQL(statements(), reverse_sql=ops.RunSQL.noop)]
