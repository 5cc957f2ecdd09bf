"""Words for what campaigns achieved and cost."""

FIGURES = {
    "MessageArrival MessageCosts": {
        "channel": "The channel's name, such as `sms`.",
        "provider": "Who carried them; null if the channel names none.",
    },
    "MessageArrival": {
        "sent": "Taken by the provider on these days.",
        "delivered": "Of these, with a receipt that says so, whenever it came.",
        "undelivered": "Of these, with a receipt that they did not arrive.",
        "clicked": "Of these, with a link that a person clicked.",
    },
    "MessageCosts": {
        "messages": "Sent, or of unknown fate.",
        "parts": "Of how many parts they consist, as far as that is known.",
    },
    "MessageFigures": {
        "target": "All messages that were planned, those held out included.",
        "skipped": "Not sent on purpose, those held out excepted.",
        "pending": "Not sent yet.",
        "sent": "Taken by a provider.",
        "failed": "Refused for good, or tried too often.",
        "unknown": "Nobody knows whether a provider took them.",
        "undelivered": "With a receipt that they did not arrive.",
        "opened": "Opened by a person, where opens are tracked.",
        "clicked": "With a link that a person clicked.",
        "orders": "Orders credited to the messages that still count as bought.",
        "buyers": "Customers who placed these orders.",
        "cost": "What providers took for them, by currency, as far as that is known.",
        "returns": "Revenue for each unit of cost, by currency; none where nothing was spent.",
    },
    "MessageTouch": {
        "DELIVERY": "It arrived, or was sent and nothing says that it did not.",
        "OPEN": "The customer opened it.",
        "CLICK": "The customer clicked a link in it; the last click before paying.",
        "REMINDER": "It was about this very order, not paid yet; service messages count, too.",
    },
    "ProviderFigures": {
        "": "The figures of messages by one channel and provider.",
        "channel": "The channel's name, such as `sms`.",
        "figures": "Of the messages that went this way.",
    },
    "ReceiptCount": {
        "status": "The receipt that counts, of all that a message has.",
        "count": "How many messages have it.",
    },
    "ReceiptStatus": {
        "ACCEPTED": "The provider has passed it on; whether it arrived is not known.",
        "UNDELIVERED": "It did not arrive this time.",
        "BOUNCED": "It was sent back; if that is the address's fault, it is not written to again.",
        "DELIVERED": "It arrived.",
        "COMPLAINED": "It arrived, and the customer complained of it.",
    },
    "ResultDay": {
        "day": "Of the shop's calendar; days on which nothing happened are left out.",
        "sent": "Messages that a provider took on the day.",
        "delivered": "Messages that arrived on the day.",
        "opened": "Messages that were first opened on the day.",
        "clicked": "Messages that were first clicked on the day.",
        "orders": "Credited orders that were paid on the day and still count.",
        "revenue": "Paid less refunded of the credited orders paid on the day, by currency.",
    },
    "RunFigures": {
        "": "The figures of one of a campaign's runs.",
        "runId": "The run that they are of.",
        "figures": "Of its messages.",
    },
    "ShopResults": {
        "shopId": "The shop that was bought in.",
        "orders": "Credited orders that still count as bought.",
        "buyers": "Customers who placed these orders.",
        "revenue": "Paid less refunded of the credited orders, in the shop's currency.",
    },
    "TriedVariant": {
        "": "What a variant reached in the test of its step.",
        "variant": "Which of the step's variants, counted from 0.",
        "sent": "How many of its messages were sent in the test.",
        "reached": "How many of these reached the goal.",
    },
    "VariantFigures": {
        "": "The figures of one text of a step.",
        "step": "The step's place in the flow, counted from 0.",
        "figures": "Of the messages with this text.",
    },
    "VariantWinner": {
        "step": "The step's place in the flow, counted from 0.",
        "variant": "Which of the step's variants, counted from 0.",
        "reason": "Whether it is the best, or only the first.",
        "tried": "What each variant reached in the test.",
        "decidedAt": "When it was decided; what is sent since has this text.",
    },
    "WinnerReason": {
        "BEST": "It reached the goal most often, by what was sent of it.",
        "TIE": "Several were equally good.",
        "TOO_FEW": "A variant was sent to fewer than 30, or the best reached the goal fewer than "
        "5 times.",
    },
    "WinBack": {
        "applicants": "How many customers asked.",
    },
}
