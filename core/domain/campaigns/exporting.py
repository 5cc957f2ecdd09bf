"""What can be exported of the delivery ledger."""

from core.tabular.exporting import Column, ExportTable, opaque

DELIVERIES = ExportTable(
    "deliveries",
    "deliveries d JOIN campaign_runs r ON r.merchant_id = d.merchant_id AND r.id = d.run_id "
    "JOIN campaigns a ON a.merchant_id = r.merchant_id AND a.id = r.campaign_id",
    "d", "CAMPAIGNS_READ",
    [
        Column("id", opaque("Delivery", "d.id")),
        Column("campaign", "a.name"),
        Column("campaign_id", opaque("Campaign", "a.id")),
        Column("run_id", opaque("CampaignRun", "d.run_id")),
        Column("step", "d.step"),
        Column("customer_id", opaque("Customer", "d.customer_id")),
        Column("channel", "d.channel"),
        Column("state", "d.state"),
        Column("reason", "d.reason"),
        Column("sent_at", "d.sent_at"),
        Column("updated_at", "d.updated_at"),
    ],
)  # fmt: skip
