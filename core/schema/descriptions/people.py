"""Words for taking customers in, finding and merging them, and their custom fields."""

_FIELD = "The importer's name of it, such as `phone`, `id.member_card` or `custom.size`."
_ID_KIND = "What sort of id it is, such as `member_card`, 1 to 40 characters."
_ID_VALUE = "The id itself, 1 to 200 characters."
_TITLE = "For people, 1 to 200 characters."
PEOPLE = {
    "CustomerWhere": {
        "name": "By the name; needs PII_NAME.",
        "birthday": "By the whole date, its year included.",
        "country": "By ISO 3166-1, two letters.",
        "province": "By the name as it is stored, such as `浙江省`.",
        "city": "By the name as it is stored; shops write both `杭州` and `杭州市`.",
        "tag": "Only who has a tag that fits.",
        "identity": "By an id of any scope, such as a member card's number.",
        "lastPurchaseAt": "By the last purchase in any one currency, over all shops.",
    },
    "CustomerInput CustomerUpdateInput": {
        "name": "1 to 200 characters.",
        "province": "1 to 200 characters.",
        "city": "1 to 200 characters.",
    },
    "CustomerInput": {
        "refs": "Ids of the customer, by each of which it is found.",
        "phone": "With or without the country's code; masked and virtual numbers are refused.",
        "email": "Masked addresses are refused.",
        "birthday": "In the past, at most 130 years ago.",
        "country": "ISO 3166-1, two letters.",
        "tags": "Put on beside those that are there.",
        "consents": "What was said about marketing, by channel.",
    },
    "CustomerRefInput": {"value": _ID_VALUE},
    "CustomersUpsertInput": {"existing": "For customers who are known already."},
    "CustomerMatch": {
        "PHONE": "It is the customer's phone number.",
        "EMAIL": "It is the customer's email address.",
        "PLATFORM_ID": "It is an id of the customer.",
        "ORDER_NUMBER": "It is the number of one of the customer's orders.",
        "TRACKING_NUMBER": "It is the number of one of the customer's parcels.",
        "NAME": "The customer's name begins so.",
        "TAG": "A tag of the customer begins so.",
    },
    "CustomerSearchHit": {"customer": "Each customer comes once, however many ways it fits."},
    "CustomerInSegment": {"segment": "The one that was asked about."},
    "CustomerNote": {"text": "Plain text, up to 5000 characters."},
    "CustomerNoteUpdateInput": {"text": "1 to 5000 characters."},
    # -- files
    "CustomerImportStartInput": {
        "existing": "For customers who are known already.",
        "onError": "For rows that cannot be taken in.",
        "consents": "For customers who never said anything about these channels.",
    },
    "CustomerImportPreviewPayload": {"preview": "Null if the file cannot be read."},
    "CustomerImportPreview": {
        "columns": "The fields that were found, and where.",
        "unusedHeaders": "Headers from which nothing is read.",
        "rows": "The first ones, as they would be taken in.",
    },
    "ImportColumn": {"field": _FIELD},
    "ColumnInput": {"field": _FIELD, "header": "As it stands in the file."},
    "ImportPreviewRow": {
        "row": "Its number in the file, from 1.",
        "problem": "Why it would be refused; null if it would not.",
    },
    "ImportProblem": {
        "code": "For programs.",
        "column": "The header of the column at fault; null if the row is.",
        "message": "What is wrong with it.",
    },
    # -- ids and merging
    "IdentityScope": {
        "SHOP": "Within one shop.",
        "APP": "Within one app of a platform, whichever shop uses it.",
        "MERCHANT": "Within the merchant's own systems.",
        "GLOBAL": "Everywhere.",
    },
    "CustomerIdentityAddInput": {
        "scope": "Where the id is unique.",
        "kind": _ID_KIND,
        "value": _ID_VALUE,
        "shopId": "The shop whose id it is; with scope SHOP alone.",
        "appKey": "The app's key at the platform; with scope APP alone.",
    },
    "CustomerIdentityRemoveInput": {"identity": "The id of the `CustomerIdentity`."},
    "CustomerMerge": {
        "reason": "As who merged gave it.",
        "at": "When they were merged.",
        "undoneAt": "When it was taken back; null while it holds.",
        "undoneBy": "Who took it back, such as `staff:3`.",
    },
    "CustomerMergePayload": {
        "merge": "Its id is what `customerUnmerge` takes; null if it was refused.",
    },
    "CustomerUnmergePayload": {"merge": "With `undoneAt` set; null if it was refused."},
    "CustomerMergePreviewResult": {
        "": "The preview of a merge, or why there is none.",
        "preview": "Null if there are errors.",
    },
    "CustomerMergePreview": {
        "counts": "How many rows would move, by table.",
        "fields": "Whose name, birthday, contacts and the like would be kept.",
        "lostConsents": "Merging never widens consent: these would be lost.",
        "warnings": "What speaks against it; it is possible all the same.",
        "customer": "Who would be kept.",
        "other": "Who would become part of the kept one.",
        "phone": "The kept customer's, or else the other's.",
        "email": "The kept customer's, or else the other's.",
    },
    # -- custom fields
    "CustomField": {
        "key": "What stands behind the dot of `name`.",
        "title": "For people.",
        "type": "What values it takes; it never changes.",
    },
    "CustomFieldCreateInput": {
        "title": _TITLE,
        "type": "What values it takes; it can never be changed.",
    },
    "CustomFieldUpdateInput": {"title": _TITLE},
    "CustomFieldWhere": {
        "namespace": "By `custom`, or the plugin that owns the field.",
        "key": "By what stands behind the dot of the name.",
        "type": "By what values they take.",
    },
    "CustomFieldFilter": {
        "number": "Of an INT or DECIMAL.",
        "isTrue": "Of a BOOL; who has no value fits neither true nor false.",
        "date": "Of a DATE.",
        "dateTime": "Of a DATETIME.",
    },
    "CustomerFieldValue": {
        "source": "Who set it: `staff`, `campaign`, `import:<job>` or a plugin."
    },
    "CustomerFieldsSetInput": {"fields": "1 to 100, each field once."},
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
