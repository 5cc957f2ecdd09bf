"""The gateway: who calls, whether he may, and how he is answered. Every refusal is HTTP 200."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

import orjson
from aiohttp import web

from tests.stand_ins.aliexpress.errors import BusinessError, GatewayError, bad_token, missing
from tests.stand_ins.aliexpress.shapes import FORMAT, shell, written
from tests.stand_ins.aliexpress.signing import expected
from tests.stand_ins.gateways import Dropped, drop

SKEW = timedelta(seconds=7200)
PROTOCOL = {
    "method", "app_key", "session", "access_token", "timestamp", "v", "sign_method", "sign",
    "format", "simplify", "partner_id",
}  # fmt: skip
NAMED = {
    "timeout": ("15", "Remote service error", "ISP"),
    "service_timeout": ("ServiceTimeout", "synthetic", "SYSTEM"),
    "away": ("ServiceUnavailable", "synthetic", "SYSTEM"),
    "forbidden": ("InsufficientPermission", "synthetic", "ISV"),
    "not_migrated": ("isv.account-migration-check-fail", "synthetic", "ISV"),
    "seller_limited": ("SellerCallLimit", "synthetic", "ISV"),
}
"""Faults by the platform, as a plan names them."""


@dataclass
class Call:
    """One call of a service: who, for which shop, with what."""

    world: object
    app: object
    shop: object
    params: dict

    def need(self, name):
        if not self.params.get(name):
            raise missing(name)
        return self.params[name]

    def object(self, name):
        """A parameter that is an object. The gateway takes compact JSON only."""
        text = self.need(name)
        try:
            value = orjson.loads(text)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise GatewayError("InvalidParameter", f"synthetic: {name} is no object")
        return value


APIS = {}


def api(name, path=False, session=True, inside="result"):
    """A service; `inside` is the key that its answer stands under, None if it stands alone."""

    def add(serve):
        APIS[name] = (serve, path, session, inside)
        return serve

    return add


class Gateway:
    def __init__(self, world):
        self.world = world

    def application(self):
        app = web.Application()
        app.router.add_post("/sync", self.sync)
        app.router.add_post("/rest/{path:.+}", self.rest)
        return app

    async def sync(self, request):
        pairs = await self._pairs(request)
        return await self._serve(request, pairs.get("method", ""), pairs, "")

    async def rest(self, request):
        path = "/" + request.match_info["path"]
        return await self._serve(request, path, await self._pairs(request), path)

    async def _pairs(self, request):
        """Query and form together; a name may come twice if it says the same."""
        pairs = {}
        for name, value in [*request.query.items(), *(await request.post()).items()]:
            if pairs.setdefault(name, value) != value:
                pairs["sign"] = "two values of one name"
        return pairs

    async def _serve(self, request, method, pairs, prefix):
        self.world.calls.append((method, pairs))
        fault = self.world.next_fault(method)
        inside = None
        try:
            call, handler, inside = self._checked(method, pairs, prefix)
            self._break(fault)
            content = handler(call)
            body = self._enveloped(method, content, inside, prefix)
        except BusinessError as error:
            failed = {
                "success": False, "error_code": error.code, "error_message": error.message,
            }  # fmt: skip
            body = self._enveloped(method, failed, inside or "result", prefix)
        except GatewayError as error:
            body = _refused(error, prefix)
        except Dropped:
            return await drop(request)
        body |= {"request_id": f"syn{len(self.world.calls)}"}
        return await self.world.answered(request, method, pairs, fault, body)

    def _enveloped(self, method, content, inside, prefix):
        if prefix:
            told = {inside: content} if inside else content
            return written(told, False) | {"code": "0", "type": None}
        style = self.world.envelope
        if style == "shell":
            told = {inside: content} if inside else content
            return {shell(method): written(told, True)}
        if style == "result" and inside:
            return {inside: written(content, False)}
        return written(content, False)

    def _break(self, fault):
        if fault is None:
            return
        kind, _, seconds = fault.kind.partition(":")
        if kind == "limited":
            raise GatewayError(
                "AppApiCallLimit",
                f"The request has exceeded the limit. This ban will last {seconds} seconds",
            )
        if kind == "app_limited":
            raise GatewayError(
                "AppCallLimit", f"synthetic: this ban will last {seconds} more seconds"
            )
        if kind == "business":
            raise BusinessError("SYN_BUYER_BLOCK", "synthetic: cannot message this buyer")
        if kind in NAMED:
            code, message, type_ = NAMED[kind]
            raise GatewayError(code, message, type_)
        if kind == "dropped":
            raise Dropped

    def _checked(self, method, pairs, prefix):
        for name in ("app_key", "timestamp", "sign_method", "sign"):
            if not pairs.get(name):
                raise missing(name)
        app = self.world.apps.get(pairs["app_key"])
        if app is None:
            raise GatewayError("InvalidAppKey", "synthetic: there is no such app")
        self._check_time(pairs["timestamp"])
        wanted = expected(pairs, app.secret, pairs["sign_method"], prefix)
        if wanted is None or wanted != pairs["sign"]:
            raise GatewayError("IncompleteSignature", "synthetic: the signature is wrong")
        if not prefix and (pairs.get("v"), pairs.get("format")) != ("2.0", "json"):
            raise GatewayError("InvalidParameter", "synthetic: v is 2.0 and format json")
        known = APIS.get(method)
        if known is None and self.world.path_messages and prefix:
            known = APIS.get(method.lstrip("/"))
        if known is None or bool(prefix) != self._by_path(method, known[1]):
            raise GatewayError("InvalidApiPath", "synthetic: there is no such API")
        handler, _, session, inside = known
        shop = self._shop(app, pairs, prefix) if session else None
        params = {key: value for key, value in pairs.items() if key not in PROTOCOL}
        return Call(self.world, app, shop, params), handler, inside

    def _by_path(self, method, path):
        messages = method.lstrip("/").startswith("aliexpress/message/")
        return self.world.path_messages if messages else path

    def _check_time(self, text):
        try:
            if re.fullmatch(r"\d{13}", text):
                told = datetime.fromtimestamp(int(text) / 1000, UTC)
            else:
                told = datetime.strptime(text, FORMAT).replace(tzinfo=timezone(timedelta(hours=8)))
        except ValueError:
            raise GatewayError("InvalidTimestamp", "synthetic: no timestamp") from None
        if abs(told - self.world.now()) > SKEW:
            raise GatewayError("InvalidTimestamp", "synthetic: too far from our clock")

    def _shop(self, app, pairs, prefix):
        token = pairs.get("access_token") or (None if prefix else pairs.get("session"))
        grant = self.world.grants.get(token)
        if grant is None or grant.app is not app or grant.revoked:
            raise bad_token()
        if grant.ends <= self.world.now():
            raise bad_token()
        return grant.shop


def _refused(error, prefix):
    if prefix:
        return {"type": error.kind, "code": error.code, "message": error.message}
    body = {"type": error.kind, "code": error.code, "msg": error.message}
    if error.code.isdecimal():
        body["code"] = int(error.code)
    if error.sub_code is not None:
        body["sub_code"] = error.sub_code
    return {"error_response": body}
