"""All that is wrong with an input is told in one answer, each with the place that it stands at."""

import pytest
from graphql import build_schema, get_named_type, get_nullable_type, is_enum_type, is_list_type

from tests.docs.test_docs import ROOT
from tests.schema.operations import NAMES, PERSONS, UPLOADS, text, variables
from tests.schema.test_operations import root_fields, upload

SCHEMA = build_schema((ROOT / "schema.graphql").read_text(encoding="utf-8"))
MUTATIONS = SCHEMA.mutation_type.fields
OPERATION = {root_fields(name)[0]: name for name in NAMES if "mutation" in text(name)}
LONG = "x" * 20_000
NONE = "garbage"
WRONG_RULE = {"orderCount": {"atLeast": -1}}
KEY = {"idempotencyKey": ""}
PAST, FUTURE = "2001-01-01T00:00:00Z", "9998-01-01T00:00:00Z"

WRONG = {
    "attributionWindowSet": {"channel": "", "hours": -1},
    "auditVerify": {"head": "", **KEY},
    "bulkExportRun": {"query": "", "variables": [1], **KEY},
    "campaignCreate": {"name": "", "channel": "pigeon", "segmentId": NONE, "shopId": NONE},
    "campaignDeliveryExportStart": {"columns": ["nope"], **KEY},
    "campaignTestSend": {"to": "", "customerId": NONE, **KEY},
    "campaignUpdate": {"name": "", "segmentId": NONE, "content": [], "shopId": NONE},
    "consentPolicySet": {"channel": "", "reason": ""},
    "consentRequestStart": {"channel": "", "text": "", "textVersion": "", "source": "",
                            "purpose": "", "shopId": NONE, **KEY},
    "couponsClaim": {"handle": "", "customerId": NONE, **KEY},
    "couponsCodesImport": {"templateId": NONE, "codes": [""]},
    "couponsCodesMake": {"templateId": NONE, "count": -1, **KEY},
    "couponsGrant": {"templateId": NONE, "customerIds": [NONE], **KEY},
    "couponsReserve": {
        "until": PAST,
        "basket": {"codes": [], "currency": "CNY", "lines": [{"productId": "1", "amount": "1"}]},
    },
    "couponsRevoke": {"ids": [NONE], "reason": ""},
    "couponsTemplateCreate": {
        "name": "", "handle": "", "amount": "-1", "gift": " ", "threshold": "-1", "maxOff": "-1",
        "shopIds": [NONE], "segmentId": NONE, "publicCode": "", "platformShopId": NONE,
        "validDays": -1, "perCustomer": -1, "total": -1, "daily": -1, "budget": "-1",
        "transfers": -1, "lowStock": -1,
    },
    "couponsTemplateUpdate": {
        "name": "", "validDays": -1, "perCustomer": -1, "total": -1, "daily": -1,
        "budget": "0.00001", "transfers": -1, "lowStock": -1,
    },
    "couponsTransfer": {"id": NONE, "customerId": NONE, **KEY},
    "customEventRecord": {"type": "", "customerId": NONE, "orderId": NONE, "data": [1], **KEY},
    "customFieldCreate": {"namespace": "", "key": "", "title": "", "choices": []},
    "customFieldUpdate": {"title": "", "choices": [""]},
    "customerConsentSet": {"channel": "", "source": "", "evidence": [1], "purpose": "",
                           "shopId": NONE, "text": "", "textVersion": ""},
    "customerExportStart": {"segmentId": NONE, "columns": ["nope"], **KEY},
    "customerIdentityAdd": {"shopId": NONE, "kind": "", "value": ""},
    "customerImportStart": {"shopId": NONE, "tags": [""], **KEY,
                            "consents": [{"channel": "", "evidence": ""}],
                            "columns": [{"field": "nope", "header": "x"}]},
    "customerMerge": {"from": NONE, "reason": "", "evidence": [1], **KEY},
    "customerUpdate": {"name": "", "birthday": "2999-01-01", "country": "", "province": "",
                       "city": "", "phone": "", "email": ""},
    "customersConsentSet": {"channel": "", "source": "", "ids": [NONE], "purpose": "",
                            "shopId": NONE, "text": "", "textVersion": "", "evidence": [1]},
    "customersTagsAdd": {"tags": [""], "ids": [NONE]},
    "customersTagsRemove": {"tags": [""], "ids": [NONE]},
    "customersUpsert": {"customers": [{}], "shopId": NONE},
    "lifecycleProposalApply": {"reason": "", "shopId": NONE, "minAgeDays": -1},
    "lifecycleThresholdsSet": {"active": -1, "silent": -1, "sleeping": -1, "reason": "",
                               "shopId": NONE, "from": "2001-01-01"},
    "memberImportStart": {"shopId": NONE, "columns": [{"field": "nope", "header": "x"}], **KEY},
    "memberJoin": {"customerId": NONE, "shopId": NONE},
    "memberTierSet": {"customerId": NONE, "tierId": NONE, "until": PAST},
    "mergeSuggestionAccept": {"keep": NONE, **KEY},
    "orderExportStart": {"columns": ["nope"], **KEY},
    "orderImportStart": {"shopId": NONE, "format": "nope", **KEY,
                         "consent": {"channel": "sms", "evidence": ""}},
    "ordersUpsert": {"shopId": NONE, "orders": [{
        "externalId": "", "state": "COMPLETED", "currency": "CNY", "total": "1", "paid": "-1",
        "orderedAt": PAST,
    }]},
    "packagesInsertCreate": {"name": "", "sku": "", "text": "", "couponCode": "",
                             "unitCost": "-1", "lowStock": -1},
    "packagesRuleCreate": {
        "name": "", "variants": [{"insertId": NONE}], "priority": 9999, "exclusive": "",
        "perCustomer": -1, "perDays": -1, "holdout": "-1", "budget": "0.00001",
        "orders": {"shopIds": [NONE]}, "customers": WRONG_RULE,
    },
    "packagesRuleUpdate": {"name": "", "priority": 9999, "exclusive": "", "perCustomer": -1,
                           "perDays": -1, "budget": "0.00001"},
    "packagesStockSet": {"insertId": NONE, "warehouse": "", "onHand": -1},
    "packagesWaveCreate": {"warehouse": "", "shopIds": [NONE], "limit": -1,
                           "orders": [{"orderId": NONE}]},
    "parcelsUpsert": {"shopId": NONE, "parcels": [{"orderExternalId": "", "trackingNumber": ""}]},
    "pointsAdjust": {"customerId": NONE, "points": 0, "reason": "", **KEY},
    "pointsEarn": {"customerId": NONE, "rule": "", "reason": LONG, **KEY},
    "pointsHold": {"customerId": NONE, "points": -1, "minutes": -1, "reason": LONG, **KEY},
    "pointsHoldSettle": {"holdId": NONE, **KEY},
    "pointsReturn": {"entryId": NONE, "points": -1, **KEY},
    "pointsSpend": {"customerId": NONE, "points": -1, "orderId": NONE, "reason": LONG, **KEY},
    "pointsTransfer": {"fromCustomerId": NONE, "toCustomerId": NONE, "points": -1,
                       "reason": LONG, **KEY},
    "programmeSet": {"name": "", "currency": "", "rules": {"nope": 1}},
    "recipeSwitchOn": {"recipe": "", "shopId": NONE, "name": "", **KEY},
    "referralEnter": {"customerId": NONE, "code": ""},
    "refundsExportStart": {"columns": ["nope"], **KEY},
    "refundsUpsert": {"shopId": NONE, "refunds": [{
        "externalId": "", "orderExternalId": "", "kind": "REFUND_ONLY", "state": "REFUNDED",
        "amount": "-1", "requestedAt": PAST,
    }]},
    "reviewsUpsert": {"shopId": NONE, "reviews": [
        {"externalId": "", "orderExternalId": "", "at": PAST},
    ]},
    "rewardCreate": {"name": "", "cost": -1, "provider": "", "stock": -1, "perCustomer": -1,
                     "tierIds": [NONE]},
    "rewardRedeem": {"rewardId": NONE, "customerId": NONE, **KEY},
    "rewardUpdate": {"name": "", "cost": -1, "stock": -1, "perCustomer": -1, "tierIds": []},
    "rfmThresholdsSet": {"shopId": NONE, "currency": " ", "r": [], "f": [], "m": []},
    "roleCreate": {"name": "", "permissions": []},
    "segmentCreate": {"name": "", "description": LONG, "rule": WRONG_RULE},
    "segmentListCreate": {"name": "", "description": LONG},
    "segmentListImportStart": {"shopId": NONE, **KEY,
                               "columns": [{"field": "nope", "header": "x"}]},
    "segmentSnapshot": {"name": "", "description": LONG, "segmentId": NONE},
    "segmentTraitsStart": {"segmentId": NONE, "limit": -1},
    "segmentUpdate": {"name": "", "description": LONG, "rule": WRONG_RULE},
    "sendingCapSet": {"hours": -1, "messages": -1, "shopId": NONE, "channel": "pigeon"},
    "sendingHolidaysAddOfficial": {"year": -1, "shopId": NONE},
    "sendingHolidaysSet": {"days": [], "name": "", "shopId": NONE},
    "sendingHoursSet": {
        "shopId": NONE, "channel": "pigeon",
        "open": [{"start": "09:00", "end": "10:00", "weekdays": [9]}],
        "quiet": [{"start": "09:00", "end": "10:00", "weekdays": [9]}],
    },
    "sendingRateSet": {"channel": "", "messages": -1},
    "shopConnectStart": {"platform": "", "shopId": NONE},
    "shopConnectWithToken": {"platform": "", "token": "", "shopId": NONE},
    "shopCreate": {"name": "", "platform": "", "timeZone": "", "currency": ""},
    "shopUpdate": {"name": "", "timeZone": "", "currency": ""},
    "smsTemplateSubmit": {"provider": "", "name": "", "text": "", "remark": "", **KEY},
    "staffInvite": {"email": "", "name": "", "role": ""},
    "staffInviteAccept": {"token": "", "password": ""},
    "staffOidcSet": {"issuer": "", "clientId": "", "redirectUris": [], "domains": [""],
                     "defaultRole": ""},
    "staffUpdate": {"name": "", "role": ""},
    "suppressionAdd": {"channel": "", "address": "", "reason": "", "shopId": NONE},
    "suppressionsImport": {"channel": "", "reason": "", "shopId": NONE},
    "taskCreate": {"title": "", "text": LONG, "assignee": "", "orderId": NONE},
    "taskUpdate": {"title": "", "text": LONG, "assignee": ""},
    "tierCreate": {"name": "", "threshold": "-1", "keepThreshold": "-1", "benefits": {}},
    "tierUpdate": {"name": "", "threshold": "-1", "keepThreshold": "-1", "benefits": {}},
    "tokenCreate": {"name": "", "permissions": [], "expiresAt": PAST},
    "webhookCreate": {"name": "", "url": "", "topics": [], "document": "", "permissions": []},
    "webhookUpdate": {"name": "", "url": "", "topics": [], "document": "", "permissions": []},
}  # fmt: skip
"""Values of which each is refused by itself; what is wrong only beside another one is not here."""

