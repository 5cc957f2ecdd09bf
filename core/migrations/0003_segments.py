"""Kinds and members of segments, and the customers whose membership may have changed."""

from tortoise import migrations
from tortoise.migrations import operations as ops
from core.storage.models import Id
from tortoise import fields

STATEMENTS = [
    "ALTER TABLE segment_members ADD PRIMARY KEY (merchant_id, id)",
    "ALTER TABLE customer_changes ADD PRIMARY KEY (merchant_id, id)",
    # rows come and go, and the next look passes over the dead
    "ALTER TABLE customer_changes SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000)",
    "ALTER TABLE segments ADD CONSTRAINT segments_kind CHECK (kind IN ('dynamic', 'snapshot', 'list'))",
    "ALTER TABLE segment_members ADD CONSTRAINT segment_members_times CHECK (left_at >= entered_at)",
    "CREATE UNIQUE INDEX segment_members_now ON segment_members (merchant_id, segment_id, customer_id) WHERE left_at IS NULL",
    "CREATE INDEX segment_members_past ON segment_members (merchant_id, segment_id, left_at) WHERE left_at IS NOT NULL",
    "CREATE INDEX segment_members_customer ON segment_members (merchant_id, customer_id, segment_id)",
    "CREATE INDEX order_lines_product ON order_lines (merchant_id, product_id, order_id) WHERE product_id IS NOT NULL",
]

# How many are in a segment is counted where its members change, whoever changes them: a refresh,
# a list's import, a merge of two customers, an erasure.
SIZES = [
    """CREATE FUNCTION segment_members_count() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN
           IF TG_OP = 'INSERT' THEN
               UPDATE segments s SET size = s.size + n.members
               FROM (SELECT merchant_id, segment_id, count(*) AS members FROM changed
                     WHERE left_at IS NULL GROUP BY merchant_id, segment_id) n
               WHERE s.merchant_id = n.merchant_id AND s.id = n.segment_id;
           ELSIF TG_OP = 'DELETE' THEN
               UPDATE segments s SET size = s.size - n.members
               FROM (SELECT merchant_id, segment_id, count(*) AS members FROM changed
                     WHERE left_at IS NULL GROUP BY merchant_id, segment_id) n
               WHERE s.merchant_id = n.merchant_id AND s.id = n.segment_id;
           ELSE
               UPDATE segments s SET size = s.size + n.members
               FROM (SELECT merchant_id, segment_id, sum(members) AS members
                     FROM (SELECT merchant_id, segment_id, 1 AS members FROM changed
                           WHERE left_at IS NULL
                           UNION ALL
                           SELECT merchant_id, segment_id, -1 FROM before
                           WHERE left_at IS NULL) both_
                     GROUP BY merchant_id, segment_id HAVING sum(members) <> 0) n
               WHERE s.merchant_id = n.merchant_id AND s.id = n.segment_id;
           END IF;
           RETURN NULL;
       END $$""",
]

# Whether a merchant has a segment that follows its customers. Whoever begins to follow takes the
# lock alone: it waits for the transactions that saw nobody follow, whose changes are not logged.
FOLLOWS = """
    CREATE FUNCTION huike_follows(bigint, deliveries boolean) RETURNS boolean
    LANGUAGE plpgsql AS $$
    BEGIN
        FOR attempt IN 1..2 LOOP
            IF EXISTS (SELECT 1 FROM segments WHERE merchant_id = $1 AND kind = 'dynamic'
                          AND filled_at IS NOT NULL AND (watches_deliveries OR NOT deliveries)) THEN
                RETURN TRUE;
            END IF;
            PERFORM pg_advisory_xact_lock_shared(26726, ($1 % 2147483648)::int);
        END LOOP;
        RETURN FALSE;
    END $$
"""

CUSTOMER = ("", "{row}.customer_id")
OF_ORDER = (
    "JOIN orders o ON o.merchant_id = {row}.merchant_id AND o.id = {row}.order_id",
    "o.customer_id",
)
OF_ADDRESS = (
    """CROSS JOIN LATERAL (
           SELECT id FROM customers
           WHERE merchant_id = {row}.merchant_id AND phone_index = {row}.address_index
           UNION ALL SELECT id FROM customers
           WHERE merchant_id = {row}.merchant_id AND email_index = {row}.address_index) p""",
    "p.id",
)

OF_MERGE = (
    "CROSS JOIN LATERAL (VALUES ({row}.from_id), ({row}.into_id)) p (id)",
    "p.id",
)

