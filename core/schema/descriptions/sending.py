"""Words for what keeps messages back, and for replies."""

SENDING = {
    "OptOutWordsSetInput": {
        "words": "At most 100; capitals and width do not matter. An empty list takes all away.",
    },
    "OptOutWordsSetPayload": {
        "wordList": "The merchant's own words that hold now; null if it was refused.",
    },
    "PutOff": {
        "rule": "The name of the rule, as `sendingPolicy.reasons` has it.",
        "count": "How many messages it puts off to this hour.",
    },
    "RatePeriod": {
        "": "In what time messages of a channel are counted.",
        "SECOND": "Any second.",
        "MINUTE": "Any 60 seconds.",
    },
    "Reply": {
        "channel": "By which it came, such as `sms`.",
        "at": "When it was written, by the provider's word.",
        "receivedAt": "When it came in here.",
        "customer": "Whose address it came from; null where that is nobody's.",
    },
    "ReplySortField": {
        "AT": "By when it was written.",
    },
    "ReplyWhere": {
        "channel": "By the channel's name, such as `sms`.",
        "customer": "Only those of these customers.",
        "optOut": "Whether it ended marketing.",
        "at": "By when it was written.",
    },
    "SendingCap": {
        "hours": "The window; a day is 24.",
    },
    "SendingCapSetInput SendingHoursSetInput": {
        "shopId": "For what is sent in this shop's name; null: for all of the merchant's.",
        "channel": "For this channel, such as `sms`; null: for all of them.",
    },
    "SendingDayKind": {
        "QUIET": "No marketing goes out, and schedules take it for a holiday.",
        "OFF": "Schedules take it for a holiday, and messages go out.",
        "WORKING": "A Saturday or Sunday on which people work (调休), as schedules take it.",
    },
    "SendingHoliday": {
        "day": "Of the shop's calendar.",
        "name": "For people, such as 春节.",
        "kind": "Whether messages go out, and what schedules take it for.",
    },
    "SendingHolidaysSetInput": {
        "days": "Of the shop's calendar; one that is there already gets this name and kind.",
        "kind": "Whether messages go out, and what schedules take them for.",
        "name": "For people, such as 春节.",
        "shopId": "For what is sent in this shop's name; null: for all shops.",
    },
    "SendingHolidaysSetPayload": {
        "holidays": "Those that were named, as they are now; null if it was refused.",
    },
    "SendingHolidaysAddOfficialInput": {
        "year": "One whose days are published, which is done in the November before.",
        "shopId": "For this shop's calendar; null: for all shops.",
    },
    "SendingHolidaysAddOfficialPayload": {
        "holidays": "All official days of the year, as they are now; null if it was refused.",
    },
    "SendingHours": {
        "open": "Messages go out only then; empty: at any time that is not quiet.",
        "quiet": "Messages wait then until it is over.",
    },
    "SendingHoursSetInput": {
        "quiet": "Messages wait then until it is over.",
    },
    "SendingPolicy": {
        "caps": "How many messages a customer gets at most.",
        "hours": "At what times of day messages go out.",
        "rates": "How fast channels send at most.",
        "holidays(from)": "The first day to list; without it, today (UTC).",
    },
    "SendingRate": {
        "channel": "The channel's name, such as `sms`.",
        "messages": "How many at most, of all campaigns together.",
        "per": "In what time.",
    },
    "SendingRateSetInput": {
        "channel": "The channel's name, such as `sms`.",
        "per": "In what time they are counted.",
    },
    "SendingReason": {
        "name": "For programs, as `Delivery.reason` and `Skipped.reason` have it.",
    },
    "SendingSpan SendingSpanInput": {
        "start": "From then on, by the shop's clock, without an offset.",
        "end": "Until before then, by the shop's clock.",
    },
    "SendingVerdict": {
        "SEND": "It may go out.",
        "WAIT": "It is put off until `at`.",
        "SKIP": "It will not be sent at all.",
    },
    "StepVerdict": {
        "verdict": "Whether it would go out, wait, or not be sent at all.",
    },
}