LOGIN = "which of them was wrong is not told to who tries to get in"
ONE = "one field only can be refused; the others are free text, or say what the object is for"
PERIOD = "two ends of one period, which is right or is not"
ALONE = {
    **dict.fromkeys(("staffLogin", "staffOidcFinish", "staffOidcStart", "staffPasswordChange",
                     "staffTotpDisable"), LOGIN),
    **dict.fromkeys(("attributionRecompute", "webhookRedeliver"), PERIOD),
    "couponsRelease": ONE,
    "customerImportPreview": "a look at a file: what is wrong with it is in the preview's rows",
}  # fmt: skip
"""Mutations of several fields that are not in the table."""


def fields_of(name):
    given = MUTATIONS[name].args.get("input")
    return get_named_type(given.type).fields if given else {}


def refusable(field):
    """Whether a rule of ours can refuse a value that GraphQL lets in."""
    kind = get_named_type(field.type)
    return kind.name != "Boolean" and not is_enum_type(kind)


def test_every_mutation_of_several_fields_is_in_the_table():
    several = {
        name for name in MUTATIONS
        if sum(refusable(one) for key, one in fields_of(name).items() if key != "ifVersion") > 1
    }  # fmt: skip
    assert set(WRONG) | set(ALONE) == several, "put it into the table, or say why it is not"
    assert not set(WRONG) & set(ALONE)
    assert len(WRONG) > 90


