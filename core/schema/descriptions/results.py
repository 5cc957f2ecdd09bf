"""Words for what campaigns achieved: sales, lift, and how orders are credited."""

_COUNTED = "Those that still count: not fully refunded or closed since."

RESULTS = {
    "AttributionRecomputeInput": {
        "from": "The first day.",
        "to": "The last day; 400 days at the most.",
    },
    "AttributionWindow AttributionWindowSetInput": {
        "touch": "Each kind of touch counts for a time of its own.",
    },
    "AttributionWindow": {
        "hours": "From the touch until the payment, at the most.",
        "actor": "Who decided, such as `staff:3`; null for the default.",
    },
    "AttributionWindowSetPayload": {"windows": "Those that hold now; null if it was refused."},
    "CampaignResults": {"figures": "Of all messages together."},
    "CampaignReturn": {"ratio": "With two decimals; 4 means that 1 spent brought 4 in."},
    "CampaignReport": {"madeAt": "When it was made, or made anew."},
    "CampaignLift": {
        "treated": "Whose message was meant to go out, arrived or not.",
        "control": "Who was held out, followed over the same time.",
        "incrementalSales": "Sales beyond those of as many customers of the control.",
    },
    "LiftGroup": {
        "": "The customers of a run who were treated, or those held out.",
        "customers": "All of them, whether they bought or not.",
        "buyers": "Those who bought within the time that is looked at.",
        "revenue": "Paid less refunded in that time.",
    },
    "LiftDifference": {
        "value": "As it was measured; more than 0 speaks for the campaign.",
        "low": "The lower end of the interval of 95 percent.",
        "high": "The upper end of the interval of 95 percent.",
        "verdict": "What to conclude.",
    },
    "LiftCurvePoint": {
        "customers": "How many that percentage is.",
        "responders": "Those among them who clicked or bought.",
    },
    "CustomerScore": {
        "NET_SALES": "By net sales of the year before the run.",
        "ORDERS": "By the number of orders of that year.",
        "RECENCY": "By how recent the last order of that year was.",
    },
    "CrmTotals": {
        "orders": _COUNTED,
        "sales": "Paid less refunded, of all orders.",
        "crmOrders": "Those of `orders` that are credited to a message.",
        "crmSales": "The part of `sales` that is credited to messages.",
        "crmBuyers": "Customers with such an order, each counted once.",
    },
    "CrmSales": {"total": "Of all the days; a buyer of several days counts once."},
    "CrmDay": {
        "": "Sales of one day.",
        "day": "In the shop's time zone.",
        "totals": "Of the orders that were paid on it.",
    },
    "CrmCampaign": {
        "campaignId": "Whose messages they are credited to.",
        "orders": _COUNTED,
        "buyers": "Customers with such an order.",
        "sales": "Paid less refunded of the credited orders.",
    },
}
