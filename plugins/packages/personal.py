"""What the plugin's tables hold about a person, and what a timeline shows of it."""

from core.sdk import PersonalTable, TimelineSource
from plugins.packages.outcomes import Outcome

PERSONAL_TABLES = [
    PersonalTable(
        "packages_parcels", "packages_parcels", "Parcels with inserts",
        erase="blank", blank=("customer_id",),
    ),
    PersonalTable(
        "packages_choices", "packages_choices", "Inserts of parcels",
        erase="blank", blank=("customer_id",),
    ),
]  # fmt: skip

TIMELINE = [
    TimelineSource(
        name="packages_insert",
        kinds={"packages.packed": "A parcel was packed with {inserts}"},
        sql=f"""SELECT p.packed_at AS at, 'packages.packed' AS kind, p.id AS key,
                       'Order' AS object_type, p.order_id AS object_id,
                       (SELECT string_agg(i.name, '、' ORDER BY i.name) FROM packages_choices c
                        JOIN packages_inserts i ON i.merchant_id = $1 AND i.id = c.insert_id
                        WHERE c.merchant_id = $1 AND c.parcel_id = p.id
                          AND c.outcome = {Outcome.GIVEN:d}) AS inserts
                FROM packages_parcels p
                WHERE p.merchant_id = $1 AND p.customer_id = $2 AND p.packed_at >= $3
                  AND EXISTS (SELECT 1 FROM packages_choices c WHERE c.merchant_id = $1
                              AND c.parcel_id = p.id AND c.outcome = {Outcome.GIVEN:d})""",
        data="jsonb_build_object('inserts', inserts)",
        permission="ORDERS_READ",
    )
]
