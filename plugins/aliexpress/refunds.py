"""Disputes, as refunds.

The platform lists disputes by how they stand and not by when they changed: all are read, and what
lies outside the window is left out.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from core.sdk import Kind, Page, Record, RefundKind, RefundRecord, RefundState, Window, paging
from core.sdk.answers import Row, number, one, page, rows, text
from plugins.aliexpress import orders
from plugins.aliexpress.client import Client
from plugins.aliexpress.values import changed, moment, money, span

LIST, DETAIL = "aliexpress.issue.issuelist.get", "aliexpress.issue.detail.get"
SIZE = 50
STATES = {
    "processing": RefundState.REQUESTED,
    "canceled_issue": RefundState.CANCELLED,
    "finish": RefundState.RESOLVED,
}
OFFERS = ("platform_solution_list", "seller_solution_list", "buyer_solution_list")


async def pull(client: Client, window: Window, kind: Kind) -> AsyncIterator[Page]:
    """Disputes that were opened or changed in the window."""
    start, end = span(window)
    by = "gmt_create" if kind is Kind.BACKFILL else "gmt_modified"
    async for found, _ in _all(client):
        # times of one form are in the order of their texts
        within = [row for row in found if start <= str(row.get(by)) <= end]
        if within:
            yield page([await _whole(client, row) for row in within], "issue_id", refund)


async def fetch(client: Client, issue_id: str) -> Sequence[Record]:
    """One dispute as it is now; the platform does not find it by its number alone."""
    async for found, _ in _all(client):
        for row in found:
            if text(row.get("issue_id")) == issue_id:
                return one(await _whole(client, row), refund)
    return []


async def _all(client: Client) -> AsyncIterator[tuple[Sequence[Row], int]]:
    for status in STATES:

        async def ask(place: int, counted: bool, status: str = status) -> tuple[Sequence[Row], int]:
            answer = await client.read(LIST, query_dto={
                "issue_status": status, "current_page": place, "page_size": SIZE,
            })  # fmt: skip
            return rows(answer, "data_list"), number(answer.get("total_item")) or 0

        async for found in paging.backwards(ask, lambda row: row.get("issue_id"), SIZE, LIST):
            yield found


async def _whole(client: Client, row: Row) -> Row:
    """A row of the list, with its order and what was agreed upon."""
    whole = dict(row)
    # which of the two numbers is the order's, the platform's own words leave open
    for name, other in (("parent_order_id", "order_id"), ("order_id", "parent_order_id")):
        order = await orders.detail_of(client, str(row.get(name) or ""))
        if order:
            whole |= {"order": order, "order_number": row[name], "line_number": row.get(other)}
            break
    answer = await client.read(
        DETAIL, issue_id=row.get("issue_id"), buyer_login_id=row.get("buyer_login_id")
    )
    whole["detail"] = answer.get("result_object") or answer
    whole["now"] = client.now()
    return whole


def refund(row: Mapping[str, Any]) -> RefundRecord:
    """A dispute with its order and detail. Raises KeyError, ValueError."""
    status = str(row["issue_status"])
    state, at = STATES[status], changed(row.get("gmt_modified"), row["now"])
    offer = _offer(row["detail"])
    amount = _amount(offer, row.get("order") or {})
    if state is RefundState.RESOLVED and amount and offer.get("status") == "reached":
        state = RefundState.REFUNDED
    requested_at = moment(row["gmt_create"])
    if requested_at is None:
        raise ValueError("gmt_create is empty")
    line = text(row.get("line_number"))
    parent = text(row.get("order_number")) or str(row["parent_order_id"])
    return RefundRecord(
        external_id=str(row["issue_id"]),
        order_external_id=parent,
        state=state,
        amount=amount,
        requested_at=requested_at,
        kind=RefundKind.RETURN
        if offer.get("solution_type") == "return_and_refund"
        else RefundKind.REFUND_ONLY,
        platform_state=status,
        line_external_id=None if line == parent else line,
        reason=text(row.get("reason_chinese")) or text(row.get("reason_english")),
        refunded_at=at if state is RefundState.REFUNDED else None,
        closed_at=at if state in (RefundState.CANCELLED, RefundState.RESOLVED) else None,
        modified_at=at,
    )


def _offer(detail: Row) -> Row:
    """The solution that was reached; else what the buyer asks for."""
    offers: list[Row] = [offer for name in OFFERS for offer in rows(detail, name)]
    reached = [offer for offer in offers if offer.get("status") == "reached"]
    return (reached or offers or [{}])[-1 if not reached else 0]


def _amount(offer: Row, order: Row) -> int:
    """Money of a solution in the order's currency; 0 where it is not told in it."""
    price = money(order.get("order_amount") or order.get("pay_amount"))
    for name in ("refund_money", "refund_money_post"):
        told = offer.get(name)
        paid = money(told) if isinstance(told, dict) else None
        if paid is not None and price is not None and paid[1] == price[1]:
            return paid[0]
    return 0
