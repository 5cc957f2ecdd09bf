"""Words for members, their programme and tiers."""

MEMBERSHIP = {
    "MemberImportStartInput": {
        "tiers": "What becomes of the tiers that the file names.",
    },
    "MemberJoinInput": {
        "customerId": "Who becomes a member; who joins for the first time gets the welcome points.",
        "source": "By what the customer joined; `membershipCounts` counts by it.",
        "shopId": "The shop that won the member, if it was one.",
    },
    "MemberLeaveInput": {
        "customerId": "The member who leaves; the tier is lost, the points stay.",
        "source": "By what the customer left; `membershipCounts` counts by it.",
    },
    "MemberLeavePayload": {
        "customerId": "Who left, as handed in; null if it was refused.",
    },
    "MemberSource": {
        "PAGE": "A page of the merchant's own.",
        "AGENT": "Somebody of the staff, on behalf of the customer.",
        "SMS": "A text message.",
        "CAMPAIGN": "A campaign's message.",
        "SHOP": "In a shop, such as at the till.",
        "PLATFORM": "The platform's own programme of members.",
        "IMPORT": "A file.",
        "RULE": "The programme itself: who buys becomes a member, where `join_on_purchase` is set.",
        "API": "Another program.",
    },
    "MemberTierSetInput": {
        "customerId": "A member.",
        "tierId": "The tier to be put into, whatever was bought.",
    },
    "MembershipCount": {
        "day": "Of the merchant's calendar; only days with any are listed.",
        "source": "By what they joined or left.",
        "joined": "Memberships that began.",
        "left": "Memberships that ended.",
    },
    "MembershipProgramme": {
        "name": "As members know it.",
        "measure": "What tiers are reached by.",
    },
    "NextTier": {
        "tier": "The lowest one that is better than the present one and can be reached.",
        "missing": "In the programme's currency, or a number, by its measure.",
    },
    "PlatformMembership": {
        "member": "Whether the customer is a member there now.",
        "gradeName": "The platform's own name of the grade.",
        "joinedAt": "When the customer joined there.",
        "leftAt": "When the customer left there; null while a member.",
        "joinSource": "Where the customer joined, in the platform's own word.",
        "tradeAmount": "Bought there in all, by the platform's count, in the shop's currency.",
        "lastTradeAt": "When the customer last bought there, by the platform's count.",
        "shop": "The shop whose programme it is.",
    },
    "PlatformMembershipCount": {
        "day": "Of the merchant's calendar; only days with any are listed.",
        "joined": "Memberships of the platform that began.",
        "left": "Memberships of the platform that ended.",
        "shop": "The shop whose programme it is.",
    },
    "PlatformMembershipTime": {
        "joinedAt": "When it began.",
        "leftAt": "When it ended; null while it goes on.",
    },
    "ProgrammeSetInput": {
        "name": "As members know it.",
    },
    "TierActivity TierContribution TierShare": {
        "standing": "Which members are meant.",
    },
    "TierActivity": {
        "members": "How many they were when the month began.",
        "bought": "How many of them had a purchase in the month.",
        "rate": "`bought` by `members`, 0 to 1.",
    },
    "TierContribution": {
        "netSales": "Paid less refunds, booked to the payment.",
    },
    "TierCreateInput TierUpdateInput": {
        "name": "For people, such as 金卡.",
        "threshold": "What reaches it, in the programme's currency or a number; null: given by "
        "hand only.",
        "keepThreshold": "What keeps it when it is looked at again; null: the threshold.",
        "benefits": "A list of objects with a `kind`, as `Tier.benefits` lists them.",
    },
    "TierCreateInput": {
        "rank": "Orders the tiers, greater is better; each once, and it cannot be changed.",
    },
    "TierEffect": {
        "rise": "Members who would get a better tier.",
        "fall": "Members who would get a lower one, or none.",
    },
    "TierFigures": {
        "month": "The first day of the month.",
        "membersBefore": "Members when the month began.",
        "membersAfter": "Members when it ended, or now if it is not over.",
        "shares": "By tier, those without a tier on their own.",
        "moves": "Who stood where before and after, those who stayed included.",
        "upgraded": "Members at both ends, in a better tier at the second.",
        "upgradeRate": "`upgraded` by `membersBefore`.",
        "downgraded": "Members at both ends, in a lower tier or none at the second.",
        "downgradeRate": "`downgraded` by `membersBefore`.",
        "exited": "Who was a member when it began, and is none when it ends.",
        "exitRate": "`exited` by `membersBefore`.",
        "contributions": "Net sales to members, by what they were when they paid.",
        "memberSales": "Net sales to members altogether.",
        "shopSales": "Net sales to everybody, in all shops.",
        "activities": "How many of those who were members at the beginning bought.",
    },
    "TierMove": {
        "": "Customers who stood so before the month and so after it.",
        "before": "Where they stood when the month began.",
        "after": "Where they stood when it ended.",
        "customers": "How many they are.",
    },
    "TierShare": {
        "before": "How many they were when the month began.",
        "after": "How many they were when it ended.",
    },
    "TierStanding": {
        "state": "Whether they are members, and in a tier.",
    },
    "TierState": {
        "TIER": "A member in the named tier.",
        "NONE": "A member without a tier.",
        "EXITED": "Was a member before, and is none.",
        "NEW": "Was never a member until then.",
    },
    "TierThresholdInput": {
        "tierId": "A tier of the programme.",
        "threshold": "What would reach it, by the programme's measure; null: given by hand only.",
        "keepThreshold": "What would keep it; null: the threshold.",
    },
}
