"""What core's order tables hold about a person; see core.sdk.personal.

An erasure leaves the order as a figure of the shop: nobody's, without receiver, buyer and city.
"""

from core.sdk.personal import PersonalTable

PERSONAL_TABLES = [
    PersonalTable(
        "orders", "orders", "Orders", sealed={"receiver_sealed": "orders.receiver"},
        hidden=("content_hash",), erase="blank",
        blank=("customer_id", "buyer_id", "receiver_sealed", "city"), stamp="erased_at",
    ),
    PersonalTable("order_lines", "order_lines", "Articles", parent=("order_id", "orders"),
                  erase="keep"),
    PersonalTable("parcels", "parcels", "Parcels", parent=("order_id", "orders")),
    PersonalTable("parcel_events", "parcel_events", "Parcels' traces",
                  parent=("parcel_id", "parcels")),
    PersonalTable("refunds", "refunds", "Refunds", parent=("order_id", "orders"),
                  hidden=("content_hash",), erase="blank", blank=("tracking_number",)),
    # a buyer's words go with him, the sign stays as a figure of the shop
    PersonalTable("reviews", "reviews", "Reviews", hidden=("content_hash",), erase="blank",
                  blank=("customer_id", "text", "later_text", "reply", "tags"),
                  stamp="erased_at"),
    # recomputed from the orders
    PersonalTable("facts", "customer_facts", "Figures", on_merge="keep"),
]  # fmt: skip
