"""Delivery services as their documents describe them: strict about what they are sent.

Each is an aiohttp application with `taken`, the messages that it took, `script`, answers to give in
place of its own (one for each call, then as usual), and `faults`, what was wrong with a call.
"""

import asyncio
import base64
import email
import email.policy
import hashlib
import hmac
import itertools
import json
import re
from contextlib import asynccontextmanager

from aiohttp import web

DROP = "drop"
"""In a script: take the message, then close the connection without an answer."""


class Service:
    """What the services have in common."""

    routes = ()

    def __init__(self):
        self.taken, self.script, self.calls = [], [], []
        self.port = 0
        self._numbers = itertools.count(1)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def refuse(self, status, words):
        raise NotImplementedError

    def accept(self, number):
        raise NotImplementedError

    async def answer(self, request):
        self.calls.append(request)
        if (fault := await self.fault(request)) is not None:
            return self.refuse(*fault)
        if request.method == "GET":
            return web.json_response({})
        return await self.take(request)

    async def finish(self, request, message):
        """Take a message that is as it should be, or do what the script says."""
        planned = self.script.pop(0) if self.script else None
        if planned is None or planned == DROP:
            self.taken.append(message)
        if planned == DROP:
            request.transport.abort()
            await asyncio.sleep(0)
            return web.Response()
        if planned is not None:
            return planned
        return self.accept(next(self._numbers))


def error(status, body, **headers):
    return web.json_response(
        body,
        status=status,
        headers={name.replace("_", "-"): text for name, text in headers.items()},
    )


@asynccontextmanager
async def serving(service):
    app = web.Application()
    for method, path in service.routes:
        app.router.add_route(method, path, service.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    service.port = site._server.sockets[0].getsockname()[1]
    try:
        yield service
    finally:
        await runner.cleanup()


class Ses(Service):
    """Amazon SES v2; checks Signature Version 4 as Amazon documents it."""

    routes = (("POST", "/v2/email/outbound-emails"), ("GET", "/v2/email/account"))
    key, secret, region = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "us-east-1"

    def refuse(self, status, words):
        return error(status, {"message": words}, x_amzn_ErrorType="InvalidSignatureException:")

    def accept(self, number):
        return web.json_response({"MessageId": f"0100018{number:08x}-ses"})

    async def fault(self, request):
        given = request.headers.get("authorization", "")
        found = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/ses/aws4_request, "
            r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})", given,
        )  # fmt: skip
        if found is None:
            return 403, "the header Authorization is not complete"
        key, day, region, names, signature = found.groups()
        moment = request.headers.get("x-amz-date", "")
        if key != self.key or region != self.region or not moment.startswith(day):
            return 403, "The security token included in the request is invalid"
        if not {"host", "x-amz-date"} <= set(names.split(";")):
            return 403, "host and x-amz-date must be signed"
        lines = [request.method, request.rel_url.raw_path, request.query_string]
        lines += [f"{name}:{request.headers[name].strip()}" for name in names.split(";")]
        body = await request.read()
        lines += ["", names, hashlib.sha256(body).hexdigest()]
        hashed = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        scope = f"{day}/{region}/ses/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashed}"
        made = ("AWS4" + self.secret).encode()
        for part in (day, region, "ses", "aws4_request"):
            made = hmac.new(made, part.encode(), "sha256").digest()
        if hmac.new(made, text.encode(), "sha256").hexdigest() != signature:
            return 403, "The request signature we calculated does not match the signature"
        return None

    async def take(self, request):
        body = await request.json()
        known = {"FromEmailAddress", "Destination", "Content", "EmailTags", "ConfigurationSetName"}
        if not body.keys() <= known:
            return error(400, {"message": "unknown member"}, x_amzn_ErrorType="BadRequestException")
        for tag in body.get("EmailTags", []):
            if not re.fullmatch(r"[A-Za-z0-9_-]{1,256}", tag["Value"]):
                return error(400, {"message": f"Invalid tag value {tag['Value']}"},
                             x_amzn_ErrorType="BadRequestException")  # fmt: skip
        (to,) = body["Destination"]["ToAddresses"]
        raw = base64.b64decode(body["Content"]["Raw"]["Data"], validate=True)
        message = email.message_from_bytes(raw, policy=email.policy.default)
        return await self.finish(request, {"to": to, "mail": message, "raw": raw, "body": body})


