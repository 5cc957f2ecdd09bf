"""Words for the stages of customers' lifecycle, and the thresholds between them."""

_REASON = "Why, for staff, 1 to 200 characters."

LIFECYCLE = {
    "LifecycleDays": {
        "active": "Up to so many days the stage is ACTIVE.",
        "silent": "Up to so many days the stage is SILENT.",
        "sleeping": "Up to so many days the stage is SLEEPING; later, CHURNED.",
    },
    "CustomerLifecycle": {
        "stage": "By the days since the last purchase.",
        "daysSinceLastPurchase": "0 is today; null for who never bought.",
    },
    "CustomerRfm": {
        "group": "By whether recency, frequency and money are better than the mean.",
        "daysSinceLastPurchase": "0 is today.",
        "purchases": "Days of the last 365 on which something was bought.",
    },
    "LifecycleThresholds": {
        "days": "How long after the last purchase each stage lasts.",
        "source": "Who or what they come from.",
        "minAgeDays": "What the model was asked with; null for others.",
        "reason": "As who decided gave it; null for the default.",
        "actor": "Who decided, such as `staff:3`; null for the default.",
    },
    "LifecycleSource": {
        "DEFAULT": "Nobody decided, or too few customers came back for the model.",
        "MODEL": "The 5221 model proposed them.",
        "MANUAL": "Staff chose the days.",
    },
    "LifecycleModel": {
        "proposal(minAgeDays)": "0 to 3650; 0 looks at all customers.",
        "effect(active)": "1 to 3650 days.",
        "effect(silent)": "More days than `active`.",
        "effect(sleeping)": "More days than `silent`, up to 3650.",
    },
    "LifecycleProposal": {
        "meanDays": "How long they took on average, with one decimal; null if nobody came back.",
        "bars": "After how many days they came back, by weeks, for a chart.",
        "firstBuyers": "Customers who bought at least once, whether they came back or not.",
        "minAgeDays": "As it was asked for.",
        "note": "What to keep in mind with it, in English.",
        "noteZh": "What to keep in mind with it, in Chinese.",
    },
    "LifecycleBar": {
        "fromDays": "The first day of the bar, included.",
        "customers": "Whose second purchase came within these days.",
    },
    "LifecycleMove": {
        "to": "The same as `from` for those who stay.",
        "customers": "How many went this way.",
    },
    "LifecycleDay": {
        "day": "In the shop's time zone.",
        "stages": "All five, those without a customer too.",
    },
    "LifecycleCount": {
        "": "How many customers are in one stage.",
        "stage": "Each stage comes once.",
        "customers": "Who was in it when the day ended.",
    },
    "LifecycleStep": {
        "DAY": "Every day.",
        "WEEK": "Every seventh day, counted back from the last one.",
        "MONTH": "The last day of each month, and the last day asked for.",
    },
    "LifecycleThresholdsSetInput": {
        "active": "Days after the last purchase, at least 1.",
        "silent": "More days than `active`.",
        "sleeping": "More days than `silent`, up to 3650.",
        "reason": _REASON,
    },
    "LifecycleProposalApplyInput": {
        "reason": _REASON,
        "shopId": "Only for this shop; without it for all shops that have none of their own.",
        "minAgeDays": "Looks only at customers who first bought at least so many days ago.",
    },
}