# By table: whose row it is, and the columns that a rule may ask for; a change of others, such as
# of the version or of when the row was taken in, is none.
WATCHED = {
    "customers": (
        ("", "{row}.id"),
        "name, country, province, city, birthday, phone_index, email_index, created_at",
    ),
    "customer_tags": (CUSTOMER, "customer_id, tag, source, created_at"),
    "customer_identities": (CUSTOMER, "customer_id, scope, scope_id, kind, value"),
    "customer_merges": (OF_MERGE, "into_id, undone_at"),
    "custom_field_values": (CUSTOMER, "customer_id, field_id, text, number, moment"),
    "consents": (CUSTOMER, "customer_id, shop_id, channel, purpose, status, at"),
    "suppressions": (OF_ADDRESS, "shop_id, channel, address_index, reason, at"),
    "orders": (
        CUSTOMER,
        "shop_id, customer_id, state, platform_state, currency, total, paid, refunded, ordered_at, "
        "paid_at, shipped_at, delivered_at, closed_at, province, city, in_dispute",
    ),
    "order_lines": (OF_ORDER, "order_id, title, product_id, category, sku, quantity, amount"),
    "parcels": (OF_ORDER, "order_id, carrier, state, shipped_at, signed_at, last_event_at"),
    "refunds": (
        OF_ORDER,
        "order_id, kind, state, reason, amount, quantity, requested_at, refunded_at, closed_at",
    ),
    # figures come and go with orders, but change with the shop's time zone as well
    "customer_facts": (
        CUSTOMER,
        "customer_id, orders, purchases, first_purchase_at, second_purchase_at, last_purchase_at, "
        "days_between, paid, refunded, refunds",
    ),
    "deliveries": (CUSTOMER, "customer_id, run_id, reason, state"),
}

ONLY = {"customer_facts": ("UPDATE",)}
EVENTS = {
    "INSERT": "NEW TABLE AS changed",
    "UPDATE": "OLD TABLE AS before NEW TABLE AS changed",
    "DELETE": "OLD TABLE AS changed",
}

# Any table with merchant_id and customer_id can be watched: a plugin's triggers call this one.
ANY_TABLE = "huike_customers_changed"


def watch_function(
    name: str, customer: tuple[str, str], columns: str, watches_deliveries: bool = False
) -> str:
    """A trigger function that logs whose rows of a statement changed.

    Its transition tables are `changed` and, of an update, `before`.
    """
    join, owner = customer

    def rows(table: str, row: str, where: str = "") -> str:
        return f"""SELECT {row}.merchant_id, {owner.format(row=row)} AS customer_id
            FROM {table} {row} {join.format(row=row)} {where}"""

    differ = "TRUE"
    if columns:
        before, after = (
            ", ".join(f"{row}.{one}" for one in columns.split(", ")) for row in ("b", "n")
        )
        differ = f"({before}) IS DISTINCT FROM ({after})"
    if watches_deliveries:
        # on its way to the channel it is neither sent nor refused
        differ += " AND n.state NOT IN ('pending', 'sending')"
    same = "{0}.merchant_id = {1}.merchant_id AND {0}.id = {1}.id AND " + differ
    old = f"WHERE EXISTS (SELECT 1 FROM changed n WHERE {same.format('n', 'b')})"
    new = f"WHERE EXISTS (SELECT 1 FROM before b WHERE {same.format('b', 'n')})"

    def insert(source: str) -> str:
        return f"""INSERT INTO customer_changes (merchant_id, customer_id)
            SELECT DISTINCT r.merchant_id, r.customer_id FROM ({source}) r
            WHERE r.customer_id IS NOT NULL AND r.merchant_id = ANY(followed)"""

    return f"""
        CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
            followed bigint[];
        BEGIN
            SELECT array_agg(m.merchant_id) INTO followed
            FROM (SELECT DISTINCT merchant_id FROM changed OFFSET 0) m
            WHERE huike_follows(m.merchant_id, {str(watches_deliveries).upper()});
            IF followed IS NULL THEN
                RETURN NULL;
            END IF;
            IF TG_OP = 'UPDATE' THEN
                {insert(rows("before", "b", old) + " UNION ALL " + rows("changed", "n", new))};
            ELSE
                {insert(rows("changed", "n"))};
            END IF;
            RETURN NULL;
        END $$
    """


def triggers(table: str, function: str, name: str) -> list[str]:
    return [
        f"""CREATE TRIGGER {name}_{event.lower()} AFTER {event} ON {table}
            REFERENCING {tables} FOR EACH STATEMENT EXECUTE FUNCTION {function}()"""
        for event, tables in EVENTS.items()
        if event in ONLY.get(table, EVENTS)
    ]


