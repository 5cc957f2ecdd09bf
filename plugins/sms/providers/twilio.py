"""Twilio's Messages. It takes any text; what became of a message it calls back to tell."""

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlencode

from core.sdk import Receipt, Trace, Unknown
from core.sdk.channels import DeliveryReceipt, ReceiptStatus
from plugins.sms.http import Caller
from plugins.sms.providers.protocol import Answer, Meaning, Sought, verdict
from plugins.sms.settings import TwilioSettings
from plugins.sms.texts import Text, is_abroad

FORM = "application/x-www-form-urlencoded"
NEAR = timedelta(minutes=3)
COMPLETE_AFTER = timedelta(minutes=30)
PAGE = 100

CODES = {
    20003: Meaning.ACCOUNT,  # authentication
    20005: Meaning.ACCOUNT,  # account not active
    20429: Meaning.BUSY,  # too many requests
    14107: Meaning.BUSY,  # rate of messages
    21211: Meaning.MESSAGE,  # no number to send to
    21212: Meaning.ACCOUNT,  # no number to send from
    21214: Meaning.MESSAGE,  # cannot be reached
    21408: Meaning.ACCOUNT,  # region not switched on
    21602: Meaning.MESSAGE,  # no text
    21603: Meaning.ACCOUNT,  # no sender
    21606: Meaning.ACCOUNT,  # sender cannot send SMS
    21608: Meaning.ACCOUNT,  # trial account
    21610: Meaning.BLOCKED,  # said STOP
    21611: Meaning.BUSY,  # the sender's queue is full
    21612: Meaning.MESSAGE,  # no way from sender to number
    21614: Meaning.MESSAGE,  # no mobile number
    21617: Meaning.MESSAGE,  # too long
    21703: Meaning.ACCOUNT,  # the messaging service has no sender
    30001: Meaning.BUSY,  # queue overflow
    30002: Meaning.ACCOUNT,  # account suspended
    63038: Meaning.ACCOUNT,  # the account's daily limit
}
BAD_NUMBERS = frozenset({"30005", "30006", "21610", "21614"})
"""Codes of receipts that are the number's fault: unknown, a landline, has said STOP."""
ENDS: dict[str, ReceiptStatus] = {
    "accepted": "accepted", "scheduled": "accepted", "queued": "accepted", "sending": "accepted",
    "sent": "accepted", "delivered": "delivered", "read": "delivered",
    "undelivered": "undelivered", "failed": "undelivered", "canceled": "undelivered",
}  # fmt: skip


class Twilio:
    """One account and sender."""

    approved_only = False

    def __init__(
        self, settings: TwilioSettings, caller: Caller, clock: Callable[[], datetime]
    ) -> None:
        self.name = settings.name
        self._settings = settings
        self._caller = caller
        self._clock = clock
        account = settings.account_sid
        self._url = f"{settings.endpoint.rstrip('/')}/2010-04-01/Accounts/{account}/Messages"
        pair = f"{account}:{settings.auth_token.get_secret_value()}".encode()
        self._headers = {"authorization": f"Basic {base64.b64encode(pair).decode()}"}

    def calls(self, texts: Sequence[Text]) -> Sequence[Sequence[int]]:
        return [[place] for place in range(len(texts))]

    async def send(self, serial: str, texts: Sequence[Text]) -> Sequence[Answer]:
        (text,) = texts
        settings = self._settings
        service = settings.sender.startswith("MG")
        form = {
            "To": text.to,
            "MessagingServiceSid" if service else "From": settings.sender,
            "Body": text.text if is_abroad(text.to) else text.signed,
        }
        if settings.callback is not None:
            form["StatusCallback"] = f"{settings.callback}?key={quote(text.key)}"
        answer = await self._ask("POST", f"{self._url}.json", urlencode(form).encode())
        if "sid" not in answer:
            raise Unknown(f"{self.name} answers without an id", self.name)
        parts = answer.get("num_segments")
        price = _price(answer)
        return [Receipt(
            str(answer["sid"]), parts=int(parts) if parts and int(parts) else None, cost=price,
            currency=str(answer.get("price_unit") or "USD").upper() if price is not None else None,
        )]  # fmt: skip

    async def check(self) -> None:
        await self._ask("GET", f"{self._url.removesuffix('/Messages')}.json")

    async def find(self, sought: Sought) -> Receipt | Trace:
        """The vendor does not keep our key. Where no message went to the number at about that time
        it is absent; where one did nobody knows whether it was this one."""
        if await self._near(sought):
            return Trace.UNKNOWN
        late = self._clock() - sought.message.at >= COMPLETE_AFTER
        return Trace.ABSENT if late else Trace.UNKNOWN

    async def ended(self, sought: Sought) -> DeliveryReceipt | None:
        for message in await self._near(sought):
            if message.get("sid") == sought.provider_id:
                told = receipt_of(message, self.name, self._clock(), key=sought.message.key)
                return told if told is not None and told.status != "accepted" else None
        return None

    async def _near(self, sought: Sought) -> list[Mapping[str, Any]]:
        """What was sent to the number at about the time of the message."""
        at = sought.message.at
        days = {
            f"{(at - NEAR).astimezone(UTC):%Y-%m-%d}",
            f"{(at + NEAR).astimezone(UTC):%Y-%m-%d}",
        }
        found = []
        for day in sorted(days):
            query = urlencode({"To": sought.message.to, "DateSent": day, "PageSize": PAGE})
            answer = await self._ask("GET", f"{self._url}.json?{query}")
            found += [
                message for message in answer.get("messages") or []
                if abs(_created(message, at) - at) <= NEAR
                or message.get("sid") == sought.provider_id
            ]  # fmt: skip
        return found

    async def _ask(self, method: str, url: str, body: bytes | None = None) -> dict[str, Any]:
        headers = self._headers | ({"content-type": FORM} if body else {})
        answered = await self._caller.ask(method, url, headers, body)
        answer = answered.json()
        if answered.status < 300 and isinstance(answer, dict):
            return answer
        code = answer.get("code") if isinstance(answer, dict) else None
        if not isinstance(code, int) or answered.status >= 500:
            raise self._caller.unclear(answered)
        words = str(answer.get("message", ""))
        raise verdict(CODES.get(code, Meaning.ACCOUNT), self.name, str(code), words)


def signature(token: str, url: str, parameters: Iterable[tuple[str, str]]) -> str:
    """X-Twilio-Signature of a form that is posted to an address."""
    text = url + "".join(name + value for name, value in sorted(set(parameters)))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()


def receipt_of(
    message: Mapping[str, Any], provider: str, at: datetime, key: str | None
) -> DeliveryReceipt | None:
    """What a message's status says; names of fields as the API writes them. None if nothing."""
    status = str(message.get("status", ""))
    known = ENDS.get(status)
    if known is None:
        return None
    code = str(message.get("error_code") or "")
    bad = known == "undelivered" and code in BAD_NUMBERS
    sid = str(message.get("sid", ""))
    return DeliveryReceipt(
        f"{sid}:{status}", "bounced" if bad else known, at, key=key, provider_id=sid,
        provider=provider, of_person=bad, detail=code or None,
    )  # fmt: skip


def _created(message: Mapping[str, Any], otherwise: datetime) -> datetime:
    try:
        return parsedate_to_datetime(str(message.get("date_created")))
    except ValueError:
        return otherwise


def _price(answer: Mapping[str, Any]) -> Decimal | None:
    """What it cost, where the answer tells it; the vendor writes it as a negative number."""
    try:
        return abs(Decimal(str(answer["price"])))
    except (KeyError, InvalidOperation):
        return None
