"""What the plugin holds about customers, and what of it their timeline shows."""

from core.sdk import PersonalTable, TimelineSource

# rows stay when a person is erased: what was given and redeemed adds up without knowing to whom
PERSONAL_TABLES = [
    PersonalTable(
        "coupons_coupons", "coupons_coupons", "Coupons", erase="blank",
        blank=("customer_id", "address"), hidden=("address",),
    ),
    PersonalTable(
        "coupons_entries", "coupons_entries", "What happened to coupons", erase="blank",
        blank=("customer_id",),
    ),
]  # fmt: skip

KINDS = {
    "coupons.held": "A coupon was printed for a parcel: {name}",
    "coupons.granted": "Got a coupon: {name}",
    "coupons.claimed": "Took a coupon: {name}",
    "coupons.reserved": "Reserved a coupon for an order: {name}",
    "coupons.redeemed": "Used a coupon: {name}",
    "coupons.released": "Got a coupon back: {name}",
    "coupons.expired": "A coupon expired: {name}",
    "coupons.revoked": "A coupon was taken back: {name}",
    "coupons.unknown": "Perhaps got a coupon on the platform: {name}",
    "coupons.transferred": "Was given somebody's coupon: {name}",
}
TIMELINE = TimelineSource(
    name="coupons",
    kinds=KINDS,
    sql="""SELECT e.at, 'coupons.' || e.kind AS kind, e.id AS key, NULL AS object_type,
                  NULL AS object_id, t.name, e.amount, t.currency
           FROM coupons_entries e
           JOIN coupons_templates t ON t.merchant_id = $1 AND t.id = e.template_id
           WHERE e.merchant_id = $1 AND e.customer_id = $2 AND e.at >= $3""",
    data="jsonb_build_object('name', name)",
    permission="COUPONS_READ",
)
