"""What core's campaign tables hold about a person; see core.sdk.personal."""

from core.sdk.personal import PersonalTable

PERSONAL_TABLES = [
    PersonalTable("enrolments", "enrolments", "Journeys", unique=("campaign_id", "entry_key")),
    PersonalTable("webhook_calls", "webhook_calls", "Calls to your server",
                  unique=("run_id", "step", "enrolment_id")),
    # the ledger's figures stay; a message of a run that both customers got stays with its own
    PersonalTable("deliveries", "deliveries", "Messages", unique=("run_id", "step", "enrolment_id"),
                  erase="blank", blank=("provider_id", "detail")),
    PersonalTable("link_clicks", "link_clicks", "Clicks", parent=("delivery_id", "deliveries"),
                  erase="keep"),
    PersonalTable("message_links", "message_links", "Links",
                  parent=("delivery_id", "deliveries"), on_merge="keep"),
    PersonalTable("receipts", "delivery_receipts", "What became of messages",
                  parent=("delivery_id", "deliveries"), hidden=("address_index",), erase="blank",
                  blank=("provider_id", "address_index", "detail"), on_merge="keep"),
    PersonalTable("replies", "inbound_messages", "Replies", hidden=("address_index",),
                  sealed={"text_sealed": "inbound_messages.text"}),
]  # fmt: skip
