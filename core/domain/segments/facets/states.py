"""States of orders, parcels and refunds as rules name them, and their words.

Their values are the names that the API shows; the tables hold them in small letters.
"""

from collections.abc import Sequence
from enum import Enum

from core.sdk.facets import Query, Say, Text


class AskedOrderState(Enum):
    """A state that orders are asked for."""

    CREATED_UNPAID = "CREATED_UNPAID"
    PAID_ON_HOLD = "PAID_ON_HOLD"
    TO_SHIP = "TO_SHIP"
    PART_SHIPPED = "PART_SHIPPED"
    SHIPPED = "SHIPPED"
    DELIVERED = "DELIVERED"
    COMPLETED = "COMPLETED"
    CLOSED_UNPAID = "CLOSED_UNPAID"
    CLOSED_REFUNDED = "CLOSED_REFUNDED"


class AskedParcelState(Enum):
    """A state that parcels are asked for."""

    SHIPPED = "SHIPPED"
    IN_TRANSIT = "IN_TRANSIT"
    ARRIVED_CITY = "ARRIVED_CITY"
    OUT_FOR_DELIVERY = "OUT_FOR_DELIVERY"
    SIGNED = "SIGNED"
    FAILED = "FAILED"
    RETURNED = "RETURNED"


class AskedRefundKind(Enum):
    """A kind of refund that is asked for."""

    REFUND_ONLY = "REFUND_ONLY"
    RETURN = "RETURN"
    EXCHANGE = "EXCHANGE"
    RESEND = "RESEND"


class AskedRefundState(Enum):
    """A state that refunds are asked for."""

    REQUESTED = "REQUESTED"
    AWAIT_RETURN = "AWAIT_RETURN"
    RETURN_IN_TRANSIT = "RETURN_IN_TRANSIT"
    REFUSED = "REFUSED"
    REFUNDED = "REFUNDED"
    CANCELLED = "CANCELLED"
    RESOLVED = "RESOLVED"


WORDS: dict[Enum, Text] = {
    AskedOrderState.CREATED_UNPAID: Text("unpaid", "待付款"),
    AskedOrderState.PAID_ON_HOLD: Text("paid and on hold", "已付款待处理"),
    AskedOrderState.TO_SHIP: Text("to be shipped", "待发货"),
    AskedOrderState.PART_SHIPPED: Text("partly shipped", "部分发货"),
    AskedOrderState.SHIPPED: Text("shipped", "已发货"),
    AskedOrderState.DELIVERED: Text("delivered", "已送达"),
    AskedOrderState.COMPLETED: Text("completed", "已完成"),
    AskedOrderState.CLOSED_UNPAID: Text("closed unpaid", "未付款关闭"),
    AskedOrderState.CLOSED_REFUNDED: Text("closed after a refund", "退款关闭"),
    AskedParcelState.SHIPPED: Text("shipped", "已发出"),
    AskedParcelState.IN_TRANSIT: Text("in transit", "运输中"),
    AskedParcelState.ARRIVED_CITY: Text("in the buyer's city", "已到同城"),
    AskedParcelState.OUT_FOR_DELIVERY: Text("out for delivery", "派件中"),
    AskedParcelState.SIGNED: Text("signed for", "已签收"),
    AskedParcelState.FAILED: Text("failed to deliver", "派送失败"),
    AskedParcelState.RETURNED: Text("returned", "已退回"),
    AskedRefundKind.REFUND_ONLY: Text("refund only", "仅退款"),
    AskedRefundKind.RETURN: Text("return", "退货退款"),
    AskedRefundKind.EXCHANGE: Text("exchange", "换货"),
    AskedRefundKind.RESEND: Text("resend", "补寄"),
    AskedRefundState.REQUESTED: Text("requested", "已申请"),
    AskedRefundState.AWAIT_RETURN: Text("waiting for the return", "待买家退货"),
    AskedRefundState.RETURN_IN_TRANSIT: Text("on its way back", "退货途中"),
    AskedRefundState.REFUSED: Text("refused", "已拒绝"),
    AskedRefundState.REFUNDED: Text("refunded", "已退款"),
    AskedRefundState.CANCELLED: Text("cancelled", "已取消"),
    AskedRefundState.RESOLVED: Text("resolved", "已解决"),
}


def among(column: str, asked: Sequence[Enum], q: Query) -> str:
    """A condition: the column holds one of these."""
    return f"{column} = ANY({q.arg([one.name.lower() for one in asked])}::text[])"


def either(asked: Sequence[Enum], say: Say) -> str:
    """ "shipped or signed for"."""
    return say.either([say(*WORDS[one]) for one in asked])
