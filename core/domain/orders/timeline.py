"""What the timeline of a customer shows of orders, parcels, refunds and reviews.

Parcels and refunds are found by the ids of the customer's orders, given as an array: thousands of
them are then one walk through the index instead of thousands of look-ups.
"""

from core.sdk.timeline import TimelineSource

COMMON = {
    "core_orders": """SELECT id, external_id, ordered_at, paid_at, shipped_at, delivered_at,
                             closed_at
                      FROM orders WHERE merchant_id = $1 AND customer_id = $2"""
}
ORDER_IDS = "ARRAY(SELECT id FROM core_orders)"


def _of_order(name: str, kind: str, title: str, column: str) -> TimelineSource:
    return TimelineSource(
        name=name,
        kinds={kind: title},
        sql=f"""SELECT {column} AS at, '{kind}' AS kind, id AS key, 'Order' AS object_type,
                       id AS object_id, external_id AS number
                FROM core_orders WHERE {column} >= $3""",
        data="jsonb_build_object('number', number)",
        permission="ORDERS_READ",
        common=COMMON,
    )


TIMELINE = [
    # of one instant, what comes later in this list is the newer
    _of_order("order_1_placed", "order.placed", "Order {number} placed", "ordered_at"),
    _of_order("order_2_paid", "order.paid", "Order {number} paid", "paid_at"),
    _of_order("order_3_shipped", "order.shipped", "Order {number} shipped", "shipped_at"),
    _of_order("order_4_delivered", "order.delivered", "Order {number} delivered", "delivered_at"),
    _of_order("order_5_closed", "order.closed", "Order {number} closed", "closed_at"),
    TimelineSource(
        name="parcel",
        kinds={
            "parcel.shipped": "Parcel {number} shipped",
            "parcel.in_transit": "Parcel {number} in transit",
            "parcel.arrived_city": "Parcel {number} arrived in the city",
            "parcel.out_for_delivery": "Parcel {number} out for delivery",
            "parcel.signed": "Parcel {number} signed for",
            "parcel.failed": "Parcel {number} could not be delivered",
            "parcel.returned": "Parcel {number} returned",
        },
        sql=f"""SELECT e.at, 'parcel.' || e.kind AS kind, e.id AS key, 'Order' AS object_type,
                       p.order_id AS object_id, p.tracking_number AS number, p.carrier
                FROM parcels p
                JOIN parcel_events e ON e.merchant_id = $1 AND e.parcel_id = p.id
                WHERE p.merchant_id = $1 AND p.order_id = ANY({ORDER_IDS})
                  AND (p.last_event_at IS NULL OR p.last_event_at >= $3)""",
        data="jsonb_build_object('number', number, 'carrier', carrier)",
        permission="ORDERS_READ",
        common=COMMON,
    ),
    TimelineSource(
        name="refund",
        kinds={
            "refund.requested": "Refund {number} asked for",
            "refund.refunded": "Refund {number} paid out",
            "refund.closed": "Refund {number} closed",
        },
        sql=f"""SELECT e.at, e.kind, r.id * 4 + e.place AS key, 'Refund' AS object_type,
                       r.id AS object_id, r.external_id AS number, r.kind AS asked
                FROM refunds r
                CROSS JOIN LATERAL (VALUES (1, 'refund.requested', r.requested_at),
                    (2, 'refund.refunded', r.refunded_at),
                    (3, 'refund.closed', r.closed_at)) e (place, kind, at)
                WHERE r.merchant_id = $1 AND r.order_id = ANY({ORDER_IDS})""",
        data="jsonb_build_object('number', number, 'kind', asked)",
        permission="ORDERS_READ",
        common=COMMON,
    ),
    TimelineSource(
        name="review",
        kinds={
            "review.good": "Good review",
            "review.neutral": "Neutral review",
            "review.bad": "Bad review",
            "review.unrated": "Review",
        },
        sql="""SELECT r.at, 'review.' || CASE r.sign WHEN 1 THEN 'good' WHEN 0 THEN 'neutral'
                       WHEN -1 THEN 'bad' ELSE 'unrated' END AS kind, r.id AS key,
                       'Review' AS object_type, r.id AS object_id, r.stars, r.text
                FROM reviews r WHERE r.merchant_id = $1 AND r.customer_id = $2 AND r.at >= $3""",
        data="jsonb_build_object('stars', stars, 'text', text)",
        permission="ORDERS_READ",
    ),
]
