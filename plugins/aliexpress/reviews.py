"""Evaluations that buyers gave, as reviews."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from functools import partial
from typing import Literal

from core.sdk import Identity, Page, Record, ReviewRecord, Window
from core.sdk.answers import Row, number, page, rows, text
from plugins.aliexpress.client import Client
from plugins.aliexpress.values import changed, moment, span

LIST = "aliexpress.evaluation.listorderevaluation.get"
SIGNS: dict[int, Literal[-1, 0, 1]] = {1: -1, 2: -1, 3: 0, 4: 1, 5: 1}


async def pull(client: Client, shop_id: int, window: Window) -> AsyncIterator[Page]:
    """Evaluations that became valid in the window; the platform gives them out at once."""
    start, end = span(window)
    yield await _asked(client, shop_id, start_valid_date=start, end_valid_date=end)


async def fetch(client: Client, shop_id: int, external_id: str) -> Sequence[Record]:
    """The evaluations of an order, by its number or by the key of one of them."""
    order = external_id.partition(":")[0]
    if not order.isdecimal():
        return []
    return (await _asked(client, shop_id, parent_order_ids=[int(order)])).records


async def _asked(client: Client, shop_id: int, **request: object) -> Page:
    answer = await client.read(LIST, trade_evaluation_request=request)
    found = [row for row in rows(answer, "target_list") if text(row.get("buyer_evaluation"))]
    read = partial(review, shop_id=shop_id, now=client.now())
    return page(found, "parent_order_id", read)


def review(row: Row, shop_id: int, now: datetime) -> ReviewRecord:
    """An evaluation of the list. Raises KeyError, ValueError."""
    order, line = str(row["parent_order_id"]), str(row["order_id"])
    at = moment(row.get("buyer_fb_date")) or moment(row.get("valid_date"))
    if at is None:
        raise ValueError("buyer_fb_date is empty")
    stars, login = number(row["buyer_evaluation"]), text(row.get("buyer_login_id"))
    if stars not in SIGNS:
        raise ValueError(f"buyer_evaluation is {stars}, not 1 to 5")
    return ReviewRecord(
        external_id=f"{order}:{line}",
        order_external_id=order,
        at=at,
        sign=SIGNS[stars],
        stars=stars,
        line_external_id=line,
        text=text(row.get("buyer_feedback")),
        reply=text(row.get("seller_reply")),
        modified_at=changed(row.get("gmt_modified"), now),
        identities=[] if login is None else [Identity("shop", shop_id, "buyer_login_id", login)],
    )
