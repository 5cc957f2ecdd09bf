"""Twilio SendGrid, API version 3."""

import json
import time
from datetime import timedelta
from typing import Any

from core.sdk import MessageClass, OutsideError, Receipt, ReconnectNeeded
from plugins.email.apis.calling import TOO_MANY, Answer, Caller, failure, later
from plugins.email.message import Letter, MessageBuilder
from plugins.email.settings import SendGrid, provider_name
from plugins.email.verp import tag

LABEL = "huike_key"


class SendGridApi:
    """Hands messages to SendGrid, which signs them itself."""

    def __init__(self, settings: SendGrid, connections: int) -> None:
        self._caller = Caller(provider_name(settings), settings.endpoint, connections)
        self._headers = {
            "authorization": f"Bearer {settings.api_key.get_secret_value()}",
            "content-type": "application/json",
        }

    async def deliver(
        self, letter: Letter, builder: MessageBuilder, message_class: MessageClass
    ) -> Receipt:
        name, address = builder.from_name, builder.from_address
        request: dict[str, Any] = {
            "personalizations": [{"to": [{"email": letter.to}]}],
            "from": {"email": address, **({"name": name} if name else {})},
            "subject": letter.subject,
            "content": [
                {"type": "text/plain", "value": letter.text},
                {"type": "text/html", "value": letter.html},
            ],
            "custom_args": {LABEL: tag(letter.key)},
            "tracking_settings": {
                "click_tracking": {"enable": False, "enable_text": False},
                "open_tracking": {"enable": False},
                "subscription_tracking": {"enable": False},
            },
        }
        if letter.extra:
            request["headers"] = dict(letter.extra)
        if builder.reply_to:
            request["reply_to"] = {"email": builder.reply_to}
        data = json.dumps(request).encode()
        answer = await self._caller.call("POST", "/v3/mail/send", self._headers, data)
        if answer.status != 202:
            raise meaning(self._caller.provider, answer)
        return Receipt(answer.headers.get("x-message-id"), self._caller.provider)

    async def check(self) -> None:
        answer = await self._caller.call("GET", "/v3/scopes", self._headers)
        if answer.status != 200:
            raise meaning(self._caller.provider, answer)

    async def close(self) -> None:
        await self._caller.close()


def meaning(provider: str, answer: Answer) -> OutsideError:
    """What a refusal of SendGrid means."""
    words = _words(answer)
    if answer.status == TOO_MANY:
        return later(provider, words, _reset(answer))
    if answer.status == 400 and "from" in words.lower() and "verified" in words.lower():
        return ReconnectNeeded(f"{provider}: {words}")
    return failure(provider, answer, words)


def _words(answer: Answer) -> str:
    errors = answer.body.get("errors") if isinstance(answer.body, dict) else None
    if not isinstance(errors, list):
        return answer.told()
    return "; ".join(str(one.get("message")) for one in errors if isinstance(one, dict))


def _reset(answer: Answer) -> timedelta:
    """Until when the rate is used up: a Unix time."""
    try:
        seconds = float(answer.headers.get("x-ratelimit-reset", "")) - time.time()
    except ValueError:
        seconds = 1.0
    return timedelta(seconds=min(max(seconds, 1.0), 3600))
