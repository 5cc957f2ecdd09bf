"""What became of messages afterwards and what they cost: parts of deliveries and runs."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Any

import orjson
import strawberry

from core.domain.campaigns.audit import Audit as FoundAudit
from core.domain.campaigns.costs import Costs, run_costs
from core.schema.context import Info, field
from core.schema.scalars import Money
from core.sdk.money import from_millionths
from core.storage.database import Session


@strawberry.enum(
    description="What a provider told of a message. Of several the last in this list is shown."
)
class ReceiptStatus(Enum):
    ACCEPTED = "accepted"
    UNDELIVERED = "undelivered"
    BOUNCED = "bounced"
    DELIVERED = "delivered"
    COMPLAINED = "complained"


@strawberry.type(description="A piece of news about a message, as its provider told it.")
class DeliveryReceipt:
    status: ReceiptStatus
    at: datetime
    received_at: datetime
    provider: str | None
    parts: int | None
    cost: Money | None
    detail: str | None


@strawberry.type
class DeliveryFate:
    """The fields of a delivery that tell of its fate."""

    pk: strawberry.Private[int]
    variant: int | None = strawberry.field(
        description="The text of several that it has, from 0; null: not known yet."
    )
    provider: str | None = strawberry.field(
        description="Who carried it, of a channel with several providers."
    )
    parts: int | None = strawberry.field(description="Of how many parts it consists, as an SMS.")
    cost: Money | None
    receipt: ReceiptStatus | None = strawberry.field(
        description="What the provider told: of all receipts the one that counts."
    )
    delivered_at: datetime | None
    opened_at: datetime | None
    clicked_at: datetime | None
    next_check_at: datetime | None = strawberry.field(
        description="When its provider is asked whether an unknown message was sent; null: nobody "
        "asks, it is for you to settle."
    )

    @field("CAMPAIGNS_READ", description="All that the provider told, the first to come first.")
    def receipts(self, info: Info) -> list[DeliveryReceipt]:
        return info.context.children("delivery_receipts", self.pk, _receipts)


def fate_of_delivery(row: Mapping[str, Any]) -> dict[str, Any]:
    """The values of DeliveryFate."""
    asked = row["state"] == "unknown" and row["checks"] is not None
    return {
        "pk": row["id"],
        "variant": row["variant"],
        "provider": row["provider"],
        "parts": row["parts"],
        "cost": _money(row),
        "receipt": ReceiptStatus(row["receipt"]) if row["receipt"] else None,
        "delivered_at": row["delivered_at"],
        "opened_at": row["opened_at"],
        "clicked_at": row["clicked_at"],
        "next_check_at": row["next_at"] if asked else None,
    }


@strawberry.type(description="How many of the sent messages have this receipt.")
class ReceiptCount:
    status: ReceiptStatus
    count: int


@strawberry.type
class AuditFate:
    """The fields of a run's account that tell of what became of messages afterwards."""

    receipts: list[ReceiptCount] = strawberry.field(description="Of the sent messages.")
    silent: int = strawberry.field(
        description="Sent messages without a receipt: sent is the sum of these and the receipts."
    )
    asked: int = strawberry.field(
        description="Of the unknown messages those whose provider is still asked; the others are "
        "for you to settle."
    )


def fate_of_run(found: FoundAudit) -> dict[str, Any]:
    """The values of AuditFate."""
    return {
        "receipts": [
            ReceiptCount(status=ReceiptStatus(status), count=count)
            for status, count in sorted(found.receipts.items())
        ],
        "silent": found.silent,
        "asked": found.asked,
    }


@strawberry.type(description="What messages cost that went out, or perhaps did.")
class MessageCosts:
    channel: str
    provider: str | None
    messages: int
    parts: int
    priced: int = strawberry.field(description="Of so many messages the cost is known.")
    cost: Money | None = strawberry.field(description="Of those; null if it is known of none.")


@strawberry.enum(description="Why a variant was chosen; for the last two it is the first one.")
class WinnerReason(Enum):
    BEST = "best"
    TIE = "tie"
    TOO_FEW = "too_few"


@strawberry.type
class TriedVariant:
    variant: int
    sent: int
    reached: int


@strawberry.type(description="The variant that the rest of a step's recipients get.")
class VariantWinner:
    step: int
    variant: int
    reason: WinnerReason
    tried: list[TriedVariant]
    decided_at: datetime


@strawberry.type
class RunFate:
    """The fields of a run that tell of its messages' cost and of winners."""

    pk: strawberry.Private[int]

    @field("CAMPAIGNS_READ", description="By channel, provider and currency.")
    async def costs(self, info: Info) -> list[MessageCosts]:
        async with info.context.read() as session:
            return [_costs(one) for one in await run_costs(session, self.pk)]

    @field("CAMPAIGNS_READ", description="Of each step whose winner is decided.")
    def winners(self, info: Info) -> list[VariantWinner]:
        return info.context.children("variant_winners", self.pk, _winners)


def _costs(one: Costs) -> MessageCosts:
    return MessageCosts(
        channel=one.channel,
        provider=one.provider,
        messages=one.messages,
        parts=one.parts,
        priced=one.priced,
        cost=Money(amount=one.amount, currency=one.currency) if one.currency else None,
    )


def _money(row: Mapping[str, Any]) -> Money | None:
    if row["cost"] is None or row["currency"] is None:
        return None
    return Money(amount=from_millionths(row["cost"]), currency=row["currency"])


async def _receipts(session: Session, pks: Sequence[int]) -> Mapping[int, list[DeliveryReceipt]]:
    rows = await session.sql.fetch(
        """SELECT * FROM delivery_receipts
           WHERE merchant_id = $1 AND delivery_id = ANY($2::bigint[]) ORDER BY id""",
        session.merchant_id, pks,
    )  # fmt: skip
    found: dict[int, list[DeliveryReceipt]] = {}
    for row in rows:
        found.setdefault(row["delivery_id"], []).append(
            DeliveryReceipt(
                status=ReceiptStatus(row["status"]),
                at=row["at"],
                received_at=row["received_at"],
                provider=row["provider"],
                parts=row["parts"],
                cost=_money(row),
                detail=row["detail"],
            )
        )
    return found


async def _winners(session: Session, pks: Sequence[int]) -> Mapping[int, list[VariantWinner]]:
    rows = await session.sql.fetch(
        """SELECT * FROM variant_winners
           WHERE merchant_id = $1 AND run_id = ANY($2::bigint[]) ORDER BY run_id, step""",
        session.merchant_id, pks,
    )  # fmt: skip
    found: dict[int, list[VariantWinner]] = {}
    for row in rows:
        found.setdefault(row["run_id"], []).append(
            VariantWinner(
                step=row["step"],
                variant=row["variant"],
                reason=WinnerReason(row["reason"]),
                tried=[TriedVariant(**one) for one in orjson.loads(row["figures"])],
                decided_at=row["decided_at"],
            )
        )
    return found
