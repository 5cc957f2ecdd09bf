"""A platform called Fair, strict, on loopback; it shares no code with the connector.

Its clock is the test's. Lists show the newest first and shift while they are read; a change may
stay hidden from lists for a while. Everything that is called is recorded.
"""

import asyncio
import contextlib
import hashlib
import hmac
import itertools
import json
import math
import socket
from collections import Counter, deque
from dataclasses import dataclass, field

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

KEY, SECRET = "fair-app", "fair-secret"
MOST, LONGEST, CAP = 50, 86_400, 5000
AGAIN_AFTER = 300


@dataclass
class Order:
    id: str
    state: str
    created: int
    modified: int
    total: int = 1000
    paid_at: int | None = None
    buyer: str = "b1"
    hidden_until: float = 0
    """Lists do not show its last change before."""
    unknown_until: float = 0
    """Nor does a look at the one order, which shows `before`."""
    before: dict | None = None
    spoilt: dict = field(default_factory=dict)

    def row(self):
        row = {
            "id": self.id, "state": self.state, "created": self.created,
            "modified": self.modified, "total": self.total, "paid_at": self.paid_at,
            "buyer": self.buyer, "lines": [{"id": self.id + "-1", "title": "tea", "count": 1}],
        }  # fmt: skip
        return row | self.spoilt


@dataclass
class Refund:
    id: str
    order: str
    state: str
    amount: int
    created: int
    modified: int
    hidden_until: float = 0

    def row(self):
        return {name: getattr(self, name)
                for name in ("id", "order", "state", "amount", "created", "modified")}  # fmt: skip


@dataclass
class Message:
    told: dict
    taken_at: float | None = None


class Refusal(Exception):
    def __init__(self, code, message="", **more):
        super().__init__(code)
        self.answer = {"error": code, "message": message, **more}


