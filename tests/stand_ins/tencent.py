"""Tencent Cloud's SMS on loopback, written from the vendor's documentation: TC3, clock, numbers,
templates with the right count of values, one status for each number."""

import hashlib
import hmac
import json
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from aiohttp import web

from tests.stand_ins.serving import served

VARIABLE = re.compile(r"\{([0-9]+)\}")
ZONE = ZoneInfo("Asia/Shanghai")


def tc3_signature(secret, day, timestamp, headers, names, body):
    lines = "".join(f"{name}:{headers[name].strip().lower()}\n" for name in names)
    request = "\n".join(["POST", "/", "", lines, ";".join(names), hashlib.sha256(body).hexdigest()])
    text = "\n".join([
        "TC3-HMAC-SHA256", str(timestamp), f"{day}/sms/tc3_request",
        hashlib.sha256(request.encode()).hexdigest(),
    ])  # fmt: skip
    key = b"TC3" + secret.encode()
    for part in (day, "sms", "tc3_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.new(key, text.encode(), "sha256").hexdigest()


class Fault(Exception):
    pass


@dataclass
class TencentStandIn:
    """`faults` are codes by number, `mood` a code for whole calls."""

    clock: object
    keys: dict = field(default_factory=lambda: {"testID": "testSK"})
    app_id: str = "1400006666"
    templates: dict = field(default_factory=dict)
    messages: list = field(default_factory=list)
    faults: dict = field(default_factory=dict)
    mood: str | None = None
    calls: list = field(default_factory=list)

    def add_template(self, code, text, international=0, status=0):
        self.templates[code] = {
            "TemplateId": int(code), "TemplateName": code, "TemplateContent": text,
            "International": international, "StatusCode": status, "ReviewReply": "",
        }  # fmt: skip

    @asynccontextmanager
    async def open(self):
        async with served(self.answer) as url:
            yield url

    async def answer(self, request):
        body = await request.read()
        try:
            action, given = self._verified(request, body), json.loads(body)
            self.calls.append((action, given))
            if self.mood is not None:
                raise Fault(self.mood)
            told = getattr(self, f"_{action}")(given)
        except Fault as fault:
            code = str(fault)
            told = {"Error": {"Code": code, "Message": code}}
        return web.json_response({"Response": {**told, "RequestId": "R"}})

    def _verified(self, request, body):
        headers = {name.lower(): value for name, value in request.headers.items()}
        found = re.fullmatch(
            r"TC3-HMAC-SHA256 Credential=([^/]+)/([0-9-]+)/sms/tc3_request, "
            r"SignedHeaders=([^,]+), Signature=([0-9a-f]{64})",
            headers.get("authorization", ""),
        )
        if not found or request.method != "POST":
            raise Fault("AuthFailure.InvalidAuthorization")
        key, day, names, signature = found[1], found[2], found[3].split(";"), found[4]
        if key not in self.keys:
            raise Fault("AuthFailure.SecretIdNotFound")
        timestamp = int(headers["x-tc-timestamp"])
        if day != f"{datetime.fromtimestamp(timestamp, UTC):%Y-%m-%d}":
            raise Fault("AuthFailure.SignatureFailure")
        if abs(timestamp - self.clock().timestamp()) > 300:
            raise Fault("AuthFailure.SignatureExpire")
        if not {"content-type", "host"} <= set(names) or names != sorted(names):
            raise Fault("AuthFailure.SignatureFailure")
        made = tc3_signature(self.keys[key], day, timestamp, headers, names, body)
        if not hmac.compare_digest(made, signature):
            raise Fault("AuthFailure.SignatureFailure")
        if headers["x-tc-version"] != "2021-01-11" or "x-tc-region" not in headers:
            raise Fault("InvalidParameter")
        return headers["x-tc-action"]

    def _SendSms(self, given):
        numbers = given["PhoneNumberSet"]
        if len(numbers) > 200:
            raise Fault("LimitExceeded.PhoneNumberCountLimit")
        if given["SmsSdkAppId"] != self.app_id:
            raise Fault("UnauthorizedOperation.SmsSdkAppIdVerifyFail")
        home = {number.startswith("+86") for number in numbers}
        if len(home) > 1:
            raise Fault("UnsupportedOperation.ContainDomesticAndInternationalPhoneNumber")
        if home == {True} and not given.get("SignName"):
            raise Fault("FailedOperation.SignatureIncorrectOrUnapproved")
        if len(given.get("SessionContext", "").encode()) >= 512:
            raise Fault("InvalidParameterValue.ContentLengthLimit")
        return {"SendStatusSet": [self._sent(given, number) for number in numbers]}

    def _sent(self, given, number):
        code = self.faults.get(number, "Ok")
        template = self.templates.get(given["TemplateId"])
        if template is None or template["StatusCode"] != 0:
            code = "FailedOperation.TemplateIncorrectOrUnapproved"
        elif len(given["TemplateParamSet"]) != len(VARIABLE.findall(template["TemplateContent"])):
            code = "FailedOperation.TemplateParamSetNotMatchApprovedTemplate"
        elif any("http" in value for value in given["TemplateParamSet"]):
            code = "InvalidParameterValue.ProhibitedUseUrlInTemplateParameter"
        serial = f"2640:{len(self.messages)}" if code == "Ok" else ""
        if code == "Ok":
            values = given["TemplateParamSet"]
            self.messages.append({
                "SerialNo": serial, "PhoneNumber": number,
                "SessionContext": given["SessionContext"],
                "text": VARIABLE.sub(lambda v: values[int(v[1]) - 1], template["TemplateContent"]),
            })  # fmt: skip
        return {
            "SerialNo": serial, "PhoneNumber": number, "Fee": int(code == "Ok"), "Code": code,
            "SessionContext": given["SessionContext"], "Message": code, "IsoCode": "CN",
        }  # fmt: skip

    def _DescribeSmsTemplateList(self, given):
        return {"DescribeTemplateStatusSet": [
            one for one in self.templates.values()
            if one["International"] == given["International"]
        ][given["Offset"]:given["Offset"] + given["Limit"]]}  # fmt: skip

    def _DescribeSmsSignList(self, given):
        return {"DescribeSignListStatusSet": [{"SignName": "小店", "StatusCode": 0}]}

    def _AddSmsTemplate(self, given):
        code = str(1000 + len(self.templates))
        self.add_template(code, given["TemplateContent"], given["International"], status=1)
        return {"AddTemplateStatus": {"TemplateId": code}}

    def _PullSmsSendStatusByPhoneNumber(self, given):
        return {"PullSmsSendStatusSet": [
            {"PhoneNumber": m["PhoneNumber"], "SerialNo": m["SerialNo"], "ReportStatus": m["end"],
             "Description": m["error"], "UserReceiveTime": int(self.clock().timestamp()),
             "SessionContext": m["SessionContext"]}
            for m in self.messages if m["PhoneNumber"] == given["PhoneNumber"] and "end" in m
        ]}  # fmt: skip

    def end(self, message, error="DELIVRD"):
        """What the vendor pushes when the carrier tells the end of a message."""
        message["end"] = "SUCCESS" if error == "DELIVRD" else "FAIL"
        message["error"] = error
        return {
            "user_receive_time": f"{self.clock().astimezone(ZONE):%Y-%m-%d %H:%M:%S}",
            "nationcode": "86", "mobile": message["PhoneNumber"].removeprefix("+86"),
            "report_status": message["end"], "errmsg": error, "description": "",
            "sid": message["SerialNo"],
        }  # fmt: skip
