"""Words for flows: what lets customers in, the steps they take, and what ends it."""

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
}
