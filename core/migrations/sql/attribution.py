"""What keeps the credit of orders up to date; part of 0002_keys, and as unchangeable."""

# Both logs are written in the transaction of the change itself. Of two that run at once each has
# its entry looked at after its own commit, and the later look sees what both did.

# Messages come long before the orders that they are credited with, so that an order of a merchant
# without any has nothing to be credited to.
ORDERS = """
    CREATE FUNCTION attribution_orders_changed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'INSERT' THEN
            INSERT INTO attribution_changes (merchant_id, customer_id, since)
            SELECT n.merchant_id, n.customer_id, min(n.paid_at) FROM changed n
            WHERE n.customer_id IS NOT NULL AND n.paid_at IS NOT NULL
              AND EXISTS (SELECT 1 FROM deliveries d WHERE d.merchant_id = n.merchant_id)
            GROUP BY n.merchant_id, n.customer_id;
        ELSE
            INSERT INTO attribution_changes (merchant_id, customer_id, since)
            SELECT n.merchant_id, n.customer_id, min(LEAST(n.paid_at, b.paid_at))
            FROM changed n JOIN before b ON b.merchant_id = n.merchant_id AND b.id = n.id
            WHERE n.customer_id IS NOT NULL AND LEAST(n.paid_at, b.paid_at) IS NOT NULL
              AND (n.customer_id, n.paid_at, n.state = 'closed_unpaid')
                  IS DISTINCT FROM (b.customer_id, b.paid_at, b.state = 'closed_unpaid')
              AND EXISTS (SELECT 1 FROM deliveries d WHERE d.merchant_id = n.merchant_id)
            GROUP BY n.merchant_id, n.customer_id;
        END IF;
        RETURN NULL;
    END $$
"""

# That a message was sent needs no entry: only later payments can be credited to it, and they have
# one. What is learned of it afterwards may come after the payment.
MESSAGES = """
    CREATE FUNCTION attribution_message_changed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO attribution_changes (merchant_id, customer_id, since)
        VALUES (NEW.merchant_id, NEW.customer_id, NEW.sent_at);
        RETURN NULL;
    END $$
"""

# A message notes its first click; each later one of a person is a later touch.
CLICKS = """
    CREATE FUNCTION attribution_clicked_again() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO attribution_changes (merchant_id, customer_id, since)
        SELECT d.merchant_id, d.customer_id, NEW.at FROM deliveries d
        WHERE d.merchant_id = NEW.merchant_id AND d.id = NEW.delivery_id
          AND d.clicked_at < NEW.at;
        RETURN NULL;
    END $$
"""


def statements() -> list[str]:
    return [
        ORDERS,
        """CREATE TRIGGER attribution_orders_insert AFTER INSERT ON orders
           REFERENCING NEW TABLE AS changed
           FOR EACH STATEMENT EXECUTE FUNCTION attribution_orders_changed()""",
        """CREATE TRIGGER attribution_orders_update AFTER UPDATE ON orders
           REFERENCING OLD TABLE AS before NEW TABLE AS changed
           FOR EACH STATEMENT EXECUTE FUNCTION attribution_orders_changed()""",
        MESSAGES,
        """CREATE TRIGGER attribution_message_changed AFTER UPDATE ON deliveries FOR EACH ROW
           WHEN (NEW.sent_at IS NOT NULL AND (
               (OLD.receipt, OLD.delivered_at, OLD.opened_at, OLD.clicked_at, OLD.customer_id)
               IS DISTINCT FROM
               (NEW.receipt, NEW.delivered_at, NEW.opened_at, NEW.clicked_at, NEW.customer_id)
               OR OLD.state = 'unknown' AND NEW.state = 'sent'))
           EXECUTE FUNCTION attribution_message_changed()""",
        CLICKS,
        """CREATE TRIGGER attribution_clicked_again AFTER UPDATE OF machine ON link_clicks
           FOR EACH ROW WHEN (NEW.machine IS FALSE)
           EXECUTE FUNCTION attribution_clicked_again()""",
    ]
