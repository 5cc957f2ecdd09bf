"""Reading a window: pages come while those before are stored, and memory stays bounded."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from core.domain.connections.dead_letters import bury
from core.domain.connections.inbox import ask_for
from core.domain.connections.opening import Access
from core.domain.connections.storing import Hold, store
from core.sdk.connectors import Kind, Page, Record, Resource, TooMuch, Window

PAGES_AHEAD = 20
BATCH = 1000
"""Records of a transaction, at least, if so many come soon: many at once cost far less each."""
GATHER_SECONDS = 1.0


async def read_window(
    access: Access, resource: Resource, window: Window, kind: Kind, hold: Hold
) -> int:
    """Store all records of a window; returns how many there were.

    `hold` is part of each transaction; the caller's cursor may move once this returns. Raises
    TooMuch, and one of FAILURES.
    """
    count = 0
    async with contextlib.aclosing(_batches(access, resource, window, kind)) as batches:
        async for pages in batches:
            records: list[Record] = [record for page in pages for record in page.records]
            missing = await store(access, records, hold)
            broken = [one for page in pages for one in page.broken]
            if kind is Kind.BACKFILL and resource is not Resource.ORDERS:
                missing = []  # of the past, the orders that something waits for are coming anyway
            if broken or missing:
                async with access.db.work(access.merchant_id) as w:
                    await bury(w, access.shop["id"], resource, broken)
                    await ask_for(w, access, Resource.ORDERS, missing)
            count += len(records)
    return count


async def _batches(
    access: Access, resource: Resource, window: Window, kind: Kind
) -> AsyncGenerator[list[Page], None]:
    queue: asyncio.Queue[Page | Exception | None] = asyncio.Queue(PAGES_AHEAD)
    reader = asyncio.create_task(_read(access, resource, window, kind, queue))
    try:
        item: Page | Exception | None = None
        ended = False
        while not ended:
            pages: list[Page] = []
            patience: float | None = None  # the first page is waited for, others a moment
            while not ended and sum(len(page.records) for page in pages) < BATCH:
                try:
                    item = await asyncio.wait_for(queue.get(), patience)
                except TimeoutError:
                    break
                if isinstance(item, Page):
                    pages.append(item)
                    patience = GATHER_SECONDS
                else:
                    ended = True
            if pages:
                yield pages
        if isinstance(item, Exception):
            raise item
    finally:
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)


async def _read(
    access: Access,
    resource: Resource,
    window: Window,
    kind: Kind,
    queue: "asyncio.Queue[Page | Exception | None]",
) -> None:
    pages: Any = None

    async def next_page() -> Page | TooMuch | None:
        try:
            page: Page | None = await anext(pages, None)
        except TooMuch as error:  # no failure: the guard must not count it
            return error
        return page

    try:
        pages = access.session.pull(resource, window, kind)
        while isinstance(page := await access.platform.call(next_page()), Page):
            await queue.put(page)
        await queue.put(page)
    except Exception as error:
        await queue.put(error)
    finally:
        closing: Any = getattr(pages, "aclose", None)
        if closing is not None:
            await closing()