class Fair:
    def __init__(self, clock, ahead=0):
        self.clock, self.ahead = clock, ahead
        self.shop, self.name = "shop-1", "Teahouse"
        self.orders, self.refunds = {}, {}
        self.access = {"good": None}
        """Tokens and when they end."""
        self.refreshes, self.codes = {}, {"code-1"}
        self.renewable = True
        self.calls, self.faults = [], deque()
        self.queue, self.coupons, self.remarks = [], Counter(), {}
        self.stock, self.refused_buyers = 100, set()
        self.while_listing = self.on_call = None
        self.rights = ["orders.full"]
        self.cap, self.limits = CAP, []
        self.numbers = itertools.count(1)

    def now(self):
        return self.clock().timestamp() + self.ahead

    # -- what happens there -----------------------------------------------------------------

    def order(self, number, state="new", at=None, hidden=0, unknown=0, **more):
        """A new order, or a change of one, now or at a time of the past."""
        at = math.floor(self.now() if at is None else at)
        old = self.orders.get(number)
        made = Order(number, state, old.created if old else at, at, **more)
        if old is not None:
            made.total, made.buyer = more.get("total", old.total), more.get("buyer", old.buyer)
        made.paid_at = old.paid_at if old and old.paid_at else None
        if state in ("paid", "sent", "done") and made.paid_at is None:
            made.paid_at = at
        made.hidden_until, made.unknown_until = self.now() + hidden, self.now() + unknown
        made.before = old.row() if old else None
        self.orders[number] = made
        return made

    def refund(self, number, order, state="requested", amount=100):
        at = math.floor(self.now())
        old = self.refunds.get(number)
        self.refunds[number] = Refund(number, order, state, amount, old.created if old else at, at)

    def message(self, about, number, key=None, at=None):
        return {"key": key or f"m{next(self.numbers)}", "shop": self.shop, "about": about,
                "id": number, "at": math.floor(self.now() if at is None else at)}  # fmt: skip

    def enqueue(self, about, number, **more):
        self.queue.append(Message(self.message(about, number, **more)))

    def pushed(self, *messages):
        """The body and headers of a push."""
        body = json.dumps(list(messages)).encode()
        return body, {"x-sign": hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()}

    # -- its API ----------------------------------------------------------------------------

    async def answer(self, request):
        name = request.path_params["name"]
        body = await request.body()
        given = json.loads(body)
        self.calls.append((name, given))
        if self.on_call is not None:
            self.on_call()
        fault = self.faults.popleft() if self.faults else None
        if fault == 502:
            return PlainTextResponse("<html>Bad Gateway</html>", 502)
        if isinstance(fault, Refusal):
            return JSONResponse(fault.answer)
        try:
            self.check(request.headers, name, body)
            told = self.serve(name, given)
        except Refusal as refusal:
            told = refusal.answer
        if fault == "lost":
            return PlainTextResponse("", 504)
        text = json.dumps(told)
        return Response(text[: len(text) // 2] if fault == "broken" else text,
                        media_type="application/json")  # fmt: skip

    def check(self, headers, name, body):
        signed = hmac.new(SECRET.encode(), f"{name}\n".encode() + body, hashlib.sha256)
        if headers.get("x-key") != KEY or headers.get("x-sign") != signed.hexdigest():
            raise Refusal("bad_sign", "key or signature is wrong")
        if name.startswith("token."):
            return
        token = headers.get("x-token")
        if token not in self.access:
            raise Refusal("token_invalid", "no such token")
        if self.access[token] is not None and self.access[token] <= self.now():
            raise Refusal("token_expired", "the token has expired")

    def serve(self, name, given):
        method = getattr(self, "api_" + name.replace(".", "_"), None)
        if method is None:
            raise Refusal("no_such_api", name)
        return method(**given)

    def api_time(self):
        return {"now": self.now()}

    def api_rights(self):
        return {"rights": self.rights}

    def api_shop(self):
        return {"shop": self.shop, "name": self.name}

    def api_token_create(self, code):
        if code not in self.codes:
            raise Refusal("invalid_grant", "the code is unknown or was used")
        self.codes.discard(code)
        return self.token()

    def api_token_renew(self, refresh):
        if not self.renewable or self.refreshes.get(refresh, 0) <= self.now():
            raise Refusal("invalid_grant", "authorise again")
        del self.refreshes[refresh]
        return self.token()

    def token(self, life=7200, renew=30 * 86_400):
        number = next(self.numbers)
        access, refresh = f"access-{number}", f"refresh-{number}"
        expires, until = math.floor(self.now()) + life, math.floor(self.now()) + renew
        self.access = {access: expires}
        self.refreshes[refresh] = until
        return {"access": access, "refresh": refresh, "expires": expires, "renew_until": until,
                "shop": self.shop, "name": self.name}  # fmt: skip

    def api_orders_count(self, by, start, end, size):
        return {"total": len(self.found(self.orders, by, start, end, size))}

    def api_orders_list(self, by, start, end, size, page):
        return self.listed(self.orders, by, start, end, size, page)

    def api_orders_get(self, id):
        order = self.orders.get(id)
        if order is None:
            return {"rows": []}
        if order.unknown_until > self.now():
            return {"rows": [order.before] if order.before else []}
        return {"rows": [order.row()]}

    def api_refunds_count(self, by, start, end, size):
        return {"total": len(self.found(self.refunds, by, start, end, size))}

    def api_refunds_list(self, by, start, end, size, page):
        return self.listed(self.refunds, by, start, end, size, page)

    def api_refunds_get(self, id):
        return {"rows": [self.refunds[id].row()] if id in self.refunds else []}

    def found(self, kept, by, start, end, size):
        """A closed interval of whole seconds, the newest first."""
        if by not in ("created", "modified") or not (type(start) is type(end) is int):
            raise Refusal("bad_request", "by, start or end")
        if not 0 <= end - start <= LONGEST:
            raise Refusal("bad_request", "a day at most")
        if not 1 <= size <= MOST:
            raise Refusal("bad_request", "size")
        rows = [one for one in kept.values()
                if start <= getattr(one, by) <= end and one.hidden_until <= self.now()]  # fmt: skip
        if len(rows) > self.cap:
            raise Refusal("too_many", f"{len(rows)} rows")
        return sorted(rows, key=lambda one: (getattr(one, by), one.id), reverse=True)

    def listed(self, kept, by, start, end, size, page):
        if page < 1:
            raise Refusal("bad_request", "page")
        rows = self.found(kept, by, start, end, size)[(page - 1) * size : page * size]
        told = {"rows": [one.row() for one in rows]}
        if self.while_listing is not None:
            self.while_listing()
        return told

    def api_queue_take(self):
        given = []
        for one in self.queue:
            fresh = one.taken_at is None or self.now() - one.taken_at >= AGAIN_AFTER
            if fresh and len(given) < 20:
                one.taken_at = self.now()
                given.append({**one.told, "handle": one.told["key"]})
        return {"messages": given}

    def api_queue_confirm(self, handles):
        if not handles:
            raise Refusal("bad_request", "no handles")
        self.queue = [one for one in self.queue if one.told["key"] not in handles]
        return {}

    def api_orders_remark(self, id, text):
        if id not in self.orders:
            raise Refusal("no_such_order", id)
        self.remarks[id] = text
        return {}

    def api_coupons_give(self, coupon, buyers):
        results = []
        for buyer in buyers:
            if buyer in self.refused_buyers or self.stock <= 0:
                results.append({"buyer": buyer, "given": False, "reason": "not for this buyer"})
                continue
            self.stock -= 1
            self.coupons[coupon, buyer] += 1
            results.append({"buyer": buyer, "given": True, "number": f"c{next(self.numbers)}"})
        return {"results": results}

    def called(self, name):
        return [given for called, given in self.calls if called == name]


@contextlib.asynccontextmanager
async def serving(answer):
    """Serve on loopback; yields the address. `answer` handles each POST to /{name}."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    app = Starlette(routes=[Route("/{name}", answer, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    task = asyncio.create_task(server.serve([listener]))
    while not server.started:  # noqa: ASYNC110 - it has no event to wait for
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
        listener.close()
