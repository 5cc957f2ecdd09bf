"""What can be exported of customers."""

from core.domain.customers.masking import EMAIL, NAME, PHONE
from core.tabular.exporting import Column, ExportTable, opaque

_OF_CUSTOMER = "x.merchant_id = c.merchant_id AND x.customer_id = c.id"

CUSTOMERS = ExportTable(
    "customers", "customers c", "c", "CUSTOMERS_READ",
    [
        Column("id", opaque("Customer", "c.id")),
        Column("name", "c.name", needs=NAME.permission, mask=NAME.mask),
        Column("phone", "c.phone_sealed", sealed="customers.phone", needs=PHONE.permission,
               mask=PHONE.mask),
        Column("email", "c.email_sealed", sealed="customers.email", needs=EMAIL.permission,
               mask=EMAIL.mask),
        Column("birthday", "c.birthday"),
        Column("country", "c.country"),
        Column("province", "c.province"),
        Column("city", "c.city"),
        Column(
            "tags",
            "(SELECT COALESCE(array_agg(x.tag ORDER BY x.tag), '{}') FROM customer_tags x "
            f"WHERE {_OF_CUSTOMER})",
        ),
        Column(
            "consents",
            "(SELECT COALESCE(array_agg(x.channel || ':' || x.purpose || ':' || x.status "
            "ORDER BY x.channel, x.purpose, x.shop_id), '{}') FROM consents x "
            f"WHERE {_OF_CUSTOMER})",
        ),
        Column(
            "external_ids",
            "(SELECT COALESCE(array_agg(x.kind || ':' || x.value ORDER BY x.id), '{}') "
            f"FROM customer_identities x WHERE {_OF_CUSTOMER} "
            "AND x.kind NOT IN ('phone', 'email'))",
        ),
        Column("created_at", "c.created_at"),
        Column("updated_at", "c.updated_at"),
    ],
)  # fmt: skip
