"""What can be exported of orders."""

from core.domain.customers.masking import ADDRESS, NAME, PHONE
from core.tabular.exporting import Column, ExportTable, opaque

_OF_ORDER = "x.merchant_id = o.merchant_id AND x.order_id = o.id"
_RECEIVER = ("o.receiver_sealed", "orders.receiver")

ORDERS = ExportTable(
    "orders", "orders o", "o", "ORDERS_READ",
    [
        Column("id", opaque("Order", "o.id")),
        Column("external_id", "o.external_id"),
        Column(
            "shop",
            "(SELECT s.name FROM shops s WHERE s.merchant_id = o.merchant_id AND s.id = o.shop_id)",
        ),
        Column("customer_id", opaque("Customer", "o.customer_id")),
        Column("state", "o.state"),
        Column("platform_state", "o.platform_state"),
        Column("currency", "o.currency"),
        Column("total", "o.total", currency="o.currency"),
        Column("paid", "o.paid", currency="o.currency"),
        Column("refunded", "o.refunded", currency="o.currency"),
        Column("ordered_at", "o.ordered_at"),
        Column("paid_at", "o.paid_at"),
        Column("shipped_at", "o.shipped_at"),
        Column("delivered_at", "o.delivered_at"),
        Column("closed_at", "o.closed_at"),
        Column("province", "o.province"),
        Column("city", "o.city"),
        *(
            Column(f"receiver_{kind.name}", *_RECEIVER, part=kind.name, needs=kind.permission,
                   mask=kind.mask)
            for kind in (NAME, PHONE, ADDRESS)
        ),
        Column(
            "titles",
            "(SELECT COALESCE(array_agg(x.title ORDER BY x.id), '{}') FROM order_lines x "
            f"WHERE {_OF_ORDER})",
        ),
        Column(
            "quantity", f"(SELECT sum(x.quantity)::bigint FROM order_lines x WHERE {_OF_ORDER})"
        ),
        Column(
            "tracking_numbers",
            "(SELECT COALESCE(array_agg(x.tracking_number ORDER BY x.id), '{}') FROM parcels x "
            f"WHERE {_OF_ORDER})",
        ),
    ],
)  # fmt: skip

REFUNDS = ExportTable(
    "refunds", "refunds r JOIN orders o ON o.merchant_id = r.merchant_id AND o.id = r.order_id",
    "r", "ORDERS_READ",
    [
        Column("id", opaque("Refund", "r.id")),
        Column("external_id", "r.external_id"),
        Column("order_id", opaque("Order", "r.order_id")),
        Column("order_external_id", "o.external_id"),
        Column("customer_id", opaque("Customer", "o.customer_id")),
        Column("kind", "r.kind"),
        Column("state", "r.state"),
        Column("reason", "r.reason"),
        Column("currency", "o.currency"),
        Column("amount", "r.amount", currency="o.currency"),
        Column("quantity", "r.quantity::bigint"),
        Column(
            "title",
            "(SELECT x.title FROM order_lines x WHERE x.merchant_id = r.merchant_id "
            "AND x.id = r.line_id)",
        ),
        Column("requested_at", "r.requested_at"),
        Column("refunded_at", "r.refunded_at"),
        Column("closed_at", "r.closed_at"),
    ],
)  # fmt: skip
