"""The names of policy's rules in words: why a message is not sent, or waits."""

from core.sdk.facets import Text

SKIP_REASONS: dict[str, Text] = {
    "no_address": Text(
        "The customer has no address for this channel.",
        "客户没有该渠道的联系方式。",
    ),
    "no_identity": Text(
        "The customer is not known by an id of the channel's platform in the shop that the "
        "message is for.",
        "客户在消息所属店铺没有该平台的账号标识。",
    ),
    "no_order": Text(
        "The channel can only write about an order, and the message is about none.",
        "该渠道只能发送与订单相关的消息，此消息不涉及订单。",
    ),
    "no_consent": Text(
        "The customer has not agreed to marketing on this channel.",
        "客户未同意在该渠道接收营销消息。",
    ),
    "unproven": Text(
        "Nobody can prove that the customer agreed to marketing on this channel.",
        "无法证明客户同意在该渠道接收营销消息。",
    ),
    "opted_out": Text(
        "The customer has refused such messages on this channel.", "客户已拒收该渠道的此类消息。"
    ),
    "suppressed": Text("The address must not be written to.", "该联系方式已被列入禁发名单。"),
    "blacklisted": Text(
        "You have put the customer on a platform's blacklist.", "您已在平台将该客户拉黑。"
    ),
    "erased": Text("The customer's data were erased.", "客户资料已被删除。"),
    "holdout": Text(
        "The customer belongs to those who get nothing, for comparison.", "客户属于不发送的对照组。"
    ),
    "too_late": Text("The message's time had passed.", "消息已超过最晚发送时间。"),
    "order_changed": Text(
        "The order is no longer in the state that the message is about.",
        "订单状态已变化，消息不再适用。",
    ),
    "bought": Text(
        "The customer has bought again since coming into the journey.", "客户进入流程后已再次购买。"
    ),
    "left": Text(
        "The customer left the journey before this message was sent.", "客户在发送前已离开流程。"
    ),
    "capped": Text(
        "The customer got as many messages as the frequency cap allows.", "客户已达到发送频次上限。"
    ),
    "outranked": Text(
        "The frequency cap leaves room only for a campaign of higher priority.",
        "频次上限内的名额留给优先级更高的活动。",
    ),
    "holiday": Text("Nothing goes out on this holiday.", "节假日不发送。"),
    "legal_hours": Text(
        "Marketing may not go out by this channel at this time of day.",
        "该时段不允许发送营销消息。",
    ),
    "channel_hours": Text("The channel is closed at this time.", "渠道不在开放时段。"),
    "quiet_hours": Text("It is the shop's quiet time.", "店铺处于免打扰时段。"),
    "render_error": Text(
        "The content could not be filled in for this customer.", "无法为该客户生成消息内容。"
    ),
    "cancelled": Text(
        "The campaign was cancelled before this message was sent.", "消息发送前活动已被取消。"
    ),
}  # fmt: skip
"""Every reason that core writes into the ledger."""


ANSWERS: dict[str, Text] = {
    "sent": Text("The message was sent.", "消息已发送。"),
    "sending": Text("The message is just being handed over.", "消息正在发送。"),
    "pending": Text("The message waits to be sent.", "消息等待发送。"),
    "failed": Text("The channel refused the message.", "渠道拒绝了该消息。"),
    "unknown": Text(
        "Nobody knows whether the message was sent; it is not sent again blindly.",
        "无法确定消息是否已发送，不会盲目重发。",
    ),
    "on_the_way": Text(
        "The customer is on the way through the campaign and has not come to a message yet.",
        "客户正在活动流程中，尚未到发送步骤。",
    ),
    "without_message": Text(
        "The customer came through the campaign by a way on which no message is sent.",
        "客户已走完活动流程，所走的路径不发送消息。",
    ),
    "not_in_audience": Text("The customer is not in the audience.", "客户不在目标人群中。"),
    "not_started": Text("The campaign has not started.", "活动尚未开始。"),
    "not_planned": Text(
        "The campaign has not come to the customer: it began before the customer belonged to its "
        "audience, or nothing that starts it has happened.",
        "活动尚未涉及该客户：活动开始时客户不在人群中，或尚未发生触发事件。",
    ),
}
"""What else there is to say of a customer who may have got no message of a campaign."""


def reason_in_words(reason: str, language: str) -> str:
    """The words, in "en" or "zh"; a name that core does not know stays as it is."""
    text = SKIP_REASONS.get(reason) or ANSWERS.get(reason)
    return reason if text is None else str(getattr(text, language))
