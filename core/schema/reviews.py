"""Reviews that buyers gave, and the words that make one negative."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from enum import Enum
from typing import Any

import orjson
import strawberry

from core.domain.orders.review_words import TABLE, set_review_words
from core.domain.orders.reviews import STARS, ingest_reviews
from core.schema.batches import OnError, error_policy
from core.schema.context import CHILDREN, Info, field, mutation
from core.schema.customers import Customer, customers_by_id
from core.schema.errors import UserError
from core.schema.external_refs import ExternalRefFilter, ExternalRefInput, by_external_id
from core.schema.order_intake import Reader, read_for_shop
from core.schema.orders import Order, OrderLine, lines_of, orders_by_id
from core.schema.pages import (
    After,
    Connection,
    First,
    Listing,
    SortDirection,
    by_external_ref,
    page,
)
from core.schema.rows import selected
from core.schema.scalars import Node, global_id, version_seen
from core.schema.shops import Shop, shops_by_id
from core.schema.where import (
    DateTimeFilter,
    IdColumn,
    IdFilter,
    IntFilter,
    OwnColumn,
    StringFilter,
)
from core.schema.word_lists import WordList, word_list
from core.sdk.events import ReviewChanged, ReviewGiven, ReviewNegative
from core.sdk.reviews import ReviewRecord
from core.storage.database import Session


@strawberry.enum
class ReviewSign(Enum):
    GOOD = 1
    NEUTRAL = 0
    BAD = -1


@strawberry.enum(description="Why a review needs care.")
class ReviewConcern(Enum):
    BAD = "bad"
    NEUTRAL = "neutral"
    KEYWORD = strawberry.enum_value(
        "keyword", description="A good one in which one of the merchant's words stands."
    )


@strawberry.type(description="A review that a buyer gave, as its platform last told it.")
class Review(Node):
    row: strawberry.Private[Any]
    external_id: str
    at: datetime
    sign: ReviewSign | None
    stars: int | None = strawberry.field(description="1 to 5, where the platform counts them.")
    text: str | None = strawberry.field(description="Null also when the buyer was erased.")
    later_text: str | None = strawberry.field(description="What the buyer added afterwards.")
    reply: str | None = strawberry.field(description="What the merchant answered.")
    tags: list[str]
    negative: ReviewConcern | None = strawberry.field(
        description="Why it needs care; null if it needs none."
    )

    @strawberry.field
    async def order(self, info: Info) -> Order | None:
        if self.row["order_id"] is None:
            return None
        return await info.context.load("orders", self.row["order_id"], orders_by_id)

    @strawberry.field
    async def line(self, info: Info) -> OrderLine | None:
        if self.row["line_id"] is None:
            return None
        columns = selected(info, "OrderLine")
        key = ("order.lines", columns)
        lines = await info.context.load(key, self.row["order_id"], lines_of(columns)) or []
        return next((line for line in lines if line.row["id"] == self.row["line_id"]), None)

    @field("SHOPS_READ")
    async def shop(self, info: Info) -> Shop | None:
        return await info.context.load("shops", self.row["shop_id"], shops_by_id)

    @field("CUSTOMERS_READ")
    async def customer(self, info: Info) -> Customer | None:
        if self.row["customer_id"] is None:
            return None
        return await info.context.load("customers", self.row["customer_id"], customers_by_id)


def review_of(row: Any) -> Review:
    return Review(
        id=global_id("Review", row["id"]),
        row=row,
        external_id=row["external_id"],
        at=row["at"],
        sign=None if row["sign"] is None else ReviewSign(row["sign"]),
        stars=row["stars"],
        text=row["text"],
        later_text=row["later_text"],
        reply=row["reply"],
        tags=orjson.loads(row["tags"] or "[]"),
        negative=ReviewConcern(row["negative"]) if row["negative"] else None,
    )


async def reviews_by_id(session: Session, pks: list[int]) -> dict[int, Review]:
    rows = await session.sql.fetch(
        "SELECT * FROM reviews WHERE merchant_id = $1 AND id = ANY($2::bigint[])",
        session.merchant_id, pks,
    )  # fmt: skip
    return {row["id"]: review_of(row) for row in rows}


async def reviews_of_orders(session: Session, pks: list[int]) -> dict[int, list[Review]]:
    rows = await session.sql.fetch(
        """SELECT * FROM reviews WHERE merchant_id = $1 AND order_id = ANY($2::bigint[])
           ORDER BY id""",
        session.merchant_id, pks,
    )  # fmt: skip
    found: dict[int, list[Review]] = {}
    for row in rows:
        found.setdefault(row["order_id"], []).append(review_of(row))
    return found


def reviews_of_customers(
    first: int,
) -> Callable[[Session, list[int]], Awaitable[dict[int, list[Review]]]]:
    """Loads the newest reviews of many customers with one statement."""

    async def load(session: Session, pks: list[int]) -> dict[int, list[Review]]:
        rows = await session.sql.fetch(
            """SELECT r.* FROM unnest($2::bigint[]) AS wanted (id)
               CROSS JOIN LATERAL (
                   SELECT * FROM reviews WHERE merchant_id = $1 AND customer_id = wanted.id
                   ORDER BY at DESC, id DESC LIMIT $3) r""",
            session.merchant_id, pks, first,
        )  # fmt: skip
        found: dict[int, list[Review]] = {}
        for row in rows:
            found.setdefault(row["customer_id"], []).append(review_of(row))
        return found

    return load


CHILDREN["reviews_of_orders"] = reviews_of_orders
CHILDREN["reviews_of_customers"] = reviews_of_customers


@strawberry.input
class ReviewSignFilter:
    eq: strawberry.Maybe[ReviewSign]
    in_: strawberry.Maybe[list[ReviewSign]] = strawberry.field(name="in", default=None)


@strawberry.input
class ReviewConcernFilter:
    eq: strawberry.Maybe[ReviewConcern]
    in_: strawberry.Maybe[list[ReviewConcern]] = strawberry.field(name="in", default=None)
    is_null: strawberry.Maybe[bool] = strawberry.field(
        default=None, description="False: whatever needs care."
    )


@strawberry.input
class ReviewWhere:
    id: strawberry.Maybe[IdFilter]
    external_id: strawberry.Maybe[StringFilter]
    external_ref: strawberry.Maybe[ExternalRefFilter]
    shop: strawberry.Maybe[IdFilter]
    order: strawberry.Maybe[IdFilter]
    customer: strawberry.Maybe[IdFilter]
    sign: strawberry.Maybe[ReviewSignFilter]
    stars: strawberry.Maybe[IntFilter]
    negative: strawberry.Maybe[ReviewConcernFilter]
    contains: strawberry.Maybe[str] = strawberry.field(
        default=None, description="Stands anywhere in its text or what was added, in any case."
    )
    reply: strawberry.Maybe[StringFilter]
    at: strawberry.Maybe[DateTimeFilter]
    and_: strawberry.Maybe[list["ReviewWhere"]] = strawberry.field(name="and", default=None)
    or_: strawberry.Maybe[list["ReviewWhere"]] = strawberry.field(name="or", default=None)
    not_: strawberry.Maybe["ReviewWhere"] = strawberry.field(name="not", default=None)


@strawberry.enum
class ReviewSortField(Enum):
    AT = "at"
    STARS = "stars"


@strawberry.input
class ReviewSort:
    field: ReviewSortField
    direction: SortDirection = SortDirection.ASC


REVIEWS = Listing(
    "reviews", "reviews r", "r",
    {
        "id": IdColumn("Review", "r.id"), "external_id": "r.external_id",
        "shop": IdColumn("Shop", "r.shop_id"), "order": IdColumn("Order", "r.order_id"),
        "customer": IdColumn("Customer", "r.customer_id"), "sign": "r.sign", "stars": "r.stars",
        "negative": "r.negative", "reply": "r.reply", "at": "r.at",
        "external_ref": by_external_id("reviews", "r"),
        "contains": OwnColumn(
            lambda given, args: "strpos(lower(concat_ws(' ', r.text, r.later_text)), "
            f"lower({args.add(given)}::text)) > 0"
        ),
    },
    {"at": "r.at", "stars": "COALESCE(r.stars, 0)"},
    review_of,
)  # fmt: skip


@strawberry.input(description="A snapshot of one review.")
class ReviewInput:
    external_id: str
    order_external_id: str
    at: datetime
    sign: ReviewSign | None = strawberry.field(
        default=None, description="Follows from the stars if it is not given."
    )
    stars: int | None = None
    line_external_id: str | None = None
    text: str | None = None
    later_text: str | None = None
    reply: str | None = None
    tags: list[str] = strawberry.field(default_factory=list)
    modified_at: datetime | None = strawberry.field(
        default=None, description="The platform's own; an older snapshot changes nothing."
    )


@strawberry.input
class ReviewsUpsertInput:
    shop_id: strawberry.ID
    reviews: list[ReviewInput] = strawberry.field(description="At most 500.")
    on_error: OnError = error_policy()


@strawberry.enum
class ReviewOutcome(Enum):
    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    WAITING = strawberry.enum_value(
        "waiting", description="The order is not known yet: kept, and taken in with the order."
    )


@strawberry.type
class ReviewUpsertResult:
    external_id: str
    outcome: ReviewOutcome


@strawberry.type
class ReviewsUpsertPayload:
    results: list[ReviewUpsertResult | None] | None = strawberry.field(
        default=None, description="One for each review, in order; null for one with an error."
    )
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.input
class ReviewWordsSetInput:
    words: list[str] = strawberry.field(description="At most 500; an empty list takes all away.")
    if_version: int | None = version_seen()


@strawberry.type
class ReviewWordsSetPayload:
    word_list: WordList | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


def read_review(reader: Reader, given: ReviewInput) -> ReviewRecord:
    """A review, normalised; what is wrong with it goes to the reader's errors."""
    if given.stars is not None and not 1 <= given.stars <= STARS:
        reader.fault(f"stars are from 1 to {STARS}", "stars")
    return ReviewRecord(
        external_id=reader.text(given.external_id, "external_id"),
        order_external_id=reader.text(given.order_external_id, "order_external_id"),
        at=reader.time(given.at, "at"),
        sign=None if given.sign is None else given.sign.value,
        stars=given.stars,
        line_external_id=given.line_external_id,
        text=given.text,
        later_text=given.later_text,
        reply=given.reply,
        tags=given.tags,
        modified_at=reader.maybe_time(given.modified_at, "modified_at"),
    )


