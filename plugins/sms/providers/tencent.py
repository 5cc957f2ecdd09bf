"""Tencent Cloud's SMS. One call carries one set of parameters, so only like texts go together."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import orjson

from core.sdk import MessageClass, Receipt, Trace
from core.sdk.channels import DeliveryReceipt
from plugins.sms.http import Caller
from plugins.sms.providers.aliyun import ended_as
from plugins.sms.providers.protocol import Answer, Registered, Sought, verdict
from plugins.sms.providers.tencent_codes import meaning_of
from plugins.sms.providers.tencent_signature import authorization
from plugins.sms.settings import TencentSettings
from plugins.sms.templates import State
from plugins.sms.texts import Text, is_abroad

VERSION = "2021-01-11"
JSON = "application/json"
NUMBERS = 200
PAGE = 100
MAX_PAGES = 100
STATES: dict[int, State] = {0: "approved", 1: "pending", 2: "pending", -1: "rejected"}
AT_HOME, ABROAD, BOTH = 0, 1, 3
MARKETING, NOTICE = 1, 2
SIGNATURES = ("DescribeSmsSignList", "DescribeSignListStatusSet")
TEMPLATES = ("DescribeSmsTemplateList", "DescribeTemplateStatusSet")
OPT_OUTS = ("拒收请回复R", "回T退订", "退订回T", "回复TD退订")


class Tencent:
    """One application."""

    approved_only = True

    def __init__(
        self, settings: TencentSettings, caller: Caller, clock: Callable[[], datetime]
    ) -> None:
        self.name = settings.name
        self._settings = settings
        self._secret = settings.secret_key.get_secret_value()
        self._caller = caller
        self._clock = clock
        self._endpoint = settings.endpoint.rstrip("/") + "/"
        self._host = urlsplit(settings.endpoint).netloc

    def calls(self, texts: Sequence[Text]) -> Sequence[Sequence[int]]:
        """Texts of the same template and values, all at home or all abroad, each number once."""
        calls: dict[tuple[Any, ...], list[list[int]]] = {}
        for place, text in enumerate(texts):
            assert text.template is not None
            like = (
                text.template.code, text.signature, is_abroad(text.to),
                tuple((text.values or {}).items()),
            )  # fmt: skip
            numbered = calls.setdefault(like, [])
            for call in numbered:
                if len(call) < NUMBERS and all(texts[other].to != text.to for other in call):
                    call.append(place)
                    break
            else:
                numbered.append([place])
        return [call for numbered in calls.values() for call in numbered]

    async def send(self, serial: str, texts: Sequence[Text]) -> Sequence[Answer]:
        first = texts[0]
        assert first.template is not None
        values = first.values or {}
        asked: dict[str, Any] = {
            "PhoneNumberSet": [text.to for text in texts],
            "SmsSdkAppId": self._settings.app_id,
            "TemplateId": first.template.code,
            "TemplateParamSet": [values[name] for name in first.template.names],
            "SessionContext": serial,
        }
        if not is_abroad(first.to):
            asked["SignName"] = first.signature
        answer = await self._ask("SendSms", asked)
        told = {str(one.get("PhoneNumber")): one for one in answer.get("SendStatusSet") or []}
        return [self._answer(told.get(text.to)) for text in texts]

    async def check(self) -> None:
        await self._ask(TEMPLATES[0], {"International": AT_HOME, "Limit": 1, "Offset": 0})

    async def find(self, sought: Sought) -> Receipt | Trace:
        """The vendor lists messages by number only once their end is known, so that one that is
        not there may have been accepted all the same."""
        status = await self._status(sought)
        return Trace.UNKNOWN if status is None else Receipt(str(status.get("SerialNo", "")))

    async def ended(self, sought: Sought) -> DeliveryReceipt | None:
        status = await self._status(sought)
        if status is None:
            return None
        told = str(status.get("ReportStatus", ""))
        at = datetime.fromtimestamp(int(status.get("UserReceiveTime") or 0), UTC)
        return ended_as(
            f"{status.get('SerialNo')}:{told}", told == "SUCCESS",
            str(status.get("Description", "")), "", at, self.name, key=sought.message.key,
        )  # fmt: skip

    async def signatures(self) -> Sequence[Registered]:
        return [
            Registered(
                str(item.get("SignName", "")), STATES.get(item.get("StatusCode", 1), "pending"),
                str(item.get("SignName", "")), reason=str(item.get("ReviewReply") or ""),
            )
            async for item in self._list(*SIGNATURES, AT_HOME)
        ]  # fmt: skip

    async def templates(self) -> Sequence[Registered]:
        found = []
        for international in (AT_HOME, ABROAD):
            async for item in self._list(*TEMPLATES, international):
                text = str(item.get("TemplateContent", ""))
                # the list does not tell the kind; a marketing template has to end so
                message_class: MessageClass = "marketing" if text.endswith(OPT_OUTS) else "service"
                where = item.get("International", international)
                found.append(Registered(
                    str(item.get("TemplateId", "")),
                    STATES.get(item.get("StatusCode", 1), "pending"),
                    str(item.get("TemplateName", "")), text,
                    message_class if where == AT_HOME else None,
                    None if where == BOTH else where == ABROAD, str(item.get("ReviewReply") or ""),
                ))  # fmt: skip
        return list({one.code: one for one in found}.values())

    async def submit(
        self, name: str, text: str, message_class: MessageClass, abroad: bool, remark: str
    ) -> str:
        answer = await self._ask("AddSmsTemplate", {
            "TemplateName": name, "TemplateContent": text, "International": int(abroad),
            "SmsType": MARKETING if message_class == "marketing" else NOTICE, "Remark": remark,
        })  # fmt: skip
        return str(answer["AddTemplateStatus"]["TemplateId"])

    def _answer(self, status: Mapping[str, Any] | None) -> Answer:
        if status is None:
            return verdict(meaning_of("InternalError"), self.name, "the answer leaves it out")
        code = str(status.get("Code", ""))
        if code != "Ok":
            return verdict(meaning_of(code), self.name, code, str(status.get("Message", "")))
        fee = status.get("Fee")
        return Receipt(str(status.get("SerialNo", "")), parts=fee if isinstance(fee, int) else None)

    async def _status(self, sought: Sought) -> Mapping[str, Any] | None:
        message = sought.message
        for page in range(MAX_PAGES):
            answer = await self._ask("PullSmsSendStatusByPhoneNumber", {
                "SmsSdkAppId": self._settings.app_id, "PhoneNumber": message.to, "Limit": PAGE,
                "Offset": page * PAGE,
                "BeginTime": int((message.at - timedelta(minutes=5)).timestamp()),
                "EndTime": int(self._clock().timestamp()),
            })  # fmt: skip
            statuses = answer.get("PullSmsSendStatusSet") or []
            for status in statuses:
                if status.get("SessionContext") == sought.serial:
                    found: Mapping[str, Any] = status
                    return found
            if len(statuses) < PAGE:
                break
        return None

    async def _list(
        self, action: str, key: str, international: int
    ) -> AsyncIterator[Mapping[str, Any]]:
        for page in range(MAX_PAGES):
            answer = await self._ask(action, {
                "International": international, "Limit": PAGE, "Offset": page * PAGE,
            })  # fmt: skip
            items = answer.get(key) or []
            for item in items:
                yield item
            if len(items) < PAGE:
                return

    async def _ask(self, action: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a call that succeeded. Raises an OutsideError."""
        body = orjson.dumps(asked)
        now = self._clock().astimezone(UTC)
        timestamp = int(now.timestamp())
        signed = authorization(
            self._settings.secret_id, self._secret, self._host, JSON, timestamp,
            f"{now:%Y-%m-%d}", body,
        )  # fmt: skip
        answered = await self._caller.ask("POST", self._endpoint, {
            "host": self._host, "content-type": JSON, "authorization": signed,
            "x-tc-action": action, "x-tc-version": VERSION, "x-tc-timestamp": str(timestamp),
            "x-tc-region": self._settings.region,
        }, body)  # fmt: skip
        told = answered.json()
        response = told.get("Response") if isinstance(told, dict) else None
        if not isinstance(response, dict):
            raise self._caller.unclear(answered)
        if (error := response.get("Error")) is not None:
            code = str(error.get("Code", ""))
            raise verdict(meaning_of(code), self.name, code, str(error.get("Message", "")))
        return response
