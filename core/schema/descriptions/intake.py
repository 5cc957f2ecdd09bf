"""Words for orders, parcels, refunds and reviews that are handed in."""

INTAKE = {
    "OrderImportStartInput": {
        "shopId": "The shop whose orders the file has.",
        "columns": "Where fields stand whose headers are not recognised.",
        "consent": "Consent to write down for the file's customers; without it none is.",
    },
    "OrderInput": {
        "externalId": "Its number on the platform; an order of the shop with the same number is "
        "updated.",
        "state": "In this API's words; CLOSED_UNPAID and CLOSED_REFUNDED are never left again.",
        "total": "What the buyer is to pay, in the major unit of `currency`, not negative.",
        "paid": "What the buyer has paid, in the major unit of `currency`.",
        "orderedAt": "When the buyer placed it, with its offset.",
        "refunded": "What was paid back, in the major unit of `currency`; for a new "
        "CLOSED_REFUNDED order all, if absent.",
        "platformState": "The platform's own word for where it stands; kept as it is.",
        "paidAt": "When it was paid, with its offset; only paid orders count as bought.",
        "shippedAt": "When goods first left, with the offset.",
        "deliveredAt": "When the goods reached the buyer, with the offset.",
        "closedAt": "When it was closed, with the offset.",
        "inDispute": "Whether buyer and shop disagree at present.",
        "name": "The receiver's; stored encrypted.",
        "phone": "The receiver's, stored encrypted; masked and virtual numbers are left out.",
        "email": "The receiver's; it helps to find the customer.",
        "province": "Where it goes; rules of segments can ask for it.",
        "city": "Where it goes.",
        "address": "The street and what follows; stored encrypted.",
        "lines": "What was bought; a line with a known `externalId` is updated.",
        "parcels": "What was sent of it, each with its scans.",
    },
    "OrderLineInput": {
        "": "One article of an order.",
        "externalId": "Its number on the platform, unique in the order.",
        "title": "As the article was called when it was bought.",
        "quantity": "How many pieces, at least 1.",
        "sku": "The variant that was bought.",
        "productId": "The platform's id of the product; rules and cycles of products go by it.",
        "category": "The shop's or platform's category.",
    },
    "ParcelEventInput": {
        "kind": "How far it came by this scan; the parcel's state follows from all scans.",
        "at": "When it was scanned, with the offset.",
        "place": "Where it was scanned.",
        "text": "The carrier's words.",
    },
    "ParcelInput": {
        "": "A parcel of an order, with its trace.",
    },
    "ParcelInput ParcelTraceInput": {
        "trackingNumber": "The carrier's number of it, unique in the order.",
        "carrier": "Who carries it; absent keeps what is stored.",
        "events": "Its scans, in any order; those stored before stay.",
    },
    "ParcelTraceInput": {
        "orderExternalId": "The platform's number of the order that it belongs to.",
    },
    "ParcelOutcome": {
        "": "What became of the news of a parcel.",
        "TAKEN": "Stored with its order.",
    },
    "RefundUpsertResult ReviewUpsertResult": {
        "externalId": "Its number, as handed in.",
        "outcome": "What became of it.",
    },
    "RefundInput": {
        "externalId": "Its number on the platform; a refund of the shop with the same number is "
        "updated.",
        "orderExternalId": "The platform's number of the order; the refund waits for one not "
        "known yet.",
        "state": "In this API's words; REFUNDED, CANCELLED and RESOLVED are final.",
        "amount": "What the buyer wants back, in the major unit of `currency`, not negative.",
        "requestedAt": "When the buyer asked, with the offset.",
        "kind": "What the buyer asked for.",
        "platformState": "The platform's own word for where it stands; kept as it is.",
        "lineExternalId": "The order's line that it is about; without it the whole order.",
        "reason": "The buyer's words, or the platform's.",
        "quantity": "Of how many pieces, at least 1.",
        "trackingNumber": "Of the goods on their way back.",
        "carrier": "Who carries the goods back.",
        "refundedAt": "When it was paid back, with the offset.",
        "closedAt": "When it ended, in whatever way, with the offset.",
        "modifiedAt": "When the platform last changed it; an older snapshot changes nothing.",
    },
    "ReviewInput": {
        "externalId": "Its number on the platform; a review of the shop with the same number is "
        "updated.",
        "orderExternalId": "The platform's number of the order; the review waits for one not "
        "known yet.",
        "at": "When the buyer gave it, with the offset.",
        "stars": "1 to 5, where the platform counts them.",
        "lineExternalId": "The order's line that it is about; without it the whole order.",
        "text": "What the buyer wrote.",
        "laterText": "What the buyer added afterwards.",
        "reply": "What the merchant answered.",
        "tags": "The platform's labels of it.",
    },
    "ReviewWordsSetPayload": {
        "wordList": "Those that hold now; null if it was refused.",
    },
}
