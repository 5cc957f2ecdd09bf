"""A carrier that only pretends, so that everything can be tried without money.

It behaves by the last four digits of the number; all others get their message.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from core.domain.campaigns.links import read_message_key
from core.sdk import PluginContext, Receipt, ReconnectNeeded, Refused, RetryLater, Trace, Unknown
from plugins.sms.providers.protocol import Answer, Blocked, Sought
from plugins.sms.settings import SandboxSettings
from plugins.sms.texts import Text

FATES = {
    "0001": "bad_number",
    "0002": "refused",
    "0003": "undelivered",
    "0004": "lost",
    "0005": "silent",
    "0006": "opts_out",
    "0007": "replies",
    "0008": "blocked",
    "0009": "busy_once",
    "0010": "no_money",
}
DELIVERED = "delivered"
NOTHING_TOLD = ("silent",)


class Sandbox:
    """The pretended carrier of one merchant."""

    approved_only = False

    def __init__(self, settings: SandboxSettings, context: PluginContext) -> None:
        self.name = settings.name
        self._settings = settings
        self._context = context

    def calls(self, texts: Sequence[Text]) -> Sequence[Sequence[int]]:
        return [list(range(len(texts)))]

    async def send(self, serial: str, texts: Sequence[Text]) -> Sequence[Answer]:
        fates = [FATES.get(text.to[-4:], DELIVERED) for text in texts]
        answers = [self._answer(*pair) for pair in zip(texts, fates, strict=True)]
        taken = [
            (text, fate) for text, fate, answer in zip(texts, fates, answers, strict=True)
            if isinstance(answer, Receipt | Unknown)
        ]  # fmt: skip
        await self._keep(taken)
        return answers

    async def find(self, sought: Sought) -> Receipt | Trace:
        database, merchant_id = self._context.database, self._context.merchant_id
        async with database.read(merchant_id) as session:
            found = await session.sql.fetchval(
                "SELECT TRUE FROM sms_sandbox WHERE merchant_id = $1 AND id = $2",
                merchant_id, read_message_key(session.keyring, merchant_id, sought.message.key),
            )  # fmt: skip
        return Receipt(f"sandbox-{sought.message.key}") if found else Trace.ABSENT

    async def ended(self, sought: Sought) -> None:
        """What there is to tell is told as a receipt."""

    def _answer(self, text: Text, fate: str) -> Answer:
        match fate:
            case "refused":
                return Refused(f"{self.name}: this number is refused")
            case "blocked":
                return Blocked(f"{self.name}: this number has blocked the sender")
            case "busy_once" if text.attempt == 1:
                return RetryLater(f"{self.name}: too busy", timedelta(seconds=1), self.name)
            case "no_money":
                return ReconnectNeeded(f"{self.name}: the account has no money")
            case "lost":
                return Unknown(f"{self.name}: the answer was lost", self.name)
        return Receipt(f"sandbox-{text.key}")

    async def _keep(self, taken: Sequence[tuple[Text, str]]) -> None:
        """Remember what is still to be told of the messages that were taken."""
        database, merchant_id = self._context.database, self._context.merchant_id
        async with database.work(merchant_id) as w:
            ids = [read_message_key(w.keyring, merchant_id, text.key) for text, _ in taken]
            known: list[tuple[Any, str]] = [
                (one, fate) for one, (_, fate) in zip(ids, taken, strict=True) if one is not None
            ]
            await w.sql.execute(
                """INSERT INTO sms_sandbox (merchant_id, id, provider, fate, at, due_at)
                   SELECT $1, u.id, $2, u.fate, $3, CASE WHEN u.fate <> ALL($7::text[])
                       THEN $3::timestamptz + $4::int * interval '1 second' END
                   FROM unnest($5::bigint[], $6::text[]) AS u (id, fate)
                   ON CONFLICT (merchant_id, id) DO NOTHING""",
                merchant_id, self.name, w.now, self._settings.receipt_seconds,
                [one for one, _ in known], [fate for _, fate in known], list(NOTHING_TOLD),
            )  # fmt: skip
