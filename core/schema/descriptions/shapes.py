"""What lists, payloads, filters and the like say wherever they appear."""

import re

TYPES = {
    "Connection": "One page of a list.",
    "Edge": "One object of a page, with its place in the list.",
    "Payload": "What the mutation `{name}` answers.",
    "Filter": "Conditions on one value; all that are given must hold.",
    "Where": "Conditions of a list; all that are given must hold.",
    "SortField": "What the list can be sorted by.",
    "Sort": "One key to sort by; further keys decide among equals.",
    "Input": "What `{name}` takes.",
}
"""By the end of a type's name; the first that fits."""

_DONE = "As it is now; null if it was refused."
_CHANNEL = "The channel's name, such as `email`."

_PAYLOAD = {
    "errors": "Why it was refused; empty when it was done.",
    "job": "The job that does it, to follow by `job` or `jobProgress`; null if it was refused.",
    "deletedId": "The id of what is gone; null if it was refused.",
    "balance": "The points after it; null if it was refused.",
    **dict.fromkeys(
        ("campaign", "segment", "customer", "customField", "note", "shop", "token", "plugin",
         "staff", "role", "tier", "reward", "redemption", "referral", "membership", "programme",
         "policy", "suggestion", "suppression", "task", "sync", "rule", "lifecycle", "rfm",
         "report", "cap", "request", "oidc", "template", "tag", "deadLetter"),
        _DONE,
    ),
}  # fmt: skip
_ANSWER = {
    "errors": "Why there is no answer; empty when there is one.",
    "job": "The job that is still finding the answer; null when it is here.",
}
_EVERY_FIELD = {
    "id": "Global and opaque; `node` finds objects by it.",
    "createdAt": "When it was made here.",
    "updatedAt": "When it last changed here.",
    "version": "Another one after each change; `ifVersion` of its update takes it.",
    "sentence": "It in one sentence.",
    "currency": "ISO 4217, three letters.",
    "channel": _CHANNEL,
}
_ARGUMENTS = {
    "id": "The global id of the object that is meant.",
    "where": "Only what fits; without it, all.",
    "sort": "The first key decides, the next ones among equals.",
    "language": "The language of the text.",
    "limit": "Count no further than this, 1 to 1000000.",
    "sample": "How many examples to show.",
}
_FILTER = {
    "eq": "Equal to this.",
    "in": "Equal to one of these; an empty list matches nothing.",
    "gt": "Greater, or later, than this.",
    "gte": "This, or greater or later.",
    "lt": "Less, or earlier, than this.",
    "lte": "This, or less or earlier.",
    "startsWith": "Begins with this, in the same case of letters.",
    "isNull": "True: has no value. False: has one.",
}
_WHERE = {
    "and": "All of these must hold; an empty list matches nothing.",
    "or": "At least one of these must hold; an empty list matches nothing.",
    "not": "This must not hold.",
    "id": "Only those with these ids.",
    "createdAt": "By when they were made here.",
    "updatedAt": "By when they last changed here.",
    "at": "By when it happened.",
    "name": "By the name: whole, or its beginning.",
    "state": "By where they stand now.",
    "channel": "By the channel's name, such as `email`.",
    "customer": "Only of these customers.",
    "order": "Only about these orders.",
    "shop": "Only of these shops.",
}
_INPUT = {
    "idempotencyKey": "The same key and input again gives the first answer, and does nothing.",
    "currency": "ISO 4217, three letters.",
    "channel": _CHANNEL,
}

MEMBERS: dict[str, tuple[tuple[re.Pattern[str], dict[str, str]], ...]] = {
    "field": (
        (re.compile(r"\w+Payload"), _PAYLOAD),
        (re.compile(r"\w+Result|CustomerInSegment|CampaignCheck|MessagePreview|MessageMeasure"),
         _ANSWER),
        (re.compile(r"\w+Connection"), {
            "nodes": "The objects of this page.",
            "edges": "The objects of this page, each with its cursor.",
            "pageInfo": "Whether there is more, and where to go on.",
            "count": "How many there are on all pages, counted up to a limit.",
        }),
        (re.compile(r"\w+Edge"), {
            "cursor": "Given as `after`, it begins the page behind this object.",
            "node": "The object.",
        }),
        (re.compile(r"\w+Step"), {
            "key": "Names the step within its flow.",
            "next": "The key of the step that follows.",
        }),
        (re.compile(r"\w+"), _EVERY_FIELD),
    ),
    "argument": (
        (re.compile(r"Mutation"), {
            "input": "Its values; what is wrong with one stands in `errors`, with the way to it.",
        }),
        (re.compile(r"\w+"), _ARGUMENTS),
    ),
    "input field": (
        (re.compile(r"\w+Filter"), _FILTER),
        (re.compile(r"\w+Where"), _WHERE),
        (re.compile(r"\w+Sort"), {
            "field": "What to sort by.",
            "direction": "Which end comes first.",
        }),
        (re.compile(r"\w+RuleInput|OrderFilterInput|MoneyRangeInput"), {
            "atLeast": "The least that matches, itself included.",
            "atMost": "The most that matches, itself included.",
            "anyOf": "One of these.",
            "orders": "Which orders count; without it, all.",
            "within": "Only in this span of time; without it, ever.",
            "shopIds": "Only in these shops; without it, in all.",
            "platforms": "Only on these platforms; without it, on all.",
        }),
        (re.compile(r"\w+ExportStartInput"), {
            "where": "Only what fits; without it, all.",
            "sort": "The first key decides, the next ones among equals.",
            "format": "What file it makes.",
        }),
        (re.compile(r"\w+UpsertInput"), {"shopId": "The shop that they are from."}),
        (re.compile(r"\w+StepInput"), {"key": "Names the step within its flow."}),
        (re.compile(r"\w+Input"), _INPUT),
    ),
    "enum value": ((re.compile(r"\w+SortField"), {
        "CREATED_AT": "By when it was made here.",
        "UPDATED_AT": "By when it last changed here.",
    }),),
}  # fmt: skip
"""By kind of element: the types that are meant, and the words for a member's or argument's name."""
