"""What core's customer tables hold about a person; see core.sdk.personal."""

from core.sdk.personal import PersonalTable

PERSONAL_TABLES = [
    PersonalTable(
        "customers", "customers", "Customer", customer="id",
        sealed={"phone_sealed": "customers.phone", "email_sealed": "customers.email"},
        hidden=("phone_index", "email_index"), on_merge="keep",
    ),
    PersonalTable("identities", "customer_identities", "Ids on platforms"),
    PersonalTable("tags", "customer_tags", "Tags", unique=("tag",)),
    PersonalTable("log", "customer_log", "History"),
    PersonalTable("notes", "customer_notes", "Notes"),
    PersonalTable("tasks", "tasks", "Tasks of staff"),
    PersonalTable(
        "custom_fields", "custom_field_values", "Custom fields", unique=("field_id",)
    ),
    PersonalTable("consent_events", "consent_events", "Consent given and withdrawn"),
    # a merge folds the two states itself, so that it never widens consent
    PersonalTable("consents", "consents", "Present consent", on_merge="keep"),
    PersonalTable(
        "consent_requests", "consent_requests", "Consent asked for",
        hidden=("token_hash", "address_index"),
    ),
    PersonalTable("import_changes", "import_changes", "Imports", unique=("job_id",),
                  copies={"before": "customers"}),
    # merges have their own way; what they took out holds whole rows of the lost customer
    PersonalTable("merges", "customer_merges", "Merged customers", customer="into_id",
                  hidden=("filled", "marks"), on_merge="keep"),
    PersonalTable("merge_moves", "customer_merge_moves", "Rows of merged customers",
                  parent=("merge_id", "customer_merges"), hidden=("content",), on_merge="keep"),
    PersonalTable("merge_suggestions", "merge_suggestions", "Suggested merges",
                  customer="first_id", on_merge="keep"),
    PersonalTable("merge_suggestions_of_others", "merge_suggestions", "Suggested merges",
                  customer="second_id", on_merge="keep"),
]  # fmt: skip
