"""Words for people who work for the merchant, their logins and roles."""

STAFF = {
    "RoleCreateInput RoleUpdateInput": {
        "permissions": "What who has it may do: nothing that you may not do yourself.",
    },
    "StaffInviteInput": {
        "email": "By which the person will log in; nothing is sent there.",
        "name": "Of the person.",
    },
    "StaffLoginPayload StaffOidcFinishPayload StaffRefreshPayload": {
        "tokens": "What to call with from now on; null if it was refused.",
    },
    "StaffOidc": {
        "issuer": "The provider's https URL, exactly as it writes it.",
        "clientId": "As the provider knows this server.",
        "hasSecret": "False for a public client.",
    },
    "StaffOidcRemovePayload": {
        "removed": "True when staff log in by password only; null if it was refused.",
    },
    "StaffOidcSetInput": {
        "clientId": "As the provider knows this server.",
    },
    "StaffOidcStartInput": {
        "merchantId": "Of the merchant whose staff it is; `viewer` and `huike staff list` show it.",
    },
    "StaffPasswordChangeInput": {
        "oldPassword": "The present one.",
    },
    "StaffRefreshInput": {
        "refreshToken": "Of the last login or refresh; works once.",
    },
    "StaffTotpDisableInput StaffTotpEnrolInput": {
        "password": "The present one, so that nobody does it at an unlocked screen.",
    },
    "StaffTotpDisablePayload": {
        "disabled": "True when logins need no code any more; null if it was refused.",
    },
    "StaffUpdateInput": {
        "name": "Of the person.",
    },
}
