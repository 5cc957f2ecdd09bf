"""Alibaba Cloud's SMS: SendSms, SendBatchSms, QuerySendDetails and the lists of what is approved.

A call is never repeated here: the vendor says that sending is not idempotent.
"""

import itertools
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import orjson

from core.sdk import MessageClass, Receipt, Trace
from core.sdk.channels import DeliveryReceipt
from plugins.sms.http import Caller
from plugins.sms.providers.aliyun_codes import BAD_NUMBERS, meaning_of
from plugins.sms.providers.aliyun_signature import Signing, encoded
from plugins.sms.providers.protocol import Answer, Registered, Sought, verdict
from plugins.sms.settings import AliyunSettings
from plugins.sms.templates import State
from plugins.sms.texts import Text, short_number

VERSION = "2017-05-25"
FORM = "application/x-www-form-urlencoded"
BATCH = 100
PAGE = 50
SECONDS = len("2026-01-02T03:04:05")
MAX_PAGES = 200
ZONE = ZoneInfo("Asia/Shanghai")
FAILED, DELIVERED = 2, 3
COMPLETE_AFTER = timedelta(minutes=30)
"""So long the list of a number's messages may lack one that was accepted."""
STATES: dict[str, State] = {
    "AUDIT_STATE_INIT": "pending",
    "AUDIT_STATE_PASS": "approved",
    "AUDIT_STATE_NOT_PASS": "rejected",
    "AUDIT_STATE_CANCEL": "cancelled",
    "AUDIT_SATE_CANCEL": "cancelled",
}
NOTICE, PROMOTION, ABROAD = "1", "2", "3"


