"""Words for flows: what lets customers in, the steps they take and their texts, what ends it."""

_NEXT = 'The key of the step that follows; null: the one below, "end": none.'
_OTHERWISE = 'The key of the step that follows if not; null: the one below, "end": none.'
FLOWS = {
    "CampaignFlow CampaignFlowInput": {
        "trigger": "What lets customers in.",
        "steps": "1 to 100. Customers begin at the first; ways may part and join, not go round.",
    },
    "CampaignFlow": {
        "entry": "How often a customer may come in, and who.",
        "exit": "What takes a customer out before the end.",
    },
    "CampaignFlowInput": {
        "entry": "How often a customer may come in, and who; without it, everybody once.",
        "exit": "What takes a customer out before the end; without it, nothing.",
    },
    "Duration DurationInput": {
        "days": "0 to 3650.",
        "hours": "0 to 10000, added to the days.",
        "minutes": "0 to 100000, added to the days and hours.",
    },
    # -- what lets customers in
    "FlowTrigger": {"": "What lets customers in."},
    "FlowTriggerInput": {
        "audience": "All customers of a segment, at once or as scheduled.",
        "event": "Whom an event is about.",
        "segment": "Who enters or leaves a segment.",
        "date": "Whose birthday, or date in a custom field, it is.",
    },
    "AudienceTrigger": {"": "All customers of a segment, at once or as scheduled."},
    "AudienceTrigger AudienceTriggerInput": {
        "segmentId": "Who is in it at that moment comes in.",
        "schedule": "When; null: at once when the campaign starts.",
    },
    "FlowSchedule FlowScheduleInput": {
        "cron": "Again and again: minute hour day month weekday, as `0 10 * * TUE`. Null: at `at`.",
        "at": "At this one moment; null: by `cron`.",
        "local": "At each customer's own time: when the clocks where it lives show that time.",
    },
    "EventTrigger": {"": 'A domain event, or one of your own (its type begins "custom.").'},
    "EventTrigger EventTriggerInput": {
        "type": "Such as `order.created` or `custom.quiz_done`.",
        "where": "All of these must fit; none: every event of the type counts.",
    },
    "EventFilter EventFilterInput": {
        "field": "The name in the payload, such as `state`.",
        "values": "One of these must be there; ids are the API's.",
    },
    "DateTrigger": {"": "A date of the customer, each year or once."},
    "DateTrigger DateTriggerInput": {
        "field": "`birthday`, or a custom field of dates, such as `custom.wedding`.",
        "daysBefore": "How many days before the date, -366 to 366; less than 0: after it.",
        "at": "The time of that day, in the shop's time zone.",
        "yearly": "Each year on that day; false: only on the date itself.",
    },
    # -- who, and how often; what ends it
    "FlowEntry": {"": "How often a customer may come in, and who."},
    "FlowEntry FlowEntryInput": {
        "again": "Whether who was in already comes in again.",
        "days": "With EVERY, at least so many days after coming in last, 0 to 3650.",
        "rule": "A segment's rule that the customer must fulfil to come in; null: none.",
    },
    "EntryAgain": {
        "NEVER": "Once in all, whatever happens later.",
        "ALWAYS": "Each time, even while still on the way.",
    },
    "FlowExit": {
        "": "What takes a customer out, asked before each step and each message.",
        "orderStates": "Out once the journey's order is in none of these; null: not asked.",
        "bought": "Out once another order was paid since coming in.",
        "rule": "Out once this segment's rule is fulfilled; null: not asked.",
    },
    # -- steps
    "FlowStepInput": {
        "": "One step. Exactly one field is given.",
        "send": "A message, in one or several variants.",
        "wait": "A pause, for a length of time or until a time of day.",
        "waitFor": "Until an event about the customer, or a timeout.",
        "condition": "One of two ways, by how customer and order are now.",
        "split": "One of several ways, by chance.",
        "tag": "Puts tags on the customer, and takes tags off.",
        "setField": "Gives a custom field of the customer a value.",
        "changeList": "Puts the customer on a list, or takes it off.",
        "webhook": "Tells your own server.",
        "action": "What a plugin brings, or something for staff to do.",
    },
    "ConditionStep ConditionStepInput": {
        "": "`next` if the customer fulfils the rule and the order is so, else `otherwise`.",
        "rule": "A segment's rule, asked of the customer now; null: not asked.",
        "order": "Asked of the journey's order; where there is none it is not so. Null: not asked.",
        "otherwise": _OTHERWISE,
    },
    "Branch": {"": "One way of a split.", "next": _NEXT},
    "Branch BranchInput": {"share": "Its weight beside the other branches, 1 to 1000."},
    "ListChange": {"ADD": "Put on it.", "REMOVE": "Taken off it."},
    "ChangeListStep ChangeListStepInput": {
        "": "Puts the customer on a segment's list, or takes it off.",
        "segmentId": "A segment of kind LIST.",
        "change": "Who is on it already, or off it, just goes on to the next step.",
    },
    "ActionStep": {"": "What a plugin brings, or `task`: something that staff is to do."},
    "ActionStep ActionStepInput": {
        "action": "`task`, or the name of a plugin's action.",
        "settings": "An object of what the action takes, checked when the campaign is saved.",
    },
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
        "least": "If each costs what it does for the cheapest customer.",
        "most": "If each costs what it does for the dearest customer.",
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
