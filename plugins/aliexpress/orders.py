"""Orders: lists, single ones, and what their fields mean."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from core.sdk import (
    Kind,
    LineRecord,
    OrderRecord,
    OrderState,
    Page,
    ParcelRecord,
    ParcelState,
    Record,
    TraceEvent,
    Window,
    paging,
)
from core.sdk.answers import Row, number, one, page, rows, text
from plugins.aliexpress.client import Client
from plugins.aliexpress.values import changed, moment, money, span

LIST = "aliexpress.trade.seller.orderlist.get"
ONE = "aliexpress.trade.new.redefining.findorderbyid"
EVERYTHING = 31
"""Bits that ask for all parts of an order's detail."""
SIZE = 50

FINISH = "FINISH"
STATES = {
    "PLACE_ORDER_SUCCESS": OrderState.CREATED_UNPAID,
    "PAYMENT_PROCESSING": OrderState.CREATED_UNPAID,
    "IN_BOOK_SALE": OrderState.CREATED_UNPAID,
    "RISK_CONTROL": OrderState.PAID_ON_HOLD,
    "RISK_CONTROL_HOLD": OrderState.PAID_ON_HOLD,
    "WAIT_SELLER_EXAMINE_MONEY": OrderState.PAID_ON_HOLD,
    "WAIT_GROUP_SUCCESS": OrderState.PAID_ON_HOLD,
    "WAIT_SELLER_SEND_GOODS": OrderState.TO_SHIP,
    "SELLER_PART_SEND_GOODS": OrderState.PART_SHIPPED,
    "WAIT_BUYER_ACCEPT_GOODS": OrderState.SHIPPED,
    "FUND_PROCESSING": OrderState.COMPLETED,
}
HIDING = ("IN_CANCEL", "IN_FROZEN", "IN_ISSUE")
"""States that say nothing of how far the order has come."""
BY_LOGISTICS = {
    "SELLER_SEND_PART_GOODS": OrderState.PART_SHIPPED,
    "SELLER_SEND_GOODS": OrderState.SHIPPED,
    "BUYER_ACCEPT_GOODS": OrderState.COMPLETED,
}
OPEN = (*STATES, *HIDING)
SENT = frozenset({"SELLER_PART_SEND_GOODS", "WAIT_BUYER_ACCEPT_GOODS"})

# a day less than the platform bears, since its days have up to 25 hours
OPEN_REACH = timedelta(days=179)
FINISHED_SPAN = timedelta(days=29)
"""The longest range of creation that the platform looks through for finished orders."""
ENDED_WELL = ("accept", "confirm", "received", "success")
"""What the reasons have in them for which an order ends that was not cancelled."""


async def pull(client: Client, window: Window, kind: Kind) -> AsyncIterator[Page]:
    """A window's orders, by their time of creation or of change.

    The platform wants a range of creation beside that of change, and gives out finished orders
    only when asked for them by name.
    """
    start, end = span(window)
    asked: dict[str, Any] = {}
    if kind is Kind.INCREMENTAL:
        asked = {"modified_date_start": start, "modified_date_end": end}
    for created, statuses in _questions(window, kind):
        first, last = span(created)
        query = {"create_date_start": first, "create_date_end": last, **asked, **statuses}
        async for found, total in _pages(client, query):
            yield page(
                [await _with_parcels(client, row) if asked else row for row in found],
                "order_id", partial(order, now=client.now()), total,
            )  # fmt: skip


def _questions(window: Window, kind: Kind) -> Iterator[tuple[Window, Mapping[str, Any]]]:
    """Ranges of creation, and the states that are asked for in each."""
    oldest = window.start if kind is Kind.BACKFILL else window.end - OPEN_REACH
    yield Window(oldest, window.end), {"order_status_list": OPEN}
    end = window.end
    while True:
        start = max(oldest, end - FINISHED_SPAN)
        yield Window(start, end), {"order_status": FINISH}
        if start <= oldest:
            return
        end = start


async def _pages(
    client: Client, query: Mapping[str, Any]
) -> AsyncIterator[tuple[Sequence[Row], int]]:
    async def ask(place: int, counted: bool) -> tuple[Sequence[Row], int]:
        asked = {**query, "current_page": place, "page_size": SIZE}
        answer = await client.read(LIST, param_aeop_order_query=asked)
        return rows(answer, "target_list"), number(answer.get("total_count")) or 0

    # orders of some kinds are in the list and not in its count
    async for found in paging.backwards(
        ask, lambda row: text(row.get("order_id")), SIZE, LIST, leaves_out=True
    ):
        yield found


async def _with_parcels(client: Client, row: Row) -> Row:
    """A row of a list, with the parcels that only the order's detail tells."""
    if row.get("order_status") not in SENT:
        return row
    detail = await _detail(client, str(row["order_id"]))
    return {**row, "logistic_info_list": detail.get("logistic_info_list")}


async def fetch(client: Client, order_id: str) -> Sequence[Record]:
    """One order as it is now."""
    return one(await detail_of(client, order_id), partial(order, now=client.now()))


async def detail_of(client: Client, order_id: str) -> Row:
    """An order's detail as the platform tells it; empty if there is none."""
    if not order_id.isdecimal():
        return {}
    return await _detail(client, order_id)


async def _detail(client: Client, order_id: str) -> Row:
    answer = await client.read(
        ONE, param1={"order_id": int(order_id), "ext_info_bit_flag": EVERYTHING}
    )
    detail: Row = answer.get("target") or {}
    return detail


