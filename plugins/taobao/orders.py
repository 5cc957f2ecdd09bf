"""Orders: lists, single ones, and what their fields mean."""

from collections.abc import AsyncIterator, Sequence
from datetime import time, timedelta
from functools import partial
from typing import Any

from core.sdk import (
    ConnectedShop,
    Identity,
    Kind,
    LineRecord,
    OrderRecord,
    OrderState,
    Page,
    ParcelRecord,
    Record,
    Refused,
    Window,
    app_scope_id,
)
from core.sdk.answers import Row, number, one, page, rows, text
from core.sdk.contacts import normalise_phone
from plugins.taobao.client import Client
from plugins.taobao.faults import NotThere
from plugins.taobao.paging import Listing, backwards, forwards
from plugins.taobao.values import CURRENCY, ZONE, fen, moment

STATES = {
    "TRADE_NO_CREATE_PAY": OrderState.CREATED_UNPAID,
    "WAIT_BUYER_PAY": OrderState.CREATED_UNPAID,
    "PAY_PENDING": OrderState.CREATED_UNPAID,
    "WAIT_PRE_AUTH_CONFIRM": OrderState.CREATED_UNPAID,
    "PAID_FORBID_CONSIGN": OrderState.PAID_ON_HOLD,
    "WAIT_SELLER_SEND_GOODS": OrderState.TO_SHIP,
    "SELLER_CONSIGNED_PART": OrderState.PART_SHIPPED,
    "WAIT_BUYER_CONFIRM_GOODS": OrderState.SHIPPED,
    "TRADE_BUYER_SIGNED": OrderState.DELIVERED,
    "TRADE_FINISHED": OrderState.COMPLETED,
    "TRADE_CLOSED": OrderState.CLOSED_REFUNDED,
    "TRADE_CLOSED_BY_TAOBAO": OrderState.CLOSED_UNPAID,
}
UNPAID = (OrderState.CREATED_UNPAID, OrderState.CLOSED_UNPAID)
DEPOSIT_PAID = "FRONT_PAID_FINAL_NOPAID"
"""A pre-sale's deposit is paid, the rest is not."""
AT_PEACE = frozenset({None, "", "NO_REFUND", "CLOSED", "SUCCESS"})
"""`refund_status` of a line about which nobody quarrels."""

# asked for by name, since the lists leave most types out by themselves
TYPES = (
    "fixed", "auction", "guarantee_trade", "auto_delivery", "independent_simple_trade",
    "independent_shop_trade", "ec", "cod", "fenxiao", "game_equipment", "shopex_trade",
    "netcn_trade", "external_trade", "o2o_offlinetrade", "step", "nopaid", "pre_auth_type",
)  # fmt: skip
FIELDS = (
    "tid", "type", "ouid", "buyer_open_uid", "status", "created", "pay_time", "consign_time",
    "end_time", "modified", "payment", "post_fee", "step_trade_status", "step_paid_fee",
    "receiver_state", "receiver_city", "orders",
)  # fmt: skip
FULL_FIELDS = (
    *FIELDS, "receiver_name", "receiver_mobile", "receiver_address", "receiver_district",
)  # fmt: skip
HIDDEN = frozenset("*~$")
"""What masked and encrypted values have in them."""


def _listing(api: str, size: int) -> Listing:
    return Listing(api, "trades", lambda row: text(row.get("tid")), size)


CREATED = {
    "crm": _listing("taobao.trades.simple.sold.get", 100),
    "full": _listing("taobao.trades.sold.get", 100),
}
CHANGED = {
    "crm": _listing("taobao.trades.simple.sold.increment.get", 50),
    "full": _listing("taobao.trades.sold.increment.get", 50),
}
DAY = "taobao.jds.trades.statistics.get"
SECOND = timedelta(seconds=1)
ONE = {"crm": "taobao.trade.simple.get", "full": "taobao.trade.fullinfo.get"}


def _fields(client: Client) -> Sequence[str]:
    return FULL_FIELDS if client.settings.mode == "full" else FIELDS


async def pull(client: Client, window: Window, kind: Kind) -> AsyncIterator[Page]:
    """A window's orders, by their time of creation or of change."""
    mode, read = client.settings.mode, partial(order, app_key=client.settings.app_key)
    params: dict[str, Any] = {"fields": _fields(client), "type": TYPES}
    if kind is Kind.BACKFILL:
        params |= {"start_created": window.start, "end_created": window.end}
        async for found in forwards(client, CREATED[mode], params):
            yield page(found, "tid", read)
    else:
        params |= {"start_modified": window.start, "end_modified": window.end}
        async for found, total in backwards(client, CHANGED[mode], params):
            yield page(found, "tid", read, total)


