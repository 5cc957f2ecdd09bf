"""The stand-in of a WooCommerce store, strict, on loopback; it shares no code with the connector.

Unlike a real store it refuses parameters that it does not know.
"""

import base64
import hashlib
import hmac
import json
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from aiohttp import web

from core.sdk import WebRequest
from tests.stand_ins.gateways import Watched, drop
from tests.stand_ins.serving import served

LOCAL = timedelta(hours=8)
"""The store's clocks are so far ahead of UTC."""
DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
BUILT_IN = (
    "pending", "processing", "on-hold", "completed", "cancelled", "refunded", "failed",
    "checkout-draft",
)  # fmt: skip
WHOLE = {"page": (1, 10**9), "per_page": (1, 100)}
SOME = {"orderby": {"date", "id", "modified"}, "order": {"asc", "desc"},
        "dates_are_gmt": {"true", "false"}}  # fmt: skip
DATES = {"after", "before", "modified_after", "modified_before"}
MOST_FAILURES = 5


class Refusal(Exception):
    def __init__(self, status, code, message="synthetic"):
        super().__init__(message)
        self.status, self.code = status, code


def written(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%S")  # which zone is meant, the field's name says


@dataclass
class Webhook:
    url: str
    secret: str
    topics: tuple = ("order.created", "order.updated", "order.deleted")
    failures: int = 0
    active: bool = True


@dataclass
class Store(Watched):
    clock: object
    home: str = "https://shop.example"
    currency: str = "EUR"
    zone: str = "Asia/Shanghai"
    old: bool = False
    """Older than 5.8: it does not know when orders changed."""
    keys: dict = field(default_factory=lambda: {"ck_good": ("cs_good", "read")})
    orders: dict = field(default_factory=dict)
    refunds: dict = field(default_factory=dict)
    url: str = ""
    last_id: int = 100

    def __post_init__(self):
        super().__init__()

    # -- what happens in the store -------------------------------------------------------------

    def now(self):
        return self.clock().replace(microsecond=0)

    def order(self, status="pending", at=None, **more):
        """Somebody orders; returns the number."""
        at, number = at or self.now(), self._next()
        line = {
            "id": self._next(), "name": "纱布巾", "product_id": 31, "quantity": 2, "sku": "A-300",
            "total": "50.00", "total_tax": "9.50",
        }  # fmt: skip
        row = {
            "id": number, "parent_id": 0, "number": str(number), "status": status,
            "currency": self.currency, "total": "59.50", "total_tax": "9.50", "customer_id": 0,
            "billing": {
                "first_name": "Mei", "last_name": "Li", "address_1": "Hauptstr. 1", "address_2": "",
                "city": "Berlin", "state": "BE", "country": "DE", "email": "Mei.Li@Example.com",
                "phone": "030 901820",
            },
            "shipping": {"first_name": "", "last_name": "", "address_1": "", "city": ""},
            "line_items": [line], "refunds": [], "date_paid": None, "date_completed": None,
            "date_created": at, "date_modified": at,
        } | more  # fmt: skip
        self.orders[number] = row
        return number

    def change(self, number, at=None, **changes):
        """Something changes of an order; paying and completing leave their dates."""
        row, at = self.orders[number], at or self.now()
        if changes.get("status") in ("processing", "completed") and row["date_paid"] is None:
            row["date_paid"] = at
        if changes.get("status") == "completed":
            row["date_completed"] = at
        row |= changes | {"date_modified": at}
        return number

    def refund(self, number, amount, reason="", whole=True):
        """Money goes back, for the whole order or its first line; returns the refund's number."""
        row, refund = self.orders[number], self._next()
        of_line = {
            "id": self._next(), "name": "纱布巾", "quantity": -1, "total": f"-{amount}",
            "meta_data": [{"id": 1, "key": "_refunded_item_id",
                           "value": str(row["line_items"][0]["id"])}],
        }  # fmt: skip
        self.refunds[refund] = {
            "id": refund, "date_created": self.now(), "amount": amount, "reason": reason,
            "refunded_by": 1, "refunded_payment": True, "meta_data": [],
            "line_items": [] if whole else [of_line],
        }  # fmt: skip
        row["refunds"] = [*row["refunds"],
                          {"id": refund, "reason": reason, "total": f"-{amount}"}]  # fmt: skip
        self.change(number)
        return refund

    def _next(self):
        self.last_id += 1
        return self.last_id

    # -- what it sends -------------------------------------------------------------------------

    def message(self, hook, topic, number):
        """What a webhook sends about an order."""
        whole = {"id": number}
        if topic != "order.deleted":
            api = f"{self.home}/wp-json/wc/v3/orders"
            links = {"self": [{"href": f"{api}/{number}"}], "collection": [{"href": api}]}
            whole = _shown(self.orders[number]) | {"_links": links}
        return self.signed(hook, topic, json.dumps(whole).encode())

    def signed(self, hook, topic, body):
        """A delivery of a webhook: of all that it says only the body is signed."""
        signature = hmac.new(hook.secret.encode(), body, hashlib.sha256).digest()
        resource, event = topic.split(".")
        # the number of a delivery is made of the webhook's and the second alone
        delivery = hashlib.md5(f"1{self.now()}".encode(), usedforsecurity=False).hexdigest()
        return WebRequest("POST", hook.url, (), {
            "content-type": "application/json", "x-wc-webhook-source": f"{self.home}/",
            "x-wc-webhook-topic": topic, "x-wc-webhook-resource": resource,
            "x-wc-webhook-event": event, "x-wc-webhook-id": "1",
            "x-wc-webhook-signature": base64.b64encode(signature).decode(),
            "x-wc-webhook-delivery-id": delivery,
        }, body)  # fmt: skip

    async def hook(self, take, url, secret):
        """Make a webhook: its trial, which nobody signed, has to be answered with 200."""
        headers = {"content-type": "application/x-www-form-urlencoded"}
        answer = await take(WebRequest("POST", url, (), headers, b"webhook_id=1"))
        if answer.status != 200:
            raise AssertionError(f"Delivery URL returned response code: {answer.status}")
        return Webhook(url, secret)

    async def send(self, take, hook, topic, number):
        """Send once, as a store does; what fails too often is switched off."""
        if not hook.active or topic not in hook.topics:
            return
        answer = await take(self.message(hook, topic, number))
        if 200 <= answer.status < 303:
            hook.failures = 0
        elif hook.failures > MOST_FAILURES:
            hook.active = False
        else:
            hook.failures += 1

    # -- what it answers -----------------------------------------------------------------------

    async def answer(self, request):
        path = request.path.removeprefix("/wp-json").strip("/")
        query = dict(request.query)
        self.calls.append((path, query))
        fault = self.next_fault(path)
        if fault is not None and fault.kind == "dropped":
            return await drop(request)
        if fault is not None and isinstance(fault.kind, tuple):
            status, headers, body = fault.kind
            return web.Response(status=status, headers=headers, text=body)
        try:
            if request.method != "GET":
                raise Refusal(404, "rest_no_route")
            content, total = self._content(path, query, request.headers.get("Authorization"))
        except Refusal as refusal:
            told = {"code": refusal.code, "message": str(refusal),
                    "data": {"status": refusal.status}}  # fmt: skip
            return web.json_response(told, status=refusal.status)
        headers = {}
        if total is not None:
            pages = -(-total // int(query.get("per_page", 10)))
            headers = {"X-WP-Total": str(total), "X-WP-TotalPages": str(pages)}
        return await self.answered(request, path, query, fault, content, **headers)

    def _content(self, path, query, authorization):
        if path == "":
            offset = LOCAL.total_seconds() / 3600
            return {
                "name": "Teahouse", "url": self.home, "home": self.home, "gmt_offset": offset,
                "timezone_string": self.zone, "namespaces": ["wp/v2", "wc/v3"],
            }, None  # fmt: skip
        self._check_key(authorization)
        if path == "wc/v3/data/currencies/current":
            return {"code": self.currency, "name": "Euro", "symbol": "&euro;"}, None
        if path == "wc/v3/orders":
            return self._list(query)
        found = re.fullmatch(r"wc/v3/orders/(\d+)(/refunds)?", path)
        if found is None:
            raise Refusal(404, "rest_no_route")
        row = self.orders.get(int(found[1]))
        if row is None:
            raise Refusal(404, "woocommerce_rest_shop_order_invalid_id", "Invalid ID.")
        if found[2] is None:
            _check(query, set())
            return _shown(row), None
        _check(query, {"page", "per_page"})
        return _page([_shown(self.refunds[one["id"]]) for one in row["refunds"]], query)

    def _check_key(self, authorization):
        if authorization is None:
            raise Refusal(401, "woocommerce_rest_cannot_view", "Sorry, you cannot list resources.")
        said = base64.b64decode(authorization.removeprefix("Basic ")).decode()
        key, _, secret = said.partition(":")
        if key not in self.keys:
            raise Refusal(401, "woocommerce_rest_authentication_error", "Consumer key is invalid.")
        known, may = self.keys[key]
        if not hmac.compare_digest(known, secret):
            raise Refusal(
                401, "woocommerce_rest_authentication_error", "Consumer secret is invalid."
            )
        if may == "write":
            raise Refusal(401, "woocommerce_rest_authentication_error",
                          "The API key provided does not have read permissions.")  # fmt: skip
        if may == "nobody":
            raise Refusal(403, "woocommerce_rest_cannot_view", "Sorry, you cannot list resources.")

    def _list(self, query):
        _check(query, {*WHOLE, *SOME, *DATES, "status"})
        shift = timedelta(0) if query.get("dates_are_gmt") == "true" else LOCAL
        rows = [row for row in self.orders.values() if _has_status(row, query.get("status", "any"))]
        for name in DATES & query.keys():
            if self.old and name.startswith("modified"):
                continue
            of = "date_modified" if name.startswith("modified") else "date_created"
            told = datetime.fromisoformat(query[name]).replace(tzinfo=UTC) - shift
            # the ends themselves do not count
            rows = [row for row in rows
                    if (row[of] > told if name.endswith("after") else row[of] < told)]  # fmt: skip
        by = {"date": "date_created", "modified": "date_modified"}.get(query.get("orderby", "date"))
        rows.sort(
            key=lambda row: (row[by], row["id"]) if by else row["id"],
            reverse=query.get("order", "desc") == "desc",
        )
        return _page([_shown(row) for row in rows], query)


def _check(query, known):
    for name, value in query.items():
        if name not in known:
            raise Refusal(400, "rest_invalid_param", f"synthetic: {name} is not known")
        if name in WHOLE:
            least, most = WHOLE[name]
            right = value.isdecimal() and least <= int(value) <= most
        elif name in DATES:
            right = DATE.fullmatch(value) is not None
        else:
            right = name == "status" or value in SOME[name]
        if not right:
            raise Refusal(400, "rest_invalid_param", f"Invalid parameter(s): {name}")


def _has_status(row, wanted):
    names = wanted.split(",")
    if any(name not in (*BUILT_IN, "any", "trash") for name in names):
        raise Refusal(400, "rest_invalid_param", "Invalid parameter(s): status")
    return row["status"] in names or ("any" in names and row["status"] != "trash")


def _page(rows, query):
    size, page = int(query.get("per_page", 10)), int(query.get("page", 1))
    return rows[(page - 1) * size : page * size], len(rows)


def _shown(row):
    """With every time twice: the store's own, and UTC."""
    shown = {}
    for name, value in row.items():
        if name.startswith("date_"):
            shown[name] = None if value is None else written(value + LOCAL)
            shown[f"{name}_gmt"] = None if value is None else written(value)
        else:
            shown[name] = value
    return shown


@asynccontextmanager
async def serve(clock, **more):
    """A store, and the address of its site as `store.url`."""
    store = Store(clock, **more)
    async with served(store.answer) as url:
        store.url = url
        yield store
