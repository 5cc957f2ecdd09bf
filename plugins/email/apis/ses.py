"""Amazon SES, API version 2: the message goes as it is, signed by us."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from core.sdk import MessageClass, OutsideError, Receipt, ReconnectNeeded, Refused
from plugins.email.apis.calling import Answer, Caller, failure, later
from plugins.email.apis.sigv4 import signed_headers
from plugins.email.message import Letter, MessageBuilder
from plugins.email.settings import Ses, provider_name
from plugins.email.verp import tag

PATH = "/v2/email/outbound-emails"
ACCOUNT = "/v2/email/account"
TAG = "huike"
AN_HOUR = timedelta(hours=1)

_ACCOUNT = frozenset({
    "AccountSuspendedException", "SendingPausedException", "MailFromDomainNotVerifiedException",
    "NotFoundException", "AccessDeniedException", "UnrecognizedClientException",
    "InvalidClientTokenId", "InvalidSignatureException", "SignatureDoesNotMatch",
    "IncompleteSignatureException", "MissingAuthenticationTokenException", "OptInRequired",
    "ExpiredTokenException", "RequestExpired",
})  # fmt: skip
_SLOWER = frozenset({
    "TooManyRequestsException", "ThrottlingException", "Throttling", "LimitExceededException",
})  # fmt: skip


class SesApi:
    """Hands messages to SES."""

    def __init__(
        self, settings: Ses, connections: int, clock: Callable[[], datetime] | None = None
    ) -> None:
        endpoint = settings.endpoint or f"https://email.{settings.region}.amazonaws.com"
        self._settings = settings
        self._caller = Caller(provider_name(settings), endpoint, connections)
        self._clock = clock or (lambda: datetime.now(UTC))

    async def deliver(
        self, letter: Letter, builder: MessageBuilder, message_class: MessageClass
    ) -> Receipt:
        request = {
            "FromEmailAddress": builder.sender,
            "Destination": {"ToAddresses": [letter.to]},
            "Content": {"Raw": {"Data": base64.b64encode(await builder.signed(letter)).decode()}},
            "EmailTags": [{"Name": TAG, "Value": tag(letter.key)}],
        }
        if self._settings.configuration_set:
            request["ConfigurationSetName"] = self._settings.configuration_set
        answer = await self._call("POST", PATH, json.dumps(request).encode())
        if answer.status != 200:
            raise meaning(self._caller.provider, answer)
        return Receipt(answer.told("MessageId"), self._caller.provider)

    async def check(self) -> None:
        answer = await self._call("GET", ACCOUNT, b"")
        if answer.status != 200:
            raise meaning(self._caller.provider, answer)

    async def close(self) -> None:
        await self._caller.close()

    async def _call(self, method: str, path: str, body: bytes) -> Answer:
        settings = self._settings
        headers = signed_headers(
            method, self._caller.endpoint + path, {"content-type": "application/json"}, body,
            (settings.region, "ses"), settings.access_key_id,
            settings.secret_access_key.get_secret_value(), self._clock(),
        )  # fmt: skip
        return await self._caller.call(method, path, headers, body or None)


def meaning(provider: str, answer: Answer) -> OutsideError:
    """What a refusal of SES means."""
    words = answer.told("message", "Message")
    kind = answer.headers.get("x-amzn-errortype") or answer.told("__type", "code")
    kind = kind.partition(":")[0].rpartition("#")[2]
    if kind in _ACCOUNT:
        return ReconnectNeeded(f"{provider}: {words}")
    if kind in _SLOWER:
        daily = "daily" in words.lower()
        return later(provider, words, AN_HOUR if daily else timedelta(seconds=1))
    if kind == "MessageRejected":
        if "not verified" in words.lower():
            return ReconnectNeeded(f"{provider}: {words}")
        return Refused(f"{provider}: {words}")
    return failure(provider, answer, words)