async def latest_unpaid(client: Client, login: str) -> str | None:
    """The number of a buyer's latest order that waits for its payment."""
    now = client.now()
    first, last = span(Window(now - FINISHED_SPAN, now))
    query = {
        "create_date_start": first, "create_date_end": last, "buyer_login_id": login,
        "order_status": "PLACE_ORDER_SUCCESS", "current_page": 1, "page_size": SIZE,
    }  # fmt: skip
    found = rows(await client.read(LIST, param_aeop_order_query=query), "target_list")
    latest = max(found, key=lambda row: str(row.get("gmt_create")), default=None)
    return None if latest is None else str(latest["order_id"])


async def count(client: Client, window: Window) -> int:
    """Orders created in the window, as the lists count them."""
    total = 0
    for created, statuses in _questions(window, Kind.BACKFILL):
        first, last = span(created)
        query = {
            "create_date_start": first, "create_date_end": last, **statuses, "current_page": 1,
            "page_size": 1,
        }  # fmt: skip
        answer = await client.read(LIST, param_aeop_order_query=query)
        total += number(answer.get("total_count")) or 0
    return total


def order(row: Row, now: datetime) -> OrderRecord:
    """An order of a list or by itself. Raises KeyError, ValueError."""
    status = text(row.get("order_status"))
    paid_at = moment(row.get("gmt_pay_time") or row.get("gmt_pay_success"))
    unpaid = row.get("fund_status") == "NOT_PAY" or (
        row.get("fund_status") is None and paid_at is None
    )
    parcels = _parcels(row)
    state = _ended(row, unpaid) if status == FINISH else STATES.get(status or "")
    if state is OrderState.SHIPPED and parcels and all(_is_there(one) for one in parcels):
        state = OrderState.DELIVERED
    price = money(row.get("pay_amount") or row.get("order_amount"))
    if price is None:
        raise ValueError("the order has no amount")
    total, currency = price
    address: Row = row.get("receipt_address") or {}
    buyer: Row = row.get("buyer_info") or {}
    return OrderRecord(
        external_id=str(row.get("order_id") or row["id"]),
        state=state,
        first_state=None if state is not None else _hidden(row, unpaid),
        currency=currency,
        total=total,
        paid=0 if unpaid or state is OrderState.CREATED_UNPAID else total,
        ordered_at=moment(row.get("gmt_create")),
        platform_state=status,
        paid_at=paid_at,
        shipped_at=moment(row.get("gmt_send_goods_time")),
        closed_at=_closed(row, status, now),
        modified_at=changed(row.get("gmt_update") or row.get("gmt_modified"), now),
        in_dispute=_in_dispute(row),
        buyer_id=text(row.get("buyer_login_id")) or text(buyer.get("login_id")),
        province=text(address.get("province")),
        city=text(address.get("city")),
        lines=[_line(one, currency) for one in _lines(row)],
        parcels=parcels,
    )


def _ended(row: Row, unpaid: bool) -> OrderState:
    """FINISH is the end of those that were paid and received, and of all others."""
    if unpaid:
        return OrderState.CLOSED_UNPAID
    reason = (text(row.get("end_reason")) or text(row.get("order_end_reason")) or "").lower()
    if not reason or any(word in reason for word in ENDED_WELL):
        return OrderState.COMPLETED
    return OrderState.CLOSED_REFUNDED


def _hidden(row: Row, unpaid: bool) -> OrderState:
    """How far an order has come whose own state does not say."""
    if unpaid:
        return OrderState.CREATED_UNPAID
    return BY_LOGISTICS.get(text(row.get("logistics_status")) or "", OrderState.TO_SHIP)


def _in_dispute(row: Row) -> bool:
    return (
        row.get("order_status") in HIDING
        or row.get("issue_status") == "IN_ISSUE"
        or row.get("frozen_status") == "IN_FROZEN"
    )


def _closed(row: Row, status: str | None, now: datetime) -> datetime | None:
    if status != FINISH:
        return None
    return moment(row.get("gmt_trade_end")) or changed(row.get("gmt_update"), now)


def _lines(row: Row) -> Sequence[Row]:
    return rows(row, "product_list") or rows(row, "child_order_list")


def _line(row: Row, currency: str) -> LineRecord:
    price = money(row.get("total_product_amount"))
    return LineRecord(
        external_id=str(row.get("child_id") or row["id"]),
        title=text(row.get("product_name")) or "",
        quantity=number(row.get("product_count")) or 1,
        sku=text(row.get("sku_code")),
        amount=price[0] if price is not None and price[1] == currency else None,
        product_id=text(row.get("product_id")),
    )


def _parcels(row: Row) -> list[ParcelRecord]:
    """The parcels of a detail; of their way the platform is sure only at both ends."""
    parcels = []
    for told in rows(row, "logistic_info_list"):
        ends = {
            ParcelState.SHIPPED: moment(told.get("gmt_send")),
            ParcelState.SIGNED: moment(told.get("gmt_received")),
        }
        events = [TraceEvent(kind, at) for kind, at in ends.items() if at is not None]
        if (tracking := text(told.get("logistics_no"))) is not None:
            carrier = text(told.get("logistics_service_name"))
            parcels.append(ParcelRecord(tracking, carrier, events))
    return parcels


def _is_there(parcel: ParcelRecord) -> bool:
    return any(event.kind is ParcelState.SIGNED for event in parcel.events)
