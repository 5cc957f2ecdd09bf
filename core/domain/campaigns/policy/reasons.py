"""The names of policy's rules in words: why a message is not sent, or waits."""

from core.sdk.facets import Text

SKIP_REASONS: dict[str, Text] = {
    "no_address": Text(
        "The customer has no address for this channel.",
        "客户没有该渠道的联系方式。",
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
    "erased": Text("The customer's data were erased.", "客户资料已被删除。"),
    "holdout": Text(
        "The customer belongs to those who get nothing, for comparison.", "客户属于不发送的对照组。"
    ),
    "too_late": Text("The message's time had passed.", "消息已超过最晚发送时间。"),
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


def reason_in_words(reason: str, language: str) -> str:
    """The rule's words in "en" or "zh"; a reason that core does not know stays as it is."""
    text = SKIP_REASONS.get(reason)
    return reason if text is None else str(getattr(text, language))
