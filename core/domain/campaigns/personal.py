"""What core's campaign tables hold about a person; see core.sdk.personal."""

from core.sdk.personal import PersonalTable

PERSONAL_TABLES = [
    # the ledger's figures stay; a message of a run that both customers got stays with its own
    PersonalTable("deliveries", "deliveries", "Messages", unique=("run_id", "step"),
                  erase="blank", blank=("provider_id", "detail")),
]  # fmt: skip
