"""Words for consent, asking for it, erasing people, and the audit log."""

_PURPOSE = "What for: `marketing`, `service` or `personalisation`."
_UNPROVEN = "Whether marketing goes to who has agreed without evidence."

CONSENT = {
    "ConsentPolicy ConsentPolicySetInput": {"allowUnproven": _UNPROVEN},
    "ConsentPolicy": {
        "reason": "As who decided gave it.",
        "at": "When it was decided; it holds from then on.",
    },
    "ConsentPolicyWhere": {"validTo": "By when another one took its place."},
    "ConsentRequest": {
        "purpose": _PURPOSE,
        "source": "Where the customer asked, such as `form`.",
        "text": "Exactly what the customer is asked to agree to.",
        "textVersion": "Your own name of that version of the text.",
        "state": "Whether the customer has confirmed.",
        "expiresAt": "7 days after it was made; then its link confirms nothing any more.",
        "confirmedAt": "When the button on the link's page was pressed; null until then.",
        "customer": "Who is asked; null once erased.",
    },
    "ConsentRequestState": {
        "": "Where a request for consent stands.",
        "PENDING": "Waits for the customer; nothing is granted yet.",
        "CONFIRMED": "The customer agreed: consent is granted, with evidence.",
        "EXPIRED": "Nobody confirmed in time.",
        "REPLACED": "A later request for the same took its place.",
    },
    "ConsentRequestStartInput": {
        "textVersion": "Your own name of this version of the text, 1 to 64 characters.",
        "purpose": _PURPOSE,
    },
    "ConsentRequestStartInput CustomersConsentSetInput": {
        "shopId": "The shop that it is about; without it, all shops.",
    },
    "LostConsent": {"purpose": _PURPOSE, "shopId": "Null: for all shops."},
    "CustomerWordInput": {"status": "What the customer said about marketing."},
    # -- erasing people
    "ErasurePreview": {"tables": "All tables that hold something about a customer."},
    "ErasureTable": {
        "name": "For programs, such as `orders`.",
        "title": "For people, in English.",
        "rows": "How many of them are about this customer.",
    },
    "ErasureAction": {
        "DELETE": "The rows go.",
        "BLANK": "The rows stay, without who they were about.",
        "KEEP": "The rows stay as they are.",
    },
    "ErasureReason": {
        "ON_REQUEST": "The person asked for it.",
        "CONSENT_WITHDRAWN": "The person no longer agrees, and nothing else allows to keep it.",
        "PURPOSE_ENDED": "The data is needed no longer.",
        "UNLAWFUL": "The data should never have been stored.",
        "LEGAL_DUTY": "A law or an authority demands it.",
    },
    # -- the audit log
    "AuditEntry": {
        "at": "When it was done.",
        "hash": "HMAC-SHA-256 of the entry and of the hash before it, in hexadecimal.",
    },
    "AuditWhere": {
        "action": "By the action, such as `token.created`.",
        "actor": "By who did it, such as `staff:3`.",
    },
}