class SendGrid(Service):
    """Twilio SendGrid v3."""

    routes = (("POST", "/v3/mail/send"), ("GET", "/v3/scopes"))
    api_key = "SG.key"

    def refuse(self, status, words):
        return error(status, {"errors": [{"message": words, "field": None}]})

    def accept(self, number):
        return web.Response(status=202, headers={"X-Message-Id": f"sg-{number}"})

    async def fault(self, request):
        if request.headers.get("authorization") != f"Bearer {self.api_key}":
            return 401, "The provided authorization grant is invalid, expired, or revoked"
        return None

    async def take(self, request):
        body = await request.json()
        (person,) = body["personalizations"]
        kinds = [part["type"] for part in body["content"]]
        if kinds != sorted(kinds, key=("text/plain", "text/html").index):
            return self.refuse(400, "text/plain must be first, followed by text/html")
        if any(not isinstance(value, str) for value in body.get("custom_args", {}).values()):
            return self.refuse(400, "custom_args must be strings")
        reserved = {"subject", "from", "to", "cc", "bcc", "content-type", "reply-to", "received"}
        if reserved & {name.lower() for name in body.get("headers", {})}:
            return self.refuse(400, "a reserved header was used")
        return await self.finish(request, {"to": person["to"][0]["email"], "body": body})


class Mailgun(Service):
    """Mailgun v3, messages as MIME."""

    domain, api_key = "mg.example.com", "key-3ax6xnjp29jd6fds4gc373sgvjxteol0"
    routes = (("POST", "/v3/mg.example.com/messages.mime"), ("GET", "/v3/domains/mg.example.com"))

    def refuse(self, status, words):
        return error(status, {"message": words})

    def accept(self, number):
        return web.json_response(
            {"id": f"<20261125.{number}@mg.example.com>", "message": "Queued. Thank you."}
        )

    async def fault(self, request):
        wanted = base64.b64encode(f"api:{self.api_key}".encode()).decode()
        return (
            None
            if request.headers.get("authorization") == f"Basic {wanted}"
            else (401, "Forbidden")
        )

    async def take(self, request):
        if request.content_type != "multipart/form-data":
            return self.refuse(400, "the message must be multipart/form-data")
        form = await request.post()
        if "to" not in form or not isinstance(form.get("message"), web.FileField):
            return self.refuse(400, "'to' and the file 'message' are needed")
        raw = form["message"].file.read()
        mail = email.message_from_bytes(raw, policy=email.policy.default)
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
        return await self.finish(request, {"to": form["to"], "mail": mail, "raw": raw, **fields})


class Postmark(Service):
    """Postmark."""

    routes = (("POST", "/email"), ("GET", "/server"))
    token = "a1b2c3d4-server-token"

    def refuse(self, status, words):
        return error(status, {"ErrorCode": 10 if status == 401 else 300, "Message": words})

    def accept(self, number):
        return web.json_response({
            "To": "x", "SubmittedAt": "2026-06-15T04:00:00Z", "ErrorCode": 0, "Message": "OK",
            "MessageID": f"0a129aee-e1cd-480d-b08d-{number:012}",
        })  # fmt: skip

    async def fault(self, request):
        if request.headers.get("x-postmark-server-token") != self.token:
            return 401, "No Account or Server API tokens were supplied"
        if request.headers.get("accept") != "application/json":
            return 422, "Accept must be application/json"
        return None

    async def take(self, request):
        body = await request.json()
        known = {
            "From", "To", "Subject", "HtmlBody", "TextBody", "Headers", "Metadata", "ReplyTo",
            "MessageStream", "TrackOpens", "TrackLinks",
        }  # fmt: skip
        if not body.keys() <= known or body["MessageStream"] not in ("broadcast", "outbound"):
            return self.refuse(422, "Invalid field")
        for name, value in body["Metadata"].items():
            if len(name) > 20 or len(value) > 80:
                return self.refuse(422, "Metadata names have 20 characters, values 80")
        return await self.finish(request, {"to": body["To"], "body": body})


class Resend(Service):
    """Resend, with its idempotency keys."""

    routes = (("POST", "/emails"), ("GET", "/domains"))
    api_key = "re_123456789"

    def __init__(self):
        super().__init__()
        self.keys = {}

    def refuse(self, status, words):
        name = "invalid_api_key" if status == 403 else "validation_error"
        return error(status, {"statusCode": status, "name": name, "message": words})

    def accept(self, number):
        return web.json_response({"id": f"49a3999c-0ce1-4ea6-ab68-{number:012}"})

    async def fault(self, request):
        if request.headers.get("authorization") != f"Bearer {self.api_key}":
            return 403, "API key is invalid"
        return None

    async def take(self, request):
        body, key = await request.json(), request.headers.get("idempotency-key", "")
        if not 1 <= len(key) <= 256:
            return self.refuse(400, "Idempotency-Key has 1 to 256 characters")
        for tag in body.get("tags", []):
            if not re.fullmatch(r"[A-Za-z0-9_-]{1,256}", tag["value"]):
                return self.refuse(422, "Tags should only contain ASCII letters, numbers, _ or -")
        content = json.dumps(body, sort_keys=True)
        if key in self.keys:
            if self.keys[key] != content:
                return error(
                    409,
                    {
                        "statusCode": 409,
                        "name": "invalid_idempotent_request",
                        "message": "Same idempotency key used with a different payload",
                    },
                )
            return self.accept(1000)  # fmt: skip
        if not self.script or self.script[0] == DROP:
            self.keys[key] = content
        return await self.finish(request, {"to": body["to"][0], "body": body})
