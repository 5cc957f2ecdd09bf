"""Words for tasks and tags."""

TASKS = {
    "Tag": {
        "name": "As staff see it; the case of letters counts.",
        "lastAddedAt": "When somebody last got it.",
    },
    "TagRenameInput": {
        "to": "The new name, 1 to 64 characters; one that there is already takes the old one in.",
    },
    "TagSortField": {
        "NAME": "By its name.",
        "CUSTOMERS": "By how many have it.",
    },
    "TagWhere": {
        "name": "By its name; the case of letters counts.",
        "customers": "By how many have it.",
        "lastAddedAt": "By when somebody last got it.",
    },
    "TaskCreateInput": {
        "kind": "What is to be done.",
        "orderId": "The order that it is about, if it is about one.",
    },
    "TaskCreateInput TaskUpdateInput": {
        "assignee": "Who is to do it, any name up to 100 characters; null: nobody in particular.",
    },
    "TaskFinishInput": {
        "outcome": "What came of it; `taskOutcomes` counts by it.",
    },
    "TaskKind": {
        "CALL": "Call the customer.",
        "CARE": "Take care of the customer, such as after a complaint.",
        "RETURN": "Look after goods that come back.",
        "PARCEL": "See to a parcel, such as a note to be put in.",
        "OTHER": "What the title says.",
    },
    "TaskOutcome": {
        "DONE": "It was done as it was meant.",
        "NOT_REACHED": "The customer could not be reached.",
        "REFUSED": "The customer did not want it.",
        "INTERESTED": "The customer may buy.",
        "COMPLAINED": "The customer complained.",
    },
    "TaskOutcomeCount": {
        "kind": "What was to be done.",
        "count": "How many there are; cancelled ones do not count.",
    },
    "TaskSortField": {
        "DUE_AT": "By when it should be done.",
    },
    "TaskUpdateInput": {
        "title": "1 to 200 characters.",
        "text": "What to say or to look at.",
        "dueAt": "By when it should be done; not null.",
    },
    "TaskWhere": {
        "customer": "Only those about these customers.",
        "kind": "By what is to be done.",
        "state": "By whether it is done.",
        "outcome": "By what came of it.",
        "assignee": "By who is to do it.",
        "dueAt": "By when it should be done.",
    },
    "TimelineEntry": {
        "at": "When it happened.",
    },
}
