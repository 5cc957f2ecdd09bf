"""Words for points, rewards and tasks."""

POINTS = {
    "PointsBalance": {
        "available": "Can be spent now.",
        "pending": "Earned, not to be spent yet.",
        "held": "Set aside by `pointsHold`.",
        "expiring": "Of the available ones those that expire next, all at `expiresAt`.",
        "expiresAt": "When the next points expire; null if none do.",
    },
    "PointsEntry": {
        "kind": "Why the points came or went.",
        "points": "More than 0: they came. Less: they went.",
        "availableAt": "From when they can be spent.",
        "expiresAt": "When they expire; null: never.",
        "rule": "The earning rule that gave them.",
        "reason": "What was said about it.",
        "actor": "Who or what did it.",
        "at": "When it was written into the ledger.",
        "customer": "Whose points.",
        "order": "The order that they are for, if they are.",
    },
    "PointsEntryKind": {
        "EARN": "Given by a rule or by a call.",
        "SPEND": "Spent for good.",
        "HOLD": "Set aside.",
        "RETURN": "Spent points that were given back.",
        "REVERSE": "Taken back, since what they were given for was refunded.",
        "ADJUST": "Changed by staff.",
        "TRANSFER": "Came from, or went to, another customer.",
        "IMPORT": "Taken over from another system.",
    },
    "PointsRequest": {
        "state": "Whether somebody has decided.",
        "points": "How many would come or go.",
        "reason": "What was said about it.",
        "decidedBy": "Who has decided.",
        "requestedAt": "When it was asked for.",
        "decidedAt": "When it was approved or rejected; null while it waits.",
        "customer": "Whose points.",
    },
    "PointsRequestState": {
        "": "What became of a request to adjust points.",
        "REQUESTED": "Waits for somebody else's approval.",
        "APPROVED": "The points came or went.",
        "REJECTED": "Nothing came or went.",
    },
    "Membership": {
        "cardNumber": "What members show at the till.",
        "joinSource": "How the customer became a member.",
        "tier": "The tier now; null for none.",
        "tierSince": "Since when it is that tier.",
        "nextTier": "The next better one, and what is missing to it.",
        "joinShop": "The shop that won the member.",
        "joinedAt": "When this membership began; who left and came back joined anew.",
    },
    "Tier": {
        "rank": "Orders the tiers; greater is better.",
        "keepThreshold": "What is needed to stay in it.",
        "name": "For people, such as 金卡.",
    },
    "TierMeasure": {
        "NET_SPEND": "What was paid, less refunds.",
        "PURCHASES": "The number of purchases.",
        "POINTS": "The points earned.",
    },
    "Reward": {
        "settings": "For the plugin that hands it out.",
        "validFrom": "From when it can be redeemed.",
        "validUntil": "Until when it can be redeemed.",
        "name": "Unique among the merchant's rewards, for people.",
    },
    "RedemptionState": {
        "REQUESTED": "The points are taken; the reward is not handed out yet.",
        "FULFILLED": "The reward was handed out.",
        "CANCELLED": "The points were given back.",
    },
    "Task": {
        "kind": "What is to be done.",
        "title": "In a few words.",
        "state": "Whether it is done.",
        "dueAt": "By when it should be done.",
        "outcome": "What came of it.",
        "endedBy": "Who did it, or called it off.",
        "endedAt": "When it was done or called off; null while it is OPEN.",
    },
    "TaskState": {
        "OPEN": "To be done.",
        "CANCELLED": "Called off.",
        "DONE": "`outcome` says what came of it.",
    },
    "PointsHoldInput PointsSpendInput": {"points": "How many, more than 0."},
    "PointsEarnInput PointsHoldInput PointsSpendInput PointsAdjustInput": {
        "customerId": "Whose points.",
        "reason": "For the ledger and whoever reads it later.",
    },
    "PointsTransferInput": {
        "fromCustomerId": "Who gives.",
        "toCustomerId": "Who gets.",
        "points": "How many, more than 0.",
        "reason": "For the ledger and whoever reads it later.",
    },
    "PointsEntrySortField": {
        "AT": "By when it was written into the ledger.",
    },
    "PointsEntryWhere": {
        "customer": "Only those of these customers.",
        "order": "Only those for these orders.",
        "kind": "By why the points came or went.",
        "at": "By when it was written into the ledger.",
    },
    "PointsFigures": {
        "month": "The first day of the month.",
        "outstandingBefore": "Points that could be spent, or were to come, when the month began.",
        "earned": "Given by rules and calls.",
        "imported": "Taken over from another system.",
        "expired": "Unused until their last day.",
        "outstandingAfter": "Those when the month ended, or now if it is not over.",
        "liabilityAfterBreakage": "`liability` without what is expected to expire unused.",
    },
    "PointsHoldPayload": {
        "holdId": "For `pointsHoldSettle`; null if it was refused.",
    },
    "PointsHoldSettleInput": {
        "holdId": "As `pointsHold` gave it.",
    },
    "PointsHoldSettlePayload": {
        "holdId": "As handed in; null if it was refused.",
    },
    "PointsRequestSortField": {
        "REQUESTED_AT": "By when it was asked for.",
    },
    "PointsRequestWhere": {
        "customer": "Only those about these customers.",
        "state": "By whether somebody has decided.",
        "requestedAt": "By when it was asked for.",
    },
    "PointsReturnInput": {
        "entryId": "An entry that took points, such as one of `pointsSpend`.",
        "points": "How many; null: all that is left to give back of it.",
    },
    "PointsReturnPayload": {
        "entry": "The new entry, by which the points came back; null if it was refused.",
    },
    "PointsSpendInput": {
        "orderId": "The order that they pay for, if it is one.",
    },
    "PointsSpendPayload": {
        "entry": "The new entry, for `pointsReturn`; null if it was refused.",
    },
    "PointsTransferPayload": {
        "fromBalance": "The points of who gave, after it; null if it was refused.",
        "toBalance": "The points of who got them, after it; null if it was refused.",
    },
}
