"""The gateway: who calls, whether he may, and how he is answered. Every refusal is HTTP 200."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from aiohttp import web

from tests.stand_ins.gateways import Dropped, drop
from tests.stand_ins.taobao.errors import TopError, bad_session, missing
from tests.stand_ins.taobao.shapes import FORMAT, GMT8, shell, written
from tests.stand_ins.taobao.signing import expected

SKEW = timedelta(seconds=600)
PROTOCOL = {
    "method", "app_key", "session", "timestamp", "v", "sign_method", "sign", "format", "simplify",
    "partner_id", "target_app_key",
}  # fmt: skip
NAMED = {
    "timeout": (15, "Remote service error", "isp.top-remote-connection-timeout"),
    "busy": (530, "Remote service error", "isp.system-busy"),
    "too_much": (15, "Remote service error", "isp.runtime-max-limit"),
    "forbidden": (11, "Insufficient isv permissions", "isv.invalid-permission"),
    "away": (10, "Service Currently Unavailable", None),
}
"""Faults by the service, as a plan names them."""


@dataclass
class Call:
    """One call of a service: who, for which shop, with what."""

    world: object
    app: object
    shop: object
    params: dict

    def need(self, name):
        value = self.params.get(name, "")
        if not value:
            raise missing(name)
        return value

    def fields(self):
        return set(self.need("fields").split(","))


APIS = {}


def api(name, level=None, session=True):
    """A service; `level` is its class of calls (r1, r2, w1, w2), by which tokens may end."""

    def add(serve):
        APIS[name] = (serve, level, session)
        return serve

    return add


class Gateway:
    def __init__(self, world):
        self.world = world

    def application(self):
        app = web.Application()
        app.router.add_route("*", "/router/rest", self.serve)
        return app

    async def serve(self, request):
        pairs = dict(request.query)
        pairs |= {name: str(value) for name, value in (await request.post()).items()}
        method = pairs.get("method", "")
        self.world.calls.append((method, pairs))
        simplify = pairs.get("simplify") == "true"
        fault = self.world.next_fault(method)
        try:
            if pairs.get("format", "xml") != "json":
                return web.Response(
                    text="<error_response><code>23</code></error_response>",
                    content_type="text/xml",
                )
            call, handler = self._checked(pairs)
            self._break(fault)
            answer = handler(call) | {"request_id": f"syn{len(self.world.calls)}"}
            body = written(answer, simplify)
            body = body if simplify else {shell(method): body}
        except TopError as error:
            body = {"error_response": error.body | {"request_id": "syn"}}
        except Dropped:
            return await drop(request)
        return await self.world.answered(request, method, pairs, fault, body)

    def _break(self, fault):
        if fault is None:
            return
        if fault.kind.startswith("limited:"):
            raise TopError(
                7, "App Call Limited", "accesscontrol.limited-by-app-access-count",
                f"This ban will last for {fault.kind.partition(':')[2]} more seconds",
            )  # fmt: skip
        if fault.kind in NAMED:
            code, message, sub_code = NAMED[fault.kind]
            raise TopError(code, message, sub_code)
        if fault.kind == "dropped":
            raise Dropped

    def _checked(self, pairs):
        for name, code, message in (
            ("method", 21, "Missing method"), ("app_key", 28, "Missing app key"),
            ("timestamp", 30, "Missing timestamp"), ("v", 32, "Missing version"),
            ("sign", 24, "Missing signature"),
        ):  # fmt: skip
            if not pairs.get(name):
                raise TopError(code, message)
        app = self.world.apps.get(pairs["app_key"])
        if app is None:
            raise TopError(29, "Invalid app key")
        if pairs["v"] != "2.0":
            raise TopError(33, "Invalid version")
        self._check_time(pairs["timestamp"])
        wanted = expected(pairs, app.secret, pairs.get("sign_method", ""))
        if wanted is None or wanted != pairs["sign"]:
            raise TopError(25, "Invalid signature")
        if pairs["method"] not in APIS:
            raise TopError(22, "Invalid method")
        handler, level, needs_session = APIS[pairs["method"]]
        shop = self._shop(app, pairs, level) if needs_session else None
        params = {key: value for key, value in pairs.items() if key not in PROTOCOL}
        return Call(self.world, app, shop, params), handler

    def _check_time(self, text):
        try:
            told = datetime.strptime(text, FORMAT).replace(tzinfo=GMT8)
        except ValueError:
            raise TopError(31, "Invalid timestamp") from None
        if abs(told - self.world.now()) > SKEW:
            raise TopError(31, "Invalid timestamp")

    def _shop(self, app, pairs, level):
        if not pairs.get("session"):
            raise TopError(26, "Missing session")
        grant = self.world.grants.get(pairs["session"])
        if grant is None or grant.app is not app or grant.revoked:
            raise bad_session()
        for kind in ("", level):
            end = grant.ends.get(kind)
            if end is not None and end <= self.world.now():
                raise bad_session("session-expired")
        return grant.shop
