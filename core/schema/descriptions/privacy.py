"""Words for how long data is kept, and addresses that are not written to."""

PRIVACY = {
    "RetentionRule": {
        "title": "What its rows are, for people, in English.",
        "why": "What they are good for while they are kept, in English.",
        "defaultDays": "Days where the merchant has not chosen; null: for ever.",
        "leastDays": "The fewest days that can be chosen.",
    },
    "RetentionRuleSetInput": {
        "days": "Older rows go within an hour; at least the rule's `leastDays`.",
    },
    "Suppression": {
        "channel": "The channel's name, such as `sms`.",
        "at": "When it was put on the list.",
    },
    "SuppressionAddInput SuppressionsImportInput": {
        "channel": "The channel's name, such as `sms`.",
        "reason": "1 to 200 characters; `unsubscribed` stops marketing, any other every message.",
        "shopId": "Only for what is sent in this shop's name; null: for all shops.",
    },
    "SuppressionImportResult": {
        "added": "Addresses that were not on the list before.",
        "invalid": "How many are neither a phone number nor an email address.",
    },
    "SuppressionRemovePayload": {
        "removedId": "The id of what is gone; null if it was refused.",
    },
    "SuppressionWhere": {
        "channel": "By the channel's name, such as `sms`.",
        "shop": "Only for these shops.",
        "reason": "By the word that was given.",
        "at": "By when it was put on the list.",
    },
    "SuppressionsImportPayload": {
        "result": "What became of the addresses; null if it was refused.",
    },
}
