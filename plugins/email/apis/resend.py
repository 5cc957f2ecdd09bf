"""Resend, which takes a message of one key only once within a day."""

import json
from datetime import timedelta
from typing import Any

from core.sdk import MessageClass, OutsideError, Receipt, ReconnectNeeded, Refused, Unknown
from plugins.email.apis.calling import Answer, Caller, failure, later
from plugins.email.message import Letter, MessageBuilder
from plugins.email.settings import Resend, provider_name
from plugins.email.verp import tag

LABEL = "huike_key"
_ACCOUNT = frozenset({
    "missing_api_key", "invalid_api_key", "restricted_api_key", "invalid_from_address",
    "monthly_quota_exceeded", "suspended_api_key",
})  # fmt: skip


class ResendApi:
    """Hands messages to Resend, which signs them itself."""

    def __init__(self, settings: Resend, connections: int) -> None:
        self._caller = Caller(provider_name(settings), settings.endpoint, connections)
        self._headers = {
            "authorization": f"Bearer {settings.api_key.get_secret_value()}",
            "content-type": "application/json",
        }

    async def deliver(
        self, letter: Letter, builder: MessageBuilder, message_class: MessageClass
    ) -> Receipt:
        request: dict[str, Any] = {
            "from": builder.shown_sender,
            "to": [letter.to],
            "subject": letter.subject,
            "html": letter.html,
            "text": letter.text,
            "headers": dict(letter.extra),
            "tags": [{"name": LABEL, "value": tag(letter.key)}],
        }
        if builder.reply_to:
            request["reply_to"] = builder.reply_to
        headers = {**self._headers, "idempotency-key": letter.key}
        data = json.dumps(request).encode()
        try:
            answer = await self._caller.call("POST", "/emails", headers, data)
        except Unknown:
            # the key makes it safe: a message that was taken is not taken again
            answer = await self._caller.call("POST", "/emails", headers, data)
        if answer.status not in (200, 201):
            raise meaning(self._caller.provider, answer)
        return Receipt(answer.told("id"), self._caller.provider)

    async def check(self) -> None:
        answer = await self._caller.call("GET", "/domains", self._headers)
        # a key that may only send is refused here, by a name of its own
        if answer.status != 200 and answer.told("name") != "restricted_api_key":
            raise meaning(self._caller.provider, answer)

    async def close(self) -> None:
        await self._caller.close()


def meaning(provider: str, answer: Answer) -> OutsideError:
    """What a refusal of Resend means."""
    name, words = answer.told("name"), answer.told("message")
    said = f"{provider} answers {answer.status} {name}: {words}"
    if name in _ACCOUNT or (answer.status == 403 and name == "validation_error"):
        return ReconnectNeeded(said)
    if name == "daily_quota_exceeded":
        return later(provider, words, timedelta(hours=1))
    if answer.status == 409:
        # the key is in use, or was used: the service has had this message
        return Unknown(said, provider)
    if name == "validation_error":
        return Refused(said)
    return failure(provider, answer, words)
