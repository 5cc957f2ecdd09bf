"""Indexes for searching customers, and for values of custom fields of any length.

A text value may be longer than an index entry can be, so the index holds its head.
"""

from tortoise import migrations
from tortoise.migrations import operations as ops

STATEMENTS = [
    "DROP INDEX custom_field_values_text",
    """CREATE INDEX custom_field_values_text ON custom_field_values
       (merchant_id, field_id, left(text, 64), customer_id) WHERE text IS NOT NULL""",
    "DROP INDEX customers_name",
    """CREATE INDEX customers_name ON customers
       (merchant_id, lower(normalize(name, NFKC)) text_pattern_ops) WHERE name IS NOT NULL""",
    """CREATE INDEX customer_tags_search ON customer_tags
       (merchant_id, lower(normalize(tag, NFKC)) text_pattern_ops, customer_id)""",
]


class Migration(migrations.Migration):
    dependencies = [("core", "0007_identity")]

    operations = [ops.RunSQL(STATEMENTS, reverse_sql=ops.RunSQL.noop)]