class Aliyun:
    """One account."""

    approved_only = True

    def __init__(
        self, settings: AliyunSettings, caller: Caller, clock: Callable[[], datetime]
    ) -> None:
        self.name = settings.name
        self._signing = Signing(
            settings.access_key_id, settings.access_key_secret.get_secret_value()
        )
        self._caller = caller
        self._clock = clock
        self._nonce = secrets.token_hex(16)
        self._calls = itertools.count()
        self._endpoint = settings.endpoint.rstrip("/")
        self._host = urlsplit(settings.endpoint).netloc

    def calls(self, texts: Sequence[Text]) -> Sequence[Sequence[int]]:
        """Marketing of one template goes together, each number once; service messages alone,
        because batches may be delayed."""
        calls: list[list[int]] = []
        open_calls: dict[str, list[tuple[list[int], set[str]]]] = {}
        for place, text in enumerate(texts):
            if text.message_class == "service":
                calls.append([place])
                continue
            assert text.template is not None
            batches = open_calls.setdefault(text.template.code, [])
            for call, numbers in batches:
                if len(call) < BATCH and text.to not in numbers:
                    call.append(place)
                    numbers.add(text.to)
                    break
            else:
                calls.append([place])
                batches.append((calls[-1], {text.to}))
        return calls

    async def send(self, serial: str, texts: Sequence[Text]) -> Sequence[Answer]:
        body: dict[str, str] = {}
        assert texts[0].template is not None
        query = {"TemplateCode": texts[0].template.code, "OutId": serial}
        if len(texts) == 1:
            action, (text,) = "SendSms", texts
            query |= {"PhoneNumbers": short_number(text.to), "SignName": text.signature}
            if text.values:
                query["TemplateParam"] = orjson.dumps(text.values).decode()
        else:
            action = "SendBatchSms"
            body = {
                "PhoneNumberJson": _json([short_number(text.to) for text in texts]),
                "SignNameJson": _json([text.signature for text in texts]),
                "TemplateParamJson": _json([text.values or {} for text in texts]),
            }
        answer = await self._ask(action, query, body)
        # the receipts of a batch share the vendor's id, which nobody knows after a time-out
        provider_id = str(answer.get("BizId", "")) if len(texts) == 1 else serial
        return [Receipt(provider_id)] * len(texts)

    async def check(self) -> None:
        await self._ask("QuerySmsSignList", {"PageIndex": "1", "PageSize": "1"})

    async def find(self, sought: Sought) -> Receipt | Trace:
        if await self._detail(sought) is not None:
            return Receipt(None if sought.serial == sought.message.key else sought.serial)
        late = self._clock() - sought.message.at >= COMPLETE_AFTER
        return Trace.ABSENT if late else Trace.UNKNOWN

    async def ended(self, sought: Sought) -> DeliveryReceipt | None:
        detail = await self._detail(sought)
        status = int(detail.get("SendStatus", 0)) if detail else 0
        if detail is None or status not in (FAILED, DELIVERED):
            return None
        code = str(detail.get("ErrCode", ""))
        return ended_as(
            f"found:{sought.message.key}:{status}", status == DELIVERED, code, code,
            moment(detail.get("ReceiveDate"), self._clock()), self.name, key=sought.message.key,
        )  # fmt: skip

    async def signatures(self) -> Sequence[Registered]:
        return [
            Registered(
                str(item.get("SignName", "")), _state(item), str(item.get("SignName", "")),
                reason=_reason(item),
            )
            async for item in self._list("QuerySmsSignList", "SmsSignList")
        ]  # fmt: skip

    async def templates(self) -> Sequence[Registered]:
        found = []
        async for item in self._list("QuerySmsTemplateList", "SmsTemplateList"):
            kind = str(item.get("OuterTemplateType", ""))
            message_class: MessageClass | None = "marketing" if kind == PROMOTION else "service"
            found.append(Registered(
                str(item.get("TemplateCode", "")), _state(item), str(item.get("TemplateName", "")),
                str(item.get("TemplateContent", "")), None if kind == ABROAD else message_class,
                kind == ABROAD, _reason(item),
            ))  # fmt: skip
        return found

    async def submit(
        self, name: str, text: str, message_class: MessageClass, abroad: bool, remark: str
    ) -> str:
        kind = ABROAD if abroad else PROMOTION if message_class == "marketing" else NOTICE
        answer = await self._ask("CreateSmsTemplate", {
            "TemplateName": name, "TemplateContent": text, "TemplateType": kind, "Remark": remark,
        })  # fmt: skip
        return str(answer["TemplateCode"])

    async def _detail(self, sought: Sought) -> dict[str, Any] | None:
        """The entry of a message in the vendor's list, on the day of it or the one after."""
        number = short_number(sought.message.to)
        first = sought.message.at.astimezone(ZONE)
        days = {first.date(), (first + timedelta(minutes=10)).date()}
        for day in sorted(days):
            for page in range(1, MAX_PAGES):
                answer = await self._ask("QuerySendDetails", {
                    "PhoneNumber": number, "SendDate": f"{day:%Y%m%d}", "PageSize": str(PAGE),
                    "CurrentPage": str(page),
                })  # fmt: skip
                details = (answer.get("SmsSendDetailDTOs") or {}).get("SmsSendDetailDTO") or []
                for detail in details:
                    if detail.get("OutId") == sought.serial:
                        found: dict[str, Any] = detail
                        return found
                if page * PAGE >= int(answer.get("TotalCount") or 0):
                    break
        return None

    async def _list(self, action: str, key: str) -> AsyncIterator[Mapping[str, Any]]:
        for page in range(1, MAX_PAGES):
            answer = await self._ask(action, {"PageIndex": str(page), "PageSize": str(PAGE)})
            for item in answer.get(key) or []:
                yield item
            if page * PAGE >= int(answer.get("TotalCount") or 0):
                return

    async def _ask(
        self, action: str, parameters: Mapping[str, str], form: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """The answer to a call that succeeded. Raises an OutsideError."""
        query = encoded(parameters)
        body = encoded(form).encode() if form else b""
        headers = {
            "host": self._host,
            "x-acs-action": action,
            "x-acs-version": VERSION,
            "x-acs-date": f"{self._clock().astimezone(UTC).isoformat()[:SECONDS]}Z",
            "x-acs-signature-nonce": f"{self._nonce}{next(self._calls)}",
        }
        if body:
            headers["content-type"] = FORM
        signed = self._signing.headers(query, headers, body)
        answered = await self._caller.ask("POST", f"{self._endpoint}/?{query}", signed, body)
        answer = answered.json()
        code = answer.get("Code") if isinstance(answer, dict) else None
        if code == "OK":
            found: dict[str, Any] = answer
            return found
        if not isinstance(code, str):
            raise self._caller.unclear(answered)
        words = str(answer.get("Message", ""))
        raise verdict(meaning_of(code, words), self.name, code, words)


def ended_as(
    event_key: str,
    delivered: bool,
    code: str,
    words: str,
    at: datetime,
    provider: str | None,
    key: str | None = None,
    provider_id: str | None = None,
    to: str | None = None,
) -> DeliveryReceipt:
    """The receipt of a message that arrived, or did not for the reason of this code."""
    bad = code in BAD_NUMBERS
    return DeliveryReceipt(
        event_key, "delivered" if delivered else "bounced" if bad else "undelivered", at,
        key=key, provider_id=provider_id, to=to, provider=provider,
        of_person=bad and not delivered,
        detail=None if delivered else f"{code} {words}".strip(),
    )  # fmt: skip


def moment(text: Any, otherwise: datetime) -> datetime:
    """A time as the vendor writes it, which is that of China."""
    try:
        return datetime.strptime(str(text), "%Y-%m-%d %H:%M:%S").replace(tzinfo=ZONE)
    except ValueError:
        return otherwise


def _json(values: Sequence[Any]) -> str:
    return orjson.dumps(values).decode()


def _state(item: Mapping[str, Any]) -> State:
    return STATES.get(str(item.get("AuditStatus")), "pending")


def _reason(item: Mapping[str, Any]) -> str:
    return str((item.get("Reason") or {}).get("RejectInfo") or "")