# Any table with a column of merchants' ids can make the merchant's segments ask everybody: these
# have the time zones that say when days begin.
ASK_EVERYBODY = [
    """CREATE FUNCTION huike_ask_everybody() RETURNS trigger LANGUAGE plpgsql AS $$
       DECLARE
           changed jsonb := to_jsonb(CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END);
       BEGIN
           UPDATE segments SET stale = 'refresh'
           WHERE merchant_id = (changed ->> TG_ARGV[0])::bigint AND kind = 'dynamic'
             AND stale IS NULL;
           RETURN NULL;
       END $$""",
    *(
        f"""CREATE TRIGGER {table}_other_days AFTER UPDATE OF time_zone ON {table} FOR EACH ROW
            WHEN (OLD.time_zone IS DISTINCT FROM NEW.time_zone)
            EXECUTE FUNCTION huike_ask_everybody('{column}')"""
        for table, column in (("shops", "merchant_id"), ("merchants", "id"))
    ),
]

# A merge moves members: it waits for a refresh that is writing them, and is then not in its way.
MERGES = [
    """CREATE FUNCTION customer_merges_hold_segments() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN
           PERFORM 1 FROM segments s
           WHERE s.merchant_id = NEW.merchant_id AND s.id IN (
               SELECT segment_id FROM segment_members WHERE merchant_id = NEW.merchant_id
                  AND customer_id IN (NEW.from_id, NEW.into_id))
           ORDER BY s.id FOR NO KEY UPDATE;
           RETURN NEW;
       END $$""",
    """CREATE TRIGGER customer_merges_hold_segments BEFORE INSERT OR UPDATE OF undone_at
       ON customer_merges FOR EACH ROW EXECUTE FUNCTION customer_merges_hold_segments()""",
]


def statements() -> list[str]:
    made = [*STATEMENTS, *SIZES, FOLLOWS, watch_function(ANY_TABLE, CUSTOMER, "")]
    made += triggers("segment_members", "segment_members_count", "segment_members_count")
    for table, (customer, columns) in WATCHED.items():
        function = f"{table}_changed"
        made.append(watch_function(function, customer, columns, table == "deliveries"))
        made += triggers(table, function, function)
    return [*made, *ASK_EVERYBODY, *MERGES]


class Migration(migrations.Migration):
    dependencies = [('core', '0002_keys')]

    initial = False

    operations = [
        ops.CreateModel(
            name='CustomerChange',
            fields=[
                ('id', Id(generated=True, primary_key=True, unique=True, db_index=True)),
                ('merchant_id', fields.BigIntField()),
                ('customer_id', fields.BigIntField()),
            ],
            options={'table': 'customer_changes', 'app': 'core', 'pk_attr': 'id', 'table_description': 'Something about a customer changed; its segments are asked again, and the row goes.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='SegmentMember',
            fields=[
                ('id', Id(generated=True, primary_key=True, unique=True, db_index=True)),
                ('merchant_id', fields.BigIntField()),
                ('segment_id', fields.BigIntField()),
                ('customer_id', fields.BigIntField()),
                ('entered_at', fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ('left_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'segment_members', 'app': 'core', 'pk_attr': 'id', 'table_description': "A customer's time in a segment: still in it while `left_at` is null."},
            bases=['Model'],
        ),
        ops.AlterModelOptions(
            name='Segment',
            options={'table': 'segments', 'app': 'core', 'pk_attr': 'id', 'table_description': 'A named set of customers.'},
        ),
        ops.AddField(
            model_name='Segment',
            name='description',
            field=fields.TextField(default='', db_default='', unique=False),
        ),
        ops.AddField(
            model_name='Segment',
            name='filled_at',
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddField(
            model_name='Segment',
            name='kind',
            field=fields.TextField(default='dynamic', db_default='dynamic', unique=False),
        ),
        ops.AddField(
            model_name='Segment',
            name='problem',
            field=fields.TextField(null=True, unique=False),
        ),
        ops.AddField(
            model_name='Segment',
            name='refreshed_at',
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddField(
            model_name='Segment',
            name='size',
            field=fields.IntField(default=0, db_default=0),
        ),
        ops.AddField(
            model_name='Segment',
            name='stale',
            field=fields.TextField(null=True, unique=False),
        ),
        ops.AddField(
            model_name='Segment',
            name='watches_deliveries',
            field=fields.BooleanField(default=False, db_default=False),
        ),
        ops.RunSQL(statements(), reverse_sql=ops.RunSQL.noop),
    ]
