"""Twilio's Messages on loopback, written from the vendor's documentation and its SDK's tests."""

import base64
import hashlib
import hmac
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import format_datetime
from urllib.parse import parse_qsl, urlencode

from aiohttp import web

from tests.stand_ins.serving import served


def signed(token, url, form):
    """X-Twilio-Signature."""
    text = url + "".join(k + v for k, v in sorted(form.items()))
    return base64.b64encode(hmac.digest(token.encode(), text.encode(), hashlib.sha1)).decode()


@dataclass
class TwilioStandIn:
    """`faults` are codes by number."""

    clock: object
    account: str = "AC0"
    token: str = "secret"
    sender: str = "+15005550006"
    messages: list = field(default_factory=list)
    faults: dict = field(default_factory=dict)

    @asynccontextmanager
    async def open(self):
        async with served(self.answer) as url:
            yield url

    async def answer(self, request):
        pair = base64.b64encode(f"{self.account}:{self.token}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {pair}":
            return self._fault(20003, 401)
        account = f"/2010-04-01/Accounts/{self.account}"
        if (request.method, request.path) == ("GET", f"{account}.json"):
            return web.json_response({"sid": self.account, "status": "active"})
        if request.path != f"{account}/Messages.json":
            return self._fault(20404, 404)
        if request.method == "GET":
            return self._list(dict(parse_qsl(request.query_string)))
        return self._send(dict(parse_qsl((await request.read()).decode())))

    def _fault(self, code, status):
        return web.json_response({"code": code, "message": f"code {code}"}, status=status)

    def _send(self, form):
        code = self.faults.get(form.get("To"))
        if code is not None:
            return self._fault(code, 429 if code == 20429 else 400)
        if not form.get("To", "").startswith("+"):
            return self._fault(21211, 400)
        if form.get("From") != self.sender and not form.get("MessagingServiceSid"):
            return self._fault(21603, 400)
        if not form.get("Body"):
            return self._fault(21602, 400)
        message = {
            "sid": f"SM{len(self.messages):032d}", "status": "queued", "to": form["To"],
            "body": form["Body"], "num_segments": "1", "price": None, "price_unit": "USD",
            "date_created": format_datetime(self.clock()), "error_code": None,
        }  # fmt: skip
        self.messages.append({**message, "callback": form.get("StatusCallback")})
        return web.json_response(message, status=201)

    def _list(self, query):
        found = [
            m for m in self.messages
            if m["to"] == query["To"] and f"{self.clock():%Y-%m-%d}" == query["DateSent"]
        ]  # fmt: skip
        return web.json_response({"messages": found})

    def status(self, message, status, error=None):
        """(body, headers, query) of the callback that tells of a message."""
        message["status"] = status
        form = {
            "AccountSid": self.account, "From": self.sender, "To": message["to"],
            "MessageSid": message["sid"], "MessageStatus": status, "SmsStatus": status,
            **({"ErrorCode": str(error)} if error else {}),
        }  # fmt: skip
        return self._signed(message["callback"], form)

    def reply(self, url, sender, text, **more):
        """(body, headers, query) of what somebody wrote."""
        form = {
            "AccountSid": self.account, "From": sender, "To": self.sender, "Body": text,
            "MessageSid": f"SMin{len(text)}", "SmsStatus": "received", **more,
        }  # fmt: skip
        return self._signed(url, form)

    def _signed(self, url, form):
        headers = {"x-twilio-signature": signed(self.token, url, form)}
        query = parse_qsl(url.partition("?")[2])
        return urlencode(form).encode(), headers, query, url
