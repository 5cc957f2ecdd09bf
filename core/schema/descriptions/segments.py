"""Words for what a segment's rule asks."""

_ARTICLES = {
    "productIds": "A line is of one of these products.",
    "skus": "A line is of one of these variants.",
    "categories": "A line is of one of these categories.",
    "titleContains": "A line's title has this in it, whatever its capitals.",
}
_DAYS = {
    "lastDays": "From so many days ago until today; today is 0.",
    "daysAgoAtLeast": "At least so many days ago; today is 0.",
    "daysAgoAtMost": "At most so many days ago; today is 0.",
    "fromDay": "From this day on, included.",
    "toDay": "Until this day, included.",
}
_MESSAGES = "Which messages count; without it, all."

SEGMENTS = {
    "SegmentRuleInput": {"not": "This must not hold."},
    "FacetParameter": {"name": "The field's name in the input."},
    "WindowInput": _DAYS,
    "OrderWindowInput": {
        **_DAYS,
        "lastHours": "Within so many hours before this second.",
        "event": "Count the days from this event of the same customer.",
        "daysAfterAtLeast": "At least so many days after the event.",
        "daysAfterAtMost": "At most so many days after the event.",
    },
    "AskedReviewSign": {
        "GOOD": "The platform's word for it (好评), or more than 3 stars.",
        "NEUTRAL": "The platform's word for it (中评), or 3 stars.",
        "BAD": "The platform's word for it (差评), or fewer than 3 stars.",
    },
    "CustomerEvent": {
        "FIRST_PURCHASE": "The customer bought for the first time.",
        "SECOND_PURCHASE": "The customer bought on a second day.",
        "LAST_PURCHASE": "The customer bought last.",
        "FIRST_SEEN": "The customer was taken in.",
    },
    "OrderFilterInput": {
        **_ARTICLES,
        "provinces": "It was sent to one of these.",
        "states": "It stands so now.",
        "amount": "It came to so much.",
        "inDispute": "Whether it is in dispute now.",
    },
    "RefundCountRuleInput": {
        **_ARTICLES,
        "kinds": "The buyer asked for one of these.",
        "states": "It stands so now.",
        "reasons": "It has one of these reasons.",
    },
    "MessageFilterInput": {
        "campaignIds": "Of one of these campaigns.",
        "channels": "By one of these channels.",
        "within": "Sent in this span of time; without it, ever.",
    },
    "ReceivedRuleInput MessageFailedRuleInput MessageDeliveredRuleInput MessageOpenedRuleInput "
    "MessageClickedRuleInput": {"messages": _MESSAGES},
    "BoughtAfterMessageRuleInput": {
        "days": "Within so many times 24 hours after a message was sent.",
        "messages": _MESSAGES,
    },
    "BoughtThenRuleInput": {
        "first": "The earlier order.",
        "then": "The later order.",
        "daysAtLeast": "At least so many days between them.",
        "daysAtMost": "At most so many days between them.",
    },
    "FirstPurchaseRuleInput LastPurchaseRuleInput NthPurchaseRuleInput": {
        "having": "What the purchase must contain.",
    },
    "NthPurchaseRuleInput": {"n": "Which purchase: 1 is the first."},
    "BirthdayRuleInput": {
        "nextDays": "Today or in the next so many days, up to 364.",
        "month": "In this month, 1 to 12.",
    },
    "FirstPurchaseAnniversaryRuleInput": {"nextDays": "Today or in the next so many days."},
    "PurchaseGapRuleInput": {"gap": "Which of the gaps between purchases."},
    "GapKind": {
        "AVERAGE": "All of them on average.",
        "FIRST": "From the first purchase to the second.",
        "LAST": "Between the last two purchases.",
    },
    "ParcelRuleInput": {
        "states": "It stands so now.",
        "carriers": "One of these carries it.",
    },
    "ReviewedRuleInput": {
        "signs": "It praises or complains so.",
        "starsAtLeast": "It gave at least so many stars.",
        "starsAtMost": "It gave at most so many stars.",
        "keywords": "It has one of these in its text.",
        "negative": "Whether it counts as negative.",
    },
    "PlatformMemberRuleInput": {
        "gradeAtLeast": "Of this grade or a higher one.",
        "gradeAtMost": "Of this grade or a lower one.",
        "joined": "Joined in this span of time.",
        "left": "Left in this span of time, and is none now.",
    },
    "TagRuleInput": {
        "allOf": "All of these tags.",
        "noneOf": "None of these tags.",
        "within": "Only tags that were put on in this span of time.",
        "sources": "Only tags put on by these: `staff`, `import`, `rule` or a plugin.",
    },
    "ReachableRuleInput OptedInRuleInput OptedOutRuleInput ConsentUnprovenRuleInput": {
        "channel": "The channel's name, such as `email`.",
        "shopId": "What counts in this shop; without it, for all shops.",
    },
    "UnsubscribedRuleInput": {"channels": "From one of these channels; without it, from any."},
    "LifecycleStageRuleInput DaysToNextPurchaseRuleInput RfmGroupRuleInput RfmScoreRuleInput "
    "ValuePercentileRuleInput": {
        "shopId": "By what was bought in this shop; without it, in all.",
    },
    "RfmScoreRuleInput": {
        "rAtLeast": "Recency, 1 to 5; 5 bought lately.",
        "rAtMost": "Recency, 1 to 5; 5 bought lately.",
        "fAtLeast": "Frequency, 1 to 5; 5 bought often.",
        "fAtMost": "Frequency, 1 to 5; 5 bought often.",
        "mAtLeast": "Money, 1 to 5; 5 spent much.",
        "mAtMost": "Money, 1 to 5; 5 spent much.",
    },
    "ValuePercentileRuleInput": {"top": "Among the best so many percent."},
    "MemberRuleInput": {"joined": "Joined in this span of time; without it, ever."},
    "MemberTierRuleInput": {"tierIds": "In one of these tiers now; an empty list matches nobody."},
    "PointsExpiringRuleInput": {"nextDays": "Today or in the next so many days."},
    "InSegmentRuleInput": {
        "segmentId": "The segment to be in.",
        "onDay": "When this day ended; without it, now.",
    },
    "RandomShareRuleInput": {
        "toPercent": "The share's end.",
        "fromPercent": "The share's beginning.",
        "seed": "Another text draws other shares; the same one always the same.",
    },
    "CustomFieldRuleInput": {
        "startsWith": "A text that begins so.",
        "fromDay": "A date from this day on, included.",
        "toDay": "A date until this day, included.",
        "nextDays": "A date today or in the next so many days.",
        "isSet": "Whether the customer has a value at all.",
        "field": "The field's name, as in `custom.size`.",
        "isTrue": "A yes or no that is so; who has no value fits neither.",
    },
    "SegmentCreateInput SegmentUpdateInput": {
        "name": "Unique among the merchant's segments, for people.",
        "description": "For staff.",
        "rule": "Who is in it.",
    },
    "SegmentListCreateInput SegmentSnapshotInput": {
        "name": "Unique among the merchant's segments, for people.",
        "description": "For staff.",
    },
    "SegmentCopyInput": {"name": "The copy's name."},
    "ReplenishmentDueRuleInput": {
        "productIds": "Of one of these products, by the platform's ids; without it, of any.",
        "shopId": "Only what was bought in this shop; without it, in all.",
    },
    "ProductCycle": {
        "productId": "The platform's id of the product.",
        "shop": "Where it is sold.",
    },
    "ProductCycleSortField": {
        "DAYS": "By the days until it is bought again.",
        "SAMPLE": "By how many times it was bought again.",
    },
    "ProductCycleWhere": {
        "shopId": "Only products of these shops.",
        "productId": "By the platform's id of the product.",
        "days": "By the days until it is bought again.",
        "sample": "By how many times it was bought again, 20 at least.",
    },
    "SegmentExplainResult": {
        "": "A rule in words, or what is wrong with it.",
    },
    "SegmentInOverlap": {
        "": "One of the compared segments.",
        "segment": "Which one it is.",
        "size": "How many customers are in it now.",
    },
    "SegmentKind": {
        "": "What decides who is in a segment.",
    },
    "SegmentMembershipWhere": {
        "customer": "Only those of these customers.",
        "enteredAt": "By when the customer came in.",
    },
    "SegmentOverlap": {
        "segments": "Each of the compared ones, in the order asked for.",
        "pairs": "Each two of them.",
    },
    "SegmentOverlapResult": {
        "": "How segments lie over each other.",
        "overlap": "Null when `errors` has something.",
    },
    "SegmentPair": {
        "": "Two of the compared segments.",
        "first": "One of the two.",
        "second": "The other one.",
        "both": "Customers in both.",
        "either": "Customers in one of them, or in both.",
    },
    "SegmentReason": {
        "depth": "How many nodes are around it; 0 for the whole rule.",
        "operator": "How the parts below it are joined, or FACET.",
        "holds": "Whether it is so for the customer now.",
    },
    "SegmentSortField": {
        "NAME": "By its name.",
    },
    "SegmentTrait": {
        "title": "The attribute for people, in English.",
        "titleZh": "The attribute for people, in Chinese.",
        "value": "As it is stored, for programs.",
        "label": "The value for people, in English.",
        "labelZh": "The value for people, in Chinese.",
        "shareOfEverybody": "Of all customers, 0 to 1 with 4 decimals.",
    },
    "SegmentTraits": {
        "at": "When it was counted.",
        "size": "Customers in the segment then.",
        "everybody": "All customers of the merchant then.",
        "traits": "At most as many as `limit`; empty where nothing is different.",
    },
    "SegmentTraitsResult": {
        "": "In what a segment differs, or the job that is finding it.",
    },
    "SegmentTraitsStartInput": {
        "segmentId": "The segment to compare; leave it out when `rule` is given.",
        "rule": "Compare whom it matches; leave it out when `segmentId` is given.",
    },
    "SegmentUser": {
        "kind": "What uses it.",
        "name": "As staff call it.",
    },
    "SegmentUserKind": {
        "": "What can use a segment.",
        "CAMPAIGN": "A campaign that is for it.",
        "SEGMENT": "Another segment, whose rule asks for it.",
    },
    "SegmentWhere": {
        "name": "By its name; the case of letters counts.",
        "kind": "By what decides who is in it.",
    },
    "RfmDistribution": {
        "scores": "By the three scores; those that nobody has are left out.",
        "groups": "By group; those that nobody is in are left out.",
    },
    "RfmGroupCount": {
        "": "How many customers are in a group, and their net sales.",
        "group": "By the means of the model.",
    },
    "RfmGroupCount RfmScoreCount": {
        "customers": "How many they are today.",
        "net": "What they paid in the last 365 days, less refunds.",
    },
    "RfmModel": {
        "r": "Four boundaries of days since the last purchase, the lowest first.",
        "f": "Four boundaries of the number of purchases, the lowest first.",
        "m": "Four boundaries of net sales, the lowest first.",
        "rMean": "Days since the last purchase on average; groups call at most so many recent.",
        "fMean": "Purchases on average; groups call at least so many often.",
        "mMean": "Net sales on average; groups call at least so much important.",
        "validFrom": "The first day on which they hold, in the shop's or merchant's calendar.",
    },
    "RfmScoreCount": {
        "r": "Recency, 1 to 5; 5 bought lately.",
        "f": "Frequency, 1 to 5; 5 bought often.",
        "m": "Money, 1 to 5; 5 spent much.",
    },
    "RfmThresholdsSetInput": {
        "shopId": "For this shop; without it, for all together.",
        "r": "Of days since the last purchase, four, rising.",
        "f": "Of the number of purchases, four, rising.",
    },
}