async def fetch(client: Client, tid: str) -> Sequence[Record]:
    """One order as it is now."""
    try:
        answer = await client.read(ONE[client.settings.mode], tid=tid, fields=_fields(client))
    except NotThere:
        return []
    return one(answer.get("trade") or {}, partial(order, app_key=client.settings.app_key))


async def count(client: Client, window: Window) -> int:
    """Orders created in the window: by the platform's own figures for one of its days."""
    day = window.start.astimezone(ZONE)
    if day.time() == time() and timedelta(days=1) - SECOND <= window.end - day <= timedelta(days=1):
        try:
            answer = await client.read(DAY, date=day.strftime("%Y%m%d"))
            return sum(number(row.get("count")) or 0 for row in rows(answer, "status_infos"))
        except Refused:
            pass  # apps have to apply for it: then the list counts
    listing = CREATED[client.settings.mode]
    answer = await client.read(
        listing.api, fields=["tid"], type=TYPES, start_created=window.start,
        end_created=window.end, page_no=1, page_size=1, use_has_next=False,
    )  # fmt: skip
    return number(answer.get(listing.total)) or 0


def order(row: Row, app_key: str | None) -> OrderRecord:
    """An order of a list or by itself. Raises KeyError, ValueError."""
    status, lines = text(row.get("status")), rows(row, "orders")
    state, step = STATES.get(status or ""), text(row.get("step_trade_status"))
    total, paid = fen(row.get("payment")), fen(row.get("payment"))
    if step == DEPOSIT_PAID:
        paid = fen(row.get("step_paid_fee"))
    elif state in UNPAID:
        paid = 0
    # a town directly under its province is told as a district
    city = text(row.get("receiver_city")) or text(row.get("receiver_district"))
    return OrderRecord(
        external_id=str(row["tid"]),
        state=state,
        currency=CURRENCY,
        total=total,
        paid=paid,
        ordered_at=moment(row.get("created")),
        platform_state=f"{status} {step}" if step and state in UNPAID else status,
        paid_at=moment(row.get("pay_time")),
        shipped_at=moment(row.get("consign_time")),
        closed_at=moment(row.get("end_time")),
        modified_at=moment(row.get("modified")),
        in_dispute=any(line.get("refund_status") not in AT_PEACE for line in lines)
        if lines
        else None,
        buyer_id=text(row.get("ouid")),
        name=_plain(row.get("receiver_name")),
        phone=_phone(row.get("receiver_mobile")),
        province=text(row.get("receiver_state")),
        city=city,
        address=_plain(row.get("receiver_address")),
        lines=[_line(line) for line in lines],
        parcels=_parcels(lines),
        identities=_identities(row, app_key),
    )


def _line(row: Row) -> LineRecord:
    share = fen(row.get("divide_order_fee"))
    return LineRecord(
        external_id=str(row["oid"]),
        title=text(row.get("title")) or "",
        quantity=number(row.get("num")) or 1,
        sku=text(row.get("outer_sku_id")) or text(row.get("outer_iid")) or text(row.get("sku_id")),
        amount=fen(row.get("payment")) if share is None else share,
        product_id=text(row.get("num_iid")),
        category=text(row.get("cid")),
    )


def _parcels(lines: Sequence[Row]) -> list[ParcelRecord]:
    carriers = {
        number: text(line.get("logistics_company"))
        for line in lines
        if (number := text(line.get("invoice_no"))) is not None
    }
    return [ParcelRecord(number, carrier) for number, carrier in carriers.items()]


def _identities(row: Row, app_key: str | None) -> list[Identity]:
    open_uid = text(row.get("buyer_open_uid"))
    if open_uid is None or app_key is None:
        return []
    return [Identity("app", app_scope_id(app_key), "open_uid", open_uid)]


def _plain(value: object) -> str | None:
    """A receiver's field, unless it is masked or encrypted."""
    said = text(value)
    return None if said is None or HIDDEN & set(said) else said


def _phone(value: object) -> str | None:
    said = _plain(value)
    return None if said is None else normalise_phone(said)


def of_shop(shop: ConnectedShop, ouid: str | None) -> list[Identity]:
    """A buyer's id in the shop, for what is not an order."""
    return [] if ouid is None else [Identity("shop", shop.shop_id, "ouid", ouid)]
