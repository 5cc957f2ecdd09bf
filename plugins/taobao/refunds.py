"""Refunds and returns."""

from collections.abc import AsyncIterator, Sequence

from core.sdk import Page, Record, RefundKind, RefundRecord, RefundState, Window
from core.sdk.answers import Row, flag, number, one, page, text
from plugins.taobao.client import Client
from plugins.taobao.faults import NotThere
from plugins.taobao.orders import TYPES
from plugins.taobao.paging import Listing, backwards
from plugins.taobao.values import fen, moment

STATES = {
    "WAIT_SELLER_AGREE": RefundState.REQUESTED,
    "WAIT_BUYER_RETURN_GOODS": RefundState.AWAIT_RETURN,
    "WAIT_SELLER_CONFIRM_GOODS": RefundState.RETURN_IN_TRANSIT,
    "SELLER_REFUSE_BUYER": RefundState.REFUSED,
    "SUCCESS": RefundState.REFUNDED,
    "CLOSED": RefundState.CANCELLED,
    # an exchange: the goods are back, and the new ones are to be sent
    "WAIT_SELLER_CONSIGN_GOODS": RefundState.RETURN_IN_TRANSIT,
    "WAIT_BUYER_CONFIRM_EXCHANGE_SELLER_SEND_GOODS": RefundState.RETURN_IN_TRANSIT,
    "EXCHANGE_TRANSFORM_TO_REFUND": RefundState.REQUESTED,
}
KINDS = {
    "REFUND": RefundKind.REFUND_ONLY,
    "REFUND_AND_RETURN": RefundKind.RETURN,
    "TMALL_EXCHANGE": RefundKind.EXCHANGE,
    "TAOBAO_EXCHANGE": RefundKind.EXCHANGE,
    "RESHIPPING": RefundKind.RESEND,
}
WITHOUT_MONEY = (RefundKind.EXCHANGE, RefundKind.RESEND)
FIELDS = (
    "refund_id", "tid", "oid", "status", "refund_fee", "dispute_type", "has_good_return", "reason",
    "num", "sid", "company_name", "created", "modified",
)  # fmt: skip
LISTING = Listing(
    "taobao.refunds.receive.get", "refunds", lambda row: text(row.get("refund_id")), 50
)


async def pull(client: Client, window: Window) -> AsyncIterator[Page]:
    """Refunds changed in the window; the platform lists them in no other way."""
    params = {
        "fields": FIELDS, "type": TYPES, "start_modified": window.start,
        "end_modified": window.end,
    }  # fmt: skip
    async for found, total in backwards(client, LISTING, params):
        yield page(found, "refund_id", refund, total)


async def fetch(client: Client, refund_id: str) -> Sequence[Record]:
    """One refund as it is now."""
    try:
        answer = await client.read("taobao.refund.get", refund_id=refund_id, fields=FIELDS)
    except NotThere:
        return []
    return one(answer.get("refund") or {}, refund)


def refund(row: Row) -> RefundRecord:
    """A refund of a list or by itself. Raises KeyError, ValueError."""
    status, changed = text(row.get("status")), moment(row.get("modified"))
    state = STATES.get(status or "", RefundState.REQUESTED)
    kind = KINDS.get(text(row.get("dispute_type")) or "")
    if kind is None:
        kind = RefundKind.RETURN if flag(row.get("has_good_return")) else RefundKind.REFUND_ONLY
    if state is RefundState.REFUNDED and kind in WITHOUT_MONEY:
        state = RefundState.RESOLVED
    requested_at = moment(row["created"])
    if requested_at is None:
        raise ValueError("created is empty")
    return RefundRecord(
        external_id=str(row["refund_id"]),
        order_external_id=str(row["tid"]),
        state=state,
        amount=fen(row.get("refund_fee")) or 0,
        requested_at=requested_at,
        kind=kind,
        platform_state=status,
        line_external_id=text(row.get("oid")),
        reason=text(row.get("reason")),
        quantity=number(row.get("num")),
        tracking_number=text(row.get("sid")),
        carrier=text(row.get("company_name")),
        refunded_at=changed if state is RefundState.REFUNDED else None,
        closed_at=changed if state in (RefundState.CANCELLED, RefundState.RESOLVED) else None,
        modified_at=changed,
    )
