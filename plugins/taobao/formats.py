"""The seller centre's export of orders (已卖出的宝贝, 批量导出)."""

from core.sdk import OrderFormat, OrderState

SELLER_CENTRE = OrderFormat(
    name="taobao",
    title="Taobao and Tmall seller centre, exported orders",
    columns={
        "order_id": ("订单编号", "订单号", "主订单编号"),
        "state": ("订单状态",),
        "ordered_at": ("订单创建时间", "下单时间"),
        "paid": ("买家实际支付金额", "买家实付金额"),
        "total": ("总金额", "订单总金额", "买家应付货款"),
        "refunded": ("退款金额",),
        "paid_at": ("订单付款时间", "付款时间"),
        "shipped_at": ("发货时间",),
        "closed_at": ("确认收货时间", "订单关闭时间"),
        "buyer_id": ("买家会员名", "买家昵称"),
        "name": ("收货人姓名",),
        "phone": ("联系手机", "联系电话"),
        # an Alipay account is an email address or a phone number; only the former is used
        "email": ("买家支付宝账号", "买家邮箱"),
        "address": ("收货地址",),
        "title": ("宝贝标题", "商品标题"),
        "quantity": ("宝贝总数量", "宝贝数量"),
        "tracking_numbers": ("物流单号", "运单号"),
        "carrier": ("物流公司",),
    },
    signature=frozenset({"订单编号", "订单状态", "订单创建时间"}),
    states={
        "等待买家付款": OrderState.CREATED_UNPAID,
        "买家已付款,等待卖家发货": OrderState.TO_SHIP,
        "买家已付款": OrderState.TO_SHIP,
        "等待卖家发货": OrderState.TO_SHIP,
        "卖家部分发货": OrderState.PART_SHIPPED,
        "部分发货": OrderState.PART_SHIPPED,
        "卖家已发货,等待买家确认": OrderState.SHIPPED,
        "卖家已发货": OrderState.SHIPPED,
        "买家已签收": OrderState.DELIVERED,
        "买家已签收,货到付款专用": OrderState.DELIVERED,
        "交易成功": OrderState.COMPLETED,
        # core tells a closed order that was paid from one that never was
        "交易关闭": OrderState.CLOSED_UNPAID,
        "付款以前,卖家或买家主动关闭交易": OrderState.CLOSED_UNPAID,
        "付款以后用户退款成功,交易自动关闭": OrderState.CLOSED_REFUNDED,
        "退款中的订单": OrderState.PAID_ON_HOLD,
        "付款确认中": OrderState.PAID_ON_HOLD,
    },
    identity_kind="taobao_nick",
    time_zone="Asia/Shanghai",
)
