"""The variables with which each published operation is tried."""

from pathlib import Path

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations"
NAMES = sorted(path.stem for path in OPERATIONS.glob("*.graphql"))
UPLOADS = {"order-import-start", "customer-import-start", "customer-import-preview"}
SUBSCRIPTIONS = {"job-progress", "campaign-progress"}
CONTENT = [
    {"field": "subject", "text": "new"},
    {"field": "html", "text": '<a href="{{ unsubscribe_url }}">x</a>'},
]


def text(name):
    return (OPERATIONS / f"{name}.graphql").read_text(encoding="utf-8")


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
    named = {
        "shop": {"id": ids["Shop"]},
        "shop-create": {"input": {"name": "second", "platform": "jd"}},
        "shop-update": {"id": ids["Shop"], "input": {"name": "renamed"}},
        "token-create": {"input": {"name": "reader", "permissions": ["SHOPS_READ"]}},
        "token-revoke": {"id": ids["Token"]},
        "plugin-enable": {"name": "taobao", "input": {"settings": {}}},
        "plugin-disable": {"name": "taobao"},
        "customers": {"where": {"id": {"in": [ids["Customer"]]}}},
        "customer": {"id": ids["Customer"]},
        "customer-by-external-ref": {"shopId": ids["Shop"], "kind": "nick", "value": "n1"},
        "customer-update": {"id": ids["Customer"], "input": {"name": "王五", "city": None}},
        "customer-tags-add": {"id": ids["Customer"], "input": {"tags": ["vip"]}},
        "customer-tags-remove": {"id": ids["Customer"], "input": {"tags": ["vip"]}},
        "customer-consent-set": {
            "id": ids["Customer"],
            "input": {"channel": "email", "status": "GRANTED", "source": "phone"},
        },
        "orders": {"where": {"customer": {"eq": ids["Customer"]}}},
        "order": {"id": ids["Order"]},
        "orders-upsert": {"input": {"shopId": ids["Shop"], "orders": [order]}},
        "order-import-start": {"input": {"shopId": ids["Shop"], "file": None}},
        "customer-import-start": {
            "input": {"file": None, "shopId": ids["Shop"], "tags": ["fair"],
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
        "campaign-delivery-export-start": {
            "input": {"where": {"campaign": {"eq": ids["Sent"]}}, "format": "JSONL",
                      "columns": ["customer_id", "state"], "idempotencyKey": "k1"}
        },
        "jobs": {"where": {"id": {"eq": ids["Job"]}}},
        "job": {"id": ids["Job"]},
        "job-cancel": {"id": ids["Job"]},
        "job-progress": {"id": ids["Job"]},
        "segment": {"id": ids["Segment"]},
        "segment-preview": {"rule": rule},
        "segment-create": {"input": {"name": "phones", "rule": rule}},
        "segment-update": {"id": ids["Unused"], "input": {"rule": {"not": rule}}},
        "segment-delete": {"id": ids["Unused"]},
        "campaigns": {"where": {"id": {"eq": ids["Sent"]}}},
        "campaign": {"id": ids["Sent"]},
        "campaign-preview": {"id": ids["Campaign"]},
        "campaign-create": {
            "input": {
                "name": "second", "channel": "email", "segmentId": ids["Segment"],
                "content": CONTENT,
            }
        },
        "campaign-update": {"id": ids["Campaign"], "input": {"content": CONTENT}},
        "campaign-schedule": {"id": ids["Campaign"], "input": {"at": "2099-01-01T00:00:00+08:00"}},
        "campaign-start": {"id": ids["Campaign"], "input": {"idempotencyKey": "k1"}},
        "campaign-pause": {"id": ids["Sent"]},
        "campaign-resume": {"id": ids["Sent"]},
        "campaign-cancel": {"id": ids["Sent"]},
        "campaign-progress": {"id": ids["Sent"]},
        "deliveries": {"where": {"campaign": {"eq": ids["Sent"]}}},
        "node": {"id": ids["Customer"]},
        "nodes": {"ids": [ids[kind] for kind in ids]},
    }  # fmt: skip
    return named.get(name, {})
