"""Mailgun, API version 3: the message goes as it is, signed by us."""

import base64

from core.sdk import MessageClass, Receipt
from core.sdk.large import aiohttp
from plugins.email.apis.calling import Answer, Caller, failure
from plugins.email.message import Letter, MessageBuilder
from plugins.email.settings import Mailgun, provider_name
from plugins.email.verp import tag

LABEL = "huike_key"


class MailgunApi:
    """Hands messages to Mailgun."""

    def __init__(self, settings: Mailgun, connections: int) -> None:
        self._domain = settings.domain
        self._caller = Caller(provider_name(settings), settings.endpoint, connections)
        login = f"api:{settings.api_key.get_secret_value()}".encode()
        self._headers = {"authorization": f"Basic {base64.b64encode(login).decode()}"}

    async def deliver(
        self, letter: Letter, builder: MessageBuilder, message_class: MessageClass
    ) -> Receipt:
        form = aiohttp.FormData()
        form.add_field("to", letter.to)
        form.add_field(
            "message", await builder.signed(letter), filename="message.eml",
            content_type="message/rfc822",
        )  # fmt: skip
        form.add_field("o:tracking", "no")
        form.add_field(f"v:{LABEL}", tag(letter.key))
        answer = await self._call("POST", f"/v3/{self._domain}/messages.mime", form)
        return Receipt(answer.told("id").strip("<>"), self._caller.provider)

    async def check(self) -> None:
        await self._call("GET", f"/v3/domains/{self._domain}", None)

    async def close(self) -> None:
        await self._caller.close()

    async def _call(self, method: str, path: str, form: "aiohttp.FormData | None") -> Answer:
        answer = await self._caller.call(method, path, self._headers, form)
        if answer.status != 200:
            raise failure(self._caller.provider, answer, answer.told("message", "Error"))
        return answer
