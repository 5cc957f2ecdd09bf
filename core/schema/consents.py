"""What customers agreed to: its present state, and the log that it follows from."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from enum import Enum
from typing import Any

import orjson
import strawberry

from core.domain.customers.consent import strictness
from core.schema.context import Info, field
from core.schema.pages import Listing
from core.schema.scalars import JSON, Node, global_id, read_id
from core.storage.database import Session


@strawberry.enum
class ConsentStatus(Enum):
    GRANTED = "granted"
    DENIED = "denied"
    UNPROVEN = "unproven"


@strawberry.type(description="What the customer last said about messages on a channel.")
class Consent:
    channel: str = strawberry.field(description="`*` for personalisation.")
    purpose: str = strawberry.field(description="marketing, service or personalisation.")
    status: ConsentStatus
    shop_id: strawberry.ID | None = strawberry.field(
        description="The shop that the word was about; null for all shops."
    )
    at: datetime


@strawberry.type(description="One word of the customer, kept for good.")
class ConsentEvent(Node):
    channel: str
    purpose: str
    status: ConsentStatus
    shop_id: strawberry.ID | None = strawberry.field(description="Null for all shops.")
    source: str
    text: str | None = strawberry.field(description="What was agreed to.")
    text_version: str | None
    actor: str = strawberry.field(description="Who recorded it: a token, a job, the customer.")
    at: datetime
    stored_evidence: strawberry.Private[str | None]

    @field(
        "CUSTOMERS_READ",
        description="How it can be proven. It may hold an address of the internet: null for "
        "tokens without CONSENT_EVIDENCE.",
    )
    async def evidence(self, info: Info) -> JSON | None:
        if self.stored_evidence is None or not info.context.may("CONSENT_EVIDENCE"):
            return None
        return JSON(orjson.loads(self.stored_evidence))

    @field("CUSTOMERS_READ", description="Whether there is evidence that the token may not see.")
    async def evidence_redacted(self, info: Info) -> bool:
        return self.stored_evidence is not None and not info.context.may("CONSENT_EVIDENCE")


def shop_of(shop_id: int) -> strawberry.ID | None:
    return global_id("Shop", shop_id) if shop_id else None


def event_of(row: Any) -> ConsentEvent:
    return ConsentEvent(
        id=global_id("ConsentEvent", row["id"]),
        channel=row["channel"],
        purpose=row["purpose"],
        status=ConsentStatus(row["status"]),
        shop_id=shop_of(row["shop_id"]),
        source=row["source"],
        text=row["text"],
        text_version=row["text_version"],
        actor=row["actor"],
        at=row["at"],
        stored_evidence=row["evidence"],
    )


CONSENT_EVENTS = Listing("consent_events", "consent_events e", "e", {}, {}, event_of)


async def consent_events_by_id(session: Session, pks: list[int]) -> dict[int, ConsentEvent]:
    rows = await session.sql.fetch(
        "SELECT * FROM consent_events WHERE merchant_id = $1 AND id = ANY($2)",
        session.merchant_id, pks,
    )  # fmt: skip
    return {row["id"]: event_of(row) for row in rows}


def consents_of(
    shop_id: strawberry.ID | None, channel: str | None
) -> Callable[[Session, list[int]], Awaitable[dict[int, list[Consent]]]]:
    """A batch: each customer's state, one for each shop or, with a shop, in effect there."""
    shop = None if shop_id is None else read_id("Shop", shop_id) or -1
    one = "customer_id, channel, purpose" + (", shop_id" if shop is None else "")

    async def batch(session: Session, pks: list[int]) -> dict[int, list[Consent]]:
        rows = await session.sql.fetch(
            f"""SELECT DISTINCT ON ({one}) * FROM consents
                WHERE merchant_id = $1 AND customer_id = ANY($2::bigint[])
                  AND ($3::bigint IS NULL OR shop_id IN (0, $3))
                  AND ($4::text IS NULL OR channel = $4)
                ORDER BY {one}, at DESC, {strictness("status")} DESC""",
            session.merchant_id, pks, shop, channel,
        )  # fmt: skip
        found: dict[int, list[Consent]] = {}
        for row in rows:
            found.setdefault(row["customer_id"], []).append(_consent_of(row))
        return found

    return batch


def _consent_of(row: Any) -> Consent:
    return Consent(
        channel=row["channel"],
        purpose=row["purpose"],
        status=ConsentStatus(row["status"]),
        shop_id=shop_of(row["shop_id"]),
        at=row["at"],
    )
