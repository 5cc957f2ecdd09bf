"""Words for suggestions to merge customers, and what a merge would do."""

MERGES = {
    "MergeCount": {
        "name": "The table, for programs.",
        "title": "What the rows are, for people, in English.",
        "moved": "Rows that would become the kept customer's.",
    },
    "MergeField": {
        "": "Whose value of a field the merged customer would have.",
        "name": "The field of `Customer`.",
        "kept": "Whose value it would be.",
    },
    "MergeReason": {
        "code": "For programs: `same_phone`, `same_email`, `same_name_place_parcel` and others.",
        "message": "For people, in English.",
    },
    "MergeSide": {
        "ID": "Of the customer who is kept.",
        "OTHER": "Of the customer who goes, since the kept one has none.",
        "NONE": "Neither has any.",
    },
    "MergeSuggestion": {
        "reasons": "Everything that speaks for it, at least one.",
        "state": "Whether somebody has decided.",
        "decidedAt": "When somebody did; null while it is OPEN.",
        "decidedBy": "Who did, as the audit log names actors; null while it is OPEN.",
        "second": "The one known for less long; goes unless told otherwise.",
    },
    "MergeSuggestionAcceptPayload": {
        "merge": "What was done, for `customerUnmerge`; null if it was refused.",
    },
    "MergeSuggestionWhere": {
        "state": "By whether somebody has decided.",
    },
    "MergeWarning": {
        "": "What speaks against a merge, or is lost by it.",
        "code": "For programs: `told_apart`, `two_accounts` or `consent_narrowed`.",
        "message": "For people, in English.",
    },
}
