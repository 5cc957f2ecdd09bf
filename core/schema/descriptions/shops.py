"""Words for shops, their platforms and plugins."""

SHOPS = {
    "PluginRoute": {
        "name": "For programs, such as `sms.receipts`.",
        "title": "What is told there, for people, in English.",
    },
    "ShopConnectStartInput ShopConnectWithTokenInput": {
        "platform": "As `shopPlatforms` names it.",
    },
    "ShopConnectWithTokenInput": {
        "token": "What the platform gave to read the shop with; it is kept sealed.",
        "refreshToken": "By which the token is renewed, if the platform gave one.",
        "expiresAt": "When the token ends; null: never, or not known.",
        "shopId": "The shop that is meant; absent: the one that the token is for, or a new one.",
    },
    "ShopCreateInput": {
        "name": "As staff call it, unique among the merchant's shops.",
        "platform": "Where it sells, in small letters, such as `taobao`.",
        "externalId": "Its id on the platform.",
    },
    "ShopPlatform": {
        "name": "For programs, such as `taobao`.",
        "title": "For people, in English.",
    },
    "ShopSortField": {
        "NAME": "By its name.",
    },
    "ShopSync": {
        "platform": "As `shopPlatforms` names it.",
        "state": "Whether data flows in; `cure` says what to do if not.",
        "capabilities": "What the shop and the app may do there, such as `orders.full`.",
        "connectedAt": "When the seller last let us in.",
        "tokenExpiresAt": "When the token ends; null: never, or not known.",
        "tokenRenewableUntil": "Until when the token is renewed by itself; null: never, or not "
        "known.",
        "problem": "What went wrong last; null if nothing is wrong.",
        "problemAt": "When it went wrong.",
        "past": "The orders and so on from before it was connected, by resource.",
        "cursors": "What is new, by resource.",
        "openDeadLetters": "Pieces of news that could not be taken in yet.",
        "shop": "The shop whose data it is.",
        "days(last)": "How many days, 1 to 90.",
        "deadLetters(open)": "False: also those that were taken in after all.",
    },
    "PlatformDeed": {
        "shopId": "The shop for which it was begun.",
        "action": "What was to be done.",
        "state": "What became of it.",
        "at": "When it was begun, the last time.",
    },
    "PlatformDeedAction": {
        "GIVE_COUPON": "Giving buyers a coupon that exists on the platform.",
    },
    "PlatformDeedSettlePayload": {
        "deed": "As it stands now.",
    },
    "PlatformDeedState": {
        "": "What became of something on a platform.",
        "DONE": "Done, as the platform said or somebody found.",
    },
    "ShopSyncCalls": {
        "seconds": "The time in which `limit` counts; null if the platform names no limit.",
        "day": "The day that `used` counts.",
        "bannedUntil": "The platform answers nothing before then; null if it does.",
    },
    "ShopSyncCursor": {
        "resource": "What kind of data it is.",
        "lagSeconds": "How long ago `cursorAt` is, by the platform's clock.",
        "ranAt": "When it was last asked for; null before the first time.",
        "records": "How many came in so far.",
        "problem": "What went wrong last; null if nothing is wrong.",
        "problemAt": "When it went wrong.",
    },
    "ShopSyncDay": {
        "day": "Of the shop's calendar.",
        "theirs": "Orders that the platform counts.",
        "ours": "Orders that are stored here.",
        "missing": "Orders that the platform has and that are not stored here; they are read "
        "again.",
        "countedAt": "When both were counted.",
    },
    "ShopSyncPast": {
        "resource": "What kind of data it is.",
        "done": "Stretches of time that have come in.",
        "records": "How many came in so far.",
    },
    "ShopUpdateInput": {
        "name": "As staff call it, unique among the merchant's shops.",
        "timeZone": "IANA name; the shop's days begin and end by it.",
    },
    "ShopWhere": {
        "name": "By its name; the case of letters counts.",
        "platform": "By where it sells, such as `taobao`.",
        "externalId": "By its id on the platform.",
    },
    "SyncResource": {
        "ORDERS": "Orders with their lines and buyers.",
        "REFUNDS": "Refunds and returns.",
        "PARCELS": "Parcels and their scans.",
        "REVIEWS": "What buyers said.",
        "MEMBERS": "Members of the platform's own programme.",
    },
}
