"""Words for rewards and referrals."""

REWARDS = {
    "Redemption": {
        "state": "Whether the customer has got it.",
        "points": "What it cost then; 0 for one that was given.",
        "requestedAt": "When it was redeemed, or given.",
        "settledAt": "When it was handed out or cancelled; null while it is REQUESTED.",
        "reward": "What it is for.",
        "customer": "Who gets it.",
    },
    "RedemptionCancelInput": {
        "reason": "Why, for colleagues to read; points and stock are given back.",
    },
    "RedemptionSortField": {
        "REQUESTED_AT": "By when it was redeemed, or given.",
    },
    "RedemptionWhere": {
        "customer": "Only those of these customers.",
        "reward": "Only those of these rewards.",
        "state": "By whether the customer has got it.",
        "requestedAt": "By when it was redeemed, or given.",
    },
    "Referral": {
        "state": "Where it stands; `explanation` says it in words.",
        "enteredAt": "When the code was entered.",
        "settledAt": "When it came to its present state; null while it waits.",
        "referrerEntry": "The points that the referrer got; null if none.",
        "customerEntry": "The points that the customer got; null if none.",
        "referrerRedemption": "The reward that the referrer got; null if none.",
        "customerRedemption": "The reward that the customer got; null if none.",
    },
    "ReferralCodeMakeInput": {
        "customerId": "A member, whose code it is to be; who has one keeps it.",
    },
    "ReferralCodeMakePayload": {
        "code": "As it is shown to people; null if it was refused.",
    },
    "ReferralCount": {
        "state": "Where they stand now.",
        "reason": "Why they were refused; null unless they were.",
        "referrals": "How many there are.",
    },
    "ReferralRefusal": {
        "SELF": "The code is the customer's own.",
        "NOT_NEW": "The customer had bought before the code was entered.",
        "SAME_PHONE": "Both sides have the same phone number.",
        "SAME_EMAIL": "Both sides have the same email address.",
        "SAME_ADDRESS": "Both sides' orders went to the same address.",
        "RING": "The customer, or somebody whom the customer referred, had referred the referrer.",
        "LEFT": "One of the two is no member.",
        "SECOND": "The customer was referred by somebody else before.",
        "MONTH_LIMIT": "The referrer has had all the referrals of this month.",
        "TOTAL_LIMIT": "The referrer has had all the referrals that one can have.",
        "STAFF": "Staff refused it by `referralRefuse`.",
    },
    "ReferralSortField": {
        "ENTERED_AT": "By when the code was entered.",
    },
    "ReferralState": {
        "WAITING": "The first purchase has not been made, or may still be returned.",
        "GRANTED": "The purchase was kept, and both sides have got theirs.",
        "REFUSED": "Nobody gets anything; `reason` says why.",
        "UNDONE": "The purchase was refunded after all, and what both had got was taken back.",
    },
    "ReferralWhere": {
        "customer": "By who has come.",
        "referrer": "By whose code it was.",
        "state": "By where it stands.",
        "reason": "By why it was refused.",
        "enteredAt": "By when the code was entered.",
    },
    "RewardCreateInput RewardUpdateInput": {
        "name": "Unique among the merchant's rewards, for people.",
        "cost": "How many points it takes, at least 1; what was redeemed before keeps its cost.",
        "stock": "How many there are to give; null: no limit.",
        "perCustomer": "How many one customer can have, at least 1; null: no limit.",
        "tierIds": "Only for members in these tiers; null: for every member.",
        "validFrom": "From when it can be redeemed; null: at once.",
        "validUntil": "Until when it can be redeemed, itself excluded; null: without end.",
    },
    "RewardCreateInput": {
        "provider": "Who hands it out: `gift`, by hand, or one that a plugin brings.",
        "settings": "An object that the provider takes; `gift` takes none.",
    },
    "RewardRedeemInput": {
        "rewardId": "What is wanted.",
        "customerId": "The member who pays for it with points.",
    },
    "RewardSortField": {
        "NAME": "By its name.",
    },
    "RewardWhere": {
        "validFrom": "By from when it can be redeemed.",
        "validUntil": "By until when it can be redeemed.",
    },
}
