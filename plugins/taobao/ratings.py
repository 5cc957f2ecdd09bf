"""Ratings that the shop received, and for Tmall what buyers wrote and tagged."""

from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Literal

from core.sdk import ConnectedShop, Page, Record, ReviewRecord, Window
from core.sdk.answers import Row, flag, page, rows, text
from plugins.taobao.client import Client
from plugins.taobao.faults import NotThere
from plugins.taobao.orders import of_shop
from plugins.taobao.paging import Listing, backwards
from plugins.taobao.tmall import is_tmall
from plugins.taobao.values import moment

SIGNS: dict[str, Literal[-1, 0, 1]] = {"good": 1, "neutral": 0, "bad": -1}
FIELDS = ("tid", "oid", "role", "result", "created", "content", "reply", "ouid")
RECEIVED = {"fields": FIELDS, "rate_type": "get", "role": "buyer"}
FEED = "tmall.traderate.feeds.get"
LISTING = Listing("taobao.traderates.get", "trade_rates", lambda row: key(row), 150, cap=1500)


def key(row: Row) -> str:
    """A rating has no id of its own: order, line and role make it unique."""
    return f"{row.get('tid')}:{row.get('oid')}:{row.get('role') or 'buyer'}"


async def pull(client: Client, shop: ConnectedShop, window: Window) -> AsyncIterator[Page]:
    """Ratings given in the window."""
    params = {**RECEIVED, "start_date": window.start, "end_date": window.end}
    async for found, total in backwards(client, LISTING, params):
        pulled = page(found, "tid", partial(review, shop=shop), total)
        await _add_feeds(client, shop, pulled.records)
        yield pulled


async def fetch(client: Client, shop: ConnectedShop, external_id: str) -> Sequence[Record]:
    """The ratings of an order, by its number or by the key of one of them."""
    tid = external_id.partition(":")[0]
    answer = await client.read(LISTING.api, **RECEIVED, tid=tid)
    found = page(rows(answer, LISTING.rows), "tid", partial(review, shop=shop))
    await _add_feeds(client, shop, found.records)
    return found.records


async def _add_feeds(client: Client, shop: ConnectedShop, reviews: Sequence[Record]) -> None:
    if is_tmall(shop.token):
        for one in reviews:
            assert isinstance(one, ReviewRecord)
            await _add_feed(client, one)


async def _add_feed(client: Client, one: ReviewRecord) -> None:
    """What a Tmall buyer wrote; there nobody rates as good or bad, but by tags."""
    try:
        answer = await client.read(FEED, child_trade_id=one.line_external_id)
    except NotThere:
        return
    told = answer.get("tmall_rate_info")
    if not told:
        return
    one.sign = -1 if flag(told.get("has_negtv")) or flag(told.get("append_has_negtv")) else 1
    one.text = text(told.get("content")) or one.text
    one.later_text = text(told.get("append_content"))
    tags = [*rows(told, "tags"), *rows(told, "append_tags")]
    one.tags = [name for tag in tags if (name := text(tag.get("tag_name"))) is not None]


def review(row: Row, shop: ConnectedShop) -> ReviewRecord:
    """A rating of the list. Raises KeyError, ValueError."""
    at = moment(row["created"])
    if at is None:
        raise ValueError("created is empty")
    return ReviewRecord(
        external_id=key(row),
        order_external_id=str(row["tid"]),
        at=at,
        sign=SIGNS.get(text(row.get("result")) or ""),
        line_external_id=str(row["oid"]),
        text=text(row.get("content")),
        reply=text(row.get("reply")),
        identities=of_shop(shop, text(row.get("ouid"))),
    )
