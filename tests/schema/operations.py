"""The variables with which each published operation is tried."""

import re
from pathlib import Path

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations"
NAMES = sorted(path.stem for path in OPERATIONS.glob("*.graphql"))
UPLOADS = {
    "order-import-start", "customer-import-start", "customer-import-preview",
    "segment-list-import-start", "member-import-start",
}  # fmt: skip
PERSONS = {
    "staff-me", "staff-sessions", "staff-logout", "staff-session-end", "staff-password-change",
    "staff-totp-enrol",
}  # fmt: skip
"""What somebody who has logged in does, not a program."""
ELSEWHERE = {
    "staff-oidc-start", "staff-oidc-finish", "staff-totp-confirm", "staff-totp-disable",
    "sms-template-submit",
}  # fmt: skip
"""Tried where there are an identity provider and an authenticator app: test_staff_*.py; or a
vendor: plugins/sms/test_schema.py."""
PASSWORD, NEW_PASSWORD = "correct horse battery staple", "another staple of batteries"
SUBSCRIPTIONS = {
    "job-progress", "campaign-progress", "shop-sync-progress", "segment-size",
    "customer-timeline-live",
}  # fmt: skip
CONTENT = [
    {"field": "subject", "text": "new"},
    {"field": "html", "text": '<a href="{{ unsubscribe_url }}">x</a>'},
]


def text(name):
    return (OPERATIONS / f"{name}.graphql").read_text(encoding="utf-8")


STATED = re.compile(r"# Cost (\d+)(?:, SQL statements (?:up to )?(\d+))?\.")


def stated(name):
    """What an operation says of itself in its second line: its cost, and its SQL statements.

    A query says how many exactly, with the variables below; a mutation, which finds things one way
    or another, how many at the most. Of those that are tried elsewhere the number is None.
    """
    cost, statements = STATED.fullmatch(text(name).splitlines()[1]).groups()
    return int(cost), None if statements is None else int(statements)


