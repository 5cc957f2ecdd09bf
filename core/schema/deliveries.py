"""Settling messages of unknown fate, and what people write back."""

from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from typing import Any

import strawberry

from core.domain.campaigns.replies import TEXT_PLACE, WORDS, set_opt_out_words
from core.domain.campaigns.settling import MAX_SETTLED, settle_deliveries
from core.schema.batches import OnError, error_policy, goes_on
from core.schema.campaigns import Delivery, deliveries_by_id
from core.schema.context import Info, field, mutation
from core.schema.customers import Customer, customers_by_id
from core.schema.errors import UserError, user_errors
from core.schema.pages import After, Connection, First, Listing, SortDirection, page
from core.schema.scalars import Node, global_id, read_id, version_seen
from core.schema.where import BooleanFilter, DateTimeFilter, IdColumn, IdFilter, StringFilter
from core.schema.word_lists import WordList, word_list
from core.sdk.errors import Several
from core.storage.database import Session


@strawberry.type(description="A message that somebody sent to the merchant.")
class Reply(Node):
    row: strawberry.Private[Any]
    channel: str
    opt_out: bool = strawberry.field(description="It ended marketing, as its text asked for.")
    at: datetime
    received_at: datetime

    @field("REPLIES_READ", description="Null when the person it came from was erased.")
    async def text(self, info: Info) -> str | None:
        if self.row["text_sealed"] is None:
            return None
        place = f"{TEXT_PLACE}|{info.context.merchant_id}|{self.row['id']}"
        return info.context.installation.db.keyring.open(self.row["text_sealed"], place)

    @field("CUSTOMERS_READ")
    async def customer(self, info: Info) -> Customer | None:
        if self.row["customer_id"] is None:
            return None
        return await info.context.load("customers", self.row["customer_id"], customers_by_id)

    @field("CAMPAIGNS_READ", description="The message that it answers, as far as is known.")
    def delivery(self, info: Info) -> Delivery | None:
        if self.row["delivery_id"] is None:
            return None
        return info.context.child("deliveries", self.row["delivery_id"], deliveries_by_id)


def reply_of(row: Any) -> Reply:
    return Reply(
        id=global_id("Reply", row["id"]),
        row=row,
        channel=row["channel"],
        opt_out=row["opt_out"],
        at=row["at"],
        received_at=row["received_at"],
    )


async def replies_by_id(session: Session, pks: Sequence[int]) -> dict[int, Reply]:
    rows = await session.sql.fetch(
        "SELECT * FROM inbound_messages WHERE merchant_id = $1 AND id = ANY($2::bigint[])",
        session.merchant_id, pks,
    )  # fmt: skip
    return {row["id"]: reply_of(row) for row in rows}


@strawberry.input
class ReplyWhere:
    id: strawberry.Maybe[IdFilter]
    channel: strawberry.Maybe[StringFilter]
    customer: strawberry.Maybe[IdFilter]
    opt_out: strawberry.Maybe[BooleanFilter]
    at: strawberry.Maybe[DateTimeFilter]
    and_: strawberry.Maybe[list["ReplyWhere"]] = strawberry.field(name="and", default=None)
    or_: strawberry.Maybe[list["ReplyWhere"]] = strawberry.field(name="or", default=None)
    not_: strawberry.Maybe["ReplyWhere"] = strawberry.field(name="not", default=None)


@strawberry.enum
class ReplySortField(Enum):
    AT = "at"


@strawberry.input
class ReplySort:
    field: ReplySortField
    direction: SortDirection = SortDirection.ASC


REPLIES = Listing(
    "replies", "inbound_messages m", "m",
    {
        "id": IdColumn("Reply", "m.id"), "channel": "m.channel",
        "customer": IdColumn("Customer", "m.customer_id"), "opt_out": "m.opt_out", "at": "m.at",
    },
    {"at": "m.at"},
    reply_of,
)  # fmt: skip


@strawberry.enum(description="What the merchant decides about a message of unknown fate.")
class DeliveryDecision(Enum):
    SENT = "sent"
    SEND_AGAIN = "send_again"


@strawberry.input
class DeliveriesSettleInput:
    ids: list[strawberry.ID] = strawberry.field(description=f"At most {MAX_SETTLED}.")
    decision: DeliveryDecision
    on_error: OnError = error_policy()


@strawberry.type
class DeliveriesSettlePayload:
    deliveries: list[Delivery | None] | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.input
class OptOutWordsSetInput:
    words: list[str]
    if_version: int | None = version_seen()


@strawberry.type
class OptOutWordsSetPayload:
    word_list: WordList | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class DeliveryQueries:
    @field("CAMPAIGNS_READ", description="What people wrote back.")
    async def replies(
        self,
        info: Info,
        first: First = 20,
        after: After = None,
        where: ReplyWhere | None = None,
        sort: list[ReplySort] | None = None,
    ) -> Connection[Reply]:
        return await page(info, REPLIES, where, sort, first, after)

    @field("CAMPAIGNS_READ", description="The merchant's own words that end marketing.")
    async def opt_out_words(self, info: Info) -> WordList:
        async with info.context.read() as session:
            return await word_list(session, WORDS)


@strawberry.type
class DeliveryMutations:
    @mutation(
        "CAMPAIGNS_SEND",
        DeliveriesSettlePayload,
        description="Decide about messages of which nobody knows whether they were sent. Who has "
        "one sent again bears that somebody may get it twice.",
    )
    async def deliveries_settle(
        self, info: Info, input: DeliveriesSettleInput
    ) -> DeliveriesSettlePayload | None:
        pks = [read_id("Delivery", one) or -1 for one in input.ids]
        async with info.context.work() as w:
            errors = await settle_deliveries(
                w, pks, input.decision.value, go_on=goes_on(input.on_error)
            )
            found = await deliveries_by_id(w, pks)
        return DeliveriesSettlePayload(
            deliveries=[None if place in errors else found[pk] for place, pk in enumerate(pks)],
            errors=user_errors(Several(list(errors.values()))),
        )

    @mutation(
        "CAMPAIGNS_WRITE",
        OptOutWordsSetPayload,
        description="Replace the words of your own that end marketing when they come as a reply; "
        "the usual ones always do.",
    )
    async def opt_out_words_set(
        self, info: Info, input: OptOutWordsSetInput
    ) -> OptOutWordsSetPayload | None:
        async with info.context.work() as w:
            await set_opt_out_words(w, input.words, input.if_version)
            return OptOutWordsSetPayload(word_list=await word_list(w, WORDS))
