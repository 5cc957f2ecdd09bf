"""A customer's timeline as it goes on, with a cursor that nothing is lost behind."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime
from typing import Annotated

import strawberry

from core.domain.customers.timeline import Wanted
from core.domain.customers.timeline_news import MOST, News, Seen, timeline_news
from core.schema.context import Info, subscription
from core.schema.errors import BAD_REQUEST, RequestError
from core.schema.pages import make_cursor, read_cursor
from core.schema.profile import MAX_KINDS, TimelineEntry, entry_of
from core.schema.scalars import need_id

LOOK_SECONDS = 5.0
"""Events tell at once; what makes no event, such as a note, is seen by then."""


@strawberry.type(description="What came into a customer's timeline.")
class TimelineNews:
    nodes: list[TimelineEntry] = strawberry.field(description="The newest first.")
    cursor: str = strawberry.field(
        description="For `after`, to go on from here when the connection was lost."
    )
    complete: bool = strawberry.field(
        description=f"False when more than {MOST} entries came at once: read the timeline anew."
    )


@strawberry.type
class TimelineSubscriptions:
    @subscription(
        "CUSTOMERS_READ",
        description="At once the newest 50 entries, or what came since `after`; then what comes. "
        "It ends when the customer is deleted or becomes part of another.",
    )
    async def customer_timeline(
        self,
        info: Info,
        customer_id: Annotated[strawberry.ID, strawberry.argument(description="Whose it is.")],
        after: Annotated[
            str | None, strawberry.argument(description="A `cursor` of this subscription.")
        ] = None,
        kinds: Annotated[
            list[str] | None, strawberry.argument(description="Only these; without it, all.")
        ] = None,
    ) -> AsyncIterator[TimelineNews]:
        pk = need_id("Customer", customer_id, ("customerId",))
        if len(kinds or ()) > MAX_KINDS:
            raise RequestError(BAD_REQUEST, f"at most {MAX_KINDS} kinds at once")
        context = info.context
        wanted = Wanted(pk, kinds)
        digest = hashlib.sha256(repr(("news", wanted)).encode()).hexdigest()[:16]
        seen = _read(after, digest) if after is not None else None
        signals, registry = context.installation.signals, context.installation.registry
        begun = False
        async with aclosing(
            signals.changes("customer", context.merchant_id, pk, LOOK_SECONDS)
        ) as changed:
            async for _ in changed:
                async with context.read() as session:
                    if not await session.sql.fetchval(
                        "SELECT TRUE FROM customers WHERE merchant_id = $1 AND id = $2",
                        session.merchant_id, pk,
                    ):  # fmt: skip
                        return
                    news = await timeline_news(session, registry, context.may, wanted, seen)
                seen = news.seen
                if news.entries or not begun:
                    begun = True
                    yield _shown(news, digest)


def _shown(news: News, digest: str) -> TimelineNews:
    return TimelineNews(
        nodes=[entry_of(one) for one in news.entries],
        cursor=make_cursor(digest, [news.seen.since, " ".join(sorted(news.seen.digests))]),
        complete=news.complete,
    )


def _read(cursor: str, digest: str) -> Seen:
    since, digests = read_cursor(cursor, digest, 2)
    if not (isinstance(since, datetime | None) and isinstance(digests, str)):
        raise RequestError(BAD_REQUEST, "after is not a cursor")
    return Seen(since, frozenset(digests.split()))