NAMED = {"content"}
"""Lists whose parts have a name of their own, by which a path leads to them."""


def leads(path, name):
    """Whether a path leads to a value of the mutation's arguments; none is about all of them."""
    if not path:
        return True
    first, *rest = path
    if first not in MUTATIONS[name].args:
        return False
    kind = MUTATIONS[name].args[first].type
    for step in rest:
        if step.isdecimal():
            if not is_list_type(get_nullable_type(kind)):
                return False
            kind = get_nullable_type(kind).of_type
            continue
        kind = get_named_type(kind)
        if step not in getattr(kind, "fields", {}):
            return False
        kind = kind.fields[step].type
        if step in NAMED or get_named_type(kind).name in ("JSON", "SegmentRuleInput"):
            return True
    return True


async def told(api, world, name, changed):
    """The errors of a mutation with some values of its operation's input changed."""
    operation = OPERATION[name]
    values = variables(operation, world.ids)
    values["input"] = {**values.get("input", {}), **changed}
    kinds = ", ".join(f"${one}: {given.type}" for one, given in MUTATIONS[name].args.items())
    given = ", ".join(f"{one}: ${one}" for one in MUTATIONS[name].args)
    query = (
        f"mutation ({kinds}) {{ {name}({given}) {{ errors {{ code message path retryable }} }} }}"
    )
    token = world.person if operation in PERSONS else world.token
    if operation in UPLOADS:
        answer = (await upload(api, token, operation, values, query=query)).json()
    else:
        answer = await api(token, query, **values)
    assert "errors" not in answer, answer
    return answer["data"][name]["errors"]


@pytest.mark.parametrize("name", WRONG)
async def test_all_that_is_wrong_is_told_at_once(api, kept, name):
    wrong = WRONG[name]
    errors = await told(api, kept, name, wrong)
    assert {error["path"][1] for error in errors} == set(wrong), errors
    for error in errors:
        assert leads(error["path"], name), error
        assert error["code"]
        assert error["message"]
