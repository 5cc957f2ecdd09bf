"""Words for the steps of journeys and their texts."""

JOURNEYS = {
    "MessageInput": {
        "channel": "The channel's name, such as `email`.",
        "content": "The parts that the channel has, such as `subject` and `html`, in Liquid.",
        "messageClass": "Decides what consent is needed, and what the text must have.",
        "shopId": "In whose name it writes; without it, the merchant's.",
    },
    "MessageMeasure": {
        "customers": "For how many it was filled in; at most the sample.",
        "warnings": "What would be better otherwise, but forbids nothing.",
    },
    "MessagePreview": {
        "message": "The text; null if there is no such customer, order or parcel.",
    },
    "MoneyRange": {
        "least": "For the customer for whom it is cheapest.",
        "most": "For the customer for whom it is dearest.",
    },
    "RecipeSwitchOnInput": {
        "recipe": "Its name, as `campaignRecipes` has it.",
        "language": "Of the texts, names and segments that it makes.",
    },
    "RecipeSwitchOnPayload": {
        "campaigns": "What was made, in the order of the recipe; null if it was refused.",
    },
    "RenderedSample": {
        "content": "The parts of the message, filled in; empty if it could not be.",
        "error": "Why it could not be filled in for this customer; null if it was.",
        "customer": "To whom it would go.",
    },
    "SegmentTrigger SegmentTriggerInput": {
        "": "A customer enters a segment, or leaves it.",
        "segmentId": "The segment that is watched.",
        "moment": "Whether entering it or leaving it lets in.",
    },
    "SendStep SendStepInput": {
        "": "Sends a message.",
        "channel": "The channel's name, such as `email`.",
        "messageClass": "Decides what consent is needed, and which caps and hours count.",
        "variants": "Texts that are tried against each other, 1 to 8; usually one.",
        "winner": "How the best variant is found; null: each keeps its share to the end.",
        "ignoreCaps": "Sent even to who has had as many messages as the caps allow.",
    },
    "SetFieldStep": {
        "value": "As the field's type has it; null clears it.",
    },
    "SetFieldStep SetFieldStepInput": {
        "": "Writes a value into a custom field of the customer.",
        "field": "The custom field by its key, such as `custom.size`.",
    },
    "SplitStep": {
        "": "Divides customers by a stable hash: each always takes the same branch.",
    },
    "SplitStep SplitStepInput": {
        "branches": "The ways that they may take, 2 to 8, each with its share.",
    },
    "StepCount": {
        "": "How many customers are at a step of a journey.",
        "step": "The key of the step.",
        "count": "How many wait there now.",
    },
    "TagStep TagStepInput": {
        "": "Puts tags on the customer, and takes some off.",
        "add": "Tags to put on; who has them keeps them.",
        "remove": "Tags to take off.",
    },
    "TestState": {
        "": "What became of a test message.",
        "SENT": "The provider took it.",
        "FAILED": "It was refused; `detail` says why.",
        "UNKNOWN": "Nobody knows whether the provider took it.",
    },
    "Variant VariantInput": {
        "": "One text of several that are tried against each other.",
        "content": "The parts that the channel has, such as `subject` and `html`, in Liquid.",
        "share": "Its weight among the variants, 1 to 1000: 2 gets twice as many as 1.",
    },
    "WaitForStep": {
        "": "Waits until an event, of the same order if both have one.",
        "otherwise": 'The key of the step after the timeout; null: the one below, "end": none.',
    },
    "WaitForStep WaitForStepInput": {
        "type": "The event's type, such as `parcel.state_changed`, or one of your own with "
        "`custom.`.",
        "where": "Which of its kind count; all conditions must hold.",
        "timeout": "How long it waits at most, then `otherwise` follows.",
    },
    "WaitStep": {
        "": "Waits for a time, then until a time of day (of a weekday).",
    },
    "WaitStep WaitStepInput": {
        "span": "How long at least; nothing if it only waits for a time of day.",
        "at": "Then until the clock shows this in the shop's time zone; null: no longer.",
        "weekday": "On which that must be, 1 is Monday; null: on any.",
    },
    "WebhookStep": {
        "": "Posts the ids of customer, order and step to a server of the merchant's own.",
    },
    "WebhookStep WebhookStepInput": {
        "url": "Where to, beginning with https://; signed with `webhookSecret`.",
    },
    "WhyNotSentResult": {
        "": "Why a customer got no message.",
        "why": "Null when `errors` has something.",
    },
    "Winner": {
        "": "How the best of several variants is found: a test first, then the best for the rest.",
    },
    "Winner WinnerInput": {
        "goal": "What decides which is best.",
        "after": "It is decided so long after the run was planned; the others wait until then.",
        "testPercent": "How many of the recipients take part in the test, 1 to 90 percent.",
    },
    "WinnerGoal": {
        "OPENED": "How many opened the message.",
        "CLICKED": "How many clicked a link in it.",
        "BOUGHT": "After how many messages the customer paid an order, whatever it is credited to.",
    },
}
