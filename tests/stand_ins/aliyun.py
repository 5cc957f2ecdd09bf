"""Alibaba Cloud's SMS on loopback, written from the vendor's documentation and not from our client.

It checks both signatures by decoding what came and encoding it anew (the vendor's SDK writes spaces
as + and signs them as %20), the nonce, the clock, numbers, templates, and limits by number.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote
from zoneinfo import ZoneInfo

from aiohttp import web

from tests.stand_ins.serving import served

ZONE = ZoneInfo("Asia/Shanghai")
HOME = re.compile(r"(?:\+?86|0086)?(1[3-9][0-9]{9})")
ABROAD = re.compile(r"[1-9][0-9]{6,14}")
VARIABLE = re.compile(r"\$\{(\w+)\}")
EMPTY = hashlib.sha256(b"").hexdigest()


def written(moment):
    """A time as the vendor writes it."""
    return f"{moment.astimezone(ZONE):%Y-%m-%d %H:%M:%S}"


def percent(text):
    return quote(text, safe="-_.~")


def canonical_query(pairs):
    return "&".join(f"{k}={v}" for k, v in sorted((percent(k), percent(v)) for k, v in pairs))


def v1_signature(method, pairs, secret):
    """The signature of version 1 over all parameters but `Signature` itself."""
    text = "&".join([method, percent("/"), percent(canonical_query(pairs))])
    digest = hmac.new((secret + "&").encode(), text.encode(), "sha1").digest()
    return base64.b64encode(digest).decode()


def v3_hash_of_request(method, pairs, headers, names, payload_hash):
    lines = "".join(f"{name}:{headers[name].strip()}\n" for name in names)
    text = "\n".join([method, "/", canonical_query(pairs), lines, ";".join(names), payload_hash])
    return hashlib.sha256(text.encode()).hexdigest()


def v3_signature(method, pairs, headers, names, payload_hash, secret):
    hashed = v3_hash_of_request(method, pairs, headers, names, payload_hash)
    text = f"ACS3-HMAC-SHA256\n{hashed}"
    return hmac.new(secret.encode(), text.encode(), "sha256").hexdigest()


class Fault(Exception):
    def __init__(self, code, message="", status=200):
        super().__init__(code)
        self.code, self.message, self.status = code, message or code, status


@dataclass
class Message:
    biz_id: str
    phone: str
    sign: str
    template: str
    text: str
    out_id: str
    at: datetime
    status: int = 1
    error: str = ""
    told: datetime | None = None

    def report(self):
        """As SmsReport pushes it."""
        return {
            "phone_number": self.phone, "send_time": written(self.at),
            "report_time": written(self.told), "success": self.status == 3,
            "err_code": self.error, "err_msg": "", "sms_size": "1", "biz_id": self.biz_id,
            "out_id": self.out_id,
        }  # fmt: skip


@dataclass
class AliyunStandIn:
    """`mood` is what goes wrong with the next calls: a code to answer with, "hang before",
    "hang after", "503 before", "cut after"; None for a good day."""

    clock: object
    keys: dict = field(default_factory=lambda: {"testAK": "testSK"})
    signatures: dict = field(default_factory=lambda: {"小店": "AUDIT_STATE_PASS"})
    templates: dict = field(default_factory=dict)
    messages: list = field(default_factory=list)
    calls: list = field(default_factory=list)
    mood: object = None
    refuse: dict = field(default_factory=dict)
    limit_per_number: int = 50
    nonces: set = field(default_factory=set)
    held: asyncio.Event = field(default_factory=asyncio.Event)

    def add_template(self, code, text, kind="2", state="AUDIT_STATE_PASS"):
        self.templates[code] = {
            "TemplateCode": code, "TemplateName": code, "TemplateContent": text,
            "OuterTemplateType": int(kind), "AuditStatus": state, "Reason": {"RejectInfo": ""},
        }  # fmt: skip

    @asynccontextmanager
    async def open(self):
        async with served(self.answer) as url:
            yield url
            self.held.set()

    async def answer(self, request):
        body = await request.read()
        try:
            action, parameters = self._verified(request, body)
            self.calls.append((action, parameters))
            mood = self.mood
            if mood == "hang before":
                await self.held.wait()
                raise Fault("InternalError", status=500)
            if mood == "503 before":
                raise Fault("ServiceUnavailable", status=503)
            if mood is not None and mood not in ("hang before", "hang after", "cut after"):
                raise Fault(mood, f"触发{mood}")
            told = getattr(self, f"_{action}")(parameters)
            if mood == "hang after":
                await self.held.wait()
            if mood == "cut after":
                request.transport.abort()
        except Fault as fault:
            told = {"Code": fault.code, "Message": fault.message}
            return web.json_response({**told, "RequestId": "R"}, status=fault.status)
        return web.json_response({"Code": "OK", "Message": "OK", "RequestId": "R", **told})

    # -- who asks ---------------------------------------------------------------------------

    def _verified(self, request, body):
        pairs = parse_qsl(request.query_string, keep_blank_values=True)
        form = parse_qsl(body.decode(), keep_blank_values=True)
        if request.path != "/":
            raise Fault("InvalidAction.NotFound", status=404)
        if "authorization" in request.headers:
            action = self._check_v3(request, body, pairs)
        else:
            action = self._check_v1(request.method, pairs + form)
        if not hasattr(self, f"_{action}"):
            raise Fault("InvalidAction.NotFound", status=404)
        return action, dict(pairs + form)

    def _check_v3(self, request, body, pairs):
        headers = {name.lower(): value for name, value in request.headers.items()}
        found = re.fullmatch(
            r"ACS3-HMAC-SHA256 Credential=([^,]+),SignedHeaders=([^,]+),Signature=([0-9a-f]{64})",
            headers["authorization"],
        )
        if not found:
            raise Fault("IncompleteSignature", status=400)
        key, names, signature = found[1], found[2].split(";"), found[3]
        needed = {name for name in headers if name.startswith("x-acs-")} | {"host"}
        if body:
            needed.add("content-type")
        if needed - set(names) or names != sorted(names):
            raise Fault("IncompleteSignature", "headers are not signed", 400)
        if headers["x-acs-content-sha256"] != hashlib.sha256(body).hexdigest():
            raise Fault("SignatureDoesNotMatch", "the body", 400)
        if headers["x-acs-version"] != "2017-05-25":
            raise Fault("InvalidVersion", status=400)
        made = v3_signature(
            request.method,
            pairs,
            headers,
            names,
            headers["x-acs-content-sha256"],
            self._secret(key),
        )
        if not hmac.compare_digest(made, signature):
            raise Fault("SignatureDoesNotMatch", status=400)
        self._fresh(headers["x-acs-date"], headers["x-acs-signature-nonce"])
        return headers["x-acs-action"]

    def _check_v1(self, method, pairs):
        given = dict(pairs)
        for name in ("Signature", "AccessKeyId", "Timestamp", "SignatureNonce", "Action"):
            if name not in given:
                raise Fault(f"Missing{name}", status=400)
        signed = [(name, value) for name, value in pairs if name != "Signature"]
        made = v1_signature(method, signed, self._secret(given["AccessKeyId"]))
        if not hmac.compare_digest(made, given["Signature"]):
            raise Fault("SignatureDoesNotMatch", status=400)
        self._fresh(given["Timestamp"], given["SignatureNonce"])
        return given["Action"]

    def _secret(self, key):
        if key not in self.keys:
            raise Fault("InvalidAccessKeyId.NotFound", status=404)
        return self.keys[key]

    def _fresh(self, date, nonce):
        at = datetime.strptime(date, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        if abs(at - self.clock()) > timedelta(minutes=15):
            raise Fault("InvalidTimeStamp.Expired", status=400)
        if nonce in self.nonces:
            raise Fault("SignatureNonceUsed", status=400)
        self.nonces.add(nonce)

    # -- what is asked ----------------------------------------------------------------------

    def _SendSms(self, given):
        phones = given["PhoneNumbers"].split(",")
        if len(phones) > 1000:
            raise Fault("isv.MOBILE_COUNT_OVER_LIMIT")
        values = json.loads(given.get("TemplateParam") or "{}")
        made = [self._checked(p, given["SignName"], given["TemplateCode"], values) for p in phones]
        return self._accepted(made, given.get("OutId", ""))

    def _SendBatchSms(self, given):
        if len(given.get("OutId", "")) >= 256:
            raise Fault("isv.INVALID_PARAMETERS")
        phones, signs, values = (
            json.loads(given[name])
            for name in ("PhoneNumberJson", "SignNameJson", "TemplateParamJson")
        )
        if not len(phones) == len(signs) == len(values):
            raise Fault("isv.INVALID_JSON_PARAM")
        if len(phones) > 100:
            raise Fault("isv.MOBILE_COUNT_OVER_LIMIT")
        made = [
            self._checked(phone, sign, given["TemplateCode"], one)
            for phone, sign, one in zip(phones, signs, values, strict=True)
        ]
        return self._accepted(made, given.get("OutId", ""))

    def _checked(self, phone, sign, code, values):
        home = HOME.fullmatch(phone)
        if not home and not ABROAD.fullmatch(phone):
            raise Fault("isv.MOBILE_NUMBER_ILLEGAL")
        phone = home[1] if home else phone
        if phone in self.refuse:
            raise Fault(*self.refuse[phone])
        if self.signatures.get(sign) != "AUDIT_STATE_PASS":
            raise Fault("isv.SMS_SIGNATURE_ILLEGAL")
        template = self.templates.get(code)
        if template is None or template["AuditStatus"] != "AUDIT_STATE_PASS":
            raise Fault("isv.SMS_TEMPLATE_ILLEGAL")
        names = set(VARIABLE.findall(template["TemplateContent"]))
        if names - set(values):
            raise Fault("isv.TEMPLATE_MISSING_PARAMETERS")
        for value in values.values():
            if not isinstance(value, str):
                raise Fault("isv.TEMPLATE_PARAMS_ILLEGAL")
            if "http://" in value or "https://" in value:
                raise Fault("isv.PARAM_NOT_SUPPORT_URL")
        most = self.limit_per_number
        if most is not None and self._sent_today(phone, code) >= most:
            raise Fault("isv.BUSINESS_LIMIT_CONTROL", f"触发天级流控Permits:{most}")
        text = VARIABLE.sub(lambda found: values[found[1]], template["TemplateContent"])
        return phone, sign, code, text

    def _sent_today(self, phone, code):
        since = self.clock() - timedelta(hours=24)
        return sum(m.phone == phone and m.template == code and m.at > since for m in self.messages)

    def _accepted(self, made, out_id):
        biz_id = f"{900619746936498440 + len(self.calls)}^0"
        self.messages += [
            Message(biz_id, phone, sign, code, text, out_id, self.clock())
            for phone, sign, code, text in made
        ]
        return {"BizId": biz_id}

    def _QuerySendDetails(self, given):
        size = int(given["PageSize"])
        if not 1 <= size <= 50:
            raise Fault("isv.INVALID_PARAMETERS")
        found = [
            m for m in self.messages
            if m.phone == given["PhoneNumber"]
            and f"{m.at.astimezone(ZONE):%Y%m%d}" == given["SendDate"]
        ]  # fmt: skip
        first = (int(given["CurrentPage"]) - 1) * size
        details = [
            {"PhoneNum": m.phone, "SendStatus": m.status, "ErrCode": m.error, "OutId": m.out_id,
             "TemplateCode": m.template, "Content": f"【{m.sign}】{m.text}",
             "SendDate": written(m.at), "ReceiveDate": written(m.told) if m.told else ""}
            for m in found[first:first + size]
        ]  # fmt: skip
        return {"TotalCount": str(len(found)), "SmsSendDetailDTOs": {"SmsSendDetailDTO": details}}

    def _QuerySmsSignList(self, given):
        made = [{"SignName": n, "AuditStatus": s, "Reason": {}} for n, s in self.signatures.items()]
        return self._page(given, "SmsSignList", made)

    def _QuerySmsTemplateList(self, given):
        return self._page(given, "SmsTemplateList", list(self.templates.values()))

    def _page(self, given, name, items):
        size = int(given["PageSize"])
        first = (int(given["PageIndex"]) - 1) * size
        return {name: items[first:first + size], "TotalCount": len(items)}  # fmt: skip

    def _CreateSmsTemplate(self, given):
        code = f"SMS_{len(self.templates) + 1}"
        self.add_template(code, given["TemplateContent"], given["TemplateType"], "AUDIT_STATE_INIT")
        return {"TemplateCode": code, "TemplateName": given["TemplateName"]}

    # -- afterwards -------------------------------------------------------------------------

    def end(self, message, error="DELIVERED"):
        """The carrier tells what became of a message."""
        message.status = 3 if error == "DELIVERED" else 2
        message.error, message.told = error, self.clock()
        return message.report()