@strawberry.type
class ReviewQueries:
    @field("ORDERS_READ", description="What buyers said, in all shops.")
    async def reviews(
        self,
        info: Info,
        first: First = 20,
        after: After = None,
        where: ReviewWhere | None = None,
        sort: list[ReviewSort] | None = None,
    ) -> Connection[Review]:
        return await page(info, REVIEWS, where, sort, first, after)

    @field("ORDERS_READ", description="The review that a platform knows by this number.")
    async def review_by_external_ref(self, info: Info, ref: ExternalRefInput) -> Review | None:
        return await by_external_ref(info, REVIEWS, ref)

    @field("ORDERS_READ", description="The merchant's own words that make a review negative.")
    async def review_words(self, info: Info) -> WordList:
        async with info.context.read() as session:
            return await word_list(session, TABLE)


@strawberry.type
class ReviewMutations:
    @mutation(
        "ORDERS_WRITE",
        ReviewsUpsertPayload,
        emits=(ReviewGiven, ReviewChanged, ReviewNegative),
        description="Take in up to 500 reviews of a shop; repeating the call changes nothing.",
    )
    async def reviews_upsert(
        self, info: Info, input: ReviewsUpsertInput
    ) -> ReviewsUpsertPayload | None:
        async with info.context.work() as w:
            shop, batch = await read_for_shop(
                w, input.shop_id, "reviews", input.reviews, input.on_error, read_review
            )
            outcomes = await ingest_reviews(w, shop["id"], batch.records)
        return ReviewsUpsertPayload(
            results=batch.results(
                ReviewUpsertResult(external_id=record.external_id, outcome=ReviewOutcome(outcome))
                for record, outcome in zip(batch.records, outcomes, strict=True)
            ),
            errors=batch.errors,
        )

    @mutation(
        "ORDERS_WRITE",
        ReviewWordsSetPayload,
        description="Replace the words that make a review negative whatever its sign; they are "
        "sought in reviews that come from now on.",
    )
    async def review_words_set(
        self, info: Info, input: ReviewWordsSetInput
    ) -> ReviewWordsSetPayload | None:
        async with info.context.work() as w:
            await set_review_words(w, input.words, input.if_version)
            return ReviewWordsSetPayload(word_list=await word_list(w, TABLE))
