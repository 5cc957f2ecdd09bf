"""Words for members, points, rewards and tasks."""

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
    },
    "Tier": {
        "rank": "Orders the tiers; greater is better.",
        "keepThreshold": "What is needed to stay in it.",
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
    },
    "TaskState": {
        "OPEN": "To be done.",
        "CANCELLED": "Called off.",
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
}
