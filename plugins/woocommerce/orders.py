"""What the fields of orders and refunds mean."""

from functools import partial

from core.sdk import Identity, LineRecord, OrderRecord, OrderState, RefundRecord, RefundState
from core.sdk.answers import Row, moment, number, rows, text
from core.sdk.contacts import normalise_email, normalise_phone
from core.sdk.money import read_minor

STATES = {
    "pending": OrderState.CREATED_UNPAID, "failed": OrderState.CREATED_UNPAID,
    "on-hold": OrderState.CREATED_UNPAID, "processing": OrderState.TO_SHIP,
    "completed": OrderState.COMPLETED, "cancelled": OrderState.CLOSED_UNPAID,
    "refunded": OrderState.CLOSED_REFUNDED,
}  # fmt: skip
"""Others, which extensions of a store add, and the bin say nothing of how far an order has come."""
ONCE_PAID = {"on-hold": OrderState.PAID_ON_HOLD, "cancelled": OrderState.CLOSED_REFUNDED}
DRAFTS = frozenset({"auto-draft", "checkout-draft"})
"""Carts that somebody looked at the checkout with."""
REFUNDED_LINE = "_refunded_item_id"

amount = partial(read_minor, rounded=True)
"""A store may be set to more decimals than its currency has."""


def order(row: Row) -> OrderRecord:
    """An order of a list or by itself. Raises KeyError, ValueError."""
    currency, status = str(row["currency"]), str(row["status"])
    paid_at, total = moment(row.get("date_paid_gmt")), amount(row["total"], currency)
    state = (ONCE_PAID if paid_at else {}).get(status) or STATES.get(status)
    billing, shipping = row.get("billing") or {}, row.get("shipping") or {}
    to = shipping if shipping.get("address_1") else billing
    email = normalise_email(billing.get("email") or "")
    return OrderRecord(
        external_id=str(row["id"]),
        state=state,
        first_state=OrderState.CREATED_UNPAID if paid_at is None else OrderState.TO_SHIP,
        currency=currency,
        total=total,
        paid=total if paid_at is not None or state is OrderState.COMPLETED else 0,
        ordered_at=moment(row["date_created_gmt"]),
        refunded=-sum(amount(one["total"], currency) for one in rows(row, "refunds")),
        platform_state=status,
        paid_at=paid_at,
        closed_at=moment(row.get("date_completed_gmt")),
        modified_at=moment(row["date_modified_gmt"]),
        # an account's number; 0 for guests
        buyer_id=text(row.get("customer_id") or None),
        name=_joined(to, "first_name", "last_name"),
        phone=_phone(to) or _phone(billing),
        email=email,
        province=text(to.get("state")),
        city=text(to.get("city")),
        address=_joined(to, "address_1", "address_2"),
        lines=[_line(one, currency) for one in rows(row, "line_items")],
        identities=_given(email, _phone(billing)),
    )


def _given(email: str | None, phone: str | None) -> list[Identity]:
    """Who the buyer is, by what he himself wrote in the merchant's own shop.

    A phone may be a family's: it counts where there is no address.
    """
    if email is not None:
        return [Identity("merchant", 0, "email", email)]
    return [] if phone is None else [Identity("merchant", 0, "phone", phone)]


def _phone(address: Row) -> str | None:
    return normalise_phone(address.get("phone") or "", address.get("country") or "ZZ")


def _joined(row: Row, *names: str) -> str | None:
    return " ".join(part for name in names if (part := text(row.get(name)))) or None


def _line(row: Row, currency: str) -> LineRecord:
    return LineRecord(
        external_id=str(row["id"]),
        title=text(row.get("name")) or "",
        quantity=number(row.get("quantity")) or 1,
        sku=text(row.get("sku")),
        amount=amount(row["total"], currency) + amount(row.get("total_tax") or 0, currency),
        product_id=text(row.get("product_id") or None),
    )


def refund_row(order_row: Row, row: Row) -> Row:
    """A refund with what only its order tells."""
    return {**row, "id": f"{order_row['id']}:{row['id']}", "currency": order_row["currency"]}


def refund(row: Row) -> RefundRecord:
    """A refund of `refund_row`, which is done once it is told. Raises KeyError, ValueError."""
    at = moment(row["date_created_gmt"])
    if at is None:
        raise ValueError("date_created_gmt is empty")
    lines = [
        str(told["value"])
        for line in rows(row, "line_items")
        for told in rows(line, "meta_data")
        if told.get("key") == REFUNDED_LINE
    ]
    return RefundRecord(
        external_id=str(row["id"]),
        order_external_id=str(row["id"]).partition(":")[0],
        state=RefundState.REFUNDED,
        amount=amount(row["amount"], str(row["currency"])),
        requested_at=at,
        line_external_id=lines[0] if len(lines) == 1 else None,
        reason=text(row.get("reason")),
        refunded_at=at,
        modified_at=at,
    )