def variables(name, ids):
    """For an operation; `ids` are of the merchant who is asked for."""
    rule = {"all": [{"province": {"anyOf": ["浙江省"]}}, {"hasPhone": True}]}
    order = {
        "externalId": "E2", "state": "COMPLETED", "currency": "CNY", "total": "12.50",
        "paid": "12.50", "orderedAt": "2026-06-01T10:00:00+08:00", "buyerId": "n2",
        "phone": "13900001111", "name": "李四", "address": "杭州市西湖区",
        "lines": [{"externalId": "1", "title": "茶", "amount": "12.50"}],
        "parcels": [{"trackingNumber": "SF1"}],
    }  # fmt: skip

    def known(id):
        return {"platform": "taobao", "id": id, "shopId": ids["Shop"]}

    named = {
        "shop": {"id": ids["Shop"]},
        "shop-create": {"input": {"name": "second", "platform": "jd"}},
        "bulk-export-run": {
            "input": {
                "query": "query ($name: String!) { shops(where: { name: { eq: $name } }) "
                "{ nodes { id name } } }",
                "variables": {"name": "shop"}, "idempotencyKey": "b1",
            }
        },
        "sms-template-submit": {
            "input": {
                "provider": "sandbox", "name": "code", "text": "${code}", "remark": "for logins",
                "messageClass": "SERVICE", "idempotencyKey": "s1",
            }
        },
        "webhook": {"id": ids["Webhook"], "where": {"state": {"in": ["PENDING", "FAILED"]}}},
        "webhook-create": {
            "input": {
                "name": "erp", "url": "https://erp.example.com/hooks", "topics": ["order.created"],
                "filter": {"state": "to_ship"}, "permissions": ["ORDERS_READ"],
                "document": "query ($orderId: ID!) { order(id: $orderId) { externalId state } }",
            }
        },
        "webhook-update": {"id": ids["Webhook"], "input": {"topics": ["order.state_changed"]}},
        "webhook-delete": {"id": ids["Webhook"]},
        "webhook-secret-rotate": {"id": ids["Webhook"], "input": {"overlapHours": 48}},
        "webhook-pause": {"id": ids["Webhook"]},
        "webhook-resume": {"id": ids["Webhook"]},
        "webhook-test": {"id": ids["Webhook"]},
        "webhook-redeliver": {
            "id": ids["Webhook"],
            "input": {"since": "2026-06-15T00:00:00+08:00", "until": "2026-06-16T00:00:00+08:00",
                      "states": ["DONE", "FAILED"]},
        },
        "webhook-message-redeliver": {"id": ids["WebhookMessage"]},
        "shop-update": {"id": ids["Shop"], "input": {"name": "renamed"}},
        "token-create": {"input": {"name": "reader", "permissions": ["SHOPS_READ"]}},
        "token-revoke": {"id": ids["Token"]},
        "token-rotate": {"id": ids["Token"], "input": {"overlapHours": 1}},
        "staff-invite": {
            "input": {"email": "new@example.com", "name": "Nora", "role": "service_agent"}
        },
        "staff-invite-accept": {"input": {"token": ids["invitation"], "password": NEW_PASSWORD}},
        "staff-update": {"id": ids["Colleague"], "input": {"role": "marketer", "disabled": False}},
        "staff-reset": {"id": ids["Colleague"]},
        "staff-login": {
            "input": {
                "merchantId": ids["Merchant"], "email": "olga@example.com", "password": PASSWORD,
            }
        },
        "staff-refresh": {"input": {"refreshToken": ids["refresh"]}},
        "staff-session-end": {"id": ids["StaffSession"]},
        "staff-password-change": {
            "input": {"oldPassword": PASSWORD, "newPassword": NEW_PASSWORD}
        },
        "staff-totp-enrol": {"input": {"password": PASSWORD}},
        "staff-oidc-set": {
            "input": {
                "issuer": "https://login.example.com", "clientId": "huike", "clientSecret": "s",
                "redirectUris": ["https://crm.example.com/back"], "domains": ["example.com"],
                "defaultRole": "analyst",
            }
        },
        "role-create": {"input": {"name": "night_shift", "copyOf": "service_agent"}},
        "role-update": {"name": "night_shift", "input": {"permissions": ["ORDERS_READ"]}},
        "role-delete": {"name": "night_shift"},
        "packages-dry-run": {"warehouse": "main", "day": "2026-06-14", "alsoOff": True},
        "packages-why": {"warehouse": "main", "orderId": ids["Order"]},
        "packages-results": {"ruleId": ids["PackagesRule"]},
        "packages-parcels": {"waveId": ids["PackagesWave"]},
        "packages-insert-create": {
            "input": {"name": "thanks", "kind": "CARD", "text": "{{ customer.name }}!"}
        },
        "packages-insert-archive": {"id": ids["PackagesInsert"]},
        "packages-stock-set": {
            "input": {"insertId": ids["PackagesInsert"], "warehouse": "main", "onHand": 9}
        },
        "packages-rule-create": {
            "input": {
                "name": "new", "variants": [{"insertId": ids["PackagesInsert"]}],
                "customers": rule, "orders": {"purchaseTo": 1}, "holdout": "0.1",
            }
        },
        "packages-rule-start": {"id": ids["PackagesRule"]},
        "packages-rule-stop": {"id": ids["PackagesRule"]},
        "packages-wave-create": {"input": {"warehouse": "main"}},
        "packages-wave-file-create": {
            "input": {"waveId": ids["PackagesWave"], "format": "CSV"}
        },
        "packages-parcel-confirm": {"input": {"code": ids["parcel"]}},
        "packages-parcel-unpack": {"input": {"code": ids["parcel"]}},
        "packages-parcel": {"code": ids["parcel"]},
        "packages-wave-cancel": {"id": ids["PackagesWave"]},
        "packages-rule-update": {
            "id": ids["PackagesRule"], "input": {"budget": "500.00", "perCustomer": 1}
        },
        "plugin-enable": {"name": "taobao", "input": {"settings": {}}},
        "plugin-disable": {"name": "taobao"},
        "coupons-template-create": {
            "input": {
                "name": "满100减10", "handle": "ten", "kind": "AMOUNT_OFF", "currency": "CNY",
                "amount": "10", "threshold": "100", "perCustomer": 1, "validDays": 30,
            }
        },
        "coupons-coupon": {"code": ids["coupon"]},
        "coupons-template-update": {"id": ids["CouponTemplate"], "input": {"state": "PAUSED"}},
        "coupons-codes-make": {
            "input": {"templateId": ids["CouponTemplate"], "count": 10, "idempotencyKey": "c1"}
        },
        "coupons-codes-import": {"input": {"templateId": ids["Pool"], "codes": ["AA-11", "BB-22"]}},
        "coupons-codes-file-create": {"input": {"templateId": ids["Pool"]}},
        "coupons-grant": {
            "input": {
                "templateId": ids["CouponTemplate"], "customerIds": [ids["Customer"]],
                "idempotencyKey": "may",
            }
        },
        "coupons-claim": {
            "input": {"handle": "loved", "customerId": ids["Customer"],
                      "idempotencyKey": "button"}
        },
        "coupons-reserve": {
            "input": {"basket": {
                "codes": ["SAVE10"], "currency": "CNY", "order": "E10",
                "lines": [{"productId": "tea", "amount": "120.00"}],
            }}
        },
        "coupons-revoke": {"input": {"ids": [ids["Coupon"]], "reason": "a mistake"}},
        "coupons-transfer": {
            "input": {"id": ids["Coupon"], "customerId": ids["Second"], "idempotencyKey": "t1"}
        },
        "coupons-quote": {
            "basket": {
                "codes": ["SAVE10"], "currency": "CNY", "order": "E9",
                "lines": [{"productId": "tea", "amount": "120.00", "quantity": 2}],
            }
        },
        "coupons-redeem": {
            "input": {"baskets": [{
                "codes": ["SAVE10"], "currency": "CNY", "order": "E9",
                "lines": [{"productId": "tea", "amount": "120.00", "quantity": 2}],
            }]}
        },
        "sms-arrivals": {"from": "2026-06-01", "to": "2026-06-30"},
        "sms-text-check": {"text": "好久不见，拒收请回复R", "shopId": ids["Shop"]},
        "coupons-figures": {"from": "2026-06-01", "to": "2026-06-30"},
        "coupons-release": {"input": {"order": "E9", "redeemed": True}},
        "customers": {"where": {"id": {"in": [ids["Customer"]]}}},
        "customer": {"id": ids["Customer"]},
        "customer-by-external-ref": {"ref": known("n1") | {"kind": "nick"}},
        "customers-by-external-refs": {"refs": [known("n1"), known("none")]},
        "customers-by-identity": {"kind": "nick", "values": ["n1", "n9"]},
        "order-by-external-ref": {"ref": known("E1")},
        "orders-by-external-refs": {"refs": [known("E1")]},
        "refund-by-external-ref": {"ref": known("R1")},
        "review-by-external-ref": {"ref": known("V1")},
        "parcels": {"where": {"order": {"eq": ids["Order"]}, "externalRef": {"eq": known("SF9")}}},
        "customer-update": {"id": ids["Customer"], "input": {"name": "王五", "city": None}},
        "customer-tags-add": {"id": ids["Customer"], "input": {"tags": ["vip"]}},
        "customer-tags-remove": {"id": ids["Customer"], "input": {"tags": ["vip"]}},
        "customer-consent-set": {
            "id": ids["Customer"],
            "input": {"channel": "email", "status": "GRANTED", "source": "phone"},
        },
        "customer-consent-history": {"id": ids["Customer"], "shopId": ids["Shop"]},
        "customers-consent-set": {
            "input": {
                "ids": [ids["Customer"]], "channel": "email", "status": "GRANTED", "source": "form",
                "evidence": {"form": "newsletter"},
            }
        },
        "consent-request-start": {
            "id": ids["Customer"],
            "input": {
                "channel": "email", "source": "form", "text": "我同意接收邮件", "textVersion": "1",
                "idempotencyKey": "k1",
            },
        },
        "consent-policy-set": {
            "input": {"channel": "email", "allowUnproven": True, "reason": "asked the lawyer"}
        },
        "suppressions": {"where": {"id": {"in": [ids["Suppression"]]}}},
        "suppression-add": {
            "input": {
                "channel": "email", "address": "bob@example.com", "reason": "complaint",
                "shopId": ids["Shop"],
            }
        },
        "suppression-remove": {"id": ids["Suppression"], "input": {"reason": "asked for it"}},
        "suppressions-import": {
            "input": {
                "channel": "email", "addresses": ["bob@example.com"], "reason": "complaint",
                "shopId": ids["Shop"],
            }
        },
        "customers-upsert": {"input": {"customers": [{
            "refs": [{"kind": "member_card", "value": "M1"}], "name": "王五",
            "phone": "13700137000", "tags": ["vip"],
            "consents": [{"channel": "email", "status": "GRANTED", "evidence": "form 3"}],
        }]}},
        "customer-merge-preview": {"id": ids["Customer"], "other": ids["Second"]},
        "customer-merge": {
            "id": ids["Customer"],
            "input": {
                "from": ids["Second"], "reason": "same person", "evidence": {"call": 7},
                "idempotencyKey": "m1",
            },
        },
        "customer-unmerge": {"id": ids["CustomerMerge"], "input": {"idempotencyKey": "u1"}},
        "customer-merges": {"id": ids["Second"]},
        "customer-identity-add": {
            "id": ids["Customer"],
            "input": {"scope": "SHOP", "shopId": ids["Shop"], "kind": "ouid", "value": "o1"},
        },
        "customer-identity-remove": {
            "id": ids["Customer"], "input": {"identity": ids["CustomerIdentity"]}
        },
        "merge-suggestions": {
            "where": {"id": {"eq": ids["MergeSuggestion"]}, "state": {"eq": "OPEN"}}
        },
        "merge-suggestion-accept": {
            "id": ids["MergeSuggestion"], "input": {"idempotencyKey": "a1"}
        },
        "merge-suggestion-reject": {"id": ids["MergeSuggestion"]},
        "customer-profile": {"id": ids["Customer"]},
        "customer-standing": {"id": ids["Customer"], "shopId": ids["Shop"]},
        "lifecycle": {"shopId": ids["Shop"]},
        "lifecycle-effect": {"shopId": ids["Shop"], "active": 50, "silent": 60, "sleeping": 90},
        "lifecycle-thresholds-set": {
            "input": {
                "shopId": ids["Shop"], "active": 50, "silent": 60, "sleeping": 90,
                "reason": "tea lasts longer",
            }
        },
        "lifecycle-proposal-apply": {"input": {"shopId": ids["Shop"], "reason": "as proposed"}},
        "lifecycle-report": {"shopId": ids["Shop"], "from": "2026-01-01", "to": "2026-06-15"},
        "lifecycle-moves": {"shopId": ids["Shop"], "from": "2026-01-01", "to": "2026-06-15"},
        "rfm": {"shopId": ids["Shop"]},
        "rfm-thresholds-set": {
            "input": {
                "shopId": ids["Shop"], "r": [7, 30, 90, 180], "f": [1, 2, 3, 5],
                "m": ["50.00", "100.00", "200.00", "500.00"],
            }
        },
        "product-cycles": {"where": {"shopId": {"eq": ids["Shop"]}}},
        "customer-timeline": {"id": ids["Customer"]},
        "customer-search": {"text": "张三"},
        "customer-fields-set": {
            "id": ids["Customer"],
            "input": {"fields": [{"field": "custom.size", "value": "L", "ifVersion": 0}]},
        },
        "tasks": {"where": {"id": {"in": [ids["Task"]]}, "state": {"eq": "OPEN"}},
                  "sort": [{"field": "CREATED_AT", "direction": "DESC"}]},
        "task-outcomes": {"since": "2026-06-01", "until": "2026-07-01"},
        "task-create": {"id": ids["Customer"], "input": {
            "title": "回访", "text": "问问新款", "dueAt": "2026-07-01T10:00:00+08:00",
            "assignee": "小美", "orderId": ids["Order"]}},
        "task-update": {"id": ids["Task"], "input": {"title": "再次回访", "assignee": None}},
        "task-finish": {"id": ids["Task"], "input": {"outcome": "INTERESTED", "note": "要新款"}},
        "task-cancel": {"id": ids["Task"], "input": {"note": "已下单"}},
        "customer-note-add": {"id": ids["Customer"], "input": {"text": "likes green tea"}},
        "customer-note-update": {"id": ids["Note"], "input": {"text": "likes black tea"}},
        "customer-note-remove": {"id": ids["Note"]},
        "customers-tags-add": {"input": {"ids": [ids["Customer"]], "tags": ["vip"]}},
        "customers-tags-remove": {"input": {"segmentId": ids["Segment"], "tags": ["vip"]}},
        "tags": {"where": {"name": {"startsWith": "v"}}},
        "tag-rename": {"name": "first", "input": {"to": "second"}},
        "tag-delete": {"name": "first"},
        "custom-fields": {"where": {"id": {"eq": ids["Field"]}}},
        "custom-field-create": {
            "input": {"key": "colour", "title": "Colour", "type": "CHOICE", "choices": ["red"]}
        },
        "custom-field-update": {"id": ids["Field"], "input": {"title": "Size of shirts"}},
        "custom-field-delete": {"id": ids["Field"]},
        "orders": {"where": {"customer": {"eq": ids["Customer"]}}},
        "order": {"id": ids["Order"]},
        "orders-upsert": {"input": {"shopId": ids["Shop"], "orders": [order]}},
        "parcels-upsert": {"input": {"shopId": ids["Shop"], "parcels": [{
            "orderExternalId": "E1", "trackingNumber": "SF9", "events": [
                {"kind": "ARRIVED_CITY", "at": "2026-06-02T10:00:00+08:00", "place": "杭州"}],
        }]}},
        "refunds-upsert": {"input": {"shopId": ids["Shop"], "refunds": [{
            "externalId": "R1", "orderExternalId": "E1", "state": "REQUESTED", "amount": "2.50",
            "requestedAt": "2026-06-03T10:00:00+08:00", "reason": "尺码不合适",
        }]}},
        "reviews-upsert": {"input": {"shopId": ids["Shop"], "reviews": [{
            "externalId": "V1", "orderExternalId": "E1", "at": "2026-06-05T10:00:00+08:00",
            "sign": "BAD", "text": "面料偏硬", "tags": ["质量"],
        }]}},
        "reviews": {"where": {"customer": {"eq": ids["Customer"]}, "contains": "硬",
                              "negative": {"isNull": False}, "sign": {"in": ["BAD"]}}},
        "customer-reviews": {"id": ids["Customer"]},
        "platform-memberships": {"id": ids["Customer"]},
        "platform-membership-counts": {
            "first": "2026-06-01", "last": "2026-06-15", "shopId": ids["Shop"]
        },
        "review-words-set": {"input": {"words": ["掉色"]}},
        "refunds": {"where": {"customer": {"eq": ids["Customer"]}}},
        "member-import-start": {
            "input": {"file": None, "dryRun": True, "idempotencyKey": "i1"}
        },
        "order-import-start": {
            "input": {"shopId": ids["Shop"], "file": None, "idempotencyKey": "i1"}
        },
        "customer-import-start": {
            "input": {"file": None, "shopId": ids["Shop"], "tags": ["fair"],
                      "idempotencyKey": "i1",
                      "consents": [{"channel": "email", "evidence": "fair"}]}
        },
        "customer-import-preview": {"input": {"file": None, "shopId": ids["Shop"]}},
        "customer-import-undo": {"id": ids["Import"]},
        "customer-export-start": {
            "input": {"where": {"id": {"eq": ids["Customer"]}}, "idempotencyKey": "k1"}
        },
        "order-export-start": {
            "input": {"where": {"shop": {"eq": ids["Shop"]}}, "format": "XLSX",
                      "idempotencyKey": "k1"}
        },
        "refunds-export-start": {
            "input": {"idempotencyKey": "re1", "where": {"state": {"eq": "REFUNDED"}}}
        },
        "campaign-delivery-export-start": {
            "input": {"where": {"campaign": {"eq": ids["Sent"]}}, "format": "JSONL",
                      "columns": ["customer_id", "state"], "idempotencyKey": "k1"}
        },
        "jobs": {"where": {"id": {"eq": ids["Job"]}}},
        "job": {"id": ids["Job"]},
        "job-cancel": {"id": ids["Job"]},
        "job-progress": {"id": ids["Job"]},
        "staff-second-factor-set": {"input": {"required": False}},
        "shop-sync-progress": {"shopId": ids["Connected"]},
        "segment-size": {"id": ids["Segment"]},
        "customer-timeline-live": {"customerId": ids["Customer"]},
        "segment": {"id": ids["Segment"]},
        "segment-growth": {"id": ids["Segment"], "from": "2026-06-01", "to": "2026-06-15"},
        "segment-overlap": {"ids": [ids["Segment"], ids["Unused"]]},
        "segment-traits-start": {"input": {"segmentId": ids["Segment"], "limit": 10}},
        "segment-traits": {"id": ids["Traits"]},
        "segment-preview": {"rule": rule},
        "segment-preview-result": {"jobId": ids["Counting"]},
        "segment-explain": {"rule": rule, "language": "ZH"},
        "segment-why": {"rule": rule, "customerId": ids["Customer"]},
        "customer-in-segment": {"id": ids["Customer"], "segmentId": ids["Segment"]},
        "segment-create": {"input": {"name": "phones", "rule": rule}},
        "segment-update": {"id": ids["Unused"], "input": {"rule": {"not": rule}}},
        "segment-delete": {"id": ids["Unused"]},
        "segment-members": {"id": ids["List"], "onDay": "2026-06-15"},
        "customer-segments": {"id": ids["Customer"]},
        "segment-copy": {"id": ids["Segment"], "input": {"name": "again"}},
        "segment-refresh": {"id": ids["Segment"]},
        "segment-snapshot": {"input": {"name": "then", "segmentId": ids["Segment"]}},
        "segment-list-create": {"input": {"name": "guests", "description": "of the fair"}},
        "segment-list-add": {"id": ids["List"], "input": {"ids": [ids["Second"]]}},
        "segment-list-remove": {"id": ids["List"], "input": {"ids": [ids["Customer"]]}},
        "segment-list-import-start": {
            "id": ids["List"],
            "input": {"file": None, "dryRun": True, "idempotencyKey": "i1"},
        },
        "campaigns": {"where": {"id": {"eq": ids["Sent"]}}},
        "campaign": {"id": ids["Sent"]},
        "campaign-preview": {"id": ids["Campaign"]},
        "message-preview": {
            "message": {"channel": "email", "content": CONTENT}, "customerId": ids["Customer"],
            "orderId": ids["Order"],
        },
        "campaign-message-preview": {"id": ids["Campaign"], "customerId": ids["Customer"]},
        "message-measure": {"message": {"channel": "email", "content": CONTENT}},
        "campaign-links": {"runId": ids["CampaignRun"]},
        "campaign-check": {"id": ids["Campaign"]},
        "campaign-test-send": {
            "id": ids["Campaign"],
            "input": {
                "to": "me@example.com", "customerId": ids["Customer"], "idempotencyKey": "t1",
            },
        },
        "campaign-create": {
            "input": {
                "name": "second", "channel": "email", "segmentId": ids["Segment"],
                "content": CONTENT,
            }
        },
        "campaign-update": {"id": ids["Campaign"], "input": {"content": CONTENT}},
        "campaign-schedule": {"id": ids["Campaign"],
                              "input": {"at": "2099-01-01T00:00:00+08:00", "holidays": "NEXT"}},
        "campaign-start": {"id": ids["Campaign"], "input": {"idempotencyKey": "k1"}},
        "campaign-pause": {"id": ids["Sent"]},
        "campaign-resume": {"id": ids["Sent"]},
        "campaign-cancel": {"id": ids["Sent"]},
        "campaign-recurrence-set": {
            "id": ids["Campaign"],
            "input": {"cron": "0 10 * * TUE", "holidays": "PREVIOUS", "weekends": True},
        },
        "campaign-copy": {"id": ids["Sent"], "input": {"name": "a copy"}},
        "campaign-delete": {"id": ids["Campaign"]},
        "campaign-submit": {"id": ids["Campaign"]},
        "campaign-approve": {"id": ids["Campaign"]},
        "campaign-reject": {"id": ids["Campaign"], "input": {"reason": "too loud"}},
        "campaign-approval-set": {"input": {"required": True}},
        "campaign-recipes": {"language": "EN", "channel": "email"},
        "recipe-switch-on": {
            "input": {
                "recipe": "payment_reminder", "shopId": ids["Shop"], "start": True,
                "parameters": {"channel": "email"}, "idempotencyKey": "r1",
            }
        },
        "campaign-progress": {"id": ids["Sent"]},
        "campaign-flow-create": {
            "input": {
                "name": "reminder",
                "options": {"priority": 5, "maxLateness": {"hours": 2}},
                "flow": {
                    "trigger": {"event": {"type": "order.created", "where": [
                        {"field": "state", "values": ["created_unpaid"]},
                        {"field": "shop_id", "values": [ids["Shop"]]},
                    ]}},
                    "entry": {"again": "ORDER", "rule": rule},
                    "exit": {"orderStates": ["CREATED_UNPAID"]},
                    "steps": [
                        {"wait": {"key": "half_an_hour", "span": {"minutes": 30}}},
                        {"condition": {"key": "dear", "rule": rule, "otherwise": "end",
                                       "order": {"totalAtLeast": 5000, "shopIds": [ids["Shop"]]}}},
                        {"send": {"key": "remind", "channel": "email", "messageClass": "SERVICE",
                                  "variants": [{"content": CONTENT}]}},
                        {"waitFor": {"key": "paid", "type": "order.state_changed",
                                     "where": [{"field": "state", "values": ["to_ship"]}],
                                     "timeout": {"days": 1}, "otherwise": "end"}},
                        {"split": {"key": "half", "branches": [{}, {"next": "end"}]}},
                        {"tag": {"key": "thanks", "add": ["paid"]}},
                        {"setField": {"key": "size", "field": "custom.size", "value": "L"}},
                        {"changeList": {"key": "guests", "segmentId": ids["List"]}},
                        {"webhook": {"key": "tell", "url": "https://shop.example/hook"}},
                    ],
                },
            }
        },
        "campaign-journey": {"id": ids["Journey"]},
        "campaign-proposal": {"id": ids["Journey"]},
        "campaign-proposal-withdraw": {"id": ids["Journey"]},
        "campaign-interim-report": {"id": ids["Sent"]},
        "webhook-calls": {"where": {"campaign": {"eq": ids["Journey"]},
                                    "state": {"eq": "FAILED"}}},
        "failed-events": {"where": {"type": {"eq": "order.created"}}},
        "failed-events-retry": {"input": {"ids": [ids["FailedEvent"]]}},
        "webhook-call-retry": {"id": ids["WebhookCall"]},
        "campaign-finish": {"id": ids["Journey"]},
        "campaign-version-move": {"id": ids["Journey"], "input": {"fromVersion": 1}},
        "enrolments": {"where": {"campaign": {"eq": ids["Journey"]}, "step": {"eq": "pause"},
                                 "state": {"eq": "WAITING"}}},
        "customer-journeys": {"id": ids["Customer"]},
        "custom-event-record": {
            "input": {"type": "custom.visited", "customerId": ids["Customer"],
                      "orderId": ids["Order"], "data": {"page": "tea"}, "idempotencyKey": "v1"},
        },
        "campaign-results": {"id": ids["Sent"]},
        "campaign-report-recompute": {"id": ids["Reported"]},
        "crm-sales": {"from": "2026-06-01", "to": "2026-06-30", "shopId": ids["Shop"]},
        "refund-win-back": {"from": "2026-06-01", "to": "2026-06-30", "shopId": ids["Shop"]},
        "message-arrivals": {"from": "2026-06-01", "to": "2026-06-30"},
        "attribution-window-set": {"input": {"channel": "sms", "touch": "CLICK", "hours": 48}},
        "attribution-recompute": {"input": {"from": "2026-06-01", "to": "2026-06-30"}},
        "deliveries-settle": {"input": {"ids": [ids["Unknown"]], "decision": "SENT"}},
        "replies": {"where": {"customer": {"eq": ids["Customer"]}}},
        "opt-out-words-set": {"input": {"words": ["别发了"]}},
        "deliveries": {"where": {"campaign": {"eq": ids["Sent"]}}},
        "programme-set": {
            "input": {"name": "Club", "currency": "CNY", "rules": {"welcome_points": 10}}
        },
        "tier-create": {
            "input": {"name": "Gold", "rank": 2, "threshold": "5000", "keepThreshold": "3000",
                      "benefits": [{"kind": "discount", "percent": 5}]}
        },
        "tier-update": {"id": ids["Tier"], "input": {"threshold": "99.50"}},
        "tier-delete": {"id": ids["Tier"]},
        "tiers-effect": {"tiers": [{"tierId": ids["Tier"], "threshold": "10"}]},
        "member-join": {"input": {"customerId": ids["Second"], "source": "AGENT"}},
        "member-leave": {"input": {"customerId": ids["Customer"], "source": "PLATFORM"}},
        "member-tier-set": {
            "input": {"customerId": ids["Customer"], "tierId": ids["Tier"]}
        },
        "membership": {"id": ids["Customer"]},
        "membership-counts": {"first": "2026-06-01", "last": "2026-06-30"},
        "points-entries": {"customer": ids["Customer"]},
        "points-earn": {
            "input": {"customerId": ids["Customer"], "rule": "review", "idempotencyKey": "p1"}
        },
        "points-adjust": {
            "input": {"customerId": ids["Customer"], "points": -5, "reason": "a mistake",
                      "idempotencyKey": "p1"}
        },
        "points-requests": {"where": {"state": {"eq": "REQUESTED"}}},
        "points-request-approve": {"id": ids["PointsRequest"]},
        "points-request-reject": {"id": ids["PointsRequest"], "input": {"reason": "too much"}},
        "points-spend": {
            "input": {"customerId": ids["Customer"], "points": 5, "orderId": ids["Order"],
                      "idempotencyKey": "p1"}
        },
        "points-hold": {
            "input": {"customerId": ids["Customer"], "points": 5, "idempotencyKey": "p1"}
        },
        "points-hold-settle": {
            "input": {"holdId": ids["PointsHold"], "spend": True, "idempotencyKey": "p1"}
        },
        "points-return": {
            "input": {"entryId": ids["PointsEntry"], "points": 4, "idempotencyKey": "p1"}
        },
        "points-transfer": {
            "input": {"fromCustomerId": ids["Customer"], "toCustomerId": ids["Second"],
                      "points": 5, "reason": "family", "idempotencyKey": "p1"}
        },
        "customer-by-card": {"cardNumber": "123456789012"},
        "points-figures": {"month": "2026-06-01"},
        "tier-figures": {"month": "2026-06-01"},
        "rewards": {},
        "redemptions": {"where": {"state": {"eq": "REQUESTED"},
                                  "customer": {"eq": ids["Customer"]}}},
        "reward-create": {
            "input": {"name": "Cup", "cost": 50, "stock": 10, "tierIds": [ids["Tier"]]}
        },
        "reward-update": {"id": ids["Reward"], "input": {"stock": 3, "tierIds": None}},
        "reward-redeem": {
            "input": {"rewardId": ids["Reward"], "customerId": ids["Customer"],
                      "idempotencyKey": "p1"}
        },
        "redemption-fulfil": {"id": ids["Redemption"], "input": {"given": "SF1"}},
        "referral-code-make": {"input": {"customerId": ids["Customer"]}},
        "referral-code": {"customer": ids["Customer"]},
        "referral-enter": {"input": {"customerId": ids["Customer"], "code": ids["code"]}},
        "referral-refuse": {"id": ids["Referral"], "input": {"reason": "one household"}},
        "referral-counts": {"first": "2026-06-01", "last": "2026-06-30"},
        "referrals": {"where": {"state": {"eq": "WAITING"}, "referrer": {"eq": ids["Customer"]}}},
        "redemption-cancel": {"id": ids["Redemption"], "input": {"reason": "broken"}},
        "sending-policy": {"from": "2026-06-01"},
        "sending-cap-set": {
            "input": {"shopId": ids["Shop"], "channel": "email", "hours": 168, "messages": 2}
        },
        "sending-cap-delete": {"id": ids["Cap"]},
        "sending-hours-set": {
            "input": {
                "shopId": ids["Shop"], "commuteAndRest": True,
                "quiet": [{"start": "22:00", "end": "08:00", "weekdays": [6, 7]}],
            }
        },
        "sending-holidays-set": {
            "input": {"shopId": ids["Shop"], "days": ["2026-10-01", "2026-10-02"], "name": "国庆节"}
        },
        "sending-holidays-add-official": {
            "input": {"year": 2026, "shopId": ids["Shop"], "kind": "QUIET"}
        },
        "sending-holiday-delete": {"id": ids["Holiday"]},
        "sending-rate-set": {"input": {"channel": "email", "messages": 600, "per": "MINUTE"}},
        "campaign-simulation": {"id": ids["Campaign"]},
        "campaign-simulation-result": {"jobId": ids["Simulating"]},
        "why-not-sent": {"customerId": ids["Customer"], "campaignId": ids["Campaign"]},
        "customer-data-export": {"id": ids["Customer"], "input": {"idempotencyKey": "e1"}},
        "customer-erase": {
            "id": ids["Customer"], "input": {"reason": "ON_REQUEST", "idempotencyKey": "e1"},
        },
        "customer-erase-preview": {"id": ids["Customer"]},
        "retention-preview": {"name": "jobs", "days": 30},
        "retention-rule-set": {"name": "jobs", "input": {"days": 60}},
        "retention-rule-remove": {"name": "jobs"},
        "audit-log": {"where": {"actor": {"eq": "nobody"}}},
        "audit-verify": {"input": {"idempotencyKey": "a1"}},
        "shop-sync": {"shopId": ids["Connected"]},
        "shop-connect-start": {"input": {"platform": "shelf", "shopId": ids["Connected"]}},
        "shop-connect-with-token": {"input": {"platform": "shelf", "token": "s2"}},
        "shop-pause": {"id": ids["Connected"]},
        "shop-resume": {"id": ids["Connected"]},
        "shop-disconnect": {"id": ids["Connected"]},
        "shop-resync": {"id": ids["Connected"], "input": {"day": "2026-06-01"}},
        "dead-letter-retry": {"id": ids["DeadLetter"]},
        "platform-deeds": {},
        "platform-deed-settle": {"id": ids["PlatformDeed"], "input": {"done": True}},
        "node": {"id": ids["Customer"]},
        "nodes": {"ids": [ids[kind] for kind in ids]},
    }  # fmt: skip
    return named.get(name, {})
