"""What keeps segments up to date when data change; part of 0002_keys, and as unchangeable."""

# How many are in a segment is counted where its members change, whoever changes them: a refresh,
# a list's import, a merge of two customers, an erasure.
SIZES = """CREATE FUNCTION segment_members_count() RETURNS trigger LANGUAGE plpgsql AS $$
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
       END $$"""

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
    "reviews": (CUSTOMER, "shop_id, customer_id, at, sign, stars, text, later_text, negative"),
    # figures come and go with orders, but change with the shop's time zone as well
    "customer_facts": (
        CUSTOMER,
        "customer_id, orders, purchases, first_purchase_at, second_purchase_at, last_purchase_at, "
        "days_between, paid, refunded, refunds",
    ),
    "memberships": (CUSTOMER, "customer_id, joined_at, left_at, leave_source"),
    "tier_intervals": (CUSTOMER, "customer_id, tier_id, valid_to, review_at"),
    "platform_members": (
        CUSTOMER,
        "shop_id, customer_id, member, grade, joined_at, left_at, blacklisted, trade_count",
    ),
    # whatever takes points, or gives them back, adds an entry as well
    "points_entries": (CUSTOMER, "customer_id, points"),
    "deliveries": (
        CUSTOMER,
        "customer_id, run_id, reason, state, receipt, delivered_at, opened_at, clicked_at",
    ),
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


# Any table with a column of merchants' ids can make the merchant's segments ask everybody, by row
# or by statement: these have the time zones that say when days begin, and say who is in which
# stage, in which of RFM's groups, who has used a product up, and what a member misses to the next
# tier.
ASK_EVERYBODY = [
    """CREATE FUNCTION huike_ask_everybody() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN
           IF TG_LEVEL = 'STATEMENT' THEN
               UPDATE segments SET stale = 'refresh'
               WHERE merchant_id IN (SELECT merchant_id FROM changed) AND kind = 'dynamic'
                 AND stale IS NULL;
           ELSE
               UPDATE segments SET stale = 'refresh'
               WHERE merchant_id = (
                       to_jsonb(CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END) ->> TG_ARGV[0]
                   )::bigint
                 AND kind = 'dynamic' AND stale IS NULL;
           END IF;
           RETURN NULL;
       END $$""",
    *(
        f"""CREATE TRIGGER {table}_other_days AFTER UPDATE OF time_zone ON {table} FOR EACH ROW
            WHEN (OLD.time_zone IS DISTINCT FROM NEW.time_zone)
            EXECUTE FUNCTION huike_ask_everybody('{column}')"""
        for table, column in (("shops", "merchant_id"), ("merchants", "id"))
    ),
    *(
        f"""CREATE TRIGGER {table}_asks_everybody_{event.lower()} AFTER {event} ON {table}
            REFERENCING {"OLD" if event == "DELETE" else "NEW"} TABLE AS changed
            FOR EACH STATEMENT EXECUTE FUNCTION huike_ask_everybody()"""
        for table in ("lifecycle_models", "rfm_models", "product_cycles")
        for event in EVENTS
    ),
    # its version tells of other rules and of other tiers
    """CREATE TRIGGER programmes_asks_everybody AFTER INSERT OR UPDATE OF version ON programmes
       FOR EACH ROW EXECUTE FUNCTION huike_ask_everybody('merchant_id')""",
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

# Whoever watches a segment's size hears of it, whatever wrote its members down.
TELLS = [
    """CREATE FUNCTION segments_tell() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN
           PERFORM pg_notify('huike', format('segment:%s:%s', OLD.merchant_id, OLD.id));
           RETURN NULL;
       END $$""",
    """CREATE TRIGGER segments_tell_change AFTER UPDATE ON segments FOR EACH ROW
       WHEN ((OLD.size, OLD.refreshed_at, OLD.problem)
             IS DISTINCT FROM (NEW.size, NEW.refreshed_at, NEW.problem))
       EXECUTE FUNCTION segments_tell()""",
    """CREATE TRIGGER segments_tell_end AFTER DELETE ON segments FOR EACH ROW
       EXECUTE FUNCTION segments_tell()""",
]


def statements() -> list[str]:
    made = [SIZES, FOLLOWS, watch_function(ANY_TABLE, CUSTOMER, "")]
    made += triggers("segment_members", "segment_members_count", "segment_members_count")
    for table, (customer, columns) in WATCHED.items():
        function = f"{table}_changed"
        made.append(watch_function(function, customer, columns, table == "deliveries"))
        made += triggers(table, function, function)
    return [*made, *ASK_EVERYBODY, *MERGES, *TELLS]
