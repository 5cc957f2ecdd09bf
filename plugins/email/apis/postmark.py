"""Postmark."""

import json
from typing import Any

from core.sdk import MessageClass, OutsideError, Receipt, ReconnectNeeded, Refused
from plugins.email.apis.calling import Answer, Caller, failure
from plugins.email.message import Letter, MessageBuilder
from plugins.email.providers import Away, NoSuchMailbox
from plugins.email.settings import Postmark, provider_name
from plugins.email.verp import tag

LABEL = "huike_key"
MAINTENANCE = 100
INACTIVE = 406
"""An address that bounced, or whose owner complained."""

_ACCOUNT = frozenset({10, 400, 401, 405, 412, 413, 1221, 1226, 1235, 1236})
"""Token, sender's signature, credits, approval, message stream: for the merchant to see to."""


class PostmarkApi:
    """Hands messages to Postmark, which signs them itself."""

    def __init__(self, settings: Postmark, connections: int) -> None:
        self._streams = {"marketing": settings.stream, "service": settings.service_stream}
        self._caller = Caller(provider_name(settings), settings.endpoint, connections)
        self._headers = {
            "accept": "application/json",
            "content-type": "application/json",
            "x-postmark-server-token": settings.server_token.get_secret_value(),
        }

    async def deliver(
        self, letter: Letter, builder: MessageBuilder, message_class: MessageClass
    ) -> Receipt:
        request: dict[str, Any] = {
            "From": builder.shown_sender,
            "To": letter.to,
            "Subject": letter.subject,
            "HtmlBody": letter.html,
            "TextBody": letter.text,
            "Headers": [{"Name": name, "Value": value} for name, value in letter.extra],
            "Metadata": {LABEL: tag(letter.key)},
            "MessageStream": self._streams[message_class],
            "TrackOpens": False,
            "TrackLinks": "None",
        }
        if builder.reply_to:
            request["ReplyTo"] = builder.reply_to
        answer = await self._call("POST", "/email", json.dumps(request).encode())
        return Receipt(answer.told("MessageID"), self._caller.provider)

    async def check(self) -> None:
        await self._call("GET", "/server", None)

    async def close(self) -> None:
        await self._caller.close()

    async def _call(self, method: str, path: str, data: bytes | None) -> Answer:
        answer = await self._caller.call(method, path, self._headers, data)
        code = answer.body.get("ErrorCode", 0) if isinstance(answer.body, dict) else None
        if answer.status != 200 or code:
            raise meaning(self._caller.provider, answer, code)
        return answer


def meaning(provider: str, answer: Answer, code: object) -> OutsideError:
    """What a refusal of Postmark means."""
    words = answer.told("Message")
    said = f"{provider} answers {code}: {words}"
    if code in _ACCOUNT:
        return ReconnectNeeded(said)
    if code == MAINTENANCE:
        return Away(said, provider)
    if code == INACTIVE:
        return NoSuchMailbox(said)
    if answer.status in (200, 422):
        return Refused(said)
    return failure(provider, answer, words)
