"""What a customer sees and changes himself, behind the link to his preferences."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.domain.customers.consent import (
    ALL_SHOPS,
    EVERY_CHANNEL,
    MARKETING,
    PERSONALISATION,
    set_consent,
    strictness,
    unsubscribe,
)
from core.domain.customers.suppressions import welcome_back
from core.storage.database import Session, Work

SOURCE = "preference_page"


@dataclass(frozen=True)
class Choice:
    """Something that a customer said, and may say otherwise. `shop` is None for all shops."""

    channel: str
    purpose: str
    shop_id: int
    shop: str | None
    status: str | None

    @property
    def key(self) -> str:
        """Names the choice in a form; "5.marketing.email"."""
        return f"{self.shop_id}.{self.purpose}.{self.channel}"


async def choices(session: Session, customer_id: int) -> list[Choice]:
    """What the customer has a word on, as it is in effect, and personalisation last."""
    rows = await session.sql.fetch(
        f"""SELECT own.channel, own.purpose, own.shop_id, s.name AS shop, (
                SELECT co.status FROM consents co WHERE co.merchant_id = $1
                   AND co.customer_id = $2 AND co.channel = own.channel
                   AND co.purpose = own.purpose AND co.shop_id IN (0, own.shop_id)
                ORDER BY co.at DESC, {strictness("co.status")} DESC LIMIT 1) AS status
            FROM consents own
            LEFT JOIN shops s ON s.merchant_id = $1 AND s.id = own.shop_id
            WHERE own.merchant_id = $1 AND own.customer_id = $2
            ORDER BY own.channel, own.purpose, own.shop_id""",
        session.merchant_id, customer_id,
    )  # fmt: skip
    found = [Choice(**row) for row in rows]
    general = [one for one in found if one.purpose == PERSONALISATION]
    if not any(one.shop_id == ALL_SHOPS for one in general):
        general.insert(0, Choice(EVERY_CHANNEL, PERSONALISATION, ALL_SHOPS, None, None))
    return [one for one in found if one.purpose != PERSONALISATION] + general


async def choose(
    w: Work,
    customer_id: int,
    choice: Choice,
    agree: bool,
    text: str,
    text_version: str,
    evidence: Mapping[str, Any],
) -> None:
    """Record the customer's yes or no to one of his choices; `text` is its sentence.

    Raises NotFound.
    """
    if choice.purpose == MARKETING and not agree:
        await unsubscribe(
            w, customer_id, choice.channel, SOURCE, shop_id=choice.shop_id, evidence=evidence
        )
        return
    wanted = "granted" if agree else "denied"
    if choice.status == wanted:
        return
    await set_consent(
        w, customer_id, choice.channel, choice.purpose, wanted, SOURCE, evidence,
        shop_id=choice.shop_id, text=text, text_version=text_version,
    )  # fmt: skip
    if choice.purpose == MARKETING:
        await welcome_back(w, customer_id, choice.channel, choice.shop_id, SOURCE)
